"""Vectors of Kaldi, written and read the other way by kaldi_native_io."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxid.data.kaldi_vectors import read_kaldi_vectors, write_kaldi_vectors
from voxid.errors import DataError

NAMES = ("id1-a", "id1-b", "ü/c.wav")
ROWS = np.random.default_rng(0).standard_normal((3, 7)).astype(np.float32) * np.float32([[1], [1e-30], [1e30]])


@pytest.fixture
def kaldi():
    return pytest.importorskip("kaldi_native_io", reason="the independent implementation")


@pytest.mark.parametrize("text", [False, True])
def test_kaldi_reads_what_we_write(kaldi, tmp_path, text: bool) -> None:
    write_kaldi_vectors(tmp_path / "a.ark", NAMES, ROWS, scp=tmp_path / "a.scp", text=text)
    for kind in ("ark", "scp"):
        with kaldi.SequentialFloatVectorReader(f"{kind}:{tmp_path}/a.{kind}") as reader:
            found = [(key, np.array(vector)) for key, vector in reader]
        assert tuple(key for key, _ in found) == NAMES
        np.testing.assert_array_equal(np.stack([vector for _, vector in found]), ROWS)


@pytest.mark.parametrize("options", ["ark", "ark,t"])
@pytest.mark.parametrize("kind", ["Float", "Double"])
def test_we_read_what_kaldi_writes(kaldi, tmp_path, options: str, kind: str) -> None:
    rows = ROWS.astype(np.float64 if kind == "Double" else np.float32)
    with getattr(kaldi, f"{kind}VectorWriter")(
        f"{options.replace('ark', 'ark,scp')}:{tmp_path}/a.ark,{tmp_path}/a.scp"
    ) as writer:
        for name, row in zip(NAMES, rows, strict=True):
            writer.write(name, row)
    for suffix in ("ark", "scp"):
        names, found = read_kaldi_vectors(tmp_path / f"a.{suffix}")
        assert names == NAMES
        assert found.dtype == np.float32
        # Kaldi's text has seven digits.
        np.testing.assert_allclose(found, ROWS, rtol=1e-6 if options == "ark,t" else 0)


def test_an_scp_in_another_folder_and_another_order(tmp_path, monkeypatch) -> None:
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    write_kaldi_vectors("a.ark", NAMES, ROWS, scp="a.scp")
    monkeypatch.chdir(tmp_path)
    lines = Path("x/a.scp").read_text(encoding="utf-8").splitlines()
    Path("x/b.scp").write_text("\n".join([lines[2], "", lines[0]]) + "\n", encoding="utf-8")
    names, found = read_kaldi_vectors("x/b.scp")
    assert names == (NAMES[2], NAMES[0])
    np.testing.assert_array_equal(found, ROWS[[2, 0]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["no vector"]),
        (b"\n \n", ["no vector"]),
        (b"\x00\x01garbage" * 9, ["byte 0"]),
        (b"PK\x03\x04 something", ["byte 0"]),
        (b"u1 \0BFM \4\2\0\0\0\4\3\0\0\0" + b"\0" * 24, ["u1", "FM", "FV"]),
        (b"u1 \0BFV \4\xff\xff\xff\x7f" + b"\0" * 8, ["u1", "cut"]),
        (b"u1 \0BFV \4\xff\xff\xff\xff" + b"\0" * 8, ["u1", "cut"]),
        (b"u1 \0BFV \4\0\0\0\0", ["u1", "empty"]),
        (b"u1 \0BFV ", ["u1", "cut"]),
        (b"u1  [ 1 2 3 ]\nu2  [ 1 2 3\n", ["u2", "text"]),
        (b"u1  [ 1 x 3 ]\n", ["u1", "text"]),
        (b"u1  [ ]\n", ["u1"]),
        (b"u1  [ 1 2 ]\nu1  [ 1 3 ]\n", ["'u1'", "twice"]),
        (b"u1  [ 1 2 ]\nu2  [ 1 ]\n", ["'u2'", "length"]),
    ],
)
def test_damaged_archives_are_one_line(tmp_path, content: bytes, words: list[str]) -> None:
    (tmp_path / "a.ark").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_kaldi_vectors(tmp_path / "a.ark")
    assert caught.value.code in ("E_KALDI", "E_SHAPE")
    assert all(word in str(caught.value) for word in ["a.ark", *words])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"u1  [ 1 1e300 ]\n", b"u1 \0BDV \4\2\0\0\0" + np.array([1, 1e300]).tobytes()])
def test_what_float32_cannot_hold_is_infinite_without_a_warning(tmp_path, recwarn, content: bytes) -> None:
    (tmp_path / "a.ark").write_bytes(content)
    assert read_kaldi_vectors(tmp_path / "a.ark")[1].tolist() == [[1, np.inf]]  # `read_vectors` refuses it
    assert not recwarn.list


def test_a_cut_archive_is_never_taken_for_a_shorter_one(tmp_path) -> None:
    write_kaldi_vectors(tmp_path / "a.ark", NAMES, ROWS)
    whole = (tmp_path / "a.ark").read_bytes()
    between = {whole.index(name.encode()) for name in NAMES}  # only there may it end
    for length in range(1, len(whole)):
        (tmp_path / "a.ark").write_bytes(whole[:length])
        if length in between:
            assert len(read_kaldi_vectors(tmp_path / "a.ark")[0]) < 3
        else:
            with pytest.raises(DataError):
                read_kaldi_vectors(tmp_path / "a.ark")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("u1 touch RAN |", ["command"]),
        ("u1 | touch RAN", ["command"]),
        ("u1 a.ark:5[0:3]", ["range"]),
        ("u1", ["archive"]),
        ("u1 none.ark:5", ["none.ark"]),
        ("u1 a.ark:100000", ["u1"]),
        ("u1 a.ark:3", ["u1"]),
    ],
)
def test_bad_script_files(tmp_path, monkeypatch, line: str, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    write_kaldi_vectors("a.ark", NAMES, ROWS)
    Path("a.scp").write_text(line + "\n")
    with pytest.raises(DataError) as caught:
        read_kaldi_vectors("a.scp")
    assert all(word in str(caught.value) for word in words)
    assert sorted(map(str, Path().iterdir())) == ["a.ark", "a.scp"]


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["a", "a"], np.ones((2, 2))),
        (["a b"], np.ones((1, 2))),
        ([""], np.ones((1, 2))),
        (["\udc80"], np.ones((1, 2))),
        (["a"], np.ones((2, 2))),
    ],
)
def test_what_cannot_stand_in_an_archive(tmp_path, names: list[str], rows: np.ndarray) -> None:
    with pytest.raises(DataError) as caught:
        write_kaldi_vectors(tmp_path / "a.ark", names, rows)
    assert caught.value.code in ("E_KALDI", "E_SHAPE")
    assert list(tmp_path.iterdir()) == []
