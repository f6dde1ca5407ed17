"""Two histograms and a threshold: shares add up, the rates are those at the line."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.errors import ConfigError, DataError
from voxid.plots.score_histogram import balanced_threshold, score_histogram


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_class_adds_up_to_all_of_it(readable, trials) -> None:
    scores, labels = trials()
    axes = readable(score_histogram(scores, labels, unit="cosine")).axes[0]
    outlines = [patch.get_data() for patch in axes.patches]
    assert len(outlines) == 4  # a face and a line each
    for (heights, edges, _), mark in zip(outlines[::2], (True, False), strict=True):
        assert heights.sum() == pytest.approx(100)
        assert heights == pytest.approx(100 * np.histogram(scores[labels == mark], edges)[0] / (labels == mark).sum())
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("cosine", "share of its class (% a bin)")


def test_a_threshold_is_told_with_its_rates(readable, trials) -> None:
    scores, labels = trials()
    figure = readable(score_histogram(scores, labels, threshold=1.0))
    far, frr = (scores[~labels] >= 1.0).mean(), (scores[labels] < 1.0).mean()
    said = texts(figure)
    assert said[2] == "threshold: 1"
    assert said[3].startswith(f"FAR {100 * far:.2f} %")
    assert said[4].startswith(f"FRR {100 * frr:.2f} %")
    assert figure.axes[0].lines[0].get_xdata() == pytest.approx([1.0, 1.0])


def test_without_a_threshold_the_rates_are_nearest_to_each_other(trials) -> None:
    scores, labels = trials(2.0)
    level = balanced_threshold(scores, labels)

    def gap(at: float) -> float:
        return abs((scores[~labels] >= at).mean() - (scores[labels] < at).mean())

    assert gap(level) == pytest.approx(min(gap(at) for at in scores))


@pytest.mark.parametrize("threshold", [-50.0, 50.0])
def test_a_threshold_outside_of_the_scores_is_drawn(readable, trials, threshold: float) -> None:
    figure = readable(score_histogram(*trials(), threshold=threshold))
    low, high = figure.axes[0].get_xlim()
    assert low <= threshold <= high


@pytest.mark.parametrize("scores", [[1.0, 1.0], [1.0, 0.0], [1e9, -1e9]])
def test_two_trials_are_enough(readable, scores) -> None:
    readable(score_histogram(scores, [1, 0]))


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="class"):
        score_histogram([1.0, 2.0], [0, 0])
    with pytest.raises(ConfigError, match="threshold"):
        score_histogram([1.0, 2.0], [0, 1], threshold=float("nan"))
