"""Detection curves of one system or several: ROC, DET, precision and recall. Higher scores = target (same speaker).

A system is a name and its (scores [N], labels [N]); labels are 1 for a target and 0 for a non-target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError
from voxid.metrics.curves import average_precision, det_curve, precision_recall_curve, roc_auc, roc_curve
from voxid.metrics.detection import eer, min_dcf
from voxid.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Systems = Mapping[str, tuple[ArrayLike, ArrayLike]]
MOST = 5000  # points of a line; of more, those that no eye could tell apart are left out
CELLS = 3000  # to a side: places that an eye could tell apart
FAR, FRR = "false accept rate, FAR (%)", "false reject rate, FRR (%)"
# Ticks of a DET curve in per cent, as the field prints them, the most wanted first: those that find room are shown.
TICKS = (1, 10, 0.1, 40, 0.01, 0.001, 20, 5, 2, 0.5, 0.2, 60, 80, 90, 95, 98, 99, 0.05, 0.02, 0.005, 0.002)
LOWEST = 1e-9  # stands for a rate of 0, which has no normal deviate: far outside of every figure


def roc(systems: Systems, *, log: bool = False, title: str | None = None) -> Figure:
    """True accept rate over false accept rate, both in per cent; nearer to the upper left is better.

    Args:
        systems: A name -> (scores [N], labels [N]).
        log: A logarithmic axis of false accepts, for systems that make few.

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES``, ``E_LABELS``, ``E_ONE_CLASS``.

    Example:
        >>> axes = roc({"mine": ([0.9, 0.8, 0.3, 0.1], [1, 1, 0, 0])}).axes[0]
        >>> axes.get_ylabel()
        'true accept rate, 1 - FRR (%)'
    """
    names = style.names_of(systems, "(scores, labels)")
    figure = style.new_figure(5.6, 5.2)
    axes = figure.add_subplot()
    lowest = 1.0
    for number, name in enumerate(names):
        scores, labels = systems[name]
        far, accepted, _ = roc_curve(scores, labels)
        rate, area = eer(scores, labels), roc_auc(scores, labels)
        x, y = thinned(100 * far, 100 * accepted)
        lowest = min(lowest, 1 / (len(np.asarray(labels)) - np.count_nonzero(labels)))
        axes.plot(x, y, label=f"{style.shown(name)}: AUC {area:.4f}, EER {100 * rate:.2f} %", linewidth=1.8, **style.look(number))
    chance = np.geomspace(1e-4, 100, 200) if log else np.array([0, 100])
    axes.plot(chance, chance, color=style.GREY, linewidth=1, linestyle=":", label="chance")
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(max(100 * lowest, 1e-4) if log else -1, 100 if log else 101)
    axes.set_ylim(-1, 101)
    style.label(axes, FAR, "true accept rate, 1 - FRR (%)", title or "ROC")
    style.legend(axes, loc="lower right")
    return style.finish(figure)


def det(systems: Systems, *, p_target: float | None = None, title: str | None = None) -> Figure:
    """False rejects over false accepts in per cent on normal deviate axes; nearer to the lower left is better.

    Scores of two normal distributions give a straight line; a circle marks the equal error rate of each system.

    Args:
        systems: A name -> (scores [N], labels [N]).
        p_target: Also mark, with a cross, where the detection cost at this prior of a target is lowest (minDCF).

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES``, ``E_LABELS``, ``E_ONE_CLASS``.
        ConfigError: A prior outside (0, 1).

    Example:
        >>> det({"mine": ([0.9, 0.8, 0.3, 0.1, 0.5], [1, 1, 0, 0, 0])}).axes[0].get_xlabel()
        'false accept rate, FAR (%)'

    Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997.
    """
    names = style.names_of(systems, "(scores, labels)")
    figure = style.new_figure(5.8, 5.6 + 0.2 * len(names))
    axes = figure.add_subplot()
    curves = [det_curve(*systems[name])[:2] for name in names]
    best = [] if p_target is None else [_best(*curve, p_target) for curve in curves]
    limits = _Limits(_lowest([fpr for _, fpr in curves]), _lowest([fnr for fnr, _ in curves]), _highest(curves, best))
    for number, (name, (fnr, fpr)) in enumerate(zip(names, curves, strict=True)):
        rate = eer(*systems[name])
        text = f"{style.shown(name)}: EER {100 * rate:.2f} %"
        marks = {"markersize": 6.5, "color": style.look(number)["color"], "zorder": 5, "linestyle": ""}
        axes.plot(*limits.place(rate, rate), marker="o", markerfacecolor="white", clip_on=False, **marks)
        if p_target is not None:
            axes.plot(*limits.place(*best[number]), marker="X", clip_on=False, **marks)
            text += f", minDCF({p_target:g}) {min_dcf(*systems[name], p_target=p_target):.3f}"
        x, y = thinned(deviate(fpr), deviate(fnr))
        axes.plot(x, y, label=text, linewidth=1.8, **style.look(number))
    diagonal = deviate([max(limits.far, limits.frr), limits.highest])
    axes.plot(diagonal, diagonal, color=style.GREY, linewidth=1, linestyle=":", label="FAR = FRR")
    _deviate_axis(axes.xaxis, axes.set_xlim, limits.far, limits.highest)
    _deviate_axis(axes.yaxis, axes.set_ylim, limits.frr, limits.highest)
    style.label(axes, FAR, FRR, title or "DET")
    style.legend_below(axes)
    return style.finish(figure)


def precision_recall(systems: Systems, *, title: str | None = None) -> Figure:
    """Precision over recall in per cent; nearer to the upper right is better. Both depend on the share of targets in the list.

    Args:
        systems: A name -> (scores [N], labels [N]).

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES``, ``E_LABELS``, ``E_ONE_CLASS``.

    Example:
        >>> precision_recall({"mine": ([0.9, 0.8, 0.3], [1, 0, 0])}).axes[0].get_xlabel()
        'recall, share of the targets accepted (%)'
    """
    names = style.names_of(systems, "(scores, labels)")
    figure = style.new_figure(5.6, 5.2)
    axes = figure.add_subplot()
    shares = set()
    for number, name in enumerate(names):
        precision, recall, _ = (column[-2::-1] for column in precision_recall_curve(*systems[name]))  # without "none accepted"
        average = average_precision(*systems[name])
        share = float(np.mean(np.asarray(systems[name][1]).astype(bool)))
        shares.add(round(share, 4))
        x, y = thinned(100 * recall, 100 * precision)
        text = f"{style.shown(name)}: average precision {average:.4f}"
        axes.plot(x, y, drawstyle="steps-pre", label=text, linewidth=1.8, **style.look(number))
    for share in sorted(shares):
        text = f"chance: {100 * share:.3g} % are targets"
        axes.axhline(100 * share, color=style.GREY, linewidth=1, linestyle=":", label=text)
    axes.set_xlim(-1, 101)
    axes.set_ylim(-1, 102)
    style.label(axes, "recall, share of the targets accepted (%)", "precision, share of the accepted that are targets (%)", title)
    axes.set_title(style.shown(title or "Precision and recall"), fontsize=11)
    style.legend(axes, loc="lower left")
    return style.finish(figure)


def deviate(rates: ArrayLike) -> NDArray:
    """Normal deviates of rates in [0, 1]; 0 and 1 go to places outside of every figure.

    Example:
        >>> deviate([0.5, 0.0]).round(2).tolist()
        [0.0, -6.0]
    """
    from scipy.stats import norm  # importing a room must stay cheap

    return norm.ppf(np.clip(np.asarray(rates, np.float64), LOWEST, 1 - LOWEST))


def thinned(x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    """Points of a line in their order, without those that would be drawn onto the point before.

    Example:
        >>> x, y = thinned(np.linspace(0, 1, 10**6), np.zeros(10**6))
        >>> len(x) < 10_000, float(x[-1])
        (True, 1.0)
    """
    if len(x) <= MOST:
        return x, y
    cells = [np.rint(CELLS * (values - values.min()) / max(np.ptp(values), 1e-12)) for values in (x, y)]
    moved = np.any([np.diff(cell, prepend=np.nan) != 0 for cell in cells], axis=0)
    # The last point before a move stays too: a long straight stretch keeps both of its ends.
    kept = moved | np.append(moved[1:], True)
    return x[kept], y[kept]


class _Limits(NamedTuple):
    """Where the axes of a DET curve begin, and where both end; rates."""

    far: float
    frr: float
    highest: float

    def place(self, far: float, frr: float) -> tuple[list[float], list[float]]:
        """A point for a mark; one that lies outside goes onto the edge."""
        x, y = deviate([min(max(far, self.far), self.highest), min(max(frr, self.frr), self.highest)])
        return [x], [y]


def _best(fnr: NDArray, fpr: NDArray, p_target: float) -> tuple[float, float]:
    """Operating point (FAR, FRR) with the lowest detection cost."""
    if not 0 < p_target < 1:
        raise ConfigError(f"p_target lies within (0, 1), got {p_target}")
    place = int(np.argmin(p_target * fnr + (1 - p_target) * fpr))
    return float(fpr[place]), float(fnr[place])


def _lowest(rates: list[NDArray]) -> float:
    """Where an axis of rates begins: a little below what one trial counts, and at 0.5 % or lower."""
    return min(5e-3, *(max(0.7 * float(one[one > 0].min()), 5e-6) for one in rates))


def _highest(curves: list[tuple[NDArray, NDArray]], marked: list[tuple[float, float]]) -> float:
    """Where both axes end: 50 %, or above the highest mark and the highest place where FAR = FRR."""
    wanted = [1.5 * float(np.minimum(*curve).max()) for curve in curves] + [1.1 * max(place) for place in marked]
    return min(max(0.5, *wanted), 0.99)


def _deviate_axis(axis: style.Panel, set_limits: Callable[..., object], low: float, high: float) -> None:
    ticks = _ticks(low, high)
    axis.set_ticks(list(deviate(np.array(ticks) / 100)), labels=[f"{tick:g}" for tick in ticks], fontsize=9)
    set_limits(*deviate([low, high]))


def _ticks(low: float, high: float) -> list[float]:
    """Ticks in per cent between two rates; one that would touch a more wanted one is left out."""
    first, last = deviate([low, high])
    kept: dict[float, float] = {}
    for tick in TICKS:
        place = float(deviate(tick / 100))
        if first <= place <= last and all(abs(place - other) > 0.06 * (last - first) for other in kept.values()):
            kept[tick] = place
    return sorted(kept)
