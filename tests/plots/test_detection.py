"""ROC, DET, precision and recall: the lines pass through the points that scikit-learn gives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics

from voxid.errors import ConfigError, DataError
from voxid.plots.detection import CELLS, det, deviate, precision_recall, roc, thinned

PLOTS = (roc, det, precision_recall)


def line(figure, number: int = 0):
    return figure.axes[0].lines[number].get_xydata()


def named(figure, part: str) -> str:
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    return next(text for text in texts if part in text)


def on(points: np.ndarray, drawn: np.ndarray) -> bool:
    """Whether every point is a corner of the line."""
    return all(np.abs(drawn - point).sum(axis=1).min() < 1e-9 for point in points)


def test_det_passes_through_the_points_of_sklearn_under_the_normal_deviate(readable, trials) -> None:
    scores, labels = trials(2.0)
    figure = readable(det({"mine": (scores, labels)}))
    fpr, fnr, _ = metrics.det_curve(labels, scores)
    drawn = next(one.get_xydata() for one in figure.axes[0].lines if len(one.get_xydata()) > 50)
    kept = (fpr > 0) & (fpr < 1) & (fnr > 0) & (fnr < 1)
    assert kept.sum() > 50
    assert on(np.column_stack([norm.ppf(fpr[kept]), norm.ppf(fnr[kept])]), drawn)


def test_det_ticks_are_per_cent_at_their_deviates_and_the_circle_is_the_eer(readable, trials) -> None:
    scores, labels = trials(2.0, 2000, 20000)
    axes = readable(det({"mine": (scores, labels)})).axes[0]
    for axis in (axes.xaxis, axes.yaxis):
        said = [float(text.get_text()) / 100 for text in axis.get_ticklabels()]
        assert axis.get_ticklocs() == pytest.approx(norm.ppf(said))
        assert {0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4} <= set(said)
    circle = next(one for one in axes.lines if one.get_marker() == "o")
    assert circle.get_xdata() == circle.get_ydata()
    # Two normal classes two deviations apart.
    assert norm.cdf(circle.get_xdata()[0]) == pytest.approx(norm.cdf(-1), abs=0.01)
    assert f"EER {100 * norm.cdf(circle.get_xdata()[0]):.2f} %" in named(axes.figure, "mine")


def test_det_marks_the_lowest_cost(readable, trials) -> None:
    scores, labels = trials(2.5)
    axes = readable(det({"mine": (scores, labels)}, p_target=0.05)).axes[0]
    fpr, fnr, _ = metrics.det_curve(labels, scores)
    cost = 0.05 * fnr + 0.95 * fpr
    cross = next(one for one in axes.lines if one.get_marker() == "X")
    assert norm.cdf(cross.get_xydata()[0]) == pytest.approx([fpr[cost.argmin()], fnr[cost.argmin()]])
    assert f"minDCF(0.05) {cost.min() / 0.05:.3f}" in named(axes.figure, "mine")
    with pytest.raises(ConfigError, match="p_target"):
        det({"mine": (scores, labels)}, p_target=0.0)


@pytest.mark.parametrize("log", [False, True])
def test_roc_passes_through_the_points_of_sklearn(readable, trials, log: bool) -> None:
    scores, labels = trials(1.5)
    figure = readable(roc({"mine": (scores, labels)}, log=log))
    fpr, tpr, _ = metrics.roc_curve(labels, scores)
    assert on(100 * np.column_stack([fpr, tpr]), line(figure))
    assert f"AUC {metrics.roc_auc_score(labels, scores):.4f}" in named(figure, "mine")
    assert figure.axes[0].get_xscale() == ("log" if log else "linear")


def test_precision_and_recall_are_those_of_sklearn(readable, trials) -> None:
    scores, labels = trials(1.5)
    scores = scores.round(1)  # ties
    figure = readable(precision_recall({"mine": (scores, labels)}))
    precision, recall, _ = metrics.precision_recall_curve(labels, scores)
    assert on(100 * np.column_stack([recall, precision])[:-1], line(figure))
    assert f"average precision {metrics.average_precision_score(labels, scores):.4f}" in named(figure, "mine")
    assert "9.09 % are targets" in named(figure, "chance")


@pytest.mark.parametrize("plot", PLOTS)
def test_axes_are_in_per_cent_and_systems_differ_in_colour_and_dashes(readable, trials, plot) -> None:
    systems = {f"system {number}": trials(1 + 0.4 * number) for number in range(7)}
    axes = readable(plot(systems)).axes[0]
    assert axes.get_xlabel().endswith("(%)")
    assert axes.get_ylabel().endswith("(%)")
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(texts) == 8
    assert [text.partition(":")[0] for text in texts[:7]] == list(systems)
    drawn = [one for one in axes.lines if str(one.get_label()).startswith("system")]
    assert len({one.get_color() for one in drawn}) == 7
    assert all(first.get_linestyle() != second.get_linestyle() for first, second in pairwise(drawn))


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize(
    ("scores", "labels"),
    [([3.0, 2.0, 1.0, 0.0], [1, 1, 0, 0]), ([0.0, 0.0], [1, 0]), ([0.0, 1.0], [1, 0]), ([1.0, 1.0, 0.0], [1, 0, 0])],
    ids=["perfect", "tied", "reversed", "small"],
)
def test_the_smallest_lists_are_drawn(readable, plot, scores, labels) -> None:
    readable(plot({"mine": (scores, labels)}))


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize(
    ("scores", "labels", "code"),
    [
        ([], [], "E_ONE_CLASS"),
        ([1.0, 2.0], [1, 1], "E_ONE_CLASS"),
        ([1.0, np.nan], [1, 0], "E_SCORES"),
        ([1.0], [1, 0], "E_SHAPE"),
    ],
)
def test_nothing_to_compare_is_an_error(plot, scores, labels, code: str) -> None:
    with pytest.raises(DataError) as caught:
        plot({"mine": (scores, labels)})
    assert caught.value.code == code


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("systems", [{}, [], ([1.0, 0.0], [1, 0])])
def test_systems_come_by_name(plot, systems) -> None:
    with pytest.raises(DataError, match="a mapping from a name"):
        plot(systems)


def test_long_lines_are_thinned_and_nobody_sees_it(trials) -> None:
    scores, labels = trials(2.0, 50_000, 500_000)
    axes = det({"mine": (scores, labels)}).axes[0]
    fpr, fnr, _ = metrics.det_curve(labels, scores)
    drawn = next(one.get_xydata() for one in axes.lines if len(one.get_xydata()) > 50)
    assert len(drawn) < 20_000
    inner = (fpr > 1e-3) & (fpr < 0.5)
    seen = np.interp(norm.ppf(fpr[inner][::-1]), drawn[::-1, 0], drawn[::-1, 1])
    assert np.abs(seen - norm.ppf(fnr[inner][::-1])).max() < 0.02  # of about 6 on the axis


def test_thinning_keeps_corners_and_ends() -> None:
    x = np.concatenate([np.zeros(9000), np.linspace(0, 1, 9000)])
    y = np.concatenate([np.linspace(0, 1, 9000), np.ones(9000)])
    few = np.column_stack(thinned(x, y))
    assert len(few) <= 4 * CELLS + 4
    for corner in ([0, 0], [0, 1], [1, 1]):
        assert np.abs(few - corner).max(axis=1).min() <= 1 / CELLS


def test_deviates_of_no_and_all_are_finite() -> None:
    assert deviate([0.0, 1.0]) == pytest.approx([-6, 6], abs=0.1)
