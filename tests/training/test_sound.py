"""The augmentation section of a recipe: manifests, folders and shards, and what is refused."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from voxid import registry
from voxid.errors import AudioError, ConfigError, DataError
from voxid.training.sound import augmenter


def tone(level: float, seconds: float = 1.0) -> np.ndarray:
    """A recording that is known by its level."""
    return np.full(round(16000 * seconds), level, np.float32)


def levels(recordings: Any) -> list[float]:
    return [round(float(np.abs(recording).max()), 2) for recording in recordings]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five recordings below a folder, beside something else, and a manifest of them."""
    (tmp_path / "sounds" / "deep").mkdir(parents=True)
    rows = ["path,duration,kind,split"]
    words = ["noise", "music", "speech", "babble", "rain"]
    for number, word in enumerate(words, 1):
        name = f"deep/{number}.wav" if number > 3 else f"{number}.flac"
        soundfile.write(tmp_path / "sounds" / name, tone(number / 10), 16000)
        rows.append(f"{name},1.0,{word},{'test' if number == 5 else 'train'}")
    (tmp_path / "sounds" / "notes.txt").write_text("nothing to hear")
    (tmp_path / "sounds" / "manifest.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "sounds"


@pytest.fixture
def shard(tmp_path: Path, folder: Path) -> Path:
    """A tar file in the manner of webdataset: audio and what belongs to it, by stem."""
    path = tmp_path / "shard_000.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("1.flac", "2.flac", "deep/4.wav"):
            tar.add(folder / name, name)
            about = tarfile.TarInfo(Path(name).stem + ".json")
            about.size = 2
            tar.addfile(about, io.BytesIO(b"{}"))
    return path


def test_a_folder_gives_all_its_recordings(folder: Path) -> None:
    assert levels(augmenter(str(folder)).noises) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert augmenter(str(folder), noise_prob=0.0).noise_prob == 0.0


def test_a_manifest_gives_the_rows_asked_for(folder: Path) -> None:
    assert levels(augmenter(f"{folder}/manifest.csv", where={"split": "test"}).noises) == [0.5]


def test_a_shard_gives_its_members_and_sources_join(folder: Path, shard: Path) -> None:
    assert levels(augmenter(str(shard)).noises) == [0.1, 0.2, 0.4]
    both = augmenter([str(shard), f"{folder}/manifest.csv"], where={"split": "test"})
    assert levels(both.noises) == [0.1, 0.2, 0.4, 0.5]
    packed = shard.with_suffix(".tar.gz")
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(folder / "1.flac", "1.flac")
    assert levels(augmenter(str(packed)).noises) == [0.1]


def test_a_column_tells_music_and_voices_from_noise(folder: Path) -> None:
    made = augmenter(f"{folder}/manifest.csv", kind="kind")
    assert (levels(made.noises), levels(made.musics), levels(made.voices)) == ([0.1, 0.5], [0.2], [0.3, 0.4])
    apart = augmenter(f"{folder}/1.flac".replace("1.flac", "manifest.csv"), music=str(folder / "deep"), speech=str(folder))
    assert (len(apart.noises), levels(apart.musics), len(apart.voices)) == (5, [0.4, 0.5], 5)


def test_everything_comes_at_the_rate_of_the_model(folder: Path, shard: Path) -> None:
    made = augmenter(str(folder), responses=str(shard), sample_rate=8000)
    assert {len(recording) for recording in [*made.noises, *made.responses]} == {8000}
    assert made.sample_rate == 8000


def test_rooms_are_simulated_beside_those_of_a_source(shard: Path) -> None:
    pytest.importorskip("pyroomacoustics")
    made = augmenter(responses=str(shard), simulated_rooms=2, noise_prob=0.0, babble_prob=0.0, reverb_prob=1.0)
    assert len(made.responses) == 5
    out = made(torch.randn(4, 800), torch.Generator().manual_seed(0))
    assert torch.isfinite(out).all()
    assert len(augmenter(simulated_rooms={"count": 3, "rt60": [0.2, 0.3], "seed": 4}).responses) == 3


def test_arguments_of_the_augmenter_are_passed_on(folder: Path) -> None:
    made = augmenter(str(folder), policy="batch", equalize_prob=0.5, codec=["alaw"])
    assert (made.policy, made.equalize_prob, made.codec) == ("batch", 0.5, ["alaw"])
    assert augmenter().noise_prob == type(made)().noise_prob  # its defaults stand in one place


def test_too_much_for_the_memory_is_refused(folder: Path, shard: Path) -> None:
    for source in (str(folder), f"{folder}/manifest.csv", str(shard)):
        with pytest.raises(ConfigError, match=r"more than 0\.0005 hours .* augment\.max_hours"):
            augmenter(source, max_hours=0.0005)
    (folder / "manifest.csv").write_text("path,duration\nnot_there.wav,40000\n")
    with pytest.raises(ConfigError, match="max_hours"):  # told by the manifest, before anything is decoded
        augmenter(f"{folder}/manifest.csv")


def test_sources_without_recordings_are_named(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    with tarfile.open(tmp_path / "empty.tar", "w") as tar:
        tar.add(folder / "notes.txt", "notes.txt")
    for source in ("empty", "empty.tar"):
        with pytest.raises(DataError, match=f"{source}: no recording in it"):
            augmenter(str(tmp_path / source))
    (tmp_path / "broken.tar").write_bytes(b"not a tar file" * 100)
    with pytest.raises(DataError, match=r"broken\.tar: not a tar file"):
        augmenter(str(tmp_path / "broken.tar"))
    with pytest.raises(DataError, match=r"missing\.tar: no such file"):
        augmenter(str(tmp_path / "missing.tar"))


def test_a_cut_shard_is_refused(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises((DataError, AudioError), match="shard_000"):
        augmenter(str(shard))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"noise_probs": 0.5}, "did you mean 'noise_prob'"),
        ({"equalise_prob": 0.5}, "did you mean 'equalize_prob'"),
        ({"responses_seconds": 0.5}, "did you mean 'response"),
        ({"voices": [1]}, "unknown argument 'voices'"),
        ({"policy": "each"}, "unknown policy 'each'"),
        ({"policy": 1}, "policy must be text"),
        ({"speeds": 0.9}, "speeds must be a list"),
        ({"simulated_rooms": {"counts": 3}}, "did you mean 'count'"),
        ({"simulated_rooms": {"count": 1, "rt60": [1]}}, "rt60"),
        ({"simulated_rooms": -1}, "0 or more"),
        ({"simulated_rooms": True}, "simulated_rooms must be"),
        ({"max_hours": 0}, "max_hours"),
        ({"music": [""]}, "empty text"),
        ({"kind": 3}, "kind must be text"),
    ],
)
def test_wrong_values_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        registry.call(augmenter, options, "augment")
