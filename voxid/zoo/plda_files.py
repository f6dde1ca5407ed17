"""PLDA of other toolkits: Kaldi's `plda` files, read and written, and WeSpeaker's HDF5 files, read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.atomic import replacing
from voxid.errors import ModelError
from voxid.extras import need
from voxid.scoring.plda import LengthNorm, Plda, model_of

BINARY = b"\0B<Plda> "
OPENING, CLOSING = b"<Plda>", b"</Plda>"
HDF5 = b"\x89HDF\r\n\x1a\n"
# More dimensions than any embedding has: a damaged size is refused before memory is asked for.
LARGEST = 65_536
NAMES = ("mean", "transform", "psi")


def read_plda(path: str | Path, *, length_norm: LengthNorm | None = None) -> Plda:
    """A scorer from a file of Kaldi (binary or text) or WeSpeaker (HDF5); which of them, the first bytes say.

    The scores of a Kaldi file are true log-likelihood ratios of the rows. Kaldi's own program scales rows first, which
    ``length_norm="kaldi"`` does too. A WeSpeaker file says itself whether it was trained on scaled rows, and one of before 2024,
    which says nothing, always was; then the scorer gets ``length_norm="wespeaker"`` unless another is asked for. The mean that
    WeSpeaker takes off before that is in no file: put a ``center`` before the scorer.

    Args:
        path: The file.
        length_norm: As of `Plda`.

    Raises:
        ModelError: ``E_NOT_FOUND``; ``E_FORMAT`` for another kind of file, or a damaged or cut one.
        ConfigError: ``E_EXTRA``, h5py is not installed.

    Example:
        >>> import tempfile
        >>> from voxid.scoring.two_covariance import TwoCovariance
        >>> known = Plda.of(TwoCovariance.of(np.ones(2), np.eye(2), np.diag([3.0, 1.0])))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_kaldi_plda(f"{folder}/plda", known)
        ...     read_plda(f"{folder}/plda").model.psi.tolist()
        [3.0, 1.0]
    """
    path = Path(path)
    head = _head(path)
    if head.startswith(HDF5):
        arrays, scaled = _wespeaker(path)
        length_norm = length_norm or ("wespeaker" if scaled else None)
    elif head.startswith(BINARY):
        arrays = _binary(path.read_bytes(), path)
    elif head.lstrip().startswith(OPENING):
        arrays = _text(path.read_bytes(), path)
    else:
        raise _refusal(path, "neither a plda of Kaldi (binary or text) nor an HDF5 file of WeSpeaker")
    try:
        return Plda.of(model_of(arrays), length_norm)
    except ModelError as error:
        raise _refusal(path, str(error)) from error


def is_plda(path: str | Path) -> bool:
    """Whether a file begins as those that `read_plda` reads do."""
    path = Path(path)
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file() raises on a name that is too long
        return False
    return is_kaldi_plda(path) or _head(path).startswith(HDF5)


def is_kaldi_plda(path: Path) -> bool:
    """Whether a file begins as Kaldi's do."""
    head = _head(path)
    return head.startswith(BINARY) or head.lstrip().startswith(OPENING)


def write_kaldi_plda(path: str | Path, scorer: Plda, *, text: bool = False) -> None:
    """Write a scorer as Kaldi's `plda`, in doubles, whole or not at all; what was read from such a file comes back bit for bit.

    Args:
        path: The file.
        scorer: Fitted or imported; its `length_norm` is no part of such files.
        text: Numbers as text, with all their digits.

    Raises:
        ModelError: ``E_NOT_FITTED``, ``E_DISK_FULL`` or ``E_WRITE``.
    """
    state = scorer.state()
    parts = [np.ascontiguousarray(state[name], "<f8") for name in NAMES]
    if text:
        body = f"{OPENING.decode()} {''.join(map(_as_text, parts))}{CLOSING.decode()} ".encode()
    else:
        body = BINARY + b"".join(map(_as_binary, parts)) + CLOSING + b" "
    with replacing(path, ModelError) as temporary:
        temporary.write_bytes(body)


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ModelError(f"{path}: a folder, expected a file with a PLDA model", "E_NOT_FOUND")
        with path.open("rb") as stream:
            return stream.read(64)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{path}: cannot be read ({reason}); check the path", "E_NOT_FOUND") from error


def _binary(data: bytes, path: Path) -> dict[str, NDArray]:
    at, arrays = len(BINARY), {}
    for name, axes in zip(NAMES, (1, 2, 1), strict=True):
        arrays[name], at = _array(data, at, axes, name, path)
    if data[at:].strip() != CLOSING:
        raise _refusal(path, f"damaged or cut: {CLOSING.decode()} must end it, got {data[at : at + 16]!r}")
    return arrays


def _array(data: bytes, at: int, axes: int, name: str, path: Path) -> tuple[NDArray, int]:
    """A vector or matrix of floats or doubles at a place, and the place behind it."""
    kind = "VM"[axes - 1]
    types: dict[bytes, np.dtype] = {f"F{kind} ".encode(): np.dtype("<f4"), f"D{kind} ".encode(): np.dtype("<f8")}
    dtype = types.get(data[at : at + 3])
    if dtype is None:
        raise _refusal(path, f"damaged or cut: {name} must be F{kind} or D{kind}, got {data[at : at + 3]!r}")
    at += 3
    shape = []
    for _ in range(axes):
        size = int.from_bytes(data[at + 1 : at + 5], "little", signed=True)
        if data[at : at + 1] != b"\4" or not 0 < size <= LARGEST:
            raise _refusal(path, f"damaged or cut: {name} has no valid size")
        shape.append(size)
        at += 5
    count = int(np.prod(shape))
    if at + count * dtype.itemsize > len(data):
        raise _refusal(path, f"cut: {name} {shape} goes beyond the end of the file")
    return np.frombuffer(data, dtype, count, at).reshape(shape).astype(np.float64), at + count * dtype.itemsize


def _text(data: bytes, path: Path) -> dict[str, NDArray]:
    number = rb"[^\[\]]*"
    found = re.fullmatch(rb"\s*<Plda>\s*\[(%s)\]\s*\[(%s)\]\s*\[(%s)\]\s*</Plda>\s*" % (number, number, number), data)
    if found is None:
        raise _refusal(path, "damaged or cut: expected <Plda>, a vector, a matrix and a vector in [ ], and </Plda>")
    rows = [line.split() for line in found[2].splitlines() if line.strip()]
    try:
        mean, transform, psi = (np.array(part, dtype=np.float64) for part in (found[1].split(), rows, found[3].split()))
    except ValueError as error:
        raise _refusal(path, f"damaged: {error}") from error
    return dict(zip(NAMES, (mean, transform, psi), strict=True))


def _wespeaker(path: Path) -> tuple[dict[str, NDArray], bool]:
    """Arrays, and whether rows are scaled to length sqrt(D)."""
    h5py = need("h5py", extra="data")
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: _dataset(file, "mu" if name == "mean" else name, path) for name in NAMES}
            offset = _dataset(file, "offset", path) if "offset" in file else None
            # The first versions of WeSpeaker had no such choice: they scaled always.
            scaled = bool(file["normalize_length"][()]) if "normalize_length" in file else True
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _refusal(path, f"not a PLDA of WeSpeaker, or damaged ({' '.join(str(error).split())[:120]})") from error
    _check_offset(arrays, offset, path)
    return arrays, scaled


def _dataset(file: Any, name: str, path: Path) -> NDArray:
    found = file[name]
    if max(getattr(found, "shape", None) or (LARGEST + 1,)) > LARGEST:
        raise _refusal(path, f"{name} must be an array of numbers")
    return np.asarray(found[()], dtype=np.float64)


def _check_offset(arrays: dict[str, NDArray], offset: NDArray | None, path: Path) -> None:
    """WeSpeaker scores with `offset`; it must be what the mean gives, or the file means something else."""
    if offset is None or arrays["transform"].ndim != 2 or arrays["transform"].shape[1:] != arrays["mean"].shape:
        return  # shapes are checked where all arrays are
    expected = -arrays["transform"] @ arrays["mean"]
    if offset.shape != expected.shape or not np.allclose(offset, expected, rtol=1e-4, atol=1e-4):
        raise _refusal(path, "its offset is not -transform mu; was the file edited?")


def _as_binary(array: NDArray) -> bytes:
    sizes = b"".join(b"\4" + size.to_bytes(4, "little") for size in array.shape)
    return (b"DV ", b"DM ")[array.ndim - 1] + sizes + array.tobytes()


def _as_text(array: NDArray) -> str:
    # repr() of a double is the shortest text that reads back as the same double.
    rows = [" ".join(map(repr, row.tolist())) for row in np.atleast_2d(array)]
    return f" [ {rows[0]} ]\n" if array.ndim == 1 else " [\n  " + " \n  ".join(rows) + " ]\n"


def _refusal(path: str | os.PathLike[str], reason: str) -> ModelError:
    return ModelError(f"{path}: {reason}", "E_FORMAT")
