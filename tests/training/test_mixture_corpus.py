"""The data sections of a recipe for enhancement or separation: what is mixed, what is left out, what is refused."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("lightning")

from voxid import registry
from voxid.errors import ConfigError, DataError
from voxid.training.batches import Batches
from voxid.training.mixture_corpus import MixtureCorpus, mixture_corpus
from voxid.training.ready_corpus import check_ready, ready_corpus

RATE = 16000


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three speakers (a pitch each), a recording that is too short, a silent one, a broken one among many; noise and a room."""
    draw, time = np.random.default_rng(0), np.arange(RATE) / RATE
    rows = []
    for number in range(21):
        speaker = number % 3
        tone = 0.3 * np.sin(2 * np.pi * (200 + 200 * speaker) * time)
        sound = {18: tone[:4000], 19: np.zeros(RATE)}.get(number, tone)
        soundfile.write(tmp_path / f"{number}.wav", sound, RATE)
        rows.append(f"{number}.wav,s{speaker},{len(sound) / RATE}")
    (tmp_path / "20.wav").write_bytes(b"nothing to hear")
    (tmp_path / "m.csv").write_text("\n".join(["path,speaker,duration", *rows]) + "\n")
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "a.wav", 0.1 * draw.standard_normal(RATE), RATE)
    soundfile.write(tmp_path / "noise" / "b.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "room.wav", np.r_[0.0, 0.9, np.zeros(300), 0.5], RATE)
    (tmp_path / "noise.csv").write_text("path,duration,split\nnoise/a.wav,1,train\nnoise/b.wav,1,dev\n")
    (tmp_path / "room.csv").write_text("path,duration,split\nroom.wav,0.02,train\n")
    return tmp_path


def corpus_of(folder: Path, **options: Any) -> MixtureCorpus:
    given = {"noise": f"{folder}/noise.csv", "noise_where": {"split": "train"}, "seconds": 0.5, "batch_size": 3, "batches": 2}
    return mixture_corpus(f"{folder}/m.csv", cache=f"{folder}/cache", **({"num_sources": 2} | given | options))


def pitch(waveform: np.ndarray) -> int:
    return round(float(np.abs(np.fft.rfft(waveform)).argmax()) * RATE / len(waveform))


def test_a_batch_is_mixtures_and_their_sources(folder) -> None:
    corpus = corpus_of(folder)
    (first, second) = corpus.sampler(0)
    mixture, sources = corpus.dataset[first]
    assert (mixture.shape, sources.shape) == ((3, 8000), (3, 2, 8000))
    assert all(len({pitch(source) for source in item.numpy()}) == 2 for item in sources)
    again = corpus_of(folder).dataset[first]
    assert all(bool((one == other).all()) for one, other in zip((mixture, sources), again, strict=True))
    assert not bool((corpus.dataset[second][0] == mixture).all())
    assert not bool((corpus_of(folder, seed=1).dataset[first][0] == mixture).all())


def test_what_cannot_be_mixed_is_left_out_and_told(folder, caplog) -> None:
    with caplog.at_level(logging.INFO, "voxid"):
        corpus = corpus_of(folder, min_seconds=0.5)
    assert "speech: 18 recordings, 288000 samples; left out: 1 too short, 1 silent" in caplog.text
    assert "20.wav: E_" in caplog.text
    assert (corpus.recordings, corpus.speakers) == (18, ["s0", "s1", "s2"])
    assert corpus_of(folder, min_seconds=0.1).recordings == 19


def test_the_levels_are_those_of_the_recipe(folder) -> None:
    ratios = []
    dataset = corpus_of(folder, num_sources=1, noise_snr_db=[3.0, 6.0], noise_prob=0.5).dataset
    for number in range(40):
        item = dataset.draw(number)
        if item.noise.any():
            ratios.append(10 * np.log10(np.mean(item.sources[0] ** 2) / np.mean(item.noise**2)))
    assert 8 < len(ratios) < 32
    assert 2.99 < min(ratios) < max(ratios) < 6.01


def test_rooms_are_put_around_the_voices(folder) -> None:
    dry, wet = (
        corpus_of(folder, num_sources=1, responses=f"{folder}/room.csv", reverb_prob=share).dataset.draw(0) for share in (0, 1)
    )
    expected = dry.sources[0] + 0.5 / 0.9 * np.r_[np.zeros(301), dry.sources[0][:-301]]
    expected *= np.linalg.norm(dry.sources[0]) / np.linalg.norm(expected)
    np.testing.assert_allclose(wet.sources[0], expected, atol=1e-3)


def test_noise_is_a_folder_or_several_places(folder) -> None:
    assert len(corpus_of(folder, noise=f"{folder}/noise").noises) == 2
    assert len(corpus_of(folder, noise=[f"{folder}/noise", f"{folder}/noise.csv"]).noises) == 3
    assert not corpus_of(folder, noise=None).dataset.draw(0).noise.any()


def test_noise_and_rooms_of_which_nothing_is_left_are_refused(folder) -> None:
    silent = {"noise_where": {"split": "dev"}}
    with pytest.raises(DataError, match=r"data\.noise: no recording in .*noise\.csv") as caught:
        corpus_of(folder, **silent)
    assert caught.value.code == "E_AUDIO"
    assert not corpus_of(folder, noise_prob=0.0, **silent).dataset.draw(0).noise.any()
    soundfile.write(folder / "room.wav", np.zeros(300), RATE)
    with pytest.raises(DataError, match=r"data\.responses: no recording in .*room\.csv") as caught:
        corpus_of(folder, responses=f"{folder}/room.csv", reverb_prob=0.5)
    assert caught.value.code == "E_AUDIO"


def test_a_silent_response_is_left_out_and_named(folder, caplog) -> None:
    soundfile.write(folder / "dead.wav", np.zeros(300), RATE)
    (folder / "both.csv").write_text("path,duration\nroom.wav,0.02\ndead.wav,0.02\n")
    one, two = (corpus_of(folder, responses=f"{folder}/{name}.csv", reverb_prob=1.0) for name in ("room", "both"))
    assert "dead.wav: a silent impulse response" in caplog.text
    np.testing.assert_array_equal(one.dataset.draw(3).mixture, two.dataset.draw(3).mixture)


def test_where_a_corpus_comes_from_is_told_by_its_files_and_not_by_its_place(folder) -> None:
    origin = corpus_of(folder).origin
    shutil.copytree(folder, folder.parent / "moved")
    assert corpus_of(folder.parent / "moved").origin == origin
    assert corpus_of(folder, noise=f"{folder}/noise").origin["data.noise"] != origin["data.noise"]
    assert corpus_of(folder, responses=f"{folder}/room.csv", reverb_prob=0.5).origin["data.responses"] != origin["data.responses"]


def test_speakers_of_several_manifests_are_told_apart(folder) -> None:
    (folder / "n.csv").write_text("path,speaker,duration\n0.wav,s0,1\n")
    both = {"cache": f"{folder}/cache", "num_sources": 2, "noise": None}
    manifests = [f"{folder}/m.csv", f"{folder}/n.csv"]
    assert len(mixture_corpus(manifests, **both).speakers) == 3
    assert mixture_corpus(manifests, prefix_speakers=True, **both).speakers == ["0/s0", "0/s1", "0/s2", "1/s0"]


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"workers": -1}, ConfigError, "workers must be 0 or more"),
        ({"num_sources": 1, "noise": None}, ConfigError, r"give data\.noise"),
        ({"num_sources": 1, "noise_prob": 0.0}, ConfigError, "noise_prob above 0"),
        ({"num_sources": 4}, DataError, "4 speakers, there are 3"),
        ({"noise_snr_db": [9.0, 3.0]}, ConfigError, "the lower one first"),
        ({"noise_prob": 1.5}, ConfigError, "noise_prob is a share"),
        ({"max_hours": 0.0}, ConfigError, "data: max_hours must be above 0"),
        ({"max_hours": 1e-9, "responses": "ROOM"}, ConfigError, r"raise data\.max_hours"),
        ({"noise": "EMPTY"}, DataError, "no recording in"),
        ({"where": {"speaker": "s9"}}, DataError, "s9"),
    ],
)
def test_mistakes(folder, options: dict, error: type[Exception], says: str) -> None:
    (folder / "empty").mkdir()
    places = {"ROOM": f"{folder}/room.csv", "EMPTY": f"{folder}/empty"}
    with pytest.raises(error, match=says):
        corpus_of(
            folder, **{key: places.get(value, value) if isinstance(value, str) else value for key, value in options.items()}
        )


@pytest.fixture
def ready(tmp_path) -> Path:
    """Five ready-made mixtures, whose samples tell mixture and place; the last one is short and lacks a source."""
    rows = []
    for number in range(5):
        length = 2000 if number == 4 else 12_000
        ramp = np.arange(length) / 20_000 / (number + 1)
        for name, part in (("mix", ramp), ("s1", 0.25 * ramp), ("s2", 0.5 * ramp)):
            soundfile.write(tmp_path / f"{name}{number}.wav", part, RATE, subtype="FLOAT")
        rows.append(f"mix{number}.wav,s1{number}.wav,{'' if number == 4 else f's2{number}.wav'},{length / RATE},train")
    (tmp_path / "r.csv").write_text("\n".join(["mixture,s1,s2,duration_s,split", *rows]) + "\n")
    return tmp_path / "r.csv"


def test_ready_mixtures_come_once_in_each_pass_and_pieces_are_cut_where_they_like(ready) -> None:
    corpus = ready_corpus(str(ready), num_sources=2, seconds=0.25, batch_size=5, batches=3)
    assert (corpus.recordings, len(corpus.ready)) == (5, 14)
    orders, starts = [], []
    for batch in corpus.sampler(0):
        mixture, sources = (x.numpy() for x in corpus.dataset[batch])
        assert (mixture.shape, sources.shape) == ((5, 4000), (5, 2, 4000))
        slopes = np.round(1 / ((mixture[:, 1] - mixture[:, 0]) * 20_000)).astype(int)
        orders.append(slopes.tolist())
        for slope, whole, parts in zip(slopes, mixture, sources, strict=True):
            start = round(float(whole[0]) * 20_000 * slope)
            starts.append(start)
            end = 2000 if slope == 5 else 4000
            np.testing.assert_allclose(whole[:end], (start + np.arange(end)) / 20_000 / slope, atol=1e-6)
            np.testing.assert_allclose(parts[0], 0.25 * whole, atol=1e-6)
            np.testing.assert_allclose(parts[1], 0.0 if slope == 5 else 0.5 * whole, atol=1e-6)
            assert not whole[end:].any()
    assert all(sorted(order) == [1, 2, 3, 4, 5] for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert len(set(starts)) > 8
    assert max(starts) <= 8000


def test_files_that_are_missing_are_told_before_the_training(ready) -> None:
    for number in range(4):
        (ready.parent / f"s2{number}.wav").unlink()
    for number in range(2):
        (ready.parent / f"s1{number}.wav").unlink()
    with pytest.raises(DataError, match=r"6 of 14 files are not there, (\S+\.wav, ){4}\S+\.wav; .*root=DIR") as caught:
        ready_corpus(str(ready), num_sources=2)
    assert caught.value.code == "E_NOT_FILE"


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_process_that_loads_comes_whole(ready, workers: int) -> None:
    corpus = ready_corpus(str(ready), num_sources=2, seconds=0.25, batch_size=5, batches=1, workers=workers)
    (ready.parent / "mix3.wav").write_bytes(b"nothing to hear")
    batches = Batches(corpus, 0, 1, 0)
    batches.trainer = SimpleNamespace(global_rank=0, world_size=1, strategy=SimpleNamespace(root_device=torch.device("cpu")))
    with pytest.raises(DataError) as caught:
        [batches.on_before_batch_transfer(batch, 0) for batch in batches.train_dataloader()]
    assert str(caught.value).startswith(f"{ready}:5: ")
    assert "\n" not in str(caught.value)
    assert caught.value.code == "E_NOT_AUDIO"


def test_a_number_decides_whoever_asks(ready) -> None:
    one, other = (ready_corpus(str(ready), num_sources=2, seconds=0.25, seed=4).dataset for _ in range(2))
    forwards, backwards = [one.draw(n) for n in range(12)], [other.draw(n) for n in reversed(range(12))][::-1]
    assert all(np.array_equal(a.mixture, b.mixture) for a, b in zip(forwards, backwards, strict=True))
    strange = ready_corpus(str(ready), num_sources=2, seconds=0.25, seed=5).dataset
    assert not all(np.array_equal(a.mixture, strange.draw(n).mixture) for n, a in enumerate(forwards))


def test_keys_without_meaning_for_ready_mixtures_are_refused(ready) -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        check_ready({"mixtures": str(ready)}, "m.csv")
    with pytest.raises(ConfigError, match=r"data\.noise_prob goes with mixtures that are made on the fly"):
        check_ready({"mixtures": str(ready), "noise_prob": 1.0}, None)
    with pytest.raises(ConfigError, match="did you mean 'seconds'"):
        registry.call(ready_corpus, {"mixtures": str(ready), "num_sources": 2, "second": 1.0}, "data")
    check_ready({"mixtures": str(ready), "seconds": 1.0}, None)
