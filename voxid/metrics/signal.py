"""Waveforms against the waveforms they should be -> decibels; higher is better.

A target that is silent has no ratio: NaN, which the caller counts and leaves out of a mean. Measures of how it sounds to people
have files of their own: `stoi` and `estoi`, `pesq`, `dnsmos`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from voxid.errors import DataError
from voxid.metrics.dnsmos import dnsmos
from voxid.metrics.pesq import pesq
from voxid.metrics.stoi import estoi, stoi
from voxid.metrics.waveforms import Waveform, mask, pair, tensor

__all__ = ["dnsmos", "estoi", "pesq", "sdr", "si_sdr", "si_sdr_improvement", "snr", "stoi"]

# The ratio of an estimate that holds nothing of its target, in dB: finite, so that a mean can hold it.
LOWEST = -100.0
# What is left of a constant waveform without its mean: float64 rounding, at this share of its energy.
_ROUNDING = 1e-24
# Diagonal loading of `sdr`: white noise 100 dB below the target, without which a target of few frequencies has no one filter.
_LOADING = 1e-10


def snr(estimate: Waveform, target: Waveform, lengths: Waveform | None = None) -> Tensor:
    """Signal-to-noise ratio, in dB; higher is better.

    All that `estimate` differs from `target` is noise, its scale, its delay and a constant offset included.

    Args:
        estimate, target: Waveforms [..., T], T >= 1, of one shape; tensors or arrays.
        lengths: Samples of each waveform, [...] or its leading axes; what follows does not count.

    Returns:
        One value per waveform [...]; +inf where both are equal, NaN where `target` is silent (all zeros, for which no ratio is
        defined) or either is not finite.

    Raises:
        DataError: ``E_SHAPE``, ``E_LENGTHS``.

    Example:
        >>> snr(torch.tensor([1.1, -0.9, 1.1]), torch.tensor([1.0, -1.0, 1.0]))
        tensor(20.0000)
    """
    estimate, target, kind = pair(estimate, target, lengths)
    signal_power, noise_power = target.square().sum(-1), (estimate - target).square().sum(-1)
    defined = (signal_power > 0) & torch.isfinite(signal_power) & torch.isfinite(noise_power)
    ratio = torch.where(defined, signal_power / noise_power, torch.nan)
    return (10.0 * ratio.log10()).to(kind)


def si_sdr(estimate: Waveform, target: Waveform, lengths: Waveform | None = None, *, zero_mean: bool = True) -> Tensor:
    """Scale-invariant signal-to-distortion ratio, in dB; higher is better.

    The target, scaled to fit the estimate best, over the rest of the estimate. Neither level nor sign of the estimate matters.

    Args:
        estimate, target: Waveforms [..., T], T >= 1, of one shape; tensors or arrays.
        lengths: Samples of each waveform, [...] or its leading axes; what follows does not count.
        zero_mean: Remove the mean of both first.

    Returns:
        One value per waveform [...]; -inf never (-100 dB, the least value, where the estimate holds nothing of the target, a
        silent one too), +inf where nothing else is in it, NaN where `target` is silent (without its mean) or either is not
        finite.

    Raises:
        DataError: ``E_SHAPE``, ``E_LENGTHS``.

    Example:
        >>> si_sdr(torch.tensor([2.5, 0., 2., 8.]), torch.tensor([3., -.5, 2., 7.]))
        tensor(15.0918)

    Le Roux et al., "SDR: half-baked or well done?", ICASSP 2019.
    """
    estimate, target, kind = pair(estimate, target, lengths)
    loud = target.square().sum(-1), estimate.square().sum(-1)
    if zero_mean:
        estimate, target = _without_mean(estimate, lengths), _without_mean(target, lengths)
    energy, whole = target.square().sum(-1), estimate.square().sum(-1)
    sounds = energy > _ROUNDING * loud[0]
    scale = (estimate * target).sum(-1) / torch.where(sounds, energy, 1.0)
    wanted = scale[..., None] * target
    ratio = _decibels(wanted.square().sum(-1), (estimate - wanted).square().sum(-1), whole > _ROUNDING * loud[1])
    finite = torch.isfinite(energy) & torch.isfinite(whole)
    return torch.where(sounds & finite, ratio, torch.nan).to(kind)


def si_sdr_improvement(estimate: Waveform, target: Waveform, mixture: Waveform, lengths: Waveform | None = None) -> Tensor:
    """SI-SDR of the estimate less SI-SDR of the mixture it was made from (SI-SDRi), in dB; higher is better.

    Args:
        estimate, target: Waveforms [..., T] of one shape; tensors or arrays.
        mixture: What came in: of that shape, or one for several sources, [B, T] with [B, S, T].
        lengths: Samples of each waveform, [...] or its leading axes.

    Returns:
        One value per waveform [...]; NaN where `target` is silent, or where it already is the mixture (nothing to improve).

    Raises:
        DataError: ``E_SHAPE``, ``E_LENGTHS``.

    Example:
        >>> target, noise = torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([1.0, 1.0, -1.0, -1.0])
        >>> si_sdr_improvement(target + 0.1 * noise, target, target + noise)
        tensor(20.0000)
    """
    estimate, target, mixture = tensor(estimate), tensor(target), tensor(mixture)
    if mixture.dim() == target.dim() - 1 and mixture.shape == target.shape[:-2] + target.shape[-1:]:
        mixture = mixture.unsqueeze(-2).expand_as(target)
    if mixture.shape != target.shape:
        raise DataError(f"the mixture {list(mixture.shape)} does not go with targets {list(target.shape)}", "E_SHAPE")
    before = si_sdr(mixture, target, lengths)
    return si_sdr(estimate, target, lengths) - torch.where(torch.isinf(before), torch.nan, before)


def sdr(estimate: Waveform, target: Waveform, lengths: Waveform | None = None, *, filter_length: int = 512) -> Tensor:
    """Signal-to-distortion ratio of BSS Eval, in dB; higher is better.

    The target through the filter that fits the estimate best, over the rest of the estimate: a filter of `filter_length` samples
    (a short room, an equaliser, a delay) is no distortion. With 1 it is SI-SDR without removal of the mean. The order of the
    sources is the caller's; other sources do not enter.

    Args:
        estimate, target: Waveforms [..., T], T >= 1, of one shape; tensors or arrays.
        lengths: Samples of each waveform, [...] or its leading axes; what follows does not count.
        filter_length: Samples of the filter, >= 1.

    Returns:
        One value per waveform [...]; -100 dB where the estimate holds nothing of the target, NaN where `target` is silent (all
        zeros) or either is not finite. The equations are loaded with 1e-10 of the target's energy.

    Raises:
        DataError: ``E_SHAPE``, ``E_LENGTHS``, ``E_FILTER``.

    Example:
        >>> target = torch.sin(torch.arange(1000.0) ** 2)
        >>> bool(sdr(torch.roll(target, 3), target) > 20 > si_sdr(torch.roll(target, 3), target))
        True

    Vincent et al., "Performance measurement in blind audio source separation", IEEE TASLP 14(4), 2006; solved as in Scheibler,
    "SDR - medium rare with fast computations", ICASSP 2022.
    """
    if filter_length < 1:
        raise DataError(f"filter_length must be 1 or more samples, got {filter_length}", "E_FILTER")
    estimate, target, kind = pair(estimate, target, lengths)
    energy, whole = target.square().sum(-1, keepdim=True), estimate.square().sum(-1, keepdim=True)
    defined = (energy > 0) & torch.isfinite(energy) & torch.isfinite(whole)
    # Of unit energy, a NaN or a huge value cannot spoil the equations of the others.
    target = torch.where(defined, target, 0.0) / torch.where(defined, energy, 1.0).sqrt()
    estimate = torch.where(defined, estimate, 0.0) / torch.where(defined & (whole > 0), whole, 1.0).sqrt()
    size = 1 << (target.shape[-1] + filter_length - 2).bit_length()
    spectrum = torch.fft.rfft(target, size)
    filters = _best_filter(spectrum, torch.fft.rfft(estimate, size), size, filter_length, defined)
    wanted = torch.fft.irfft(spectrum * torch.fft.rfft(filters, size), size)
    rest = torch.nn.functional.pad(estimate, (0, size - estimate.shape[-1])) - wanted
    ratio = _decibels(wanted.square().sum(-1), rest.square().sum(-1), (whole > 0)[..., 0])
    return torch.where(defined[..., 0], ratio, torch.nan).to(kind)


def _best_filter(target: Tensor, estimate: Tensor, size: int, taps: int, defined: Tensor) -> Tensor:
    """Least-squares filters [..., taps] from targets to estimates, of their spectra [..., size / 2 + 1]."""
    automatic = torch.fft.irfft(target.abs().square(), size)[..., :taps]
    crossed = torch.fft.irfft(target.conj() * estimate, size)[..., :taps]
    first = torch.where(defined, automatic[..., :1] * (1 + _LOADING), 1.0)
    automatic = torch.cat([first, automatic[..., 1:]], dim=-1)
    lag = torch.arange(taps, device=target.device)
    return torch.linalg.solve(automatic[..., (lag[:, None] - lag).abs()], crossed)


def _without_mean(waveform: Tensor, lengths: Waveform | None) -> Tensor:
    if lengths is None:
        return waveform - waveform.mean(-1, keepdim=True)
    valid = mask(tensor(lengths), waveform)
    return (waveform - waveform.sum(-1, keepdim=True) / valid.sum(-1, keepdim=True)).masked_fill(~valid, 0.0)


def _decibels(wanted: Tensor, rest: Tensor, sounds: Tensor) -> Tensor:
    """10 log10(wanted / rest), at least `LOWEST`, which is also the ratio of an estimate that does not sound."""
    held = sounds & (wanted > 10 ** (LOWEST / 10) * rest)
    ratio = torch.where(held, wanted, 1.0) / torch.where(held, rest, 1.0)
    return torch.where(held, 10.0 * ratio.log10(), LOWEST)
