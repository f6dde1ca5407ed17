"""Short-time spectra, a piece at a time: everything between the waveform and the filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxid.errors import ModelError
from voxid.features.options import FramedOptions

# Frames that go through the transform at a time. A frame takes about 7 KB of temporaries: these stay in a core's cache, where
# a whole batch would ask the system for fresh pages at every step (benchmarks/features.py --chunks). A GPU wants them all.
CHUNK_CPU = 1000
CHUNK_GPU = 1 << 15

Bins = Callable[[Tensor, Tensor | None], Tensor]
Finish = Callable[[Tensor, Tensor | None], Tensor]


def window(name: str, length: int, periodic: bool = False) -> NDArray[np.float64]:
    """A window [length]: hamming, hann (hanning), povey (hann to the power of 0.85), blackman, sine or rectangular.

    Example:
        >>> window("hann", 4, periodic=True).round(3).tolist()
        [0.0, 0.5, 1.0, 0.5]
    """
    phase = 2 * np.pi * np.arange(length) / (length if periodic else length - 1)
    hann = 0.5 - 0.5 * np.cos(phase)
    shapes = {
        "hamming": 0.54 - 0.46 * np.cos(phase),
        "hann": hann,
        "hanning": hann,
        "povey": hann**0.85,
        "blackman": 0.42 - 0.5 * np.cos(phase) + 0.08 * np.cos(2 * phase),
        "sine": np.sin(phase / 2),
        "rectangular": np.ones(length),
    }
    return shapes[name]


class Constant(nn.Module):
    """A float32 tensor that goes with its module from device to device, and into no checkpoint.

    It is laid afresh at every move, so that ``half()`` does not round it and ``to_empty()`` does not lose it.
    """

    value: Tensor

    def __init__(self, value: NDArray[np.float64]) -> None:
        super().__init__()
        self._source = value.astype(np.float32)
        self.register_buffer("value", torch.from_numpy(self._source).to(torch.get_default_device()), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Constant:
        super()._apply(fn, recurse)
        self.value = torch.from_numpy(self._source).to(self.value.device)
        return self


class Stft(nn.Module):
    """Waveform [B, T] -> short-time spectrum (or another transform of the frames), power or magnitude, handed on in pieces.

    Args:
        options: Framing, window, edges and so on.
        energy: None, "raw" (of the frame, without its mean) or "window" (of what goes into the transform).
        transform: Another transform in the Fourier transform's place: frames [R, M, length] -> power [R, M, bins].
    """

    def __init__(self, options: FramedOptions, energy: str | None = None, transform: nn.Module | None = None) -> None:
        super().__init__()
        self.options = options
        self.energy = energy
        self.transform = transform
        self.length, self.shift, self.n_fft = options.length, options.shift, options.points
        self.emphasis = options.preemphasis if options.preemphasis_on == "frame" else 0.0
        # The scale rides on the window: one pass over the samples less.
        weights = options.scale * window(options.window, self.length, options.periodic)
        self.window = Constant(weights)
        self.first = float(weights[0]) * (1 - self.emphasis)
        before = {"snip": 0, "mirror": self.length // 2 - self.shift // 2}
        self.before = before.get(options.edges, self.n_fft // 2 - (self.n_fft - self.length) // 2)

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames of waveforms of `lengths` samples, at least 1."""
        return torch.clamp(self._whole_frames(lengths), min=1)

    def _whole_frames(self, lengths: Any) -> Any:
        if self.options.edges == "snip":
            return (lengths - self.length) // self.shift + 1
        if self.options.edges == "mirror":
            return (lengths + self.shift // 2) // self.shift
        return (lengths + 2 * (self.n_fft // 2) - self.n_fft) // self.shift + 1

    def forward(self, waveform: Tensor, lengths: Tensor | None, bins: Bins, finish: Finish) -> Tensor:
        """Features [B, F, N].

        Args:
            waveform: [B, T].
            lengths: Samples of each item [B].
            bins: Spectrum [M, bins] and energies [M] of M frames -> features [F, M].
            finish: Features [R, F, N] of whole items and their frames [R] -> features [R, F, N].
        """
        check_waveform(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            count = max(1, self._whole_frames(waveform.shape[1]))
            chunk = CHUNK_CPU if waveform.device.type == "cpu" else CHUNK_GPU
            rows = max(1, chunk // count)
            parts = []
            for start in range(0, waveform.shape[0], rows):
                own = None if lengths is None else lengths[start : start + rows]
                stream = self._stream(waveform[start : start + rows].float(), own, count)
                frames = None if own is None else self.num_frames(own)
                parts.append(finish(self._features(stream, count, chunk, bins), frames))
            return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _features(self, stream: Tensor, count: int, chunk: int, bins: Bins) -> Tensor:
        parts = []
        for start in range(0, count, chunk):
            stop = min(start + chunk, count)
            piece = stream[:, start * self.shift : (stop - 1) * self.shift + self.length]
            features = bins(*self._spectrum(piece))
            parts.append(features.unflatten(1, (len(stream), stop - start)).transpose(0, 1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def _stream(self, x: Tensor, lengths: Tensor | None, count: int) -> Tensor:
        """The samples that the frames read, one after the other: x [R, T] with what stands before and after each item."""
        total = (count - 1) * self.shift + self.length
        if self.options.preemphasis_on == "signal":
            x = emphasize_signal(x, lengths, self.options.preemphasis)
        elif self.options.preemphasis_on == "filter":
            x = torch.sub(x, nn.functional.pad(x[:, :-1], (1, 0)), alpha=self.options.preemphasis)
        if self.options.edges != "snip":
            x = pad_items(x, lengths, self.before, self.length, self.options.edges)
        elif x.shape[1] < total:
            x = nn.functional.pad(x, (0, total - x.shape[1]))
        if self.options.edges == "snip" and lengths is not None:
            x = silence_after(x, lengths, self.length)
        if self.options.dither and self.training:
            x = x + torch.randn_like(x) * (self.options.dither / self.options.scale)
        return x[:, :total]

    def _spectrum(self, stream: Tensor) -> tuple[Tensor, Tensor | None]:
        """Spectrum [M, bins] and energies [M] of all frames of a stretch of samples, item after item."""
        frames = self._frames(stream)
        energy = self._energy(stream, frames)
        if self.transform is not None:
            power = self.transform(frames).flatten(0, 1)
        else:
            # No name is left on the frames: their memory, still in the cache, serves the next step.
            spectrum = torch.fft.rfft(frames, n=self.n_fft)
            del frames
            squares = torch.view_as_real(spectrum).square()
            power = (squares[..., 0] + squares[..., 1]).flatten(0, 1)
        # The root has no finite gradient at zero; complex abs() has one, at three times the cost of all this.
        return power if self.options.power == 2 else power.clamp(min=1e-30).sqrt(), energy

    def _frames(self, stream: Tensor) -> Tensor:
        """Frames [R, M, length] without mean, emphasised and windowed.

        Kaldi takes off the mean of a frame, then emphasises within it. Both are linear: here the samples are emphasised once
        for all frames that share them, (1 - c) of the mean goes, and the first sample of each frame, which has none before
        it, is mended.
        """
        raw = frames = stream.unfold(1, self.length, self.shift)
        if self.emphasis:
            emphasized = torch.sub(stream[:, 1:], stream[:, :-1], alpha=self.emphasis)
            frames = torch.cat([stream[:, :1], emphasized], dim=1).unfold(1, self.length, self.shift)
        first = raw[..., 0]
        if self.options.remove_dc:
            mean = raw.mean(dim=2, keepdim=True)
            frames = torch.sub(frames, mean, alpha=1 - self.emphasis).mul_(self.window.value)
            first = first - mean[..., 0]
        else:
            frames = frames * self.window.value
        if self.emphasis:
            frames[..., 0] = first * self.first
        return frames

    def _energy(self, stream: Tensor, frames: Tensor) -> Tensor | None:
        if self.energy is None:
            return None
        if self.energy == "raw":
            frames = stream.unfold(1, self.length, self.shift) * self.options.scale
            if self.options.remove_dc:
                frames = frames - frames.mean(dim=2, keepdim=True)
        return frames.square().sum(dim=2).flatten()


def check_waveform(waveform: Tensor) -> None:
    """Raise `ModelError` unless `waveform` is a float [B, T] with at least one item and one sample."""
    if waveform.ndim != 2 or not waveform.is_floating_point() or 0 in waveform.shape:
        raise ModelError(
            f"expected a float waveform [B, T] in [-1, 1] with B, T >= 1, got {waveform.dtype} {list(waveform.shape)}; "
            "one recording goes in as waveform[None]",
            "E_SHAPE",
        )


def emphasize_signal(x: Tensor, lengths: Tensor | None, coefficient: float) -> Tensor:
    """Pre-emphasis of whole waveforms [B, T], with the second sample mirrored to the place before the first."""
    before = x[:, 1:2] if x.shape[1] > 1 else x[:, :1]
    if lengths is not None:
        before = torch.where(lengths[:, None] > 1, before, x[:, :1])
    return torch.sub(x, torch.cat([before, x[:, :-1]], dim=1), alpha=coefficient)


def silence_after(x: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Zeros behind the end of each item of x [B, T] that is shorter than `size`, within its first `size` samples.

    Whole frames of longer items do not read behind their end.
    """
    mask = torch.arange(size, device=x.device) < lengths[:, None]
    return torch.cat([x[:, :size] * mask, x[:, size:]], dim=1)


def pad_items(x: Tensor, lengths: Tensor | None, before: int, after: int, edges: str) -> Tensor:
    """Each item of x [B, T] with `before` samples in front and `after` behind its own end: [B, before + T + after].

    They are zeros, or the item itself turned around: "mirror" repeats the sample at the edge, "reflect" does not. An item
    shorter than its padding is turned around again and again. What follows the padding of a short item is not defined.

    Example:
        >>> pad_items(torch.tensor([[1.0, 2.0, 3.0, 0.0]]), torch.tensor([3]), 2, 2, "reflect")[:, :7]
        tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """
    if lengths is None:
        lengths = torch.full((x.shape[0],), x.shape[1], device=x.device)
    ends = lengths[:, None]
    front = torch.arange(-before, 0, device=x.device).expand(len(x), -1)
    places = torch.cat([front, ends + torch.arange(after, device=x.device)], dim=1)
    padded = nn.functional.pad(x, (before, after))
    if edges not in ("mirror", "reflect"):
        return padded.scatter_(1, places + before, 0.0)
    if edges == "mirror":
        turned = places.remainder(2 * ends)
        source = torch.minimum(turned, 2 * ends - 1 - turned)
    else:
        period = (2 * ends - 2).clamp(min=1)
        turned = places.remainder(period)
        source = torch.minimum(turned, period - turned)
    return padded.scatter_(1, places + before, x.gather(1, source))
