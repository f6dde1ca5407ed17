"""A back-end in a file: the same scores after reload, no code run, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from voxid.errors import ModelError
from voxid.scoring.backend import Backend, build_backend
from voxid.scoring.presets import PRESETS
from voxid.zoo.backend import backend_card, load_backend, norm_spec, save_backend

SPEAKERS = np.repeat(np.arange(12), 6)


def voices(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(12, 8))[SPEAKERS] * 2 + rng.normal(size=(72, 8))).astype(np.float32)


def small(name: str) -> dict:
    """A preset at the size of these voices."""
    spec = build_backend(name).spec
    for part in spec["transforms"]:
        if part["name"] == "lda":
            part["dim"] = 4
    return spec


@pytest.fixture
def fitted() -> Backend:
    return build_backend(small("lda_gplda") | {"norm": {"name": "as", "top": 5}}).fit(voices(), SPEAKERS)


def scores(backend: Backend) -> np.ndarray:
    index = np.arange(72)
    return backend.score_trials(voices(1), index, index[::-1].copy())


@pytest.mark.parametrize("norm", [None, "as", "z"])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_reloaded_backend_is_the_same_bit_by_bit(tmp_path, name: str, norm: str | None) -> None:
    before = build_backend(small(name) | {"norm": norm}).fit(voices(), SPEAKERS)
    save_backend(tmp_path / "b.safetensors", before, {"made": "here"})
    after = load_backend(tmp_path / "b.safetensors")
    assert after.spec == before.spec
    kept, found = before.state(), after.state()
    assert kept.keys() == found.keys()
    assert all(found[key].dtype == kept[key].dtype and np.array_equal(found[key], kept[key]) for key in kept)
    np.testing.assert_array_equal(scores(after), scores(before))
    assert backend_card(tmp_path / "b.safetensors") == {"made": "here"}


def test_what_needs_no_file(fitted) -> None:
    assert load_backend(fitted) is fitted
    assert load_backend("cosine").spec == build_backend("cosine").spec
    assert backend_card("cosine") == backend_card(fitted) == {}


def test_an_own_state_is_kept_apart_from_the_caller_s(fitted, tmp_path) -> None:
    expected = scores(fitted)
    save_backend(tmp_path / "b.safetensors", fitted)
    found = load_backend(tmp_path / "b.safetensors")
    for array in fitted.state().values():
        array *= 0
    np.testing.assert_array_equal(scores(found), expected)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("gplda", "E_NOT_FITTED", ["voxid train backend gplda"]),
        ("gpldaa", "E_NOT_FOUND", ["did you mean 'gplda'"]),
        ("nowhere/b.safetensors", "E_NOT_FOUND", ["nowhere/b.safetensors"]),
        ("x" * 5000, "E_NOT_FOUND", ["xxx"]),
    ],
)
def test_what_is_not_there(name: str, code: str, words: list[str]) -> None:
    for read in (load_backend, backend_card):
        with pytest.raises(ModelError) as caught:
            read(name)
        assert caught.value.code == code
        assert all(word in str(caught.value) for word in words)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 64, b"pickle", b"PK\x03\x04"])
def test_foreign_files_are_refused_and_not_run(tmp_path, content: bytes) -> None:
    path, marker = tmp_path / "b.safetensors", tmp_path / "marker"
    path.write_bytes(pickle.dumps(Bomb(marker)) if content == b"pickle" else content)
    refused(path)
    assert not marker.exists()


@pytest.mark.parametrize("cut", [0, 7, 8, 100, -1])
def test_a_cut_file_is_refused(fitted, tmp_path, cut: int) -> None:
    path = tmp_path / "b.safetensors"
    save_backend(path, fitted)
    path.write_bytes(path.read_bytes()[:cut])
    refused(path)


def parts(path: Path) -> tuple[dict, dict]:
    raw = path.read_bytes()
    return load_file(path), json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]


def refused(path: Path, *words: str) -> None:
    """One line with the file and these words, and the code E_FORMAT."""
    with pytest.raises(ModelError) as caught:
        load_backend(path)
    assert caught.value.code == "E_FORMAT", str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in [path.name, *words])


CALLED = []


def called(**_: object) -> None:
    CALLED.append("code of the file ran")


def test_an_import_path_is_refused(fitted, tmp_path) -> None:
    path = tmp_path / "b.safetensors"
    save_backend(path, fitted)
    tensors, metadata = parts(path)
    for spec in ({"scorer": f"{__name__}.called"}, {"transforms": [{"name": f"{__name__}.called"}], "scorer": "cosine"}):
        save_file(tensors, path, metadata | {"spec": json.dumps(spec)})
        with pytest.raises(ModelError, match="importing runs code") as caught:
            load_backend(path)
        assert caught.value.code == "E_IMPORT"
    assert CALLED == []


def test_a_part_of_one_s_own_is_loaded_when_asked(tmp_path, monkeypatch) -> None:
    (tmp_path / "mine_of_test_backend.py").write_text("from voxid.scoring.cosine import Cosine\nclass Mine(Cosine):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    save_backend(tmp_path / "b.safetensors", Backend((), "mine_of_test_backend.Mine"))
    assert type(load_backend(tmp_path / "b.safetensors", imports=True).scorer).__name__ == "Mine"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "voxid.backend/2"}, ["update voxid"]),
        ({"format": "voxid.embeddings/1"}, ["not a back-end"]),
        ({"format": ""}, ["not a back-end"]),
        ({"spec": "{"}, ["malformed"]),
        ({"spec": "[]"}, ["malformed"]),
        ({"spec": "null"}, ["malformed"]),
        ({"spec": "[" * 100_000}, ["malformed"]),
        ({"spec": '{"scorer": ' * 800 + "1" + "}" * 800}, []),
        ({"spec": '{"scorer": 3}'}, []),
        ({"spec": '{"scorer": "plad"}'}, ["plad"]),
        ({"spec": '{"transforms": 7, "scorer": "cosine"}'}, []),
        ({"spec": '{"transforms": ["lda"], "scorer": "cosine", "more": 1}'}, ["more"]),
        ({"spec": '{"transforms": [{"name": "lda", "dim": -1}], "scorer": "cosine"}'}, []),
        ({"spec": '{"transforms": [{"name": "lda", "dim": 1e30}], "scorer": "cosine"}'}, []),
        ({"spec": '{"transforms": [], "scorer": "cosine"}'}, []),  # arrays are left over
        ({"spec": '{"scorer": "cosine", "norm": "q"}'}, ["q"]),
    ],
)
def test_other_descriptions_are_refused(fitted, tmp_path, change: dict[str, str], words: list[str]) -> None:
    path = tmp_path / "b.safetensors"
    save_backend(path, fitted)
    tensors, metadata = parts(path)
    save_file(tensors, path, metadata | change)
    refused(path, *words)


def test_every_array_is_checked(fitted, tmp_path) -> None:
    path = tmp_path / "b.safetensors"
    save_backend(path, fitted)
    tensors, metadata = parts(path)
    for name, array in tensors.items():
        nan = np.where(np.arange(array.size).reshape(array.shape) == 0, np.nan, array)
        for bad in (None, nan, array[..., :-1], array[None], np.zeros(5, np.uint8)):
            changed = {key: value for key, value in tensors.items() if key != name}
            if bad is not None:
                changed[name] = np.ascontiguousarray(bad)
            elif name == "cohort":  # without one it is a back-end that cannot normalise
                continue
            save_file(changed, path, metadata)
            with pytest.raises(ModelError) as caught:
                scores(load_backend(path))
            assert caught.value.code == "E_FORMAT", (name, str(caught.value))


def test_a_card_is_plain_data_and_a_name_ends_well(fitted, tmp_path) -> None:
    for card in ({"a": np.zeros(1)}, {"a": float("nan")}):
        with pytest.raises(ModelError, match="plain data"):
            save_backend(tmp_path / "b.safetensors", fitted, card)
    with pytest.raises(ModelError, match=r"\.safetensors"):
        save_backend(tmp_path / "b.npz", fitted)
    with pytest.raises(ModelError) as caught:
        save_backend(tmp_path / "nowhere" / "b.safetensors", fitted)
    assert caught.value.code == "E_WRITE"
    assert list(tmp_path.iterdir()) == []


def test_an_unfitted_backend_is_not_saved(tmp_path) -> None:
    with pytest.raises(ModelError) as caught:
        save_backend(tmp_path / "b.safetensors", build_backend("gplda"))
    assert caught.value.code == "E_NOT_FITTED"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "E_DISK_FULL"), (errno.EIO, "E_WRITE")])
def test_a_full_disk_leaves_the_old_file(fitted, tmp_path, monkeypatch, number: int, code: str) -> None:
    path = tmp_path / "b.safetensors"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ModelError) as caught:
        save_backend(path, fitted)
    assert caught.value.code == code
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["b.safetensors"]


@pytest.mark.parametrize(
    ("own", "norm", "top", "expected"),
    [
        (None, None, None, None),
        ({"name": "s"}, None, None, {"name": "s"}),
        ({"name": "as", "top": 9}, None, 4, {"name": "as", "top": 4}),
        ({"name": "as", "top": 9}, "as", None, {"name": "as"}),
        ({"name": "s"}, "none", None, None),
        (None, "as", 7, {"name": "as", "top": 7}),
    ],
)
def test_a_normalisation_that_is_asked_for(own, norm, top, expected) -> None:
    assert norm_spec(own, norm, top) == expected
