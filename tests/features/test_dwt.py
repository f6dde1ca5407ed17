"""voxid.features.dwt against PyWavelets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxid.errors import ConfigError
from voxid.features.dwt import MODES, dwt, idwt, packets

pywt = pytest.importorskip("pywt")
pytestmark = pytest.mark.filterwarnings("ignore:Level value of")
WAVELETS = ["haar", "db8", "coif2", "bior3.5", "dmey"]
modes = pytest.mark.parametrize("mode", MODES)


def signal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@modes
@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize(("length", "level"), [(1, 1), (2, 1), (3, 2), (7, 3), (33, 3), (400, 4), (1001, 2)])
def test_decomposition_and_reconstruction_are_pywts(mode, wavelet, length, level):
    if mode == "reflect" and length == 1:
        pytest.skip("pywt does not reflect a single sample")
    x = signal(2, length)
    ours = dwt(x, wavelet, level, mode)
    theirs = pywt.wavedec(x.double().numpy(), wavelet, mode, level)
    scale = max(float(np.abs(part).max()) for part in theirs)
    assert len(ours) == len(theirs) == level + 1
    for part, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-5 * max(1.0, scale))
    back = pywt.waverec(theirs, wavelet, mode)
    np.testing.assert_allclose(idwt(ours, wavelet, mode), back, atol=1e-5 * max(1.0, scale))


@modes
@pytest.mark.parametrize("wavelet", ["haar", "db8", "sym5"])
@pytest.mark.parametrize("length", [17, 64, 401])
def test_packets_are_pywts_in_the_order_of_frequency(mode, wavelet, length):
    x = signal(length)
    ours = packets(x, wavelet, 4, mode)
    nodes = pywt.WaveletPacket(x.double().numpy(), wavelet, mode, maxlevel=4).get_level(4, "freq")
    np.testing.assert_allclose(ours, np.stack([node.data for node in nodes]), atol=1e-4)


def test_a_rising_tone_passes_the_packets_one_after_the_other():
    tones = torch.stack([torch.sin(torch.pi * (band + 0.5) / 8 * torch.arange(512.0)) for band in range(8)])
    energy = packets(tones, "db20", 3, "periodic").square().sum(dim=-1)
    assert energy.argmax(dim=1).tolist() == list(range(8))


@modes
def test_an_odd_length_comes_back_whole(mode):
    x = signal(3, 101)
    torch.testing.assert_close(idwt(dwt(x, "db4", 3, mode), "db4", mode)[:, :101], x, atol=1e-5, rtol=0)


@modes
def test_gradients_are_those_of_the_values(mode):
    x = signal(1, 19).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: tuple(dwt(y, "db2", 2, mode)), x)
    parts = [part.detach().requires_grad_() for part in dwt(x, "db2", 2, mode)]
    assert torch.autograd.gradcheck(lambda *p: idwt(p, "db2", mode), parts)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"wavelet": "db99"}, "unknown wavelet 'db99': did you mean 'db"),
        ({"wavelet": "morl"}, "unknown wavelet 'morl'"),
        ({"mode": "symetric"}, "unknown mode 'symetric': did you mean 'symmetric'"),
        ({"level": 0}, "level must be at least 1, got 0"),
    ],
)
def test_a_wrong_argument_is_named(options, words):
    with pytest.raises(ConfigError, match=words):
        dwt(torch.zeros(8), **options)


def test_without_pywavelets_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pywt", None)
    with pytest.raises(ConfigError, match=r"pip install 'voxid\[wavelet\]'") as error:
        dwt(torch.zeros(8))
    assert error.value.code == "E_EXTRA"
