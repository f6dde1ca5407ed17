"""A backbone in one file of somebody else's package: it trains, verifies and is exported by its import path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.zoo.load import load

ROOT = Path(__file__).resolve().parents[2]
NET = '''
"""A small net of our own that shortens time."""

import torch
from torch import nn


class Strided(nn.Module):
    """Features [B, F, N] -> frames [B, width, ceil(N / 2)]."""

    def __init__(self, input_dim: int = 80, width: int = 24) -> None:
        super().__init__()
        self.output_dim = width
        self.conv = nn.Conv1d(input_dim, width, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm1d(width)

    def num_frames(self, lengths):
        return (lengths + 1) // 2

    def forward(self, x, mask=None):
        return self.bn(torch.relu(self.conv(x if mask is None else x * mask)))
'''


@pytest.fixture(scope="module")
def work(tmp_path_factory, corpus: Path) -> Path:
    """A folder with the package, and a run of two steps with it."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "their_nets").mkdir()
    (folder / "their_nets" / "__init__.py").write_text("")
    (folder / "their_nets" / "strided.py").write_text(NET)
    done = shell(
        folder,
        *("train", "speaker/ecapa_tdnn", f"manifest={corpus}/m.csv", "where.split=train", "output=run"),
        *("model.backbone={name: their_nets.strided.Strided, width: 16}", "model.embedding_dim=8", "trainer.epochs=1"),
        *("data.batch_size=4", "data.batches=2", "data.chunk_seconds=0.5", "data.cache=cache", "trainer.precision=32-true"),
        *(f"validation.trials={corpus}/dev.trials", f"validation.root={corpus}", "trainer.accelerator=cpu"),
    )
    assert done.returncode == 0, done.stderr
    return folder


def shell(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, "-m", "voxid.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_verifies_when_its_import_is_allowed(work: Path, corpus: Path) -> None:
    pair = (f"{corpus}/s4_0.wav", f"{corpus}/s4_1.wav", "--model", "run", "--threshold", "0")
    refused = shell(work, "verify", *pair)
    assert refused.returncode == 2
    assert "their_nets.strided.Strided" in refused.stderr
    assert "imports=True" in refused.stderr
    allowed = shell(work, "verify", *pair, "--imports", "--json")
    assert allowed.returncode == 0, allowed.stderr
    assert '"score"' in allowed.stdout


def test_it_is_exported_and_answers_alike(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(work)
    net = load(work / "run", device="cpu", imports=True)
    check_export(net)


def test_the_bundled_model_is_exported_and_answers_alike() -> None:
    check_export(load(device="cpu"))


class Behind(torch.nn.Module):
    """The part of an encoder behind its front-end: where an export cuts."""

    def __init__(self, net: SpeakerEncoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.net.embed_features(features)


def check_export(net: SpeakerEncoder) -> None:
    """torch.export of the part behind the features: one graph for any number of frames."""
    torch.manual_seed(0)
    features = net.frontend(torch.randn(1, 16000))
    frames = torch.export.Dim("frames", min=4, max=100_000)
    program = torch.export.export(Behind(net), (features,), dynamic_shapes=({2: frames},))
    for other in (features, net.frontend(torch.randn(1, 40321)), features[:, :, :9]):
        with torch.inference_mode():
            assert torch.allclose(program.module()(other), net.embed_features(other), atol=1e-5)
