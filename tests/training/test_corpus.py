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
from voxid.training.corpus import Corpus, training_corpus
from voxid.training.overlap import refuse_overlap
from voxid.training.sound import augmenter
from voxid.training.validation import validation_trials

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
    assert overlap(train, [dev / "dev.trials"], tmp_path / "cache") is None


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
    assert corpus.sampler(0).samples == [4000]
    assert corpus.dataset.pcm.num_samples(0) == 8000
    (trial_set,) = validation_trials(f"{dev}/dev.trials", cache=f"{tmp_path}/cache", sample_rate=8000)
    assert trial_set.pcm.num_samples(0) == 8000
    assert len(augmenter(f"{dev}/manifest.csv", sample_rate=8000).noises[0]) == 8000


def test_lengths_change_with_the_share_of_the_training(train) -> None:
    corpus = corpus_of(train, batches=10, chunk_seconds=[0.1, 0.2], chunk_schedule=[[0.5, 0.3], [0.75, 0.4]])
    sampler = corpus.sampler(seed=0, epochs=2)
    lengths = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        lengths += [{crop.samples for crop in batch} for batch in sampler]
    assert all(length in ({1600}, {3200}) for length in lengths[:10])
    assert {1600} in lengths[:10]
    assert {3200} in lengths[:10]
    assert lengths[10:] == [{4800}] * 5 + [{6400}] * 5
    assert corpus.dataset[next(iter(sampler))][0].shape == (2, 4800)


def test_the_tail_is_told_before_and_after(train, tmp_path) -> None:
    lines = (train / "manifest.csv").read_text().splitlines()
    (train / "manifest.csv").write_text("\n".join(lines[:4]) + "\n")  # two of a, one of b
    told = corpus_of(train, batches=30, min_utterances=2).balance(seed=0)
    assert (told.corpus.utterances, told.corpus.quantiles["0"]) == (3, 1)
    assert told.drawn.gini == 0.0
    batch = {"batch_size": 6, "speakers_per_batch": 3, "utterances_per_speaker": 2}
    corpus = training_corpus(f"{train}/manifest.csv", cache=f"{tmp_path}/cache", **batch)
    with pytest.raises(DataError, match="speakers_per_batch=3, but there are 2"):
        corpus.balance(seed=0)


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
        ({"workers": -1}, "workers must be 0 or more"),
        ({"chunk_seconds": float("inf")}, "chunk_seconds"),
        ({"chunk_seconds": float("nan")}, "chunk_seconds"),
        ({"chunk_seconds": 0.00001}, "chunk_seconds"),
        ({"chunk_seconds": []}, "a list holds one length or more"),
        ({"chunk_seconds": [2.0, 0.0]}, "chunk_seconds must lie"),
        ({"chunk_seconds": "long"}, "chunk_seconds must be a number or a list of a number"),
        ({"chunk_schedule": [[0.5]]}, "chunk_schedule is a list of"),
        ({"chunk_schedule": [[0.5, 2.0], [0.2, 3.0]]}, "ascending"),
        ({"chunk_schedule": [[1.5, 2.0]]}, "chunk_schedule is a list of"),
        ({"chunk_schedule": [2.0, 3.0]}, "chunk_schedule must be a list of a list of a number"),
        ({"speeds": [1.0, float("nan")]}, "speeds"),
        ({"speeds": [1.0, 1.0]}, "none may come twice"),
        ({"balance": 2}, "balance must lie within 0"),
        ({"balance": 0.5, "max_utterances": 5}, "three ways to balance"),
        ({"min_utterances": 5, "max_utterances": 4}, "min_utterances <= max_utterances"),
        ({"max_utterances": 0}, "min_utterances <= max_utterances"),
        ({"speakers_per_batch": 4}, "go together"),
        ({"speakers_per_batch": 4, "utterances_per_speaker": 2}, "need data.batch_size=8, got 128"),
        ({"speakers_per_batch": 128, "utterances_per_speaker": 1}, "must be 2 or more"),
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
