"""A name, a file, a folder."""

from __future__ import annotations

import pytest
import torch

from voxid.errors import ConfigError, ModelError
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.zoo.catalogue import catalogue
from voxid.zoo.load import DEFAULT, bundled, find, load


def test_a_file_a_folder_and_a_loaded_model(tmp_path) -> None:
    net = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16, "output_dim": 32}, embedding_dim=8)
    checkpoint.save(net, tmp_path / "model.safetensors", card={"name": "mine"})
    for source in (tmp_path, tmp_path / "model.safetensors", str(tmp_path)):
        loaded = load(source, device="cpu")
        assert loaded.card["name"] == "mine"
        assert not loaded.training
    assert load(loaded, device="cpu") is loaded


def test_mistakes_are_named(tmp_path) -> None:
    for model, says in (
        ("ecapa_tdnn_smal", "did you mean"),
        (tmp_path, "without model.safetensors"),
        (tmp_path / "no.safetensors", "no such"),
    ):
        with pytest.raises(ModelError, match=says) as caught:
            load(model)
        assert caught.value.code == "E_NOT_FOUND"
    with pytest.raises(ConfigError, match="device"):
        load(SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16}), device="abacus")


def test_the_bundled_model_is_whole_small_and_has_a_card() -> None:
    assert DEFAULT in bundled()
    for entry in catalogue():
        assert entry.megabytes <= 25
        assert {"description", "licence", "data", "recipe", "command", "thresholds", "test"} <= entry.card.keys()
        assert entry.describe().startswith(entry.name)
        net = load(entry.name, device="cpu")
        assert sum(parameter.numel() for parameter in net.parameters()) == entry.parameters
        assert all(parameter.dtype == torch.float32 for parameter in net.parameters())
    assert find(None) == bundled()[DEFAULT]
