"""What comes with the package is whole, small and described."""

from __future__ import annotations

import pytest
import torch

from voxid.models import checkpoint
from voxid.models.enhancement.phasen import Phasen
from voxid.zoo import catalogue as room
from voxid.zoo.catalogue import catalogue
from voxid.zoo.load import DEFAULT, DEFAULTS, bundled, find, load


def test_the_bundled_models_are_whole_small_and_have_a_card() -> None:
    assert DEFAULT in bundled()
    for entry in catalogue():
        assert entry.megabytes <= 25
        assert {"description", "licence", "data", "recipe", "command", "test"} <= entry.card.keys()
        assert entry.kind != "speaker" or "thresholds" in entry.card
        assert entry.describe().startswith(f"{entry.name} ({entry.kind}")
        assert entry.default == (DEFAULTS[entry.kind] == entry.name)
        net = load(entry.name, kind=entry.kind, device="cpu")
        assert sum(parameter.numel() for parameter in net.parameters()) == entry.parameters
        assert all(parameter.dtype == torch.float32 for parameter in net.parameters())
    assert find(None) == bundled()[DEFAULT]


def test_figures_of_other_kinds_go_by_their_names(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Phasen("small", channels=4, phase_channels=2, blocks=1, recurrent=8, dense=8)
    figures = {"enh_test": {"si_sdr_improvement": 5.4321, "pesq": 2.5, "mixtures": 120}}
    checkpoint.save(net, tmp_path / "mine.safetensors", card={"description": "small", "test": figures})
    monkeypatch.setattr(room, "bundled", lambda: {"mine": tmp_path / "mine.safetensors"})
    (entry,) = catalogue()
    assert (entry.name, entry.kind, entry.default) == ("mine", "enhancement", False)
    assert entry.parameters == sum(parameter.numel() for parameter in net.parameters())
    told = entry.describe().splitlines()
    assert told[0].startswith("mine (enhancement): 0.")
    assert told[-1] == "  enh_test: si sdr improvement 5.432, pesq 2.5, mixtures 120"
