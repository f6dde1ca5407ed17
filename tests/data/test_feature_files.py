"""Features that the user brings, in each of their formats, and broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from voxid.data.feature_files import FeatureFiles, read_features
from voxid.errors import DataError


def write(path: Path, features: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, features)
    elif path.suffix == ".pt":
        torch.save(torch.from_numpy(features), path)
    else:
        save_file({"features": features}, path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".safetensors"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_every_format_gives_the_same_frames(tmp_path: Path, suffix: str, dtype: type) -> None:
    features = np.random.default_rng(0).normal(size=(9, 4)).astype(dtype)
    path = write(tmp_path / f"a{suffix}", features)
    assert np.array_equal(read_features(path, 4), features.astype(np.float32))
    files = FeatureFiles([path], 4)
    assert files.num_samples(0) == 9
    assert np.array_equal(files.read(0, 2, 5), features[2:5].astype(np.float32))


class Evil:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def broken(folder: Path) -> dict[str, Path]:
    torch.save({"a": Evil()}, folder / "evil.pt")
    torch.save([torch.zeros(2, 2)], folder / "list.pt")
    save_file({"a": np.zeros((2, 2), np.float32), "b": np.zeros((2, 2), np.float32)}, folder / "two.safetensors")
    for name in ("cut.npy", "cut.pt", "cut.safetensors", "a.txt"):
        (folder / name).write_bytes(b"\x93NUMPY and nothing more")
    return {
        "pickle": folder / "evil.pt",
        "list": folder / "list.pt",
        "two": folder / "two.safetensors",
        "npy": folder / "cut.npy",
        "pt": folder / "cut.pt",
        "safetensors": folder / "cut.safetensors",
        "suffix": folder / "a.txt",
        "shape": write(folder / "one.npy", np.zeros(5)),
        "empty": write(folder / "empty.npy", np.zeros((0, 4))),
        "bins": write(folder / "bins.npy", np.zeros((5, 3))),
        "nan": write(folder / "nan.npy", np.full((5, 4), np.nan)),
    }


def test_what_cannot_be_read_is_one_line(tmp_path: Path, capsys) -> None:
    for path in broken(tmp_path).values():
        with pytest.raises(DataError) as caught:
            read_features(path, 4)
        assert caught.value.code == "E_FEATURES"
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError) as caught:
        read_features(tmp_path / "nope.npy")
    assert caught.value.code == "E_NOT_FILE"
    assert "never" not in capsys.readouterr().out


def test_broken_files_are_kept_apart(tmp_path: Path) -> None:
    good = write(tmp_path / "good.npy", np.ones((3, 4)))
    bad = broken(tmp_path)
    files = FeatureFiles([bad["bins"], good, tmp_path / "nope.npy", bad["nan"], *[good] * 36], 4)  # 2 of 40: 5 %
    assert [files.num_samples(number) for number in range(5)] == [0, 3, 0, 5, 3]
    assert files.rejected == {str(bad["bins"]): "E_FEATURES", str(tmp_path / "nope.npy"): "E_NOT_FILE"}
    with pytest.raises(DataError, match="NaN"):
        files.read(3, 0, 2)


def test_recordings_in_the_place_of_features_are_a_broken_corpus(tmp_path: Path) -> None:
    good = write(tmp_path / "good.npy", np.ones((3, 4)))
    bad = [tmp_path / f"{number}.wav" for number in range(3)]
    for path in bad:
        path.write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"3 of 40 files of features cannot be read.*got '\.wav'") as caught:
        FeatureFiles([*bad, *[good] * 37], 4)
    assert caught.value.code == "E_CORPUS"
    assert all(str(path) in str(caught.value) for path in bad)
