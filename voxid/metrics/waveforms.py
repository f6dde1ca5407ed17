"""Pairs of waveforms as the metrics take them: checked, in float64, silent behind their ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxid.errors import DataError

Waveform: TypeAlias = Tensor | NDArray  # a name that can be joined with | as a type in annotations


def pair(estimate: Waveform, target: Waveform, lengths: Waveform | None = None) -> tuple[Tensor, Tensor, torch.dtype]:
    """Two waveforms in float64, zero from `lengths` on, and the float dtype of their metric.

    In float64 the squares of no float32 overflow or vanish.

    Args:
        estimate, target: [..., T], T >= 1, of one shape; tensors or arrays.
        lengths: Samples of each waveform, [...] or its leading axes: [B] goes with [B, S, T].

    Raises:
        DataError: ``E_SHAPE``, or ``E_LENGTHS`` for a length outside 1 ... T.

    Example:
        >>> pair(torch.ones(2, 3), torch.ones(2, 3), torch.tensor([1, 3]))[0].tolist()
        [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    estimate, target = tensor(estimate), tensor(target)
    if estimate.shape != target.shape or not target.dim() or not target.shape[-1]:
        raise DataError(
            f"expected two waveforms [..., T] of one shape, got {list(estimate.shape)} and {list(target.shape)}", "E_SHAPE"
        )
    kind = torch.promote_types(torch.promote_types(estimate.dtype, target.dtype), torch.float32)
    valid = None if lengths is None else mask(tensor(lengths), target)
    return _double(estimate, valid), _double(target, valid), kind


def tensor(values: Waveform) -> Tensor:
    """A tensor as it is; an array copied into one, as it may be read-only or run backwards.

    Raises:
        DataError: ``E_SHAPE``, complex values.
    """
    found = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values, order="C"))
    if found.is_complex():
        raise DataError(f"expected real waveforms [..., T], got {found.dtype}", "E_SHAPE")
    return found


def mask(lengths: Tensor, waveform: Tensor) -> Tensor:
    """True at the samples of each waveform [..., T] that are its own: [..., T], or with axes of size 1.

    Raises:
        DataError: ``E_LENGTHS``, lengths that do not go with the waveform, or outside 1 ... T.
    """
    size = waveform.shape[-1]
    if lengths.dim() >= waveform.dim() or lengths.shape != waveform.shape[: lengths.dim()]:
        raise DataError(f"lengths {list(lengths.shape)} do not go with waveforms {list(waveform.shape)}", "E_LENGTHS")
    if lengths.numel() and not (int(lengths.min()) >= 1 and int(lengths.max()) <= size):
        raise DataError(f"lengths are 1 to {size} samples here, got {int(lengths.min())} to {int(lengths.max())}", "E_LENGTHS")
    ends = lengths.to(waveform.device).reshape(lengths.shape + (1,) * (waveform.dim() - lengths.dim()))
    return torch.arange(size, device=waveform.device) < ends


def items(estimate: Waveform, target: Waveform, lengths: Waveform | None = None) -> Iterator[tuple[NDArray, NDArray]]:
    """The pairs of [..., T], one after the other, each cut at its own end: float64 arrays [length]."""
    left, right, _ = pair(estimate, target)
    size = left.shape[-1]
    ends = torch.full(left.shape[:-1], size)
    if lengths is not None:
        ends = mask(tensor(lengths), left).sum(dim=-1).expand(left.shape[:-1])
    rows = zip(left.reshape(-1, size), right.reshape(-1, size), ends.flatten().tolist(), strict=True)
    for ours, theirs, end in rows:
        yield ours[:end].detach().cpu().numpy(), theirs[:end].detach().cpu().numpy()


def _double(waveform: Tensor, valid: Tensor | None) -> Tensor:
    return waveform.double() if valid is None else waveform.double().masked_fill(~valid, 0.0)
