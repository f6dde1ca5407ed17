"""The section `data` of a recipe for enhancement or separation: manifests -> mixtures by number."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from voxid.data.mixer import Mixer, sounds
from voxid.data.mixtures import Rendered
from voxid.data.pcm_cache import PCMCache
from voxid.data.scan import scan
from voxid.errors import ConfigError, DataError
from voxid.training.corpus import cache_folder
from voxid.training.mixing import Mixing, Numbers
from voxid.training.rows import Paths, joined, listed, read_each
from voxid.training.sound import Decoded

log = logging.getLogger("voxid")


class MixtureDataset(Dataset[tuple[Tensor, Tensor]]):
    """Answers a batch of numbers with its mixtures [B, T] and their sources [B, S, T].

    Args:
        draw: The mixture of a number: the same one at each call, all of one length.
    """

    def __init__(self, draw: Callable[[int], Rendered]) -> None:
        self.draw = draw

    def __getitem__(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        items = [self.draw(number) for number in numbers]
        mixture, sources = np.stack([item.mixture for item in items]), np.stack([item.sources for item in items])
        return torch.from_numpy(mixture), torch.from_numpy(sources)


@dataclass(frozen=True)
class MixtureCorpus:
    """What a training draws from.

    Args:
        dataset, mixing, workers: What is drawn, how, and by how many processes.
        speakers: Who speaks in it, as far as it is told.
        recordings: Of speech, or ready-made mixtures.
        prefix_speakers: Whether the number of the manifest stands before each speaker.
        noises: Paths of the noise.
        ready: Paths of ready-made mixtures and their sources.
    """

    dataset: MixtureDataset
    mixing: Mixing
    speakers: list[str]
    recordings: int
    workers: int = 0
    prefix_speakers: bool = False
    noises: Sequence[str] = ()
    ready: Sequence[str] = ()

    def sampler(self, seed: int, epochs: int = 1, rank: int = 0, world_size: int = 1) -> Numbers:
        """Batches for one process; the seed is in the draws already."""
        return Numbers(self.mixing, rank, world_size)


class Stored:
    """A recording in a cache, as `Mixer` reads it."""

    __slots__ = ("number", "pcm")

    def __init__(self, pcm: PCMCache, number: int) -> None:
        self.pcm, self.number = pcm, number

    def __len__(self) -> int:
        return self.pcm.num_samples(self.number)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples as float32 [T]."""
        return self.pcm.read(self.number, start, min(stop, len(self)))


def mixture_corpus(
    manifest: Paths | None,
    *,
    cache: str,
    num_sources: int,
    batch_size: int = 4,
    batches: int = 1000,
    seconds: float = 4.0,
    min_seconds: float = 1.0,
    gain_db: float = 2.5,
    noise: Paths | None = None,
    noise_where: Mapping[str, Any] | None = None,
    noise_prob: float = 1.0,
    noise_snr_db: Sequence[float] = (0.0, 20.0),
    responses: Paths | None = None,
    responses_where: Mapping[str, Any] | None = None,
    reverb_prob: float = 0.0,
    max_hours: float = 10.0,
    workers: int = 0,
    root: Paths | None = None,
    where: Mapping[str, Any] | None = None,
    prefix_speakers: bool = False,
    sample_rate: int = 16000,
    seed: int = 0,
) -> MixtureCorpus:
    """Clean speech, noise and rooms of a recipe as mixtures that are made when they are asked for.

    Args:
        manifest, root, where: Rows of clean speech.
        cache: Folder of the decoded samples of speech and noise.
        num_sources: Voices of a mixture.
        noise, noise_where: Manifests or folders of noise, and the rows of the manifests to take.
        responses, responses_where: The same of impulse responses, which are kept in memory.
        max_hours: Most of them that may be decoded.
        prefix_speakers: Speakers of different manifests are different people, though their labels are the same.
        sample_rate: Rate of the model, in Hz.
        seed: Of the draws.

    The others are those of `Mixing`.

    Raises:
        ConfigError: A value out of range.
        DataError: A malformed manifest, too few speakers, or too many broken recordings.
    """
    mixing = Mixing(batch_size, batches, seconds, min_seconds, gain_db, noise_prob, noise_snr_db, reverb_prob)
    check_workers(workers)
    if num_sources == 1 and not (noise_prob and listed(noise)):
        raise ConfigError("data: one voice without noise is no mixture; give data.noise=FILE and a data.noise_prob above 0")
    rows = joined(read_each(manifest or [], root, where), prefix_speakers)
    folder = cache_folder(cache)
    speech = _kept(PCMCache(rows.paths, folder, sample_rate=sample_rate), max(1, round(min_seconds * sample_rate)), "speech")
    who = [rows.speakers[recording.number] for recording in speech]
    noise_paths = _paths(noise, noise_where)
    noises = _kept(PCMCache(noise_paths, folder, sample_rate=sample_rate), 1, "noise") if noise_paths else []
    rooms = [waveform for _, waveform in Decoded(max_hours, sample_rate, "data").read(responses, responses_where, None)]
    mixer = Mixer(
        list(zip(speech, who, strict=True)),
        voices=num_sources,
        noises=noises,
        responses=rooms,
        sample_rate=sample_rate,
        seed=seed,
        **mixing.arguments(),  # type: ignore[arg-type] # checked by Mixer
    )
    speakers = sorted(set(who))
    return MixtureCorpus(MixtureDataset(mixer), mixing, speakers, len(speech), workers, prefix_speakers, noise_paths)


def check_workers(workers: int) -> None:
    """Raise `ConfigError` for a number of processes that there cannot be."""
    if workers < 0:
        raise ConfigError(f"data: workers must be 0 or more, got {workers}")


def _paths(noise: Paths | None, where: Mapping[str, Any] | None) -> list[str]:
    """Recordings of manifests and folders."""
    found: list[str] = []
    for path in listed(noise):
        if Path(path).is_dir():
            found += [str(Path(path) / name) for name in scan(Path(path))]
        else:
            found += read_each(path, None, where, speaker=None)[0].paths
    if noise is not None and not found:
        raise DataError(f"data: no recording in {', '.join(listed(noise))}")
    return found


def _kept(pcm: PCMCache, fewest: int, what: str) -> list[Stored]:
    """The recordings of a cache that can be read, are long enough, and are more than silence."""
    for path, code in pcm.rejected.items():
        log.warning("%s: %s, skipped", path, code)
    every = [Stored(pcm, number) for number in range(len(pcm.starts) - 1)]
    long = [recording for recording in every if len(recording) >= fewest]
    heard = [recording for recording in long if sounds(recording)]
    samples = sum(map(len, heard))
    log.info(
        "%s: %d recordings, %d samples; left out: %d too short, %d silent",
        what,
        len(heard),
        samples,
        len(every) - len(long) - len(pcm.rejected),
        len(long) - len(heard),
    )
    return heard
