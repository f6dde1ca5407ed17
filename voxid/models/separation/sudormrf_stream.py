"""A causal SuDoRM-RF on a signal that is still arriving."""

from __future__ import annotations

import torch
from torch import Tensor

from voxid.errors import ModelError
from voxid.models.separation.causal import CausalNet, State
from voxid.models.separation.mixture import mixture_consistency


class SuDoRMRFStream:
    """Chunks of any size in, samples of the sources out: together those that the net gives for the whole signal.

    The output lags behind the input by `delay` samples at most (10 at 8 kHz): one hop. Memory does not grow with the signal.

    Args:
        net: Which several streams may share.
        batch: Signals that run side by side.
        mixture_consistency: Share what the sources lack of the mixture among them.

    Example:
        >>> from voxid.registry import build
        >>> stream = build("separation", {"name": "sudormrf", "size": "0.25x", "variant": "causal"}).stream()
        >>> [stream.push(torch.zeros(size)).shape[1] for size in (5, 160, 1)], stream.flush().shape[1]
        ([0, 160, 0], 6)
    """

    def __init__(self, net: CausalNet, batch: int = 1, mixture_consistency: bool = False) -> None:
        self.net, self.batch, self.mixture_consistency = net, batch, mixture_consistency
        self.delay = net.hop
        self.reset()

    def reset(self) -> None:
        """Forget all that was heard: the next sample is the first one."""
        self._state: State = {}
        # What the consistency of the mixture still needs; the output begins one hop before the first sample.
        self._waiting = self.net.bottleneck.weight.new_zeros(self.batch, 0)
        self._early = self.net.hop
        self._heard = self._given = 0

    def push(self, chunk: Tensor) -> Tensor:
        """The samples of all sources that `chunk` completes, perhaps none.

        Args:
            chunk: What comes next, [n] or, of each signal, [B, n]; n may be 0.

        Returns:
            [S, n'] or, of each signal, [B, S, n'].

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
        self._heard += rows.shape[1]
        sources = self._push(rows)
        self._given += sources.shape[2]
        return sources[0] if chunk.ndim == 1 else sources

    def flush(self) -> Tensor:
        """The rest of the sources, [S, n] or, of several signals, [B, S, n]; the stream then is as new."""
        missing = self.net.missing(self._heard) if self._heard else 0
        sources = self._push(self._waiting.new_zeros(self.batch, missing))[:, :, : self._heard - self._given]
        self.reset()
        return sources[0] if self.batch == 1 else sources

    @torch.inference_mode()
    def _push(self, samples: Tensor) -> Tensor:
        samples = samples.to(self._waiting)
        self._waiting = torch.cat([self._waiting, samples], dim=1)
        sources = self.net.run(samples, self._state)
        early = min(self._early, sources.shape[2])
        self._early -= early
        sources = sources[:, :, early:]
        mixture, self._waiting = self._waiting.split([sources.shape[2], self._waiting.shape[1] - sources.shape[2]], dim=1)
        return mixture_consistency(sources, mixture) if self.mixture_consistency else sources
