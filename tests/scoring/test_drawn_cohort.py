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
    drawn = drawn_cohort(rows, labels, size=100_000, seed=0)
    means = np.array([rows[labels == label].mean(axis=0) for label in range(200)])
    np.testing.assert_allclose(drawn.mean(axis=0), means.mean(axis=0), atol=0.05)
    known = np.cov(means.T)
    expected = 0.9 * known + 0.1 * np.trace(known) / 4 * np.eye(4)
    np.testing.assert_allclose(np.cov(drawn.T), expected, rtol=0.05, atol=0.1)


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
    again = [drawn_cohort(rows, labels, size=5, seed=seed) for seed in (1, 1, 2, None, None)]
    np.testing.assert_array_equal(again[0], again[1])
    assert all(not np.array_equal(again[0], other) for other in again[2:])
    assert not np.array_equal(again[3], again[4])


def test_the_speakers_cannot_be_solved_for() -> None:
    rng = np.random.default_rng(5)
    means, count = rng.normal(size=(200, 64)), 220
    drawn = drawn_cohort(means, np.arange(200), size=count, seed=0)
    # What somebody who guesses the seed would try: rows as mixtures of the means by the draws of that generator.
    weights = np.random.default_rng(0).normal(size=(count, 200)) / np.sqrt(199)
    mixing = np.ones((count, 200)) / 200 + weights @ (np.eye(200) - 1 / 200)
    guessed = np.linalg.lstsq(mixing, drawn, rcond=None)[0]
    cosines = (guessed * means).sum(axis=1) / np.linalg.norm(guessed, axis=1) / np.linalg.norm(means, axis=1)
    assert abs(np.median(cosines)) < 0.2


def test_few_speakers_do_not_span_the_rows() -> None:
    means = np.random.default_rng(6).normal(size=(10, 32))
    drawn = drawn_cohort(means, np.arange(10), size=200)
    assert np.linalg.matrix_rank(drawn - drawn.mean(axis=0)) == 32


def test_what_cannot_be_drawn_is_said() -> None:
    rows, labels = planted(3, 0, 0.0)
    with pytest.raises(ConfigError, match="2 rows"):
        drawn_cohort(rows, labels, size=1)
    with pytest.raises(DataError, match="one has 1"):
        drawn_cohort(rows, labels, size=10, groups=["a"] * 4 + ["b"] * 2)
