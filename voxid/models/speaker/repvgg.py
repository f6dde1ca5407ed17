"""RepVGG, after Ding et al., "RepVGG: making VGG-style ConvNets great again", CVPR 2021; for speakers Ma et al., "Rep works in
speaker verification", 2021."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from voxid.errors import ModelError
from voxid.models.layers import check_counts, keep_frames, stride_mask
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.registry import register


class Size(NamedTuple):
    """Blocks of the four stages, and their widths over 64, 128, 256 and 512."""

    blocks: tuple[int, int, int, int]
    widths: tuple[float, float, float, float]


SIZES = {
    "tiny_a0": Size((3, 4, 23, 3), (0.5, 0.5, 0.5, 0.5)),
    "a0": Size((2, 4, 14, 1), (0.75, 0.75, 0.75, 2.5)),
    "a1": Size((2, 4, 14, 1), (1, 1, 1, 2.5)),
    "a2": Size((2, 4, 14, 1), (1.5, 1.5, 1.5, 2.75)),
    "b0": Size((4, 6, 16, 1), (1, 1, 1, 2.5)),
    "b1": Size((4, 6, 16, 1), (2, 2, 2, 4)),
}


class Branch(nn.Module):
    """Convolution without bias, and BatchNorm: [B, C, F, N] -> [B, C', F', N']."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, stride, kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        nn.init.kaiming_uniform_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class RepVGGBlock(nn.Module):
    """ReLU of the sum of a 3 x 3 and a 1 x 1 convolution and the input, a norm on each: [B, C, F, N] -> [B, C', F', N'].

    Deployed, the sum is one 3 x 3 convolution. The input is added where the shape stays.

    Args:
        inputs: C.
        outputs: C'.
        stride: On both axes.
        deployed: Build the one convolution instead of the branches.
    """

    rbr_reparam: nn.Conv2d | None
    rbr_identity: nn.BatchNorm2d | None
    rbr_dense: Branch | None
    rbr_1x1: Branch | None

    def __init__(self, inputs: int, outputs: int, stride: int, deployed: bool) -> None:
        super().__init__()
        self.stride = stride
        whole = inputs == outputs and stride == 1
        self.rbr_reparam = nn.Conv2d(inputs, outputs, 3, stride, 1) if deployed else None
        self.rbr_identity = nn.BatchNorm2d(inputs) if whole and not deployed else None
        self.rbr_dense = None if deployed else Branch(inputs, outputs, 3, stride)
        self.rbr_1x1 = None if deployed else Branch(inputs, outputs, 1, stride)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = keep_frames(x, mask)
        if self.rbr_dense is None or self.rbr_1x1 is None:
            assert self.rbr_reparam is not None
            return self.rbr_reparam(x).relu_()
        y = self.rbr_dense(x) + self.rbr_1x1(x)
        return (y if self.rbr_identity is None else y + self.rbr_identity(x)).relu_()

    @torch.no_grad()
    def deploy(self) -> None:
        """Put the one convolution in the place of the branches, with the statistics that their norms have now."""
        if self.rbr_dense is None or self.rbr_1x1 is None:
            return
        dense = self.rbr_dense.conv
        kernel, bias = _fold(dense.weight, self.rbr_dense.bn)
        points = [_fold(self.rbr_1x1.conv.weight, self.rbr_1x1.bn)]
        if self.rbr_identity is not None:
            same = torch.eye(dense.in_channels, device=kernel.device)[:, :, None, None]
            points.append(_fold(same, self.rbr_identity))
        for point, shift in points:
            kernel[:, :, 1:2, 1:2] += point
            bias += shift
        fused = nn.Conv2d(dense.in_channels, dense.out_channels, 3, self.stride, 1).to(dense.weight)
        fused.load_state_dict({"weight": kernel, "bias": bias})
        self.rbr_reparam = fused
        self.rbr_identity = self.rbr_dense = self.rbr_1x1 = None


def _fold(kernel: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution without bias and the norm behind it, in double precision."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return kernel.double() * scale[:, None, None, None], norm.bias.double() - norm.running_mean.double() * scale


@register("backbone", "repvgg")
class RepVGG(nn.Module):
    """Features [B, F, N] -> frames [B, output_dim, ceil(N / 8)]: one block, then four stages of them.

    Trained with three branches a block, used with one. The names of the weights are those of wespeaker. Maps are laid side by
    side at the end, channel by channel.

    Args:
        input_dim: F.
        size: tiny_a0 (wespeaker's, 6.26 M parameters deployed with statistics pooling and D = 256), a0, a1, a2, b0 or b1.
        base_width: 64 is the paper's; the widths of all stages go with it.
        num_blocks: Blocks of the four stages instead of those of `size`.
        deployed: Build the net with one branch a block, as a checkpoint saved behind `deploy` needs it.

    Raises:
        ValueError: An unknown size, or not four stages of one block or more.

    Example:
        >>> net = RepVGG(size="a0", base_width=8, num_blocks=[1, 1, 1, 1]).eval()
        >>> net(torch.randn(2, 80, 100)).shape
        torch.Size([2, 1600, 13])
        >>> sum(p.numel() for p in net.parameters()), sum(p.numel() for p in net.deploy().parameters())
        (43264, 38386)
    """

    def __init__(
        self,
        input_dim: int = 80,
        size: str = "a0",
        base_width: int = 64,
        num_blocks: Sequence[int] | None = None,
        deployed: bool = False,
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
        blocks = SIZES[size].blocks if num_blocks is None else tuple(num_blocks)
        if len(blocks) != 4 or min(blocks) < 1:
            raise ValueError(f"num_blocks must be four numbers of 1 or more, got {list(blocks)}")
        check_counts(base_width=base_width)
        factors = SIZES[size].widths
        widths = [int(base_width * 2**place * factor) for place, factor in enumerate(factors)]
        if min(widths) < 1:
            raise ValueError(f"base_width {base_width} leaves no channel to the first stage of {size}; take a wider one")
        inputs = min(64, widths[0])
        self.stage0 = RepVGGBlock(1, inputs, 1, deployed)
        stages = []
        for place, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            first = RepVGGBlock(inputs, width, 1 if place == 0 else 2, deployed)
            stages.append(nn.ModuleList([first, *(RepVGGBlock(width, width, 1, deployed) for _ in range(count - 1))]))
            inputs = width
        self.stage1, self.stage2, self.stage3, self.stage4 = stages
        self.output_dim = inputs * -(-input_dim // 8)

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames [B] that remain of `lengths` [B]: one of eight, rounded up."""
        return (lengths + 7) // 8

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x.unsqueeze(1)
        for block in self._blocks():
            x = block(x, mask)
            mask = stride_mask(mask, block.stride)
        return x.flatten(1, 2)

    def deploy(self) -> RepVGG:
        """Turn every block into its one convolution, in place; returns itself. In eval mode the frames stay the same."""
        for block in self._blocks():
            block.deploy()
        return self

    def _blocks(self) -> list[RepVGGBlock]:
        return [self.stage0, *self.stage1, *self.stage2, *self.stage3, *self.stage4]


def deploy(encoder: SpeakerEncoder) -> SpeakerEncoder:
    """A copy of a speaker encoder whose RepVGG has one branch a block and whose `spec` says so, ready for a checkpoint.

    Args:
        encoder: An encoder on a ``repvgg``; it stays as it is.

    Raises:
        ModelError: ``E_FORMAT``, another backbone.
    """
    if not isinstance(encoder.backbone, RepVGG):
        raise ModelError(f"only a repvgg can be deployed, got {type(encoder.backbone).__name__}; use it as it is", "E_FORMAT")
    net = copy.deepcopy(encoder)
    net.backbone.deploy()
    backbone: Any = net.spec["backbone"]
    parts = {"name": backbone} if isinstance(backbone, str) else dict(backbone)
    net.spec = {**net.spec, "backbone": {**parts, "deployed": True}}
    return net
