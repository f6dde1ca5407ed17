"""PLDA files of Kaldi and WeSpeaker: a real one, round trips, and damaged ones."""

import struct

import numpy as np
import pytest

from voxid.errors import ModelError
from voxid.scoring.plda import Plda
from voxid.scoring.two_covariance import TwoCovariance
from voxid.zoo.plda_files import read_plda, write_kaldi_plda


def scorer(seed=0, dim=3):
    rng = np.random.default_rng(seed)
    psi = np.sort(rng.uniform(0.1, 9, dim))[::-1].copy()
    return Plda.of(TwoCovariance(rng.normal(size=dim), rng.normal(size=(dim, dim)), psi))


def kaldi_bytes(model, real="d"):
    """The file as Kaldi's Write lays it out, built here from struct."""
    letter = {"d": b"D", "f": b"F"}[real]
    mean, matrix, psi = model.mean, model.transform, model.psi
    vector = [letter + b"V \4" + struct.pack(f"<i{len(v)}{real}", len(v), *v) for v in (mean, psi)]
    rows, columns = matrix.shape
    body = letter + b"M \4" + struct.pack("<i", rows) + b"\4" + struct.pack(f"<i{matrix.size}{real}", columns, *matrix.ravel())
    return b"\0B<Plda> " + vector[0] + body + vector[1] + b"</Plda> "


@pytest.mark.parametrize("dim", [1, 3, 20])
def test_files_are_laid_out_as_kaldi_lays_them_out(tmp_path, dim):
    model = scorer(dim, dim)
    write_kaldi_plda(tmp_path / "plda", model)
    assert (tmp_path / "plda").read_bytes() == kaldi_bytes(model.model)
    again = read_plda(tmp_path / "plda")
    for name, array in model.state().items():
        np.testing.assert_array_equal(again.state()[name], array)


@pytest.mark.parametrize("dim", [1, 3])
def test_text_keeps_every_digit(tmp_path, dim):
    model = scorer(dim, dim)
    write_kaldi_plda(tmp_path / "plda.txt", model, text=True)
    assert (tmp_path / "plda.txt").read_bytes().startswith(b"<Plda>  [ ")
    again = read_plda(tmp_path / "plda.txt")
    for name, array in model.state().items():
        np.testing.assert_array_equal(again.state()[name], array)


def test_floats_and_text_with_six_digits_are_read(tmp_path):
    model = scorer(4).model
    (tmp_path / "float").write_bytes(kaldi_bytes(model, "f"))
    rows = " \n  ".join(" ".join(f"{x:.6g}" for x in row) for row in model.transform)
    vectors = [" ".join(f"{x:.6g}" for x in vector) for vector in (model.mean, model.psi)]
    (tmp_path / "text").write_text(f"<Plda>  [ {vectors[0]} ]\n [\n  {rows} ]\n [ {vectors[1]} ]\n</Plda> ")
    for name in ("float", "text"):
        np.testing.assert_allclose(read_plda(tmp_path / name).model.transform, model.transform, rtol=1e-5)


def test_kaldi_itself_writes_the_same_vectors_and_matrices(tmp_path):
    """kaldi_native_io is Kaldi's own code for them; only the tokens around are left to us."""
    native = pytest.importorskip("kaldi_native_io")
    model, parts = scorer(5).model, []
    for kind, array in (("Vector", model.mean), ("Matrix", model.transform), ("Vector", model.psi)):
        with getattr(native, f"Double{kind}Writer")(f"ark:{tmp_path}/{kind}") as writer:
            writer.write("x", array)
        parts.append((tmp_path / kind).read_bytes().removeprefix(b"x \0B"))
    (tmp_path / "plda").write_bytes(b"\0B<Plda> " + b"".join(parts) + b"</Plda> ")
    np.testing.assert_array_equal(read_plda(tmp_path / "plda").model.transform, model.transform)
    write_kaldi_plda(tmp_path / "ours", Plda.of(model))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "plda").read_bytes()


def test_the_real_file_of_vbx(shared, tmp_path):
    path = shared / "peers" / "vbx" / "plda"
    model = read_plda(path).model
    assert model.transform.shape == (128, 128)
    white = model.transform @ model.within @ model.transform.T
    np.testing.assert_allclose(white, np.eye(128), atol=1e-9)
    np.testing.assert_allclose(model.transform @ model.between @ model.transform.T, np.diag(model.psi), atol=1e-9)
    write_kaldi_plda(tmp_path / "plda", Plda.of(model))
    assert (tmp_path / "plda").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("length_norm", [None, "kaldi"])
def test_the_real_file_scores_as_kaldis_formula_says(shared, length_norm):
    """Rows drawn from the file's own model; the predictive density of one beside its marginal density."""
    loaded = read_plda(shared / "peers" / "vbx" / "plda", length_norm=length_norm)
    model, rng = loaded.model, np.random.default_rng(0)
    rows = rng.multivariate_normal(model.mean, model.within + model.between, 6)
    moved = (rows - model.mean) @ model.transform.T
    if length_norm:
        moved *= np.sqrt(128 / np.sum(moved**2 / (model.psi + 1), axis=1))[:, None]
    x, y = moved[:, None], moved[None]
    psi = model.psi
    variance = 1 + psi / (psi + 1)
    given = np.sum((y - psi / (psi + 1) * x) ** 2 / variance + np.log(variance), axis=2)
    expected = -0.5 * (given - np.sum(y**2 / (1 + psi) + np.log(1 + psi), axis=2))
    index = np.indices((6, 6)).reshape(2, -1)
    np.testing.assert_allclose(loaded.score_trials(rows, rows, *index).reshape(6, 6), expected, atol=1e-8)


def damaged(data):
    """Cut anywhere, with more behind, and with each byte before the first number changed."""
    yield from (data[:size] for size in range(len(data) - 1))  # the last one is a blank
    yield data + b"more"
    yield data.replace(b"</Plda>", b"</plda>")
    yield data.replace(b"<Plda>", b"<GMM>")
    yield b"\0B" + data
    for at in range(17):
        yield data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize("text", [False, True])
def test_damaged_files_are_refused_in_one_line(tmp_path, text):
    write_kaldi_plda(tmp_path / "whole", scorer(6, 2), text=text)
    for part in damaged((tmp_path / "whole").read_bytes()):
        (tmp_path / "part").write_bytes(part)
        with pytest.raises(ModelError) as caught:
            read_plda(tmp_path / "part")
        assert caught.value.code == "E_FORMAT"
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 8, 9, 20, 1000, 1050, 1100, 60_000, 132_000, 133_156])
def test_the_real_file_cut_anywhere_is_refused(shared, tmp_path, size):
    (tmp_path / "plda").write_bytes((shared / "peers" / "vbx" / "plda").read_bytes()[:size])
    with pytest.raises(ModelError) as caught:
        read_plda(tmp_path / "plda")
    assert caught.value.code == "E_FORMAT"


@pytest.mark.parametrize(
    "change",
    [
        {"psi": [-1.0, 2.0, 3.0]},
        {"psi": [np.nan, 2.0, 3.0]},
        {"psi": [1.0, 2.0]},
        {"mean": [1.0, 2.0]},
        {"transform": np.ones((3, 3))},
        {"transform": np.eye(3)[:2]},
    ],
)
def test_parameters_that_are_no_plda_are_refused(tmp_path, change):
    state = {name: np.asarray(array) for name, array in (scorer().state() | change).items()}
    (tmp_path / "plda").write_bytes(kaldi_bytes(TwoCovariance(**state)))
    with pytest.raises(ModelError) as caught:
        read_plda(tmp_path / "plda")
    assert caught.value.code == "E_FORMAT"


def test_a_size_out_of_all_proportion_asks_for_no_memory(tmp_path):
    (tmp_path / "plda").write_bytes(b"\0B<Plda> DV \4" + struct.pack("<i", 2**31 - 1))
    with pytest.raises(ModelError):
        read_plda(tmp_path / "plda")


def test_files_that_are_not_there(tmp_path):
    for path in (tmp_path / "none", tmp_path, tmp_path / ("x" * 5000)):
        with pytest.raises(ModelError) as caught:
            read_plda(path)
        assert caught.value.code == "E_NOT_FOUND"


def wespeaker_file(path, model, **more):
    h5py = pytest.importorskip("h5py")
    data = {"mu": model.mean, "transform": model.transform, "psi": model.psi, "offset": -model.transform @ model.mean}
    with h5py.File(path, "w") as file:
        for name, array in (data | more).items():
            if array is not None:
                options = {"compression": "gzip", "fletcher32": True} if np.ndim(array) else {}
                file.create_dataset(name, data=array, **options)
    return path


@pytest.mark.parametrize(
    ("flags", "length_norm"), [({}, "wespeaker"), ({"normalize_length": 0}, None), ({"normalize_length": 1}, "wespeaker")]
)
def test_files_of_wespeaker(tmp_path, flags, length_norm):
    model = scorer(7).model
    loaded = read_plda(wespeaker_file(tmp_path / "plda", model, **flags))
    assert loaded.length_norm == length_norm
    for name, array in loaded.state().items():
        np.testing.assert_array_equal(array, getattr(model, name))
    assert read_plda(tmp_path / "plda", length_norm="simple").length_norm == "simple"


@pytest.mark.parametrize("more", [{"mu": None}, {"psi": "text"}, {"offset": np.zeros(3)}, {"offset": np.zeros(2)}, {"mu": 3.0}])
def test_other_hdf5_files_are_refused(tmp_path, more):
    wespeaker_file(tmp_path / "plda", scorer(8).model, **more)
    with pytest.raises(ModelError) as caught:
        read_plda(tmp_path / "plda")
    assert caught.value.code == "E_FORMAT"
    assert "\n" not in str(caught.value)


def test_an_hdf5_file_cut_anywhere_is_refused(tmp_path):
    data = wespeaker_file(tmp_path / "plda", scorer(9).model).read_bytes()
    for size in range(8, len(data), 97):
        (tmp_path / "part").write_bytes(data[:size])
        with pytest.raises(ModelError) as caught:
            read_plda(tmp_path / "part")
        assert caught.value.code == "E_FORMAT"
