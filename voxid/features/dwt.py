"""Discrete wavelet transforms as strided convolutions with the filters of PyWavelets: differentiable, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxid.errors import ConfigError, did_you_mean
from voxid.extras import need

MODES = ("zero", "constant", "symmetric", "reflect", "periodic", "periodization")


def dwt(waveform: Tensor, wavelet: str = "db8", level: int = 1, mode: str = "symmetric") -> list[Tensor]:
    """Wavelet decomposition, equal to ``pywt.wavedec``: waveform [..., T] -> [approximation, coarsest detail, ..., finest].

    Args:
        waveform: Of any length and floating type, which the coefficients keep.
        wavelet: Name of a discrete wavelet, e.g. haar, db8, sym8, coif2, bior3.5.
        level: How often the low band is split again; at least 1.
        mode: What stands beyond the ends: zero, constant, symmetric, reflect, periodic; or periodization, which keeps the
            number of coefficients at T (for a T that `level` halvings divide).

    Raises:
        ConfigError: Unknown wavelet or mode, a level below 1, or PyWavelets is missing (``E_EXTRA``).

    Example:
        >>> low, high = dwt(torch.tensor([1.0, 3.0, 5.0, 5.0]), "haar")
        >>> high
        tensor([-1.4142,  0.0000])

    Mallat, "A theory for multiresolution signal decomposition: the wavelet representation", IEEE PAMI 1989.
    """
    filters = _filters(wavelet, "dec", waveform)
    _check(level, mode)
    details: list[Tensor] = []
    for _ in range(level):
        waveform, detail = _split(waveform, filters, mode).unbind(-2)
        details.insert(0, detail)
    return [waveform, *details]


def idwt(coefficients: Sequence[Tensor], wavelet: str = "db8", mode: str = "symmetric") -> Tensor:
    """The inverse of `dwt`, equal to ``pywt.waverec``: waveform [..., T], or T + 1 samples for an odd T.

    Args:
        coefficients: As `dwt` gives them.
        wavelet, mode: Those of `dwt`.

    Raises:
        ConfigError: Unknown wavelet or mode, or PyWavelets is missing (``E_EXTRA``).

    Example:
        >>> idwt(dwt(torch.tensor([1.0, 3.0, 5.0, 5.0]), "db2", 2), "db2").round(decimals=4)
        tensor([1., 3., 5., 5.])
    """
    waveform = coefficients[0]
    filters = _filters(wavelet, "rec", waveform)
    _check(max(1, len(coefficients) - 1), mode)
    for detail in coefficients[1:]:
        low = waveform[..., : detail.shape[-1]]  # a level of odd length came back one sample longer
        waveform = _join(torch.stack([low, detail], dim=-2), filters, mode)
    return waveform


def packets(waveform: Tensor, wavelet: str = "db8", level: int = 1, mode: str = "symmetric") -> Tensor:
    """Wavelet packets: both bands are split, `level` times: waveform [..., T] -> bands [..., 2 ** level, coefficients].

    The bands rise in frequency; equal to ``pywt.WaveletPacket(...).get_level(level, "freq")``. Arguments as for `dwt`.

    Example:
        >>> packets(torch.randn(2, 400), "db4", 3, "periodization").shape
        torch.Size([2, 8, 50])

    Coifman, Wickerhauser, "Entropy-based algorithms for best basis selection", IEEE Trans. Information Theory 1992.
    """
    filters = _filters(wavelet, "dec", waveform)
    _check(level, mode)
    bands = waveform.unsqueeze(-2)
    for _ in range(level):
        bands = _split(bands, filters, mode).flatten(-3, -2)
    # Each split of a high band turns its frequencies around: the natural order is a Gray code of the rising one.
    order = torch.arange(2**level, device=waveform.device)
    return bands.index_select(-2, order ^ (order >> 1))


def _split(x: Tensor, filters: Tensor, mode: str) -> Tensor:
    """One level: x [..., N] -> low and high band [..., 2, n]."""
    length, taps = x.shape[-1], filters.shape[1]
    count = (length + 1) // 2 if mode == "periodization" else (length + taps - 1) // 2
    first = 1 - taps // 2 if mode == "periodization" else 2 - taps
    places = torch.arange(first, first + 2 * (count - 1) + taps, device=x.device)
    frames = _beyond(x, places, mode).unfold(-1, taps, 2)
    return (frames @ filters.flip(1).T).transpose(-1, -2)


def _beyond(x: Tensor, places: Tensor, mode: str) -> Tensor:
    """Samples of x [..., N] at `places`, which may lie beyond its ends."""
    length = x.shape[-1]
    if mode == "periodization":  # an odd length repeats its last sample
        return x[..., places.remainder(length + length % 2).clamp(max=length - 1)]
    if mode == "periodic":
        return x[..., places.remainder(length)]
    if mode == "symmetric":
        turned = places.remainder(2 * length)
        return x[..., torch.minimum(turned, 2 * length - 1 - turned)]
    if mode == "reflect":
        period = max(1, 2 * length - 2)
        turned = places.remainder(period)
        return x[..., torch.minimum(turned, period - turned).clamp(max=length - 1)]
    known = x[..., places.clamp(0, length - 1)]
    return known if mode == "constant" else known * ((places >= 0) & (places < length))


def _join(bands: Tensor, filters: Tensor, mode: str) -> Tensor:
    """One level back: low and high band [..., 2, n] -> [..., N]."""
    taps, size = filters.shape[1], 2 * bands.shape[-1]
    # An even and an odd output share the samples they see, each with its own half of the taps.
    phases = filters.view(2, taps // 2, 2).flip(1)
    wide = torch.nn.functional.pad(bands, (taps // 2 - 1, taps // 2 - 1)).unfold(-1, taps // 2, 1)
    whole = torch.einsum("...bnk,bkp->...np", wide, phases).flatten(-2)
    if mode != "periodization":
        return whole[..., taps - 2 : size]
    places = (torch.arange(whole.shape[-1], device=whole.device) - (taps // 2 - 1)).remainder(size)
    return torch.zeros_like(whole[..., :size]).index_add(-1, places, whole)


def _filters(wavelet: str, side: str, like: Tensor) -> Tensor:
    """Low and high filter [2, taps], to take apart ("dec") or to put together ("rec")."""
    pywt: Any = need("pywt", extra="wavelet")
    known = pywt.wavelist(kind="discrete")
    if wavelet not in known:
        raise ConfigError(f"unknown wavelet {wavelet!r}: {did_you_mean(str(wavelet), known)}")
    bank = pywt.Wavelet(wavelet)
    values = np.array([getattr(bank, f"{side}_lo"), getattr(bank, f"{side}_hi")])
    return torch.from_numpy(values).to(like)


def _check(level: int, mode: str) -> None:
    if mode not in MODES:
        raise ConfigError(f"unknown mode {mode!r}: {did_you_mean(str(mode), MODES)}")
    if level < 1:
        raise ConfigError(f"level must be at least 1, got {level}")
