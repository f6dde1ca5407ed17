"""Fixtures that several test files share."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

# A shell gives its background jobs an ignored Ctrl-C, and so to what they start: the tests that interrupt would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and reference data beside the checkout; tests that need it skip without it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the folder ../shared with real recordings")
    return folder


@pytest.fixture(scope="session")
def voice() -> Callable[..., np.ndarray]:
    """A function (seconds, rate, seed) -> [T]: harmonics of a gliding pitch under 3 kHz, in syllables, with a little noise."""

    def make(seconds: float = 1.0, rate: int = 16000, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        time = np.arange(round(seconds * rate)) / rate
        pitch = 2 * np.pi * np.cumsum(130 + 30 * np.sin(2 * np.pi * 0.7 * time + seed)) / rate
        harmonics = sum(np.sin(k * pitch + k) / k for k in range(1, 13))
        syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * time)
        return (0.2 * harmonics * syllables + 1e-4 * rng.standard_normal(len(time))).astype(np.float32)

    return make
