"""What a separator does to a mixture before it takes it apart, and to the sources afterwards."""

from __future__ import annotations

from torch import Tensor

from voxid.models.layers import frame_mask

FLOOR = 1e-16  # of a variance: -160 dB re full scale, what rounding leaves of a constant


def normalized(waveform: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Waveforms [B, T] with mean 0 and standard deviation 1, and the standard deviation [B, 1] that they had; silence stays so.

    Example:
        >>> import torch
        >>> normalized(torch.tensor([[1.0, 3.0, 1.0, 3.0]]))
        (tensor([[-1.,  1., -1.,  1.]]), tensor([[1.]]))
    """
    if lengths is None:
        centred = waveform - waveform.mean(dim=1, keepdim=True)
        power = centred.square().mean(dim=1, keepdim=True)
    else:
        mask = frame_mask(lengths, waveform.shape[1])[:, 0]
        centred = (waveform - (waveform * mask).sum(dim=1, keepdim=True) / lengths[:, None]) * mask
        power = centred.square().sum(dim=1, keepdim=True) / lengths[:, None]
    level = (power + FLOOR).sqrt()
    return centred / level, level


def mixture_consistency(estimate: Tensor, mixture: Tensor, weights: Tensor | None = None) -> Tensor:
    """Estimates that sum to the mixture, sample by sample: what they lack of it is shared among them [B, S, T].

    Args:
        estimate: [B, S, T].
        mixture: [B, T].
        weights: The shares [B, S], which sum to 1 over S; None = alike.

    Example:
        >>> import torch
        >>> mixture_consistency(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[2.0, 1.0]])).tolist()
        [[[1.5, 0.0], [0.5, 1.0]]]

    Wisdom et al., "Differentiable consistency constraints for improved deep speech enhancement", ICASSP 2019.
    """
    lacking = (mixture - estimate.sum(1))[:, None]
    return estimate + (lacking / estimate.shape[1] if weights is None else lacking * weights[..., None])
