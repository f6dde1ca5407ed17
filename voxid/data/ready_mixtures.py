"""Mixtures that a corpus ships ready made: a manifest that names, row by row, the mixture and its sources -> waveforms."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxid.audio import io
from voxid.data.manifest import DURATION, Where
from voxid.data.manifests import Paths
from voxid.data.mixtures import Rendered
from voxid.data.table import CODE, Row, numbered_rows, write_table
from voxid.errors import AudioError, ConfigError, DataError, did_you_mean

MIXTURE, NOISE = "mixture", "noise"
SOURCE, SPEAKER = re.compile(r"s[1-9]\d*"), re.compile(r"s[1-9]\d*_speaker")
EXPECTED = "expected mixture,s1[,s2 ...][,noise],duration_s[,split ...], as `voxid prepare` writes for a corpus of mixtures"


@dataclass(frozen=True, eq=False)
class ReadyMixtures:
    """Mixtures on disk and the recordings of their sources; `read_ready` makes it.

    Args:
        mixtures: Absolute paths.
        sources: Of each mixture the absolute paths of its S sources; "" for one that it does not have.
        durations: Length of each mixture, in seconds.
        extra: The further columns, as text; ``id`` is always among them.
        rows: File and line of each, for messages.
    """

    mixtures: list[str]
    sources: list[tuple[str, ...]]
    durations: np.ndarray
    extra: dict[str, list[str]] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.mixtures)

    @property
    def num_sources(self) -> int:
        """S; a mixture may have fewer, the others are silent."""
        return len(self.sources[0])

    @property
    def ids(self) -> list[str]:
        """Their names: the column ``id``, else the path of the mixture."""
        return self.extra["id"]

    def column(self, name: str) -> list[str]:
        """A further column by name.

        Raises:
            DataError: There is no such column.
        """
        if name not in self.extra:
            raise DataError(f"no column {name!r} in the manifest: {did_you_mean(name, self.extra)}", CODE)
        return self.extra[name]

    def select(self, rows: Iterable[int]) -> ReadyMixtures:
        """The mixtures with these indices."""
        rows = list(rows)
        extra = {name: [column[row] for row in rows] for name, column in self.extra.items()}
        mixtures, sources = [self.mixtures[row] for row in rows], [self.sources[row] for row in rows]
        return ReadyMixtures(mixtures, sources, self.durations[rows], extra, [self.rows[row] for row in rows])

    def files(self) -> set[str]:
        """Absolute paths of all recordings, mixtures and sources."""
        return {*self.mixtures, *(path for paths in self.sources for path in paths if path)}

    def speakers(self) -> set[str]:
        """Labels in the columns ``s1_speaker``, ``s2_speaker`` ...; empty where the manifest names nobody."""
        return {label for column in speaker_columns(self.extra) for label in column if label}

    def num_samples(self, index: int, sample_rate: int = 16000) -> int:
        """Length of a mixture at a rate, by the manifest."""
        return max(1, round(float(self.durations[index]) * sample_rate))

    def whole(self, index: int, sample_rate: int = 16000) -> Rendered:
        """A mixture from its beginning to its end, as long as its recording is."""
        mixture = self._read(index, self.mixtures[index], 0, None, sample_rate)
        return self._rendered(index, mixture, 0, sample_rate)

    def piece(self, index: int, start: int, samples: int, sample_rate: int = 16000) -> Rendered:
        """A part of a mixture; only that part is read. Behind the end of the recordings it is zero.

        Args:
            index: Which mixture.
            start, samples: Where the part begins and how long it is, in samples at `sample_rate`.
            sample_rate: In Hz; the recordings are resampled to it.

        Returns:
            `mixture` [samples], the `sources` [S, samples] at their level in it, and as `noise` what is left of the mixture.

        Raises:
            DataError: With file and line: a recording that is missing or cannot be read.
        """
        if start < 0 or samples < 1:
            raise ConfigError(f"a piece begins at 0 or later and has a sample or more, got start={start}, samples={samples}")
        mixture = self._read(index, self.mixtures[index], start, samples, sample_rate)
        return self._rendered(index, mixture, start, sample_rate)

    def _rendered(self, index: int, mixture: np.ndarray, start: int, sample_rate: int) -> Rendered:
        length = len(mixture)
        parts = [self._read(index, path, start, length, sample_rate) for path in self.sources[index]]
        sources = np.stack(parts)
        # Not the recording of the noise: that may have other roundings, or (WHAMR!) leave out what the room adds.
        return Rendered(mixture, sources, (mixture - sources.sum(axis=0, dtype=np.float64)).astype(np.float32))

    def _read(self, index: int, path: str, start: int, samples: int | None, sample_rate: int) -> np.ndarray:
        """float32 [samples] of a recording, zeros behind its end; the whole of it without `samples`."""
        if not path and samples is not None:
            return np.zeros(samples, np.float32)
        duration = None if samples is None else samples / sample_rate
        try:
            found = io.load(path, sample_rate=sample_rate, offset=start / sample_rate, duration=duration).waveform
        except AudioError as error:
            if error.code != "E_EMPTY" or not start or samples is None:
                raise DataError(f"{self.rows[index]}: {error}", error.code) from error
            found = np.zeros(0, np.float32)  # it ended before
        return found if samples is None else np.pad(found[:samples], (0, max(0, samples - len(found))))


def read_ready(
    manifest: Paths, *, root: Paths | None = None, where: Where | None = None, num_sources: int | None = None
) -> ReadyMixtures:
    """Read manifests of ready-made mixtures: ``mixture,s1[,s2 ...][,noise],duration_s`` and any further columns.

    An empty cell is a source that this mixture does not have. The recording of the noise is not read: the noise of a mixture is
    what its sources leave of it.

    Args:
        manifest: One or several, CSV or JSON lines.
        root: The folder that their paths are relative to, and that they must not leave: one for all, or one each. None = each
            manifest's own folder.
        where: Keep the rows whose columns hold these values, e.g. ``{"split": "train"}``.
        num_sources: S; where a mixture has fewer, the others are silent. By default the most that one of them has.

    Raises:
        ConfigError: No manifest, or another number of roots.
        DataError: ``E_NOT_FILE``, ``E_MANIFEST`` for anything malformed, with file and line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "m.csv"
        ...     _ = path.write_text("mixture,s1,s2,duration_s,split\\nmix/a.wav,s1/a.wav,,2.5,train\\n")
        ...     mixtures = read_ready(path, num_sources=2)
        >>> len(mixtures), mixtures.num_sources, mixtures.num_samples(0, 8000), mixtures.ids
        (1, 2, 20000, ['mix/a.wav'])
    """
    files, folders = _listed(manifest), _listed(root)
    if not files or len(folders) not in (0, 1, len(files)):
        raise ConfigError(f"{len(files)} manifests and {len(folders)} roots; give one root for all, one each, or none")
    folders = folders * len(files) if len(folders) == 1 else folders
    read = [_Reader(file, folders[number] if folders else None, where or {}).read() for number, file in enumerate(files)]
    most = max(len(row.sources) for rows in read for row in rows)
    if num_sources is not None and num_sources < most:
        row = next(row for rows in read for row in rows if len(row.sources) > num_sources)
        raise DataError(f"{row.where}: {len(row.sources)} sources, asked for {num_sources}; take other rows by where", CODE)
    return _joined([row for rows in read for row in rows], num_sources or most)


def is_ready(path: str | Path) -> bool:
    """Whether a file is a manifest of ready-made mixtures, by its header.

    Raises:
        DataError: ``E_NOT_FILE``, or ``E_MANIFEST`` for what is no table.
    """
    _, header = next(numbered_rows(Path(path)), (1, []))
    return MIXTURE in header and has_sources(header)


def is_reference(column: str) -> bool:
    """Whether a column names recordings that belong to a mixture: s1, s2 ... and noise.

    Example:
        >>> is_reference("s2"), is_reference("noise"), is_reference("s2_speaker")
        (True, True, False)
    """
    return column == NOISE or SOURCE.fullmatch(column) is not None


def has_sources(columns: Collection[str]) -> bool:
    """Whether a table with these columns is one of mixtures."""
    return "s1" in columns


def speaker_columns(columns: Mapping[str, list[str]]) -> list[list[str]]:
    """Those that tell who speaks: s1_speaker, s2_speaker ..."""
    return [column for name, column in columns.items() if SPEAKER.fullmatch(name)]


def write_ready(
    path: str | Path, mixtures: Sequence[str], durations: Sequence[float], extra: Mapping[str, list[str]], *, root: str | Path
) -> None:
    """Write a manifest of ready-made mixtures, whole or not at all.

    Args:
        path: Where to, CSV.
        mixtures: Absolute paths.
        durations: In seconds.
        extra: The other columns: s1, s2 ... and noise hold absolute paths, or "".
        root: The folder that the paths are written relative to.

    Raises:
        DataError: ``E_NAME``, ``E_DISK_FULL`` or ``E_WRITE``.
    """
    folder = os.path.realpath(root)
    names = sorted(filter(is_reference, extra), key=lambda name: (name == NOISE, len(name), name))
    columns = [[_relative(file, folder) for file in files] for files in (mixtures, *(extra[name] for name in names))]
    others = [name for name in extra if name not in names]
    rows = zip(*columns, (repr(float(value)) for value in durations), *(extra[name] for name in others), strict=True)
    write_table(Path(path), [MIXTURE, *names, DURATION[1], *others], rows)


@dataclass(frozen=True)
class _Row:
    mixture: str
    sources: tuple[str, ...]
    duration: float
    extra: dict[str, str]
    where: str


class _Reader:
    """The rows of one manifest."""

    def __init__(self, path: str | Path, root: str | Path | None, where: Where) -> None:
        self.path, self.inside = Path(path), root is not None
        self.root = os.path.realpath(self.path.parent if root is None else root)
        self.wanted = {name: _values(value) for name, value in where.items()}

    def read(self) -> list[_Row]:
        numbered = numbered_rows(self.path)
        _, header = next(numbered, (1, []))
        self._check_header(header)
        sources = sorted((name for name in header if SOURCE.fullmatch(name)), key=lambda name: int(name[1:]))
        rows: list[_Row] = []
        lines: dict[str, int] = {}
        for line, values in numbered:
            if len(values) != len(header):
                raise self._wrong(line, f"the row does not have the {len(header)} fields of the header")
            record = dict(zip(header, values, strict=True))
            if any(record[name] not in values for name, values in self.wanted.items()):
                continue
            row = self._row(line, record, sources)
            if lines.setdefault(row.extra["id"], line) != line:
                raise self._wrong(line, f"{row.extra['id']} of line {lines[row.extra['id']]} again; a mixture has one row")
            rows.append(row)
        if not rows:
            asked = ", ".join(f"{name}={'|'.join(sorted(values))}" for name, values in self.wanted.items())
            raise DataError(f"{self.path}: no mixture in it" + (f" with {asked}" if asked else ""), CODE)
        return rows

    def _row(self, line: int, record: dict[str, str], sources: Sequence[str]) -> _Row:
        duration = next(name for name in DURATION if name in record)
        try:
            seconds = float(record[duration])
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            raise self._wrong(line, f"{duration} is {record[duration]!r}; expected a length in seconds above 0")
        if not record[MIXTURE]:
            raise self._wrong(line, "mixture is empty")
        mixture, *paths = (self._located(line, record[name]) for name in (MIXTURE, *sources))
        while paths and not paths[-1]:
            paths.pop()
        taken = {MIXTURE, NOISE, duration, *sources}
        extra = {name: value for name, value in record.items() if name not in taken}
        extra["id"] = extra.get("id") or record[MIXTURE]
        return _Row(mixture, tuple(paths), seconds, extra, f"{self.path}:{line}")

    def _located(self, line: int, name: str) -> str:
        if not name:
            return ""
        located = os.path.normpath(os.path.join(self.root, name))  # noqa: PTH118 - a hundred thousand times
        if self.inside and not located.startswith(self.root.rstrip("/") + "/"):
            raise self._wrong(line, f"{name!r} leaves the folder {self.root}, which was given as the root")
        return located

    def _check_header(self, header: Row) -> None:
        if len(set(header)) < len(header):
            raise self._wrong(1, f"a column is named twice in {','.join(header)!r}")
        for name in (MIXTURE, "s1", *self.wanted):
            if name not in header:
                raise self._wrong(1, f"no column {name!r}: {did_you_mean(name, header)}. {EXPECTED}")
        if not set(DURATION) & set(header):
            raise self._wrong(1, f"no column {DURATION[1]!r}. {EXPECTED}")
        numbers = sorted(int(name[1:]) for name in header if SOURCE.fullmatch(name))
        if numbers != list(range(1, len(numbers) + 1)):
            raise self._wrong(1, f"the sources are numbered from s1 on without a gap, got {', '.join(f's{n}' for n in numbers)}")

    def _wrong(self, line: int, what: str) -> DataError:
        return DataError(f"{self.path}:{line}: {what}", CODE)


def _joined(rows: Sequence[_Row], num_sources: int) -> ReadyMixtures:
    names = dict.fromkeys(name for row in rows for name in row.extra)
    return ReadyMixtures(
        [row.mixture for row in rows],
        [row.sources + ("",) * (max(1, num_sources) - len(row.sources)) for row in rows],
        np.array([row.duration for row in rows], np.float64),
        {name: [row.extra.get(name, "") for row in rows] for name in names},
        [row.where for row in rows],
    )


def _listed(paths: Paths | None) -> list[str | Path]:
    return [] if paths is None else [paths] if isinstance(paths, str | Path) else list(paths)


def _values(value: object) -> set[str]:
    several = isinstance(value, Collection) and not isinstance(value, str)
    return {str(item) for item in value} if several else {str(value)}  # type: ignore[attr-defined]


def _relative(path: str, root: str) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/") if path else ""
