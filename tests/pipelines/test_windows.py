"""Windows: every sample once, no short ones, and no seam."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.errors import ConfigError
from voxid.pipelines.windows import cut, sizes, windowed


def blocks_of(signal: np.ndarray, size: int) -> list[np.ndarray]:
    return [signal[:, start : start + size] for start in range(0, signal.shape[1], size)]


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 400), block=st.integers(1, 90), size=st.integers(2, 60), share=st.floats(0, 0.5), rows=st.integers(1, 3)
)
def test_what_a_copy_gives_is_the_signal(length: int, block: int, size: int, share: float, rows: int) -> None:
    signal = np.random.default_rng(0).normal(size=(rows, length)).astype(np.float32)
    overlap = int(size * share)
    out = np.concatenate(
        list(windowed(blocks_of(signal, block), lambda window, _: window.copy(), size=size, overlap=overlap)), axis=1
    )
    np.testing.assert_allclose(out, signal, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 900), block=st.integers(1, 200), grain=st.sampled_from([1, 3, 5]))
def test_windows_are_neither_long_nor_short(length: int, block: int, grain: int) -> None:
    size, overlap = 60, 15
    signal = np.arange(length, dtype=np.float32)[None]
    found = list(cut(blocks_of(signal, block), size, overlap, grain))
    assert [last for _, last in found] == [False] * (len(found) - 1) + [True]
    place = 0
    for window, last in found:
        assert window[0, 0] == place
        assert place % grain == 0
        assert window.shape[1] <= size
        assert len(found) == 1 or window.shape[1] >= size // 2
        place += window.shape[1] - (0 if last else overlap)
    assert place == length
    assert (len(found) == 1) == (length <= size)


def test_two_windows_that_differ_are_faded_without_a_step() -> None:
    levels = iter((1.0, -1.0, 1.0))
    signal = np.zeros((1, 210), np.float32)
    out = np.concatenate(
        list(windowed([signal], lambda window, _: np.full_like(window, next(levels)), size=100, overlap=40)), axis=1
    )[0]
    assert np.abs(np.diff(out)).max() < 1.01 * np.pi / 40  # of a raised cosine from 1 to -1
    assert (out[:60] == 1).all()
    assert (out[-30:] == 1).all()
    assert out.min() == -1


def test_the_first_window_shares_nothing() -> None:
    heard = []
    for _ in windowed([np.zeros((1, 95), np.float32)], lambda w, shared: heard.append(shared) or w, size=40, overlap=10):
        pass
    assert heard == [0, 10, 10]


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_windows_are_whole_samples_at_both_rates(rate: int) -> None:
    size, overlap, grain = sizes(10.0, 0.8, rate, 16000)
    for count in (size, overlap, grain):
        assert count * 16000 % rate == 0
    assert size == pytest.approx(10 * rate, abs=grain)


def test_odd_rates_have_windows_too() -> None:
    assert sizes(10.0, 0.8, 44099, 16000) == (440990, 35279, 1)


@pytest.mark.parametrize(("window", "overlap"), [(0.1, 0.0), (float("nan"), 0.1), (float("inf"), 0.1), (10.0, 5.1), (10.0, -1.0)])
def test_seconds_that_make_no_windows_are_refused(window: float, overlap: float) -> None:
    with pytest.raises(ConfigError, match="window"):
        sizes(window, overlap, 16000, 16000)
