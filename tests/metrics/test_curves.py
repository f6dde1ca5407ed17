"""Curves and areas against scikit-learn, SciPy's convex hull and a slow loop, over random trials with many ties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from scipy.stats import mannwhitneyu
from sklearn import config_context
from sklearn import metrics as sklearn_metrics

from voxid.errors import DataError
from voxid.metrics import curves
from voxid.metrics.detection import min_dcf

pytestmark = pytest.mark.filterwarnings("error")


def check_against_scikit_learn(scores, labels):
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for ours, theirs in zip(
            curves.roc_curve(scores, labels),
            sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False),
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-15)
        precision, recall, thresholds = curves.precision_recall_curve(scores, labels)
        theirs = sklearn_metrics.precision_recall_curve(labels, scores)
        np.testing.assert_allclose(precision, theirs[0], rtol=0, atol=1e-15)
        np.testing.assert_allclose(recall, theirs[1], rtol=0, atol=1e-15)
        np.testing.assert_array_equal(thresholds, np.append(theirs[2], np.inf))
        area, average = sklearn_metrics.roc_auc_score(labels, scores), sklearn_metrics.average_precision_score(labels, scores)
        assert curves.roc_auc(scores, labels) == pytest.approx(area, abs=1e-12)
        assert curves.average_precision(scores, labels) == pytest.approx(average, abs=1e-12)
        check_det_curve(curves.det_curve(scores, labels), sklearn_metrics.det_curve(labels, scores))


def check_det_curve(ours, theirs):
    """Theirs has no thresholds below the last without a miss, nor above the first without a false accept."""
    frr, far, thresholds = ours
    fpr, fnr, kept = theirs
    part = np.isin(thresholds, kept)
    np.testing.assert_allclose(far[part], fpr, rtol=0, atol=1e-15)
    np.testing.assert_allclose(frr[part], fnr, rtol=0, atol=1e-15)
    below, above = thresholds < kept[0], thresholds > kept[-1]
    assert (part | below | above).all()
    assert (frr[below] == 0).all()
    assert (far[above] == 0).all()


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_curves_are_those_of_scikit_learn(trial_sets, data):
    check_against_scikit_learn(*data.draw(trial_sets))


@pytest.mark.slow
@settings(deadline=None, max_examples=10_000)
@given(data=st.data())
def test_curves_are_those_of_scikit_learn_10_000_times(trial_sets, data):
    check_against_scikit_learn(*data.draw(trial_sets))


@settings(deadline=None)
@given(data=st.data())
def test_the_points_are_those_of_the_definition(trial_sets, slow_counts, data):
    scores, labels = data.draw(trial_sets)
    thresholds, misses, accepts = (np.array(column) for column in zip(*slow_counts(scores, labels), strict=True))
    for curve, order, sides in (
        (curves.det_curve(scores, labels), 1, (misses / misses[-1], accepts / accepts[0])),
        (curves.roc_curve(scores, labels), -1, (accepts / accepts[0], 1 - misses / misses[-1])),
    ):
        np.testing.assert_array_equal(curve[2], thresholds[::order])
        assert curve[2].dtype == scores.dtype
        for ours, slow in zip(curve[:2], sides, strict=True):
            np.testing.assert_allclose(ours, slow[::order], rtol=0, atol=1e-15)


@settings(deadline=None)
@given(data=st.data())
def test_the_hull_is_that_of_qhull(trial_sets, data):
    scores, labels = data.draw(trial_sets)
    far, accepted = curves.roc_hull(scores, labels)
    whole = np.column_stack(curves.roc_curve(scores, labels)[:2])
    # The corner (1, 0), which no system needs, makes the hull an area where the ROC is a line.
    whole = np.vstack([whole, [1.0, 0.0]])
    corners = whole[ConvexHull(whole).vertices]
    corners = corners[(corners != [1.0, 0.0]).any(axis=1)]
    assert sorted(map(tuple, corners.round(12))) == sorted(zip(far.round(12), accepted.round(12), strict=True))
    assert (np.diff(far) >= 0).all()
    assert (np.diff(accepted) >= 0).all()


@pytest.mark.parametrize("shape", ["normal", "rounded", "convex", "cascade"])
def test_the_hull_of_many_points(shape):
    """No point lies outside it, and it turns at every corner; by whole numbers."""
    random = np.random.default_rng(1)
    if shape in ("normal", "rounded"):
        labels = random.random(30_000) < 0.3
        scores = np.round(random.normal(size=labels.size) + labels, 2 if shape == "rounded" else 12)
    else:
        # Runs of targets that shrink as the scores fall make a ROC that is its own hull; a last run makes all of it fall.
        runs = [*range(60, 0, -1), *([4000] if shape == "cascade" else [])]
        labels = np.concatenate([[True] * run + [False] * (1 if run == 4000 else 61 - run) for run in runs])
        scores = -np.arange(labels.size, dtype=float)
    far, accepted = curves.roc_hull(scores, labels)
    x, y = np.rint(far * (~labels).sum()).astype(int), np.rint(accepted * labels.sum()).astype(int)
    width, height = np.diff(x), np.diff(y)
    assert (height[:-1] * width[1:] > height[1:] * width[:-1]).all()
    every = np.column_stack([np.cumsum(~labels[np.argsort(-scores)]), np.cumsum(labels[np.argsort(-scores)])])
    if shape == "rounded":
        order = np.argsort(-scores, kind="stable")
        last = np.append(np.diff(scores[order]) != 0, True)
        every = np.column_stack([np.cumsum(~labels[order])[last], np.cumsum(labels[order])[last]])
    for (left, low), dx, dy in zip(np.column_stack([x, y])[:-1], width, height, strict=True):
        assert ((every[:, 1] - low) * dx <= (every[:, 0] - left) * dy).all()


def test_the_hull_reaches_the_lowest_cost_of_every_prior():
    random = np.random.default_rng(2)
    labels = random.random(5000) < 0.2
    scores = random.normal(size=5000) + 2 * labels
    far, accepted = curves.roc_hull(scores, labels)
    best = set()
    for p in np.linspace(0.001, 0.999, 400):
        costs = (p * (1 - accepted) + (1 - p) * far) / min(p, 1 - p)
        best.add(int(costs.argmin()))
        assert costs.min() == pytest.approx(min_dcf(scores, labels, p), abs=1e-12)
    assert len(best) > far.size / 2


def test_the_area_is_the_chance_that_a_target_scores_higher():
    random = np.random.default_rng(0)
    labels = random.random(3000) < 0.4
    scores = np.round(random.normal(size=3000) + labels, 1)
    pairs = mannwhitneyu(scores[labels], scores[~labels]).statistic / (labels.sum() * (~labels).sum())
    assert curves.roc_auc(scores, labels) == pytest.approx(pairs, abs=1e-14)
    assert curves.roc_auc(-scores, ~labels) == pytest.approx(pairs, abs=1e-14)


def test_the_average_precision_by_hand():
    # Targets at places 1, 2 and 5 of 6: precisions 1, 1 and 3/5.
    assert curves.average_precision([6, 5, 4, 3, 2, 1], [1, 1, 0, 0, 1, 0]) == pytest.approx((1 + 1 + 3 / 5) / 3)
    # All tied: one point, where one in three is a target.
    assert curves.average_precision([1, 1, 1], [1, 0, 0]) == pytest.approx(1 / 3)


AREAS = [curves.roc_auc, curves.average_precision, lambda s, y: [side.tolist() for side in curves.roc_hull(s, y)]]


@pytest.mark.parametrize("function", AREAS)
def test_areas_and_hull_take_infinite_scores(function):
    scores, labels = np.array([math.inf, 2.0, -math.inf, 1.0, -math.inf, math.inf]), [1, 1, 1, 0, 0, 0]
    assert function(scores, labels) == function(np.clip(scores, -1e9, 1e9), labels)
    with pytest.raises(DataError, match="NaN"):
        function(np.append(scores, math.nan), [*labels, 1])


@pytest.mark.parametrize("curve", [curves.det_curve, curves.roc_curve, curves.precision_recall_curve])
def test_curves_answer_thresholds_and_refuse_infinite_scores(curve):
    for scores in ([1.0, math.inf], [1.0, -math.inf], [1.0, math.nan]):
        with pytest.raises(DataError) as caught:
            curve(scores, [1, 0])
        assert caught.value.code == "E_SCORES"
    with pytest.raises(DataError) as caught:
        curve([1.0, 2.0], [1, 1])
    assert caught.value.code == "E_ONE_CLASS"


def test_the_precision_where_nothing_is_accepted_is_one():
    precision, recall, thresholds = curves.precision_recall_curve([3.0, 2.0, 1.0], [0, 1, 0])
    assert precision.tolist() == [1 / 3, 1 / 2, 0.0, 1.0]
    assert recall.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert thresholds.tolist() == [1.0, 2.0, 3.0, math.inf]
