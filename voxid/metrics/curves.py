"""Scores and labels -> curves over all thresholds, and the areas under them. Higher = target; accepted when score >= threshold.

Every function takes finite `scores` [N] and `labels` [N] (bool, or 1 = target and 0 = non-target) with at least one trial of each
class, raises `DataError` for anything else, and costs no more than the sorting of its trials. Tied scores share one point. What
answers no threshold (hull, areas) takes infinite scores too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.metrics.classes import checked, ranked


def det_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """All operating points: (FRR, FAR, thresholds), each [P], by rising threshold; the last threshold is +inf and rejects all.

    Example:
        >>> fnr, fpr, thresholds = det_curve([0.1, 0.5, 0.9], [0, 1, 1])
        >>> thresholds.tolist(), fnr.tolist(), fpr.tolist()
        ([0.1, 0.5, 0.9, inf], [0.0, 0.0, 0.5, 1.0], [1.0, 0.0, 0.0, 0.0])

    Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997.
    """
    misses, accepts, thresholds = counted(*checked(scores, labels))
    return misses / misses[-1], accepts / accepts[0], thresholds


def roc_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """All operating points: (FAR, share of targets accepted, thresholds), each [P], by falling threshold; the first is +inf.

    Example:
        >>> far, accepted, thresholds = roc_curve([0.1, 0.5, 0.9], [0, 1, 1])
        >>> thresholds.tolist(), far.tolist(), accepted.tolist()
        ([inf, 0.9, 0.5, 0.1], [0.0, 0.0, 0.0, 1.0], [0.0, 0.5, 1.0, 1.0])
    """
    misses, accepts, thresholds = (column[::-1] for column in counted(*checked(scores, labels)))
    return accepts / accepts[-1], (misses[0] - misses) / misses[0], thresholds


def roc_hull(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray, NDArray]:
    """Corners of the convex hull of the ROC: (FAR, share of targets accepted), each [H], from (0, 0) to (1, 1).

    No threshold does better at any prior and cost than the best corner, and every corner is the best one somewhere.

    Example:
        >>> far, accepted = roc_hull([0.9, 0.6, 0.4, 0.5, 0.2, 0.1], [1, 1, 1, 0, 0, 0])
        >>> far.round(2).tolist(), accepted.round(2).tolist()
        ([0.0, 0.0, 0.33, 1.0], [0.0, 0.67, 1.0, 1.0])

    Provost and Fawcett, "Robust classification for imprecise environments", Machine Learning 42, 2001.
    """
    misses, accepts, _ = (column[::-1] for column in counted(*checked(scores, labels, finite=False)))
    corners = _hull(accepts, misses)
    return accepts[corners] / accepts[-1], (misses[0] - misses[corners]) / misses[0]


def precision_recall_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """All operating points: (precision, recall, thresholds), each [P], by rising threshold; the last is +inf and rejects all.

    Precision is the share of targets among the accepted trials, 1 by convention where none is accepted; recall is the share of
    targets that are accepted. Unlike FAR and FRR the precision depends on how many targets the list holds.

    Example:
        >>> precision, recall, thresholds = precision_recall_curve([0.1, 0.5, 0.9], [0, 1, 1])
        >>> thresholds.tolist(), precision.round(2).tolist(), recall.tolist()
        ([0.1, 0.5, 0.9, inf], [0.67, 1.0, 1.0, 1.0], [1.0, 1.0, 0.5, 0.0])
    """
    misses, accepts, thresholds = counted(*checked(scores, labels))
    return _precision(misses, accepts), (misses[-1] - misses) / misses[-1], thresholds


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Mean of the precision over the targets, each taken at the threshold of its score, in (0, 1]; higher is better.

    That is the area under the steps of the precision-recall curve, without interpolation.

    Example:
        >>> round(average_precision([0.9, 0.6, 0.4, 0.5, 0.2, 0.1], [1, 1, 1, 0, 0, 0]), 4)
        0.9167
    """
    misses, accepts, _ = counted(*checked(scores, labels, finite=False))
    return float(np.dot(_precision(misses, accepts)[:-1], np.diff(misses)) / misses[-1])


def roc_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC, in [0, 1]; higher is better, 0.5 is chance.

    The chance that a target scores higher than a non-target, both drawn at random, a tie counted as half.

    Example:
        >>> round(roc_auc([0.9, 0.6, 0.4, 0.5, 0.2, 0.1], [1, 1, 1, 0, 0, 0]), 4)
        0.8889
    """
    misses, accepts, _ = counted(*checked(scores, labels, finite=False))
    # Twice the area in pairs of trials, a whole number: exact up to 4e9 trials of each class.
    twice = np.dot(accepts[:-1] - accepts[1:], (misses[-1] - misses[:-1]) + (misses[-1] - misses[1:]))
    return float(twice / (2 * misses[-1] * accepts[0]))


def counted(scores: NDArray, labels: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Misses, false accepts and threshold [P] at each distinct score and above all of them, by rising threshold.

    Args:
        scores, labels: As `voxid.metrics.classes.checked` answers them.

    Example:
        >>> [column.tolist() for column in counted(*checked([0.1, 0.5, 0.9], [0, 1, 1]))]
        [[0, 0, 1, 2], [1, 0, 0, 0], [0.1, 0.5, 0.9, inf]]
    """
    values, targets = ranked(scores, labels)
    starts = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)
    misses = np.append(0, np.cumsum(targets))[np.append(starts, values.size)]
    rejected = np.append(starts, values.size) - misses
    return misses, rejected[-1] - rejected, np.append(values[starts], np.array(np.inf, values.dtype))


def _precision(misses: NDArray, accepts: NDArray) -> NDArray:
    hits = misses[-1] - misses
    return np.divide(hits, hits + accepts, out=np.ones(hits.size), where=hits + accepts > 0)


def _hull(x: NDArray, y: NDArray) -> NDArray:
    """Numbers of the corners of the lower convex hull of points with whole coordinates, x rising and y falling; exact."""
    rows, before = np.arange(x.size), 2 * x.size
    # What does not lie below the line through its neighbours is no corner: all such points go at once while they are many.
    while rows.size < 0.9 * before:
        before = rows.size
        width, height = np.diff(x[rows]), np.diff(y[rows])
        turns = width[:-1] * height[1:] > height[:-1] * width[1:]
        rows = rows[np.concatenate([[True], turns, [True]])]
    return np.array(_chain(rows.tolist(), x[rows].tolist(), y[rows].tolist()))


def _chain(rows: list[int], x: list[int], y: list[int]) -> list[int]:
    """Those of the rows where the hull turns, found from left to right with a stack."""
    corners: list[int] = []
    for new in range(len(rows)):
        while len(corners) > 1:
            last, one = corners[-1], corners[-2]
            if (x[last] - x[one]) * (y[new] - y[last]) > (y[last] - y[one]) * (x[new] - x[last]):
                break
            corners.pop()
        corners.append(new)
    return [rows[corner] for corner in corners]
