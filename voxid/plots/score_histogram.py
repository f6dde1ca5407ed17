"""Scores of targets and of non-targets, and what a threshold between them lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError
from voxid.metrics.classes import split
from voxid.metrics.curves import det_curve
from voxid.metrics.detection import far_frr_at
from voxid.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = (20, 120)  # at least and at most
NAMES = (("targets (same speaker)", "//"), ("non-targets (different speakers)", "\\\\"))


def score_histogram(
    scores: ArrayLike, labels: ArrayLike, *, threshold: float | None = None, unit: str = "score", title: str | None = None
) -> Figure:
    """Share of the targets and share of the non-targets by score, in per cent a bin, with the threshold and its error rates.

    Args:
        scores: [N], higher = same speaker.
        labels: [N], 1 = target.
        threshold: What `FAR` and `FRR` are told for; by default the one at which they are nearest to each other.
        unit: What the scores are, e.g. "cosine" or "log-likelihood ratio (nats)".

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES``, ``E_LABELS``, ``E_ONE_CLASS``.
        ConfigError: A threshold that is no number.

    Example:
        >>> score_histogram([0.9, 0.8, 0.3, 0.1], [1, 1, 0, 0], unit="cosine").axes[0].get_xlabel()
        'cosine'
    """
    groups = split(scores, labels)
    given = threshold is not None
    level = float(threshold) if threshold is not None else balanced_threshold(scores, labels)
    if not np.isfinite(level):
        raise ConfigError(f"a threshold is a number, got {level}")
    far, frr = far_frr_at(scores, labels, level)
    figure = style.new_figure(7.2, 4.4)
    axes = figure.add_subplot()
    edges = _edges(groups, level)
    for number, (group, (name, hatch)) in enumerate(zip(groups, NAMES, strict=True)):
        _draw(axes, 100 * np.histogram(group, edges)[0] / group.size, edges, number, f"{name}: {group.size:,}", hatch)
    where = "threshold" if given else "threshold at FAR ≈ FRR"
    axes.axvline(level, color="black", linewidth=1.4, linestyle="--", label=f"{where}: {level:.4g}")
    axes.plot([], [], " ", label=f"FAR {100 * far:.2f} % (non-targets right of it)")
    axes.plot([], [], " ", label=f"FRR {100 * frr:.2f} % (targets left of it)")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.02 * axes.get_ylim()[1])
    style.label(axes, style.shown(unit), "share of its class (% a bin)", title or "Scores of targets and non-targets")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return style.finish(figure)


def balanced_threshold(scores: ArrayLike, labels: ArrayLike) -> float:
    """The threshold with the least difference between FAR and FRR.

    Example:
        >>> balanced_threshold([0.9, 0.8, 0.3, 0.1], [1, 1, 0, 0])
        0.8
    """
    fnr, fpr, thresholds = det_curve(scores, labels)
    return float(thresholds[:-1][np.abs(fnr - fpr)[:-1].argmin()])


def _edges(groups: tuple[NDArray, NDArray], threshold: float) -> NDArray:
    """Bins over all scores and the threshold, so fine as the smaller class allows."""
    values = np.concatenate([*groups, [threshold]]).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    count = int(np.clip(2 * np.sqrt(min(group.size for group in groups)), *BINS))
    return np.linspace(low, high, count + 1)


def _draw(axes: style.Panel, heights: NDArray, edges: NDArray, number: int, name: str, hatch: str) -> None:
    from matplotlib.colors import to_rgba

    colour = style.COLOURS[number]
    face, lines = to_rgba(colour, 0.2), to_rgba(colour, 0.35)
    axes.stairs(heights, edges, fill=True, facecolor=face, edgecolor=lines, hatch=hatch, linewidth=0)
    axes.stairs(heights, edges, color=colour, linewidth=1.6, linestyle=style.LINES[number], label=name)
