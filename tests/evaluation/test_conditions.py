"""Noise and enhancement before a trial is scored: on the right side, at the right level, the same for the same recording."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from voxid.audio import io
from voxid.data.trials import Trial
from voxid.errors import ConfigError, DataError
from voxid.evaluation.added_noise import AddedNoise
from voxid.evaluation.evaluate import evaluate
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import embed

RATE = 16000


class Comb(nn.Module):
    """An "enhancer" that cuts every second sample out: its doing is easy to tell."""

    kind: ClassVar[str] = "enhancement"

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate, self.card = RATE, {"name": "comb", "sha256": "cd" * 32}
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        return waveform * (torch.arange(waveform.shape[1]) % 2)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of two noises, one shorter than the recordings, and of one that is silent."""
    root = tmp_path_factory.mktemp("noise")
    random = np.random.default_rng(3)
    lines = ["path,kind,duration_s,split"]
    for name, seconds, level, split in (("long", 3.0, 0.1, "test"), ("short", 0.3, 0.2, "test"), ("none", 1.0, 0.0, "dev")):
        soundfile.write(root / f"{name}.flac", level * random.normal(size=int(seconds * RATE)).clip(-4, 4), RATE)
        lines.append(f"{name}.flac,noise,{seconds},{split}")
    (root / "n.csv").write_text("\n".join(lines) + "\n")
    return root / "n.csv"


def test_noise_is_at_its_level_and_the_same_for_the_same_name(noise: Path) -> None:
    speech = np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)
    where = {"split": "test"}
    five, zero = (AddedNoise(noise, level, where=where, seed=1) for level in (5.0, 0.0))
    for name in ("a.wav", "b.wav", "c/d.wav"):
        added = five(speech, name, RATE) - speech
        assert 10 * np.log10(np.mean(speech.astype(float) ** 2) / np.mean(added.astype(float) ** 2)) == pytest.approx(5, abs=0.01)
        other = zero(speech, name, RATE) - speech  # the same noise, 5 dB louder
        assert np.allclose(other, added * 10 ** (5 / 20), atol=1e-6)
    assert np.array_equal(five(speech, "a.wav", RATE), AddedNoise(noise, 5.0, where=where, seed=1)(speech, "a.wav", RATE))
    assert not np.array_equal(five(speech, "a.wav", RATE), five(speech, "e.wav", RATE))
    assert not np.array_equal(five(speech, "a.wav", RATE), AddedNoise(noise, 5.0, where=where, seed=2)(speech, "a.wav", RATE))
    assert not five(np.zeros(100, np.float32), "a.wav", RATE).any()


def test_silent_noise_is_refused(noise: Path) -> None:
    with pytest.raises(DataError, match="silent") as caught:
        AddedNoise(noise, 5.0, where={"split": "dev"})(np.ones(100, np.float32), "a.wav", RATE)
    assert caught.value.code == "E_NOISE"


@pytest.mark.parametrize(
    ("noise_side", "enhance_side", "enrol_as"),
    [("test", "both", (False, True)), ("both", "test", (True, False)), ("test", "test", (False, False))],
)
def test_each_side_hears_what_was_asked(
    net: SpeakerEncoder, corpus: Path, noise: Path, tmp_path: Path, noise_side: str, enhance_side: str, enrol_as: tuple
) -> None:
    names = ["wav/anna/day0/0.wav", "wav/anna/day1/1.wav", "wav/ben/day0/2.wav"]
    trials = [Trial(names[0], names[1], True), Trial(names[1], names[2], False), Trial(names[0], names[2], False)]
    options = {"noise": noise, "noise_where": {"split": "test"}, "snr": 5.0, "seed": 4}
    result = evaluate(
        net, trials=trials, root=corpus, noise_side=noise_side, enhance=Comb(), enhance_side=enhance_side,
        scores=tmp_path / "s.txt", bootstrap=0, backend="cosine", progress=False, **options,
    )  # fmt: skip
    add = AddedNoise(noise, 5.0, where={"split": "test"}, seed=4)

    def heard(name: str, noisy: bool, enhanced: bool) -> np.ndarray:
        waveform = io.load(corpus / name).waveform
        waveform = add(waveform, name, RATE) if noisy else waveform
        waveform = waveform * (np.arange(len(waveform)) % 2).astype(np.float32) if enhanced else waveform
        return embed((waveform, RATE), model=net).astype(float)

    found = [float(line.split()[2]) for line in (tmp_path / "s.txt").read_text().splitlines()]
    for trial, score in zip(trials, found, strict=True):
        one, two = heard(trial.enrol, *enrol_as), heard(trial.test, True, True)
        assert score == pytest.approx(one @ two / np.linalg.norm(one) / np.linalg.norm(two), abs=1e-4)
    assert result.conditions is not None
    assert (result.conditions["enhancer"]["name"], result.conditions["snr"]) == ("comb", 5.0)
    text = result.describe()
    assert f"at 5 dB on {'both sides' if noise_side == 'both' else 'the test side'}" in text
    assert "comb" in text


def test_none_changes_nothing(net: SpeakerEncoder, corpus: Path) -> None:
    plain, none = (
        evaluate(net, trials=corpus / "list.trials", root=corpus, bootstrap=0, progress=False, **options)
        for options in ({}, {"enhance": "none"})
    )
    assert plain == none
    assert plain.conditions is None


def test_clean_recordings_are_left_alone(net: SpeakerEncoder, corpus: Path) -> None:
    options = {"trials": corpus / "list.trials", "root": corpus, "bootstrap": 0, "progress": False}
    plain = evaluate(net, **options)
    left = evaluate(net, enhance=Comb(), below_snr=-20.0, **options)
    assert left.eer == plain.eer
    assert left.conditions["left_alone"] == left.num_files == 20
    assert "below -20 dB: 20 left as they were" in left.describe()
    mild = evaluate(net, enhance=Comb(), max_attenuation=0.0, **options)  # all of the recording stays
    assert mild.eer == plain.eer


def test_recordings_that_cannot_be_read_are_counted(net: SpeakerEncoder, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    for name in ("wav/anna/day0/0.wav", "wav/anna/day1/1.wav", "wav/ben/day0/2.wav"):
        (tmp_path / Path(name).name).write_bytes((corpus / name).read_bytes())
    trials = [Trial("0.wav", "1.wav", True), Trial("0.wav", "2.wav", False), Trial("2.wav", "bad.wav", False)]
    options = {"trials": trials, "root": tmp_path, "enhance": Comb(), "bootstrap": 0, "progress": False}
    with pytest.raises(DataError, match=r"bad\.wav"):
        evaluate(net, **options)
    result = evaluate(net, on_error="skip", **options)
    assert (result.skipped_files, result.skipped_trials, result.num_trials) == (1, 1, 2)


def test_options_that_change_nothing_are_refused(net: SpeakerEncoder, corpus: Path, noise: Path) -> None:
    for options, said in (
        ({"noise": noise}, "go together"),
        ({"snr": 5.0}, "go together"),
        ({"noise_where": {"split": "test"}}, "name its manifest"),
        ({"max_attenuation": 6.0}, "name a model"),
        ({"enhance": "none", "below_snr": 6.0}, "name a model"),
        ({"enhance": Comb(), "enhance_side": "enrol"}, "'test' or 'both'"),
        ({"enhance": Comb(), "max_attenuation": -1.0}, "max_attenuation"),
        ({"noise": noise, "snr": 1e9}, "within"),
    ):
        with pytest.raises(ConfigError, match=said):
            evaluate(net, trials=corpus / "list.trials", root=corpus, progress=False, **options)
