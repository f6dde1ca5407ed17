"""Losses of enhancers and separators, kind ``signal_loss``; lower is better.

The promise: ``forward(estimate [..., T], target [..., T], lengths=None, mixture=None) -> [...]``, one value per waveform of the
shape that both broadcast to; `lengths` and `mixture` go with its leading axes ([B] and [B, T] with [B, S, T]). Finite, with a
finite gradient, also on silence. In float32 also under autocast. `Pit` (voxid.losses.permutation) takes one of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from voxid.errors import DataError
from voxid.models.enhancement.frames import Frames
from voxid.registry import register

# What counts as silence: -120 dB re full scale, as a mean of squares. It bounds logarithms and their gradients.
EPS = 1e-12
# Power of a bin that 16-bit rounding alone gives, about: below it, compression to the power 0.3 would have no finite gradient.
EPS_BIN = 1e-8


@register("signal_loss", "si_sdr")
class SiSdr(nn.Module):
    """Negative scale-invariant signal-to-distortion ratio, in dB; lower is better.

    A silent target, for which no ratio is defined, costs 0 and moves nothing; a silent estimate costs 30.

    Args:
        clamp: Beyond -clamp and clamp dB there is nothing to gain or lose, and no gradient; None = no bounds.
        zero_mean: Remove the mean of both waveforms first.

    Example:
        >>> float(SiSdr()(torch.tensor([2.5, 0., 2., 8.]), torch.tensor([3., -.5, 2., 7.])))
        -15.091...

    Le Roux et al., "SDR: half-baked or well done?", ICASSP 2019; bounds as in Tzinis et al., "Sudo rm -rf", MLSP 2020.
    """

    def __init__(self, clamp: float | None = 30.0, zero_mean: bool = True) -> None:
        super().__init__()
        if clamp is not None and not clamp > 0:
            raise ValueError(f"clamp must be above 0 dB, got {clamp}")
        self.clamp, self.zero_mean = clamp, zero_mean

    def forward(self, estimate: Tensor, target: Tensor, lengths: Tensor | None = None, mixture: Tensor | None = None) -> Tensor:
        """The loss [...]; `mixture` does not enter."""
        with torch.autocast(estimate.device.type, enabled=False):
            estimate, target, share = _own_samples(estimate, target, lengths)
            if self.zero_mean:
                estimate, target = _centred(estimate, share), _centred(target, share)
            energy = (target.square() * share).sum(-1)
            scale = (estimate * target * share).sum(-1) / (energy + EPS)
            wanted = scale[..., None] * target
            rest = ((estimate - wanted).square() * share).sum(-1)
            # The least of what is wanted lies 30 dB below the least of the rest: saying nothing must not pay.
            loss = 10 * torch.log10((rest + EPS) / ((wanted.square() * share).sum(-1) + 1e-3 * EPS))
            if self.clamp is not None:
                loss = loss.clamp(-self.clamp, self.clamp)
            return torch.where(energy <= EPS, 0.0, loss)  # so that NaN stays NaN


@register("signal_loss", "snr")
class Snr(nn.Module):
    """Negative signal-to-noise ratio with a soft ceiling, in dB, also for references that are silent; lower is better.

    For a target that sounds, -10 log10(P(target) / (P(target - estimate) + c P(target))) with c = 10^(-max_snr / 10). For one
    that is silent, what the estimate leaves of the mixture, 10 log10((P(estimate) + c P(mixture)) / P(mixture)): so both end
    at -max_snr, and neither depends on the level.

    Args:
        max_snr: The ceiling, in dB.
        silent_below: A target this many dB below its mixture is silent.

    Raises:
        DataError: ``E_MIXTURE`` in `forward`, no mixture.

    Example:
        >>> mixture = torch.tensor([1.0, -1.0, 1.0, -1.0])
        >>> loss = Snr()(torch.stack([mixture, 0 * mixture]), torch.stack([mixture, 0 * mixture]), mixture=mixture.expand(2, 4))
        >>> [round(value, 3) for value in loss.tolist()]
        [-30.0, -30.0]

    Wisdom et al., "What's all the FUSS about free universal sound separation data?", ICASSP 2021.
    """

    def __init__(self, max_snr: float = 30.0, silent_below: float = 40.0) -> None:
        super().__init__()
        if not math.isfinite(max_snr):
            raise ValueError(f"max_snr must be a number of dB, got {max_snr}")
        self.floor, self.inactive = 10 ** (-max_snr / 10), 10 ** (-silent_below / 10)

    def forward(self, estimate: Tensor, target: Tensor, lengths: Tensor | None = None, mixture: Tensor | None = None) -> Tensor:
        """The loss [...]."""
        if mixture is None:
            raise DataError("the snr loss wants the mixture [B, T]: it says which targets are silent", "E_MIXTURE")
        with torch.autocast(estimate.device.type, enabled=False):
            whole = mixture.float().reshape(mixture.shape[:-1] + (1,) * (target.dim() - mixture.dim()) + mixture.shape[-1:])
            estimate, target, share = _own_samples(estimate, target, lengths)
            power = (target.square() * share).sum(-1)
            reference = (whole.masked_fill(share == 0, 0.0).square() * share).sum(-1)
            noise = ((target - estimate).square() * share).sum(-1)
            left = (estimate.square() * share).sum(-1)
            sounding = 10 * torch.log10((noise + self.floor * power + EPS) / (power + EPS))
            silent = 10 * torch.log10((left + self.floor * reference + EPS) / (reference + EPS))
            return torch.where((power <= self.inactive * reference) | (power == 0), silent, sounding)


@register("signal_loss", "phasen")
class PhasenLoss(nn.Module):
    """Mean squared distance of compressed spectra: of the amplitudes, and of the complex values; lower is better.

    Every bin is brought to its amplitude to the power `power`, each spectrum by its own. `forward` analyses the waveforms, so it
    sees what is heard: the spectrum of the output, not the one that was made into it, which need not be that of any waveform.
    `spectral` takes spectra as they are. The level matters.

    Args:
        amplitude_weight: Share of the amplitudes; the complex values have the rest.
        power: 1 = no compression.
        window_length, hop, n_fft, window: Of the analysis, see `voxid.models.enhancement.frames.Frames`.

    Example:
        >>> target = torch.sin(torch.arange(1600) / 5)
        >>> float(PhasenLoss()(target, target)), float(PhasenLoss()(-target, target)) > 0  # only the phase differs
        (0.0, True)

    Yin et al., "PHASEN: a phase-and-harmonics-aware speech enhancement network", AAAI 2020.
    """

    def __init__(
        self,
        amplitude_weight: float = 0.5,
        power: float = 0.3,
        window_length: int = 400,
        hop: int = 160,
        n_fft: int = 512,
        window: str = "hann",
    ) -> None:
        super().__init__()
        if not 0 <= amplitude_weight <= 1 or not 0 < power <= 1:
            raise ValueError(f"amplitude_weight is 0 to 1 and power above 0 to 1, got {amplitude_weight} and {power}")
        self.amplitude_weight, self.power = amplitude_weight, power
        self.frames = Frames(window_length, hop, n_fft, window)

    def forward(self, estimate: Tensor, target: Tensor, lengths: Tensor | None = None, mixture: Tensor | None = None) -> Tensor:
        """The loss [...] of waveforms; `mixture` does not enter."""
        with torch.autocast(estimate.device.type, enabled=False):
            estimate, target, _ = _own_samples(estimate, target, lengths)
            frames = None if lengths is None else self.frames.num_frames(lengths)
            return self.spectral(self._spectrum(estimate), self._spectrum(target), frames)

    def spectral(self, estimate: Tensor, target: Tensor, frames: Tensor | None = None) -> Tensor:
        """The loss [...] of spectra [..., 2, F, N], real and imaginary parts; `frames` of each, its leading axes."""
        with torch.autocast(estimate.device.type, enabled=False):
            (ours, our_size), (theirs, their_size) = self._compressed(estimate.float()), self._compressed(target.float())
            amplitude = (our_size - their_size).square().mean(-2)
            whole = (ours - theirs).square().sum(-3).mean(-2)
            each = self.amplitude_weight * amplitude + (1 - self.amplitude_weight) * whole
            return (each * _share(each, frames)).sum(-1)

    def _spectrum(self, waveform: Tensor) -> Tensor:
        spectra = self.frames.analyse(waveform.reshape(-1, waveform.shape[-1]))
        return spectra.reshape(*waveform.shape[:-1], *spectra.shape[1:])

    def _compressed(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """Compressed spectrum [..., 2, F, N] and its amplitudes [..., F, N]."""
        squares = spectrum.square().sum(-3) + EPS_BIN
        return spectrum * squares.pow((self.power - 1) / 2).unsqueeze(-3), squares.pow(self.power / 2)


def _own_samples(estimate: Tensor, target: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Both in float32 and silent behind their ends, and the share that each sample has in a mean [..., T] (or axes of size 1).

    Raises:
        DataError: ``E_SHAPE``, waveforms that do not go together.
    """
    if estimate.dim() != target.dim() or not target.dim() or estimate.shape[-1] != target.shape[-1] or not target.shape[-1]:
        raise DataError(f"expected waveforms [..., T] alike, got {list(estimate.shape)} and {list(target.shape)}", "E_SHAPE")
    share = _share(target, lengths)
    if lengths is None:
        return estimate.float(), target.float(), share
    outside = share == 0
    return estimate.float().masked_fill(outside, 0.0), target.float().masked_fill(outside, 0.0), share


def _share(values: Tensor, lengths: Tensor | None) -> Tensor:
    """What each place along the last axis of `values` [..., N] weighs in the mean over the first `lengths`: sums to 1."""
    size = values.shape[-1]
    if lengths is None:
        return torch.full((1,), 1 / size, device=values.device)
    ends = lengths.to(values.device).reshape(lengths.shape + (1,) * (values.dim() - lengths.dim()))
    return (torch.arange(size, device=values.device) < ends) / ends.clamp(1, size)


def _centred(waveform: Tensor, share: Tensor) -> Tensor:
    return waveform - (waveform * share).sum(-1, keepdim=True)
