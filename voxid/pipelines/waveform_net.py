"""A net that turns waveforms into waveforms, behind arrays of any rate: it is heard at its own rate, and its answer has yours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import nn

from voxid.errors import ModelError
from voxid.zoo.load import load as load_model


class WaveformNet:
    """An enhancer (one waveform out) or a separator (S of them).

    Args:
        model: A name, a file, a loaded model, or None for the bundled one of that kind.
        kind: ``enhancement`` or ``separation``.
        device, imports: As in `voxid.zoo.load.load`.

    Attributes:
        net: The model.
        rate: What it hears, in Hz.

    Raises:
        ModelError: A model that cannot be loaded, or one of another kind.
    """

    def __init__(self, model: str | Path | nn.Module | None, kind: str, *, device: str = "auto", imports: bool = False) -> None:
        training = isinstance(model, nn.Module) and model.training
        net: Any = load_model(model, kind=kind, device=device, imports=imports)
        self.net = net.train(training)
        self.rate = int(self.net.sample_rate)

    @property
    def name(self) -> str:
        """Name of the model and the first digits of its SHA-256, as far as its card has them."""
        card = getattr(self.net, "card", None) or {}
        digest = str(card.get("sha256") or "")[:12]
        return f"{card.get('name') or 'an unnamed model'}{f' ({digest})' if digest else ''}"

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """In eval mode and without gradients; a loaded model gets its mode back."""
        training = self.net.training
        self.net.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            self.net.train(training)

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows [1, T] of an enhancer, [S, T] of a separator, for a waveform [T] at `rate`.

        Raises:
            ModelError: ``E_NOT_FINITE``, a net that answers with NaN or infinity.
        """
        weights = next(self.net.parameters(), None)
        batch = torch.from_numpy(np.array(waveform))[None].to("cpu" if weights is None else weights.device)
        rows = self.net(batch).reshape(-1, len(waveform)).float().cpu().numpy()
        self.check(rows)
        return rows

    def check(self, rows: NDArray[np.float32]) -> None:
        """Raise ModelError (``E_NOT_FINITE``) for an answer of the net with NaN or infinity in it."""
        if not np.isfinite(rows).all():
            raise ModelError(
                f"{self.name} answers with NaN or infinity: its training has failed; take another model", "E_NOT_FINITE"
            )


def resampled(waveform: NDArray[np.float32], rate: int, to_rate: int) -> NDArray[np.float32]:
    """A whole waveform [T] at another rate, one sample at least, and enough of them to come back from as long as it was.

    Example:
        >>> [len(resampled(np.zeros(size, np.float32), 48000, 16000)) for size in (1, 3, 480)]
        [1, 1, 160]
    """
    if rate == to_rate:
        return waveform
    # Where it is no whole number of samples, zeros follow: less than two samples of the other rate, so that rounding loses none.
    lacking = 0 if len(waveform) * to_rate % rate == 0 else math.ceil(rate / to_rate)
    return soxr.resample(np.pad(waveform, (0, lacking)), rate, to_rate)


def resampled_back(rows: NDArray[np.float32], rate: int, to_rate: int, length: int) -> NDArray[np.float32]:
    """Rows [R, T] that are heard at `rate`, at `to_rate` and with `length` samples, [R, length]."""
    if rate == to_rate:
        return rows
    return np.ascontiguousarray(soxr.resample(np.ascontiguousarray(rows.T), rate, to_rate)[:length].T)
