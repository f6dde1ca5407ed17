"""Open-set identification: is it one of the K enrolled speakers, and which? Rates are shares of searches; lower is better.

FPIR (false positive identification rate): the share of searches by a speaker who is not enrolled that answer anybody.
FNIR (false negative identification rate): the share of searches by an enrolled speaker that do not answer this one.

A search answers the speakers whose score reaches the threshold (score >= threshold), at most `rank` of them, the highest first.
A tie counts against the system: who ties with the own speaker stands before it.

Every function takes finite `scores` [M, K], a row a search and a column an enrolled speaker, and `labels` [M]: the column of the
speaker who searches, or -1 where not enrolled. Both rates depend on K, so a figure says how many speakers were enrolled.

ISO/IEC 19795-1:2021; Grother, Ngan and Hanaoka, "Face Recognition Vendor Test, part 2: identification", NIST IR 8271, 2019.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError
from voxid.metrics.classes import as_float
from voxid.metrics.curves import counted
from voxid.metrics.detection import threshold_above

STRANGER = -1  # the label of a speaker who is not enrolled
SCORES = 1 << 20  # compared at a time


def fpir(scores: ArrayLike, labels: ArrayLike, threshold: float) -> float:
    """False positive identification rate at a threshold, a share of the searches by strangers; lower is better.

    Example:
        >>> fpir([[0.9, 0.1], [0.2, 0.6], [0.3, 0.1]], [0, -1, -1], threshold=0.5)
        0.5
    """
    values, columns = _checked(scores, labels, threshold)
    return float((_highest_of_strangers(values, columns) >= np.float64(threshold)).mean())


def fnir(scores: ArrayLike, labels: ArrayLike, threshold: float = -math.inf, *, rank: int = 1) -> float:
    """False negative identification rate at a threshold, a share of the searches by enrolled speakers; lower is better.

    Without a threshold it is the closed-set error: 1 - `voxid.metrics.identification.top_k_accuracy`.

    Args:
        rank: How many speakers an answer holds at most; with K of them the threshold alone decides.

    Example:
        >>> scores, labels = [[0.9, 0.1], [0.4, 0.2], [0.7, 0.8]], [0, 0, 0]
        >>> fnir(scores, labels, threshold=0.5), fnir(scores, labels), fnir(scores, labels, rank=2)
        (0.6666666666666666, 0.3333333333333333, 0.0)
    """
    values, columns = _checked(scores, labels, threshold, rank)
    return _missed(_own(values, columns, rank), threshold)


def fnir_at_fpir(scores: ArrayLike, labels: ArrayLike, target: float, *, rank: int = 1) -> tuple[float, float]:
    """FNIR where at most the share `target` of strangers gets an answer, and the threshold that sees to it; lower is better.

    The threshold is the smallest with FPIR <= `target` on these searches, the number next above a stranger's highest score; -inf
    where `target` is 1.

    Args:
        target: The FPIR wanted, in [0, 1].
        rank: As in `fnir`.

    Example:
        >>> rate, threshold = fnir_at_fpir([[0.9, 0.1], [0.3, 0.2], [0.2, 0.6], [0.3, 0.1]], [0, 0, -1, -1], 0.0)
        >>> rate, round(threshold, 6)
        (0.5, 0.6)
    """
    if not 0.0 <= target <= 1.0:
        raise ConfigError(f"a false positive identification rate lies within 0 ... 1, got {target}")
    values, columns = _checked(scores, labels, rank=rank)
    threshold = threshold_above(_highest_of_strangers(values, columns), target)
    return _missed(_own(values, columns, rank), threshold), threshold


def open_set_curve(scores: ArrayLike, labels: ArrayLike, *, rank: int = 1) -> tuple[NDArray, NDArray, NDArray]:
    """All operating points: (FPIR, FNIR, thresholds), each [P], by rising threshold; the last one is +inf and answers nobody.

    The counterpart of the DET curve: its thresholds are the highest scores of strangers and the own scores of enrolled speakers.

    Args:
        rank: As in `fnir`.

    Example:
        >>> fpirs, fnirs, thresholds = open_set_curve([[0.9, 0.1], [0.3, 0.4], [0.2, 0.6]], [0, 0, -1])
        >>> thresholds.tolist(), fpirs.tolist(), fnirs.tolist()
        ([0.6, 0.9, inf], [1.0, 0.0, 0.0], [0.5, 0.5, 1.0])
    """
    values, columns = _checked(scores, labels, rank=rank)
    own, highest = _own(values, columns, rank), _highest_of_strangers(values, columns)
    # Who is outranked is missed at every threshold: below all of them.
    own = np.where(np.isnan(own), np.array(-np.inf, own.dtype), own)
    joined = np.concatenate([own, highest])
    misses, accepts, thresholds = counted(joined, np.arange(joined.size) < own.size)
    real = thresholds > -np.inf
    return accepts[real] / highest.size, misses[real] / own.size, thresholds[real]


def _own(scores: NDArray, labels: NDArray, rank: int) -> NDArray:
    """Score of the own speaker in each search by an enrolled one; NaN where `rank` others or more score as high."""
    rows = np.flatnonzero(labels != STRANGER)
    if not rows.size:
        raise DataError("a FNIR needs searches by enrolled speakers, all labels are -1", "E_ONE_CLASS")
    own = scores[rows, labels[rows]]
    size = max(1, SCORES // scores.shape[1])
    for start in range(0, rows.size, size):
        part = slice(start, start + size)
        others = (scores[rows[part]] >= own[part, None]).sum(axis=1) - 1
        own[part][others >= rank] = np.nan
    return own


def _highest_of_strangers(scores: NDArray, labels: NDArray) -> NDArray:
    """Highest score of each search by a stranger."""
    rows = labels == STRANGER
    if not rows.any():
        raise DataError("a FPIR needs searches by speakers who are not enrolled, with label -1; there is none", "E_ONE_CLASS")
    return scores.max(axis=1)[rows]


def _missed(own: NDArray, threshold: float) -> float:
    return float((~(own >= np.float64(threshold))).mean())


def _checked(scores: ArrayLike, labels: ArrayLike, threshold: float = 0.0, rank: int = 1) -> tuple[NDArray, NDArray]:
    if math.isnan(threshold):
        raise ConfigError("a threshold is a number, got NaN")
    if rank < 1:
        raise ConfigError(f"a rank is 1 or more, got {rank}")
    try:
        values, columns = np.asarray(scores), np.asarray(labels)
    except (TypeError, ValueError) as error:
        raise DataError(f"expected scores [M, K] and labels [M], got something that is no array: {error}", "E_SHAPE") from error
    if values.ndim != 2 or not values.size or columns.shape != values.shape[:1]:
        raise DataError(f"expected scores [M, K] and labels [M], got {list(values.shape)} and {list(columns.shape)}", "E_SHAPE")
    if columns.dtype.kind not in "iu" or columns.min() < STRANGER or columns.max() >= values.shape[1]:
        raise DataError(f"expected labels that are columns 0 ... {values.shape[1] - 1}, or -1 for a stranger", "E_LABELS")
    return as_float(values), columns.astype(np.intp)
