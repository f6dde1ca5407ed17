"""LDA against scikit-learn, and where the within-speaker covariance cannot be inverted."""

import numpy as np
import pytest
from scipy.linalg import eigh, subspace_angles
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from voxid.errors import ConfigError, DataError
from voxid.scoring.lda import Lda


@pytest.mark.parametrize("dim", [1, 3, 11, None])
def test_same_subspace_as_scikit_learn(planted, dim):
    mine = Lda(dim, shrinkage=0.0).fit(planted.rows, planted.speakers)
    theirs = LinearDiscriminantAnalysis(solver="eigen", n_components=dim).fit(planted.rows, planted.speakers)
    kept = mine.matrix.shape[1]
    assert kept == (dim or 12)
    assert np.rad2deg(subspace_angles(mine.matrix, theirs.scalings_[:, :kept])).max() < 1e-4


def test_the_same_up_to_sign_and_scale_where_speakers_differ_in_number(planted):
    few = np.flatnonzero(np.random.default_rng(0).random(len(planted.rows)) < 0.5)
    rows, speakers = planted.rows[few], planted.speakers[few]
    mine = Lda(4, shrinkage=0.0).fit(rows, speakers).transform(planted.fresh)
    theirs = LinearDiscriminantAnalysis(solver="svd", n_components=4).fit(rows, speakers).transform(planted.fresh)
    for left, right in zip(mine.T, theirs.T, strict=True):
        assert abs(np.corrcoef(left, right)[0, 1]) == pytest.approx(1, abs=1e-9)


def test_directions_solve_the_eigenproblem_in_order(planted):
    lda = Lda(shrinkage=0.0).fit(planted.rows, planted.speakers)
    within = sum(np.cov(planted.rows[planted.speakers == name].T) for name in range(60)) / 60
    means = np.array([planted.rows[planted.speakers == name].mean(axis=0) for name in range(60)])
    between = np.cov(means.T, bias=True)
    np.testing.assert_allclose(lda.matrix.T @ within @ lda.matrix, np.eye(12), atol=1e-9)
    gained = np.diag(lda.matrix.T @ between @ lda.matrix)
    np.testing.assert_allclose(gained, eigh(between, within, eigvals_only=True)[::-1], rtol=1e-9)


def test_the_mean_goes_to_zero(planted):
    lda = Lda(3).fit(planted.rows, planted.speakers)
    np.testing.assert_allclose(lda.transform(planted.rows).mean(axis=0), 0, atol=1e-9)


def test_no_more_directions_than_speakers_less_one_or_dimensions(planted):
    three = planted.speakers < 3
    assert Lda(99).fit(planted.rows[three], planted.speakers[three]).transform(planted.rows).shape[1] == 2
    assert Lda(99).fit(planted.rows, planted.speakers).transform(planted.rows).shape[1] == 12


def test_a_dimension_that_is_a_copy_changes_little(planted):
    """The covariance is singular, its plain inverse does not exist: a little of a sphere comes in."""
    double = np.hstack([planted.rows, planted.rows[:, :1]])
    alone = Lda(5, shrinkage=0.0).fit(planted.rows, planted.speakers).transform(planted.rows)
    both = Lda(5).fit(double, planted.speakers).transform(double)
    assert 1e-6 < np.rad2deg(subspace_angles(alone, both).max()) < 5
    with pytest.raises(DataError, match="shrinkage") as caught:
        Lda(5, shrinkage=0.0).fit(double, planted.speakers)
    assert caught.value.code == "E_SPEAKERS"


def test_speakers_with_one_recording_count_between_speakers(planted):
    rng = np.random.default_rng(0)
    alone = rng.normal(size=(200, 12)) * ([0] * 11 + [50])  # they differ in the last axis, and tell nothing of the noise
    rows = np.vstack([planted.rows, alone])
    lda = Lda(1).fit(rows, np.concatenate([planted.speakers, 1000 + np.arange(200)]))
    direction = np.abs(lda.matrix[:, 0])
    assert direction.argmax() == 11


def test_fewer_recordings_than_dimensions_still_tell_speakers_apart():
    rng = np.random.default_rng(0)
    axis, speakers = rng.normal(size=100), np.repeat(np.arange(10), 3)
    voices = rng.normal(size=10)
    rows = voices[speakers][:, None] * axis + rng.normal(size=(30, 100)) * 0.3
    made = Lda(1).fit(rows, speakers).transform(voices[:, None] * axis + rng.normal(size=(10, 100)) * 0.3)[:, 0]
    assert abs(np.corrcoef(made, voices)[0, 1]) > 0.9


@pytest.mark.parametrize("options", [{"dim": 0}, {"dim": -1}, {"shrinkage": -0.1}, {"shrinkage": 1.5}])
def test_options_that_make_no_sense(options):
    with pytest.raises(ConfigError):
        Lda(**options)


@pytest.mark.parametrize("speakers", [[0, 0, 0], [0, 1, 2]], ids=["one speaker", "one recording each"])
def test_speakers_that_say_nothing(speakers):
    with pytest.raises(DataError) as caught:
        Lda().fit(np.random.default_rng(0).normal(size=(3, 2)), speakers)
    assert caught.value.code == "E_SPEAKERS"
