"""Re-weighting: rare classes count more in a classification loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from voxid.errors import ConfigError, DataError, did_you_mean


def class_weights(counts: Sequence[int], scheme: str = "inverse", *, beta: float = 0.999) -> list[float]:
    """Weight of each class from the number of its items; rare classes weigh more, the mean over the classes is 1.

    Args:
        counts: Items of each class [K].
        scheme: ``"inverse"``, 1 / n; or ``"effective"``, 1 over the effective number of samples, (1 - beta ** n) / (1 - beta).
        beta: Of the effective number, within 0 ... 1: 0 weighs all classes alike, towards 1 it becomes the inverse.

    Raises:
        ConfigError: An unknown scheme, or a `beta` outside.
        DataError: A class without items, or no class.

    Example:
        >>> class_weights([1, 3])
        [1.5, 0.5]

    Cui et al., "Class-balanced loss based on effective number of samples", CVPR 2019.
    """
    if not len(counts) or min(counts) < 1:
        raise DataError(f"every class needs an item to be weighted, got counts {list(counts)[:8]}")
    if not 0.0 <= beta < 1.0:
        raise ConfigError(f"beta must lie within 0 <= beta < 1, got {beta}")
    if scheme == "inverse":
        raw = [1.0 / int(count) for count in counts]
    elif scheme == "effective":
        # expm1 and log1p: 1 - beta ** n keeps its digits where beta is near 1
        raw = [1.0 / -math.expm1(int(count) * math.log(beta)) if beta else 1.0 for count in counts]
    else:
        raise ConfigError(f"unknown scheme of class weights {scheme!r}: {did_you_mean(scheme, ['inverse', 'effective'])}")
    mean = math.fsum(raw) / len(raw)
    return [weight / mean for weight in raw]


def weight_tensor(weights: Sequence[float] | None, num_classes: int) -> Tensor | None:
    """The weights of a recipe [K], or None. A `ValueError` unless there is one positive, finite weight a class."""
    if weights is None:
        return None
    tensor = torch.tensor([float(weight) for weight in weights])
    if len(tensor) != num_classes:
        raise ValueError(f"class_weights must hold one weight for each of the {num_classes} classes, got {len(tensor)}")
    if not bool((torch.isfinite(tensor) & (tensor > 0)).all()):
        raise ValueError("class_weights must be positive and finite")
    return tensor


def weighted_mean(losses: Tensor, label: Tensor, weights: Tensor | None) -> Tensor:
    """Mean [] of the losses of the items [B], each under the weight of its class, as `torch.nn.functional.cross_entropy` does it.

    Example:
        >>> weighted_mean(torch.tensor([1.0, 4.0]), torch.tensor([0, 1]), torch.tensor([2.0, 1.0]))
        tensor(2.)
    """
    if weights is None:
        return losses.mean()
    own = weights[label]
    return (own * losses).sum() / own.sum()
