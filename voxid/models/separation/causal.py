"""The causal SuDoRM-RF: no norm, kernels that look back only, and an input level measured as the waveform comes.

Every part takes a `state` (or None, for a whole waveform), in which it keeps what it must remember of the past, under itself. A
whole waveform is the first and only chunk of a stream, so both give the same sums.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.models.separation.mask_heads import DenseHead, masked
from voxid.models.separation.mixture import FLOOR
from voxid.models.separation.uconv import doubled

State: TypeAlias = dict[nn.Module, Tensor]
KERNEL = 11  # the authors' 21 taps without the ten that look ahead


class Past(nn.Module):
    """Puts what causal windows still need in front of what comes: [B, C, N] -> [B, C, P + N], P = `size` - 1 at the start.

    Args:
        size: Steps that a window sees.
        stride: Steps from window to window; the first window ends with the first step.
    """

    def __init__(self, size: int, stride: int = 1) -> None:
        super().__init__()
        self.size, self.stride = size, stride

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        past = None if state is None else state.get(self)
        whole = F.pad(x, (self.size - 1, 0)) if past is None else torch.cat([past, x], dim=2)
        if state is not None:
            state[self] = whole[:, :, self.count(whole) * self.stride :].clone()
        return whole

    def count(self, whole: Tensor) -> int:
        """Windows in what `forward` gives."""
        return max(0, (whole.shape[2] - self.size) // self.stride + 1)


class CausalConv(nn.Module):
    """Convolution whose output n sees inputs up to `stride` * n: [B, C, N] -> [B, C', ceil(N / stride)]."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.past = Past(size, stride)
        self.conv = nn.Conv1d(inputs, outputs, size, stride=stride, groups=groups, bias=bias)

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        whole = self.past(x, state)
        if not self.past.count(whole):
            return x.new_zeros(x.shape[0], self.conv.out_channels, 0)
        return self.conv(whole)


class Doubled(nn.Module):
    """Frames twice each, as many as asked for; a stream keeps the one that is left over."""

    def forward(self, x: Tensor, count: int, state: State | None = None) -> Tensor:
        x = doubled(x)
        if state is not None:
            x = torch.cat([state[self], x], dim=2) if self in state else x
            state[self] = x[:, :, count:].clone()
        return x[:, :, :count]


class CausalBlock(nn.Module):
    """U-ConvBlock without norms, the input added to `gain` times its output: [B, C, N] -> [B, C, N]; `gain` starts at 0."""

    def __init__(self, channels: int, hidden: int, downsamplings: int) -> None:
        super().__init__()
        self.expand = nn.Conv1d(channels, hidden, 1)
        self.expand_act = nn.PReLU()
        self.scales = nn.ModuleList(
            CausalConv(hidden, hidden, KERNEL, 2 if level else 1, groups=hidden) for level in range(downsamplings + 1)
        )
        self.acts = nn.ModuleList(nn.PReLU() for _ in self.scales)
        self.doubles = nn.ModuleList(Doubled() for _ in range(downsamplings))
        self.reduce = nn.Conv1d(hidden, channels, 1)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        y = self.expand_act(self.expand(x))
        levels = []
        for scale, act in zip(self.scales, self.acts, strict=True):
            y = act(scale(y, state))
            levels.append(y)
        y = levels.pop()
        for double in self.doubles:
            finer = levels.pop()
            y = finer + double(y, finer.shape[2], state)
        return x + self.gain * self.reduce(y)


class RunningLevel(nn.Module):
    """Root mean square of the last samples before each frame: [B, 1, T] -> [B, 1, ceil(T / hop)].

    Frame n ends with sample n * hop.

    Args:
        hop: Samples from frame to frame.
        frames: Hops that are looked back.
    """

    def __init__(self, hop: int, frames: int) -> None:
        super().__init__()
        self.hop, self.frames = hop, frames
        self.samples, self.energies = Past(hop, hop), Past(frames)

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        whole = self.samples(x, state)
        count = self.samples.count(whole)
        hops = whole[:, :, : count * self.hop].unflatten(2, (count, self.hop))
        # Sums by the difference of two running sums, in float64: exact enough for days, and one pass for any number of frames.
        energies = self.energies(hops.double().square().sum(dim=3), state)
        sums = F.pad(energies.cumsum(dim=2), (1, 0))
        power = (sums[:, :, self.frames :] - sums[:, :, : -self.frames]).clamp(min=0) / self._samples(count, x, state)
        return (power + FLOOR).sqrt().to(x.dtype)

    def _samples(self, count: int, x: Tensor, state: State | None) -> Tensor:
        """Samples that each of the next frames looks back on; those before the first one do not count."""
        first = x.new_zeros((), dtype=torch.float64) if state is None or self not in state else state[self]
        if state is not None:
            state[self] = first + count
        frames = first + torch.arange(count, device=x.device)
        return (frames * self.hop + 1).clamp(max=self.frames * self.hop)


class OverlapAdd(nn.Module):
    """Decoder: frames [B, S F, N] -> samples [B, S, N hop], the first `hop` of which lie before the waveform."""

    def __init__(self, num_basis: int, num_sources: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(num_sources * num_basis, num_sources, kernel_size, stride=kernel_size // 2, bias=False)

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        samples = self.conv(x)
        done = x.shape[2] * self.conv.stride[0]
        if state is not None:
            if self in state:
                samples = samples + F.pad(state[self], (0, samples.shape[2] - state[self].shape[2]))
            state[self] = samples[:, :, done:].clone()
        return samples[:, :, :done]


class CausalNet(nn.Module):
    """Waveforms [B, T] -> sources [B, S, T]: an output sample depends on the `hop` samples ahead of it and on no later one.

    Frame n sees samples up to n * hop. It is divided by the level of the last samples up to there and multiplied by it again
    before the decoder: a waveform twice as loud gives sources twice as loud, and nothing has to be known in advance.

    Args:
        num_basis, kernel_size, channels, hidden, num_blocks, downsamplings, num_sources, mask: See `SuDoRMRF`.
        level_frames: Frames over which the level is measured; 0: it is not.
    """

    def __init__(
        self,
        num_basis: int,
        kernel_size: int,
        channels: int,
        hidden: int,
        num_blocks: int,
        downsamplings: int,
        num_sources: int,
        mask: str,
        level_frames: int,
    ) -> None:
        super().__init__()
        self.hop, self.num_sources = kernel_size // 2, num_sources
        self.encoder = CausalConv(1, num_basis, kernel_size, self.hop, bias=False)
        self.level = RunningLevel(self.hop, level_frames) if level_frames else None
        self.bottleneck = nn.Conv1d(num_basis, channels, 1)
        self.blocks = nn.ModuleList(CausalBlock(channels, hidden, downsamplings) for _ in range(num_blocks))
        self.head = DenseHead(channels, num_basis, num_sources, mask)
        self.decoder = OverlapAdd(num_basis, num_sources, kernel_size)
        nn.init.xavier_uniform_(self.encoder.conv.weight)
        nn.init.xavier_uniform_(self.decoder.conv.weight)

    def missing(self, num_samples: int) -> int:
        """Zeros behind `num_samples` samples with which all frames that reach into them are there."""
        return ((num_samples - 1) // self.hop + 1) * self.hop + 1 - num_samples

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Sources [B, S, T] of waveforms [B, T], which must be 0 behind `lengths`; no mask is needed, as nothing looks ahead."""
        samples = waveform.shape[1]
        return self.run(F.pad(waveform, (0, self.missing(samples))))[:, :, self.hop : self.hop + samples]

    def run(self, waveform: Tensor, state: State | None = None) -> Tensor:
        """Sources [B, S, N hop] of the N frames that end in waveforms [B, T], the first `hop` samples ahead of the first one."""
        frames, level = self.encode(waveform, state)
        if not frames.shape[2]:
            return frames.new_zeros(len(frames), self.num_sources, 0)
        out = masked(self.head, self.refine(frames, state), frames)
        return self.decoder((out if level is None else out * level.unsqueeze(1)).flatten(1, 2), state)

    def masks(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Masks [B, S, F, N] of waveforms [B, T]."""
        frames, _ = self.encode(F.pad(waveform, (0, self.missing(waveform.shape[1]))))
        return self.head(self.refine(frames))

    def encode(self, waveform: Tensor, state: State | None = None) -> tuple[Tensor, Tensor | None]:
        """Frames [B, F, N] at one level, and the level [B, 1, N] that they had."""
        frames = self.encoder(waveform.unsqueeze(1), state)
        if self.level is None:
            return frames, None
        level = self.level(waveform.unsqueeze(1), state)
        return frames / level, level

    def refine(self, frames: Tensor, state: State | None = None) -> Tensor:
        """What the head sees [B, C, N] of frames [B, F, N]."""
        y = self.bottleneck(frames)
        for block in self.blocks:
            y = block(y, state)
        return y
