"""What it costs to separate a file of 4 s, of a minute and of an hour; see long_files.py for how it is measured.

    python benchmarks/separate.py
    python benchmarks/separate.py --model runs/sudormrf_small/model.safetensors --rounds 7

The recordings are the voices of samples/, two at a time, repeated, with the pauses that they have.
"""

from __future__ import annotations

from pathlib import Path

import long_files
import numpy as np
import soundfile


def main() -> None:
    long_files.main("separate", "separation", voices, separate, __doc__)


def voices() -> np.ndarray:
    """Two voices over one another [T]: the samples one after the other, and the same from the middle on."""
    parts = [soundfile.read(path, dtype="float32")[0] for path in sorted(long_files.SAMPLES.glob("*.opus"))]
    speech = np.concatenate([0.05 * part / part.std() for part in parts])
    return speech + np.roll(speech, len(speech) // 2)


def separate(file: Path, folder: Path, net: object, window: float) -> None:
    from voxid.pipelines.separate import separate

    separate(file, output=folder, model=net, window=window)


if __name__ == "__main__":
    main()
