"""Memory layout of two-dimensional convolutions."""

from __future__ import annotations

import torch
from torch import nn

from voxid.errors import ConfigError

NARROW = 16  # channels of a block of oneDNN's kernels (AVX-512)


def to_channels_last(model: nn.Module) -> None:
    """Lay the weights of 2-D convolutions, and with them all maps between them, channel by channel at each point.

    The kernels for bfloat16 are made for this layout. Nets without such convolutions stay as they are.

    Raises:
        ConfigError: A 1 x 1 convolution with a stride and fewer than 16 channels: on a CPU its gradient in this layout is wrong
            or breaks the process (oneDNN issue 6035, which torch 2.13 has).

    Example:
        >>> net = nn.Conv2d(16, 8, 3)
        >>> to_channels_last(net)
        >>> net.weight.is_contiguous(memory_format=torch.channels_last)
        True
    """
    for name, part in model.named_modules():
        if not isinstance(part, nn.Conv2d) or part.kernel_size != (1, 1) or part.stride == (1, 1):
            continue
        if part.in_channels // part.groups < NARROW:
            raise ConfigError(
                f"trainer: channels_last needs {NARROW} channels or more in front of {name}, a 1 x 1 convolution with a stride, "
                f"and it has {part.in_channels // part.groups}: its gradient would be wrong; take channels_last=false"
            )
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs leave it out
