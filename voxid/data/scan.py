"""Which files of a folder are recordings."""

from __future__ import annotations

import os
from pathlib import Path

from voxid.audio.containers import sniff
from voxid.audio.source import OpenFile
from voxid.errors import AudioError, DataError

# Files with these suffixes are recordings, whether they can be read or not; of any other file the first bytes decide.
SUFFIXES = frozenset(
    (
        *(".wav", ".w64", ".rf64", ".flac", ".aiff", ".aif", ".aifc", ".au", ".snd", ".sph", ".caf"),
        *(".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".webm", ".mka", ".amr", ".3gp", ".wma"),
    )
)


def scan(folder: Path) -> list[str]:
    """Recordings below a folder at any depth, as relative paths with forward slashes, sorted.

    Links are followed, each folder is entered once; names that begin with a dot are left out. A recording here is a file with a
    suffix of audio, broken or not, or one whose first bytes are those of audio.

    Raises:
        DataError: ``E_PERMISSION`` for a folder that cannot be listed.
    """
    found: list[str] = []
    entered: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        place = folder / inside
        try:
            status = place.stat()
            if (status.st_dev, status.st_ino) in entered:  # a link back to a folder above would never end
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                kept = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{place}: cannot be listed ({error.strerror})", "E_PERMISSION") from error
        for entry in kept:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if _is_folder(entry):
                waiting.append(name)
            elif _is_recording(entry):
                found.append(name)
    return sorted(found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_recording(entry: os.DirEntry[str]) -> bool:
    if os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 - of every file
        return True
    try:
        source = OpenFile(entry.path)
    except AudioError:
        return False
    try:
        sniff(source)
    except AudioError:
        return False
    finally:
        source.close()
    return True
