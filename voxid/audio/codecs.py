"""Codecs as an effect on batches: there and back again."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxid import extras
from voxid.audio.filters import resample
from voxid.errors import ConfigError, did_you_mean

FULL_SCALE = 32768


def mulaw(waveform: Tensor) -> Tensor:
    """Waveforms [..., T] after 8 bit of mu-law (ITU-T G.711); what passes [-1, 1] is clipped.

    Example:
        >>> (mulaw(torch.tensor([0.0, 1000 / 32768])) * 32768).tolist()
        [0.0, 988.0]
    """
    return _looked_up(waveform, _mulaw_table)


def alaw(waveform: Tensor) -> Tensor:
    """Waveforms [..., T] after 8 bit of A-law (ITU-T G.711); what passes [-1, 1] is clipped.

    Example:
        >>> (alaw(torch.tensor([0.0, 1000 / 32768])) * 32768).tolist()
        [8.0, 1008.0]
    """
    return _looked_up(waveform, _alaw_table)


def _looked_up(waveform: Tensor, table: functools._lru_cache_wrapper[Tensor]) -> Tensor:
    sample = (waveform * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1).long()
    return table(waveform.device)[sample + FULL_SCALE].to(waveform.dtype)


@functools.cache
def _mulaw_table(device: torch.device) -> Tensor:
    """What becomes of each 16-bit sample: 14 bits, eight segments of sixteen steps, each segment twice as coarse."""
    sample = torch.arange(-FULL_SCALE, FULL_SCALE)
    magnitude = (torch.where(sample < 0, -(sample >> 2), sample >> 2) + 33).clamp(max=8191)
    segment = magnitude.double().log2().floor().long() - 5
    step = (magnitude >> (segment + 1)) & 15
    decoded = (((2 * step + 33) << segment) - 33) * 4
    return (torch.where(sample < 0, -decoded, decoded) / FULL_SCALE).float().to(device)


@functools.cache
def _alaw_table(device: torch.device) -> Tensor:
    """What becomes of each 16-bit sample: 13 bits, eight segments of sixteen steps, the first two equally fine."""
    sample = torch.arange(-FULL_SCALE, FULL_SCALE)
    magnitude = torch.where(sample < 0, ~sample, sample) >> 3
    segment = magnitude.clamp(min=16).double().log2().floor().long() - 4
    step = (magnitude >> segment.clamp(min=1)) & 15
    decoded = torch.where(segment == 0, 16 * step + 8, (16 * step + 264) << (segment - 1).clamp(min=0))
    return (torch.where(sample < 0, -decoded, decoded) / FULL_SCALE).float().to(device)


@dataclass(frozen=True)
class FFmpegCodec:
    """A codec of FFmpeg: its encoder and decoder, the rate it works at in Hz, by how many samples its output is late, the
    sample format of the encoder, and the bit rates in kbit/s where it does not take any."""

    encoder: str
    decoder: str
    rate: int
    delay: int
    format: str
    kbps: tuple[float, ...] = ()
    options: tuple[tuple[str, str], ...] = ()


COMPANDERS = {"mulaw": mulaw, "alaw": alaw}
FFMPEG = {  # with the encoders' quickest settings
    "opus": FFmpegCodec("libopus", "libopus", 16000, 104, "flt", options=(("compression_level", "0"),)),
    "mp3": FFmpegCodec(
        "libmp3lame", "mp3float", 16000, 1105, "fltp", (8, 16, 24, 32, 40, 48, 56, 64), (("compression_level", "9"),)
    ),
    "amr": FFmpegCodec("libopencore_amrnb", "amrnb", 8000, 40, "s16", (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)),
}
CODECS = (*COMPANDERS, *FFMPEG)


def check_codecs(names: Sequence[str]) -> None:
    """Raise `ConfigError` for a codec that is not known, or that this installation lacks."""
    for name in names:
        if name not in CODECS:
            raise ConfigError(f"unknown codec {name!r}: {did_you_mean(str(name), CODECS)}")
        if name in FFMPEG:
            known = extras.need("av", extra="audio").codecs_available
            if FFMPEG[name].encoder not in known:
                raise ConfigError(f"the codec {name} needs FFmpeg with {FFMPEG[name].encoder}; this PyAV was built without it")


def coded(waveform: Tensor, name: str, sample_rate: int, kbps: Tensor) -> Tensor:
    """Waveforms [B, T] through a codec and back, each sample where it was.

    Args:
        waveform: [B, T]; what passes [-1, 1] is clipped.
        name: mulaw or alaw, at the rate of the waveforms and on their device; opus and mp3 at 16 kHz, amr (narrow band) at
            8 kHz, by FFmpeg on the CPU, item after item: about 15 ms for 2 s. These need the extra `audio`.
        sample_rate: In Hz.
        kbps: Bit rate of each item [B] or [1], in kbit/s; the codec takes the nearest one that it has. Not for mulaw and alaw.

    Example:
        >>> coded(torch.zeros(2, 400), "mulaw", 16000, torch.zeros(1)).abs().max()
        tensor(0.)
    """
    if name in COMPANDERS:
        return COMPANDERS[name](waveform)
    codec = FFMPEG[name]
    narrow = resample(waveform, codec.rate, sample_rate).float().cpu().clamp(-1, 1)
    rates = kbps.expand(len(narrow)).tolist()
    rows = [_through(codec, row, rate) for row, rate in zip(narrow.numpy(), rates, strict=True)]
    decoded = torch.from_numpy(np.stack(rows)).to(waveform)
    return resample(decoded, sample_rate, codec.rate)[:, : waveform.shape[1]]


def _through(codec: FFmpegCodec, samples: np.ndarray, kbps: float) -> np.ndarray:
    """Samples [T], encoded and decoded frame by frame, without a file."""
    av = extras.need("av", extra="audio")
    encoder, decoder = av.CodecContext.create(codec.encoder, "w"), av.CodecContext.create(codec.decoder, "r")
    encoder.bit_rate = round(1000 * (min(codec.kbps, key=lambda known: abs(known - kbps)) if codec.kbps else kbps))
    encoder.format, encoder.options, encoder.time_base = codec.format, dict(codec.options), Fraction(1, codec.rate)
    for context in (encoder, decoder):
        context.sample_rate, context.layout = codec.rate, "mono"
    encoder.open()
    step = encoder.frame_size
    count = -(-(len(samples) + codec.delay) // step) + 2  # two that push the last ones out
    padded = np.pad(samples, (0, count * step - len(samples))).reshape(count, 1, step)
    if codec.format == "s16":
        padded = (padded * (FULL_SCALE - 1)).astype(np.int16)
    packets = []
    for number, piece in enumerate(padded):
        frame = av.AudioFrame.from_ndarray(piece, format=codec.format, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = codec.rate, number * step, encoder.time_base
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [frame for packet in packets for frame in decoder.decode(av.Packet(bytes(packet)))]
    return np.concatenate([_plain(frame, codec.rate) for frame in decoded])[codec.delay : codec.delay + len(samples)]


def _plain(frame: Any, rate: int) -> np.ndarray:
    samples = frame.to_ndarray()[0]
    scale = FULL_SCALE if samples.dtype == np.int16 else 1
    # The decoder of Opus gives 48 kHz whatever went in; there is nothing above the band of the lower rate in it.
    return (samples[:: frame.sample_rate // rate] / scale).astype(np.float32)
