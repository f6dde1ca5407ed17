"""Fixtures of the tests of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16000


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Four synthetic 'speakers' (a pitch each) to train on, two to validate on, noise and a room."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = np.random.default_rng(0)
    rows, time_axis = [], np.arange(RATE) / RATE
    for speaker in range(6):
        for take in range(3):
            tone = sum(np.sin(2 * np.pi * (90 + 40 * speaker) * k * time_axis + draw.random()) / k for k in range(1, 12))
            name = f"s{speaker}_{take}.wav"
            soundfile.write(folder / name, 0.1 * tone + 0.01 * draw.standard_normal(RATE), RATE)
            rows.append(f"{name},s{speaker},1.0,{'train' if speaker < 4 else 'dev'}")
    (folder / "m.csv").write_text("\n".join(["path,speaker,duration,split", *rows]) + "\n")
    pairs = [(4, 0, 4, 1), (4, 1, 4, 2), (5, 0, 5, 2), (4, 0, 5, 0), (4, 1, 5, 1), (4, 2, 5, 2)]
    (folder / "dev.trials").write_text("".join(f"{int(a == c)} s{a}_{b}.wav s{c}_{d}.wav\n" for a, b, c, d in pairs))
    soundfile.write(folder / "noise.wav", 0.1 * draw.standard_normal(2 * RATE), RATE)
    soundfile.write(folder / "room.wav", 0.5 * np.exp(-np.arange(800) / 100.0) * draw.standard_normal(800), RATE)
    (folder / "noise.csv").write_text("path,duration\nnoise.wav,2.0\n")
    (folder / "room.csv").write_text("path,duration\nroom.wav,0.05\n")
    return folder
