"""Rows of length 1."""

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from voxid.scoring.length_norm import LengthNorm


def test_it_is_that_of_scikit_learn(planted):
    np.testing.assert_allclose(LengthNorm().transform(planted.fresh), normalize(planted.fresh), rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_extreme_lengths_neither_overflow_nor_vanish(scale):
    np.testing.assert_allclose(LengthNorm().transform(np.array([[3.0, 4.0]]) * scale), [[0.6, 0.8]], rtol=1e-12)


def test_zero_rows_stay_zero():
    assert LengthNorm().transform([[0.0, 0.0]]).tolist() == [[0.0, 0.0]]
