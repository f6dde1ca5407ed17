"""Scores and labels of trials, checked: what calibration is fitted on. Higher score = same speaker."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import DataError


def labels_of(labels: ArrayLike, count: int) -> NDArray[np.bool_]:
    """Labels [N] as bool, True = target (same speaker).

    Raises:
        DataError: ``E_SHAPE`` unless there are `count`, ``E_LABELS`` unless bool or 0 / 1, ``E_ONE_CLASS``.

    Example:
        >>> labels_of([1, 0], 2).tolist()
        [True, False]
    """
    marks = np.asarray(labels)
    if marks.ndim != 1 or len(marks) != count:
        raise DataError(f"expected a label for each of {count} scores, got {list(marks.shape)}", "E_SHAPE")
    if marks.dtype != bool and (marks.dtype.kind not in "fiu" or not ((marks == 0) | (marks == 1)).all()):
        raise DataError("expected labels that are bool or 0 / 1 (1 = target), got other values", "E_LABELS")
    targets = marks.astype(bool)
    hits = int(targets.sum())
    if hits in (0, count):
        raise DataError(f"trials of both classes are needed, got {hits} targets and {count - hits} non-targets", "E_ONE_CLASS")
    return targets


def columns_of(values: ArrayLike, what: str, width: int | None = None) -> NDArray[np.float64]:
    """Finite numbers [N] or [N, F] as [N, F] float64.

    Args:
        values: Scores of trials, or measures of them.
        what: Their name, for the message.
        width: How many columns there must be; None takes any.

    Raises:
        DataError: ``E_SHAPE``, or ``E_SCORES`` for NaN, infinity and what is no number.

    Example:
        >>> columns_of([1, 2, 3], "scores").shape
        (3, 1)
    """
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "fiub":
        raise DataError(f"expected {what} that are real numbers, got {numbers.dtype}", "E_SCORES")
    table = numbers.astype(np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or (width is not None and table.shape[1] != width):
        raise DataError(f"expected {what} [N, {width or 'F'}], got {list(numbers.shape)}", "E_SHAPE")
    bad = table.size - int(np.isfinite(table).sum())
    if bad:
        raise DataError(f"expected finite {what}, got {bad} NaN or infinite of {table.size}", "E_SCORES")
    return table
