"""What listeners would say of a recording, guessed by a net from the recording alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxid.errors import ConfigError, DataError
from voxid.extras import need
from voxid.metrics.waveforms import Waveform, items

RATE, WINDOW = 16_000, 144_160  # 9.01 s
NETS = {False: "dnsmos_models/sig_bak_ovr.onnx", True: "pdnsmos_models/sig_bak_ovr.onnx"}
# From the outputs of the net to the scale of opinions, highest power first: figures of the authors.
SCALES = {
    False: (
        (-0.08397278, 1.22083953, 0.0052439),
        (-0.13166888, 1.60915514, -0.39604546),
        (-0.06766283, 1.11546468, 0.04602535),
    ),
    True: (
        (-0.01019296, 0.02751166, 1.19576786, -0.24348726),
        (-0.04976499, 0.44276479, -0.1644611, 0.96883132),
        (-0.00533021, 0.005101, 1.18058466, -0.11236046),
    ),
}


class Dnsmos(NamedTuple):
    """Mean opinions on the speech, the background and all together, about 1 ... 5 [...]; higher is better."""

    signal: Tensor
    background: Tensor
    overall: Tensor


def dnsmos(waveform: Waveform, rate: int = RATE, lengths: Waveform | None = None, *, personalized: bool = False) -> Dnsmos:
    """DNSMOS P.835, three mean opinions of about 1 ... 5 without a reference; higher is better.

    Windows of 9.01 s, one every second, and the mean over them; a shorter waveform is repeated. The nets are in the wheel of the
    package `speechmos`: nothing is downloaded. (The net of P.808, which reads a spectrogram of librosa's, is left out.)

    Args:
        waveform: [..., T] in [-1, 1], T >= 1; tensor or array. Level matters.
        rate: 16000 Hz.
        lengths: Samples of each waveform, [...] or its leading axes.
        personalized: The net that also takes other people's voices for noise.

    Returns:
        float64 values [...]; NaN for a waveform that is silent or not finite.

    Raises:
        DataError: ``E_SHAPE``, ``E_LENGTHS``, ``E_RATE``.
        ConfigError: ``E_EXTRA``, a package is missing: ``pip install 'voxid[signal]'``.

    Reddy et al., "DNSMOS P.835: a non-intrusive perceptual objective speech quality metric to evaluate noise suppressors",
    ICASSP 2022.
    """
    if rate != RATE:
        raise DataError(f"DNSMOS takes {RATE} Hz, got {rate} Hz: resample with voxid.audio.io.resample", "E_RATE")
    session = _session(NETS[personalized])
    values = [_one(session, samples, SCALES[personalized]) for samples, _ in items(waveform, waveform, lengths)]
    table = torch.tensor(values, dtype=torch.float64).reshape(*waveform.shape[:-1], 3)
    return Dnsmos(*table.unbind(-1))


def _session(net: str) -> Any:
    runtime, package = need("onnxruntime", extra="signal"), need("speechmos", extra="signal")
    path = Path(next(iter(package.__path__))) / net
    if not path.is_file():
        raise ConfigError(f"the package speechmos has no file {net}: pip install --force-reinstall speechmos", "E_EXTRA")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # its own count spins on cores that others use: ten times slower
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _one(session: Any, samples: NDArray, scales: tuple[tuple[float, ...], ...]) -> list[float]:
    if not np.isfinite(samples).all() or not samples.any():
        return [math.nan] * 3
    while len(samples) < WINDOW:
        samples = np.concatenate([samples, samples])
    count = max(1, len(samples) // RATE - 9)
    opinions = np.zeros(3)
    for start in range(0, count * RATE, RATE):
        window = samples[None, start : start + WINDOW].astype(np.float32)
        raw = session.run(None, {"input_1": window})[0][0]
        opinions += [np.polyval(scale, value) for scale, value in zip(scales, raw.astype(np.float64), strict=True)]
    return list(opinions / count)
