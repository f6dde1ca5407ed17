"""Kaldi data folders: wav.scp names the recordings, utt2spk their speakers."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from voxid.atomic import replacing
from voxid.data.manifest import Manifest
from voxid.data.table import check_file
from voxid.errors import DataError

CODE = "E_KALDI"


class KaldiUtterance(NamedTuple):
    """A line of wav.scp with the speaker of utt2spk.

    Args:
        utterance: The id.
        source: A path as it is written, or a command that ends in ``|`` (which voxid never runs).
        speaker: Label of the speaker.
    """

    utterance: str
    source: str
    speaker: str


def is_kaldi(folder: Path) -> bool:
    """Whether a folder holds wav.scp and utt2spk."""
    return all(os.path.isfile(folder / name) for name in ("wav.scp", "utt2spk"))  # noqa: PTH113 - is_file() raises on long names


def read_kaldi(folder: str | Path) -> list[KaldiUtterance]:
    """The utterances of a Kaldi data folder, in the order of wav.scp.

    Raises:
        DataError: ``E_KALDI`` with file and line: an id that comes twice or has no speaker, a malformed line, a file segments
            (voxid takes one recording for one utterance); ``E_NOT_FILE``.
    """
    folder = Path(folder)
    if (folder / "segments").exists():
        raise DataError(f"{folder / 'segments'}: pieces of recordings are not read; cut the recordings first", CODE)
    speakers = read_map(folder / "utt2spk")
    sources = read_map(folder / "wav.scp")
    for line, utterance in enumerate(sources, 1):
        if utterance not in speakers:
            raise DataError(f"{folder / 'wav.scp'}:{line}: {utterance!r} has no line in utt2spk", CODE)
    return [KaldiUtterance(utterance, source, speakers[utterance]) for utterance, source in sources.items()]


def write_kaldi(folder: str | Path, manifest: Manifest) -> None:
    """Write wav.scp, utt2spk, spk2utt and utt2dur, sorted as Kaldi asks for, with absolute paths.

    Args:
        folder: Is made when it is not there.
        manifest: An utterance goes by its column ``id`` where there is one, else by its speaker and its path.

    Raises:
        DataError: ``E_KALDI`` for two utterances with one id or a blank in an id or a speaker; ``E_DISK_FULL``, ``E_WRITE``.
    """
    folder = Path(folder)
    ids = manifest.extra.get("id") or [_id(name, who) for name, who in zip(manifest.relative(), manifest.speakers, strict=True)]
    for word in {*ids, *manifest.speakers}:
        _check(folder, word, word.split() == [word], "it is empty or has a blank in it")
    for path in manifest.paths:
        _check(folder, path, path.strip() == path and "\n" not in path, "a blank at its end, or a line break in it")
        _check(folder, path, not path.endswith("|"), "Kaldi would run it")
    rows = sorted(zip(ids, manifest.paths, manifest.speakers, manifest.durations.tolist(), strict=True))
    if len({row[0] for row in rows}) < len(rows):
        twice = next(a[0] for a, b in pairwise(rows) if a[0] == b[0])
        raise DataError(f"{folder}: two utterances go by the id {twice!r}; give the manifest a column id", CODE)
    spoken = defaultdict(list)
    for utterance, _, speaker, _ in rows:
        spoken[speaker].append(utterance)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "wav.scp", (f"{row[0]} {row[1]}" for row in rows))
    _write(folder / "utt2spk", (f"{row[0]} {row[2]}" for row in rows))
    _write(folder / "utt2dur", (f"{row[0]} {row[3]!r}" for row in rows))
    _write(folder / "spk2utt", (f"{speaker} {' '.join(spoken[speaker])}" for speaker in sorted(spoken)))


def _check(folder: Path, word: str, good: bool, reason: str) -> None:
    try:
        word.encode()
    except UnicodeEncodeError:
        good, reason = False, "it is not UTF-8"
    if not good:
        raise DataError(f"{folder}: {word!a} cannot stand in a file of Kaldi: {reason}; rename it", CODE)


def _id(name: str, speaker: str) -> str:
    """Kaldi wants utterances to sort like their speakers, so an id begins with the speaker."""
    word = "_".join(name.replace("/", "-").split())
    return word if word.startswith(f"{speaker}-") else f"{speaker}-{word}"


def read_map(path: Path) -> dict[str, str]:
    """The lines of a file such as utt2spk or spk2utt: an id, and the text behind it.

    Raises:
        DataError: ``E_KALDI`` with file and line: no id with text behind it, an id that comes twice; ``E_NOT_FILE``.
    """
    check_file(path)
    table: dict[str, str] = {}
    for line, text in enumerate(path.read_bytes().removesuffix(b"\n").split(b"\n"), 1):
        try:
            key, value = text.decode().split(maxsplit=1)
        except ValueError as error:
            shown = text[:80].decode(errors="backslashreplace")
            raise DataError(f"{path}:{line}: {shown!r} is not an id and what belongs to it", CODE) from error
        if key in table:
            raise DataError(f"{path}:{line}: the id {key!r} comes twice", CODE)
        table[key] = value.strip()
    return table


def _write(path: Path, lines: Iterable[str]) -> None:
    with replacing(path, DataError) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(line + "\n" for line in lines)
