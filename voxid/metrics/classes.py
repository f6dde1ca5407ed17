"""Scores of two classes, targets and non-targets: checked, apart, and in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import DataError


def checked(scores: ArrayLike, labels: ArrayLike, *, finite: bool = True) -> tuple[NDArray, NDArray]:
    """Scores [N] as float32 or float64 and labels [N] as bool; what has that form already is not copied.

    Args:
        scores: Real numbers, without NaN.
        labels: bool, or 1 = target and 0 = non-target.
        finite: Refuse infinite scores too.

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES`` (not numbers, NaN, infinite), ``E_LABELS`` (not 0 / 1) or ``E_ONE_CLASS``.

    Example:
        >>> checked([1, 2], [0, 1])
        (array([1., 2.]), array([False,  True]))
    """
    try:
        values, marks = np.asarray(scores), np.asarray(labels)
    except (TypeError, ValueError) as error:
        raise DataError(f"expected scores [N] and labels [N], got something that is no array: {error}", "E_SHAPE") from error
    if values.ndim != 1 or values.shape != marks.shape:
        raise DataError(f"expected scores [N] and labels [N], got {list(values.shape)} and {list(marks.shape)}", "E_SHAPE")
    marks = _as_bool(marks)
    values = as_float(values, finite=finite)
    targets = int(np.count_nonzero(marks))
    if targets in (0, marks.size):
        counts = f"{targets} targets and {marks.size - targets} non-targets"
        raise DataError(f"error rates need trials of both classes, got {counts}", "E_ONE_CLASS")
    return values, marks


def split(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray, NDArray]:
    """Scores of the targets and scores of the non-targets, in the order given.

    Raises:
        DataError: As `checked`.

    Example:
        >>> split([0.5, 0.1, 0.9], [1, 0, 1])
        (array([0.5, 0.9]), array([0.1]))
    """
    values, marks = checked(scores, labels)
    return values.compress(marks), values.compress(~marks)


def ranked(scores: NDArray, labels: NDArray) -> tuple[NDArray, NDArray]:
    """Scores in rising order and their labels, of what `checked` answered.

    Example:
        >>> ranked(*checked([0.5, 0.1, 0.9], [1, 0, 1]))
        (array([0.1, 0.5, 0.9]), array([False,  True,  True]))
    """
    targets, nontargets = np.sort(scores.compress(labels)), np.sort(scores.compress(~labels))
    # Two sorted runs are merged, by the stable kind, in a fraction of the time that the order of all of them would take.
    both = np.concatenate([targets, nontargets])
    order = np.argsort(both, kind="stable")
    return both[order], order < targets.size


def as_float(values: NDArray, *, finite: bool = True) -> NDArray:
    """Scores of any shape as float32 or float64, without NaN.

    Args:
        finite: Refuse infinite ones too.

    Raises:
        DataError: ``E_SCORES``.

    Example:
        >>> as_float(np.array([1, 2])).dtype
        dtype('float64')
    """
    if values.dtype.kind not in "fiub":
        raise DataError(f"expected scores that are real numbers, got {values.dtype}", "E_SCORES")
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    # Whatever is NaN or infinite shows in the extremes: one cheap look at all.
    extremes = np.array([values.min(), values.max()]) if values.size else np.zeros(2)
    if np.isnan(extremes).any() or (finite and np.isinf(extremes).any()):
        bad = values.size - int((np.isfinite(values) if finite else ~np.isnan(values)).sum())
        kind, wanted = ("NaN or infinite", "finite scores") if finite else ("NaN", "scores without NaN")
        raise DataError(f"expected {wanted}, got {bad} {kind} of {values.size}", "E_SCORES")
    return values


def _as_bool(marks: NDArray) -> NDArray:
    if marks.dtype == bool:
        return marks
    if marks.dtype.kind in "fiu" and marks.size:
        chosen = marks.astype(bool)
        # For integers the extremes say it; a half or a NaN among floats differs from what it would become.
        if marks.min() >= 0 and marks.max() <= 1 and (marks.dtype.kind != "f" or bool((marks == chosen).all())):
            return chosen
    elif marks.dtype.kind in "fiu":
        return marks.astype(bool)
    raise DataError("expected labels that are bool or 0 / 1 (1 = target), got other values", "E_LABELS")
