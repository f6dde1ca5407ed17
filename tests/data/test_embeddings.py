"""Files of embeddings: ours, Kaldi's and NumPy's; several of them together."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from voxid.data.embeddings import read_embeddings, read_vectors, save_embeddings
from voxid.data.kaldi_vectors import write_kaldi_vectors
from voxid.errors import DataError


def test_embeddings_come_back_from_their_file(tmp_path):
    rows = np.random.default_rng(0).standard_normal((3, 5))
    names = ["a.wav", "sub/b c.wav", "ü\n.wav"]
    save_embeddings(tmp_path / "e.safetensors", names, rows, {"name": "m", "sha256": "12"})
    back = read_embeddings(tmp_path / "e.safetensors")
    assert back.names == tuple(names)
    assert back.model == {"name": "m", "sha256": "12"}
    np.testing.assert_array_equal(back.embeddings, rows.astype(np.float32))
    plain = load_file(tmp_path / "e.safetensors")
    assert json.loads(plain["names"].tobytes()) == names
    save_embeddings(tmp_path / "none.safetensors", [], np.empty((0, 5)), {})
    assert read_embeddings(tmp_path / "none.safetensors").embeddings.shape == (0, 5)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "e.safetensors"
    save_embeddings(path, ["a"], np.ones((1, 2)), {})

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(DataError) as caught:
        save_embeddings(path, ["b"], np.zeros((1, 2)), {})
    assert caught.value.code == "E_DISK_FULL"
    assert read_embeddings(path).names == ("a",)
    assert [file.name for file in tmp_path.iterdir()] == ["e.safetensors"]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda folder: save_embeddings(folder / "e.npy", ["a"], np.ones((1, 2)), {}), "E_FORMAT"),
        (lambda folder: save_embeddings(folder / "e.safetensors", ["a"], np.ones((2, 2)), {}), "E_SHAPE"),
        (lambda folder: save_embeddings(folder / "none" / "e.safetensors", ["a"], np.ones((1, 2)), {}), "E_WRITE"),
        (lambda folder: read_embeddings(folder / "e.safetensors"), "E_NOT_FILE"),
        (lambda folder: read_vectors(folder / "e.npz"), "E_NOT_FILE"),
        (lambda folder: read_vectors(folder / "e.ark"), "E_NOT_FILE"),
        (lambda folder: read_vectors(folder / "e.csv"), "E_FORMAT"),
        (lambda folder: read_vectors([]), "E_NOT_FILE"),
    ],
)
def test_bad_files_are_typed_errors(tmp_path, call, code):
    with pytest.raises(DataError) as caught:
        call(tmp_path)
    assert caught.value.code == code


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("not one")
    save_file({"embeddings": np.ones((1, 2), np.float32)}, tmp_path / "other.safetensors")
    for name in ("text", "other"):
        with pytest.raises(DataError) as caught:
            read_embeddings(tmp_path / f"{name}.safetensors")
        assert caught.value.code == "E_FORMAT"


def test_every_format_gives_the_same_rows(tmp_path):
    rows = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
    names = ("a.wav", "b/c.wav", "ü.wav", "d.wav")
    save_embeddings(tmp_path / "e.safetensors", names, rows, {"name": "m", "sha256": "12"})
    write_kaldi_vectors(tmp_path / "e.ark", names, rows, scp=tmp_path / "e.scp")
    np.savez(tmp_path / "e.npz", names=names, embeddings=rows)
    for suffix in ("safetensors", "ark", "scp", "npz"):
        found = read_vectors(tmp_path / f"e.{suffix}")
        assert found.names == names
        np.testing.assert_array_equal(found.embeddings, rows)
        assert found.model == ({"name": "m", "sha256": "12"} if suffix == "safetensors" else {})


@pytest.mark.parametrize("names", [[b"a.wav", "\u00fc.wav".encode()], [1, 2]])
def test_names_of_an_npz_may_be_bytes_or_numbers(tmp_path, names):
    np.savez(tmp_path / "e.npz", names=names, embeddings=np.eye(2))
    expected = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
    assert read_vectors(tmp_path / "e.npz").names == expected


@pytest.mark.parametrize(
    ("names", "rows", "code"),
    [
        (["x", "y"], np.eye(2) * 1j, "E_FORMAT"),
        (["x", "y"], np.eye(2).astype(str), "E_FORMAT"),
        ([b"x", b"\xff"], np.eye(2), "E_FORMAT"),
        (["x", "y"], np.eye(2) * 1e300, "E_EMBEDDING"),
    ],
)
def test_an_npz_of_no_embeddings_is_refused_without_a_warning(tmp_path, recwarn, names, rows, code):
    np.savez(tmp_path / "e.npz", names=names, embeddings=rows)
    with pytest.raises(DataError) as caught:
        read_vectors(tmp_path / "e.npz")
    assert caught.value.code == code
    assert not recwarn.list


def test_files_are_joined_in_their_order(tmp_path):
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    save_embeddings(tmp_path / "a.safetensors", ["x"], rows[:1], {"sha256": "12"})
    np.savez(tmp_path / "b.npz", names=["y", "z"], embeddings=rows[1:3].astype(np.float64))
    save_embeddings(tmp_path / "c.safetensors", ["w"], rows[3:], {"sha256": "12"})
    found = read_vectors([tmp_path / "a.safetensors", tmp_path / "b.npz", tmp_path / "c.safetensors"])
    assert found.names == ("x", "y", "z", "w")
    assert found.model == {"sha256": "12"}
    np.testing.assert_array_equal(found.embeddings, rows)


@pytest.mark.parametrize(
    ("second", "code", "words"),
    [
        ((["x"], np.ones((1, 3)), {}), "E_NAMES", ["'x'", "one.safetensors"]),
        ((["y"], np.ones((1, 4)), {}), "E_SHAPE", ["3", "4"]),
        ((["y"], np.ones((1, 3)), {"sha256": "34"}), "E_MODELS", ["two models"]),
        ((["y", "z"], [[1, 2, 3], [1, np.nan, 2]], {}), "E_EMBEDDING", ["'z'", "NaN"]),
        (([], np.empty((0, 3)), {}), "E_SHAPE", ["[0, 3]"]),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, second, code, words):
    save_embeddings(tmp_path / "one.safetensors", ["x"], np.ones((1, 3)), {"sha256": "12"})
    save_embeddings(tmp_path / "two.safetensors", *second)
    with pytest.raises(DataError) as caught:
        read_vectors([tmp_path / "one.safetensors", tmp_path / "two.safetensors"])
    assert caught.value.code == code
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


def test_an_npz_is_read_without_running_code(tmp_path):
    np.savez(tmp_path / "e.npz", names=np.array([Bomb(tmp_path / "marker")], dtype=object), embeddings=np.ones((1, 2)))
    (tmp_path / "p.npz").write_bytes(pickle.dumps(Bomb(tmp_path / "marker")))
    np.savez(tmp_path / "other.npz", rows=np.ones((1, 2)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:90])
    for name in ("e", "p", "other", "cut"):
        with pytest.raises(DataError) as caught:
            read_vectors(tmp_path / f"{name}.npz")
        assert caught.value.code == "E_FORMAT"
    assert not (tmp_path / "marker").exists()
