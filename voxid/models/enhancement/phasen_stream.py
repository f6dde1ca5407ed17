"""A causal PHASEN on a signal that is still arriving."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from voxid.errors import ModelError
from voxid.models.enhancement.frames import Frames
from voxid.models.enhancement.phasen_layers import State


class CausalNet(Protocol):
    """What a stream asks of its net: spectra [B, 2, F, N] to spectra, with a state that remembers the frames before."""

    training: bool
    frames: Frames

    @property
    def precision(self) -> torch.dtype: ...

    @property
    def device(self) -> torch.device: ...

    def clean(self, spectrum: Tensor, mask: Tensor | None = None, state: State | None = None) -> Tensor: ...


class PhasenStream:
    """Chunks of any size in, clean samples out: together the very samples that the net gives for the whole signal.

    The net takes whole hops. Behind n samples of input, h = floor(n / hop) * hop of them are heard, and the first h - `delay` of
    the output are out. A sample thus waits for `delay` + hop = one window at most: 32 ms for 512 samples at 16 kHz. Memory does
    not grow with the signal.

    Args:
        net: A causal net in eval mode, which several streams may share.
        batch: Signals that run side by side.

    Raises:
        ModelError: ``E_STREAM``, a net in training.

    Example:
        >>> from voxid.models.enhancement.phasen import Phasen
        >>> stream = Phasen("small", causal=True).eval().stream()
        >>> [len(stream.push(torch.zeros(size))) for size in (256, 400, 1)], len(stream.flush())
        ([0, 256, 0], 401)
    """

    def __init__(self, net: CausalNet, batch: int = 1) -> None:
        if net.training:
            raise ModelError("a net in training has no stream: its norms would follow each chunk; call eval() first", "E_STREAM")
        self.net = net
        self.batch = batch
        self.delay = net.frames.before
        self.reset()

    def reset(self) -> None:
        """Forget all that was heard: the next sample is the first one."""
        frames = self.net.frames
        self._state: State = {}
        self._waiting = torch.zeros(self.batch, frames.before, dtype=self.net.precision, device=self.net.device)
        # The first frames reach back beyond the first sample; what they give there is not part of the output.
        self._position = -frames.before
        self._ahead: Tensor | None = None
        self._heard = 0

    def push(self, chunk: Tensor) -> Tensor:
        """The clean samples that `chunk` completes, perhaps none.

        Args:
            chunk: What comes next, [n] or, of each signal, [B, n]; n may be 0.

        Returns:
            As many axes as `chunk` has.

        Raises:
            ModelError: ``E_SHAPE``, a chunk of another shape; ``E_NOT_FINITE``, NaN or infinity. The stream goes on as if it had
                not come.
        """
        rows = chunk.unsqueeze(0) if chunk.ndim == 1 else chunk
        if rows.ndim != 2 or len(rows) != self.batch or not rows.is_floating_point():
            raise ModelError(
                f"expected a float chunk [n] of one signal or [{self.batch}, n], got {chunk.dtype} {list(chunk.shape)}", "E_SHAPE"
            )
        if not bool(torch.isfinite(rows).all()):
            raise ModelError("a chunk holds NaN or infinity, which would never leave the stream again", "E_NOT_FINITE")
        clean = self._push(rows)
        self._heard += rows.shape[1]
        return clean[0] if chunk.ndim == 1 else clean

    def flush(self) -> Tensor:
        """The rest of the clean samples, [n] or, of several signals, [B, n]; the stream then is as new."""
        frames = self.net.frames
        missing = frames.num_frames(self._heard) * frames.hop - self._heard
        rest = self._heard - max(self._position, 0)
        clean = self._push(self._waiting.new_zeros(self.batch, missing))[:, :rest]
        self.reset()
        return clean[0] if self.batch == 1 else clean

    @torch.inference_mode()
    def _push(self, samples: Tensor) -> Tensor:
        frames = self.net.frames
        self._waiting = torch.cat([self._waiting, samples.to(self._waiting)], dim=1)
        whole = (self._waiting.shape[1] - frames.before) // frames.hop * frames.hop
        if not whole:
            return self._waiting[:, :0].clone()
        spectrum = frames.spectra(self._waiting[:, : frames.before + whole])
        self._waiting = self._waiting[:, whole:].clone()
        clean = self._joined(frames.overlap(self.net.clean(spectrum, state=self._state)), whole)
        early = min(max(-self._position, 0), whole)
        self._position += whole
        return clean[:, early:]

    def _joined(self, pieces: Tensor, whole: int) -> Tensor:
        """The `whole` finished samples of overlapping frames; those that later frames add to wait."""
        if self._ahead is not None:
            pieces = pieces + F.pad(self._ahead, (0, pieces.shape[1] - self._ahead.shape[1]))
        self._ahead = pieces[:, whole:].clone()
        return pieces[:, :whole]
