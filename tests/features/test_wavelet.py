"""voxid.features.wavelet against PyWavelets, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxid.errors import ConfigError
from voxid.features.wavelet import Wavelet

pywt = pytest.importorskip("pywt")
PLAIN = {"scale": 1.0, "remove_dc": False, "preemphasis": 0.0, "window": "rectangular", "normalize": None}


def energies(frame: np.ndarray, wavelet: str, level: int, tree: str, mode: str) -> list[float]:
    if tree == "dwt":
        parts = pywt.wavedec(frame, wavelet, mode, level)
    else:
        parts = [node.data for node in pywt.WaveletPacket(frame, wavelet, mode, maxlevel=level).get_level(level, "freq")]
    return [float(np.mean(part**2)) for part in parts]


@pytest.mark.parametrize("tree", ["packet", "dwt"])
@pytest.mark.parametrize(
    ("wavelet", "level", "mode"), [("db8", 6, "periodization"), ("haar", 3, "zero"), ("sym5", 4, "symmetric")]
)
@pytest.mark.filterwarnings("ignore:Level value of")
def test_every_frame_is_pywts(kaldi, tree, wavelet, level, mode):
    x = kaldi.example(0.2)
    frames = [x[start : start + 400].astype(np.float64) for start in range(0, len(x) - 399, 160)]
    expected = np.log(np.array([energies(frame, wavelet, level, tree, mode) for frame in frames]).T)
    ours = Wavelet(wavelet=wavelet, level=level, tree=tree, mode=mode, log_floor=1e-20, **PLAIN)(torch.from_numpy(x)[None])[0]
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_an_orthogonal_wavelet_keeps_the_energy():
    x = torch.randn(1, 4000)
    bands = Wavelet(frame_length=32, log=None, **PLAIN)(x)[0]
    frames = x[0].unfold(0, 512, 160)
    # Each of the 64 bands has 8 of the 512 coefficients.
    torch.testing.assert_close(8 * bands.sum(dim=0), frames.square().sum(dim=1), atol=0, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": 9}, "level must lie within 1 ... 8 for a frame of 400 samples"),
        ({"level": 10**9}, "level must lie within 1 ... 8"),
        ({"wavelet": "db99"}, "unknown wavelet 'db99'"),
        ({"mode": "mirror"}, "unknown mode 'mirror'"),
        ({"tree": "full"}, "unknown tree 'full'"),
        ({"n_fft": 512}, "unknown argument 'n_fft'"),
    ],
)
def test_a_wrong_option_is_named(options, words):
    with pytest.raises(ConfigError) as error:
        Wavelet(**options)
    assert words in str(error.value)
