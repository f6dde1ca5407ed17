"""A name, a file, a folder."""

from __future__ import annotations

import pytest
import torch

from voxid.errors import ConfigError, ModelError
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import ready
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


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + ".safetensors", "folder/" + "a" * 300])
def test_a_name_that_is_too_long_is_just_unknown(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        load(name)
    assert caught.value.code == "E_NOT_FOUND"


def test_other_runtimes_and_devices_without_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="torch"):
        load(runtime="onnx")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="meta") as caught:
        load(device="meta")
    assert caught.value.code == "E_DEVICE"


def test_a_part_that_goes_by_an_import_path_needs_a_word(tmp_path) -> None:
    path = tmp_path / "own.safetensors"
    backbone = {"name": "voxid.models.speaker.ecapa_tdnn.ECAPATDNN", "channels": 16, "output_dim": 32}
    checkpoint.save(SpeakerEncoder(backbone=backbone, embedding_dim=8), path)
    for door in (load, ready):
        with pytest.raises(ModelError, match="imports=True") as caught:
            door(path, device="cpu")
        assert caught.value.code == "E_IMPORT"
        assert door(path, device="cpu", imports=True).embedding_dim == 8


def test_a_module_that_is_no_speaker_model_is_refused() -> None:
    for door in (load, ready):
        with pytest.raises(ModelError, match="Linear"):
            door(torch.nn.Linear(2, 2))
