"""DNSMOS: the values of the package that brings the nets, without what that package needs besides."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from voxid.errors import ConfigError, DataError
from voxid.metrics.dnsmos import dnsmos


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the package, with stand-ins for what its other score needs: librosa and requests."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("speechmos")
    feature = SimpleNamespace(melspectrogram=lambda **_: np.ones((120, 900), np.float32))
    monkeypatch.setitem(sys.modules, "librosa", SimpleNamespace(feature=feature, power_to_db=lambda power, ref: power))
    monkeypatch.setitem(sys.modules, "requests", SimpleNamespace(session=None))
    monkeypatch.delitem(sys.modules, "speechmos.dnsmos", raising=False)
    return __import__("speechmos.dnsmos", fromlist=["run"])


@pytest.mark.parametrize(("samples", "personalized"), [(40_000, False), (144_160, True), (180_000, False)])
def test_it_is_that_of_the_package(reference: ModuleType, samples: int, personalized: bool) -> None:
    draw = np.random.default_rng(0)
    waveform = 0.1 * np.sin(np.arange(samples) / 20) * (np.arange(samples) % 8000 < 5000) + 0.01 * draw.standard_normal(samples)
    kind = "dnsmos_personalized" if personalized else "dnsmos"
    expected = reference.run(waveform, 16_000, model_type=kind)
    found = dnsmos(waveform, personalized=personalized)
    for value, name in zip(found, ("sig_mos", "bak_mos", "ovrl_mos"), strict=True):
        assert value.item() == pytest.approx(expected[name], abs=1e-4)


def test_silence_and_what_is_not_finite_have_no_opinion() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("speechmos")
    waveform = torch.zeros(2, 1, 500)
    waveform[1, 0, 3] = torch.inf
    found = dnsmos(waveform)
    assert [value.shape for value in found] == [(2, 1)] * 3
    assert all(torch.isnan(value).all() for value in found)


def test_another_rate_is_refused() -> None:
    with pytest.raises(DataError, match="takes 16000 Hz, got 8000") as caught:
        dnsmos(np.ones(100), 8000)
    assert caught.value.code == "E_RATE"


@pytest.mark.parametrize("package", ["onnxruntime", "speechmos"])
def test_without_a_package_it_says_which_extra_brings_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"voxid\[signal\]") as caught:
        dnsmos(np.ones(100))
    assert caught.value.code == "E_EXTRA"
