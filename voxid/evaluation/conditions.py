"""What happens to the recordings of a trial list before they are embedded: noise comes in, an enhancer takes it out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from voxid.audio import io
from voxid.data.embeddings import Embeddings
from voxid.errors import AudioError, ConfigError, DataError
from voxid.evaluation.added_noise import AddedNoise
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import embed_files, model_info
from voxid.pipelines.enhance import Mix, enhance
from voxid.zoo.load import load

Side = Literal["test", "both"]
HELD_SECONDS = 600.0  # of audio held at a time, so that recordings of like lengths are embedded together


class Heard(NamedTuple):
    """A recording as a side of a trial hears it.

    Args:
        name: As the list names it.
        noisy, enhanced: What is done to it.
    """

    name: str
    noisy: bool
    enhanced: bool


@dataclass(frozen=True, eq=False)
class Conditions:
    """Noise and enhancement, each on the test side or on both.

    Args:
        noise: What adds noise; None = nothing does.
        noise_side: Where.
        enhancer: A model for enhancement, which hears the recording with its noise; None = none.
        enhance_side: Where.
        mix: How much of the enhanced goes in, and when.
        left_alone: Grows by recordings that were not enhanced, as their SNR is high enough.
    """

    noise: AddedNoise | None
    noise_side: Side
    enhancer: nn.Module | None
    enhance_side: Side
    mix: Mix
    left_alone: list[Heard] = field(default_factory=list)

    def heard(self, name: str, side: Literal["enrol", "test"]) -> Heard:
        """What a side of a trial hears of a recording.

        Example:
            >>> Conditions(None, "test", nn.Identity(), "both", Mix()).heard("a.wav", "enrol")
            Heard(name='a.wav', noisy=False, enhanced=True)
        """
        parts = ((self.noise, self.noise_side), (self.enhancer, self.enhance_side))
        return Heard(name, *(part is not None and (side == "test" or where == "both") for part, where in parts))

    def waveform(self, heard: Heard, path: str | Path, sample_rate: int) -> NDArray[np.float32]:
        """The recording [T] as it is heard.

        Raises:
            AudioError: A recording that cannot be read.
            DataError: Noise that cannot.
        """
        waveform = io.load(path, sample_rate=sample_rate).waveform
        if heard.noisy and self.noise is not None:
            waveform = self.noise(waveform, heard.name, sample_rate)
        if not heard.enhanced:
            return waveform
        sound, mix = (waveform, sample_rate), self.mix
        done = enhance(sound, model=self.enhancer, wet=mix.wet, max_attenuation=mix.max_attenuation, below_snr=mix.below_snr)
        if not done.applied:
            self.left_alone.append(heard)
        assert done.waveform is not None  # no output was named
        return done.waveform

    def facts(self) -> dict[str, Any]:
        """What was done, for a result."""
        facts: dict[str, Any] = {}
        if self.noise is not None:
            facts |= {"noise": self.noise.manifest, "snr": self.noise.snr, "noise_side": self.noise_side}
        if self.enhancer is not None:
            card = getattr(self.enhancer, "card", None) or {}
            facts["enhancer"] = {"name": card.get("name"), "sha256": card.get("sha256")}
            facts |= {"enhance_side": self.enhance_side, "max_attenuation": self.mix.max_attenuation}
            facts |= {"below_snr": self.mix.below_snr, "left_alone": len(self.left_alone)}
        return facts


def conditions_for(
    *,
    noise: str | Path | None,
    noise_root: str | Path | None,
    noise_where: Mapping[str, Any] | None,
    noise_side: Side,
    snr: float | None,
    seed: int,
    enhance: str | Path | nn.Module | None,
    enhance_side: Side,
    max_attenuation: float | None,
    below_snr: float | None,
    device: str,
    imports: bool,
) -> Conditions | None:
    """What `evaluate` is asked to do to recordings; None for nothing. Arguments as there.

    Raises:
        ConfigError: Options that change nothing, or are out of their range.
        DataError: A manifest that cannot be read.
        ModelError: An enhancer that cannot be loaded.
    """
    enhance = None if isinstance(enhance, str) and enhance == "none" else enhance
    if (noise is None) != (snr is None):
        raise ConfigError("noise and snr go together: a manifest of noise, and the ratio in dB that it is added at")
    if noise is None and (noise_root is not None or noise_where):
        raise ConfigError("noise_root and noise_where say which noise is added: name its manifest with noise (--noise)")
    if enhance is None and (max_attenuation is not None or below_snr is not None):
        raise ConfigError("max_attenuation and below_snr say how to enhance: name a model with enhance (--enhance)")
    for name, side in (("noise_side", noise_side), ("enhance_side", enhance_side)):
        if side not in ("test", "both"):
            raise ConfigError(f"{name} is 'test' or 'both', got {side!r}")
    if noise is None and enhance is None:
        return None
    mix = Mix(1.0, max_attenuation, below_snr)
    added = None if noise is None or snr is None else AddedNoise(noise, snr, root=noise_root, where=noise_where, seed=seed)
    net = None if enhance is None else load(enhance, kind="enhancement", device=device, imports=imports)
    return Conditions(added, noise_side, net, enhance_side, mix)


def embed_heard(
    net: SpeakerEncoder,
    recordings: Sequence[Heard],
    root: Path,
    conditions: Conditions,
    *,
    on_error: Literal["raise", "skip"],
    progress: bool,
) -> tuple[Embeddings, dict[Heard, int]]:
    """Embeddings of recordings as they are heard, and the row of each; those that cannot be used have none.

    Raises:
        DataError: What `embed_files` says of recordings that cannot be used.
    """
    paths = {heard: str(root / heard.name) for heard in recordings}
    parts: list[tuple[list[Heard], Embeddings]] = []
    failed: dict[str, str] = {}
    with tqdm(total=len(paths), desc="hear and embed", unit="file", disable=None if progress else True) as bar:
        for some in _held(paths, conditions, net.sample_rate, failed, on_error):
            pairs = [(waveform, net.sample_rate) for waveform in some.values()]
            done = embed_files(pairs, model=net, on_error=on_error, progress=False)
            failed |= {paths[list(some)[_place(name)]]: reason for name, reason in done.failed.items()}
            kept = [list(some)[_place(name)] for name in done.names]
            parts.append((kept, done))
            bar.update(len(some))
    order = [heard for kept, _ in parts for heard in kept]
    return _joined(net, [part for _, part in parts], [paths[heard] for heard in order], failed), {
        heard: row for row, heard in enumerate(order)
    }


def _held(
    paths: Mapping[Heard, str], conditions: Conditions, rate: int, failed: dict[str, str], on_error: str
) -> Iterator[dict[Heard, NDArray]]:
    """Waveforms by recording, some minutes at a time; the reasons of those that cannot be read go to `failed`."""
    held: dict[Heard, NDArray] = {}
    samples = 0
    for heard, path in paths.items():
        try:
            held[heard] = conditions.waveform(heard, path, rate)
        except AudioError as error:
            if on_error == "raise":
                raise DataError(f"1 of {len(paths)} recordings cannot be used: {error}", "E_AUDIO") from error
            failed[path] = str(error)
            continue
        samples += len(held[heard])
        if samples >= HELD_SECONDS * rate:
            yield held
            held, samples = {}, 0
    if held:
        yield held


def _place(name: str) -> int:
    """Place of a pair among those that `embed_files` was given, by the name that it gives it: "recording 1" is the first."""
    return int(name.rpartition(" ")[2]) - 1


def _joined(net: SpeakerEncoder, parts: Sequence[Embeddings], names: Sequence[str], failed: Mapping[str, str]) -> Embeddings:
    rows = [part.embeddings for part in parts] or [np.zeros((0, net.embedding_dim), np.float32)]
    known = {name: np.concatenate([part.facts[name] for part in parts]) for name in (parts[0].facts if parts else ())}
    return Embeddings(tuple(names), np.concatenate(rows), dict(failed), model_info(net), known)
