"""PESQ: the package's own values, in pieces that it survives, and one clear line where it has none."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from voxid.errors import ConfigError, DataError
from voxid.metrics.pesq import pesq


def words(seconds: float, rate: int = 16_000, seed: int = 0) -> NDArray:
    """Bursts of noise of half a second, half a second apart."""
    time = np.arange(round(seconds * rate)) / rate
    return 0.1 * np.random.default_rng(seed).standard_normal(len(time)) * (time % 1 < 0.5)


def noisy(target: NDArray, level: float = 0.01) -> NDArray:
    return target + level * np.random.default_rng(9).standard_normal(target.shape)


class NoUtterancesError(Exception):
    pass


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of what a package in the place of `pesq` is given; its answer is the peak of the target."""
    seen: list[int] = []

    def measure(rate: int, reference: NDArray, degraded: NDArray, mode: str) -> float:
        seen.append(len(reference))
        if np.abs(reference).max() < 0.01:
            raise NoUtterancesError
        return float(np.abs(reference).max())

    monkeypatch.setitem(sys.modules, "pesq", SimpleNamespace(pesq=measure, NoUtterancesError=NoUtterancesError))
    return seen


@pytest.mark.parametrize(("rate", "band", "mode"), [(8000, "narrow", "nb"), (16_000, "narrow", "nb"), (16_000, "wide", "wb")])
def test_it_is_the_value_of_the_package(rate: int, band: str, mode: str) -> None:
    package = pytest.importorskip("pesq")
    target = np.stack([words(3, rate, seed) for seed in range(2)])
    estimate = noisy(target)
    found = pesq(torch.from_numpy(estimate), torch.from_numpy(target), rate, band=band)
    assert (found.shape, found.dtype) == ((2,), torch.float64)
    assert found.tolist() == [package.pesq(rate, target[i], estimate[i], mode) for i in range(2)]
    assert (
        pesq(estimate[0, :24_000], target[0, :24_000], rate, band=band)
        == pesq(estimate, target, rate, [24_000, 20_000], band=band)[0]
    )


def test_less_noise_is_more() -> None:
    pytest.importorskip("pesq")
    target = words(3)
    values = [pesq(noisy(target, level), target, 16_000).item() for level in (0.1, 0.01, 0.001, 0.0)]
    assert values == sorted(values)
    assert values[-1] > 4.6


def test_silence_and_other_nonsense_ends_nothing() -> None:
    pytest.importorskip("pesq")
    target = words(1)
    broken = np.where(np.arange(len(target)) == 5, np.nan, target)
    for estimate, reference in ((target, 0 * target), (target, broken), (broken, target)):
        assert math.isnan(pesq(estimate, reference, 16_000).item())
    assert pesq(0 * target, target, 16_000).item() == 1.0
    assert math.isfinite(pesq(0 * target + 0.25, target, 16_000).item())


def test_a_batch_with_a_silent_item_keeps_the_others() -> None:
    pytest.importorskip("pesq")
    target = np.stack([words(1), np.zeros(16_000)])
    assert torch.isnan(pesq(noisy(target), target, 16_000)).tolist() == [False, True]


def test_long_waveforms_go_in_equal_pieces(heard: list[int]) -> None:
    target = 0.5 * np.ones(16_000 * 40)
    target[: 16_000 * 15] = 0.001  # no utterance in the first third, silence in the second
    target[16_000 * 13 : 16_000 * 27] = 0.0
    assert pesq(target + 0.1, target, 16_000).item() == 0.5
    assert heard == [213_334, 213_333]
    heard.clear()
    pesq(target[: 16_000 * 19], target[: 16_000 * 19] + 1, 16_000)
    assert heard == [16_000 * 19]


@pytest.mark.slow
def test_four_minutes_of_single_words_do_not_end_the_process() -> None:
    pytest.importorskip("pesq")
    target = words(240)
    assert 1 < pesq(noisy(target), target, 16_000).item() < 4.65


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    ("samples", "rate", "band", "code", "says"),
    [
        (16_000, 44_100, "wide", "E_RATE", "takes 16000 Hz, got 44100"),
        (16_000, 8000, "wide", "E_RATE", "wide band, takes 16000 Hz"),
        (16_000, 22_050, "narrow", "E_RATE", "8000 Hz or 16000 Hz"),
        (16_000, 16_000, "wb", "E_BAND", "'wide' and 'narrow'"),
        (3999, 16_000, "wide", "E_SHORT", "0.25 s of sound or more"),
    ],
)
def test_what_it_does_not_take_is_said(samples: int, rate: int, band: str, code: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        pesq(np.ones(samples), np.ones(samples), rate, band=band)
    assert caught.value.code == code


def test_without_the_package_it_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(ConfigError, match=r"voxid\[signal\]") as caught:
        pesq(np.ones(16_000), np.ones(16_000), 16_000)
    assert caught.value.code == "E_EXTRA"
