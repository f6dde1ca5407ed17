"""A tiny model, five voices, and lists of their pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from voxid.data.embeddings import save_embeddings
from voxid.data.trials import Trial, read_trials
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import embed_files
from voxid.scoring.backend import build_backend
from voxid.zoo.backend import save_backend

RATE = 16000
SPEAKERS = ["anna", "ben", "carl", "dora", "emil"]
D = 16


@pytest.fixture(scope="module")
def net() -> SpeakerEncoder:
    torch.manual_seed(2)  # of random nets, one that hears the voices: EER 24 %
    return SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16, "output_dim": 32}, embedding_dim=D).eval()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five voices (a comb of harmonics each, coloured its own way) of four recordings of 0.5 to 1.1 s; a list of all pairs, and
    lists of the pairs of the first three and of the last two."""
    root = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    names = []
    for voice, speaker in enumerate(SPEAKERS):
        for take in range(4):
            time = np.arange(int((0.5 + 0.2 * take) * RATE)) / RATE
            colour = [(1 + np.cos(k * (voice + 1))) ** 2 / k for k in range(1, 24)]
            tone = sum(gain * np.sin(2 * np.pi * (110 + 25 * voice) * k * time) for k, gain in enumerate(colour, start=1))
            name = f"wav/{speaker}/day{take % 2}/{take}.wav"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(root / name, 0.15 * tone / np.std(tone) + random.normal(0, 0.03, len(time)), RATE)
            names.append(name)
    for name, some in (("list", names), ("first", names[:12]), ("second", names[12:])):
        pairs = [(a, b, a.split("/")[1] == b.split("/")[1]) for i, a in enumerate(some) for b in some[i + 1 :]]
        (root / f"{name}.trials").write_text("".join(f"{int(same)} {a} {b}\n" for a, b, same in pairs))
    return root


@pytest.fixture
def trials(corpus: Path) -> list[Trial]:
    return read_trials(corpus / "list.trials")


@pytest.fixture(scope="module")
def rows(net: SpeakerEncoder, corpus: Path) -> dict[str, np.ndarray]:
    """The embedding of each recording of the list [D], float64."""
    names = list(dict.fromkeys(name for trial in read_trials(corpus / "list.trials") for name in trial[:2]))
    done = embed_files([corpus / name for name in names], model=net, progress=False)
    return dict(zip(names, done.embeddings.astype(np.float64), strict=True))


@pytest.fixture(scope="module")
def others(rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings like those of the corpus, of 30 speakers who are not in it [240, D], and their speakers."""
    random = np.random.default_rng(1)
    center = np.mean(list(rows.values()), axis=0)
    voices = center + random.normal(0, 0.5 * np.std(list(rows.values()), axis=0), (30, D)).repeat(8, axis=0)
    return voices + random.normal(0, 0.3 * np.std(list(rows.values()), axis=0), (240, D)), np.arange(30).repeat(8)


@pytest.fixture(scope="module")
def gplda(others: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a fitted GPLDA back-end."""
    path = tmp_path_factory.mktemp("backend") / "gplda.safetensors"
    save_backend(path, build_backend("gplda").fit(*others))
    return path


@pytest.fixture(scope="module")
def cohort(others: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the embeddings of 20 others."""
    path = tmp_path_factory.mktemp("cohort") / "cohort.safetensors"
    save_embeddings(path, [f"{number}.wav" for number in range(20)], others[0][::12], {})
    return path
