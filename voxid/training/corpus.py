"""The data sections of a recipe: manifests, trial lists, noise and rooms -> what the loop draws from."""

from __future__ import annotations

import functools
import logging
import operator
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxid.audio import io
from voxid.audio.augment import Augmenter
from voxid.data.dataset import SpeakerDataset
from voxid.data.manifest import Manifest, read_manifest
from voxid.data.pcm_cache import PCMCache
from voxid.data.sampler import CropSampler
from voxid.data.trials import read_trials
from voxid.errors import ConfigError, DataError
from voxid.training.speaker import TrialSet

log = logging.getLogger("voxid")
RATE = 16000
Paths = str | Sequence[str]


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
) -> Corpus:
    """The manifests of a recipe as a dataset of crops.

    Raises:
        ConfigError: A value out of range.
        DataError: A malformed manifest, fewer than two speakers, or too many broken recordings.
    """
    if batch_size < 2 or batches < 1 or chunk_seconds <= 0 or not speeds or min(speeds) <= 0 or speeds[0] != 1.0:
        raise ConfigError("data: batch_size >= 2, batches >= 1, chunk_seconds > 0 and speeds that begin with 1.0 are needed")
    rows = _read_all(manifest, root, where)
    pcm = PCMCache(rows.paths, Path(cache), sample_rate=RATE)
    for path, code in pcm.rejected.items():
        log.warning("%s: %s, skipped", path, code)
    kept = [number for number in range(len(rows)) if pcm.num_samples(number)]
    speakers, labels = rows.select(kept).labels()
    if len(speakers) < 2:
        raise DataError(f"{manifest}: training needs two speakers or more, found {len(speakers)}")
    dataset = SpeakerDataset(_Kept(pcm, kept), labels.tolist(), len(speakers), tuple(speeds))
    return Corpus(dataset, speakers, workers, round(chunk_seconds * RATE), batch_size, batches, balance)


def validation_trials(trials: Paths | None = None, root: Paths | None = None, *, cache: str) -> list[TrialSet]:
    """The trial lists of a recipe, with their recordings decoded."""
    lists = _listed(trials)
    roots = _listed(root) or [str(Path(path).parent) for path in lists]
    if len(roots) != len(lists):
        raise ConfigError(f"validation: {len(lists)} trial lists and {len(roots)} roots; give one root a list")
    return [_trial_set(Path(path), Path(folder), Path(cache)) for path, folder in zip(lists, roots, strict=True)]


def refuse_overlap(manifest: Paths, root: Paths | None, corpus: Corpus, trial_sets: Sequence[TrialSet]) -> None:
    """Raise `DataError` (``E_OVERLAP``) when a validation list holds a recording or a speaker of the training."""
    rows = _read_all(manifest, root, None)
    speaker_of = dict(zip(rows.paths, rows.speakers, strict=True))
    for trial_set in trial_sets:
        heard = {speaker_of.get(os.path.realpath(path), "") for path in trial_set.paths}
        if shared := sorted(heard.intersection(corpus.speakers)):
            raise DataError(
                f"{trial_set.name}: {len(shared)} of its speakers are trained on, e.g. {', '.join(shared[:3])}; "
                "split the manifest by speaker (where.split=train)",
                "E_OVERLAP",
            )


def augmenter(
    noise: Paths | None = None, responses: Paths | None = None, where: Mapping[str, Any] | None = None, **options: Any
) -> Augmenter:
    """Noise and rooms of a recipe; `options` are the arguments of `audio.augment.Augmenter`."""
    try:
        return Augmenter(_waveforms(noise, where), _waveforms(responses, where), **options)
    except TypeError as error:
        raise ConfigError(f"augment: {error}") from error


@dataclass(frozen=True)
class _Kept:
    """The readable recordings of a cache, numbered anew."""

    pcm: PCMCache
    kept: Sequence[int]

    def num_samples(self, utterance: int) -> int:
        return self.pcm.num_samples(self.kept[utterance])

    def read(self, utterance: int, start: int, stop: int) -> np.ndarray:
        return self.pcm.read(self.kept[utterance], start, stop)


def _listed(value: Paths | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else [str(item) for item in value]


def _read_all(manifest: Paths, root: Paths | None, where: Mapping[str, Any] | None, speaker: str | None = "speaker") -> Manifest:
    manifests, roots = _listed(manifest), _listed(root)
    if roots and len(roots) != len(manifests):
        raise ConfigError(f"{len(manifests)} manifests and {len(roots)} roots; give one root a manifest, or none")
    folders: Sequence[str | None] = roots or [None] * len(manifests)
    pieces = [
        read_manifest(path, root=folder, where=where, speaker=speaker) for path, folder in zip(manifests, folders, strict=True)
    ]
    return functools.reduce(operator.add, pieces)


def _trial_set(path: Path, root: Path, cache: Path) -> TrialSet:
    trials = [trial for trial in read_trials(path) if trial.label is not None]
    if not trials:
        raise DataError(f"{path}: no labelled trial")
    names = sorted({name for trial in trials for name in (trial.enrol, trial.test)})
    pcm = PCMCache([root / name for name in names], cache, sample_rate=RATE)
    if pcm.rejected:
        bad, code = next(iter(pcm.rejected.items()))
        raise DataError(f"{path}: {len(pcm.rejected)} of its {len(names)} recordings cannot be read, e.g. {bad} ({code})")
    index = {name: number for number, name in enumerate(names)}
    enrol, test = [index[trial.enrol] for trial in trials], [index[trial.test] for trial in trials]
    return TrialSet(path.stem, pcm, [root / name for name in names], enrol, test, [int(bool(trial.label)) for trial in trials])


def _waveforms(manifest: Paths | None, where: Mapping[str, Any] | None) -> list[np.ndarray]:
    paths = [] if manifest is None else _read_all(manifest, None, where, speaker=None).paths
    return [io.load(path, sample_rate=RATE).waveform for path in paths]
