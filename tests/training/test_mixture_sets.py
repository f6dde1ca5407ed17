"""Mixtures that validation measures on, and that they are none of the training's."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

pytest.importorskip("lightning")

from voxid.data.mixtures import read_mixtures, render
from voxid.errors import ConfigError, DataError
from voxid.training.mixture_sets import validation_mixtures
from voxid.training.overlap import refuse_files, refuse_overlap, tell_shared_noise

RATE = 16000
ENH = {"id": "0", "speech": "a.wav", "start": 0.1, "noise": "n.wav", "noise_start": 0.0, "snr_db": 5.0, "dur": 0.5}
SEP = {"id": "0", "s1": "a.wav", "s1_start": 0.0, "s2": "b.wav", "s2_start": 0.2, "s2_gain_db": 1.0, "dur": 0.5}


@pytest.fixture
def folder(tmp_path) -> Path:
    for number, name in enumerate(("a", "b", "n", "mix")):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(number).uniform(-0.5, 0.5, RATE), RATE)
    (tmp_path / "enh.jsonl").write_text(json.dumps(ENH) + "\n")
    (tmp_path / "sep.jsonl").write_text(json.dumps(SEP) + "\n" + json.dumps(SEP | {"noise": "n.wav", "noise_snr_db": 9.0}) + "\n")
    (tmp_path / "ready.csv").write_text("mixture,s1,s2,s1_speaker,duration_s,split\nmix.wav,a.wav,b.wav,ann,1,dev\n")
    return tmp_path


def test_recipes_are_rendered_as_ever(folder) -> None:
    (found,) = validation_mixtures(f"{folder}/sep.jsonl", num_sources=2, sample_rate=8000)
    assert (found.name, len(found)) == ("sep", 2)
    assert [path.name for path in found.paths] == ["a.wav", "b.wav"]
    assert [path.name for path in found.noises] == ["n.wav"]
    expected = render(read_mixtures(folder / "sep.jsonl")[1], folder, 8000)
    np.testing.assert_array_equal(found.item(1).mixture, expected.mixture)


def test_ready_mixtures_are_whole(folder) -> None:
    (found,) = validation_mixtures([f"{folder}/ready.csv"], where={"split": "dev"}, num_sources=2)
    assert (len(found), found.speakers, len(found.paths)) == (1, ["ann"], 3)
    np.testing.assert_allclose(found.item(0).mixture, soundfile.read(folder / "mix.wav", dtype="float32")[0], atol=1e-6)
    assert found.item(0).sources.shape == (2, RATE)
    rows = {"mixture": "mix.wav", "s1": "a.wav", "duration_s": 1}
    (folder / "rows.jsonl").write_text(json.dumps(rows) + "\n")
    assert len(validation_mixtures([f"{folder}/rows.jsonl"], num_sources=1)) == 1


def test_a_root_for_all_or_one_each(folder, tmp_path_factory) -> None:
    apart = tmp_path_factory.mktemp("apart")
    for name in ("one", "two"):
        (apart / f"{name}.jsonl").write_text((folder / "enh.jsonl").read_text())
    lists = [f"{apart}/one.jsonl", f"{apart}/two.jsonl"]
    assert len(validation_mixtures(lists, str(folder))) == len(validation_mixtures(lists, [str(folder)] * 2)) == 2
    with pytest.raises(ConfigError, match="2 lists of mixtures and 3 roots"):
        validation_mixtures(lists, [str(folder)] * 3)
    with pytest.raises(DataError, match=r"a\.wav is not there \(2 are missing\).*validation\.root=DIR"):
        validation_mixtures(lists)


@pytest.mark.parametrize(
    ("file", "sources", "says"),
    [
        ("enh.jsonl", 2, r"enh\.jsonl:1: a mixture of 1 voices, and the model gives 2"),
        ("sep.jsonl", 1, "a mixture of 2 voices, and the model gives 1"),
        ("ready.csv", 1, "2 sources, asked for 1"),
        ("none.jsonl", 1, "none.jsonl"),
        ("broken.jsonl", 1, "not a JSON object"),
    ],
)
def test_mistakes(folder, file: str, sources: int, says: str) -> None:
    (folder / "broken.jsonl").write_text("{\n")
    with pytest.raises(DataError, match=says):
        validation_mixtures(f"{folder}/{file}", num_sources=sources)


def trained(*speakers: str, prefix: bool = False) -> SimpleNamespace:
    return SimpleNamespace(speakers=list(speakers), prefix_speakers=prefix)


def test_speakers_that_are_trained_on_are_refused(folder) -> None:
    """Who speaks is told by the manifest of the training, rows that it does not take among them; or by the list itself."""
    (folder / "m.csv").write_text("path,speaker,duration\na.wav,ann,1\nb.wav,ben,1\n")
    sets = validation_mixtures(f"{folder}/sep.jsonl", num_sources=2)
    with pytest.raises(DataError, match=r"sep: 1 of its speakers are trained on, e\.g\. ben") as caught:
        refuse_overlap(f"{folder}/m.csv", None, trained("ben", "carl"), sets)
    assert caught.value.code == "E_OVERLAP"
    assert refuse_overlap(f"{folder}/m.csv", None, trained("carl"), sets) is None
    (folder / "other.csv").write_text("path,speaker,duration\nn.wav,carl,1\n")
    told = validation_mixtures(f"{folder}/ready.csv", num_sources=2)
    with pytest.raises(DataError, match=r"e\.g\. ann"):
        refuse_overlap(f"{folder}/other.csv", None, trained("ann"), told)
    assert refuse_overlap(f"{folder}/other.csv", None, trained("0/ann", prefix=True), told) is None


def test_files_that_are_trained_on_are_refused_and_speakers_told(folder, caplog) -> None:
    sets = validation_mixtures(f"{folder}/ready.csv", num_sources=2)
    (folder / "link.wav").symlink_to(folder / "b.wav")
    with pytest.raises(DataError, match=r"ready: 1 of its files are trained on, e\.g\. .*b\.wav") as caught:
        refuse_files([f"{folder}/link.wav"], [], sets)
    assert caught.value.code == "E_OVERLAP"
    with caplog.at_level(logging.WARNING, "voxid"):
        refuse_files([f"{folder}/n.wav"], ["ann", "ben"], sets)
    assert "ready: 1 of its speakers are trained on, e.g. ann" in caplog.text


def test_noise_that_is_trained_on_is_told(folder, caplog) -> None:
    (found,) = validation_mixtures(f"{folder}/enh.jsonl")
    with caplog.at_level(logging.WARNING, "voxid"):
        tell_shared_noise([f"{folder}/b.wav"], found.name, found.noises)
        assert not caplog.text
        tell_shared_noise([f"{folder}/n.wav"], found.name, found.noises)
    assert "enh: 1 of its recordings of noise are trained on" in caplog.text


def test_speakers_of_recipes_that_ready_mixtures_train_on_are_refused(folder) -> None:
    """Who speaks in a recipe is told by manifest.csv in the root of the list."""
    sets = validation_mixtures(f"{folder}/sep.jsonl", num_sources=2)
    refuse_files([f"{folder}/n.wav"], ["ben"], sets)
    (folder / "manifest.csv").write_text("path,speaker,duration\na.wav,ann,1\nb.wav,ben,1\nn.wav,carl,1\n")
    with pytest.raises(DataError, match=r"sep: 1 of its speakers are trained on, e\.g\. ben") as caught:
        refuse_files([f"{folder}/n.wav"], ["ben", "dora"], sets)
    assert caught.value.code == "E_OVERLAP"
    refuse_files([f"{folder}/n.wav"], ["carl"], sets)  # none of its recordings are his


def test_noise_of_ready_mixtures_is_known_and_need_not_be_there(folder, caplog) -> None:
    rows = ["mix.wav,a.wav,b.wav,n.wav,1,dev", "mix.wav,a.wav,b.wav,gone.wav,1,test", "a.wav,a.wav,,,1,dev"]
    (folder / "noisy.csv").write_text("\n".join(["mixture,s1,s2,noise,duration_s,split", *rows]) + "\n")
    (found,) = validation_mixtures(f"{folder}/noisy.csv", where={"split": "dev"}, num_sources=2)
    assert found.noises == [folder / "n.wav"]
    tell_shared_noise([f"{folder}/n.wav"], found.name, found.noises)
    assert "noisy: 1 of its recordings of noise are trained on" in caplog.text
    (found,) = validation_mixtures(f"{folder}/noisy.csv", where={"split": "test"}, num_sources=2)
    assert found.noises == [folder / "gone.wav"]


def test_rows_that_recipes_do_not_have_are_told(folder, caplog) -> None:
    validation_mixtures(f"{folder}/sep.jsonl", num_sources=2)
    assert not caplog.text
    validation_mixtures(f"{folder}/sep.jsonl", where={"split": "dev"}, num_sources=2)
    assert "sep: a list of recipes has no columns, validation.where takes nothing out of it" in caplog.text
