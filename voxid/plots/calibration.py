"""Whether log-likelihood ratios mean what they say: reliability of their probabilities, and error rates over all priors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError
from voxid.metrics.calibration import cllr, min_cllr
from voxid.metrics.classes import checked
from voxid.metrics.curves import roc_hull
from voxid.metrics.identification import wilson_interval
from voxid.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Systems = Mapping[str, tuple[ArrayLike, ArrayLike]]
PRIORS = np.linspace(-7.0, 7.0, 281)  # natural log-odds of a target: 0.1 % to 99.9 %
BINS = 10
FEWEST = 5  # trials of a bin that is shown


def calibration(systems: Systems, *, p_target: float = 0.5, title: str | None = None) -> Figure:
    """Reliability beside normalised Bayes error rates: what `reliability` and `bayes_error` draw.

    Args:
        systems: A name -> (natural-log likelihood ratios [N], labels [N]).
        p_target: Prior of a target that probabilities are made with, and that is marked among the priors.

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES``, ``E_LABELS``, ``E_ONE_CLASS``.
        ConfigError: A prior outside (0, 1).

    Example:
        >>> len(calibration({"mine": ([4.0, 2.0, -1.0, -3.0], [1, 1, 0, 0])}).axes)
        2
    """
    names = style.names_of(systems, "(log-likelihood ratios, labels)")
    _check_prior(p_target)
    figure = style.new_figure(10.4, 5.2 + 0.4 * len(names))
    left, right = figure.subplots(1, 2)
    _draw_reliability(left, systems, names, p_target)
    _draw_bayes_error(right, systems, names, p_target)
    if title:
        figure.suptitle(style.shown(title), fontsize=12)
    return style.finish(figure)


def reliability(systems: Systems, *, p_target: float = 0.5, title: str | None = None) -> Figure:
    """Share of targets over the probability that was said, both in per cent; on the diagonal they agree.

    Trials are weighed so that the share of targets is `p_target`. Bars are 95 % (Wilson) and take trials for independent.
    Arguments and errors as of `calibration`.

    Example:
        >>> reliability({"mine": ([4.0, 2.0, -1.0, -3.0], [1, 1, 0, 0])}).axes[0].get_xlabel()
        'probability of "same speaker" that was said (%)'
    """
    _check_prior(p_target)
    figure = style.new_figure(5.4, 5.8)
    axes = figure.add_subplot()
    _draw_reliability(axes, systems, style.names_of(systems, "(log-likelihood ratios, labels)"), p_target)
    if title:
        axes.set_title(style.shown(title), fontsize=11)
    return style.finish(figure)


def bayes_error(systems: Systems, *, p_target: float | None = None, title: str | None = None) -> Figure:
    """Normalised detection cost over the log-odds of the prior: actual and lowest; lower is better, 1 = not listening.

    Where the two lines of a system lie on each other its ratios are calibrated. Arguments and errors as of `calibration`.

    Example:
        >>> bayes_error({"mine": ([4.0, 2.0, -1.0, -3.0], [1, 1, 0, 0])}).axes[0].get_xlabel()
        'prior log-odds of a target, ln(p / (1 - p))'

    Brümmer and de Villiers, "The BOSARIS toolkit user guide", 2011.
    """
    if p_target is not None:
        _check_prior(p_target)
    figure = style.new_figure(6.4, 5.2)
    axes = figure.add_subplot()
    _draw_bayes_error(axes, systems, style.names_of(systems, "(log-likelihood ratios, labels)"), p_target)
    if title:
        axes.set_title(style.shown(title), fontsize=11)
    return style.finish(figure)


def error_rates(llr: ArrayLike, labels: ArrayLike, log_odds: ArrayLike = PRIORS) -> tuple[NDArray, NDArray]:
    """Actual and minimum normalised detection cost [P] at priors with these natural log-odds [P], costs of both errors 1.

    Example:
        >>> actual, lowest = error_rates([4.0, 2.0, -1.0, -3.0], [1, 1, 0, 0], [0.0, 2.0])
        >>> actual.round(2).tolist(), lowest.tolist()
        ([0.0, 0.5], [0.0, 0.0])
    """
    odds = np.asarray(log_odds, np.float64)
    prior = 1 / (1 + np.exp(-odds))
    ratios, marks = checked(llr, labels, finite=False)
    targets, nontargets = np.sort(ratios[marks]), np.sort(ratios[~marks])
    miss = np.searchsorted(targets, -odds, "left") / targets.size
    false_accept = 1 - np.searchsorted(nontargets, -odds, "left") / nontargets.size
    scale = np.minimum(prior, 1 - prior)
    actual = (prior * miss + (1 - prior) * false_accept) / scale
    # The lowest cost lies on a corner of the convex hull: a few hundred points, whatever the number of trials.
    far, accepted = (column[:, None] for column in roc_hull(ratios, marks))
    lowest = (prior * (1 - accepted) + (1 - prior) * far).min(axis=0) / scale
    return actual, lowest


def _draw_bayes_error(axes: style.Panel, systems: Systems, names: list[str], p_target: float | None) -> None:
    highest = 1.0
    for number, name in enumerate(names):
        actual, lowest = error_rates(*systems[name])
        colour, text = style.look(number)["color"], style.shown(name)
        label = f"{text}: actual, Cllr {cllr(*systems[name]):.3f}"
        axes.plot(PRIORS, actual, color=colour, linewidth=1.8, linestyle="-", label=label)
        label = f"{text}: minimum, minCllr {min_cllr(*systems[name]):.3f}"
        axes.plot(PRIORS, lowest, color=colour, linewidth=1.8, linestyle="--", label=label)
        highest = max(highest, float(actual.max()))
    axes.axhline(1.0, color=style.GREY, linewidth=1, linestyle=":", label="without a system: 1")
    if p_target is not None:
        place = math.log(p_target / (1 - p_target))
        axes.axvline(place, color="black", linewidth=0.8, linestyle=":", label=f"p = {p_target:g}")
    axes.set_xlim(PRIORS[0], PRIORS[-1])
    axes.set_ylim(0, min(1.05 * highest, 1.3))
    style.label(axes, "prior log-odds of a target, ln(p / (1 - p))", "normalised detection cost", "Bayes error rates")
    style.legend_below(axes)


def _draw_reliability(axes: style.Panel, systems: Systems, names: list[str], p_target: float) -> None:
    axes.plot([0, 100], [0, 100], color=style.GREY, linewidth=1, linestyle=":", label="said = found")
    for number, name in enumerate(names):
        said, found, low, high = (100 * column for column in reliability_points(*systems[name], p_target=p_target))
        look = style.look(number) | {"marker": style.MARKERS[number % len(style.MARKERS)]}
        axes.errorbar(
            said, found, [found - low, high - found], linewidth=1.4, capsize=2.5, markersize=5, label=style.shown(name), **look
        )
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 102)
    style.label(axes, 'probability of "same speaker" that was said (%)', "share of targets that was found (%)", None)
    axes.set_title(f"Reliability at a prior of {p_target:g}", fontsize=11)
    style.legend_below(axes)


def reliability_points(llr: ArrayLike, labels: ArrayLike, *, p_target: float = 0.5) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Mean probability said, share of targets found, and its 95 % interval (low, high) of each bin; shares in [0, 1].

    Bins are ten equal steps of probability; one with fewer than 5 trials joins the next.

    Example:
        >>> llr = np.repeat([2.0, -2.0], 50)
        >>> said, found, low, high = reliability_points(llr, np.tile([1, 0], 50))
        >>> said.round(2).tolist(), found.round(2).tolist()
        ([0.12, 0.88], [0.5, 0.5])
    """
    ratios, marks = checked(llr, labels, finite=False)
    num_targets, num_nontargets = int(marks.sum()), int((~marks).sum())
    weights = np.where(marks, p_target / num_targets, (1 - p_target) / num_nontargets)
    odds = math.log(p_target / (1 - p_target))
    posterior = 1 / (1 + np.exp(-np.clip(ratios.astype(np.float64) + odds, -700, 700)))
    rows = []
    for members in _bins(posterior):
        hits, weight = int(marks[members].sum()), weights[members]
        # The interval of the plain share, carried over to the share under the prior: the odds change by one factor.
        factor = (p_target / num_targets) / ((1 - p_target) / num_nontargets)
        low, high = (share * factor / (share * factor + 1 - share) for share in wilson_interval(hits, len(members)))
        found = float(weight[marks[members]].sum() / weight.sum())
        rows.append((float(np.average(posterior[members], weights=weight)), found, low, high))
    said, found_shares, lows, highs = np.array(rows).T
    return said, found_shares, np.minimum(lows, found_shares), np.maximum(highs, found_shares)


def _bins(posterior: NDArray) -> list[NDArray]:
    """Trials of each bin: equal steps of probability, those with few trials joined to the next."""
    order = np.argsort(posterior, kind="stable")
    bounds = np.searchsorted(posterior[order], np.linspace(0, 1, BINS + 1)[1:-1])
    kept, last = [], 0
    for bound in [*bounds, len(order)]:
        if bound - last >= FEWEST:
            kept.append(order[last:bound])
            last = bound
    rest = order[last:]
    if len(rest) and kept:
        kept[-1] = np.concatenate([kept[-1], rest])
    return kept or [order]


def _check_prior(p_target: float) -> None:
    if not 0 < p_target < 1:
        raise ConfigError(f"p_target lies within (0, 1), got {p_target}")
