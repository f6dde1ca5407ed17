"""Manifests: which recordings there are, who speaks in them and how long they are."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import overload

import numpy as np

from voxid.data.table import CODE, Row, numbered_rows, read_table, write_table
from voxid.errors import DataError, did_you_mean

DURATION = ("duration", "duration_s")  # accepted names of the column, the first is the one that is written
Where = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording of one speaker.

    Args:
        path: The file; absolute when it comes from a manifest.
        speaker: Label of the speaker.
        duration: Length in seconds.
        extra: Further columns of the manifest, as text.
    """

    path: Path
    speaker: str
    duration: float
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, eq=False)
class Manifest(Sequence[Utterance]):
    """Utterances, kept column by column: a million of them is read in seconds. An item is an `Utterance`, a slice a `Manifest`.

    Args:
        root: The folder that the paths in the file are relative to; trial lists name recordings relative to it too.
        paths: Absolute paths.
        speakers: Speaker of each utterance.
        durations: Length of each, in seconds.
        extra: Further columns, as text.
    """

    root: Path
    paths: list[str]
    speakers: list[str]
    durations: np.ndarray
    extra: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Utterance], root: str | Path = ".") -> Manifest:
        """A manifest of these utterances; a column that one of them lacks is empty there."""
        rows = list(rows)
        names = dict.fromkeys(name for row in rows for name in row.extra)
        extra = {name: [row.extra.get(name, "") for row in rows] for name in names}
        durations = np.array([row.duration for row in rows], np.float64)
        paths, speakers = [str(row.path) for row in rows], [row.speaker for row in rows]
        return cls(Path(os.path.realpath(root)), paths, speakers, durations, extra)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> Manifest: ...
    def __getitem__(self, index: int | slice) -> Utterance | Manifest:
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        extra = {name: column[index] for name, column in self.extra.items()}
        return Utterance(Path(self.paths[index]), self.speakers[index], float(self.durations[index]), extra)

    def __add__(self, other: Manifest) -> Manifest:
        """Both, one after the other; a column that one of them lacks is empty there."""
        names = list(dict.fromkeys([*self.extra, *other.extra]))
        extra = {name: self.extra.get(name, [""] * len(self)) + other.extra.get(name, [""] * len(other)) for name in names}
        root = Path(os.path.commonpath([self.root, other.root]))
        durations = np.concatenate([self.durations, other.durations])
        return Manifest(root, self.paths + other.paths, self.speakers + other.speakers, durations, extra)

    def select(self, rows: Iterable[int]) -> Manifest:
        """The utterances with these indices."""
        rows = list(rows)
        extra = {name: [column[row] for row in rows] for name, column in self.extra.items()}
        paths, speakers = [self.paths[row] for row in rows], [self.speakers[row] for row in rows]
        return Manifest(self.root, paths, speakers, self.durations[rows], extra)

    def column(self, name: str) -> list[str]:
        """A column by name, ``path`` and ``speaker`` among them.

        Raises:
            DataError: There is no such column.
        """
        known = {"path": self.paths, "speaker": self.speakers, **self.extra}
        if name not in known:
            raise DataError(f"no column {name!r} in the manifest: {did_you_mean(name, known)}", CODE)
        return known[name]

    def labels(self) -> tuple[list[str], np.ndarray]:
        """The K speakers in sorted order, and the index of each utterance's speaker among them [n]."""
        names = sorted(set(self.speakers))
        index = {name: number for number, name in enumerate(names)}
        return names, np.fromiter((index[name] for name in self.speakers), np.int64, len(self))

    def relative(self) -> list[str]:
        """The paths relative to `root`, with forward slashes: the names that trial lists use."""
        return [_relative(path, str(self.root)) for path in self.paths]

    @property
    def hours(self) -> float:
        """Sum of the durations, in hours."""
        return float(self.durations.sum()) / 3600


def read_manifest(
    path: str | Path,
    *,
    root: str | Path | None = None,
    where: Where | None = None,
    speaker: str | None = "speaker",
    check_files: bool = False,
) -> Manifest:
    """Read a manifest: CSV with a header, or JSON lines, with the columns path, speaker, duration (or duration_s) and any others.

    Args:
        path: The manifest, UTF-8.
        root: The folder that its paths are relative to, which they then must not leave; by default the manifest's own folder.
        where: Keep the rows whose columns hold these values, e.g. ``{"split": "train", "lang": ["fr", "de"]}``.
        speaker: The column that names the speaker; None where there is none (noise), and every speaker is "".
        check_files: Look whether every file is there.

    Raises:
        DataError: ``E_NOT_FILE`` for a file that is not there, ``E_MANIFEST`` for anything malformed, with file and line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "m.csv").write_text("path,speaker,duration,split\\na.wav,anna,1.5,train\\nb.wav,ben,2,test\\n")
        ...     read_manifest(f"{folder}/m.csv", where={"split": "test"})[0].speaker
        'ben'
    """
    path = Path(path)
    header, blocks = read_table(path)
    names = {"path": "path", "duration": next((name for name in DURATION if name in header), DURATION[0])}
    if speaker is not None:
        names["speaker"] = speaker
    _check_header(path, header, [*names.values(), *(where or {})])
    columns = _columns(blocks, header, where or {})
    if not columns["path"]:
        raise DataError(f"{path}: no utterance{_not_met(path, header, where or {})}", CODE)
    folder = Path(os.path.realpath(path.parent if root is None else root))
    _check_names(path, header, columns, [name for key, name in names.items() if key != "duration"])
    durations = _durations(path, header, columns.pop(names["duration"]), names["duration"])
    names_in_file = columns.pop("path")
    paths = _located(path, header, names_in_file, str(folder), inside=root is not None)
    if check_files:
        _check_files(path, header, names_in_file, paths)
    speakers = [""] * len(paths) if speaker is None else columns.pop(speaker)
    return Manifest(folder, paths, speakers, durations, columns)


def write_manifest(path: str | Path, rows: Iterable[Utterance], *, root: str | Path | None = None) -> None:
    """Write a manifest as CSV, whole or not at all, with the paths relative to a folder.

    Args:
        path: Where to.
        rows: A `Manifest` or utterances.
        root: The folder that the paths are written relative to; by default the folder of `path`, where a reader looks first.

    Raises:
        DataError: ``E_NAME`` for a path that is not UTF-8, ``E_DISK_FULL`` or ``E_WRITE``.
    """
    path = Path(path)
    folder = Path(os.path.realpath(path.parent if root is None else root))
    manifest = rows if isinstance(rows, Manifest) else Manifest.of(rows)
    names = [_relative(name, str(folder)) for name in manifest.paths]
    durations = map(repr, manifest.durations.tolist())
    header = ["path", "speaker", DURATION[0], *manifest.extra]
    write_table(path, header, zip(names, manifest.speakers, durations, *manifest.extra.values(), strict=True))


def _check_header(path: Path, header: Row, needed: Iterable[str]) -> None:
    for name in needed:
        if name not in header:
            raise DataError(
                f"{path}:1: no column {name!r}: {did_you_mean(name, header)}. "
                "Expected path,speaker,duration[,...], as `voxid prepare` writes",
                CODE,
            )


def _columns(blocks: Iterable[list[Row]], header: Row, where: Where) -> dict[str, list[str]]:
    wanted = [(header.index(name), _values(value)) for name, value in where.items()]
    pieces: list[list[Sequence[str]]] = [[] for _ in header]
    known: list[dict[str, str]] = [{} for _ in header]
    for block in blocks:
        for index, values in wanted:
            block = [row for row in block if row[index] in values]
        # Pieces are tuples and are joined once: the garbage collector would walk growing lists again and again.
        for piece, column, seen in zip(pieces, zip(*block, strict=True), known, strict=False):
            piece.append(_shared(column, seen))
    return {name: list(chain.from_iterable(piece)) for name, piece in zip(header, pieces, strict=True)}


def _shared(column: tuple[str, ...], seen: dict[str, str]) -> tuple[str, ...]:
    """The column with one object per value where values repeat (a speaker, a language): a third of the memory."""
    values = set(column)
    if len(values) * 2 > len(column):
        return column
    one = {value: seen.setdefault(value, value) for value in values}
    return tuple([one[value] for value in column])


def _values(value: object) -> set[str]:
    several = isinstance(value, Collection) and not isinstance(value, str)
    return {str(item) for item in value} if several else {str(value)}  # type: ignore[attr-defined]


def _not_met(path: Path, header: Row, where: Where) -> str:
    asked = ", ".join(f"{name}={value}" for name, value in where.items())
    held = []
    for name in where:
        values = {row[header.index(name)] for block in read_table(path)[1] for row in block}
        held.append(f"{name}: {', '.join(sorted(values)[:10])}")
    return f" with {asked}; there is {'; '.join(held)}" if where else " in it"


def _check_names(path: Path, header: Row, columns: Mapping[str, Row], needed: Iterable[str]) -> None:
    for name in needed:
        if "" in columns[name]:
            raise DataError(f"{path}:{_lines(path, header, [name], ('',))[0]}: {name} is empty", CODE)
    # An utterance goes by its id where there is one, else by its path and, for pieces of long recordings, where it starts.
    names = ["id"] if "id" in columns else [name for name in ("path", "start") if name in columns]
    keys = list(zip(*(columns[name] for name in names), strict=True))
    if len(set(keys)) < len(keys):
        lines = _lines(path, header, names, next(key for key, number in Counter(keys).items() if number > 1))
        raise DataError(f"{path}:{lines[1]}: the {' and '.join(names)} of line {lines[0]} again; an utterance has one row", CODE)


def _durations(path: Path, header: Row, values: Row, name: str) -> np.ndarray:
    try:
        durations = np.array([float(value) for value in values])
    except ValueError:
        durations = np.array([_seconds(value) for value in values])
    wrong = ~((durations > 0) & (durations < math.inf))
    if wrong.any():
        value = values[int(wrong.argmax())]
        line = _lines(path, header, [name], (value,))[0]
        raise DataError(f"{path}:{line}: {name} is {value!r}; expected a length in seconds above 0", CODE)
    return durations


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _lines(path: Path, header: Row, names: Sequence[str], values: tuple[str, ...]) -> list[int]:
    """The lines on which the columns hold these values: read anew, so that good manifests pay nothing for it."""
    at = [header.index(name) for name in names]
    return [line for line, row in numbered_rows(path) if row != header and tuple(row[i] for i in at) == values]


def _located(path: Path, header: Row, names: Row, root: str, *, inside: bool) -> list[str]:
    paths = []
    for name in names:
        if name[0] == "/" or "./" in name or "//" in name or name.endswith(".."):
            located = os.path.normpath(os.path.join(root, name))  # noqa: PTH118 - a million times
            if inside and not located.startswith(root.rstrip("/") + "/"):
                line = _lines(path, header, ["path"], (name,))[0]
                raise DataError(f"{path}:{line}: {name!r} leaves the folder {root}, which was given as the root", CODE)
            paths.append(located)
        else:
            paths.append(f"{root}/{name}")
    return paths


def _check_files(path: Path, header: Row, names: Row, paths: list[str]) -> None:
    missing = [number for number, file in enumerate(paths) if not os.path.isfile(file)]  # noqa: PTH113 - a million times
    if missing:
        line = _lines(path, header, ["path"], (names[missing[0]],))[0]
        raise DataError(
            f"{path}:{line}: {len(missing)} of {len(paths)} recordings are not there, {paths[missing[0]]} the first. "
            "Paths are relative to the manifest's folder, or to a root that you name",
            "E_NOT_FILE",
        )


def _relative(path: str, root: str) -> str:
    prefix = root.rstrip("/") + "/"
    if path.startswith(prefix):
        return path[len(prefix) :]
    return os.path.relpath(path, root).replace(os.sep, "/")
