"""Rendered mixtures against their definition, computed here from the recordings with soundfile alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voxid.data.mixtures import Enhancement, Rendered, Separation, add, read_mixtures, render
from voxid.errors import DataError

RATE = 16000
SEP: dict[str, Any] = {
    "id": "7", "s1": "a.wav", "s1_start": 0.5, "s2": "b.wav", "s2_start": 0.25, "s2_gain_db": -1.5, "dur": 1.0,
    "same_gender": True,
}  # fmt: skip
ENH: dict[str, Any] = {"id": "8", "speech": "a.wav", "start": 0.5, "noise": "n.wav", "noise_start": 0.1, "snr_db": 5, "dur": 1.0}


def db(waveform: np.ndarray) -> float:
    """RMS in dBFS."""
    return float(10 * np.log10(np.mean(waveform.astype(np.float64) ** 2)))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two voices of 2 s, half a second of noise, and silence; `quiet.wav` sounds in its second half."""
    root = tmp_path_factory.mktemp("corpus")
    draw = np.random.default_rng(5)
    for name, samples, level in (("a", 32000, 0.1), ("b", 32000, 0.02), ("n", 8000, 0.3), ("quiet", 32000, 0.1)):
        waveform = level * draw.uniform(-1, 1, samples)
        waveform[: 16000 if name == "quiet" else 0] = 0
        soundfile.write(root / f"{name}.wav", waveform, RATE, subtype="FLOAT")
    spikes = np.full(32000, 1e-4)
    spikes[::4000] = 0.9
    soundfile.write(root / "spikes.wav", spikes, RATE, subtype="FLOAT")
    soundfile.write(root / "b44.wav", draw.uniform(-0.1, 0.1, 44101), 44100)
    return root


def read(folder: Path, *rows: dict[str, Any]) -> list[Separation | Enhancement]:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return read_mixtures(path)


def one(folder: Path, corpus: Path, row: dict[str, Any]) -> Rendered:
    return render(read(folder, row)[0], corpus)


def test_two_voices(tmp_path: Path, corpus: Path) -> None:
    rendered = one(tmp_path, corpus, SEP)
    assert rendered.mixture.shape == (RATE,)
    assert rendered.sources.shape == (2, RATE)
    assert {x.dtype for x in (rendered.mixture, rendered.sources, rendered.noise)} == {np.dtype(np.float32)}
    np.testing.assert_allclose([db(x) for x in rendered.sources], [-26.0, -27.5], atol=0.001)
    for source, name, start in zip(rendered.sources, "ab", (8000, 4000), strict=True):
        piece = soundfile.read(corpus / f"{name}.wav", start=start, frames=RATE)[0]
        assert np.corrcoef(source, piece)[0, 1] > 1 - 1e-9
    np.testing.assert_allclose(rendered.mixture, rendered.sources.sum(0), atol=1e-6)
    assert not rendered.noise.any()


def test_two_voices_over_looped_noise(tmp_path: Path, corpus: Path) -> None:
    rendered = one(tmp_path, corpus, SEP | {"noise": "n.wav", "noise_snr_db": 12.34})
    noise = rendered.mixture.astype(np.float64) - rendered.sources.sum(0)
    np.testing.assert_allclose(noise, rendered.noise, atol=1e-6)
    assert db(rendered.sources[0]) - db(noise) == pytest.approx(12.34, abs=0.01)
    np.testing.assert_array_equal(rendered.noise[:8000], rendered.noise[8000:])
    assert np.corrcoef(rendered.noise[:8000], soundfile.read(corpus / "n.wav")[0])[0, 1] > 1 - 1e-9


@pytest.mark.parametrize("snr_db", [-5, 0, 20.5])
def test_speech_over_noise(tmp_path: Path, corpus: Path, snr_db: float) -> None:
    rendered = one(tmp_path, corpus, ENH | {"snr_db": snr_db})
    assert rendered.sources.shape == (1, RATE)
    noise = rendered.mixture.astype(np.float64) - rendered.sources[0]
    assert db(rendered.sources[0]) - db(noise) == pytest.approx(snr_db, abs=0.01)
    np.testing.assert_allclose(noise, rendered.noise, atol=1e-6)
    # From 0.1 s to its end, then twice from its beginning, the second time not to the end.
    whole = soundfile.read(corpus / "n.wav")[0]
    assert np.corrcoef(rendered.noise, np.concatenate([whole[1600:], whole, whole])[:RATE])[0, 1] > 1 - 1e-9


def test_a_loud_peak_turns_everything_down(tmp_path: Path, corpus: Path) -> None:
    rendered = one(tmp_path, corpus, SEP | {"s1": "spikes.wav", "noise": "n.wav", "noise_snr_db": 10})
    assert np.abs(rendered.mixture).max() == pytest.approx(0.95, abs=1e-6)
    levels = [db(x) for x in (*rendered.sources, rendered.noise)]
    assert levels[0] < -26.5
    np.testing.assert_allclose(np.array(levels) - levels[0], [0, -1.5, -10], atol=0.01)
    np.testing.assert_allclose(rendered.mixture, rendered.sources.sum(0) + rendered.noise, atol=1e-6)


def test_the_peak_of_the_mixture_counts_not_those_of_its_sources() -> None:
    opposite = add([np.array([2.0, 0.5]), np.array([-2.0, 0.1])])
    np.testing.assert_allclose(opposite.mixture, [0.0, 0.6], atol=1e-7)
    np.testing.assert_allclose(opposite.sources, [[2.0, 0.5], [-2.0, 0.1]])


def test_another_rate_keeps_levels_and_length(tmp_path: Path, corpus: Path) -> None:
    recipe = read(tmp_path, SEP | {"s2": "b44.wav", "s2_start": 0.1, "dur": 0.9, "noise": "n.wav", "noise_snr_db": 3})[0]
    rendered = render(recipe, corpus, 8000)
    assert rendered.mixture.shape == (7200,)
    np.testing.assert_allclose([db(x) for x in (*rendered.sources, rendered.noise)], [-26, -27.5, -29], atol=0.01)


def test_one_sample_lost_to_rounding_is_no_error(tmp_path: Path, corpus: Path) -> None:
    # 44101 frames are 8000.18 samples at 8 kHz; start and length round up to 4001 + 4000.
    recipe = read(tmp_path, SEP | {"s2": "b44.wav", "s2_start": 0.500075, "dur": 0.49994})[0]
    assert render(recipe, corpus, 8000).sources.shape == (2, 4000)


def test_recipes_are_frozen_and_know_their_kind(tmp_path: Path) -> None:
    first, second = read(tmp_path, SEP, ENH)
    assert isinstance(first, Separation)
    assert isinstance(second, Enhancement)
    assert second == Enhancement("8", "a.wav", 0.5, "n.wav", 0.1, 5.0, 1.0)
    assert second.where.endswith("rows.jsonl:2")
    assert hash(first) != hash(second)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"id": ', "not a JSON object"),
        ("[1]", "a JSON list"),
        ("\ud8ff".encode("utf-16", "surrogatepass"), "not a JSON object"),
        (SEP | {"s1_strat": 1.0}, "unknown key 's1_strat': did you mean 's1_start'"),
        (SEP | {"where": "here"}, "unknown key 'where'"),
        (ENH | {"s1": "a.wav"}, "unknown key 's1'"),
        ({"id": "0", "dur": 1.0}, "neither s1 and s2 nor speech"),
        ({key: value for key, value in SEP.items() if key != "s2_start"}, "s2_start missing"),
        (SEP | {"dur": None}, "dur missing"),
        (SEP | {"noise": "n.wav"}, "noise_snr_db missing"),
        (SEP | {"noise_snr_db": 3.0}, "noise missing"),
        (SEP | {"s1": ""}, "s1 is '', expected text"),
        (SEP | {"same_gender": "yes"}, "same_gender is 'yes', expected true or false"),
        (SEP | {"s1_start": -0.1}, "s1_start is '-0.1', expected seconds, 0 or more"),
        (SEP | {"s1_start": "0.1"}, "s1_start is '0.1', expected seconds"),
        (SEP | {"s1_start": True}, "s1_start is 'True', expected seconds"),
        (SEP | {"dur": 0}, "dur is '0', expected seconds above 0"),
        (SEP | {"dur": float("nan")}, "dur is 'nan', expected seconds above 0"),
        (ENH | {"snr_db": float("inf")}, "snr_db is 'inf', expected decibels"),
        (ENH | {"snr_db": 10**400}, "snr_db is '1000"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: str | bytes | dict[str, Any], message: str) -> None:
    text = row if isinstance(row, bytes) else (row if isinstance(row, str) else json.dumps(row)).encode()
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json.dumps(SEP).encode() + b"\n\n" + text + b"\n")
    with pytest.raises(DataError, match=re.escape("rows.jsonl:3: ") + ".*" + re.escape(message)) as caught:
        read_mixtures(path)
    assert caught.value.code == "E_MIXTURES"


def test_a_file_without_recipes(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="no mixture in it"):
        read_mixtures(tmp_path / "empty.jsonl")
    with pytest.raises(DataError, match="no such file"):
        read_mixtures(tmp_path / "missing.jsonl")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (SEP | {"s2": "missing.wav"}, "missing.wav"),
        (SEP | {"s2": "rows.jsonl"}, "rows.jsonl"),
        (SEP | {"s1_start": 2.5}, "a.wav.*behind the end.*begins at 2.5 s"),
        (SEP | {"s1_start": 1.001}, r"a.wav ends at 2.000 s, the piece is from 1.001 to 2.001 s"),
        (SEP | {"s2": "quiet.wav", "s2_start": 0.0}, "quiet.wav is silent from 0 to 1 s"),
        (ENH | {"noise_start": 0.5}, "n.wav.*behind the end"),
        (ENH | {"noise": "quiet.wav", "noise_start": 0.0}, "quiet.wav is silent"),
    ],
)
def test_what_cannot_be_rendered_is_named(tmp_path: Path, corpus: Path, row: dict[str, Any], message: str) -> None:
    recipe = read(tmp_path, SEP, row)[1]
    with pytest.raises(DataError, match="rows.jsonl:2: .*" + message):
        render(recipe, corpus)


@pytest.mark.parametrize("name", ["sep2_dev", "enh_dev"])
def test_shared_recipes(shared: Path, name: str) -> None:
    path = shared / "data" / "protocols" / f"{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    recipes = read_mixtures(path)
    assert [recipe.id for recipe in recipes] == [row["id"] for row in rows]
    for recipe, row in list(zip(recipes, rows, strict=True))[1:60:12]:
        rendered = render(recipe, shared / "data")
        levels = [db(x) for x in rendered.sources]
        assert rendered.mixture.shape == (64000,)
        assert np.abs(rendered.mixture).max() <= 0.95 + 1e-6
        np.testing.assert_allclose(rendered.mixture, rendered.sources.sum(0) + rendered.noise, atol=1e-6)
        if "s2" in row:
            assert levels[1] - levels[0] == pytest.approx(row["s2_gain_db"], abs=0.01)
        snr = row.get("snr_db", row.get("noise_snr_db"))
        if snr is not None:
            assert levels[0] - db(rendered.noise) == pytest.approx(snr, abs=0.01)
        if np.abs(rendered.mixture).max() < 0.94:
            assert levels[0] == pytest.approx(-26, abs=0.01)
