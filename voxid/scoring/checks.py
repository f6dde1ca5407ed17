"""What scoring takes: rows of embeddings, labels, row numbers and stored states, each checked once at the door."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import DataError, ModelError


def as_rows(embeddings: ArrayLike, dim: int | None = None, what: str = "embeddings") -> NDArray:
    """Embeddings [n, D] as finite float64.

    Args:
        embeddings: One row per recording [n, D].
        dim: The D that is needed; None = any.
        what: Name of the rows in the error.

    Raises:
        DataError: ``E_SHAPE``, or ``E_EMBEDDING`` for NaN and infinity.

    Example:
        >>> as_rows([[1, 2]]).dtype
        dtype('float64')
    """
    try:
        rows = np.asarray(embeddings, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"expected {what} [n, D] as numbers, got {error}", "E_SHAPE") from error
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise DataError(f"expected {what} [n, D] with D >= 1, got {list(rows.shape)}", "E_SHAPE")
    if dim is not None and rows.shape[1] != dim:
        raise DataError(f"expected {what} [n, {dim}] as at fitting, got {list(rows.shape)}", "E_SHAPE")
    if not np.isfinite(rows).all():
        raise DataError(f"expected finite {what}, got NaN or infinity", "E_EMBEDDING")
    return rows


def as_codes(labels: ArrayLike, count: int, what: str = "speakers") -> tuple[NDArray, int]:
    """Labels of any kind [n] as numbers 0 ... K - 1 [n], and K.

    Raises:
        DataError: ``E_SPEAKERS``, not one label for each of `count` rows, or labels that cannot be compared with each other.

    Example:
        >>> codes, classes = as_codes(["bo", "al", "bo"], 3)
        >>> codes.tolist(), classes
        ([1, 0, 1], 2)
    """
    given = np.asarray(labels)
    if given.ndim != 1 or len(given) != count or count == 0:
        raise DataError(f"expected {what} [{count}], one label a row and at least one row, got {list(given.shape)}", "E_SPEAKERS")
    try:
        known, codes = np.unique(given, return_inverse=True)
    except TypeError as error:
        raise DataError(f"{what}: labels must all be of one kind ({error})", "E_SPEAKERS") from error
    return codes, len(known)


def as_index(index: ArrayLike, count: int) -> NDArray:
    """Row numbers [N], each within 0 ... count - 1.

    Raises:
        DataError: ``E_INDEX``.

    Example:
        >>> as_index([2, 0], 3).tolist()
        [2, 0]
    """
    rows = np.asarray(index)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise DataError(f"expected row numbers [N], got {rows.dtype} {list(rows.shape)}", "E_INDEX")
    if rows.size and not (rows.min() >= 0 and rows.max() < count):
        raise DataError(f"row numbers must lie within 0 ... {count - 1}, got {rows.min()} ... {rows.max()}", "E_INDEX")
    return rows.astype(np.intp, copy=False)


def as_pairs(enrol_index: ArrayLike, test_index: ArrayLike, enrols: int, tests: int) -> tuple[NDArray, NDArray]:
    """Row numbers of both sides of trials [N].

    Raises:
        DataError: ``E_INDEX``, or ``E_SHAPE`` where the sides differ in length.
    """
    enrol, test = as_index(enrol_index, enrols), as_index(test_index, tests)
    if enrol.shape != test.shape:
        raise DataError(f"expected as many enrol as test rows, got {enrol.size} and {test.size}", "E_SHAPE")
    return enrol, test


def as_counts(counts: ArrayLike | None, count: int) -> NDArray:
    """How many recordings each enrolment row is the mean of [n], float64; None = 1 each.

    Raises:
        DataError: ``E_SHAPE``, not one number of 1 or more for each row.
    """
    if counts is None:
        return np.ones(count)
    given = np.asarray(counts)
    if given.shape != (count,) or given.dtype.kind not in "iuf" or not (given >= 1).all() or not np.isfinite(given).all():
        raise DataError(f"expected counts [{count}], each 1 or more, got {given.dtype} {list(given.shape)}", "E_SHAPE")
    return given.astype(np.float64)


def restored(state: Mapping[str, NDArray], what: str, **shapes: tuple[int | str, ...]) -> dict[str, NDArray]:
    """The arrays of a stored state, checked.

    Args:
        state: What `state()` gave.
        what: Name of the part in the error.
        shapes: Of each array; a letter stands for any size, the same one wherever it occurs.

    Raises:
        ModelError: ``E_FORMAT``.

    Example:
        >>> sorted(restored({"mean": np.zeros(2), "matrix": np.eye(2)}, "lda", mean=("D",), matrix=("D", "R")))
        ['matrix', 'mean']
    """
    if set(state) != set(shapes):
        raise ModelError(f"{what}: expected the state {sorted(shapes)}, got {sorted(state)}", "E_FORMAT")
    sizes: dict[str, int] = {}
    arrays = {name: np.array(state[name], dtype=np.float64, order="C") for name in shapes}  # a copy: the caller's may change
    for name, shape in shapes.items():
        got = arrays[name].shape
        wanted = tuple(sizes.setdefault(of, size) if isinstance(of, str) else of for of, size in zip(shape, got, strict=False))
        if len(got) != len(shape) or got != wanted or not np.isfinite(arrays[name]).all():
            raise ModelError(f"{what}: {name} must be finite {list(shape)}, got {list(got)}", "E_FORMAT")
    return arrays


def not_fitted(what: str) -> ModelError:
    """The error of a part that is used before it was fitted."""
    return ModelError(f"{what} is not fitted: call fit(embeddings, speakers) first, or load a fitted one", "E_NOT_FITTED")
