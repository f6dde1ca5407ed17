"""Error rates against scikit-learn, SciPy and a slow exact loop, over random trials with many ties."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.spatial import ConvexHull
from sklearn import config_context
from sklearn.metrics import det_curve as sklearn_det_curve
from sklearn.metrics import roc_curve

from voxid.errors import ConfigError, DataError
from voxid.metrics import detection

pytestmark = pytest.mark.filterwarnings("error")
POINTS = (0.01, (0.001, 1, 1), (0.5, 10, 1), (0.9, 1, 100))
# Few distinct scores: most examples have ties within and between the classes.
trial_lists = st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda trials: len({label for _, label in trials}) == 2
)


def unzip(trials):
    scores, labels = zip(*trials, strict=True)
    return np.array(scores) / 4, np.array(labels)


def slow_eer(rows):
    """Where the line from one operating point to the next meets FAR = FRR, as a fraction."""
    points = [(Fraction(misses, rows[-1][1]), Fraction(accepts, rows[0][2])) for _, misses, accepts in rows]
    for (frr, far), (next_frr, next_far) in pairwise(points):
        if next_frr >= next_far:
            return frr + (far - frr) / ((far - frr) + (next_frr - next_far)) * (next_frr - frr)
    raise AssertionError("the last point rejects all")


def slow_hull_eer(frr, far):
    """The lowest crossing that any operating point with FRR <= FAR, mixed with any with FRR >= FAR, has with FAR = FRR."""
    before, after = np.flatnonzero(frr <= far)[:, None], np.flatnonzero(frr >= far)[None]
    gap, rest = far[before] - frr[before], frr[after] - far[after]
    share = np.where(gap + rest > 0, gap / np.where(gap + rest > 0, gap + rest, 1), 0)
    return (frr[before] + share * (frr[after] - frr[before])).min()


def check_against_the_definition(scores, labels, rows):
    """All rates at once, from the counts of a slow loop."""
    thresholds, misses, accepts = (np.array(column) for column in zip(*rows, strict=True))
    frr, far = misses / misses[-1], accepts / accepts[0]
    result = detection.detection(scores, labels, POINTS)
    assert (result.num_targets, result.num_nontargets) == (misses[-1], accepts[0])
    assert result.eer == detection.eer(scores, labels) == pytest.approx(float(slow_eer(rows)), abs=1e-14)
    assert result.eer_hull == detection.eer(scores, labels, convention="hull") <= min(result.eer + 1e-15, 0.5)
    assert result.eer_hull == pytest.approx(slow_hull_eer(frr, far), abs=1e-14)
    assert result.min_dcf == detection.min_dcfs(scores, labels, POINTS)
    for point, lowest, actual in zip(POINTS, result.min_dcf, detection.act_dcfs(scores, labels, POINTS), strict=True):
        p_target, c_miss, c_fa = point if isinstance(point, tuple) else (point, 1, 1)
        costs = (c_miss * p_target * frr + c_fa * (1 - p_target) * far) / min(c_miss * p_target, c_fa * (1 - p_target))
        assert lowest == detection.min_dcf(scores, labels, p_target, c_miss, c_fa) == pytest.approx(costs.min(), abs=1e-13)
        bayes = np.argmax(thresholds >= math.log(c_fa * (1 - p_target) / (c_miss * p_target)))
        assert actual == detection.act_dcf(scores, labels, p_target, c_miss, c_fa) == pytest.approx(costs[bayes], abs=1e-13)
        assert actual >= lowest - 1e-15


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_rates_are_those_of_the_definition(trial_sets, slow_counts, data):
    scores, labels = data.draw(trial_sets)
    check_against_the_definition(scores, labels, slow_counts(scores, labels))


@pytest.mark.slow
@settings(deadline=None, max_examples=10_000)
@given(data=st.data())
def test_rates_are_those_of_the_definition_and_of_scikit_learn_10_000_times(trial_sets, slow_counts, data):
    scores, labels = data.draw(trial_sets)
    check_against_the_definition(scores, labels, slow_counts(scores, labels))
    with config_context(assume_finite=True, skip_parameter_validation=True):
        fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    expected = [np.min(p * (1 - tpr) + (1 - p) * fpr) / min(p, 1 - p) for p in (0.01, 0.5)]
    assert detection.min_dcfs(scores, labels, [0.01, 0.5]) == pytest.approx(expected, abs=1e-12)
    assert detection.eer(scores, labels, convention="hull") == pytest.approx(scipy_hull_eer(fpr, tpr), abs=1e-12)


def scipy_hull_eer(fpr, tpr):
    """Where the diagonal FAR = FRR enters the convex hull of the operating points, by the half-planes of Qhull."""
    # The corner (1, 0), which no system needs, makes the hull an area where the ROC is a line.
    points = np.column_stack([np.append(fpr, 1.0), np.append(1 - tpr, 1.0)])
    # a * x + b * y + c <= 0 inside, and the diagonal is (t, t) for rising t: it enters through the latest plane that faces it.
    equations = ConvexHull(points).equations
    slope = equations[:, 0] + equations[:, 1]
    facing = slope < -1e-12
    return (-equations[facing, 2] / slope[facing]).max()


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


def test_min_dcf_matches_scikit_learn():
    scores, labels = gaussian_trials(300, 20_000)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert detection.min_dcf(scores, labels) == pytest.approx(np.min(0.01 * (1 - tpr) + 0.99 * fpr) / 0.01, abs=1e-12)


def test_min_dcf_never_exceeds_that_of_no_system():
    assert detection.min_dcf([0, 0, 1, 1], [1, 1, 0, 0]) == 1.0


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


ALL = {
    "eer": detection.eer,
    "hull": lambda s, y: detection.eer(s, y, convention="hull"),
    "min_dcf": detection.min_dcf,
    "min_dcfs": lambda s, y: detection.min_dcfs(s, y, [0.1, 0.2]),
    "act_dcf": detection.act_dcf,
    "act_dcfs": lambda s, y: detection.act_dcfs(s, y, [0.1, 0.2]),
    "detection": detection.detection,
    "far_frr_at": lambda s, y: detection.far_frr_at(s, y, 0.1),
    "threshold_at_far": lambda s, y: detection.threshold_at_far(s, y, 0.1),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("scores", "labels", "code"),
    [
        ([1.0, 2.0], [1, 1], "E_ONE_CLASS"),
        ([], [], "E_ONE_CLASS"),
        ([1.0, math.nan], [1, 0], "E_SCORES"),
        (["1", "2"], [1, 0], "E_SCORES"),
        ([1.0, 2.0], [1, 2], "E_LABELS"),
        ([1.0, 2.0, 3.0], [1, 0], "E_SHAPE"),
    ],
)
def test_bad_trials_are_a_typed_error(name, scores, labels, code):
    with pytest.raises(DataError) as caught:
        ALL[name](scores, labels)
    assert caught.value.code == code


@pytest.mark.parametrize("name", [name for name in ALL if name != "threshold_at_far"])
def test_infinite_ratios_count_by_their_order(name):
    scores, labels = np.array([math.inf, 2.0, -math.inf, 1.0, -math.inf, math.inf]), [1, 1, 1, 0, 0, 0]
    assert ALL[name](scores, labels) == ALL[name](np.clip(scores, -1e9, 1e9), labels)


def test_no_threshold_lies_above_an_infinite_score():
    with pytest.raises(DataError, match="finite scores") as caught:
        detection.threshold_at_far([1.0, math.inf], [1, 0], 0.1)
    assert caught.value.code == "E_SCORES"


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
        lambda: detection.min_dcfs([1, 0], [1, 0], [0.01, (0.5, 1)]),
        lambda: detection.act_dcfs([1, 0], [1, 0], [0.01, (0.5, 1, -1)]),
        lambda: detection.detection([1, 0], [1, 0], ["0.01"]),
        lambda: detection.eer([1, 0], [1, 0], convention="rocch"),
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


def test_both_conventions_of_the_eer_by_hand():
    """BOSARIS' point: the hull joins the best corners, so one unlucky target costs less."""
    scores, labels = [4, 3, 2, 1, 0], [1, 0, 1, 0, 0]
    assert detection.eer(scores, labels) == pytest.approx(1 / 3)
    # Corners (FAR, FRR): (0, 1/2) and (1/3, 0); FAR = FRR = 1/5 on the line between them.
    assert detection.eer(scores, labels, convention="hull") == pytest.approx(1 / 5)
    assert detection.eer([0, 1], [1, 0], convention="hull") == 0.5


def test_one_pass_for_no_point_and_for_many():
    scores, labels = gaussian_trials(300, 20_000)
    assert detection.detection(scores, labels, []).min_dcf == ()
    points = [(p, 1.0, 1.0) for p in np.linspace(0.001, 0.999, 37)]
    assert detection.min_dcfs(scores, labels, points) == tuple(detection.min_dcf(scores, labels, *point) for point in points)


def test_a_prior_may_be_a_number_of_numpy():
    scores, labels = [3.0, 1.0, 2.0, 0.0], [1, 1, 0, 0]
    assert detection.min_dcfs(scores, labels, [np.float32(0.5)]) == detection.min_dcfs(scores, labels, [0.5])
