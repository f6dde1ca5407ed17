"""VGG nets on the time-frequency plane. VGG-M for voices after Nagrani et al., "VoxCeleb: a large-scale speaker identification
dataset", Interspeech 2017; the plain ones after Simonyan and Zisserman, "Very deep convolutional networks", ICLR 2015."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from voxid.models.layers import check_counts, keep_frames, stride_mask
from voxid.registry import register

Pair = tuple[int, int]  # along frequency, along time


class Conv(NamedTuple):
    """A convolution: channels, kernel, stride, and the zeros on either side along frequency."""

    channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: int = 1


class Pool(NamedTuple):
    """A maximum over windows of `kernel` every `stride`; without zeros along frequency."""

    kernel: Pair
    stride: Pair


def plain(*counts: int) -> tuple[Conv | Pool, ...]:
    """Stages of 3 x 3 convolutions, each closed by a maximum over 2 x 2."""
    steps: list[Conv | Pool] = []
    for count, channels in zip(counts, (64, 128, 256, 512, 512), strict=True):
        steps += [Conv(channels, (3, 3))] * count + [Pool((2, 2), (2, 2))]
    return tuple(steps)


MIDDLE = (Conv(384, (3, 3)), Conv(256, (3, 3)), Conv(256, (3, 3)))
VARIANTS: dict[str, tuple[Conv | Pool, ...]] = {
    "vggvox": (
        *(Conv(96, (7, 7), (2, 2)), Pool((3, 3), (2, 2)), Conv(256, (5, 5), (2, 2)), Pool((3, 3), (2, 2))),
        *(*MIDDLE, Pool((5, 3), (3, 2))),
    ),
    "vgg_m_40": (
        *(Conv(96, (5, 7), (1, 2), 2), Pool((1, 3), (1, 2)), Conv(256, (5, 5), (2, 2)), Pool((3, 3), (2, 2))),
        *(*MIDDLE, Pool((3, 3), (2, 2))),
    ),
    "vgg11": plain(1, 1, 2, 2, 2),
    "vgg13": plain(2, 2, 2, 2, 2),
    "vgg16": plain(2, 2, 3, 3, 3),
}
COLLAPSED = {"vggvox": 4096}  # channels behind the convolution over all of F; 512 for the others
COLLAPSES = ("conv", "mean")


class ConvNormRelu(nn.Module):
    """Convolution, BatchNorm, ReLU: [B, C, F, N] -> [B, C', F', ceil(N / stride)]."""

    def __init__(self, inputs: int, conv: Conv) -> None:
        super().__init__()
        padding = (conv.padding, conv.kernel[1] // 2)
        self.conv = nn.Conv2d(inputs, conv.channels, conv.kernel, conv.stride, padding)
        self.bn = nn.BatchNorm2d(conv.channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.bn(self.conv(keep_frames(x, mask))).relu_()


class MaxPool(nn.Module):
    """Maximum over windows: [B, C, F, N] -> [B, C, F', ceil(N / stride)], for input that is never below 0.

    Zeros fill the window at both ends of the time, and where padding is: they never win over what lies there.
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.kernel, self.stride = pool

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        sides = ((self.kernel[1] - 1) // 2, self.kernel[1] // 2)
        return functional.max_pool2d(functional.pad(keep_frames(x, mask), sides), self.kernel, self.stride)


@register("backbone", "vgg")
class VGG(nn.Module):
    """Features [B, F, N] -> frames [B, output_dim, ceil(N / 32)].

    All convolutions have a BatchNorm behind them. Along time the kernels are centred at every 32nd frame from the first
    one on, where VGG-M drops frames at both edges: any length works.

    Args:
        input_dim: F; at least 97 for vggvox (512 in the paper, a spectrogram), 15 for vgg_m_40 (40), 32 for the plain ones.
        variant: "vggvox" is the VGG-M of Nagrani et al. 2017; "vgg_m_40" the one for filter banks of Chung et al., "In defence of
            metric learning for speaker recognition", Interspeech 2020; "vgg11", "vgg13" and "vgg16" are the plain ones.
        collapse: How F goes away: "conv", a convolution over all of it, as in VGGVox; or "mean".
        output_dim: Channels of that convolution. None: 4096 for vggvox, else 512. Without it the last stage tells.
        width: Factor on the channels of all other convolutions; 1 is the papers'.

    Raises:
        ValueError: An unknown variant or collapse, or too few bins.

    Example:
        >>> import torch
        >>> VGG(80, "vgg11", collapse="mean", width=0.125)(torch.randn(2, 80, 100)).shape
        torch.Size([2, 64, 4])
    """

    def __init__(
        self,
        input_dim: int = 80,
        variant: str = "vgg_m_40",
        collapse: str = "conv",
        output_dim: int | None = None,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
        if collapse not in COLLAPSES:
            raise ValueError(f"collapse must be one of {', '.join(COLLAPSES)}, got {collapse!r}")
        check_counts(output_dim=output_dim)
        if not 0.0 < width < float("inf"):
            raise ValueError(f"width must be above 0 and finite, got {width}")
        layout = VARIANTS[variant]
        rows = _rows(layout, input_dim)
        if rows < 1:
            fewest = next(bins for bins in range(input_dim, 1000) if _rows(layout, bins) > 0)
            raise ValueError(f"{variant} needs {fewest} bins or more along frequency, got input_dim {input_dim}")
        channels = 1
        steps: list[nn.Module] = []
        for step in layout:
            if isinstance(step, Pool):
                steps.append(MaxPool(step))
                continue
            step = step._replace(channels=max(1, round(step.channels * width)))
            steps.append(ConvNormRelu(channels, step))
            channels = step.channels
        self.steps = nn.ModuleList(steps)
        self.strides = [step.stride[1] for step in layout]
        self.collapse: nn.Module | None = None
        if collapse == "conv":
            outputs = COLLAPSED.get(variant, 512) if output_dim is None else output_dim
            self.collapse = ConvNormRelu(channels, Conv(outputs, (rows, 1), padding=0))
            channels = outputs
        self.output_dim = channels

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames [B] that remain of `lengths` [B]: each stride rounds up."""
        for stride in self.strides:
            lengths = (lengths + stride - 1) // stride
        return lengths

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x.unsqueeze(1)
        for step, stride in zip(self.steps, self.strides, strict=True):
            x = step(x, mask)
            mask = stride_mask(mask, stride)
        return x.mean(dim=2) if self.collapse is None else self.collapse(x, mask).squeeze(2)


def _rows(layout: tuple[Conv | Pool, ...], bins: int) -> int:
    """Rows along frequency that remain of `bins`; 0 where a kernel does not fit."""
    for step in layout:
        bins += 2 * step.padding if isinstance(step, Conv) else 0
        if bins < step.kernel[0]:
            return 0
        bins = (bins - step.kernel[0]) // step.stride[0] + 1
    return bins
