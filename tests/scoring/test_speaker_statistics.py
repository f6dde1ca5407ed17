"""Statistics of labelled rows against plain loops and SciPy; the stated rule for what is singular."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxid.errors import ConfigError
from voxid.scoring.plda import Plda
from voxid.scoring.speaker_statistics import check_shrinkage, class_sums, speaker_statistics


def test_statistics_match_a_loop():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(90, 3)) + 50, rng.integers(0, 12, 90)
    found = speaker_statistics(rows, labels)
    scatter = np.zeros((3, 3))
    for place, label in enumerate(sorted(set(labels))):
        own = rows[labels == label]
        np.testing.assert_allclose(found.means[place], own.mean(axis=0))
        assert found.counts[place] == len(own)
        scatter += np.cov(own.T, bias=True) * len(own) if len(own) > 1 else 0
    np.testing.assert_allclose(found.scatter, scatter)
    assert (found.degrees, found.prior) == (90 - len(found.counts), 0)


@given(st.integers(1, 9), st.integers(0, 40), st.integers(0, 1000))
def test_sums_of_classes_match_a_loop(classes, more, seed):
    rng = np.random.default_rng(seed)
    codes = rng.permutation([*range(classes), *rng.integers(0, classes, more)])
    rows = rng.normal(size=(len(codes), 2))
    expected = [rows[codes == code].sum(axis=0) for code in range(classes)]
    np.testing.assert_allclose(class_sums(rows, codes), expected, atol=1e-12)


def test_a_singular_covariance_gets_as_many_rows_of_a_sphere_as_it_has_dimensions():
    rng = np.random.default_rng(1)
    rows, labels = rng.normal(size=(20, 50)), np.repeat(np.arange(10), 2)
    pooled = sum(np.cov(rows[labels == label].T) for label in range(10)) / 10
    sphere = np.trace(pooled) / 50 * np.eye(50)
    expected = (10 * pooled + 50 * sphere) / 60
    np.testing.assert_allclose(speaker_statistics(rows, labels).within, expected, atol=1e-12)
    np.testing.assert_allclose(Plda(method="moments").fit(rows, labels).model.within, expected, atol=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9])
def test_shrinkage_is_the_share_of_the_sphere(share):
    rng = np.random.default_rng(2)
    rows, labels = rng.normal(size=(60, 4)) * [1, 2, 3, 4], np.repeat(np.arange(20), 3)
    plain = speaker_statistics(rows, labels).within
    expected = (1 - share) * plain + share * np.trace(plain) / 4 * np.eye(4)
    np.testing.assert_allclose(speaker_statistics(rows, labels, share).within, expected)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_shares_outside_their_range_are_refused(share):
    with pytest.raises(ConfigError):
        check_shrinkage(share)
