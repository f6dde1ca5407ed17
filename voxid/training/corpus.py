"""The data sections of a recipe: manifests, trial lists, noise and rooms -> what the loop draws from."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxid.data.dataset import SpeakerDataset
from voxid.data.manifest import Manifest
from voxid.data.pcm_cache import PCMCache
from voxid.data.pcm_files import PCMFiles
from voxid.data.sampler import CropSampler
from voxid.data.table import read_table
from voxid.data.trials import read_trials
from voxid.errors import ConfigError, DataError
from voxid.training.rows import Paths, joined, listed, read_each
from voxid.training.speaker import TrialSet

log = logging.getLogger("voxid")
SHORTEST, LONGEST = 0.1, 600.0  # of a crop, in seconds


@dataclass(frozen=True)
class Corpus:
    """What training draws from."""

    dataset: SpeakerDataset
    speakers: list[str]
    workers: int
    samples: int
    batch_size: int
    batches: int
    balance: float
    prefix_speakers: bool = False

    def sampler(self, seed: int, rank: int = 0, world_size: int = 1) -> CropSampler:
        """Batches for one process."""
        return CropSampler(
            self.dataset.labels,
            batch_size=self.batch_size,
            batches=self.batches,
            samples=self.samples,
            speeds=len(self.dataset.speeds),
            balance=self.balance,
            seed=seed,
            rank=rank,
            world_size=world_size,
        )


def training_corpus(
    manifest: Paths,
    *,
    cache: str,
    batch_size: int = 128,
    batches: int = 1000,
    chunk_seconds: float = 2.0,
    speeds: Sequence[float] = (1.0,),
    balance: float = 0.0,
    workers: int = 0,
    root: Paths | None = None,
    where: Mapping[str, Any] | None = None,
    prefix_speakers: bool = False,
    seek: bool = False,
    sample_rate: int = 16000,
) -> Corpus:
    """The manifests of a recipe as a dataset of crops.

    Args:
        manifest, root, where: The rows.
        cache: Folder of the decoded samples.
        batch_size, batches, chunk_seconds, speeds, balance, workers: As in docs/train.md.
        seek: Read each crop by seeking in its file, and decode nothing beforehand.
        prefix_speakers: Speakers of different manifests are different people, though their labels are the same.
        sample_rate: Rate of the model, in Hz.

    Raises:
        ConfigError: A value out of range.
        DataError: A malformed manifest, fewer than two speakers, or too many broken recordings.
    """
    if batch_size < 2 or batches < 1 or workers < 0:
        raise ConfigError("data: batch_size must be 2 or more, batches 1 or more and workers 0 or more")
    if not SHORTEST <= chunk_seconds <= LONGEST:
        raise ConfigError(f"data: chunk_seconds must lie within {SHORTEST:g} ... {LONGEST:g} s, got {chunk_seconds}")
    if not speeds or speeds[0] != 1.0 or not all(0.5 <= speed <= 2.0 for speed in speeds):
        raise ConfigError(f"data: speeds must begin with 1.0 and lie within 0.5 ... 2, got {list(speeds)}")
    pieces = read_each(manifest, root, where)
    rows = joined(pieces, prefix_speakers)
    if not prefix_speakers:
        _warn_of_namesakes(pieces)
    pcm: PCMCache | PCMFiles
    if seek:
        pcm = PCMFiles(rows.paths, rows.durations, sample_rate=sample_rate)
    else:
        pcm = PCMCache(rows.paths, _folder(cache), sample_rate=sample_rate)
    for path, code in pcm.rejected.items():
        log.warning("%s: %s, skipped", path, code)
    kept = [number for number in range(len(rows)) if pcm.num_samples(number)]
    speakers, labels = rows.select(kept).labels()
    if len(speakers) < 2:
        raise DataError(f"{manifest}: training needs two speakers or more, found {len(speakers)}")
    dataset = SpeakerDataset(_Kept(pcm, kept), labels.tolist(), len(speakers), tuple(speeds))
    samples = round(chunk_seconds * sample_rate)
    return Corpus(dataset, speakers, workers, samples, batch_size, batches, balance, prefix_speakers)


class ListedTrials(TrialSet):
    """A trial list, and the folder that its names are relative to: there its speakers may be written down."""

    def __init__(self, root: Path, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.root = root


def validation_trials(
    trials: Paths | None = None, root: Paths | None = None, *, cache: str, sample_rate: int = 16000
) -> list[TrialSet]:
    """The trial lists of a recipe, with their recordings decoded at `sample_rate`.

    Raises:
        ConfigError: The same list twice, or not one root a list.
        DataError: A malformed list, one without labels or (``E_ONE_CLASS``) with one kind of trial only, or recordings that
            cannot be read.
    """
    lists = [Path(path) for path in listed(trials)]
    roots = [Path(path) for path in listed(root)] or [path.parent for path in lists]
    if len(roots) != len(lists):
        raise ConfigError(f"validation: {len(lists)} trial lists and {len(roots)} roots; give one root a list")
    places = zip(_names(lists), lists, roots, strict=True)
    return [_trial_set(name, path, folder, _folder(cache), sample_rate) for name, path, folder in places]


def refuse_overlap(manifest: Paths, root: Paths | None, corpus: Corpus, trial_sets: Sequence[TrialSet]) -> None:
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
        heard |= _written_down(trial_set, paths - speakers_of.keys(), pieces, corpus.prefix_speakers)
        if shared := sorted(heard.intersection(corpus.speakers)):
            raise DataError(
                f"{trial_set.name}: {len(shared)} of its speakers are trained on, e.g. {', '.join(shared[:3])}; "
                "split the manifest by speaker (where.split=train)",
                "E_OVERLAP",
            )


@dataclass(frozen=True)
class _Kept:
    """The readable recordings, numbered anew."""

    pcm: PCMCache | PCMFiles
    kept: Sequence[int]

    def num_samples(self, utterance: int) -> int:
        return self.pcm.num_samples(self.kept[utterance])

    def read(self, utterance: int, start: int, stop: int) -> np.ndarray:
        return self.pcm.read(self.kept[utterance], start, stop)


class _RealPaths:
    """`os.path.realpath` for many files in few folders."""

    def __init__(self) -> None:
        self.folder = functools.cache(lambda folder: Path(os.path.realpath(folder)))

    def __call__(self, path: str | Path) -> str:
        path = Path(path)
        if path.is_symlink() or path.name in ("", ".."):
            return os.path.realpath(path)
        return str(self.folder(path.parent) / path.name)


def _folder(cache: str) -> Path:
    return Path(listed(cache)[0])


def _warn_of_namesakes(pieces: Sequence[Manifest]) -> None:
    seen: set[str] = set()
    shared: set[str] = set()
    for piece in pieces:
        names = set(piece.speakers)
        shared |= names & seen
        seen |= names
    if shared:
        log.warning(
            "%d speaker labels stand in two manifests or more, e.g. %s: each is trained as one person; "
            "where they are different people, set data.prefix_speakers=true",
            len(shared),
            min(shared),
        )


def _written_down(trial_set: TrialSet, paths: set[str], pieces: Sequence[Manifest], prefix_speakers: bool) -> set[str]:
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


def _names(lists: Sequence[Path]) -> list[str]:
    """A name for each list: its stem, with as many of its folders as tell the lists apart."""
    files = [os.path.realpath(path) for path in lists]
    for number, file in enumerate(files):
        if file in files[:number]:
            raise ConfigError(f"validation: {lists[number]} is named twice; name each trial list once")
    whole = [path.absolute() for path in lists]
    for tried in ([path.with_suffix("") for path in whole], whole):
        for depth in range(1, max((len(path.parts) for path in whole), default=0)):
            names = ["/".join(path.parts[-depth:]) for path in tried]
            if len(set(names)) == len(names):
                return names
    return [str(path) for path in whole]


def _trial_set(name: str, path: Path, root: Path, cache: Path, sample_rate: int) -> TrialSet:
    trials = [trial for trial in read_trials(path) if trial.label is not None]
    if not trials:
        raise DataError(f"{path}: no labelled trial")
    labels = [int(bool(trial.label)) for trial in trials]
    if len(set(labels)) < 2:
        kind = "the same speaker" if labels[0] else "different speakers"
        raise DataError(f"{path}: all {len(labels)} trials are of {kind}; an EER needs both kinds", "E_ONE_CLASS")
    files = sorted({file for trial in trials for file in (trial.enrol, trial.test)})
    pcm = PCMCache([root / file for file in files], cache, sample_rate=sample_rate)
    if pcm.rejected:
        bad, code = next(iter(pcm.rejected.items()))
        raise DataError(f"{path}: {len(pcm.rejected)} of its {len(files)} recordings cannot be read, e.g. {bad} ({code})")
    index = {file: number for number, file in enumerate(files)}
    enrol, test = [index[trial.enrol] for trial in trials], [index[trial.test] for trial in trials]
    return ListedTrials(root, name, pcm, [root / file for file in files], enrol, test, labels)
