"""Reliability and Bayes error rates: against plain loops, and what calibrated ratios look like."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voxid.errors import ConfigError, DataError
from voxid.plots.calibration import PRIORS, bayes_error, calibration, error_rates, reliability, reliability_points


@pytest.fixture
def ratios(trials):
    """Calibrated natural-log likelihood ratios: two normal classes three deviations apart."""
    scores, labels = trials(3.0, 2000, 2000)
    return 3.0 * scores - 4.5, labels


def slow(llr: np.ndarray, labels: np.ndarray, odds: float) -> tuple[float, float]:
    """Cost at the Bayes threshold, and the lowest over all thresholds."""
    prior = 1 / (1 + math.exp(-odds))

    def cost(threshold: float) -> float:
        miss, accept = (llr[labels] < threshold).mean(), (llr[~labels] >= threshold).mean()
        return (prior * miss + (1 - prior) * accept) / min(prior, 1 - prior)

    return cost(-odds), min(cost(threshold) for threshold in [*llr, math.inf])


@pytest.mark.parametrize("odds", [-6.0, -2.0, 0.0, 0.5, 4.0])
@pytest.mark.parametrize("digits", [9, 0])
def test_rates_equal_a_plain_loop(trials, odds: float, digits: int) -> None:
    llr, labels = trials(2.0, 60, 140)
    llr = llr.round(digits)
    actual, lowest = error_rates(llr, labels, [odds])
    assert (actual[0], lowest[0]) == pytest.approx(slow(llr, labels, odds))


def test_the_lines_are_those_rates_and_the_legend_tells_cllr(readable, ratios) -> None:
    axes = readable(bayes_error({"mine": ratios}, p_target=0.05)).axes[0]
    actual, lowest = error_rates(*ratios)
    assert axes.lines[0].get_xydata() == pytest.approx(np.column_stack([PRIORS, actual]))
    assert axes.lines[1].get_xydata() == pytest.approx(np.column_stack([PRIORS, lowest]))
    assert (axes.lines[0].get_linestyle(), axes.lines[1].get_linestyle()) == ("-", "--")
    targets, nontargets = ratios[0][ratios[1]], ratios[0][~ratios[1]]
    bits = (np.log2(1 + np.exp(-targets)).mean() + np.log2(1 + np.exp(nontargets)).mean()) / 2
    assert f"Cllr {bits:.3f}" in axes.get_legend().get_texts()[0].get_text()
    assert axes.lines[-1].get_xdata() == pytest.approx([math.log(0.05 / 0.95)] * 2)


def test_calibrated_ratios_lie_on_the_diagonal_and_others_do_not(ratios) -> None:
    llr, labels = ratios
    for prior in (0.1, 0.5):
        said, found, low, high = reliability_points(llr, labels, p_target=prior)
        assert ((low - 0.03 <= said) & (said <= high + 0.03)).all()
        assert ((low <= found) & (found <= high)).all()
        assert (np.diff(said) > 0).all()
    said, found, low, high = reliability_points(3 * llr, labels)
    assert ((said < low) | (said > high)).sum() >= 4


def test_shares_are_weighed_to_the_prior() -> None:
    # 10 targets and 90 non-targets at one ratio: at a prior of a half they count the same.
    said, found, _, _ = reliability_points(np.zeros(100), np.arange(100) < 10, p_target=0.5)
    assert (said, found) == (pytest.approx([0.5]), pytest.approx([0.5]))
    _, found, _, _ = reliability_points(np.zeros(100), np.arange(100) < 10, p_target=0.1)
    assert found == pytest.approx([0.1])


def test_the_diagram_draws_these_points(readable, ratios) -> None:
    axes = readable(reliability({"mine": ratios}, p_target=0.2)).axes[0]
    said, found, low, high = (100 * column for column in reliability_points(*ratios, p_target=0.2))
    drawn, _, bars = axes.containers[0]
    assert drawn.get_xydata() == pytest.approx(np.column_stack([said, found]))
    assert [segment[:, 1] for segment in bars[0].get_segments()] == [pytest.approx(pair) for pair in zip(low, high, strict=True)]
    assert axes.get_ylabel().endswith("(%)")


def test_both_stand_side_by_side(readable, ratios) -> None:
    llr, labels = ratios
    systems = {"calibrated": (llr, labels), "too sure": (2 * llr, labels), "shifted": (llr + 2, labels)}
    figure = readable(calibration(systems, p_target=0.01, title="three"))
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("Reliability at a prior of 0.01", "Bayes error rates")
    assert len(left.get_legend().get_texts()) == 4
    assert len(right.get_legend().get_texts()) == 8


@pytest.mark.parametrize("llr", [[1.0, -1.0], [0.0, 0.0], [-800.0, 800.0], [1e30, -1e30]])
def test_two_trials_are_enough(readable, llr) -> None:
    readable(calibration({"mine": (llr, [1, 0])}))


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="class"):
        calibration({"mine": ([1.0, 2.0], [1, 1])})
    for plot in (calibration, reliability, bayes_error):
        with pytest.raises(ConfigError, match="p_target"):
            plot({"mine": ([1.0, 2.0], [0, 1])}, p_target=1.0)
