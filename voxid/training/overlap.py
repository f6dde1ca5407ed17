"""Speakers that are trained on do not validate."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from voxid.data.manifest import Manifest
from voxid.data.table import read_table
from voxid.errors import DataError
from voxid.training.rows import Paths, joined, read_each

log = logging.getLogger("voxid")


class Trained(Protocol):
    """Whose speech is trained on."""

    @property
    def speakers(self) -> Sequence[str]:
        """Their labels."""
        ...

    @property
    def prefix_speakers(self) -> bool:
        """Whether the number of the manifest stands before them."""
        ...


class Listed(Protocol):
    """A validation list; it may have a `root`, the folder that its names are relative to, and `speakers`, whom it tells."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def paths(self) -> Sequence[Path]:
        """Recordings of speech."""
        ...


def refuse_overlap(manifest: Paths, root: Paths | None, corpus: Trained, trial_sets: Sequence[Listed]) -> None:
    """Raise `DataError` (``E_OVERLAP``) when a validation list holds a recording or a speaker of the training.

    Who speaks in a validation recording is looked up in the manifests of the training, all rows of them, and where it is not
    there, in ``manifest.csv`` in the root of the list, if there is one with the columns path and speaker.
    """
    if not trial_sets:
        return
    pieces = read_each(manifest, root, None)
    rows, real = joined(pieces, corpus.prefix_speakers), _RealPaths()
    wanted = {real(path) for trial_set in trial_sets for path in trial_set.paths}
    speakers_of: dict[str, set[str]] = {}
    for path, speaker in zip(map(real, rows.paths), rows.speakers, strict=True):
        if path in wanted:
            speakers_of.setdefault(path, set()).add(speaker)
    for trial_set in trial_sets:
        paths = {real(path) for path in trial_set.paths}
        heard = set().union(*(speakers_of.get(path, ()) for path in paths))
        heard |= set() if corpus.prefix_speakers else set(getattr(trial_set, "speakers", ()))
        heard |= _written_down(trial_set, paths - speakers_of.keys(), pieces, corpus.prefix_speakers)
        if shared := sorted(heard.intersection(corpus.speakers)):
            raise DataError(
                f"{trial_set.name}: {len(shared)} of its speakers are trained on, e.g. {', '.join(shared[:3])}; "
                "split the manifest by speaker (where.split=train)",
                "E_OVERLAP",
            )


def refuse_files(files: Sequence[str], speakers: Sequence[str], sets: Sequence[Listed]) -> None:
    """Raise `DataError` (``E_OVERLAP``) when a validation list holds a file of the training, or recipes of a speaker of it.

    Who speaks in a recipe is told by ``manifest.csv`` in the root of the list, if there is one with the columns path and speaker.
    Speakers of ready-made mixtures on both sides are only told in the log: WSJ0-2mix, say, validates with those it trains on.
    """
    if not sets:
        return
    real = _RealPaths()
    trained = {real(file) for file in files}
    for one in sets:
        if shared := sorted(str(path) for path in one.paths if real(path) in trained):
            raise DataError(
                f"{one.name}: {len(shared)} of its files are trained on, e.g. {shared[0]}; split the manifest (where.split=train "
                "and validation.where.split=dev)",
                "E_OVERLAP",
            )
        if heard := sorted(_written_down(one, set(map(real, one.paths)), [], False).intersection(speakers)):
            raise DataError(
                f"{one.name}: {len(heard)} of its speakers are trained on, e.g. {', '.join(heard[:3])}; "
                "validate with mixtures of others",
                "E_OVERLAP",
            )
        if known := sorted(set(getattr(one, "speakers", ())).intersection(speakers)):
            log.warning("%s: %d of its speakers are trained on, e.g. %s", one.name, len(known), ", ".join(known[:3]))


def tell_shared_noise(files: Sequence[str], name: str, noises: Sequence[Path]) -> None:
    """A line in the log where a validation list holds noise that is trained on: figures on it say little of other noise."""
    real = _RealPaths()
    trained = {real(file) for file in files}
    if shared := sorted(str(path) for path in noises if real(path) in trained):
        log.warning("%s: %d of its recordings of noise are trained on, e.g. %s", name, len(shared), shared[0])


class _RealPaths:
    """`os.path.realpath` for many files in few folders."""

    def __init__(self) -> None:
        self.folder = functools.cache(lambda folder: Path(os.path.realpath(folder)))

    def __call__(self, path: str | Path) -> str:
        path = Path(path)
        if path.is_symlink() or path.name in ("", ".."):
            return os.path.realpath(path)
        return str(self.folder(path.parent) / path.name)


def _written_down(trial_set: Listed, paths: set[str], pieces: Sequence[Manifest], prefix_speakers: bool) -> set[str]:
    """Speakers of these recordings by ``manifest.csv`` in the root of the list."""
    root = getattr(trial_set, "root", None)
    if root is None or not paths or not (root / "manifest.csv").is_file():
        return set()
    header, blocks = read_table(root / "manifest.csv")
    if not {"path", "speaker"} <= set(header):
        return set()
    path, speaker, real = header.index("path"), header.index("speaker"), _RealPaths()
    heard = {row[speaker] for block in blocks for row in block if real(root / row[path]) in paths}
    if not prefix_speakers:
        return heard
    # Labels of another corpus say nothing then; those of a corpus that is trained on do.
    here = os.path.realpath(root)
    return {f"{number}/{name}" for number, piece in enumerate(pieces) if str(piece.root) == here for name in heard}
