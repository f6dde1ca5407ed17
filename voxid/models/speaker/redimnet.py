"""ReDimNet, after Yakovlev et al., "Reshape dimensions network for speaker recognition", Interspeech 2024."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.errors import did_you_mean
from voxid.models.layers import check_counts, keep_frames, masked_mean
from voxid.registry import register

HEADS = 4
CONTEXT_KERNELS = (7, 19, 31, 59)


class Stage(NamedTuple):
    """One stage: what it does to the bins, and how deep it is.

    Args:
        stride: The bins are divided by it and the channels multiplied: the size of a frame, C x F, stays.
        depth: 2-D blocks.
        expansion: Channels inside the 2-D blocks, in units of the channels outside.
        reduction: The 1-D part works on C x F / reduction channels; 0 leaves it out.
    """

    stride: int
    depth: int
    expansion: int
    reduction: int


class Size(NamedTuple):
    """A published net: bins that it was made for, channels at its start, kind and group width of its 2-D blocks, stages."""

    bins: int
    channels: int
    block: str
    group: int
    stages: tuple[tuple[int, int, int, int], ...]


SIZES = {
    "b0": Size(60, 10, "resnet", 1, ((1, 2, 1, 30), (2, 3, 2, 30), (1, 3, 3, 30), (2, 4, 2, 10), (1, 3, 1, 10))),
    "b1": Size(72, 12, "convnext", 8, ((1, 2, 1, 0), (2, 3, 1, 0), (3, 4, 1, 12), (2, 5, 1, 12), (2, 3, 1, 8))),
    "b2": Size(72, 16, "convnext", 4, ((1, 2, 1, 12), (2, 2, 1, 12), (1, 3, 1, 12), (3, 4, 1, 8), (1, 4, 1, 8), (2, 4, 1, 4))),
    "b3": Size(
        72, 16, "resnet_se", 1, ((1, 6, 4, 32), (2, 6, 2, 32), (1, 8, 2, 32), (2, 10, 2, 16), (1, 10, 1, 16), (2, 8, 1, 16))
    ),
    "b4": Size(
        72, 32, "resnet_se", 1, ((1, 4, 2, 48), (2, 4, 2, 48), (1, 6, 2, 48), (2, 6, 1, 32), (1, 8, 1, 24), (2, 4, 1, 16))
    ),
    "b5": Size(
        72, 32, "resnet_se", 16, ((1, 4, 2, 48), (2, 4, 2, 48), (1, 6, 2, 48), (2, 6, 1, 32), (1, 8, 1, 24), (2, 4, 1, 16))
    ),
    "b6": Size(72, 32, "resnet", 32, ((1, 4, 4, 32), (2, 6, 2, 32), (1, 6, 2, 24), (3, 8, 1, 24), (1, 8, 1, 16), (2, 8, 1, 16))),
}


def to_frames(x: Tensor) -> Tensor:
    """2-D to 1-D: [B, C, F, N] -> [B, F * C, N]; the channels of one bin stand together, so that a stride keeps the order.

    Example:
        >>> to_frames(torch.tensor([[[[1], [2]], [[3], [4]]]]))[0, :, 0]
        tensor([1, 3, 2, 4])
    """
    return x.transpose(1, 2).flatten(1, 2)


def to_map(x: Tensor, bins: int) -> Tensor:
    """1-D to 2-D, the inverse of `to_frames`: [B, F * C, N] -> [B, C, F, N].

    Args:
        x: [B, F * C, N].
        bins: F.

    Example:
        >>> to_map(to_frames(torch.arange(6).reshape(1, 3, 2, 1)), bins=2).flatten()
        tensor([0, 1, 2, 3, 4, 5])
    """
    return x.unflatten(1, (bins, -1)).transpose(1, 2)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each point: [B, C, ...] -> [B, C, ...]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class MixOfOutputs(nn.Module):
    """Weighted sum of the frames of all stages so far: K x [B, C, N] -> [B, C, N].

    Each channel has one weight a stage; they sum to 1 and are equal in a fresh net.
    """

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count, channels, 1))

    def forward(self, outputs: Sequence[Tensor]) -> Tensor:
        weights = torch.softmax(self.weight, dim=0)
        total = weights[0] * outputs[0]
        for weight, output in zip(weights[1:], outputs[1:], strict=True):
            total = total + weight * output
        return total


class ConvNeXtBlock(nn.Module):
    """Grouped convolution, BatchNorm, GELU, matrix, and the input added: [B, C, F, N] or [B, C, N], the shape stays.

    Args:
        channels: C.
        kernel_size: Odd, on each axis.
        group: Channels of a group.
        axes: 2 for maps, 1 for frames.
    """

    def __init__(self, channels: int, kernel_size: int, group: int, axes: int) -> None:
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if axes == 2 else (nn.Conv1d, nn.BatchNorm1d)
        self.conv = conv(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels // group)
        self.bn = norm(channels)
        self.linear = conv(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + self.linear(F.gelu(self.bn(self.conv(keep_frames(x, mask)))))


class BinExcitation(nn.Module):
    """Scales each bin by a gate that sees the means over channels and time: [B, C, F, N] -> [B, C, F, N].

    Thienpondt et al., "Integrating frequency translational invariance in TDNNs and frequency positional information in 2D
    ResNets to enhance speaker verification", Interspeech 2021.
    """

    def __init__(self, bins: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(bins, hidden)
        self.linear2 = nn.Linear(hidden, bins)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        means = masked_mean(x.mean(dim=1), mask).squeeze(2)
        gate = torch.sigmoid(self.linear2(torch.relu(self.linear1(means))))
        return x * gate[:, None, :, None]


class ResidualBlock(nn.Module):
    """Two grouped 3x3 convolutions, each with a matrix behind, perhaps a gate a bin, and the input added: [B, C, F, N]."""

    def __init__(self, channels: int, bins: int, group: int, excitation: bool) -> None:
        super().__init__()
        groups = channels // group
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False)
        self.linear1 = nn.Conv2d(channels, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False)
        self.linear2 = nn.Conv2d(channels, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.se = BinExcitation(bins, min(64, max(channels, 32))) if excitation else None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.bn1(torch.relu(self.linear1(self.conv1(keep_frames(x, mask)))))
        y = self.bn2(self.linear2(self.conv2(keep_frames(y, mask))))
        if self.se is not None:
            y = self.se(y, mask)
        return torch.relu(x + y)


class Squeeze(nn.Module):
    """From the expanded channels back to C: grouped 3x3 convolution, BatchNorm, GELU, matrix."""

    def __init__(self, inputs: int, channels: int, group: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, 3, padding=1, groups=channels // group)
        self.bn = nn.BatchNorm2d(channels, eps=1e-6)
        self.linear = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.linear(F.gelu(self.bn(self.conv(keep_frames(x, mask)))))


class Transformer(nn.Module):
    """Self-attention and a feed-forward part, each with its input added and a norm behind: [B, C, N] -> [B, C, N].

    No frame attends to padding.
    """

    def __init__(self, channels: int, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(channels, channels) for _ in range(4))
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.linear1 = nn.Linear(channels, channels)
        self.linear2 = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x.transpose(1, 2)
        query, key, value = (
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        own = None if mask is None else mask.bool().unsqueeze(2)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=own)
        x = self.norm1(x + self.output(attended.transpose(1, 2).flatten(2)))
        x = self.norm2(x + self.linear2(F.gelu(self.linear1(x), approximate="tanh")))
        return x.transpose(1, 2)


class TimeContext(nn.Module):
    """The 1-D part, with its input added: [B, C, N] -> [B, C, N].

    Fewer channels, four depthwise convolutions of growing width, a transformer, and the channels back.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv1d(channels, hidden, 1)
        self.norm = ChannelNorm(hidden)
        self.convs = nn.ModuleList(ConvNeXtBlock(hidden, kernel_size, 1, axes=1) for kernel_size in CONTEXT_KERNELS)
        self.transformer = Transformer(hidden)
        self.expand = nn.Conv1d(hidden, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.norm(self.reduce(x))
        for conv in self.convs:
            y = conv(y, mask)
        return x + self.expand(self.transformer(y, mask))


class ReshapeStage(nn.Module):
    """Frames to a map, 2-D blocks, and back to frames for the 1-D part: [B, C * F, N] -> [B, C * F, N].

    Args:
        stage: What it does.
        channels, bins: C and F in front of it.
        block: Kind of its 2-D blocks.
        group: Channels of a group in the 2-D convolutions.
    """

    def __init__(self, stage: Stage, channels: int, bins: int, block: str, group: int) -> None:
        super().__init__()
        self.bins = bins
        frame, outputs, stride = channels * bins, channels * stage.stride, stage.stride
        inside = outputs * stage.expansion
        self.conv = nn.Conv2d(channels, inside, (stride, 1), (stride, 1))
        self.blocks = nn.ModuleList(block_2d(block, inside, bins // stride, group) for _ in range(stage.depth))
        self.squeeze = Squeeze(inside, outputs, group) if stage.expansion > 1 else None
        self.context = TimeContext(frame, frame // stage.reduction) if stage.reduction else None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.conv(to_map(x, self.bins))
        for block in self.blocks:
            x = block(x, mask)
        if self.squeeze is not None:
            x = self.squeeze(x, mask)
        x = to_frames(x)
        return x if self.context is None else self.context(x, mask)


def block_2d(block: str, channels: int, bins: int, group: int) -> nn.Module:
    """A 2-D block by name: convnext, resnet, or resnet_se with a gate a bin."""
    if block == "convnext":
        return ConvNeXtBlock(channels, 3, group, axes=2)
    if block in ("resnet", "resnet_se"):
        return ResidualBlock(channels, bins, group, excitation=block == "resnet_se")
    raise ValueError(f"unknown 2-D block {block!r}: {did_you_mean(block, ('convnext', 'resnet', 'resnet_se'))}")


def _stage(numbers: Sequence[int]) -> Stage:
    if len(numbers) != len(Stage._fields) or min(numbers[:3]) < 1 or numbers[3] < 0:
        raise ValueError(f"a stage is [stride, depth, expansion, reduction], 1 or more each, reduction 0 or more; got {numbers}")
    return Stage(*numbers)


def fits(input_dim: int, channels: int, stages: Sequence[Stage]) -> bool:
    """Whether `input_dim` bins can be divided by every stride, and each 1-D part into the heads of its attention.

    Example:
        >>> [bins for bins in range(1, 100) if fits(bins, 16, [Stage(*stage) for stage in SIZES["b2"].stages])]
        [12, 24, 36, 48, 60, 72, 84, 96]
    """
    bins = input_dim
    for stage in stages:
        if bins % stage.stride:
            return False
        bins //= stage.stride
        hidden = channels * input_dim // stage.reduction if stage.reduction else HEADS
        if hidden < HEADS or hidden % HEADS:
            return False
    return True


def check_input_dim(input_dim: int, channels: int, stages: Sequence[Stage]) -> None:
    """Raise ValueError, with the nearest widths that do, unless the stages can divide `input_dim` bins."""
    if fits(input_dim, channels, stages):
        return
    found = (bins for bins in range(1, 2 * input_dim + 200) if fits(bins, channels, stages))
    near = sorted(found, key=lambda bins: abs(bins - input_dim))[:2]
    if not near:
        raise ValueError(f"redimnet: no input_dim fits {channels} channels and stages {[tuple(stage) for stage in stages]}")
    best = 72 if 72 in near else near[0]
    raise ValueError(
        f"redimnet with {channels} channels and strides {[stage.stride for stage in stages]} cannot divide input_dim "
        f"{input_dim}; the nearest that fit: {sorted(near)}. Set it in the front-end, e.g. {{name: fbank, num_mel_bins: {best}}}"
    )


@register("backbone", "redimnet")
class ReDimNet(nn.Module):
    """Features [B, F, N] -> frames [B, output_dim, N]; output_dim is channels * F, whatever the size.

    Each stage sees a weighted sum of the frames of all stages before, as a map whose bins it may divide and whose channels
    it multiplies by as much, and gives frames of the same size again.

    The published nets read 72 bins (b0: 60) and end with pooling `asp` with context, a BatchNorm and one linear layer. With
    D = 192 they then have 1,004,250 (b0), 2,126,936 (b1), 5,067,056 (b2), 3,225,020 (b3), 6,441,520 (b4), 7,659,760 (b5) and
    15,015,472 (b6) parameters that are trained. b2 and b5 agree with the weights that the authors released; the paper's
    table has 4.7 M and 9.2 M for them.

    Args:
        input_dim: F. The strides of the stages must divide it: 12, 24 ... 72, 84 for b2.
        size: b0 ... b6; the arguments below replace what it sets.
        channels: C of the first map.
        block: 2-D block: convnext, resnet, or resnet_se with a gate a bin.
        group: Channels of a group in the 2-D convolutions.
        stages: ``[stride, depth, expansion, reduction]`` of each stage, see `Stage`.

    Example:
        >>> ReDimNet(input_dim=24, channels=4, stages=[[2, 1, 1, 8], [3, 1, 1, 0]]).eval()(torch.randn(1, 24, 9)).shape
        torch.Size([1, 96, 9])
    """

    def __init__(
        self,
        input_dim: int = 72,
        size: str = "b2",
        channels: int | None = None,
        block: str | None = None,
        group: int | None = None,
        stages: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"unknown size {size!r} of redimnet: {did_you_mean(size, SIZES)}")
        check_counts(channels=channels, group=group)
        published = SIZES[size]
        channels, block, group = channels or published.channels, block or published.block, group or published.group
        plan = [_stage(stage) for stage in (published.stages if stages is None else stages)]
        if not plan:
            raise ValueError("stages must name one stage or more, each as [stride, depth, expansion, reduction]")
        check_input_dim(input_dim, channels, plan)
        frame, bins = channels * input_dim, input_dim
        self.output_dim = frame
        self.conv = nn.Conv2d(1, channels, 3, padding=1)
        self.norm = ChannelNorm(channels)
        self.stages, self.mixes = nn.ModuleList(), nn.ModuleList()
        for index, stage in enumerate(plan):
            self.stages.append(ReshapeStage(stage, channels, bins, block, group))
            self.mixes.append(MixOfOutputs(index + 2, frame))
            channels, bins = channels * stage.stride, bins // stage.stride

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = to_frames(self.norm(self.conv(keep_frames(x.unsqueeze(1), mask))))
        outputs = [x]
        for stage, mix in zip(self.stages, self.mixes, strict=True):
            outputs.append(stage(x, mask))
            x = mix(outputs)
        return x
