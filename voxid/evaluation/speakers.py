"""Who speaks in the recordings of a trial list: from a manifest, a rule, or the folders."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from voxid.data.table import read_table
from voxid.data.trials import Trial
from voxid.errors import ConfigError, DataError, did_you_mean
from voxid.metrics.bootstrap import numbered

Speakers = Callable[[str], str] | Mapping[str, str] | re.Pattern[str] | str | Path


def speakers_of(trials: Sequence[Trial], root: Path, speakers: Speakers | None = None) -> tuple[NDArray | None, str]:
    """Speakers of both sides of each trial [N, 2], and where they come from; None and the reason where nobody can tell.

    Args:
        trials: With labels.
        root: The folder that their paths are relative to.
        speakers: A function or a mapping from a path of the list to its speaker; a manifest (.csv, .jsonl); a regular expression,
            whose first group, or whole match without one, is the speaker. None: ``manifest.csv`` in `root`, else the name of the
            nearest folder above the file that agrees with all labels.

    Raises:
        DataError: ``E_SPEAKERS``: `speakers` or the manifest contradict the labels, or `speakers` leave a recording without one.
    """
    names = list(dict.fromkeys(name for trial in trials for name in (trial.enrol, trial.test)))
    if speakers is not None:
        return _checked(trials, _asked(names, root, speakers)), "given"
    manifest = root / "manifest.csv"
    table = _beside(names, root, manifest)
    if table.keys() >= set(names):
        return _checked(trials, table), str(manifest)
    for level in range(max(len(PurePosixPath(name).parts) for name in names) - 1):
        folders = {name: _folder(name, level) for name in names}
        if all(folders.values()):
            with contextlib.suppress(DataError):
                return _checked(trials, folders), f"folder {level + 1} above the file"
    return None, "no manifest.csv in the root names them all, and no folder of their paths agrees with the labels"


def _asked(names: Collection[str], root: Path, speakers: Speakers) -> Mapping[str, str]:
    if isinstance(speakers, Mapping):
        table: Mapping[str, str | None] = speakers
    elif callable(speakers):
        table = {name: speakers(name) for name in names}
    elif isinstance(speakers, Path) or (isinstance(speakers, str) and speakers.endswith((".csv", ".jsonl"))):
        table = _from_manifest(names, root, Path(speakers))
    else:
        pattern = _compiled(speakers)
        table = {name: match[min(1, pattern.groups)] for name in names if (match := pattern.search(name))}
    lost = [name for name in names if not table.get(name)]
    if lost:
        raise DataError(
            f"{len(lost)} of {len(names)} recordings have no speaker by {speakers!r}, {lost[0]!r} the first", "E_SPEAKERS"
        )
    return {name: str(table[name]) for name in names}


def _compiled(speakers: re.Pattern[str] | str) -> re.Pattern[str]:
    try:
        return re.compile(speakers)
    except re.error as error:
        raise ConfigError(
            f"speakers: {speakers!r} is neither a manifest (.csv, .jsonl) nor a regular expression ({error})"
        ) from error


def _beside(names: Collection[str], root: Path, manifest: Path) -> dict[str, str]:
    """Speakers by a manifest that nobody named: a table of another kind says nothing about these recordings."""
    if not os.path.isfile(manifest):  # noqa: PTH113 - Path.is_file() raises on a name that is too long
        return {}
    try:
        return {name: speaker for name, speaker in _from_manifest(names, root, manifest).items() if speaker}
    except DataError:
        return {}


def _from_manifest(names: Collection[str], root: Path, manifest: Path) -> dict[str, str]:
    """Speakers of the names that the manifest knows; its paths are relative to its own folder."""
    header, blocks = read_table(manifest)
    for column in ("path", "speaker"):
        if column not in header:
            raise DataError(f"{manifest}:1: no column {column!r}: {did_you_mean(column, header)}", "E_MANIFEST")
    path, speaker = header.index("path"), header.index("speaker")
    known = {_absolute(manifest.parent, row[path]): row[speaker] for block in blocks for row in block}
    places = {name: _absolute(root, name) for name in names}
    return {name: known[place] for name, place in places.items() if place in known}


def _absolute(folder: Path, name: str) -> str:
    return os.path.abspath(os.path.join(folder, name))  # noqa: PTH100, PTH118 - of every row of a manifest


def _folder(name: str, level: int) -> str:
    """Name of the folder `level` + 1 above the file, or "" above the first."""
    folders = PurePosixPath(name).parts[:-1]
    return folders[-1 - level] if level < len(folders) else ""


def _checked(trials: Sequence[Trial], table: Mapping[str, str]) -> NDArray:
    pairs = np.array([[table[trial.enrol], table[trial.test]] for trial in trials])
    numbered(pairs, [bool(trial.label) for trial in trials])
    return pairs
