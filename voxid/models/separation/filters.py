"""Filters that a separator may start from, and what it may hear of their frames."""

from __future__ import annotations

import torch
from torch import Tensor

POWER = 0.4  # of a magnitude: soft sounds count, and noise behind the decimal point does not
SOFTEST = 1e-4  # square of a magnitude, -40 dB below the level that a waveform is brought to
CUT = 1e-3  # directions that are this much weaker than the strongest are not inverted


def fourier_filters(num_basis: int, kernel_size: int) -> tuple[Tensor, Tensor]:
    """Windowed cosines and sines [F, K] for an encoder, and the filters [F, K] that lead back from what they give.

    Half of the filters are cosines, half sines, their frequencies evenly apart from 0 to half the sampling rate. With a hop of
    half a filter all samples come back, up to rounding, where there are at least as many filters as they are long.

    Args:
        num_basis: F, even.
        kernel_size: K, odd.

    Raises:
        ValueError: An odd `num_basis`.

    Example:
        >>> encoder, decoder = fourier_filters(64, 41)
        >>> x = torch.randn(1, 1, 20 * 30)
        >>> frames = torch.nn.functional.conv1d(x, encoder[:, None], stride=20)
        >>> y = torch.nn.functional.conv_transpose1d(frames, decoder[:, None], stride=20)
        >>> torch.allclose(y[..., 20:-20], x[..., 20 : y.shape[-1] - 20], atol=1e-5)
        True
    """
    if num_basis % 2:
        raise ValueError(f"a Fourier basis has as many sines as cosines: num_basis must be even, got {num_basis}")
    place = torch.arange(kernel_size, dtype=torch.double) - kernel_size // 2
    window = torch.cos(torch.pi * place / (kernel_size - 1))
    frequency = (torch.arange(num_basis // 2, dtype=torch.double) + 0.5) / num_basis
    angle = 2 * torch.pi * frequency[:, None] * place
    encoder = torch.cat([angle.cos(), angle.sin()]) * window
    encoder = encoder / encoder.norm(dim=1, keepdim=True)
    # The inverse gives a frame back as it was before its window. Squared windows, half a filter apart, add up to 1.
    decoder = torch.linalg.pinv(encoder, rtol=CUT) * window.square()[:, None]
    return encoder.float(), decoder.T.contiguous().float()


def magnitudes(frames: Tensor) -> Tensor:
    """Compressed magnitudes [B, F / 2, N] of frames [B, F, N] whose bases n and n + F / 2 are a pair.

    Example:
        >>> magnitudes(torch.tensor([[[3.0], [4.0]]])).round(decimals=3)
        tensor([[[1.9040]]])
    """
    real, imaginary = frames.chunk(2, dim=1)
    return (real.square() + imaginary.square() + SOFTEST).pow(POWER / 2)
