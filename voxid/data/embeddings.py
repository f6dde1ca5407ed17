"""Embeddings of recordings as files: ours (.safetensors), Kaldi's archives (.ark, .scp), NumPy's (.npz)."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from voxid.atomic import check_name, replacing
from voxid.data.kaldi_vectors import read_kaldi_vectors
from voxid.data.prepared import check_place
from voxid.data.table import check_file
from voxid.errors import DataError

FORMAT = 1  # of our file
KALDI = (".ark", ".scp")


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of many recordings, in the order given.

    Args:
        names: The recordings that gave one.
        embeddings: Their rows [n, D], float32.
        failed: Name -> reason of the others.
        model: Facts about the model: name, sha256; empty where a file does not tell.
        facts: What was measured on the recordings, each [n], e.g. ``seconds``; empty where nothing was.
    """

    names: tuple[str, ...]
    embeddings: NDArray
    failed: Mapping[str, str] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, NDArray] = field(default_factory=dict)


def save_embeddings(path: str | Path, names: Sequence[str], embeddings: NDArray, model: Mapping[str, Any]) -> None:
    """Write embeddings [n, D] and the names of their recordings as one .safetensors file, whole or not at all.

    Tensors: ``embeddings`` [n, D] float32, and ``names``, a JSON list as UTF-8 bytes. Metadata: ``model``, JSON.

    Raises:
        DataError: ``E_SHAPE``, ``E_FORMAT`` for another suffix, ``E_DISK_FULL`` or ``E_WRITE``.
    """
    path, rows = Path(path), np.ascontiguousarray(embeddings, dtype=np.float32)
    check_embeddings_place(path)
    if rows.ndim != 2 or len(rows) != len(names):
        raise DataError(f"expected embeddings [{len(names)}, D] for {len(names)} names, got {list(rows.shape)}", "E_SHAPE")
    # Names stand beside the rows and not in the header, which the format limits to 100 MB.
    text = np.frombuffer(json.dumps(list(names)).encode(), dtype=np.uint8)
    metadata = {"format": f"voxid.embeddings/{FORMAT}", "model": json.dumps(dict(model))}
    with replacing(path, DataError) as temporary:
        temporary.write_bytes(save({"embeddings": rows, "names": text}, metadata))


def check_embeddings_place(path: Path) -> None:
    """Raise `DataError` for a place that `save_embeddings` could not write to."""
    if path.suffix != ".safetensors":
        raise DataError(f"{path}: a file of embeddings ends in .safetensors", "E_FORMAT")
    check_place(path)
    check_name(path, DataError)


def read_embeddings(path: str | Path) -> Embeddings:
    """Read what `save_embeddings` wrote.

    Raises:
        DataError: ``E_NOT_FILE``, or ``E_FORMAT`` for a file of another kind.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file() raises on a name that is too long
        raise DataError(f"{path}: there is no such file; expected embeddings that `voxid embed` wrote", "E_NOT_FILE")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != f"voxid.embeddings/{FORMAT}":
                raise ValueError(f"its format is {metadata.get('format')}")
            names = json.loads(file.get_tensor("names").tobytes())
            return Embeddings(tuple(names), file.get_tensor("embeddings"), {}, json.loads(metadata["model"]))
    except (SafetensorError, ValueError, KeyError, OSError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: not a file of embeddings that `voxid embed` wrote ({error})", "E_FORMAT") from error


def read_vectors(paths: str | Path | Sequence[str | Path]) -> Embeddings:
    """Embeddings out of one file or several, in any format that is understood; their rows one below the other.

    Args:
        paths: Files of `voxid embed` (.safetensors), Kaldi's archives or script files (.ark, .scp), or .npz with the arrays
            ``names`` [n] and ``embeddings`` [n, D].

    Raises:
        DataError: ``E_NOT_FILE``; ``E_FORMAT`` or ``E_KALDI`` for a file that cannot be read; ``E_SHAPE`` for rows that do not
            fit together; ``E_EMBEDDING`` for NaN and infinity; ``E_NAMES`` for a recording that comes twice; ``E_MODELS`` for
            embeddings of two models.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/a.npz", names=["x.wav", "y.wav"], embeddings=np.eye(2))
        ...     read_vectors(f"{folder}/a.npz").names
        ('x.wav', 'y.wav')
    """
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not files:
        raise DataError("no file of embeddings was given", "E_NOT_FILE")
    parts = [_read(file) for file in files]
    for file, part in zip(files, parts, strict=True):
        _check(file, part)
        if part.embeddings.shape[1] != parts[0].embeddings.shape[1]:
            sizes = f"D = {parts[0].embeddings.shape[1]} in {files[0]}, {part.embeddings.shape[1]} in {file}"
            raise DataError(f"embeddings of different sizes, {sizes}; take those of one model", "E_SHAPE")
    names = tuple(chain.from_iterable(part.names for part in parts))
    if len(set(names)) < len(names):
        first: dict[str, Path] = {}
        for file, part in zip(files, parts, strict=True):
            for name in part.names:
                if name in first:
                    raise DataError(f"{file}: the recording {name!r} comes again; it stands in {first[name]} already", "E_NAMES")
                first[name] = file
    rows = parts[0].embeddings if len(parts) == 1 else np.concatenate([part.embeddings for part in parts])
    return Embeddings(names, rows, {}, _one_model(files, parts))


def check_like(known: Embeddings, others: Embeddings, what: str) -> None:
    """Raise `DataError` for embeddings that cannot be compared: ``E_SHAPE`` another size, ``E_MODELS`` another model.

    Args:
        known, others: Read by `read_vectors`.
        what: What `others` are, for the error: "the cohort".
    """
    sizes = known.embeddings.shape[1], others.embeddings.shape[1]
    if sizes[0] != sizes[1]:
        raise DataError(f"the embeddings have D = {sizes[0]}, those of {what} {sizes[1]}; take those of one model", "E_SHAPE")
    makers = known.model.get("sha256"), others.model.get("sha256")
    if all(makers) and makers[0] != makers[1]:
        raise DataError(f"the embeddings and those of {what} come from two models, which cannot be compared", "E_MODELS")


def _read(path: Path) -> Embeddings:
    if path.suffix == ".safetensors":
        return read_embeddings(path)
    if path.suffix in KALDI:
        return Embeddings(*read_kaldi_vectors(path))
    if path.suffix == ".npz":
        return _from_npz(path)
    known = "a .safetensors of `voxid embed`, Kaldi's .ark or .scp, or a .npz with names and embeddings"
    raise DataError(f"{path}: embeddings come as {known}", "E_FORMAT")


def _from_npz(path: Path) -> Embeddings:
    check_file(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            names, rows = file["names"], file["embeddings"]
            if rows.dtype.kind not in "fiu" or names.dtype.kind not in "USiu":
                raise ValueError(f"its names are {names.dtype}, its embeddings {rows.dtype}")
            if names.dtype.kind == "S":
                names = np.char.decode(names, "utf-8")
            with np.errstate(over="ignore"):  # what is infinite as float32 is refused below, by name
                return Embeddings(tuple(str(name) for name in names), rows.astype(np.float32))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(
            f"{path}: no .npz with the arrays names [n] (text) and embeddings [n, D] ({reason})", "E_FORMAT"
        ) from error


def _check(path: Path, part: Embeddings) -> None:
    rows = part.embeddings
    if rows.ndim != 2 or len(rows) != len(part.names) or not rows.size or rows.dtype.kind != "f":
        raise DataError(
            f"{path}: expected embeddings [{len(part.names)}, D] of numbers for its {len(part.names)} names, "
            f"got {rows.dtype} {list(rows.shape)}",
            "E_SHAPE",
        )
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        name = part.names[int(finite.argmin())]
        raise DataError(
            f"{path}: {int((~finite).sum())} embeddings hold NaN or infinity, that of {name!r} the first", "E_EMBEDDING"
        )


def _one_model(files: Sequence[Path], parts: Sequence[Embeddings]) -> Mapping[str, Any]:
    """What the files tell of their model; those that tell nothing agree with all."""
    told = [(file, part.model) for file, part in zip(files, parts, strict=True) if part.model.get("sha256")]
    for file, model in told[1:]:
        if model["sha256"] != told[0][1]["sha256"]:
            raise DataError(f"{told[0][0]} and {file} hold embeddings of two models, which cannot be compared", "E_MODELS")
    return told[0][1] if told else parts[0].model
