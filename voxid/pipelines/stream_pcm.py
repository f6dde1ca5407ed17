"""stream_pcm: bare samples in on one side and out on the other while they are still arriving, through a causal model."""

from __future__ import annotations

import errno
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxid.audio.reader import check_rate
from voxid.audio.source import refusal
from voxid.errors import ConfigError, ModelError, did_you_mean
from voxid.pipelines.enhance import Mix
from voxid.pipelines.waveform_net import WaveformNet

CHUNK = 1 << 16  # bytes that are read at once at most; what has arrived is not kept waiting for more
PCM: dict[str, np.dtype] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}
NAME = "<stream>"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Streamed:
    """What went through.

    Args:
        samples: In and, of each source, out.
        num_sources: 1 for an enhancer; of a separator the sources come out interleaved, like channels.
        clipped: Samples that 16 bits could not hold and that were clipped.
    """

    samples: int
    num_sources: int
    clipped: int


def stream_pcm(
    source: BinaryIO,
    sink: BinaryIO,
    *,
    kind: Literal["enhancement", "separation"] = "enhancement",
    model: str | Path | nn.Module | None = None,
    rate: int | None = None,
    pcm: Literal["s16le", "f32le"] = "s16le",
    wet: float = 1.0,
    max_attenuation: float | None = None,
    device: str = "auto",
    imports: bool = False,
) -> Streamed:
    """Enhance or separate one channel of raw little-endian PCM as it comes; exactly as many samples go out as came in.

    Args:
        source, sink: Binary streams, e.g. standard input and output; neither is closed.
        kind: Of the model.
        model: A name, a file or a loaded model, causal; None = the bundled one of that kind.
        rate: Of the stream in Hz; another rate than the model's is resampled on both sides. None = the model's.
        pcm: Its samples: 16-bit integers or 32-bit floats.
        wet, max_attenuation: As in `voxid.enhance`; of an enhancer only.
        device, imports: As in `voxid.load`.

    Raises:
        ModelError: ``E_STREAM``, a model that hears the whole recording; ``E_NOT_FINITE``, one that answers with NaN or
            infinity; or one that cannot be loaded.
        AudioError: ``E_NONFINITE``, NaN or infinity in the stream; ``E_DISK_FULL`` or ``E_WRITE``, a sink that takes no more.
        BrokenPipeError: Nobody reads the sink any longer.
        ConfigError: A value out of its range.
    """
    if pcm not in PCM:
        raise ConfigError(f"unknown PCM {pcm!r}: {did_you_mean(pcm, PCM)}")
    mix = Mix(wet, max_attenuation)
    net = WaveformNet(model, kind, device=device, imports=imports)
    pipe = Pipe(net, net.rate if rate is None else rate, mix.share if kind == "enhancement" else 1.0)
    with net.evaluating():
        return _pump(source, sink, pipe, PCM[pcm])


class Pipe:
    """Chunks of one channel at any rate in, samples of all sources out, through the stream of a causal net.

    Args:
        net: Behind it, a net with a `stream`.
        rate: Of the chunks in Hz.
        share: Of what the net gives in the result; the rest is the input, at the right time.
    """

    def __init__(self, net: WaveformNet, rate: int, share: float = 1.0) -> None:
        check_rate(rate)
        self.num_sources = int(getattr(net.net, "num_sources", 1))
        self._net, self._stream = net, _stream_of(net)
        self._rate, self._net_rate, self._share = rate, net.rate, share
        same = rate == net.rate
        self._into = None if same else soxr.ResampleStream(rate, net.rate, 1, "float32")
        self._back = None if same else soxr.ResampleStream(net.rate, rate, self.num_sources, "float32")
        self._dry = np.empty(0, np.float32)
        self.heard = self.given = 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows [S, k] that `samples` [n] complete, perhaps none.

        Raises:
            ModelError: ``E_NOT_FINITE``, a net that answers with NaN or infinity.
        """
        self.heard += len(samples)
        self._dry = np.concatenate([self._dry, samples])
        return self._mixed(self._come_back(self._run(self._go_into(samples, last=False)), last=False))

    def flush(self) -> NDArray[np.float32]:
        """The rest: after it, as many samples were given as were heard.

        Raises:
            ModelError: As of `push`.
        """
        if not self.heard:
            return np.empty((self.num_sources, 0), np.float32)
        whole = self.heard * self._net_rate % self._rate == 0
        lacking = np.zeros(0 if whole else math.ceil(self._rate / self._net_rate), np.float32)
        rows = self._run(self._go_into(lacking, last=True))
        rest = self._rows(self._stream.flush())
        rows = self._come_back(np.concatenate([rows, rest], axis=1), last=True)
        short = max(0, self.heard - self.given - rows.shape[1])
        return self._mixed(np.pad(rows, ((0, 0), (0, short))))

    def _go_into(self, samples: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        return samples if self._into is None else self._into.resample_chunk(samples, last=last)

    def _run(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._rows(self._stream.push(torch.from_numpy(samples)))

    def _rows(self, answer: Tensor) -> NDArray[np.float32]:
        rows = np.atleast_2d(answer.float().cpu().numpy())
        self._net.check(rows)
        return rows

    def _come_back(self, rows: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        if self._back is None:
            return rows
        frames = np.ascontiguousarray(rows.T)
        return self._back.resample_chunk(frames[:, 0] if self.num_sources == 1 else frames, last=last).reshape(-1, len(rows)).T

    def _mixed(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = rows[:, : self.heard - self.given]
        size = rows.shape[1]
        dry, self._dry = self._dry[:size], self._dry[size:]
        self.given += size
        return rows if self._share == 1 else dry + np.float32(self._share) * (rows - dry)


def _pump(source: BinaryIO, sink: BinaryIO, pipe: Pipe, kind: np.dtype) -> Streamed:
    """Read, push and write until the source ends."""
    read = getattr(source, "read1", source.read)
    held, clipped = b"", 0
    while data := read(CHUNK):
        data = held + data
        whole = len(data) // kind.itemsize * kind.itemsize
        held = data[whole:]
        clipped += _write(sink, pipe.push(_decoded(data[:whole], kind, pipe.heard)), kind)
    if held:
        log.warning("%s: its last %d bytes are no whole sample and were left out", NAME, len(held))
    clipped += _write(sink, pipe.flush(), kind)
    return Streamed(pipe.heard, pipe.num_sources, clipped)


def _decoded(data: bytes, kind: np.dtype, heard: int) -> NDArray[np.float32]:
    samples = np.frombuffer(data, kind).astype(np.float32)
    if kind.kind == "i":
        return samples / 2.0**15
    if not np.isfinite(samples).all():
        place = heard + int(np.flatnonzero(~np.isfinite(samples))[0])
        raise refusal(NAME, f"sample {place} is NaN or infinite; is it f32le?", "E_NONFINITE")
    return samples


def _write(sink: BinaryIO, rows: NDArray[np.float32], kind: np.dtype) -> int:
    """Write rows [S, k] interleaved, at once; how many samples were clipped."""
    if not rows.shape[1]:
        return 0
    frames, clipped = rows.T, 0
    if kind.kind == "i":
        clipped = int((np.abs(frames) > 1).sum())
        frames = np.clip(np.round(frames * 2.0**15), -(2**15), 2**15 - 1)
    try:
        sink.write(np.ascontiguousarray(frames.astype(kind)).tobytes())
        sink.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        code = "E_DISK_FULL" if error.errno == errno.ENOSPC else "E_WRITE"
        raise refusal(NAME, f"the output cannot be written to ({error.strerror or error})", code) from error
    return clipped


def _stream_of(net: WaveformNet) -> Any:
    make = getattr(net.net, "stream", None)
    if make is None:
        raise ModelError(f"{net.name} has no stream; a causal model is needed: name one with --model", "E_STREAM")
    with net.evaluating():
        try:
            return make()
        except ModelError as error:
            raise ModelError(f"{net.name}: {error}. Name a causal model with --model", error.code) from error
