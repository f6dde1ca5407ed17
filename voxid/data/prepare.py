"""prepare: a folder of recordings -> a manifest."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from voxid.data.kaldi import is_kaldi, read_kaldi
from voxid.data.manifest import Manifest, Utterance, Where
from voxid.data.measure import Reject, measure
from voxid.data.prepare_corpus import prepare_corpus
from voxid.data.prepared import Prepared, check_durations, check_place, judged, write_prepared
from voxid.data.scan import scan
from voxid.errors import ConfigError, DataError

__all__ = ["Prepared", "check_place", "prepare", "speaker_rule"]


class _Source(NamedTuple):
    name: str  # relative to the scanned folder
    path: Path
    speaker: str | None
    extra: Mapping[str, str]
    reject: Reject | None


def prepare(
    folder: str | Path,
    *,
    output: str | Path,
    root: str | Path | None = None,
    corpus: str | None = None,
    where: Where | None = None,
    speaker_part: int = 0,
    speaker_regex: str | None = None,
    min_duration: float = 0.0,
    max_duration: float = math.inf,
    decode: bool = False,
    strict: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Prepared:
    """Find the recordings of a folder, measure them and write a manifest ``path,speaker,duration``.

    A recording that cannot be used is left out and listed, with the code of the reason, in a second file: ``train.rejected.csv``
    beside ``train.csv``. The same folder gives the same manifest. A Kaldi data folder (wav.scp and utt2spk) is read as such.

    Args:
        folder: Searched at any depth.
        output: The manifest to write, CSV.
        root: The folder that its paths are relative to; by default that of `output`, where a reader looks first.
        corpus: A published corpus, e.g. ``voxceleb1``: `folder` is laid out like it, and the manifest tells what it tells, see
            `prepare_corpus`.
        where: Of a corpus, the rows to take, e.g. ``{"split": "train"}``.
        speaker_part: Which part of the path below `folder` is the speaker, from 0 at the left or from -1 at the right; -1 is the
            file's name without its suffix, -2 the folder that it lies in.
        speaker_regex: Instead of `speaker_part`: a regular expression with a group ``speaker``, searched in the path below
            `folder`.
        min_duration, max_duration: Shorter and longer recordings are left out; in seconds.
        decode: Of a corpus, decode every recording instead of believing its header; without a corpus that is always done.
        strict: Also leave out recordings that can be read, but with a warning (cut off, channels that differ, ...).
        workers: Threads that decode; by default one a processor, at most 8.
        progress: A bar on stderr, where that is a terminal.

    Raises:
        ConfigError: A speaker rule or durations that make no sense.
        DataError: ``E_NOT_FOUND``, ``E_EMPTY`` (no recording, or none that can be used), ``E_WRITE``, ``E_DISK_FULL``.
    """
    folder, output = Path(folder), Path(output)
    own_rule = speaker_part != 0 or speaker_regex is not None
    if corpus is not None:
        if own_rule:
            raise ConfigError(f"the corpus {corpus} names its speakers: leave out the speaker rule")
        return prepare_corpus(
            corpus,
            folder,
            output=output,
            root=root,
            where=where,
            min_duration=min_duration,
            max_duration=max_duration,
            decode=decode,
            strict=strict,
            workers=workers,
            progress=progress,
        )
    if where:
        raise ConfigError("where takes rows of a corpus, by what it tells of them; name the corpus")
    check_durations(min_duration, max_duration)
    rule = speaker_rule(speaker_part, speaker_regex)
    check_place(output)
    if is_kaldi(folder) and own_rule:
        raise ConfigError(f"{folder} is a Kaldi data folder, whose utt2spk names the speakers: leave out the speaker rule")
    sources = _sources(folder, rule)
    readable = [source.path for source in sources if source.reject is None]
    with closing(measure(readable, strict=strict, workers=workers, progress=progress)) as answers:
        rows, rejects = _sorted_out(sources, answers, min_duration, max_duration)
    return write_prepared(folder, output, root, Manifest.of(rows), rejects)


def _sorted_out(
    sources: Iterable[_Source], answers: Iterator[float | Reject], least: float, most: float
) -> tuple[list[Utterance], list[tuple[str, str, str]]]:
    """The rows of the manifest, and what is left out with code and reason."""
    rows: list[Utterance] = []
    rejects: list[tuple[str, str, str]] = []
    for source in sources:
        duration = judged(source.reject or next(answers), least, most)
        if isinstance(duration, Reject):
            rejects.append((source.name.encode(errors="backslashreplace").decode(), *duration))
        else:
            rows.append(Utterance(source.path, source.speaker or "", duration, source.extra))
    return rows, rejects


def speaker_rule(part: int = 0, regex: str | None = None) -> Callable[[str], str | None]:
    """From a relative path to its speaker, or to None where the rule finds none.

    Raises:
        ConfigError: Not a regular expression, or one without a group ``speaker``.

    Example:
        >>> speaker_rule(-2)("dev/anna/1.wav"), speaker_rule()("1.wav")
        ('anna', None)
        >>> speaker_rule(regex=r"(?P<speaker>[a-z]+)_")("x/ben_01.wav")
        'ben'
    """
    if regex is None:
        return lambda name: _part(name, part)
    try:
        pattern = re.compile(regex)
    except re.error as error:
        raise ConfigError(f"speaker_regex {regex!r} is no regular expression: {error}") from error
    if "speaker" not in pattern.groupindex:
        raise ConfigError(f"speaker_regex {regex!r} has no group 'speaker'; write it as in '(?P<speaker>[^/]+)/'")

    def find(name: str) -> str | None:
        found = pattern.search(name)
        return found["speaker"] or None if found else None

    return find


def _part(name: str, part: int) -> str | None:
    parts = [*PurePosixPath(name).parts[:-1], PurePosixPath(name).stem]
    folders = len(parts) - 1
    # Counted from the left it must be a folder: a file beside the speakers' folders is nobody's.
    return parts[part] if -len(parts) <= part < folders else None


def _sources(folder: Path, rule: Callable[[str], str | None]) -> list[_Source]:
    if not os.path.isdir(folder):  # noqa: PTH112 - as above
        is_file = os.path.isfile(folder)  # noqa: PTH113
        hint = "is a file; for trial lists type: voxid prepare trials" if is_file else "there is no such folder"
        raise DataError(f"{folder}: {hint}", "E_NOT_FOUND")
    if is_kaldi(folder):
        lines = [(line, _kaldi_path(folder, line.source)) for line in read_kaldi(folder)]
        return [_source(line.source, path, line.speaker, {"id": line.utterance}) for line, path in lines]
    base = Path(os.path.realpath(folder))
    sources = [_source(name, base / name, rule(name), {}) for name in scan(base)]
    if not sources:
        raise DataError(f"{folder}: no recording in it (wav, flac, mp3, ogg, opus, m4a ...)", "E_EMPTY")
    return sources


def _source(name: str, path: Path, speaker: str | None, extra: Mapping[str, str]) -> _Source:
    reject = None
    if name.rstrip().endswith("|"):
        reject = Reject("E_COMMAND", "a command, and commands are never run; convert the recordings first")
    elif not _is_text(name):
        reject = Reject("E_NAME", "the name is not UTF-8; rename the file")
    elif not speaker:
        reject = Reject("E_SPEAKER", "the rule finds no speaker in the path; see --speaker-part and --speaker-regex")
    return _Source(name, path, speaker, extra, reject)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kaldi_path(folder: Path, source: str) -> Path:
    # Kaldi means the folder where its scripts run; people also ship wav.scp beside the recordings.
    beside = folder / source
    return Path(os.path.abspath(beside if beside.exists() else source))  # noqa: PTH100 - resolve() would follow links
