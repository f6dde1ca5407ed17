"""Before and after: one scale for both."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.errors import ConfigError, DataError
from voxid.plots.enhancement import enhancement


def test_both_sides_share_scales_and_tell_their_names(readable, draw) -> None:
    clean = 0.1 * np.sin(np.arange(16000) / 10)
    noisy = clean + draw.normal(0, 0.05, 16000)
    figure = readable(enhancement(noisy, clean[:12000], 16000, labels=["noisy", "clean"]))
    (first, second, left, right), bar = figure.axes[:4], figure.axes[4]
    assert [first.get_title(), second.get_title()] == ["noisy", "clean"]
    assert left.images[0].get_clim() == right.images[0].get_clim()
    assert first.get_ylim() == second.get_ylim()
    assert left.get_xlim() == right.get_xlim() == first.get_xlim() == (0, 1)
    assert (bar.get_ylabel(), left.get_ylabel(), right.get_xlabel()) == ("level (dBFS)", "frequency (kHz)", "time (s)")
    assert not np.allclose(left.images[0].get_array()[:, :50], right.images[0].get_array()[:, :50])


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(DataError, match=r"two waveforms \[T\]"):
        enhancement(np.ones((2, 100)), np.ones(100), 8000)
    with pytest.raises(ConfigError, match="labels"):
        enhancement(np.ones(100), np.ones(100), 8000, labels=["one"])
