"""Vectors in Kaldi's archives (.ark, binary or text) and script files (.scp).

Kaldi's own readers run whatever command an .scp holds and take a cut archive for a shorter one; here both are errors.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.atomic import replacing
from voxid.data.table import check_file
from voxid.errors import DataError

CODE = "E_KALDI"
BINARY = b"\0B"
TYPES: dict[bytes, np.dtype[Any]] = {b"FV ": np.dtype("<f4"), b"DV ": np.dtype("<f8")}
HEAD = len(BINARY) + len(b"FV \4") + 4  # what stands before the numbers: mark, token, size of the size, size
LONGEST_KEY = 4096
Entry = tuple[str, NDArray]


def read_kaldi_vectors(path: str | Path) -> tuple[tuple[str, ...], NDArray]:
    """Keys and vectors [n, D], float32, of an archive (.ark) or a script file (.scp: ``key archive[:offset]``).

    Args:
        path: Float or double vectors, binary or text. A relative archive of an .scp is looked for in the working folder, as Kaldi
            does, then beside the .scp.

    Raises:
        DataError: ``E_NOT_FILE``; ``E_KALDI`` with the place: damaged or cut, another kind of object, a key that comes twice, a
            command or a range in an .scp; ``E_SHAPE`` for vectors of different lengths.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_kaldi_vectors(f"{folder}/a.ark", ["anna", "ben"], np.eye(2))
        ...     read_kaldi_vectors(f"{folder}/a.ark")[0]
        ('anna', 'ben')
    """
    path = Path(path)
    check_file(path)
    entries = list(_scripted(path) if path.suffix == ".scp" else _archived(path))
    if not entries:
        raise DataError(f"{path}: no vector in it", CODE)
    names = tuple(key for key, _ in entries)
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(key for key in names if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise DataError(f"{path}: the key {twice!r} comes twice", CODE)
    width = len(entries[0][1])
    other = next((entry for entry in entries if len(entry[1]) != width), None)
    if other is not None:
        raise DataError(
            f"{path}: {names[0]!r} has {width} values, {other[0]!r} has {len(other[1])}; expected one length", "E_SHAPE"
        )
    rows = np.empty((len(entries), width), np.float32)
    with np.errstate(over="ignore"):  # a double that float32 cannot hold becomes infinite: whoever reads refuses it, by name
        for row, (_, vector) in zip(rows, entries, strict=True):
            row[:] = vector
    return names, rows


def write_kaldi_vectors(
    path: str | Path, names: Sequence[str], rows: NDArray, *, scp: str | Path | None = None, text: bool = False
) -> None:
    """Write vectors [n, D] as float32 to an archive, whole or not at all.

    Args:
        path: The .ark.
        names: Their keys [n]: no blanks, none twice.
        rows: The vectors.
        scp: Also write this script file, which names `path` as it is given here.
        text: Numbers as text, with all the digits that float32 needs.

    Raises:
        DataError: ``E_SHAPE``, ``E_KALDI`` for a key that cannot stand in an archive, ``E_DISK_FULL`` or ``E_WRITE``.
    """
    rows = np.ascontiguousarray(rows, "<f4")
    if rows.ndim != 2 or len(rows) != len(names):
        raise DataError(f"expected vectors [{len(names)}, D] for {len(names)} names, got {list(rows.shape)}", "E_SHAPE")
    _check_keys(Path(path), names)
    offsets, at = [], 0
    with replacing(path, DataError) as temporary, temporary.open("wb") as stream:
        for name, row in zip(names, rows, strict=True):
            key = name.encode() + b" "
            offsets.append(at + len(key))
            at += stream.write(key + (_text(row) if text else _binary(row)))
    if scp is not None:
        with replacing(scp, DataError) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as lines:
            lines.writelines(f"{name} {os.fspath(path)}:{offset}\n" for name, offset in zip(names, offsets, strict=True))


def _archived(path: Path) -> Iterator[Entry]:
    """The entries of an archive, one after the other."""
    data, at = _mapped(path), 0
    while at < len(data):
        end = data.find(b" ", at, at + LONGEST_KEY)
        key = _key(data[at:end]) if end > at else ""
        if not key:
            if not data[at:].strip():
                return
            raise DataError(f"{path}: byte {at}: no key and no vector; not an archive of Kaldi, or a damaged one", CODE)
        vector, at = _vector(data, end + 1, f"{path}: {key!r}")
        yield key, vector


def _scripted(path: Path) -> Iterator[Entry]:
    """The entries that a script file points to."""
    archives: dict[str, mmap.mmap | bytes] = {}
    for line, raw in enumerate(path.read_bytes().splitlines(), 1):
        if not raw.strip():
            continue
        where = f"{path}:{line}"
        try:
            key, place = raw.decode().split(maxsplit=1)
        except ValueError as error:
            raise DataError(f"{where}: expected a key and an archive, as in `utt1 vectors.ark:5`", CODE) from error
        name, offset = _place(place.strip(), where)
        if name not in archives:
            archives[name] = _mapped(_found(name, path))
        yield key, _vector(archives[name], offset, f"{where}: {key!r}")[0]


def _place(place: str, where: str) -> tuple[str, int]:
    """File and offset of an entry of a script file."""
    if place.startswith("|") or place.endswith("|"):
        raise DataError(
            f"{where}: {place[:80]!r} is a command, which voxid never runs; copy the vectors to an archive first", CODE
        )
    if place.endswith("]"):
        raise DataError(f"{where}: {place[-40:]!r} takes a range of a vector, which is not read; copy the vectors first", CODE)
    name, colon, offset = place.rpartition(":")
    return (name, int(offset)) if colon and offset.isascii() and offset.isdigit() else (place, 0)


def _found(name: str, scp: Path) -> Path:
    beside = scp.parent / name
    found = beside if not os.path.isfile(name) and os.path.isfile(beside) else Path(name)  # noqa: PTH113 - raises on long names
    check_file(found)
    return found


def _mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            return b""
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _vector(data: mmap.mmap | bytes, at: int, what: str) -> tuple[NDArray, int]:
    """The vector at a place, and the place behind it."""
    head = data[at : at + HEAD]
    if head[:2] != BINARY:
        return _from_text(data, at, what)
    dtype = TYPES.get(head[2:5])
    if dtype is None:
        raise DataError(f"{what}: a binary {head[2:5].strip()!r}, expected a vector of floats (FV) or doubles (DV)", CODE)
    size = int.from_bytes(head[6:], "little", signed=True)
    stop = at + HEAD + size * dtype.itemsize
    if len(head) < HEAD or head[5:6] != b"\4" or size < 1 or stop > len(data):
        raise DataError(f"{what}: the archive is cut or damaged there, or the vector is empty", CODE)
    return np.frombuffer(data, dtype, size, at + HEAD), stop


def _from_text(data: mmap.mmap | bytes, at: int, what: str) -> tuple[NDArray, int]:
    end = data.find(b"\n", at)
    stop = len(data) if end < 0 else end + 1
    words = data[at:stop].split()
    try:
        if len(words) < 3 or words[0] != b"[" or words[-1] != b"]":
            raise ValueError
        return np.array([float(word) for word in words[1:-1]]), stop
    except ValueError as error:
        raise DataError(f"{what}: neither a binary vector nor one as text, `[ 0.5 -1 ]` on a line", CODE) from error


def _binary(row: NDArray) -> bytes:
    return BINARY + b"FV \4" + len(row).to_bytes(4, "little") + row.tobytes()


def _text(row: NDArray) -> bytes:
    # str() of a float32 is the shortest text that reads back as the same float32.
    return f" [ {' '.join(map(str, row))} ]\n".encode()


def _key(raw: bytes) -> str:
    """A key, or "" for what cannot be one."""
    try:
        key = raw.lstrip(b"\n").decode()
    except UnicodeDecodeError:
        return ""
    return key if key.isprintable() else ""


def _check_keys(path: Path, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise DataError(f"{path}: a key comes twice among the {len(names)}; an archive has one vector a key", CODE)
    for name in names:
        try:
            good = name.encode().split() == [name.encode()] and name.isprintable()
        except UnicodeEncodeError:
            good = False
        if not good or len(name.encode()) >= LONGEST_KEY:
            raise DataError(
                f"{path}: {name[:80]!a} cannot be a key of Kaldi: empty, a blank in it, or not UTF-8; rename it", CODE
            )
