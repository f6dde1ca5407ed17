"""Adaptation of PLDA against a plain reading of Kaldi's steps, axis by axis with SciPy."""

import numpy as np
import pytest
from scipy.linalg import eigh

from voxid.errors import ConfigError, DataError, ModelError
from voxid.scoring.plda import Plda
from voxid.scoring.plda_adapt import adapt_plda
from voxid.scoring.two_covariance import TwoCovariance


def planted(seed=0, dim=4):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, dim, dim))
    mean, within, between = rng.normal(size=dim), first @ first.T + np.eye(dim), second @ second.T
    return mean, within, between, Plda.of(TwoCovariance.of(mean, within, between), "kaldi")


def kaldi(mean, within, between, rows, mean_diff_scale, within_scale, between_scale):
    """Each axis in which the rows vary more than the model says gives its excess to both covariances."""
    new = rows.mean(axis=0)
    covariance = np.zeros_like(within)
    for row in rows:
        covariance += np.outer(row - new, row - new) / len(rows)
    covariance += mean_diff_scale * np.outer(new - mean, new - mean)
    values, axes = eigh(covariance, within + between)  # axes' (W + B) axes = I
    back = np.linalg.inv(axes).T
    within, between = within.copy(), between.copy()
    for value, axis in zip(values, back.T, strict=True):
        if value > 1:
            within += within_scale * (value - 1) * np.outer(axis, axis)
            between += between_scale * (value - 1) * np.outer(axis, axis)
    return new, within, between


@pytest.mark.parametrize("scales", [(1.0, 0.75, 0.25), (1.0, 0.3, 0.7), (0.0, 0.5, 0.5)])
def test_the_parameters_are_those_of_the_plain_reading(scales):
    *model, scorer = planted()
    rows = np.random.default_rng(1).normal(size=(50, 4)) * [0.1, 2, 3, 6] + [1, 0, 0, 3]
    names = ("mean_diff_scale", "within_covar_scale", "between_covar_scale")
    adapted = adapt_plda(scorer, rows, **dict(zip(names, scales, strict=True)))
    mean, within, between = kaldi(*model, rows, *scales)
    np.testing.assert_allclose(adapted.model.mean, mean)
    np.testing.assert_allclose(adapted.model.within, within, atol=1e-9)
    np.testing.assert_allclose(adapted.model.between, between, atol=1e-9)
    assert adapted.length_norm == "kaldi"
    np.testing.assert_allclose(scorer.model.within, model[1], atol=1e-9)  # the old one stays


def test_the_shares_are_those_of_kaldis_recipes_when_nothing_is_said():
    *model, scorer = planted(2)
    rows = np.random.default_rng(3).normal(size=(40, 4)) * 5
    np.testing.assert_allclose(adapt_plda(scorer, rows).model.within, kaldi(*model, rows, 1.0, 0.75, 0.25)[1], atol=1e-9)


def test_rows_are_scaled_as_the_scorer_scales_them():
    scorer = Plda.of(planted()[3].model, "wespeaker")
    rows = np.random.default_rng(1).normal(size=(50, 4)) * [1, 2, 3, 6]
    scaled = rows * 2 / np.linalg.norm(rows, axis=1, keepdims=True)
    for name, array in adapt_plda(planted()[3], scaled).state().items():
        np.testing.assert_allclose(adapt_plda(scorer, 7 * rows).state()[name], array)


def test_rows_of_the_same_domain_change_almost_nothing():
    """The largest eigenvalue of a sample covariance of n rows is about (1 + sqrt(D / n))^2: that much excess is chance."""
    mean, within, between, scorer = planted(4)
    rows = np.random.default_rng(5).multivariate_normal(mean, within + between, 40_000)
    adapted = adapt_plda(scorer, rows).model
    chance = (1 + np.sqrt(4 / 40_000)) ** 2 - 1
    size = np.linalg.norm(within + between, 2)
    assert np.linalg.norm(adapted.within - within, 2) < 2 * chance * size
    assert np.linalg.norm(adapted.between - between, 2) < 2 * chance * size
    index = np.random.default_rng(6).integers(0, 1000, (2, 300))
    before, after = scorer.score_trials(rows, rows, *index), Plda.of(adapted, "kaldi").score_trials(rows, rows, *index)
    assert np.corrcoef(after, before)[0, 1] > 0.999


def test_rows_with_the_covariance_of_the_model_change_nothing():
    mean, within, between, scorer = planted(4)
    rows = np.random.default_rng(5).normal(size=(60, 4))
    white = (rows - rows.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(rows.T, bias=True))).T
    rows = mean + white @ np.linalg.cholesky(within + between).T
    adapted = adapt_plda(scorer, rows).model
    np.testing.assert_allclose(adapted.within, within, atol=1e-9)
    np.testing.assert_allclose(adapted.between, between, atol=1e-9)


def test_a_low_rank_stays_a_likelihood_ratio_of_two_covariances():
    *model, _ = planted(7)
    scorer = Plda.of(TwoCovariance.of(*model).truncated(1))
    adapted = adapt_plda(scorer, np.random.default_rng(8).normal(size=(30, 4)) * 9).model
    np.testing.assert_allclose(adapted.transform @ adapted.within @ adapted.transform.T, np.eye(4), atol=1e-9)
    assert (adapted.psi >= 0).all()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda scorer: adapt_plda(scorer, np.ones((9, 3))), DataError),
        (lambda scorer: adapt_plda(scorer, np.ones((1, 4))), DataError),
        (lambda scorer: adapt_plda(scorer, np.full((9, 4), np.nan)), DataError),
        (lambda scorer: adapt_plda(scorer, np.eye(4), within_covar_scale=-0.1), ConfigError),
        (lambda scorer: adapt_plda(scorer, np.eye(4), mean_diff_scale=np.nan), ConfigError),
        (lambda scorer: adapt_plda(scorer, np.eye(4), between_covar_scale=np.inf), ConfigError),
        (lambda scorer: adapt_plda(Plda(), np.eye(4)), ModelError),
    ],
)
def test_mistakes_are_typed_errors(call, error):
    with pytest.raises(error):
        call(planted()[3])
