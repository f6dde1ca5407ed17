"""The augmentation section of a recipe: where noise, music, voices and rooms come from."""

from __future__ import annotations

import inspect
import io as memory
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxid import registry
from voxid.audio import io
from voxid.audio.augment import Augmenter
from voxid.audio.rooms import simulate_rooms
from voxid.data.scan import SUFFIXES, scan
from voxid.errors import ConfigError, DataError, did_you_mean
from voxid.training.rows import Paths, listed, read_each

SHARDS = (".tar", ".tar.gz", ".tgz")
POOLS = ("noise", "music", "speech")
# Which pool a row belongs to by the word in the column that `kind` names; all other words are noise.
WORDS = {"music": "music", "speech": "speech", "babble": "speech", "voice": "speech"}
DECODED = {"noises", "musics", "voices"}  # arguments of `Augmenter` that a recipe does not give


def augmenter(
    noise: Paths | None = None,
    responses: Paths | None = None,
    where: Mapping[str, Any] | None = None,
    *,
    music: Paths | None = None,
    speech: Paths | None = None,
    kind: str | None = None,
    simulated_rooms: int | Mapping[str, Any] = 0,
    max_hours: float = 10.0,
    sample_rate: int = 16000,
    **options: Any,
) -> Augmenter:
    """What a recipe says of augmentation, decoded once and kept in memory.

    Args:
        noise, music, speech, responses: Manifests, folders or tar files of recordings, one or a list.
        where: Rows of the manifests to take.
        kind: Column of the `noise` manifests that tells music and speech (or babble) from noise.
        simulated_rooms: So many rooms of `audio.rooms.simulate_rooms`, or its arguments; beside those of `responses`.
        max_hours: Most that may be decoded; an hour at 16 kHz takes 230 MB.
        sample_rate: Of the model, in Hz.
        options: Arguments of `audio.augment.Augmenter`.

    Raises:
        ConfigError: An argument that makes no sense, or more recordings than `max_hours`.
        DataError, AudioError: A manifest or a recording that cannot be read.
    """
    _check(options)
    Augmenter(**options)  # a wrong value is told before hours of noise are decoded
    rooms = _simulated(simulated_rooms, sample_rate)
    store = Decoded(max_hours, sample_rate, "augment")
    pools: dict[str, list[np.ndarray]] = {name: [] for name in POOLS}
    for pool, paths in zip(POOLS, (noise, music, speech), strict=True):
        for word, recording in store.read(paths, where, kind if pool == "noise" else None):
            pools[WORDS.get(word, "noise") if word else pool].append(recording)
    rooms += [response for _, response in store.read(responses, where, None)]
    return Augmenter(pools["noise"], rooms, musics=pools["music"], voices=pools["speech"], sample_rate=sample_rate, **options)


def _simulated(rooms: int | Mapping[str, Any], sample_rate: int) -> list[np.ndarray]:
    arguments = {"count": rooms} if isinstance(rooms, int) else dict(rooms)
    if arguments.get("count") == 0:
        return []
    return registry.call(simulate_rooms, {"sample_rate": sample_rate} | arguments, "simulated_rooms")


def _check(options: Mapping[str, Any]) -> None:
    own, passed_on = inspect.signature(augmenter).parameters, inspect.signature(Augmenter).parameters
    known = {*own, *passed_on} - DECODED - {"options", "sample_rate"}
    for key in options:
        if key not in known:
            raise ConfigError(f"augment: unknown argument {key!r}: {did_you_mean(key, known)}")
    registry.check(Augmenter, options, "augment")


class Decoded:
    """Decodes recordings up to a number of hours in all; `section` of the recipe is that which asks for them."""

    def __init__(self, max_hours: float, sample_rate: int, section: str) -> None:
        if not max_hours > 0:
            raise ConfigError(f"{section}: max_hours must be above 0, got {max_hours!r}")
        self.max_hours, self.sample_rate, self.section = max_hours, sample_rate, section
        self.hours = 0.0

    def read(self, paths: Paths | None, where: Mapping[str, Any] | None, kind: str | None) -> Iterator[tuple[str, np.ndarray]]:
        """Waveforms of manifests, folders and shards, and the word in the column `kind`."""
        yield from ((word, recording.waveform) for word, recording in self.recordings(paths, where, kind))

    def recordings(
        self, paths: Paths | None, where: Mapping[str, Any] | None, kind: str | None = None
    ) -> Iterator[tuple[str, io.Recording]]:
        """The same with their names."""
        for path in listed(paths):
            if Path(path).is_dir():
                found = [str(Path(path) / name) for name in scan(Path(path))]
                yield from (("", self._load(name)) for name in _some(found, path))
            elif path.endswith(SHARDS):
                yield from (("", recording) for recording in _some(map(self._load, _members(path)), path))
            else:
                (rows,) = read_each(path, None, where, speaker=None)
                self._refuse(self.hours + rows.hours, path)
                words = rows.column(kind) if kind else [""] * len(rows)
                yield from ((word, self._load(name)) for word, name in zip(words, rows.paths, strict=True))

    def _load(self, source: str | memory.BytesIO) -> io.Recording:
        recording = io.load(source, sample_rate=self.sample_rate)
        self.hours += recording.duration / 3600
        self._refuse(self.hours, recording.name)
        return recording

    def _refuse(self, hours: float, where: str) -> None:
        if hours > self.max_hours:
            raise ConfigError(
                f"{self.section}: with {where} there are more than {self.max_hours:g} hours to keep in memory; take fewer rows, "
                f"or raise {self.section}.max_hours, 230 MB an hour at 16 kHz"
            )


def _some(found: Any, path: str) -> Iterator[Any]:
    """What was found, at least one."""
    nothing = True
    for item in found:
        nothing = False
        yield item
    if nothing:
        raise DataError(f"{path}: no recording in it")


def _members(path: str) -> Iterator[memory.BytesIO]:
    """The recordings of a tar file, in its order."""
    try:
        with tarfile.open(path) as shard:
            for member in shard:
                file = shard.extractfile(member) if Path(member.name).suffix.lower() in SUFFIXES else None
                if file is not None:
                    held = memory.BytesIO(file.read())
                    held.name = f"{path}/{member.name}"
                    yield held
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path", "E_NOT_FILE") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path}: not a tar file that can be read ({error})") from error
