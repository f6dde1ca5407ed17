"""WCCN against the formula."""

import numpy as np
import pytest

from voxid.errors import DataError
from voxid.scoring.wccn import Wccn


def within(rows, speakers):
    covariances = [np.cov(rows[speakers == name].T, bias=True) * np.sum(speakers == name) for name in np.unique(speakers)]
    return sum(covariances) / (len(rows) - len(covariances))


def test_the_matrix_is_the_cholesky_factor_of_the_inverse(planted):
    few = np.flatnonzero(np.random.default_rng(0).random(len(planted.rows)) < 0.6)
    rows, speakers = planted.rows[few], planted.speakers[few]
    expected = np.linalg.cholesky(np.linalg.inv(within(rows, speakers)))
    np.testing.assert_allclose(Wccn(shrinkage=0.0).fit(rows, speakers).matrix, expected, rtol=1e-9, atol=1e-9)


def test_afterwards_a_speaker_varies_alike_in_all_directions(planted):
    made = Wccn().fit(planted.rows, planted.speakers).transform(planted.rows)
    np.testing.assert_allclose(within(made, planted.speakers), np.eye(12), atol=1e-9)


def test_zero_stays_zero(planted):
    assert not Wccn().fit(planted.rows, planted.speakers).transform(np.zeros((1, 12))).any()


def test_full_shrinkage_only_scales(planted):
    matrix = Wccn(shrinkage=0.999999).fit(planted.rows, planted.speakers).matrix
    np.testing.assert_allclose(matrix / matrix[0, 0], np.eye(12), atol=1e-4)


def test_directions_without_any_variance_do_not_drown_the_others(planted):
    """As behind NAP: what lies in them is nothing but rounding."""
    flat = planted.rows * ([1] * 10 + [0, 0])
    fresh = planted.fresh * ([1] * 10 + [0, 0]) + 1e-12
    wccn = Wccn().fit(flat, planted.speakers)
    np.testing.assert_allclose(wccn.transform(fresh), wccn.transform(fresh * ([1] * 10 + [0, 0])), atol=1e-9)
    with pytest.raises(DataError, match="shrinkage") as caught:
        Wccn(shrinkage=0.0).fit(flat, planted.speakers)
    assert caught.value.code == "E_SPEAKERS"
