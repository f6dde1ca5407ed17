"""What a layer or a net costs: parameters, and multiplications over an input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """Parameters of a layer and the multiplications that its output takes; costs of layers add up."""

    parameters: int
    multiplications: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.multiplications + other.multiplications)


def convolution(
    inputs: int, outputs: int, kernel_size: Sequence[int], output_size: Sequence[int], *, groups: int = 1, bias: bool = False
) -> Cost:
    """Cost of a convolution of any number of axes.

    Args:
        inputs, outputs: Channels.
        kernel_size: Taps along each axis.
        output_size: Steps of the output along each axis; of a transposed convolution, those of its input.
        groups: Into which the channels are split; each output sees the inputs of its own group.
        bias: Count one more parameter for each output; adding it is no multiplication.

    Raises:
        ValueError: A number below 1, channels that `groups` does not divide, or another number of axes in `output_size`.

    Example:
        >>> convolution(3, 256, (5, 5), (8, 8))
        Cost(parameters=19200, multiplications=1228800)
    """
    if min(inputs, outputs, groups, *kernel_size, *output_size) < 1:
        raise ValueError("channels, groups, kernel_size and output_size must be 1 or more")
    if inputs % groups or outputs % groups:
        raise ValueError(f"inputs and outputs must be multiples of groups, got {inputs} and {outputs} with groups {groups}")
    if len(kernel_size) != len(output_size):
        raise ValueError(f"kernel_size has {len(kernel_size)} axes and output_size {len(output_size)}: expected as many")
    weights = inputs // groups * outputs * math.prod(kernel_size)
    return Cost(weights + (outputs if bias else 0), weights * math.prod(output_size))


def depthwise(channels: int, kernel_size: Sequence[int], output_size: Sequence[int], *, bias: bool = False) -> Cost:
    """Cost of one filter for each channel.

    Example:
        >>> depthwise(3, (5, 5), (8, 8))
        Cost(parameters=75, multiplications=4800)
    """
    return convolution(channels, channels, kernel_size, output_size, groups=channels, bias=bias)


def pointwise(inputs: int, outputs: int, output_size: Sequence[int], *, bias: bool = False) -> Cost:
    """Cost of a convolution with one tap.

    Example:
        >>> pointwise(3, 256, (8, 8))
        Cost(parameters=768, multiplications=49152)
    """
    return convolution(inputs, outputs, [1] * len(output_size), output_size, bias=bias)


def separable(inputs: int, outputs: int, kernel_size: Sequence[int], output_size: Sequence[int], *, bias: bool = False) -> Cost:
    """Cost of a depthwise convolution and a pointwise one behind it: the shapes of an ordinary one, for much less.

    Example:
        >>> separable(3, 256, (5, 5), (8, 8))
        Cost(parameters=843, multiplications=53952)
    """
    return depthwise(inputs, kernel_size, output_size, bias=bias) + pointwise(inputs, outputs, output_size, bias=bias)


def macs(run: Callable[..., Any], *inputs: Any) -> int:
    """Multiply-adds of ``run(*inputs)``, a net or a part of one: those of its convolutions and matrix products.

    What is done element by element (norms, activations, sums) does not count.

    Example:
        >>> macs(torch.nn.Linear(8, 4), torch.zeros(3, 8))
        96
    """
    # torch counts two operations for each multiply-add
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(*inputs)
    return int(counter.get_total_flops()) // 2


def parameters(net: torch.nn.Module) -> int:
    """Numbers that a net stores as its parameters, frozen ones included.

    Example:
        >>> parameters(torch.nn.Linear(8, 4))
        36
    """
    return sum(parameter.numel() for parameter in net.parameters())
