"""The section `data` of a recipe for enhancement or separation: manifests -> mixtures by number."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from voxid.data.mixer import Mixer, sounds
from voxid.data.mixtures import Rendered
from voxid.data.pcm_cache import PCMCache
from voxid.data.scan import scan
from voxid.errors import ConfigError, DataError, VoxidError
from voxid.training.corpus import cache_folder
from voxid.training.mixing import Mixing, Numbers
from voxid.training.origin import digest
from voxid.training.rows import Paths, joined, listed, read_each
from voxid.training.sound import Decoded

log = logging.getLogger("voxid")


class MixtureDataset(Dataset[Any]):
    """Answers a batch of numbers with its mixtures [B, T] and their sources [B, S, T]; in a process that loads, or the error.

    Args:
        draw: The mixture of a number: the same one at each call, all of one length.
    """

    def __init__(self, draw: Callable[[int], Rendered]) -> None:
        self.draw = draw

    def __getitem__(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor] | VoxidError:
        try:
            items = [self.draw(number) for number in numbers]
        except VoxidError as error:
            if get_worker_info() is None:
                raise
            return error  # an exception of another process would lose its code and its one line; `Batches` raises it
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
        origin: Key of the recipe -> which files it names: what a resumed training is compared with.
    """

    dataset: MixtureDataset
    mixing: Mixing
    speakers: list[str]
    recordings: int
    workers: int = 0
    prefix_speakers: bool = False
    noises: Sequence[str] = ()
    ready: Sequence[str] = ()
    origin: Mapping[str, str] = field(default_factory=dict)

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
        DataError: A malformed manifest, too few speakers, too many broken recordings, or (``E_AUDIO``) no noise or no impulse
            response among those that are named that is more than silence.
    """
    mixing = Mixing(batch_size, batches, seconds, min_seconds, gain_db, noise_prob, noise_snr_db, reverb_prob)
    check_workers(workers)
    if num_sources == 1 and not (noise_prob and listed(noise)):
        raise ConfigError("data: one voice without noise is no mixture; give data.noise=FILE and a data.noise_prob above 0")
    rows = joined(read_each(manifest or [], root, where), prefix_speakers)
    folder = cache_folder(cache)
    speech = _kept(PCMCache(rows.paths, folder, sample_rate=sample_rate), max(1, round(min_seconds * sample_rate)), "speech")
    who = [rows.speakers[recording.number] for recording in speech]
    noise_groups = _paths(noise, noise_where)
    noise_paths = [path for group in noise_groups for path in group]
    noises = _kept(PCMCache(noise_paths, folder, sample_rate=sample_rate), 1, "noise") if noise_paths else []
    store = Decoded(max_hours, sample_rate, "data")
    room_groups = [_rooms(store, path, responses_where) for path in listed(responses)]
    rooms = [waveform for group in room_groups for _, waveform in group]
    _refuse_none("noise", listed(noise), noises, noise_prob)
    _refuse_none("responses", listed(responses), rooms, reverb_prob)
    mixer = Mixer(
        list(zip(speech, who, strict=True)),
        voices=num_sources,
        noises=noises,
        responses=rooms,
        sample_rate=sample_rate,
        seed=seed,
        **mixing.arguments(),  # type: ignore[arg-type] # checked by Mixer
    )
    origin = {
        "data.noise": digest(noise_groups if noise_prob else []),
        "data.responses": digest([[name for name, _ in group] for group in room_groups] if reverb_prob else []),
    }
    return MixtureCorpus(
        MixtureDataset(mixer), mixing, sorted(set(who)), len(speech), workers, prefix_speakers, noise_paths, origin=origin
    )


def check_workers(workers: int) -> None:
    """Raise `ConfigError` for a number of processes that there cannot be."""
    if workers < 0:
        raise ConfigError(f"data: workers must be 0 or more, got {workers}")


def _rooms(store: Decoded, path: str, where: Mapping[str, Any] | None) -> list[tuple[str, np.ndarray]]:
    """Impulse responses and their names, without those that are silent or no numbers."""
    usable = []
    for _, recording in store.recordings(path, where):
        if recording.waveform.any() and np.isfinite(recording.waveform).all():
            usable.append((recording.name, recording.waveform))
        else:
            log.warning("%s: a silent impulse response, or one with NaN or infinite samples, skipped", recording.name)
    return usable


def _refuse_none(key: str, named: Sequence[str], usable: Sequence[object], share: float) -> None:
    """Raise `DataError` when none of the recordings that are to be mixed in is left: the training would go on without."""
    if named and share and not usable:
        raise DataError(
            f"data.{key}: no recording in {', '.join(named)} that can be read and is more than silence; name others, or take "
            f"data.{key} out",
            "E_AUDIO",
        )


def _paths(noise: Paths | None, where: Mapping[str, Any] | None) -> list[list[str]]:
    """Recordings of manifests and folders, those of each together."""
    found: list[list[str]] = []
    for path in listed(noise):
        if Path(path).is_dir():
            found.append([str(Path(path) / name) for name in scan(Path(path))])
        else:
            found.append(read_each(path, None, where, speaker=None)[0].paths)
    if noise is not None and not any(found):
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
