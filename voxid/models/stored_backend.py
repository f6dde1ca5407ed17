"""A back-end as plain data and arrays: how it lies in a file of its own, and inside a model file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.errors import ModelError, VoxidError
from voxid.scoring.backend import Backend

# What arrays of wrong kinds and sizes make NumPy and Python raise.
REFUSALS = (TypeError, ValueError, KeyError, IndexError, ArithmeticError, AttributeError, MemoryError, RuntimeError)
PREFIX = "backend."  # of the names of its arrays in a model file


def stored(path: Path, backend: Backend) -> tuple[str, dict[str, NDArray]]:
    """The spec of a fitted back-end as JSON, and its arrays, each in memory of its own.

    Raises:
        ModelError: ``E_FORMAT`` for a spec that is no plain data, ``E_NOT_FINITE`` for NaN and infinity.
    """
    arrays = {name: np.array(array, order="C", copy=True) for name, array in backend.state().items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{path}: {name!r} of the back-end holds NaN or infinity; nothing was saved", "E_NOT_FINITE")
    return plain_json(path, backend.spec, "the spec of a back-end"), arrays


def plain_json(path: Path, data: Any, what: str) -> str:
    """JSON of plain data.

    Raises:
        ModelError: ``E_FORMAT`` for anything else.
    """
    try:
        return json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: {what} holds plain data only (finite numbers, texts, lists, mappings): {error}", "E_FORMAT"
        ) from error


def rebuilt(path: Path, spec: Any, arrays: Mapping[str, NDArray], *, imports: bool = False) -> Backend:
    """The back-end that `stored` took apart; runs no code but voxid's own.

    Args:
        path: The file, for errors.
        spec: The description, as it was read.
        arrays: The state.
        imports: Allow parts that go by an import path. Importing runs code: only for files that you trust.

    Raises:
        ModelError: ``E_FORMAT``: a description or arrays that do not hold together; ``E_IMPORT``.
    """
    if not isinstance(spec, dict):
        raise ModelError(
            f"{path}: the description of its back-end is malformed (a mapping of transforms, scorer, norm)", "E_FORMAT"
        )
    if not imports and (dotted := dotted_name(spec)):
        raise ModelError(f"{path}: {import_refusal('its back-end is ', dotted)}", "E_IMPORT")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ModelError(f"{path}: {name!r} of its back-end holds NaN, infinity or no numbers", "E_FORMAT")
    try:
        backend = Backend.restore(spec, dict(arrays))
    except (VoxidError, *REFUSALS) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path}: its back-end does not fit its description: {reason}", "E_FORMAT") from error
    # Each part checks itself; whether they fit together shows when a row passes through all of them.
    sizes = {size for array in arrays.values() for size in array.shape}
    if sizes and not any(_passes(backend, size) for size in sorted(sizes)):
        raise ModelError(f"{path}: the arrays of its back-end have sizes that do not fit together", "E_FORMAT")
    return backend


def _passes(backend: Backend, size: int) -> bool:
    """Whether a row of this size can be scored."""
    try:
        row = backend.transform(np.ones((1, size)))
        backend.scorer.score_trials(row, row, [0], [0])
    except (VoxidError, *REFUSALS):
        return False
    return backend.cohort is None or backend.cohort.shape[1] == row.shape[1]


def dotted_name(spec: Any) -> str | None:
    """A text with a dot anywhere in a description, None without one: parts by name have none, import paths have."""
    waiting = [spec]  # no recursion: a hostile description may be nested as deep as it likes
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and "." in value:
            return value
        waiting += value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return None


def import_refusal(what: str, dotted: str) -> str:
    """What is said of a file that would import a part."""
    return (
        f"{what}built from {dotted!r}, which would be imported, and importing runs code. "
        "If you trust the file, load it with imports=True"
    )
