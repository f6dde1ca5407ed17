"""What it costs to enhance a file of 4 s, of a minute and of an hour; see long_files.py for how it is measured.

    python benchmarks/enhance.py
    python benchmarks/enhance.py --model runs/phasen_small/model.safetensors --rounds 7

The recordings are the voices of samples/, repeated, with white noise 10 dB below them.
"""

from __future__ import annotations

from pathlib import Path

import long_files
import numpy as np
import soundfile


def main() -> None:
    long_files.main("enhance", "enhancement", noisy, enhance, __doc__)


def noisy() -> np.ndarray:
    """Voices in noise [T]."""
    parts = [soundfile.read(path, dtype="float32")[0] for path in sorted(long_files.SAMPLES.glob("*.opus"))]
    speech = np.concatenate([0.05 * part / part.std() for part in parts])
    return speech + np.random.default_rng(0).normal(0, 0.05 / 10**0.5, len(speech)).astype(np.float32)


def enhance(file: Path, folder: Path, net: object, window: float) -> None:
    from voxid.pipelines.enhance import enhance

    enhance(file, output=folder / "out.wav", model=net, window=window)


if __name__ == "__main__":
    main()
