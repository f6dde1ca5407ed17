"""Speaker nets and a training step as a textbook would write them: the plain thing that benchmarks/train.py compares with."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LogMel(nn.Module):
    """80 log-mel bands, 25 ms every 10 ms, less their mean: a whole STFT, one product with the filters."""

    def __init__(self) -> None:
        super().__init__()
        mel = torch.linspace(1127 * math.log1p(20 / 700), 1127 * math.log1p(8000 / 700), 82)
        bins = 1127 * torch.log1p(torch.arange(257) * 31.25 / 700)
        up = (bins - mel[:-2, None]) / (mel[1:-1] - mel[:-2])[:, None]
        down = (mel[2:, None] - bins) / (mel[2:] - mel[1:-1])[:, None]
        self.register_buffer("filters", torch.minimum(up, down).clamp(min=0))
        self.register_buffer("window", torch.hamming_window(400))

    def forward(self, waveform: Tensor) -> Tensor:
        spectrum = torch.stft(waveform, 512, 160, 400, self.window, center=False, return_complex=True)
        features = torch.log(self.filters @ spectrum.abs().square() + 1e-6)
        return features - features.mean(dim=2, keepdim=True)


def conv1d(inputs: int, outputs: int, size: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (size - 1) // 2
    convolution = nn.Conv1d(inputs, outputs, size, padding=padding, dilation=dilation)
    return nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm1d(outputs))


class Res2Block(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // 8
        self.first, self.last = conv1d(channels, channels), conv1d(channels, channels)
        self.groups = nn.ModuleList(conv1d(width, width, 3, dilation) for _ in range(7))
        self.gate = nn.Sequential(nn.Linear(channels, 128), nn.ReLU(), nn.Linear(128, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        pieces = list(self.first(x).chunk(8, dim=1))
        for number, group in enumerate(self.groups):
            pieces[number] = group(pieces[number] + (pieces[number - 1] if number else 0))
        y = self.last(torch.cat(pieces, dim=1))
        return x + y * self.gate(y.mean(dim=2)).unsqueeze(2)


class Attention(nn.Module):
    """Mean and deviation under a weight for each channel and frame."""

    def __init__(self, channels: int, context: bool) -> None:
        super().__init__()
        self.context = context
        inputs = 3 * channels if context else channels
        self.score = nn.Sequential(nn.Conv1d(inputs, 128, 1), nn.Tanh(), nn.Conv1d(128, channels, 1), nn.Softmax(dim=2))

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        if self.context:
            mean, deviation = x.mean(dim=2, keepdim=True), (x.var(dim=2, keepdim=True) + 1e-7).sqrt()
            seen = torch.cat([x, mean.expand_as(x), deviation.expand_as(x)], dim=1)
        weight = self.score(seen)
        mean = (weight * x).sum(dim=2)
        return torch.cat([mean, ((weight * x * x).sum(dim=2) - mean * mean).clamp(min=1e-7).sqrt()], dim=1)


class ECAPA(nn.Module):
    """ECAPA-TDNN: features [B, 80, N] -> embeddings [B, 192]."""

    def __init__(self, channels: int = 512, joined: int = 1536) -> None:
        super().__init__()
        self.stem = conv1d(80, channels, 5)
        self.blocks = nn.ModuleList(Res2Block(channels, dilation) for dilation in (2, 3, 4))
        self.join = conv1d(3 * channels, joined)
        self.head = nn.Sequential(Attention(joined, True), nn.BatchNorm1d(2 * joined), nn.Linear(2 * joined, 192))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return self.head(self.join(torch.cat(outputs, dim=1)))


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.around = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.around = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.around(x))


class ResNet34(nn.Module):
    """ResNet34 with 32 channels: features [B, 80, N] -> embeddings [B, 192]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
        inputs = 32
        for stage, blocks in enumerate((3, 4, 6, 3)):
            for block in range(blocks):
                layers.append(Residual(inputs, 32 * 2**stage, 2 if stage and not block else 1))
                inputs = 32 * 2**stage
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(Attention(2560, False), nn.BatchNorm1d(5120), nn.Linear(5120, 192))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.unsqueeze(1)).flatten(1, 2))


class AAM(nn.Module):
    """Cross-entropy over angles, the own one with a margin of 0.2, scaled by 30."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, 192))

    def forward(self, embedding: Tensor, label: Tensor) -> Tensor:
        cosine = F.linear(F.normalize(embedding.float()), F.normalize(self.weight))
        moved = torch.cos(torch.acos(cosine.clamp(-0.9999, 0.9999)) + 0.2)
        own = F.one_hot(label, cosine.shape[1]).bool()
        return F.cross_entropy(30 * torch.where(own, moved, cosine), label)


def make_step(net: nn.Module, classes: int, waveform: Tensor, label: Tensor, low: bool) -> Callable[[], None]:
    """Features, net, loss, gradients, clipping and AdamW, in the order of the textbook."""
    features, loss = LogMel(), AAM(classes)
    parameters = [*net.parameters(), *loss.parameters()]
    rule = torch.optim.AdamW(parameters)

    def step() -> None:
        rule.zero_grad()
        with torch.no_grad():
            seen = features(waveform)
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            embedding = net(seen)
        loss(embedding, label).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        rule.step()

    return step
