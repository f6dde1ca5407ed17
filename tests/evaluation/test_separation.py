"""evaluate_separation and evaluate_enhancement: nets of known behaviour on mixtures of known parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch
from fast_bss_eval import si_sdr as reference
from pystoi import stoi as reference_stoi
from torch import Tensor, nn

from voxid.data.mixtures import read_mixtures, render
from voxid.errors import ConfigError, DataError, ModelError
from voxid.evaluation.enhancement import evaluate_enhancement
from voxid.evaluation.separation import evaluate_separation

RATE = 8000
SECONDS = 1.0


class Halves(nn.Module):
    """Gives what lies above and what lies below a fourth of the band, in this order."""

    kind: ClassVar[str] = "separation"

    def __init__(self, num_sources: int = 2) -> None:
        super().__init__()
        self.num_sources, self.sample_rate, self.card = num_sources, RATE, {"name": "halves", "sha256": "ab" * 32}
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        spectrum = torch.fft.rfft(waveform)
        low = torch.arange(spectrum.shape[-1]) < spectrum.shape[-1] // 4
        parts = [torch.fft.irfft(spectrum * keep, waveform.shape[-1]) for keep in (~low, low)]
        return torch.stack(parts + [torch.zeros_like(waveform)] * (self.num_sources - 2), dim=1)


class Low(nn.Module):
    """Keeps what lies below a fourth of the band."""

    kind: ClassVar[str] = "enhancement"

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.sample_rate, self.card = Halves(), RATE, {"name": "low"}

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.inner(waveform)[:, 1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two voices and a noise, each in a band of its own with a little of the others', and lists of their mixtures."""
    root = tmp_path_factory.mktemp("parts")
    random = np.random.default_rng(0)
    frequency = np.fft.rfftfreq(3 * RATE, 1 / RATE)
    for name, low, high in (("a", 100, 800), ("b", 1200, 3500), ("n", 2500, 3900)):
        spectrum = np.fft.rfft(random.normal(size=3 * RATE)) * np.where((frequency > low) & (frequency < high), 1, 0.02)
        envelope = 1 + 0.9 * np.sin(2 * np.pi * (2 + low / 400) * np.arange(3 * RATE) / RATE)
        sound = np.fft.irfft(spectrum) * envelope
        soundfile.write(root / f"{name}.wav", 0.1 * sound / sound.std(), RATE, subtype="FLOAT")
    noisy = [
        {"id": f"e{level}", "speech": "a.wav", "start": 0.5, "noise": "n.wav", "noise_start": 0, "snr_db": level, "dur": SECONDS}
        for level in (10, -5, 10)
    ]
    mixed = {"s1": "a.wav", "s1_start": 0, "s2": "b.wav", "s2_start": 0.5, "s2_gain_db": -1, "dur": SECONDS}
    pairs = [
        mixed | {"id": "0", "same_gender": True},
        mixed | {"id": "1", "same_gender": False, "noise": "n.wav", "noise_snr_db": 10, "s1_start": 1},
    ]
    (root / "enh.jsonl").write_text("\n".join(map(json.dumps, noisy)))
    (root / "sep.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    return root


def ours(net: nn.Module, mixture: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return net(torch.from_numpy(mixture)[None])[0].numpy().astype(np.float64)


def test_separation_is_measured_in_the_best_order(corpus: Path, tmp_path: Path) -> None:
    net = Halves()
    result = evaluate_separation(
        net, mixtures=corpus / "sep.jsonl", root=corpus, metrics=["si_sdr", "stoi"], rows=tmp_path / "r.csv", progress=False
    )
    assert [row.source for row in result.rows] == [1, 2, 1, 2]
    for recipe, rows in zip(read_mixtures(corpus / "sep.jsonl"), (result.rows[:2], result.rows[2:]), strict=True):
        made = render(recipe, corpus, RATE)
        low_first = ours(net, made.mixture)[::-1]  # the voice of the low band is the first source
        for row, target, estimate in zip(rows, made.sources.astype(np.float64), low_first, strict=True):
            after = float(reference(target[None], estimate[None], zero_mean=True)[0])
            before = float(reference(target[None], made.mixture[None].astype(np.float64), zero_mean=True)[0])
            assert row.after["si_sdr"] == pytest.approx(after, abs=1e-3)
            assert row.before["si_sdr"] == pytest.approx(before, abs=1e-3)
            assert row.after["stoi"] == pytest.approx(reference_stoi(target, estimate, RATE), abs=1e-3)
    assert result.groups[-1].figures["si_sdr"].improvement > 8
    assert [(group.name, group.num_rows) for group in result.groups] == [
        ("no noise", 2), ("noise", 2), ("same gender", 2), ("two genders", 2), ("all", 4)
    ]  # fmt: skip
    assert (result.sample_rate, result.model["name"], result.num_silent) == (RATE, "halves", 0)
    assert (tmp_path / "r.csv").read_text().count("\n") == 5


def test_enhancement_is_measured_by_snr(corpus: Path) -> None:
    net = Low()
    result = evaluate_enhancement(net, mixtures=corpus / "enh.jsonl", root=corpus, metrics=["si_sdr"], progress=False)
    assert [(group.name, group.num_rows) for group in result.groups] == [("-5 dB", 1), ("10 dB", 2), ("all", 3)]
    recipe = read_mixtures(corpus / "enh.jsonl")[1]
    made = render(recipe, corpus, RATE)
    expected = float(reference(made.sources.astype(np.float64), ours(net, made.mixture)[None], zero_mean=True)[0])
    low = result.groups[0].figures["si_sdr"]
    assert low.after == pytest.approx(expected, abs=1e-3)
    assert low.before == pytest.approx(-5.0, abs=0.3)
    assert evaluate_enhancement(
        net, mixtures=corpus / "enh.jsonl", root=corpus, metrics=["si_sdr"], limit=2, progress=False
    ).num_mixtures == 2  # fmt: skip


def ready(corpus: Path, folder: Path, sources: list[list[str]], noise: float) -> Path:
    """A manifest of mixtures of the voices that each row names; "" is a silent source."""
    lines = ["mixture," + ",".join(f"s{n + 1}" for n in range(len(sources[0]))) + ",duration_s,split,id"]
    hiss = noise * np.random.default_rng(1).normal(size=RATE)
    for number, names in enumerate(sources):
        parts = [soundfile.read(corpus / f"{name}.wav", frames=RATE)[0] for name in names if name]
        soundfile.write(folder / f"mix{number}.wav", sum(parts) + hiss, RATE, subtype="FLOAT")
        cells = [str(folder / f"{name}.wav") if name else "" for name in names]
        for name, part in zip([name for name in names if name], parts, strict=True):
            soundfile.write(folder / f"{name}.wav", part, RATE, subtype="FLOAT")
        lines.append(f"mix{number}.wav,{','.join(cells)},1.0,{'test' if number else 'dev'},m{number}")
    (folder / "ready.csv").write_text("\n".join(lines) + "\n")
    return folder / "ready.csv"


def test_ready_mixtures_with_silent_sources(corpus: Path, tmp_path: Path) -> None:
    manifest = ready(corpus, tmp_path, [["a", "b"], ["a", ""]], 0.0)
    result = evaluate_separation(Halves(3), mixtures=manifest, metrics=["si_sdr"], progress=False)
    assert result.num_silent == 1
    assert [(group.name, group.num_rows) for group in result.groups] == [
        ("no noise", 3), ("1 voice", 1), ("2 voices", 2), ("all", 3)
    ]  # fmt: skip
    alone = result.groups[1].figures["si_sdr"]
    assert (alone.before, alone.improvement, alone.count, alone.compared) == (None, None, 1, 0)
    assert alone.after > 10
    picked = evaluate_separation(Halves(), mixtures=manifest, where={"split": "dev"}, metrics=["si_sdr"], progress=False)
    assert [row.id for row in picked.rows] == ["m0", "m0"]


def test_ready_noisy_speech_goes_by_its_measured_snr(corpus: Path, tmp_path: Path) -> None:
    manifest = ready(corpus, tmp_path, [["a"], ["a"]], 0.0316)  # 0.1 to 0.0316: about 10 dB
    result = evaluate_enhancement(Low(), mixtures=manifest, metrics=["si_sdr"], progress=False)
    level = result.rows[0].before["si_sdr"]
    low = 5 * np.floor(level / 5)
    assert [group.name for group in result.groups] == [f"{low:g} to {low + 5:g} dB", "all"]


RATIO = ("si_sdr",)  # needs no extra


def test_what_does_not_fit_is_said_before_the_work(corpus: Path, tmp_path: Path) -> None:
    sep, enh = corpus / "sep.jsonl", corpus / "enh.jsonl"
    with pytest.raises(DataError, match="a recipe for enhancement, expected one for separation"):
        evaluate_separation(Halves(), metrics=RATIO, mixtures=enh, root=corpus)
    with pytest.raises(DataError, match="a recipe for separation, expected one for enhancement"):
        evaluate_enhancement(Low(), metrics=RATIO, mixtures=sep, root=corpus)
    with pytest.raises(ModelError, match="enhancement"):
        evaluate_separation(Low(), metrics=RATIO, mixtures=sep, root=corpus)
    with pytest.raises(ConfigError, match="root"):
        evaluate_separation(Halves(), metrics=RATIO, mixtures=sep)
    with pytest.raises(ConfigError, match="where"):
        evaluate_separation(Halves(), metrics=RATIO, mixtures=sep, root=corpus, where={"split": "test"})
    with pytest.raises(ConfigError, match="limit"):
        evaluate_separation(Halves(), metrics=RATIO, mixtures=sep, root=corpus, limit=0)
    three = ready(corpus, tmp_path, [["a", "b", "n"]], 0.0)
    with pytest.raises(DataError, match="3 sources, and the model gives 2"):
        evaluate_separation(Halves(), metrics=RATIO, mixtures=three)
    with pytest.raises(DataError, match="measured on one voice"):
        evaluate_enhancement(Low(), metrics=RATIO, mixtures=three)
    (tmp_path / "bad.jsonl").write_text("{no")
    with pytest.raises(DataError, match=r"bad\.jsonl:1"):
        evaluate_separation(Halves(), metrics=RATIO, mixtures=tmp_path / "bad.jsonl", root=corpus)
