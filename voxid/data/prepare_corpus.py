"""prepare_corpus: a corpus in the layout that it is published in -> a manifest."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from voxid import registry
from voxid.audio import io
from voxid.data.corpora.layout import Row
from voxid.data.manifest import Manifest, Where
from voxid.data.measure import Reject, measure
from voxid.data.prepared import Prepared, check_durations, check_place, judged, write_prepared
from voxid.data.ready_mixtures import has_sources, is_reference
from voxid.data.table import CODE
from voxid.errors import AudioError, ConfigError, DataError, did_you_mean

BLOCK = 1024  # headers that are read before the next are asked for: a million futures at once would fill the memory


def prepare_corpus(
    corpus: str,
    folder: str | Path,
    *,
    output: str | Path,
    root: str | Path | None = None,
    where: Where | None = None,
    min_duration: float = 0.0,
    max_duration: float = math.inf,
    decode: bool = False,
    strict: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Prepared:
    """Write the manifest of a corpus as it is published: path, speaker, duration, and what the corpus tells beside them.

    Of a corpus of mixtures it is what `voxid.data.ready_mixtures.read_ready` reads: mixture, s1, s2 ..., noise, duration_s, and
    the rest. A mixture without one of its sources is left out.

    A recording that cannot be used, or whose path does not fit the layout (``E_LAYOUT``), is left out and listed in a second
    file, ``train.rejected.csv`` beside ``train.csv``.

    Args:
        corpus: A name of ``registry.names("corpus")``, e.g. ``voxceleb1``, or the import path of a function of your own.
        folder: The corpus, unpacked.
        output: The manifest to write, CSV.
        root: The folder that its paths are relative to; by default that of `output`, where a reader looks first.
        where: Keep the rows whose columns hold these values, e.g. ``{"kind": "rir"}`` or ``{"split": ["train", "dev"]}``.
        min_duration, max_duration: Shorter and longer recordings are left out; in seconds.
        decode: Decode every recording and measure it, as `prepare` does; by default the header is believed, and only a recording
            whose header tells no length is decoded.
        strict: Decode, and also leave out recordings that can be read, but with a warning.
        workers: Threads; by default one a processor, at most 8.
        progress: A bar on stderr, where that is a terminal.

    Raises:
        ConfigError: An unknown corpus, or durations that make no sense.
        DataError: ``E_NOT_FOUND``, ``E_LAYOUT`` (with the folders that were expected), ``E_MANIFEST`` for a column that is not
            there, ``E_EMPTY``, ``E_WRITE``, ``E_DISK_FULL``.
    """
    folder, output = Path(folder), Path(output)
    check_durations(min_duration, max_duration)
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is a number of threads, 1 or more, got {workers}")
    rows_of = registry.get("corpus", corpus)
    check_place(output)
    base = Path(os.path.realpath(folder))
    table = _Table(base)
    rejects = table.fill(rows_of(base))
    taken = table.where(where or {})
    if not taken and (where or not rejects):
        raise DataError(f"{folder}: no recording of {corpus} in it" + (f" with {dict(where)}" if where else ""), "E_EMPTY")
    paths = [base / table.names[row] for row in taken]
    if decode or strict:
        answers = measure(paths, strict=strict, workers=workers, progress=progress)
    else:
        answers = _told(paths, workers or min(8, os.cpu_count() or 1), progress)
    kept, durations = [], []
    with closing(answers):
        for number, answer in zip(taken, answers, strict=True):
            duration = table.incomplete(number) or judged(answer, min_duration, max_duration)
            if isinstance(duration, Reject):
                rejects.append((table.names[number], *duration))
            else:
                kept.append(number)
                durations.append(duration)
    return write_prepared(folder, output, root, table.manifest(kept, durations), sorted(rejects))


@dataclass
class _Table:
    """The rows of a corpus, column by column: a million dictionaries would fill the memory."""

    base: Path
    names: list[str] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)
    extra: dict[str, list[str]] = field(default_factory=dict)

    def fill(self, rows: Iterable[Row]) -> list[tuple[str, str, str]]:
        """Take the rows; what does not fit the layout is answered as ``(path, code, reason)``."""
        rejects = []
        seen: dict[str, str] = {}
        for name, speaker, extra in rows:
            if reject := _reject(name, speaker):
                rejects.append((name.encode(errors="backslashreplace").decode(), *reject))
                continue
            self.names.append(name)
            self.speakers.append(seen.setdefault(speaker or "", speaker or ""))
            for key in {**self.extra, **extra}:
                column = self.extra.setdefault(key, [""] * (len(self.names) - 1))
                value = extra.get(key, "")
                column.append(seen.setdefault(value, value))
        return rejects

    def where(self, where: Where) -> list[int]:
        """The rows whose columns hold these values."""
        taken = list(range(len(self.names)))
        for name, value in where.items():
            known = {"speaker": self.speakers, **self.extra}
            if name not in known:
                raise DataError(f"no column {name!r} in the corpus: {did_you_mean(name, known)}", CODE)
            several = isinstance(value, Collection) and not isinstance(value, str)
            values = {str(item) for item in value} if several else {str(value)}  # type: ignore[attr-defined]
            taken = [row for row in taken if known[name][row] in values]
        return taken

    def incomplete(self, row: int) -> Reject | None:
        """Why a mixture cannot be used: one of its sources is not there."""
        for name in self._references():
            path = self.extra[name][row]
            if path and not os.path.isfile(self.base / path):  # noqa: PTH113 - is_file() raises on names too long
                return Reject("E_NOT_FOUND", f"its {name} is not there: {path}")
        return None

    def manifest(self, kept: Sequence[int], durations: Sequence[float]) -> Manifest:
        """The rows that are kept."""
        extra = {key: [column[row] for row in kept] for key, column in self.extra.items()}
        for name in self._references():
            extra[name] = [self._located(path) if path else "" for path in extra[name]]
        paths = [self._located(self.names[row]) for row in kept]
        speakers = [self.speakers[row] for row in kept]
        return Manifest(self.base, paths, speakers, np.array(durations, np.float64), extra)

    def _references(self) -> list[str]:
        return [name for name in self.extra if is_reference(name)] if has_sources(self.extra) else []

    def _located(self, name: str) -> str:
        # A list may name recordings outside of the folder, by ../
        return os.path.normpath(f"{self.base}/{name}")


def _reject(name: str, speaker: str | None) -> Reject | None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return Reject("E_NAME", "the name is not UTF-8; rename the file")
    return Reject("E_LAYOUT", "the path does not fit the layout of the corpus") if speaker is None else None


def _told(paths: Sequence[Path], threads: int, progress: bool) -> Generator[float | Reject, None, None]:
    """Length of each recording in seconds as its header tells it, or why it cannot be read; in the order of `paths`."""
    bar = tqdm(total=len(paths), desc="prepare", unit="file", dynamic_ncols=True, disable=None if progress else True)
    with bar, ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(paths), BLOCK):
            for answer in pool.map(_length, paths[first : first + BLOCK]):
                yield answer
                bar.update()


def _length(path: Path) -> float | Reject:
    try:
        with io.stream(path, sample_rate=None) as blocks:
            declared = blocks.facts.declared_duration
            if declared:
                return declared
            for _ in blocks:
                pass
            return blocks.duration
    except AudioError as error:
        return Reject(error.code, str(error).split(": ", 1)[-1])  # the path has a column of its own
