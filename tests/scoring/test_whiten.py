"""Whitening against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from voxid.errors import ConfigError
from voxid.scoring.whiten import Whiten


@pytest.mark.parametrize("dim", [1, 5, 12, None])
def test_it_is_that_of_scikit_learn_up_to_sign(planted, dim):
    mine = Whiten(dim).fit(planted.rows).transform(planted.fresh)
    theirs = PCA(n_components=dim, whiten=True).fit(planted.rows).transform(planted.fresh)
    np.testing.assert_allclose(np.abs(mine), np.abs(theirs), rtol=1e-7, atol=1e-9)


def test_components_without_variance_are_left_out(planted):
    flat = planted.rows * ([1] * 9 + [0] * 3)
    assert Whiten().fit(flat).transform(flat).shape[1] == 9
    assert Whiten(99).fit(planted.rows).transform(planted.rows).shape[1] == 12


def test_no_dimensions_make_no_sense():
    with pytest.raises(ConfigError):
        Whiten(0)
