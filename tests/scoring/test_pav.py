"""Pool adjacent violators against scikit-learn's isotonic regression, over random trials with many ties."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from voxid.errors import DataError, ModelError
from voxid.scoring.pav import MAX_BLOCKS, PavCalibration, fit_pav, pav

trial_lists = st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=2, max_size=60).filter(
    lambda trials: len({label for _, label in trials}) == 2
)


def unzip(trials):
    scores, labels = zip(*trials, strict=True)
    return np.array(scores) / 4, np.array(labels)


def gaussian_trials(num_targets, num_nontargets, seed=0):
    random = np.random.default_rng(seed)
    scores = np.concatenate([random.normal(2, 1, num_targets), random.normal(0, 1, num_nontargets)])
    return scores, np.arange(scores.size) < num_targets


def rates_of(blocks, scores):
    block = np.searchsorted(blocks.high, scores)
    return (blocks.targets / (blocks.targets + blocks.nontargets))[block]


@settings(deadline=None)
@given(trial_lists)
def test_rates_are_those_of_scikit_learn(trials):
    scores, labels = unzip(trials)
    expected = IsotonicRegression().fit_transform(scores, labels.astype(float))
    np.testing.assert_allclose(rates_of(pav(scores, labels), scores), expected, atol=1e-12)


@settings(deadline=None)
@given(trial_lists)
def test_blocks_rise_and_hold_every_trial(trials):
    scores, labels = unzip(trials)
    blocks = pav(scores, labels)
    assert (blocks.low <= blocks.high).all()
    assert (blocks.high[:-1] < blocks.low[1:]).all()
    assert (np.diff(blocks.llr()) > 0).all()
    assert (blocks.targets.sum(), blocks.nontargets.sum()) == (labels.sum(), (~labels).sum())


def test_a_large_list_matches_scikit_learn_too():
    scores, labels = gaussian_trials(4000, 60_000)
    scores = scores.astype(np.float32)
    expected = IsotonicRegression().fit_transform(scores, labels.astype(float))
    np.testing.assert_allclose(rates_of(pav(scores, labels), scores), expected, atol=1e-6)


def test_infinite_scores_are_the_ends():
    blocks = pav([-np.inf, 0.0, 1.0, np.inf], [0, 1, 0, 1])
    assert blocks.low.tolist() == [-np.inf, 0.0, np.inf]
    assert blocks.llr().tolist() == [-np.inf, 0.0, np.inf]


@pytest.mark.parametrize(
    ("scores", "labels", "code"),
    [
        ([0.1, np.nan], [0, 1], "E_SCORES"),
        ([0.1, 0.2], [1, 1], "E_ONE_CLASS"),
        ([0.1, 0.2], [0, 2], "E_LABELS"),
        ([0.1, 0.2], [0, 1, 1], "E_SHAPE"),
        ([[0.1], [0.2]], [0, 1], "E_SHAPE"),
        ([], [], "E_ONE_CLASS"),
        (["a", "b"], [0, 1], "E_SHAPE"),
    ],
)
def test_what_is_no_list_of_trials_is_refused(scores, labels, code):
    with pytest.raises(DataError) as caught:
        pav(scores, labels)
    assert caught.value.code == code


def slow_laplace(scores, labels):
    """Log-likelihood ratios of the trials by scikit-learn, with a target and a non-target far below and far above them."""
    far = 1e6
    values = np.concatenate([[-far, -far], scores, [far, far]])
    marks = np.concatenate([[1, 0], labels, [1, 0]]).astype(float)
    rate = IsotonicRegression().fit_transform(values, marks)[2:-2]
    return np.log(rate / (1 - rate)) - math.log(marks.sum() / (1 - marks).sum())


@settings(deadline=None)
@given(trial_lists)
def test_ratios_are_those_of_laplace_and_finite(trials):
    scores, labels = unzip(trials)
    found = fit_pav(scores, labels).llr(scores)
    np.testing.assert_allclose(found, slow_laplace(scores, labels), atol=1e-9)


@settings(deadline=None)
@given(trial_lists, st.floats(-3, 3), st.floats(-3, 3))
def test_the_map_rises_between_and_beyond_the_knots(trials, one, other):
    calibration = fit_pav(*unzip(trials))
    low, high = calibration.llr(sorted([one, other]))
    assert low <= high + 1e-12
    assert calibration.llr([-100.0, 100.0]).tolist() == [calibration.llrs[0], calibration.llrs[-1]]


def test_scores_that_say_nothing_have_a_ratio_near_zero():
    llr = fit_pav(np.zeros(50), np.arange(50) < 7).llr([-1.0, 0.0, 1.0])
    assert llr == pytest.approx([math.log(8 / 9) - math.log(44 / 45)] * 3)  # all but the pair that was added above


def test_classes_without_an_overlap_get_no_more_than_their_number_supports():
    llr = fit_pav([1, 2, 3, 4], [0, 0, 1, 1]).llr([1, 4])
    assert llr == pytest.approx([-math.log(3), math.log(3)])  # 1 of 4 targets and 3 of 4 non-targets below, with those added


def test_a_planted_relation_is_found_again():
    scores, labels = gaussian_trials(100_000, 100_000)
    at = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
    assert fit_pav(scores, labels).llr(at) == pytest.approx(2 * at - 2, abs=0.15)


def test_a_card_keeps_it_and_stays_small():
    random = np.random.default_rng(0)
    scores = np.sort(random.random(400_000))
    labels = random.random(400_000) < scores
    assert len(pav(scores, labels).low) > MAX_BLOCKS
    calibration = fit_pav(scores, labels, source="planted")
    assert len(calibration.scores) <= 2 * MAX_BLOCKS
    again = PavCalibration.from_card(json.loads(json.dumps(calibration.to_card())))
    assert again == calibration
    inside = np.linspace(0.05, 0.95, 50)
    assert again.llr(inside) == pytest.approx(np.log(inside / (1 - inside)), abs=0.3)
    span = calibration.llrs[-1] - calibration.llrs[0]
    assert np.abs(again.llr(scores) - slow_laplace(scores, labels)).max() <= span / MAX_BLOCKS + 1e-9


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "logistic"},
        {"scores": [0.0]},
        {"llrs": [1.0, 0.0]},
        {"llrs": [0.0, math.nan]},
        {"scores": "ab"},
        {"scores": None},
    ],
)
def test_a_damaged_card_is_refused(change):
    with pytest.raises(ModelError) as caught:
        PavCalibration.from_card({"kind": "pav", "scores": [0.0, 1.0], "llrs": [-1.0, 1.0]} | change)
    assert caught.value.code == "E_FORMAT"
