"""Levels of sources: the gains with which they add up to the mixture."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.pipelines.source_levels import SourceLevels

NOISE = np.random.default_rng(0).normal(size=(3, 30_000)).astype(np.float32)


@pytest.mark.parametrize("gains", [(1.0, 1.0, 1.0), (0.2, -0.4, 0.3), (100.0, 60.0, -80.0)])
def test_against_least_squares(gains: tuple[float, ...]) -> None:
    given = NOISE * np.array(gains, np.float32)[:, None]
    levels = SourceLevels(3)
    levels.apply(given, NOISE.sum(axis=0))
    expected = np.linalg.lstsq(given.T.astype(float), NOISE.sum(axis=0).astype(float), rcond=None)[0]
    np.testing.assert_allclose(levels.gains, expected, rtol=0.05)


def test_what_adds_up_stays_as_it_is() -> None:
    uneven = NOISE * np.array([[1.0], [0.01], [0.3]], np.float32)
    np.testing.assert_allclose(SourceLevels(3).apply(uneven, uneven.sum(axis=0)), uneven, atol=1e-5)


def test_a_faint_copy_of_one_voice_is_not_made_loud() -> None:
    """One speaker, whom the other output leaks 40 dB below: least squares alone could give it any gain."""
    levels = SourceLevels(2)
    found = levels.apply(np.stack([NOISE[0], 0.01 * NOISE[0]]), NOISE[0])
    np.testing.assert_allclose(found.sum(axis=0), NOISE[0], atol=1e-3)
    assert np.std(found[1]) < 0.02


def test_silence_changes_nothing() -> None:
    levels = SourceLevels(2)
    assert not levels.apply(np.zeros((2, 100), np.float32), np.zeros(100, np.float32)).any()
    assert levels.gains.tolist() == [1.0, 1.0]
    levels.apply(0.5 * NOISE[:2], NOISE[:2].sum(axis=0))
    before = levels.gains
    levels.apply(np.zeros((2, 100), np.float32), np.zeros(100, np.float32))
    np.testing.assert_array_equal(levels.gains, before)
