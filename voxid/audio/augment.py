"""Augmentation of batches, on the device of the waveforms. Functions first; `Augmenter` draws what each item gets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import soxr
import torch
from torch import Tensor

from voxid.errors import ConfigError


def mix(speech: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """Speech with noise added at a signal-to-noise ratio: [B, T] and [B, T] -> [B, T].

    Args:
        speech, noise: Waveforms [B, T]; silent noise adds nothing.
        snr_db: Ratio of the two powers of each item [B], in dB.

    Example:
        >>> speech, noise = torch.ones(1, 4), torch.tensor([[1.0, -1.0, 1.0, -1.0]])
        >>> mix(speech, noise, torch.tensor([20.0]))
        tensor([[1.1000, 0.9000, 1.1000, 0.9000]])
    """
    speech_power = speech.square().mean(dim=1)
    noise_power = noise.square().mean(dim=1).clamp(min=1e-12)
    gain = (speech_power / noise_power * torch.pow(10.0, -snr_db / 10.0)).sqrt()
    return speech + gain[:, None] * noise


def reverberate(speech: Tensor, response: Tensor) -> Tensor:
    """Speech in a room, one impulse response a row: [B, T] and [B, R] -> [B, T].

    The direct path (the peak of the response) stays where the speech was, and the power of each item is kept.

    Example:
        >>> reverberate(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 2.0, 0.0]]))
        tensor([[1., 0., 0.]])
    """
    samples = speech.shape[1]
    size = samples + response.shape[1] - 1
    size = 1 << (size - 1).bit_length()  # FFTs of a power of two are the fast ones
    wet = torch.fft.irfft(torch.fft.rfft(speech, n=size) * torch.fft.rfft(response, n=size), n=size)
    start = response.abs().argmax(dim=1, keepdim=True)
    wet = wet.gather(1, start + torch.arange(samples, device=speech.device))
    power, wet_power = speech.square().mean(dim=1), wet.square().mean(dim=1)
    return wet * (power / wet_power.clamp(min=1e-12)).sqrt()[:, None]


def change_speed(waveform: np.ndarray, factor: float) -> np.ndarray:
    """The recording played `factor` times as fast, pitch and all: [T] -> [about T / factor]."""
    if factor == 1.0:
        return waveform
    return soxr.resample(waveform, factor, 1.0, quality="MQ").astype(np.float32, copy=False)


class Augmenter:
    """Gives each item of a batch its own noise, babble or music, and its own room.

    Args:
        noises: Recordings [T_i] at the rate of the speech; short ones are looped.
        responses: Impulse responses [R_i] at that rate.
        noise_prob: Share of items with a recording of `noises` added.
        babble_prob: Share of items with three to six other items of the batch added.
        reverb_prob: Share of items put into a room, before the noise.
        noise_snr_db, babble_snr_db: Range of the ratio, in dB.

    Raises:
        ConfigError: A share outside 0 ... 1, or a range that is not two numbers, the lower one first.

    Example:
        >>> augment = Augmenter(noises=[np.ones(8, np.float32)], noise_prob=1.0)
        >>> augment(torch.randn(2, 16), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        noises: Sequence[np.ndarray] = (),
        responses: Sequence[np.ndarray] = (),
        noise_prob: float = 0.4,
        babble_prob: float = 0.15,
        reverb_prob: float = 0.4,
        noise_snr_db: Sequence[float] = (0.0, 20.0),
        babble_snr_db: Sequence[float] = (10.0, 20.0),
    ) -> None:
        for name, share in (("noise_prob", noise_prob), ("babble_prob", babble_prob), ("reverb_prob", reverb_prob)):
            _check_share(name, share)
        for name, limits in (("noise_snr_db", noise_snr_db), ("babble_snr_db", babble_snr_db)):
            _check_range(name, limits)
        self.noises = [torch.from_numpy(np.asarray(noise, np.float32)) for noise in noises]
        self.responses = _stack(responses)
        self.noise_prob = noise_prob if self.noises else 0.0
        self.babble_prob = babble_prob
        self.reverb_prob = reverb_prob if len(self.responses) else 0.0
        self.noise_snr_db = noise_snr_db
        self.babble_snr_db = babble_snr_db

    def __call__(self, waveform: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented copies [B, T] of waveforms [B, T]; `generator` (on the CPU) decides everything."""
        items = waveform.shape[0]
        in_room = torch.rand(items, generator=generator) < self.reverb_prob
        draw = torch.rand(items, generator=generator)
        noisy = draw < self.noise_prob
        babbled = (draw >= self.noise_prob) & (draw < self.noise_prob + self.babble_prob)
        out = waveform.clone()
        if in_room.any():
            chosen = torch.randint(len(self.responses), (int(in_room.sum()),), generator=generator)
            out[in_room] = reverberate(out[in_room], self.responses[chosen].to(waveform.device))
        if noisy.any():
            noise = torch.stack([self._noise(waveform.shape[1], generator) for _ in range(int(noisy.sum()))])
            out[noisy] = mix(out[noisy], noise.to(waveform.device), _snr(len(noise), self.noise_snr_db, generator).to(out))
        if babbled.any() and items > 1:
            babble = torch.stack([_babble(waveform, int(item), generator) for item in babbled.nonzero()])
            out[babbled] = mix(out[babbled], babble, _snr(len(babble), self.babble_snr_db, generator).to(out))
        return out

    def _noise(self, samples: int, generator: torch.Generator) -> Tensor:
        noise = self.noises[int(torch.randint(len(self.noises), (), generator=generator))]
        if len(noise) < samples:
            noise = noise.repeat(-(-samples // len(noise)))
        start = int(torch.randint(len(noise) - samples + 1, (), generator=generator))
        return noise[start : start + samples]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_share(name: str, share: float) -> None:
    if not _is_number(share) or not 0.0 <= share <= 1.0:
        raise ConfigError(f"augment: {name} must be a share within 0 ... 1, got {share!r}")


def _check_range(name: str, limits: Sequence[float]) -> None:
    pair = isinstance(limits, list | tuple) and len(limits) == 2 and all(map(_is_number, limits))
    if not pair or limits[0] > limits[1]:
        raise ConfigError(f"augment: {name} must be two numbers in dB, the lower one first, got {limits!r}")


def _snr(items: int, limits: Sequence[float], generator: torch.Generator) -> Tensor:
    low, high = limits
    return low + (high - low) * torch.rand(items, generator=generator)


def _babble(waveform: Tensor, item: int, generator: torch.Generator) -> Tensor:
    voices = min(int(torch.randint(3, 7, (), generator=generator)), waveform.shape[0] - 1)
    others = torch.randperm(waveform.shape[0] - 1, generator=generator)[:voices]
    others = others + (others >= item)  # skip the item itself
    return waveform[others.to(waveform.device)].sum(dim=0)


def _stack(responses: Sequence[np.ndarray]) -> Tensor:
    longest = max((len(response) for response in responses), default=0)
    out = torch.zeros(len(responses), longest)
    for row, response in zip(out, responses, strict=True):
        row[: len(response)] = torch.from_numpy(np.asarray(response, np.float32))
    return out
