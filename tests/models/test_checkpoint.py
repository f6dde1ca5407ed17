"""One file, no code, whole or not there."""

from __future__ import annotations

import errno
import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from voxid.cli import main
from voxid.errors import ModelError
from voxid.models import checkpoint
from voxid.models.enhancement.phasen import Phasen
from voxid.models.separation.sudormrf import VARIANTS, SuDoRMRF
from voxid.models.speaker.classifier import SpeakerClassifier
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.scoring.backend import Backend, build_backend
from voxid.zoo.backend import backend_card, load_backend
from voxid.zoo.load import load as load_model
from voxid.zoo.load import load_classifier


@pytest.fixture
def net() -> SpeakerEncoder:
    torch.manual_seed(0)
    return SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16, "output_dim": 32}, embedding_dim=8).eval()


class Bomb:
    def __init__(self, marker) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_pickle_is_refused_and_not_run(tmp_path, kind: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / "m.safetensors"
    if kind == "torch":
        torch.save({"weights": Bomb(marker)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(ModelError, match="pickle") as caught:
        checkpoint.load(path)
    assert caught.value.code == "E_FORMAT"
    assert not marker.exists()


def test_bad_model_files_of_the_corpus(shared, tmp_path) -> None:
    import csv
    import tarfile

    with tarfile.open(shared / "badaudio" / "badaudio.tar.gz") as archive:
        members = [member for member in archive.getmembers() if member.isfile() and member.name.lstrip("./").startswith("extra/")]
        archive.extractall(tmp_path, members, filter="data")
    rows = [row for row in csv.DictReader((shared / "badaudio" / "index.csv").open()) if row["group"] == "model"]
    assert rows
    for row in rows:
        with pytest.raises(ModelError) as caught:
            checkpoint.load(tmp_path / row["file"])
        assert row["file"].split("/")[-1] in str(caught.value)


def test_an_import_path_is_refused(net, tmp_path) -> None:
    net.spec["backbone"] = {"name": "os.path.join"}
    checkpoint.save(net, tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match="importing runs code") as caught:
        checkpoint.load(tmp_path / "m.safetensors")
    assert caught.value.code == "E_IMPORT"


@pytest.mark.parametrize("cut", [0, 7, 8, 100, -1])
def test_a_cut_file_is_refused(net, tmp_path, cut: int) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(net, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelError):
        checkpoint.load(path)


def test_weights_that_are_not_finite_are_refused(net, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(net, path)
    tensors, description = load_file(path), description_of(path)
    tensors["projection.bias"][0] = float("nan")
    save_file(tensors, path, {"voxid": json.dumps(description)})
    with pytest.raises(ModelError, match="NaN"):
        checkpoint.load(path)
    with torch.no_grad():
        net.norm.running_var[0] = 1e6
    checkpoint.save(net, path)
    whole = path.read_bytes()
    with pytest.raises(ModelError, match="beyond"):
        checkpoint.save(net, path, dtype=torch.float16)
    assert path.read_bytes() == whole


def description_of(path) -> dict:
    with path.open("rb") as file:
        return json.loads(json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))["__metadata__"]["voxid"])


CALLED = []


def called() -> None:
    CALLED.append("code of the file ran")


@pytest.mark.parametrize(
    "change",
    [
        {"model": f"{__name__}.called"},
        {"model": [f"{__name__}.called"]},
        {"model": {"name": "speaker_encoder", "pooling": {"name": "asp", "bottleneck": [{"name": "os.getcwd"}]}}},
        {"model": None},
        {"kind": "pooling"},
        {"kind": []},
        {"card": None},
        {"card": "x"},
        {"format": None},
        {"model": {"name": "speaker_encoder", "embedding_dim": 10**30}},
        {"model": {"name": "speaker_encoder", "embedding_dim": 10**6}},
        {"model": {"name": "speaker_encoder", "embedding_dim": -1}},
        {"model": {"name": "speaker_encoder", "frontend": {"name": "fbank", "frame_length": 1e308}}},
        {"model": {"name": "speaker_encoder", "frontend": {"name": "fbank", "frame_length": 1e12}}},
        {"model": {"name": "speaker_encoder", "backbone": 3}},
    ],
)
def test_hostile_descriptions_are_refused(net, tmp_path, change: dict) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(net, path)
    tensors, description = load_file(path), description_of(path)
    save_file(tensors, path, {"voxid": json.dumps(description | change)})
    with pytest.raises(ModelError, match=r"m\.safetensors"):
        checkpoint.load(path)
    assert CALLED == []


def test_a_description_nested_beyond_reason_is_refused(net, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"voxid": "[" * 100_000})
    with pytest.raises(ModelError):
        checkpoint.load(path)


def test_a_card_is_plain_data(net, tmp_path) -> None:
    with pytest.raises(ModelError, match="plain data"):
        checkpoint.save(net, tmp_path / "m.safetensors", card={"eer": torch.zeros(1)})


def test_foreign_newer_and_mismatched_files(net, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="not a model of voxid"):
        checkpoint.load(path)
    checkpoint.save(net, path)
    tensors = load_file(path)
    metadata = description_of(path)
    save_file(tensors, path, {"voxid": json.dumps(metadata | {"format": 99})})
    with pytest.raises(ModelError, match="update voxid"):
        checkpoint.load(path)
    tensors.pop("projection.bias")
    save_file(tensors, path, {"voxid": json.dumps(metadata)})
    with pytest.raises(ModelError, match="do not fit"):
        checkpoint.load(path)


def test_half_precision_halves_the_file_and_keeps_the_embedding(net, tmp_path) -> None:
    checkpoint.save(net, tmp_path / "full.safetensors")
    checkpoint.save(net, tmp_path / "half.safetensors", dtype=torch.float16)
    waveform = torch.randn(1, 16000)
    with torch.inference_mode():
        cosine = torch.cosine_similarity(net(waveform), checkpoint.load(tmp_path / "half.safetensors")(waveform))
    assert float(cosine) > 0.9999
    assert (tmp_path / "half.safetensors").stat().st_size < 0.7 * (tmp_path / "full.safetensors").stat().st_size


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "E_DISK_FULL"), (errno.EIO, "E_WRITE")])
def test_a_full_disk_leaves_the_old_file(net, tmp_path, monkeypatch, number: int, code: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ModelError, match="nothing was changed") as caught:
        checkpoint.save(net, path)
    assert caught.value.code == code
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_another_suffix_or_a_missing_folder_is_refused(net, tmp_path) -> None:
    with pytest.raises(ModelError, match="safetensors"):
        checkpoint.save(net, tmp_path / "m.pt")
    with pytest.raises(ModelError) as caught:
        checkpoint.save(net, tmp_path / "nowhere" / "m.safetensors")
    assert caught.value.code == "E_WRITE"


@pytest.fixture
def backend() -> Backend:
    """Fitted on embeddings of the size of `net`'s."""
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(9), 5)
    rows = rng.normal(size=(9, 8))[speakers] * 3 + rng.normal(size=(45, 8))
    return build_backend({"name": "gplda", "norm": {"name": "as", "top": 4}}).fit(rows, speakers)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_backend_travels_with_its_model(net, backend, tmp_path, dtype) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(net, path, card={"name": "mine"}, dtype=dtype, backend=backend)
    found = checkpoint.load(path)
    assert found.card["name"] == "mine"
    assert {name: tensor.shape for name, tensor in found.state_dict().items()} == {
        name: tensor.shape for name, tensor in net.state_dict().items()
    }
    assert found.backend.spec == backend.spec
    kept, state = backend.state(), found.backend.state()
    assert kept.keys() == state.keys()
    assert all(state[key].dtype == kept[key].dtype and np.array_equal(state[key], kept[key]) for key in kept)
    assert {kept[key].dtype for key in kept} >= {np.dtype(np.float64)}
    rows = np.random.default_rng(1).normal(size=(6, 8))
    np.testing.assert_array_equal(found.backend.score(rows, rows[::-1]), backend.score(rows, rows[::-1]))
    inside = load_backend(path)  # without building the net
    np.testing.assert_array_equal(inside.score(rows, rows[::-1]), backend.score(rows, rows[::-1]))
    assert backend_card(path) == {"model": {"name": "mine", "sha256": found.card["sha256"]}}  # what embeddings name it by
    assert load_model(path, device="cpu").backend is not None


def test_a_model_without_a_backend_is_written_as_ever(net, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(net, path)
    assert description_of(path)["format"] == 1  # what older versions read
    assert set(load_file(path)) == set(net.state_dict())
    assert checkpoint.load(path).backend is None
    assert load_model(path, device="cpu").backend is None
    with pytest.raises(ModelError, match="without a back-end"):
        load_backend(path)


def test_the_backend_of_a_classifier_is_that_of_its_encoder(backend, tmp_path) -> None:
    encoder = {"backbone": {"name": "ecapa_tdnn", "channels": 16, "output_dim": 32}, "embedding_dim": 8}
    checkpoint.save(SpeakerClassifier(encoder, ["anna", "ben"]), tmp_path / "c.safetensors", backend=backend)
    assert load_model(tmp_path / "c.safetensors", device="cpu").backend.spec == backend.spec


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"backend": None}, "E_FORMAT"),
        ({"backend": []}, "E_FORMAT"),
        ({"backend": {"scorer": "plad"}}, "E_FORMAT"),
        ({"backend": {"scorer": f"{__name__}.called"}}, "E_IMPORT"),
        ({"backend": {"transforms": [], "scorer": "cosine"}}, "E_FORMAT"),
        ({"format": 1}, "E_SHAPE"),
        ({"format": 3}, "E_FORMAT"),
    ],
)
def test_a_hostile_backend_is_refused(net, backend, tmp_path, change: dict, code: str) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(net, path, backend=backend)
    tensors, description = load_file(path), description_of(path)
    save_file(tensors, path, {"voxid": json.dumps(description | change)})
    with pytest.raises(ModelError) as caught:
        checkpoint.load(path)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert CALLED == []


def test_the_arrays_of_a_backend_are_checked(net, backend, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(net, path, backend=backend)
    tensors, description = load_file(path), description_of(path)
    name = "backend.transforms.0.mean"
    for bad in (tensors[name][1:], tensors[name] * float("nan"), tensors[name].bfloat16(), None):
        changed = {key: value for key, value in tensors.items() if key != name} | ({} if bad is None else {name: bad})
        save_file({key: value.contiguous() for key, value in changed.items()}, path, {"voxid": json.dumps(description)})
        with pytest.raises(ModelError) as caught:
            checkpoint.load(path)
        assert caught.value.code == "E_FORMAT"


THIN = {"channels": 3, "phase_channels": 2, "recurrent": 4, "dense": 4, "window_length": 64, "hop": 32, "n_fft": 64}
NARROW = {"size": "0.25x", "num_basis": 12, "channels": 8, "hidden": 16, "downsamplings": 2, "groups": 4}
WAVEFORM_NETS = {
    "phasen": lambda: Phasen("small", **THIN),
    "phasen, causal": lambda: Phasen("small", causal=True, **THIN),
    **{f"sudormrf, {variant}": (lambda variant=variant: SuDoRMRF(variant=variant, **NARROW)) for variant in VARIANTS},
}


@pytest.fixture
def enhancer() -> Phasen:
    torch.manual_seed(0)
    return Phasen("small", **THIN).eval()


@pytest.mark.parametrize("name", WAVEFORM_NETS)
def test_an_enhancer_or_a_separator_comes_back_bit_by_bit(name: str, tmp_path) -> None:
    torch.manual_seed(0)
    net = WAVEFORM_NETS[name]()
    for tensor in net.state_dict().values():  # norms, slopes and gains that no fresh net has
        if tensor.ndim <= 1 and tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, 0.1, 0.9)
    checkpoint.save(net.eval(), tmp_path / "m.safetensors", card={"name": name})
    again = checkpoint.load(tmp_path / "m.safetensors")
    kind = "enhancement" if isinstance(net, Phasen) else "separation"
    assert (description_of(tmp_path / "m.safetensors")["kind"], again.kind) == (kind, kind)
    assert (type(again), again.spec, again.card["name"]) == (type(net), net.spec, name)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in net.state_dict().items())
    waveform = torch.randn(2, 777, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        out = net(waveform)
        assert torch.equal(out, again(waveform))
    assert torch.isfinite(out).all()
    assert out.any()
    assert not again.training


@pytest.mark.parametrize("kind", ["speaker", "separation", "vocoder", "frontend", None, ["enhancement"]])
def test_a_kind_that_is_not_that_of_the_net_is_refused(enhancer, tmp_path, kind: object) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(enhancer, path)
    tensors, description = load_file(path), description_of(path)
    save_file(tensors, path, {"voxid": json.dumps(description | {"kind": kind})})
    with pytest.raises(ModelError, match=r"m\.safetensors") as caught:
        checkpoint.load(path)
    assert caught.value.code == ("E_SHAPE" if kind in ("speaker", "separation") else "E_FORMAT")
    assert "\n" not in str(caught.value)


def test_a_net_without_a_known_kind_is_not_saved(tmp_path) -> None:
    net = torch.nn.Linear(2, 2)
    net.spec = {"name": "speaker_encoder"}
    for kind in (None, "vocoder", ["speaker"]):
        net.kind = kind
        with pytest.raises(ModelError, match=r"Linear has no `kind`.*speaker, enhancement, separation"):
            checkpoint.save(net, tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_only_a_speaker_model_has_a_backend(net, enhancer, backend, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(ModelError, match="scores embeddings"):
        checkpoint.save(enhancer, path, backend=backend)
    assert not path.exists()
    checkpoint.save(net, path, backend=backend)
    tensors, description = load_file(path), description_of(path)
    save_file(tensors, path, {"voxid": json.dumps(description | {"kind": "enhancement", "model": enhancer.spec})})
    with pytest.raises(ModelError, match="scores embeddings"):
        checkpoint.load(path)


def test_who_wants_a_speaker_model_refuses_an_enhancer(enhancer, tmp_path, capsys) -> None:
    path = tmp_path / "clean.safetensors"
    checkpoint.save(enhancer, path)
    for door in (load_model, load_classifier):
        for model, start in ((path, f"{path}: an"), (enhancer, "an")):
            with pytest.raises(ModelError, match=r"an enhancement model \(Phasen\)") as caught:
                door(model, device="cpu")
            assert str(caught.value).startswith(start)
    audio = str(Path(__file__).parents[2] / "samples" / "anna_1.opus")
    for verb in (["verify", audio, audio], ["embed", audio, "-o", str(tmp_path / "e.safetensors")]):
        assert main([*verb, "--model", str(path)]) == 2
        error = capsys.readouterr().err.strip()
        assert "an enhancement model (Phasen); expected a speaker model" in error
        assert "\n" not in error
