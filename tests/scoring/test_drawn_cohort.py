"""Rows that are drawn: as the speakers' means in mean and covariance, and nobody's own."""

import numpy as np
import pytest

from voxid.errors import ConfigError, DataError
from voxid.scoring.drawn_cohort import drawn_cohort


def planted(speakers: int, seed: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = rng.normal(size=(4, 4))
    voices = rng.normal(size=(speakers, 4)) @ shape + shift
    labels = np.repeat(np.arange(speakers), 2)
    return np.repeat(voices, 2, axis=0), labels


def test_mean_and_covariance_are_those_of_the_speakers_means() -> None:
    rows, labels = planted(200, 0, 10.0)
    drawn = drawn_cohort(rows, labels, size=100_000)
    means = np.array([rows[labels == label].mean(axis=0) for label in range(200)])
    np.testing.assert_allclose(drawn.mean(axis=0), means.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(means.T), rtol=0.1, atol=0.1)


def test_groups_are_drawn_apart_by_their_share() -> None:
    (first, a), (second, b) = planted(30, 1, -50.0), planted(10, 2, 50.0)
    rows, labels = np.concatenate([first, second]), np.concatenate([a, b + 100])
    groups = ["low"] * len(first) + ["up"] * len(second)
    drawn = drawn_cohort(rows, labels, size=400, groups=groups)
    assert drawn.shape == (400, 4)
    assert (drawn.mean(axis=1) < 0).sum() == 300
    assert np.abs(drawn.mean(axis=1)).min() > 20


def test_no_row_is_a_speakers_own_and_the_seed_decides() -> None:
    rng = np.random.default_rng(3)
    rows, labels = rng.normal(size=(300, 64)), np.arange(300)
    drawn = drawn_cohort(rows, labels, size=500)
    cosines = drawn @ rows.T / np.linalg.norm(drawn, axis=1)[:, None] / np.linalg.norm(rows, axis=1)
    assert cosines.max() < 0.7
    np.testing.assert_array_equal(drawn, drawn_cohort(rows, labels, size=500))
    assert not np.array_equal(drawn, drawn_cohort(rows, labels, size=500, seed=1))


def test_what_cannot_be_drawn_is_said() -> None:
    rows, labels = planted(3, 0, 0.0)
    with pytest.raises(ConfigError, match="2 rows"):
        drawn_cohort(rows, labels, size=1)
    with pytest.raises(DataError, match="one has 1"):
        drawn_cohort(rows, labels, size=10, groups=["a"] * 4 + ["b"] * 2)
