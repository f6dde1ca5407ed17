"""Cllr and its minimum against slow loops straight from the definition, and against known Gaussian cases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from voxid.errors import DataError
from voxid.metrics.calibration import calibration_loss, cllr, min_cllr

trial_lists = st.lists(
    st.tuples(st.integers(-8, 8) | st.integers(-30_000, 30_000).map(lambda n: n / 1000), st.booleans()), min_size=2, max_size=60
).filter(lambda trials: len({label for _, label in trials}) == 2)


def unzip(trials):
    scores, labels = zip(*trials, strict=True)
    return np.array(scores, dtype=float), np.array(labels)


def slow_cllr(llr, labels):
    targets = [x for x, label in zip(llr, labels, strict=True) if label]
    others = [x for x, label in zip(llr, labels, strict=True) if not label]
    miss = math.fsum(math.log2(1 + math.exp(-x)) for x in targets) / len(targets)
    return (miss + math.fsum(math.log2(1 + math.exp(x)) for x in others) / len(others)) / 2


def slow_min_cllr(scores, labels):
    rate = IsotonicRegression().fit_transform(scores, labels.astype(float))
    prior = labels.mean()
    with np.errstate(divide="ignore"):
        odds = rate / (1 - rate) * (1 - prior) / prior
        return (np.log2(1 + 1 / odds[labels]).mean() + np.log2(1 + odds[~labels]).mean()) / 2


@settings(deadline=None)
@given(trial_lists)
def test_cllr_is_that_of_the_definition(trials):
    llr, labels = unzip(trials)
    assert cllr(llr, labels) == pytest.approx(slow_cllr(llr, labels), rel=1e-12, abs=1e-12)


@settings(deadline=None)
@given(trial_lists)
def test_min_cllr_is_that_of_scikit_learns_isotonic_regression(trials):
    scores, labels = unzip(trials)
    assert min_cllr(scores, labels) == pytest.approx(slow_min_cllr(scores, labels), abs=1e-9)


@settings(deadline=None)
@given(trial_lists)
def test_the_minimum_is_one(trials):
    llr, labels = unzip(trials)
    least = min_cllr(llr, labels)
    assert -1e-12 <= least <= 1 + 1e-12
    assert least <= cllr(llr, labels) + 1e-12
    assert calibration_loss(llr, labels) == cllr(llr, labels) - least


@settings(deadline=None)
@given(trial_lists)
def test_the_minimum_hears_the_order_only(trials):
    scores, labels = unzip(trials)
    _, ranks = np.unique(scores, return_inverse=True)
    assert min_cllr(ranks, labels) == pytest.approx(min_cllr(scores, labels), abs=1e-12)
    assert min_cllr(np.exp(ranks / 8) - 100, labels) == pytest.approx(min_cllr(scores, labels), abs=1e-12)


@pytest.mark.parametrize("distance", [1.0, 2.0, 4.0])
def test_gaussian_ratios_cost_what_the_integral_says(distance):
    """Targets N(d/2, d), non-targets N(-d/2, d): the score is its own log-likelihood ratio."""
    random = np.random.default_rng(0)
    spread, count = math.sqrt(distance), 200_000
    llr = np.concatenate([random.normal(distance / 2, spread, count), random.normal(-distance / 2, spread, count)])
    labels = np.arange(2 * count) < count
    expected = quad(lambda x: norm.pdf(x, distance / 2, spread) * np.log2(1 + np.exp(-x)), -40, 40)[0]
    assert cllr(llr, labels) == pytest.approx(expected, abs=0.005)
    assert calibration_loss(llr, labels) == pytest.approx(0, abs=0.002)
    assert calibration_loss(llr + 1, labels) > 0.01
    assert calibration_loss(llr * 3, labels) > 0.01


def test_infinite_ratios_cost_nothing_where_right_and_everything_where_wrong():
    assert cllr([math.inf, -math.inf], [1, 0]) == 0.0
    assert cllr([math.inf, 0.0, -math.inf], [1, 1, 0]) == pytest.approx(0.25)
    assert cllr([-math.inf, 2.0, -2.0], [1, 1, 0]) == math.inf
    assert calibration_loss([math.inf, 0.0, 1.0], [0, 1, 0]) == math.inf
    assert min_cllr([math.inf, -math.inf], [0, 1]) == 1.0


def test_very_large_ratios_do_not_overflow():
    assert cllr([-1e4, 5.0], [1, 0]) == pytest.approx((1e4 + math.log1p(math.exp(5))) / math.log(2) / 2)


@pytest.mark.parametrize("measure", [cllr, min_cllr, calibration_loss])
@pytest.mark.parametrize(
    ("scores", "labels", "code"),
    [
        ([0.0, math.nan], [1, 0], "E_SCORES"),
        ([0.0, 1.0], [1, 1], "E_ONE_CLASS"),
        ([0.0, 1.0], [0.5, 1], "E_LABELS"),
        ([0.0, 1.0], [1], "E_SHAPE"),
        ([[0.0, 1.0]], [[1, 0]], "E_SHAPE"),
        ([], [], "E_ONE_CLASS"),
    ],
)
def test_what_is_no_list_of_trials_is_refused(measure, scores, labels, code):
    with pytest.raises(DataError) as caught:
        measure(scores, labels)
    assert caught.value.code == code
