"""The section `data` of a recipe: manifests -> what the loop draws from, and how it draws."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxid.data.balance import Balance, report
from voxid.data.dataset import PCM, SpeakerDataset
from voxid.data.feature_files import FeatureFiles
from voxid.data.manifest import Manifest
from voxid.data.pcm_cache import PCMCache
from voxid.data.pcm_files import PCMFiles
from voxid.data.sampler import CropSampler
from voxid.errors import ConfigError, DataError
from voxid.training.rows import Paths, joined, listed, read_each

log = logging.getLogger("voxid")
SHORTEST, LONGEST = 0.1, 600.0  # of a crop, in seconds


@dataclass(frozen=True)
class Batching:
    """How batches are drawn: the keys of the section `data` of a recipe that say so.

    Raises:
        ConfigError: A value out of range, or two ways to balance at once.
    """

    batch_size: int = 128
    batches: int = 1000
    chunk_seconds: float | Sequence[float] = 2.0
    chunk_schedule: Sequence[Sequence[float]] | None = None
    balance: float = 0.0
    min_utterances: int | None = None
    max_utterances: int | None = None
    speakers_per_batch: int | None = None
    utterances_per_speaker: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 2 or self.batches < 1:
            raise ConfigError("data: batch_size must be 2 or more, batches 1 or more")
        lengths = self._lengths()
        if not lengths or not all(SHORTEST <= length <= LONGEST for length in lengths):
            raise ConfigError(
                f"data: chunk_seconds must lie within {SHORTEST:g} ... {LONGEST:g} s, got {self.chunk_seconds}; "
                "a list holds one length or more"
            )
        self._check_schedule()
        if (self.speakers_per_batch is None) != (self.utterances_per_speaker is None):
            raise ConfigError("data: speakers_per_batch and utterances_per_speaker go together; give both or none")
        if self.speakers_per_batch is not None:
            size = self.speakers_per_batch * (self.utterances_per_speaker or 0)
            if size != self.batch_size:
                raise ConfigError(
                    f"data: batches of {self.speakers_per_batch} speakers x {self.utterances_per_speaker} utterances "
                    f"need data.batch_size={size}, got {self.batch_size}"
                )
        self.sampler(range(self.batch_size))  # what else is wrong is told before hours of speech are decoded

    def _lengths(self) -> list[float]:
        return [self.chunk_seconds] if isinstance(self.chunk_seconds, int | float) else list(self.chunk_seconds)

    def _check_schedule(self) -> None:
        steps = self.chunk_schedule or []
        pairs = all(len(step) == 2 and 0.0 <= step[0] <= 1.0 and SHORTEST <= step[1] <= LONGEST for step in steps)
        if not pairs or [step[0] for step in steps] != sorted(step[0] for step in steps):
            raise ConfigError(
                "data: chunk_schedule is a list of [share of the training, seconds], shares ascending within 0 ... 1 and "
                f"seconds within {SHORTEST:g} ... {LONGEST:g}, e.g. [[0.6, 3.0]]; got {self.chunk_schedule}"
            )

    def sampler(
        self,
        labels: Sequence[int],
        *,
        speeds: int = 1,
        sample_rate: float = 16000,
        epochs: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> CropSampler:
        """Batches of utterances with these speakers, for one process."""
        steps = [(math.ceil(share * epochs * self.batches), seconds) for share, seconds in self.chunk_schedule or ()]
        return CropSampler(
            labels,
            batch_size=self.batch_size,
            batches=self.batches,
            samples=[round(seconds * sample_rate) for seconds in self._lengths()],
            steps=[(first, round(seconds * sample_rate)) for first, seconds in steps],
            speeds=speeds,
            balance=self.balance,
            min_utterances=self.min_utterances,
            max_utterances=self.max_utterances,
            utterances_per_speaker=self.utterances_per_speaker,
            seed=seed,
            rank=rank,
            world_size=world_size,
        )


@dataclass(frozen=True)
class Corpus:
    """What training draws from."""

    dataset: SpeakerDataset
    speakers: list[str]
    batching: Batching
    workers: int = 0
    sample_rate: float = 16000
    prefix_speakers: bool = False
    features: bool = False

    def sampler(self, seed: int, epochs: int = 1, rank: int = 0, world_size: int = 1) -> CropSampler:
        """Batches for one process of a training of so many epochs."""
        return self.batching.sampler(
            self.dataset.labels,
            speeds=len(self.dataset.speeds),
            sample_rate=self.sample_rate,
            epochs=epochs,
            seed=seed,
            rank=rank,
            world_size=world_size,
        )

    def counts(self) -> np.ndarray:
        """Utterances of each speaker [K]."""
        return np.bincount(self.dataset.labels, minlength=len(self.speakers))

    def balance(self, seed: int) -> Balance:
        """The long tail of the corpus, and of the first epoch that is drawn from it."""
        drawn = np.asarray(self.dataset.labels)[self.sampler(seed).utterances()]
        return report(self.counts(), np.bincount(drawn, minlength=len(self.speakers)))


def training_corpus(
    manifest: Paths,
    *,
    cache: str,
    batch_size: int = 128,
    batches: int = 1000,
    chunk_seconds: float | Sequence[float] = 2.0,
    chunk_schedule: Sequence[Sequence[float]] | None = None,
    speeds: Sequence[float] = (1.0,),
    balance: float = 0.0,
    min_utterances: int | None = None,
    max_utterances: int | None = None,
    speakers_per_batch: int | None = None,
    utterances_per_speaker: int | None = None,
    workers: int = 0,
    root: Paths | None = None,
    where: Mapping[str, Any] | None = None,
    prefix_speakers: bool = False,
    seek: bool = False,
    sample_rate: float = 16000,
    bins: int | None = None,
) -> Corpus:
    """The manifests of a recipe as a dataset of crops.

    Args:
        manifest, root, where: The rows.
        cache: Folder of the decoded samples.
        seek: Read each crop by seeking in its file, and decode nothing beforehand.
        prefix_speakers: Speakers of different manifests are different people, though their labels are the same.
        sample_rate: Rate of the model, in Hz; frames a second where it takes features.
        bins: F of a model that takes features: the manifest then names files of features.

    The others are as in docs/train.md.

    Raises:
        ConfigError: A value out of range.
        DataError: A malformed manifest, fewer than two speakers, or too many broken recordings.
    """
    batching = Batching(
        batch_size,
        batches,
        chunk_seconds,
        chunk_schedule,
        balance,
        min_utterances,
        max_utterances,
        speakers_per_batch,
        utterances_per_speaker,
    )
    if workers < 0:
        raise ConfigError(f"data: workers must be 0 or more, got {workers}")
    _check_speeds(speeds, bins)
    pieces = read_each(manifest, root, where)
    rows = joined(pieces, prefix_speakers)
    if not prefix_speakers:
        _warn_of_namesakes(pieces)
    pcm = _samples(rows, cache, seek, sample_rate, bins)
    for path, code in pcm.rejected.items():
        log.warning("%s: %s, skipped", path, code)
    kept = [number for number in range(len(rows)) if pcm.num_samples(number)]
    speakers, labels = rows.select(kept).labels()
    if len(speakers) < 2:
        raise DataError(f"{manifest}: training needs two speakers or more, found {len(speakers)}")
    dataset = SpeakerDataset(_Kept(pcm, kept), labels.tolist(), len(speakers), tuple(speeds))
    return Corpus(dataset, speakers, batching, workers, sample_rate, prefix_speakers, bins is not None)


def _check_speeds(speeds: Sequence[float], bins: int | None) -> None:
    if not speeds or speeds[0] != 1.0 or not all(0.5 <= speed <= 2.0 for speed in speeds):
        raise ConfigError(f"data: speeds must begin with 1.0 and lie within 0.5 ... 2, got {list(speeds)}")
    if len(set(speeds)) < len(speeds):
        raise ConfigError(f"data: each speed makes classes of its own, so none may come twice; got speeds={list(speeds)}")
    if bins is not None and len(speeds) > 1:
        raise ConfigError("data: features cannot be played faster; set data.speeds=[1.0]")


def _samples(rows: Manifest, cache: str, seek: bool, sample_rate: float, bins: int | None) -> PCMCache | PCMFiles | FeatureFiles:
    """Where the crops are cut from: features of one's own, the recordings themselves, or their decoded samples."""
    if bins is not None:
        return FeatureFiles(rows.paths, bins)
    if seek:
        return PCMFiles(rows.paths, rows.durations, sample_rate=int(sample_rate))
    return PCMCache(rows.paths, cache_folder(cache), sample_rate=int(sample_rate))


@dataclass(frozen=True)
class _Kept:
    """The readable recordings, numbered anew."""

    pcm: PCM
    kept: Sequence[int]

    def num_samples(self, utterance: int) -> int:
        return self.pcm.num_samples(self.kept[utterance])

    def read(self, utterance: int, start: int, stop: int) -> np.ndarray:
        return self.pcm.read(self.kept[utterance], start, stop)


def cache_folder(cache: str) -> Path:
    """Where decoded samples are kept."""
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
