"""The data sections of a recipe: what is drawn from, and what is refused before anything is trained."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("lightning")

from voxid import registry
from voxid.errors import ConfigError, DataError
from voxid.training.corpus import Corpus, refuse_overlap, training_corpus, validation_trials
from voxid.training.sound import augmenter

PAIRS = "1 c_0.wav c_1.wav\n0 c_0.wav d_0.wav\n"


def recordings(folder: Path, speakers: str, rate: int = 16000) -> Path:
    """Two seconds-long recordings of each speaker and a manifest of them."""
    folder.mkdir()
    rows = []
    for speaker in speakers:
        for take in range(2):
            wave = np.random.default_rng([ord(speaker), take]).uniform(-0.5, 0.5, rate)
            soundfile.write(folder / f"{speaker}_{take}.wav", wave, rate)
            rows.append(f"{speaker}_{take}.wav,{speaker},1.0")
    (folder / "manifest.csv").write_text("\n".join(["path,speaker,duration", *rows]) + "\n")
    return folder


@pytest.fixture
def train(tmp_path) -> Path:
    return recordings(tmp_path / "train", "ab")


@pytest.fixture
def dev(tmp_path) -> Path:
    folder = recordings(tmp_path / "dev", "cd")
    (folder / "dev.trials").write_text(PAIRS)
    return folder


def corpus_of(*folders: Path, **options: object) -> Corpus:
    manifests = [f"{folder}/manifest.csv" for folder in folders]
    return training_corpus(manifests, cache=f"{folders[0].parent}/cache", batch_size=2, **options)


def overlap(train: Path, lists: list[Path], cache: Path, **options: object) -> None:
    trial_sets = validation_trials([str(path) for path in lists], cache=str(cache))
    refuse_overlap(f"{train}/manifest.csv", None, corpus_of(train, **options), trial_sets)


def test_other_speakers_are_no_overlap(train, dev, tmp_path) -> None:
    overlap(train, [dev / "dev.trials"], tmp_path / "cache")


@pytest.mark.parametrize("linked", ["recording", "folder", "manifest"])
def test_a_link_does_not_hide_a_recording_that_is_trained_on(train, tmp_path, linked: str) -> None:
    lists = tmp_path / "lists"
    if linked == "folder":
        lists.symlink_to(train)
    elif linked == "recording":
        lists.mkdir()
        for file in train.glob("*.wav"):
            (lists / file.name).symlink_to(file)
    else:  # the training goes by links, the list by the files
        lists, train = train, tmp_path / "links"
        train.mkdir()
        for file in lists.glob("*.wav"):
            (train / file.name).symlink_to(file)
        (lists / "manifest.csv").rename(train / "manifest.csv")
    (lists / "dev.trials").write_text(PAIRS.replace("c_", "a_").replace("d_", "b_"))
    with pytest.raises(DataError, match=r"2 of its speakers are trained on, e\.g\. a, b") as caught:
        overlap(train, [lists / "dev.trials"], tmp_path / "cache")
    assert caught.value.code == "E_OVERLAP"


def test_speakers_of_other_recordings_are_looked_up_in_the_root_of_the_list(train, dev, tmp_path) -> None:
    (dev / "manifest.csv").write_text("speaker,path\na,c_0.wav\na,c_1.wav\nd,d_0.wav\n")
    with pytest.raises(DataError, match=r"1 of its speakers are trained on, e\.g\. a;") as caught:
        overlap(train, [dev / "dev.trials"], tmp_path / "cache")
    assert caught.value.code == "E_OVERLAP"
    overlap(train, [dev / "dev.trials"], tmp_path / "cache", prefix_speakers=True)  # another manifest, another a
    (dev / "manifest.csv").write_text("file,who\nc_0.wav,a\n")
    overlap(train, [dev / "dev.trials"], tmp_path / "cache")


@pytest.mark.parametrize("prefix_speakers", [False, True])
def test_rows_that_are_not_trained_on_tell_the_speaker(train, tmp_path, prefix_speakers: bool) -> None:
    header = "path,speaker,duration,split\n"
    rows = "a_0.wav,a,1,train\nb_0.wav,b,1,train\na_1.wav,a,1,dev\nb_1.wav,b,1,dev\n"
    (train / "manifest.csv").write_text(header + rows)
    (train / "dev.trials").write_text("1 a_1.wav a_1.wav\n0 a_1.wav b_1.wav\n")
    with pytest.raises(DataError, match="2 of its speakers are trained on"):
        overlap(train, [train / "dev.trials"], tmp_path / "cache", where={"split": "train"}, prefix_speakers=prefix_speakers)


def test_everything_is_at_the_rate_of_the_model(train, dev, tmp_path) -> None:
    corpus = corpus_of(train, chunk_seconds=0.5, sample_rate=8000)
    assert corpus.samples == 4000
    assert corpus.dataset.pcm.num_samples(0) == 8000
    (trial_set,) = validation_trials(f"{dev}/dev.trials", cache=f"{tmp_path}/cache", sample_rate=8000)
    assert trial_set.pcm.num_samples(0) == 8000
    assert len(augmenter(f"{dev}/manifest.csv", sample_rate=8000).noises[0]) == 8000


def test_lists_of_one_stem_keep_names_of_their_own(dev, tmp_path) -> None:
    other = recordings(tmp_path / "other", "cd")
    (other / "dev.trials").write_text(PAIRS)
    (dev / "dev.txt").write_text(PAIRS)

    def names(*lists: Path) -> list[str]:
        return [trial_set.name for trial_set in validation_trials([str(path) for path in lists], cache=f"{tmp_path}/cache")]

    assert names(dev / "dev.trials") == ["dev"]
    assert names(dev / "dev.trials", other / "dev.trials") == ["dev/dev", "other/dev"]
    assert names(dev / "dev.trials", dev / "dev.txt") == ["dev.trials", "dev.txt"]
    with pytest.raises(ConfigError, match="named twice"):
        names(dev / "dev.trials", dev / ".." / "dev" / "dev.trials")


@pytest.mark.parametrize("label", "01")
def test_a_list_of_one_kind_is_refused_when_it_is_read(dev, tmp_path, label: str) -> None:
    (dev / "dev.trials").write_text(f"{label} c_0.wav c_1.wav\n{label} c_0.wav d_0.wav\n")
    with pytest.raises(DataError, match=r"dev\.trials: all 2 trials") as caught:
        validation_trials(f"{dev}/dev.trials", cache=f"{tmp_path}/cache")
    assert caught.value.code == "E_ONE_CLASS"


def test_labels_in_two_manifests_are_told_and_can_be_kept_apart(train, tmp_path, caplog) -> None:
    other = recordings(tmp_path / "other", "bc")
    with caplog.at_level(logging.WARNING, "voxid"):
        assert corpus_of(train, other).speakers == ["a", "b", "c"]
    assert "1 speaker labels" in caplog.text
    assert "e.g. b:" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "voxid"):
        assert corpus_of(train, other, prefix_speakers=True).speakers == ["0/a", "0/b", "1/b", "1/c"]
    assert not caplog.text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"manifest": []}, "list is empty"),
        ({"manifest": ""}, "empty text"),
        ({"cache": ""}, "empty text"),
        ({"root": ""}, "empty text"),
        ({"workers": -1}, "workers 0 or more"),
        ({"chunk_seconds": float("inf")}, "chunk_seconds"),
        ({"chunk_seconds": float("nan")}, "chunk_seconds"),
        ({"chunk_seconds": 0.00001}, "chunk_seconds"),
        ({"speeds": [1.0, float("nan")]}, "speeds"),
    ],
)
def test_values_out_of_range_are_named(train, tmp_path, change: dict, says: str) -> None:
    arguments = {"manifest": f"{train}/manifest.csv", "cache": f"{tmp_path}/cache"} | change
    with pytest.raises(ConfigError, match=says):
        registry.call(training_corpus, arguments, "data")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"noise_snr_db": 5}, "noise_snr_db must be a list"),
        ({"noise_snr_db": [0]}, "noise_snr_db must be two numbers"),
        ({"noise_prob": "high"}, "noise_prob must be a number"),
        ({"reverb_prob": 1.5}, "reverb_prob must be a share"),
        ({"noise_probs": 0.5}, "did you mean 'noise_prob'"),
        ({"noises": [1]}, "unknown argument 'noises'"),
        ({"noise": ""}, "empty text"),
    ],
)
def test_values_of_the_augmentation_are_named(options: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        registry.call(augmenter, options, "augment")
