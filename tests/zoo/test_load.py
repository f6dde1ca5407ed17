"""A name, a file, a folder."""

from __future__ import annotations

import pytest
import torch

from voxid.errors import ConfigError, ModelError
from voxid.models import checkpoint
from voxid.models.enhancement.phasen import Phasen
from voxid.models.separation.sudormrf import SuDoRMRF
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import ready
from voxid.zoo.load import DEFAULT, DEFAULTS, bundled, load


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


def small(kind: str) -> torch.nn.Module:
    if kind == "enhancement":
        return Phasen("small", channels=4, phase_channels=2, blocks=1, recurrent=8, dense=8)
    return SuDoRMRF("0.25x", channels=8, hidden=8, num_basis=32)


@pytest.mark.parametrize("kind", ["enhancement", "separation"])
def test_models_of_other_kinds(kind: str, tmp_path) -> None:
    path = tmp_path / "model.safetensors"
    checkpoint.save(small(kind), path, card={"name": "mine"})
    assert load(path, kind=kind, device="cpu").card["name"] == "mine"
    assert load(tmp_path, kind=kind, device="cpu").kind == kind
    net = small(kind).train()
    assert load(net, kind=kind) is net
    assert not net.training
    for other in set(DEFAULTS) - {kind}:
        with pytest.raises(ModelError, match=f"{kind} model .*; expected an? {other} model") as caught:
            load(path, kind=other)
        assert str(caught.value).startswith(str(path))
    with pytest.raises(ModelError, match=f"a speaker model .*; expected an? {kind} model"):
        load(DEFAULT, kind=kind)
    with pytest.raises(ModelError, match="a Linear; expected"):
        load(torch.nn.Linear(2, 2), kind=kind)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'enhancement'"):
        load(kind="enhancment")


def test_a_default_that_does_not_come_along_is_no_riddle(monkeypatch) -> None:
    monkeypatch.setitem(DEFAULTS, "enhancement", "not_there")
    with pytest.raises(ModelError, match="--model") as caught:
        load(kind="enhancement")
    assert caught.value.code == "E_NOT_FOUND"


def test_names_by_kind() -> None:
    kinds = {name: kind for kind in DEFAULTS for name in bundled(kind)}
    assert set(kinds) == set(bundled())
    assert kinds[DEFAULT] == "speaker"


def test_a_name_that_is_not_known_is_compared_with_its_kind() -> None:
    with pytest.raises(ModelError) as caught:
        load("ecapa_tdnn_smal", kind="separation")
    assert DEFAULT not in str(caught.value)


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
