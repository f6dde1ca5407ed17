"""Augmentation of batches, on the device of the waveforms: `Augmenter` draws what each item gets, `effects` does it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxid.audio import effects
from voxid.audio.codecs import CODECS, FFMPEG, check_codecs, coded
from voxid.audio.draws import Draw
from voxid.audio.effects import change_speed, mix, reverberate
from voxid.audio.rooms import Rooms
from voxid.errors import ConfigError, did_you_mean

__all__ = ["Augmenter", "change_speed", "mix", "reverberate"]

POLICIES = ("item", "batch")
NOISE, BABBLE, MUSIC = range(3)


@dataclass(eq=False, repr=False)
class Augmenter:
    """Gives each item of a batch its own noise, room, microphone and line, or the whole batch the same.

    In this order: speed, room, noise or babble or music, equaliser, volume, clipping, telephone, codec. A share of 0 is off.

    Args:
        noises, musics, voices: Recordings [T_i] at the rate of the speech; short ones are looped.
        responses: Impulse responses [R_i] at that rate.
        noise_prob, babble_prob, music_prob: Shares of items with noise, babble or music added; an item gets one of them.
        noise_snr_db, babble_snr_db, music_snr_db: Range of the ratio, in dB.
        noise_segments: Most recordings that a noise is pieced together from, one after the other.
        babble_voices: Range of how many voices babble; they are `voices`, without these the other items of the batch.
        reverb_prob: Share of items put into a room.
        response_seconds: What is kept of a response behind its direct path; None keeps all.
        speed_prob, speeds: Share of items played faster or slower, and the factors to choose from; the class stays the same.
        equalize_prob, equalize_db: Share of items heard through another microphone, and the most it adds or takes, in dB.
        equalize_points: Gains that are drawn, between 60 Hz and half the rate.
        volume_prob, volume_db: Share of items with another level, and the range of the gain in dB.
        clip_prob, clip_share: Share of items that are clipped, and the range of the share of their samples that are.
        telephone_prob: Share of items over a telephone: 300 ... 3400 Hz, 8 kHz.
        codec_prob, codec: Share of items through a codec, and the codecs to choose from (`codecs.CODECS`); over a telephone it
            works at 8 kHz.
        codec_kbps: Range of the bit rate in kbit/s, for codecs that have one.
        policy: "item": each has its own; "batch": all items get the same, or all get none.
        sample_rate: In Hz.

    Raises:
        ConfigError: An argument that makes no sense.

    Example:
        >>> augment = Augmenter(noises=[np.ones(8, np.float32)], noise_prob=1.0)
        >>> augment(torch.randn(2, 16), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 16])
    """

    noises: Sequence[np.ndarray] = ()
    responses: Sequence[np.ndarray] = ()
    noise_prob: float = 0.4
    babble_prob: float = 0.15
    reverb_prob: float = 0.4
    noise_snr_db: Sequence[float] = (0.0, 20.0)
    babble_snr_db: Sequence[float] = (10.0, 20.0)
    _: KW_ONLY
    musics: Sequence[np.ndarray] = ()
    voices: Sequence[np.ndarray] = ()
    music_prob: float = 0.0
    music_snr_db: Sequence[float] = (5.0, 15.0)
    noise_segments: int = 1
    babble_voices: Sequence[int] = (3, 6)
    response_seconds: float | None = None
    speed_prob: float = 0.0
    speeds: Sequence[float] = (0.9, 1.1)
    equalize_prob: float = 0.0
    equalize_db: float = 10.0
    equalize_points: int = 8
    volume_prob: float = 0.0
    volume_db: Sequence[float] = (-10.0, 10.0)
    clip_prob: float = 0.0
    clip_share: Sequence[float] = (0.001, 0.05)
    telephone_prob: float = 0.0
    codec_prob: float = 0.0
    codec: Sequence[str] = ("mulaw", "alaw")
    codec_kbps: Sequence[float] = (8.0, 32.0)
    policy: str = "item"
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        _check(vars(self))
        pools = [[torch.from_numpy(np.asarray(x, np.float32)) for x in pool] for pool in (self.noises, self.voices, self.musics)]
        self._noises, self._voices, self._musics = pools
        self._rooms = Rooms(self.responses, self.sample_rate, self.response_seconds)
        self._rated = any(name in FFMPEG for name in self.codec)

    def __call__(self, waveform: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented copies [B, T] of waveforms [B, T]; `generator` (on the CPU) decides everything."""
        draw = Draw(generator, waveform.shape[0], self.policy == "batch")
        # Under autocast the products of a filter would be rounded to 8 bits.
        with torch.no_grad(), torch.autocast(waveform.device.type, enabled=False):
            out = self._sped(waveform.clone(), draw)
            out = self._surrounded(out, waveform, draw)
            out = self._recorded(out, draw)
            return self._transmitted(out, draw)

    def _sped(self, out: Tensor, draw: Draw) -> Tensor:
        chosen = draw.chance(self.speed_prob)
        number = _spread(chosen, draw.index(len(self.speeds), chosen))
        for index, factor in enumerate(self.speeds):
            out = _on(number == index, out, partial(effects.speed, factor=factor))
        return out

    def _surrounded(self, out: Tensor, others: Tensor, draw: Draw) -> Tensor:
        in_room = draw.one_each() < (self.reverb_prob if len(self._rooms) else 0.0)
        kind = self._kind(draw.one_each())
        room = draw.index(len(self._rooms), in_room)
        out = _on(in_room, out, lambda rows: self._rooms.put(rows, room))
        for number, snr_db in ((NOISE, self.noise_snr_db), (BABBLE, self.babble_snr_db), (MUSIC, self.music_snr_db)):
            chosen = kind == number
            if chosen.any():
                noise = self._noise(number, chosen, others, draw).to(out)
                ratio = draw.uniform(snr_db, chosen).to(out)
                out = _on(chosen, out, partial(mix, noise=noise, snr_db=ratio))
        return out

    def _kind(self, chance: Tensor) -> Tensor:
        """Which kind of noise each item gets [B]; -1 for none."""
        shares = {
            NOISE: self.noise_prob if self._noises else 0.0,
            BABBLE: self.babble_prob if self._voices or len(chance) > 1 else 0.0,
            MUSIC: self.music_prob if self._musics else 0.0,
        }
        kind, start = torch.full(chance.shape, -1), 0.0
        for number, share in shares.items():
            kind[(chance >= start) & (chance < start + share)] = number
            start += share
        return kind

    def _noise(self, kind: int, chosen: Tensor, others: Tensor, draw: Draw) -> Tensor:
        """Noises [C, T] for the chosen items, or one [1, T] for all of them."""
        samples, count = others.shape[1], draw.count(chosen)
        if kind == BABBLE and not self._voices:
            return draw.others(chosen, *self.babble_voices).to(others) @ others
        if kind == BABBLE:
            several = [draw.integer(self.babble_voices[0], self.babble_voices[1] + 1) for _ in range(count)]
            return torch.stack([torch.stack([_piece(self._voices, samples, draw) for _ in range(n)]).sum(0) for n in several])
        recordings = self._noises if kind == NOISE else self._musics
        segments = self.noise_segments if kind == NOISE else 1
        return torch.stack([_pieced(recordings, samples, segments, draw) for _ in range(count)])

    def _recorded(self, out: Tensor, draw: Draw) -> Tensor:
        chosen = draw.chance(self.equalize_prob)
        gains = draw.uniform((-self.equalize_db, self.equalize_db), chosen, self.equalize_points).to(out)
        out = _on(chosen, out, lambda rows: effects.equalize(rows, gains, self.sample_rate))
        chosen = draw.chance(self.volume_prob)
        gain = draw.uniform(self.volume_db, chosen).to(out)
        out = _on(chosen, out, lambda rows: effects.volume(rows, gain))
        chosen = draw.chance(self.clip_prob)
        share = draw.uniform(self.clip_share, chosen).to(out)
        return _on(chosen, out, lambda rows: effects.clip(rows, share))

    def _transmitted(self, out: Tensor, draw: Draw) -> Tensor:
        called, through = draw.chance(self.telephone_prob), draw.chance(self.codec_prob)
        number = _spread(through, draw.index(len(self.codec), through))
        kbps = torch.zeros(len(out))
        if self._rated:
            kbps[through] = draw.uniform(self.codec_kbps, through)

        def line(rows: Tensor, which: Tensor, rate: int) -> Tensor:
            for index, name in enumerate(self.codec):
                own = number[which] == index
                rows = _on(own, rows, partial(coded, name=name, sample_rate=rate, kbps=kbps[which][own]))
            return rows

        narrow = effects.TELEPHONE_RATE
        out = _on(called, out, lambda rows: effects.telephone(rows, self.sample_rate, lambda x: line(x, called, narrow)))
        return _on(~called & through, out, lambda rows: line(rows, ~called & through, self.sample_rate))


def _on(chosen: Tensor, out: Tensor, effect: Callable[[Tensor], Tensor]) -> Tensor:
    """`out` [B, T] with the effect on the chosen rows; it is written into."""
    if not chosen.any():
        return out
    if chosen.all():
        return effect(out)
    rows = chosen.nonzero()[:, 0].to(out.device)
    return out.index_copy_(0, rows, effect(out.index_select(0, rows)))  # which is quicker than out[rows]


def _spread(chosen: Tensor, number: Tensor) -> Tensor:
    """The numbers of the chosen items among all of them [B]; -1 elsewhere."""
    return torch.full(chosen.shape, -1).masked_scatter(chosen, number.expand(int(chosen.sum())))


def _pieced(recordings: Sequence[Tensor], samples: int, segments: int, draw: Draw) -> Tensor:
    """A noise [T] of up to so many recordings, one after the other."""
    number = draw.integer(1, segments + 1) if segments > 1 else 1
    borders = sorted(draw.integer(0, samples + 1) for _ in range(number - 1))
    pieces = [_piece(recordings, stop - start, draw) for start, stop in itertools.pairwise([0, *borders, samples])]
    return pieces[0] if number == 1 else torch.cat(pieces)


def _piece(recordings: Sequence[Tensor], samples: int, draw: Draw) -> Tensor:
    """A stretch [T] of one of the recordings."""
    recording = recordings[draw.integer(0, len(recordings))]
    if len(recording) < samples:
        recording = recording.repeat(-(-samples // len(recording)))
    start = draw.integer(0, len(recording) - samples + 1)
    return recording[start : start + samples]


def _check(given: dict[str, Any]) -> None:
    for name in given:
        if name in ("noises", "musics", "voices", "responses"):
            if not all(np.ndim(recording) == 1 and len(recording) for recording in given[name]):
                raise ConfigError(f"augment: {name} must be recordings [T] of one sample or more")
        elif name.endswith("_prob"):
            _check_number(name, given[name], "a share within 0 ... 1", 0, 1)
        elif name.endswith("_snr_db"):
            _check_range(name, given[name], "in dB")
    _check_range("volume_db", given["volume_db"], "in dB")
    _check_range("clip_share", given["clip_share"], "within 0 ... 1", 0, 1)
    _check_range("babble_voices", given["babble_voices"], "of 1 or more", 1)
    _check_range("codec_kbps", given["codec_kbps"], "within 4 ... 256", 4, 256)
    for name, least in (("noise_segments", 1), ("equalize_points", 2), ("equalize_db", 0), ("sample_rate", 1000)):
        _check_number(name, given[name], f"{least} or more", least)
    if given["response_seconds"] is not None:
        _check_number("response_seconds", given["response_seconds"], "0.001 or more, or null for all", 0.001)
    speeds, names, policy = given["speeds"], given["codec"], given["policy"]
    if not isinstance(speeds, list | tuple) or not speeds or not all(_is_number(speed, 0.5, 2) for speed in speeds):
        raise ConfigError(f"augment: speeds must be a list of factors within 0.5 ... 2, got {speeds!r}")
    if not isinstance(names, list | tuple) or not names:
        raise ConfigError(f"augment: codec must be a list of names out of {', '.join(CODECS)}, got {names!r}")
    check_codecs(names)
    if policy not in POLICIES:
        raise ConfigError(f"augment: unknown policy {policy!r}: {did_you_mean(str(policy), POLICIES)}")


def _is_number(value: object, least: float = -math.inf, most: float = math.inf) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and least <= value <= most


def _check_number(name: str, value: object, kind: str, least: float, most: float = math.inf) -> None:
    if not _is_number(value, least, most):
        raise ConfigError(f"augment: {name} must be {kind}, got {value!r}")


def _check_range(name: str, limits: object, kind: str, least: float = -math.inf, most: float = math.inf) -> None:
    pair = isinstance(limits, list | tuple) and len(limits) == 2 and all(_is_number(limit, least, most) for limit in limits)
    if not pair or limits[0] > limits[1]:  # type: ignore[index] # a pair of numbers, as just seen
        raise ConfigError(f"augment: {name} must be two numbers {kind}, the lower one first, got {limits!r}")
