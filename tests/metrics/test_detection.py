"""Error rates against scikit-learn, SciPy and a slow exact loop, over random trials with many ties."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import det_curve as sklearn_det_curve
from sklearn.metrics import roc_curve

from voxid.errors import ConfigError, DataError
from voxid.metrics import detection

# Few distinct scores: most examples have ties within and between the classes.
trial_lists = st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda trials: len({label for _, label in trials}) == 2
)


def unzip(trials):
    scores, labels = zip(*trials, strict=True)
    return np.array(scores) / 4, np.array(labels)


def slow_points(scores, labels):
    """(FRR, FAR) as fractions at every distinct threshold and above all of them, straight from the definition."""
    targets = [s for s, label in zip(scores, labels, strict=True) if label]
    nontargets = [s for s, label in zip(scores, labels, strict=True) if not label]
    points = []
    for threshold in [*sorted(set(scores)), math.inf]:
        frr = Fraction(sum(s < threshold for s in targets), len(targets))
        far = Fraction(sum(s >= threshold for s in nontargets), len(nontargets))
        points.append((threshold, frr, far))
    return points


def slow_eer(scores, labels):
    points = slow_points(scores, labels)
    for (_, frr, far), (_, next_frr, next_far) in pairwise(points):
        if next_frr >= next_far:
            share = (far - frr) / ((far - frr) + (next_frr - next_far))
            return frr + share * (next_frr - frr)
    raise AssertionError("the last point rejects all")


def gaussian_trials(num_targets, num_nontargets, seed=0):
    random = np.random.default_rng(seed)
    scores = np.concatenate([random.normal(1.5, 1.2, num_targets), random.normal(0, 1, num_nontargets)])
    labels = np.arange(scores.size) < num_targets
    order = random.permutation(scores.size)
    return scores[order], labels[order]


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([2, 1], [1, 0], 0.0),
        ([1, 2], [1, 0], 1.0),
        ([1, 1], [1, 0], 0.5),
        ([3, 2, 1, 0], [1, 0, 1, 0], 0.5),
        ([4, 3, 2, 1, 0], [1, 1, 0, 1, 0], 1 / 3),  # level stretch of the ROC: FRR stands at 1/3 while FAR falls through it
        ([4, 3, 2, 1, 0], [1, 0, 1, 0, 0], 1 / 3),  # upright stretch: FAR stands at 1/3 while FRR rises through it
        ([3, 2, 2, 1], [1, 1, 0, 0], 1 / 4),  # tie: the line from (FAR 1/2, FRR 0) to (0, 1/2) meets the diagonal at 1/4
    ],
)
def test_eer_by_hand(scores, labels, expected):
    assert detection.eer(scores, labels) == pytest.approx(expected, abs=1e-15)


@given(trial_lists)
def test_eer_is_that_of_the_definition(trials):
    scores, labels = unzip(trials)
    assert detection.eer(scores, labels) == pytest.approx(float(slow_eer(scores, labels)), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_eer_matches_scikit_learn(seed):
    scores, labels = gaussian_trials(700, 3100, seed)
    scores = np.round(scores, 2) if seed % 2 else scores
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    expected = brentq(lambda x: 1 - x - interp1d(fpr, tpr)(x), 0, 1, xtol=1e-12)
    # On an upright stretch of the ROC the interpolation over FAR may pick either end of it: one target of 700.
    assert detection.eer(scores, labels) == pytest.approx(expected, abs=1 / 700)
    fpr, fnr, _ = sklearn_det_curve(labels, scores)
    nearest = np.argmin(np.abs(fpr - fnr))
    assert detection.eer(scores, labels) == pytest.approx((fpr[nearest] + fnr[nearest]) / 2, abs=1 / 700)


def test_eer_of_two_gaussians_is_the_one_of_the_formula():
    random = np.random.default_rng(3)
    scores = np.concatenate([random.normal(2, 1, 200_000), random.normal(0, 1, 200_000)])
    assert detection.eer(scores, np.arange(400_000) < 200_000) == pytest.approx(0.5 * math.erfc(1 / math.sqrt(2)), abs=2e-3)


@given(trial_lists)
def test_eer_keeps_its_value_when_scores_are_stretched_or_classes_swapped(trials):
    scores, labels = unzip(trials)
    expected = detection.eer(scores, labels)
    assert detection.eer(np.exp(scores) * 3 + 7, labels) == pytest.approx(expected, abs=1e-12)
    assert detection.eer(-scores, ~labels) == pytest.approx(expected, abs=1e-12)


@given(trial_lists, st.sampled_from([0.001, 0.01, 0.5, 0.9]), st.sampled_from([1, 10]))
def test_min_dcf_is_that_of_the_definition(trials, p_target, c_miss):
    scores, labels = unzip(trials)
    costs = [c_miss * p_target * frr + (1 - p_target) * far for _, frr, far in slow_points(scores, labels)]
    expected = min(costs) / min(c_miss * p_target, 1 - p_target)
    assert detection.min_dcf(scores, labels, p_target, c_miss) == pytest.approx(float(expected), abs=1e-12)


def test_min_dcf_matches_scikit_learn():
    scores, labels = gaussian_trials(300, 20_000)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert detection.min_dcf(scores, labels) == pytest.approx(np.min(0.01 * (1 - tpr) + 0.99 * fpr) / 0.01, abs=1e-12)


def test_min_dcf_never_exceeds_that_of_no_system():
    assert detection.min_dcf([0, 0, 1, 1], [1, 1, 0, 0]) == 1.0


@given(trial_lists)
def test_det_curve_is_that_of_the_definition(trials):
    scores, labels = unzip(trials)
    fnr, fpr, thresholds = detection.det_curve(scores, labels)
    slow = slow_points(scores, labels)
    np.testing.assert_array_equal(thresholds, [point[0] for point in slow])
    np.testing.assert_allclose(fnr, [float(point[1]) for point in slow], atol=1e-12)
    np.testing.assert_allclose(fpr, [float(point[2]) for point in slow], atol=1e-12)


@given(trial_lists, st.sampled_from([0.0, 0.01, 0.07, 0.1, 0.29, 0.3, 1 / 3, 0.5, 0.999, 1.0]), st.sampled_from(["f4", "f8"]))
def test_threshold_at_far_is_the_smallest(trials, far, dtype):
    scores, labels = unzip(trials)
    scores = scores.astype(dtype)
    threshold = detection.threshold_at_far(scores, labels, far)
    assert np.mean(scores[~labels] >= np.float64(threshold)) <= far
    assert detection.far_frr_at(scores, labels, threshold)[0] <= far
    if threshold > -math.inf:
        below = float(np.nextafter(np.array(threshold, dtype), np.array(-np.inf, dtype)))
        assert np.mean(scores[~labels] >= np.float64(below)) > far


@pytest.mark.parametrize("count", [100, 1000])
def test_threshold_at_far_allows_the_very_share(count):
    """k / n is not always a double below the true fraction: 0.29 * 100 is 28.999999999999996."""
    scores, labels = np.arange(count + 1.0), np.arange(count + 1) == count
    for accepts in range(count):
        threshold = detection.threshold_at_far(scores, labels, accepts / count)
        assert np.sum(scores[:count] >= threshold) == accepts


@given(trial_lists, st.integers(-7, 7))
def test_far_frr_at_is_that_of_the_definition(trials, quarter):
    scores, labels = unzip(trials)
    far, frr = detection.far_frr_at(scores, labels, quarter / 4)
    assert far == pytest.approx(sum(s >= quarter / 4 for s in scores[~labels]) / sum(~labels))
    assert frr == pytest.approx(sum(s < quarter / 4 for s in scores[labels]) / sum(labels))


def test_far_frr_at_keeps_a_double_threshold_apart_from_a_float32_score():
    score = np.float32(0.1)
    above = float(score) + 1e-12
    assert detection.far_frr_at(np.array([score, score]), [1, 0], above) == (0.0, 1.0)


def test_act_dcf_of_good_llrs_is_near_the_minimum_and_of_shifted_ones_far_off():
    random = np.random.default_rng(1)
    raw = np.concatenate([random.normal(4, 1, 20_000), random.normal(0, 1, 200_000)])
    labels = np.arange(raw.size) < 20_000
    llr = 4 * raw - 8  # log N(x; 4, 1) - log N(x; 0, 1)
    minimum = detection.min_dcf(llr, labels)
    assert minimum <= detection.act_dcf(llr, labels) < minimum + 0.01
    assert detection.act_dcf(llr + 6, labels) > minimum + 0.1


@given(trial_lists)
def test_act_dcf_is_never_below_the_minimum(trials):
    scores, labels = unzip(trials)
    assert detection.act_dcf(scores, labels, 0.3, 2, 5) >= detection.min_dcf(scores, labels, 0.3, 2, 5) - 1e-12


FUNCTIONS = [
    detection.eer,
    detection.min_dcf,
    detection.act_dcf,
    detection.det_curve,
    lambda s, y: detection.threshold_at_far(s, y, 0.1),
    lambda s, y: detection.far_frr_at(s, y, 0.1),
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("scores", "labels", "code"),
    [
        ([1.0, 2.0], [1, 1], "E_ONE_CLASS"),
        ([1.0, 2.0], [0, 0], "E_ONE_CLASS"),
        ([], [], "E_ONE_CLASS"),
        ([1.0, math.nan], [1, 0], "E_SCORES"),
        ([1.0, math.inf], [1, 0], "E_SCORES"),
        (["1", "2"], [1, 0], "E_SCORES"),
        ([1j, 2], [1, 0], "E_SCORES"),
        ([1.0, 2.0], [1, 2], "E_LABELS"),
        ([1.0, 2.0], [1, -1], "E_LABELS"),
        ([1.0, 2.0], ["target", "nontarget"], "E_LABELS"),
        ([1.0, 2.0], [1, math.nan], "E_LABELS"),
        ([1.0, 2.0, 3.0], [1, 0], "E_SHAPE"),
        ([[1.0], [2.0]], [[1], [0]], "E_SHAPE"),
        ([[1.0], [2.0, 3.0]], [1, 0], "E_SHAPE"),
        (1.0, True, "E_SHAPE"),
    ],
)
def test_bad_trials_are_a_typed_error(function, scores, labels, code):
    with pytest.raises(DataError) as caught:
        function(scores, labels)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "call",
    [
        lambda: detection.min_dcf([1, 0], [1, 0], p_target=0),
        lambda: detection.min_dcf([1, 0], [1, 0], p_target=1),
        lambda: detection.min_dcf([1, 0], [1, 0], c_fa=0),
        lambda: detection.act_dcf([1, 0], [1, 0], c_miss=math.nan),
        lambda: detection.threshold_at_far([1, 0], [1, 0], 1.5),
        lambda: detection.threshold_at_far([1, 0], [1, 0], math.nan),
        lambda: detection.far_frr_at([1, 0], [1, 0], math.nan),
    ],
)
def test_bad_options_are_a_typed_error(call):
    with pytest.raises(ConfigError):
        call()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u1", "bool"])
def test_every_kind_of_number_is_taken(dtype):
    scores = np.array([1, 1, 0, 0]).astype(dtype)
    assert detection.eer(scores, [1, 1, 0, 0]) == 0.0
    assert detection.eer(scores, np.array([1.0, 0.0, 1.0, 0.0])) == 0.5


def test_inputs_are_left_alone():
    scores, labels = np.array([3.0, 1.0, 2.0]), np.array([True, False, True])
    detection.eer(scores, labels)
    detection.min_dcf(scores, labels)
    assert scores.tolist() == [3.0, 1.0, 2.0]
