"""`voxid evaluate` in the shell: enhancement, separation, and trials with noise and an enhancer before them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from voxid.cli import main
from voxid.models import checkpoint
from voxid.models.enhancement.phasen import Phasen
from voxid.models.separation.sudormrf import SuDoRMRF
from voxid.models.speaker.encoder import SpeakerEncoder

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
Shell = Callable[..., tuple[int, str, str]]
LISTS = ("--trials", SAMPLES / "trials.txt", "--root", SAMPLES, "--bootstrap", 0, "--json")


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run a command in a folder with tiny models, a noise, and lists of mixtures: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    speaker = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16, "output_dim": 32}, embedding_dim=8)
    little = {"channels": 4, "phase_channels": 2, "blocks": 1, "recurrent": 4, "dense": 4, "squeeze": 1}
    checkpoint.save(speaker, tmp_path / "m.safetensors", card={"name": "tiny"})
    checkpoint.save(Phasen("small", **little), tmp_path / "e.safetensors", card={"name": "e"})
    checkpoint.save(SuDoRMRF("0.25x", channels=8, hidden=16), tmp_path / "s.safetensors", card={"name": "s"})
    random = np.random.default_rng(0)
    for name in ("a", "b", "n"):
        soundfile.write(f"{name}.wav", 0.1 * random.normal(size=16000).clip(-3, 3), 16000)
    Path("n.csv").write_text("path,duration_s,split\nn.wav,1.0,test\n")
    part = {"start": 0, "noise": "n.wav", "noise_start": 0, "dur": 0.5}
    Path("enh.jsonl").write_text(json.dumps({"id": "0", "speech": "a.wav", "snr_db": 5} | part))
    pair = {"id": "0", "s1": "a.wav", "s1_start": 0, "s2": "b.wav", "s2_start": 0, "s2_gain_db": 0, "dur": 0.5}
    Path("sep.jsonl").write_text(json.dumps(pair))

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def test_enhancement(shell: Shell) -> None:
    code, out, _ = shell(
        "evaluate", "enhancement", "e.safetensors", "--mixtures", "enh.jsonl", "--root", ".", "--metrics", "si_sdr", "stoi",
        "--max-attenuation", 0, "-o", "o.json", "--rows", "r.csv", "--report", "p.html", "--json",
    )  # fmt: skip
    assert code == 0
    said = json.loads(out)
    assert said == json.loads(Path("o.json").read_text())
    assert [group["name"] for group in said["groups"]] == ["5 dB", "all"]
    figure = said["groups"][0]["figures"]["si_sdr"]
    assert figure["after"] == pytest.approx(figure["before"])  # nothing may be taken away
    assert Path("r.csv").read_text().startswith("id,source,seconds,groups,si_sdr_before,si_sdr_after,stoi_before,stoi_after\n")
    assert "<h1>Enhancement: e on enh.jsonl</h1>" in Path("p.html").read_text()


def test_separation(shell: Shell) -> None:
    arguments = ("evaluate", "separation", "s.safetensors", "--mixtures", "sep.jsonl", "--root", ".", "--metrics", "si_sdr")
    code, out, err = shell(*arguments, "--no-tracking", "--limit", 1)
    assert code == 0
    assert "no noise" in out
    assert "SI-SDR dB" in out
    assert "measure" in err  # the bar
    code, out, err = shell(*arguments[:3], "--mixtures", "enh.jsonl", "--root", ".")
    assert (code, out) == (2, "")
    assert err.startswith("voxid: E_MIXTURES: enh.jsonl:1: a recipe for enhancement")
    assert err.count("\n") == 1


def test_trials_with_noise_and_an_enhancer(shell: Shell) -> None:
    code, out, _ = shell("evaluate", "m.safetensors", *LISTS)
    plain = json.loads(out)
    assert (code, plain["conditions"]) == (0, None)
    noise = ("--noise", "n.csv", "--noise-where", "split=test", "--snr", 0, "--noise-side", "both")
    code, out, _ = shell("evaluate", "m.safetensors", *LISTS, *noise, "--enhance", "e.safetensors", "--enhance-side", "test")
    said = json.loads(out)
    assert code == 0
    assert said["conditions"]["snr"] == 0.0
    assert said["conditions"]["enhancer"]["name"] == "e"
    assert said["num_trials"] == plain["num_trials"]
    code, out, err = shell("evaluate", "m.safetensors", *LISTS, "--below-snr", 5)
    assert (code, out) == (2, "")
    assert "--enhance" in err
