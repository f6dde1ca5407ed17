"""What happens to speech on its way, for whole batches: noise, rooms, speed, microphones, telephones. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import soxr
import torch
from torch import Tensor

from voxid.audio.filters import convolve, resample

TELEPHONE_RATE = 8000
TELEPHONE_BAND = (300.0, 3400.0)  # Hz, ITU-T G.712
BAND_TAPS = 201  # of the band-pass at 8 kHz
EQUALIZER_TAPS = 1024
LOWEST = 60.0  # Hz, the first point of the equaliser
TINY = 1e-6  # a level below this is silence


def mix(speech: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """Speech with noise added at a signal-to-noise ratio: [B, T] and [B, T] -> [B, T].

    Args:
        speech, noise: Waveforms [B, T], or one noise [1, T] for all; silent noise adds nothing.
        snr_db: Ratio of the two powers of each item [B] or [1], in dB.

    Example:
        >>> speech, noise = torch.ones(1, 4), torch.tensor([[1.0, -1.0, 1.0, -1.0]])
        >>> mix(speech, noise, torch.tensor([20.0]))
        tensor([[1.1000, 0.9000, 1.1000, 0.9000]])
    """
    level, noise_level = torch.linalg.vector_norm(speech, dim=1), torch.linalg.vector_norm(noise, dim=1)
    gain = level / noise_level.clamp(min=TINY) * torch.pow(10.0, -snr_db / 20.0)
    return torch.addcmul(speech, gain[:, None], noise)


def reverberate(speech: Tensor, response: Tensor) -> Tensor:
    """Speech in a room, one impulse response a row: [B, T] and [B, R] -> [B, T].

    The direct path (the peak of the response) stays where the speech was, and the power of each item is kept.

    Args:
        speech: [B, T].
        response: [B, R], or [1, R] for all rows.

    Example:
        >>> reverberate(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 2.0, 0.0]])).round(decimals=4)
        tensor([[1., 0., 0.]])
    """
    aligned, peak = align(response)
    return keep_power(convolve(speech, aligned, peak), speech)


def align(response: Tensor) -> tuple[Tensor, int]:
    """Impulse responses [B, R] moved so that all their peaks are at the place of the last one: [B, R + at most R], the place."""
    peaks = response.abs().argmax(dim=1, keepdim=True)
    place = int(peaks.max())
    source = torch.arange(response.shape[1] + place, device=response.device) - (place - peaks)
    inside = (source >= 0) & (source < response.shape[1])
    return response.gather(1, source.clamp(0, response.shape[1] - 1)) * inside, place


def keep_power(changed: Tensor, before: Tensor) -> Tensor:
    """`changed` [B, T] at the power that each item had before."""
    level, new = torch.linalg.vector_norm(before, dim=1), torch.linalg.vector_norm(changed, dim=1)
    return changed * (level / new.clamp(min=TINY))[:, None]


def speed(waveform: Tensor, factor: float) -> Tensor:
    """Waveforms [B, T] played `factor` times as fast, pitch and all: [B, T].

    What is too long is cut off; what is too short begins again, as silence would teach a net the padding.

    Example:
        >>> speed(torch.randn(2, 100), 1.1).shape
        torch.Size([2, 100])
    """
    samples = waveform.shape[1]
    ratio = Fraction(factor).limit_denominator(100)
    moved = resample(waveform, ratio.denominator, ratio.numerator)
    times, rest = divmod(samples, moved.shape[1])
    return torch.cat([*[moved] * times, moved[:, :rest]], dim=1) if times else moved[:, :samples]


def change_speed(waveform: np.ndarray, factor: float) -> np.ndarray:
    """The recording played `factor` times as fast, pitch and all: [T] -> [about T / factor]."""
    if factor == 1.0:
        return waveform
    return soxr.resample(waveform, factor, 1.0, quality="MQ").astype(np.float32, copy=False)


def equalize(waveform: Tensor, gain_db: Tensor, sample_rate: int) -> Tensor:
    """Waveforms heard through a microphone of another colour: [B, T] -> [B, T]; the power of each item is kept.

    Args:
        waveform: [B, T].
        gain_db: Gains [B, P] or [1, P] in dB at P >= 2 frequencies, evenly spaced in octaves from 60 Hz to half the rate;
            between them the curve is smooth.
        sample_rate: In Hz.

    Example:
        >>> waveform = torch.randn(1, 4000)
        >>> bool(torch.allclose(equalize(waveform, torch.full((1, 4), 6.0), 16000), waveform, atol=1e-4))
        True
    """
    taps, points = EQUALIZER_TAPS, gain_db.shape[1]
    hertz = torch.linspace(0, sample_rate / 2, taps // 2 + 1).to(waveform).clamp(min=LOWEST)
    place = (hertz / LOWEST).log() / np.log(sample_rate / 2 / LOWEST) * (points - 1)
    distance = (place[None] - torch.arange(points, device=waveform.device)[:, None]).abs().clamp(max=1)
    curve = torch.pow(10.0, gain_db.to(waveform) @ (0.5 + 0.5 * torch.cos(torch.pi * distance)) / 20)
    kernel = torch.fft.irfft(curve + 0j).roll(taps // 2, dims=1)
    kernel = kernel * torch.hann_window(taps).to(waveform)
    return keep_power(convolve(waveform, kernel, taps // 2), waveform)


def telephone(waveform: Tensor, sample_rate: int, code: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Waveforms [B, T] over a telephone: down to 8 kHz, 300 ... 3400 Hz, and back up to their rate.

    Args:
        waveform: [B, T].
        sample_rate: In Hz.
        code: What the line does to the waveforms at 8 kHz, a codec for example.

    Example:
        >>> telephone(torch.randn(2, 1600), 16000).shape
        torch.Size([2, 1600])
    """
    narrow = resample(waveform, TELEPHONE_RATE, sample_rate)
    narrow = convolve(narrow, _band(waveform), BAND_TAPS // 2)
    if code is not None:
        narrow = code(narrow)
    return resample(narrow, sample_rate, TELEPHONE_RATE)[:, : waveform.shape[1]]


def _band(like: Tensor) -> Tensor:
    """The band-pass of the telephone, [1, BAND_TAPS] at 8 kHz: a sinc of each edge under a Hamming window."""
    time = torch.arange(BAND_TAPS, dtype=torch.float64) - BAND_TAPS // 2
    low, high = (2 * edge / TELEPHONE_RATE for edge in TELEPHONE_BAND)
    ideal = high * torch.sinc(high * time) - low * torch.sinc(low * time)
    return (ideal * torch.hamming_window(BAND_TAPS, periodic=False, dtype=torch.float64))[None].to(like)


def volume(waveform: Tensor, gain_db: Tensor) -> Tensor:
    """Waveforms [B, T] louder by `gain_db` [B] or [1], in dB; nothing is clipped.

    Example:
        >>> volume(torch.ones(1, 2), torch.tensor([20.0]))
        tensor([[10., 10.]])
    """
    return waveform * torch.pow(10.0, gain_db / 20)[:, None]


def clip(waveform: Tensor, share: Tensor) -> Tensor:
    """Waveforms [B, T] with their loudest samples cut off, a share [B] or [1] of them.

    Example:
        >>> clip(torch.tensor([[1.0, -2.0, 3.0, -4.0]]), torch.tensor([0.5]))
        tensor([[ 1., -2.,  2., -2.]])
    """
    samples = waveform.shape[1]
    place = (share * samples).long().clamp(max=samples - 1)[:, None]
    loudest = waveform.abs().topk(int(place.max()) + 1, dim=1).values
    limit = loudest.gather(1, place.expand(len(waveform), 1))
    return torch.minimum(torch.maximum(waveform, -limit), limit)
