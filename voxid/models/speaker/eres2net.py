"""ERes2Net, after Chen et al., "An enhanced Res2Net with local and global feature fusion for speaker verification",
Interspeech 2023, and ERes2NetV2, after Chen et al., "ERes2NetV2: boosting short-duration speaker verification performance
with computational efficiency", Interspeech 2024."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from voxid.models.layers import check_counts, keep_frames, stride_mask
from voxid.registry import register

CEILING = 20.0  # of the clipped ReLU inside the blocks, as in the published nets
STRIDES = (1, 2, 2, 2)  # of the four stages, on both axes
WHOLE_STRIDE = 8


class AttentionalFeatureFusion(nn.Module):
    """A sum of two maps in which each point leans to one of them: [B, C, F, N], [B, C, F, N] -> [B, C, F, N].

    The lean is tanh of two matrices over both maps' channels; at 0 both count alike, at 1 only the first one does, twice.
    Dai et al., "Attentional feature fusion", WACV 2021, with the plain tanh gate of ERes2Net.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.linear1 = nn.Conv2d(2 * channels, hidden, 1)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.linear2 = nn.Conv2d(hidden, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        hidden = nn.functional.silu(self.bn1(self.linear1(torch.cat([x, y], dim=1))))
        lean = torch.tanh(self.bn2(self.linear2(hidden)))
        return x * (1 + lean) + y * (1 - lean)


class ERes2Block(nn.Module):
    """Residual block of a Res2 convolution: [B, C, F, N] -> [B, C', ceil(F / stride), ceil(N / stride)].

    Args:
        inputs: C.
        planes: C' / expansion.
        stride: Of the first matrix, on both axes.
        base_width: Channels of a group, where `planes` is 64; they grow with it.
        scale: Groups of the Res2 convolution.
        expansion: C' in units of `planes`.
        fuse: A group meets the one before by attentional feature fusion, not by a sum.
    """

    def __init__(
        self,
        inputs: int,
        planes: int,
        stride: int = 1,
        base_width: int = 32,
        scale: int = 2,
        expansion: int = 2,
        fuse: bool = False,
    ) -> None:
        super().__init__()
        width, outputs = planes * base_width // 64, planes * expansion
        if width < 1:
            raise ValueError(f"channels {planes} and base_width {base_width} leave no channel to a group; take wider ones")
        self.width = width
        self.conv1 = nn.Conv2d(inputs, width * scale, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width * scale)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(scale))
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(scale))
        self.fusions = nn.ModuleList(AttentionalFeatureFusion(width) for _ in range(scale - 1 if fuse else 0))
        self.conv3 = nn.Conv2d(width * scale, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` [B, 1, ceil(N / stride)] is that of the frames that come out."""
        pieces = clipped(self.bn1(self.conv1(x))).split(self.width, dim=1)
        done: list[Tensor] = []
        for index, (conv, bn) in enumerate(zip(self.convs, self.bns, strict=True)):
            piece = pieces[index]
            if done:
                piece = self.fusions[index - 1](done[-1], piece) if self.fusions else done[-1] + piece
            done.append(clipped(bn(conv(keep_frames(piece, mask)))))
        return clipped(self.bn3(self.conv3(torch.cat(done, dim=1))) + self.shortcut(x))


def clipped(x: Tensor) -> Tensor:
    """ReLU with a ceiling.

    Example:
        >>> clipped(torch.tensor([-1.0, 3.0, 30.0]))
        tensor([ 0.,  3., 20.])
    """
    return x.clamp(0, CEILING)


class Stage(nn.Module):
    """Blocks of one width, the first of which has the stride: [B, C, F, N] -> [B, C', ceil(F / stride), ceil(N / stride)].

    The arguments are those of `ERes2Block`, and the number of blocks.
    """

    def __init__(
        self, depth: int, inputs: int, planes: int, stride: int, base_width: int, scale: int, expansion: int, fuse: bool
    ) -> None:
        super().__init__()
        self.output_dim = planes * expansion
        places = [(inputs, stride)] + [(self.output_dim, 1)] * (depth - 1)
        self.blocks = nn.ModuleList(ERes2Block(width, planes, step, base_width, scale, expansion, fuse) for width, step in places)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        return x


class Stages(nn.Module):
    """A 3x3 stem and four stages of blocks; the last two fuse locally: [B, F, N] -> the four stages' maps and their masks.

    Stage s halves both axes s times (not at all for s = 0) and has `widths[s]` channels.
    """

    def __init__(self, channels: int, blocks: Sequence[int], base_width: int, scale: int, expansion: int) -> None:
        super().__init__()
        check_counts(channels=channels, base_width=base_width, scale=scale, expansion=expansion)
        if len(blocks) != len(STRIDES) or min(blocks) < 1:
            raise ValueError(f"blocks must name the depth of {len(STRIDES)} stages, e.g. (3, 4, 6, 3), got {list(blocks)}")
        self.conv = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.stages = nn.ModuleList()
        self.widths: list[int] = []
        inputs = channels
        for index, (depth, stride) in enumerate(zip(blocks, STRIDES, strict=True)):
            stage = Stage(depth, inputs, channels * 2**index, stride, base_width, scale, expansion, fuse=index >= 2)
            self.stages.append(stage)
            self.widths.append(inputs := stage.output_dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[list[Tensor], list[Tensor | None]]:
        x = torch.relu(self.bn(self.conv(keep_frames(x.unsqueeze(1), mask))))
        maps: list[Tensor] = []
        masks: list[Tensor | None] = []
        for stage, stride in zip(self.stages, STRIDES, strict=True):
            mask = stride_mask(mask, stride)
            x = stage(x, mask)
            maps.append(x)
            masks.append(mask)
        return maps, masks


def halving(channels: int) -> nn.Conv2d:
    """The 3x3 convolution that brings a stage's map to the size of the next one's."""
    return nn.Conv2d(channels, 2 * channels, 3, 2, 1, bias=False)


def frames_out(lengths: Tensor) -> Tensor:
    """ceil(lengths / 8): three halvings, each of which keeps the first frame.

    Example:
        >>> frames_out(torch.tensor([1, 8, 9]))
        tensor([1, 1, 2])
    """
    return (lengths + WHOLE_STRIDE - 1) // WHOLE_STRIDE


@register("backbone", "eres2net")
class ERes2Net(nn.Module):
    """Features [B, F, N] -> frames [B, output_dim, ceil(N / 8)]: four Res2 stages, joined from below by attentional fusion.

    With 80 bins the backbone has 4,644,416 parameters (base, 32 channels) or 18,530,432 (large, 64). The published nets end
    with pooling `tsp` and one linear layer: 6,610,688 and 22,462,784 parameters with D = 192.

    Args:
        input_dim: F.
        channels: Of the stem and, doubled a stage, of the stages: 32 is the base net, 64 the large one.
        blocks: Depth of the four stages.
        base_width: Channels of a Res2 group, in 64ths of a stage's.
        scale: Groups of the Res2 convolution.
        expansion: Width of a stage's output in units of its channels.

    Example:
        >>> ERes2Net(input_dim=40, channels=4, blocks=(1, 1, 1, 1)).eval()(torch.randn(1, 40, 17)).shape
        torch.Size([1, 320, 3])
    """

    def __init__(
        self,
        input_dim: int = 80,
        channels: int = 32,
        blocks: Sequence[int] = (3, 4, 6, 3),
        base_width: int = 32,
        scale: int = 2,
        expansion: int = 2,
    ) -> None:
        super().__init__()
        self.stages = Stages(channels, blocks, base_width, scale, expansion)
        self.halvings = nn.ModuleList(halving(width) for width in self.stages.widths[:-1])
        self.fusions = nn.ModuleList(AttentionalFeatureFusion(width) for width in self.stages.widths[1:])
        self.output_dim = self.stages.widths[-1] * -(-input_dim // WHOLE_STRIDE)

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames out of items with `lengths` [B] frames."""
        return frames_out(lengths)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        maps, masks = self.stages(x, mask)
        joined = maps[0]
        for index, (halve, fuse) in enumerate(zip(self.halvings, self.fusions, strict=True)):
            joined = fuse(maps[index + 1], halve(keep_frames(joined, masks[index])))
        return joined.flatten(1, 2)


@register("backbone", "eres2netv2")
class ERes2NetV2(nn.Module):
    """Features [B, F, N] -> frames [B, output_dim, ceil(N / 8)]: ERes2Net, wider, and with the top two stages joined only.

    With 80 bins the backbone has 13,927,280 parameters. The published net ends with pooling `tsp` and one linear layer:
    17,859,632 parameters with D = 192. Its larger sibling has base_width 24, scale 4 and expansion 4 (53,513,632).

    Args:
        input_dim: F.
        channels: Of the stem and, doubled a stage, of the stages.
        blocks: Depth of the four stages.
        base_width: Channels of a Res2 group, in 64ths of a stage's.
        scale: Groups of the Res2 convolution.
        expansion: Width of a stage's output in units of its channels.

    Example:
        >>> ERes2NetV2(input_dim=40, channels=8, blocks=(1, 1, 1, 1)).eval()(torch.randn(1, 40, 17)).shape
        torch.Size([1, 640, 3])
    """

    def __init__(
        self,
        input_dim: int = 80,
        channels: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        base_width: int = 26,
        scale: int = 2,
        expansion: int = 2,
    ) -> None:
        super().__init__()
        self.stages = Stages(channels, blocks, base_width, scale, expansion)
        self.halving = halving(self.stages.widths[2])
        self.fusion = AttentionalFeatureFusion(self.stages.widths[3])
        self.output_dim = self.stages.widths[-1] * -(-input_dim // WHOLE_STRIDE)

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames out of items with `lengths` [B] frames."""
        return frames_out(lengths)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        maps, masks = self.stages(x, mask)
        return self.fusion(maps[3], self.halving(keep_frames(maps[2], masks[2]))).flatten(1, 2)
