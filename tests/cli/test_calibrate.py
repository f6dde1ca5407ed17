"""`voxid calibrate` and `voxid evaluate` with a back-end, in the shell: from lists to a model, and from score files to ratios."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from voxid.cli import main
from voxid.data.trials import read_trials
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run a command in a folder with a model, a list and score files of two systems: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16, "output_dim": 32}, embedding_dim=8)
    checkpoint.save(net, tmp_path / "m.safetensors", card={"name": "tiny"})
    Path("list").write_text((SAMPLES / "trials.txt").read_text())
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        rows = "".join(f"e{n} t{n} {random.normal(2 * (n < 30)):.4f} {'target' if n < 30 else 'nontarget'}\n" for n in range(300))
        Path(f"{name}.txt").write_text(rows)

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


LISTS = ("--trials", "list", "--root", SAMPLES)


def test_calibrate_evaluate_verify(shell: Shell) -> None:
    code, out, err = shell("calibrate", "m.safetensors", *LISTS, "-o", "c.safetensors", "--p-target", 0.05, 0.1, "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert (said["output"], said["calibration"]["p_target"]) == ("c.safetensors", [0.05, 0.1])
    code, out, err = shell("evaluate", "c.safetensors", *LISTS, "--bootstrap", 0, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["cllr"] == said["lists"][0]["cllr"]
    pair = (SAMPLES / "anna_1.opus", SAMPLES / "ben_1.opus")
    code, out, err = shell("verify", *pair, "--model", "c.safetensors", "--threshold", 0, "--prior", 0.1, "--json")
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert (answer["unit"], answer["prior"]) == ("log-likelihood ratio", 0.1)
    assert answer["probability"] == pytest.approx(1 / (1 + 9 * np.exp(-answer["llr"])))
    code, out, err = shell("calibrate", "m.safetensors", *LISTS, "-o", "c.json", "--quality", "snr_min", "log_duration_max")
    assert (code, err) == (0, "")
    assert out.startswith("written to     c.json\n")
    code, out, err = shell("evaluate", "m.safetensors", *LISTS, "--calibration", "c.json", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["scored_by"] == "cosine, calibrated on list"


def test_calibrate_with_a_back_end_and_a_cohort(shell: Shell) -> None:
    files = sorted(SAMPLES.glob("*.opus"))
    assert shell("embed", *files, "-o", "e.safetensors", "--model", "m.safetensors")[0] == 0
    options = ("--backend", "cosine", "--norm", "as", "--top", 3, "--cohort", "e.safetensors")
    code, out, err = shell("calibrate", "m.safetensors", *LISTS, *options, "-o", "c.safetensors", "--method", "pav", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["scored_by"] == "cosine, as-norm"
    code, out, _ = shell("evaluate", "c.safetensors", *LISTS, "--bootstrap", 0, "--json")
    assert (code, json.loads(out)["scored_by"]) == (0, "cosine, as-norm, calibrated on list")


def test_evaluate_writes_a_page(shell: Shell) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra viz")
    code, out, err = shell("evaluate", "m.safetensors", *LISTS, "--bootstrap", 0, "--report", "r.html", "--plots", "p")
    assert (code, err) == (0, "")
    assert out.startswith("model          tiny")
    assert sorted(path.name for path in Path("p").iterdir()) == [
        "det.png",
        "precision_recall.png",
        "roc.png",
        "score_histogram.png",
    ]
    assert Path("r.html").read_text().count("<img ") == 4


def test_scores_to_a_fusion_and_to_ratios(shell: Shell) -> None:
    code, out, err = shell("calibrate", "scores", "a.txt", "b.txt", "-o", "f.json", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["calibration"]["systems"] == ["a", "b"]
    code, out, err = shell("calibrate", "apply", "f.json", "a.txt", "b.txt", "-o", "llr.txt")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "written to     llr.txt: 300 trials"
    assert len(read_trials("llr.txt")) == 300


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("calibrate m.safetensors --root . -o c.json", ["E_USAGE", "trials"]),
        ("calibrate m.safetensors --trials list -o c.json", ["E_USAGE", "root"]),
        ("calibrate m.safetensors --trials list --root .", ["E_USAGE", "output"]),
        ("calibrate m.safetensors --trials list --root . -o c.txt", ["E_FORMAT", ".safetensors", ".json"]),
        ("calibrate m.safetensors --trials list --root . -o c.json", ["E_NOT_FILE", "6 of 6 recordings"]),
        ("calibrate m.safetensors --trials none --root . -o c.json", ["E_NOT_FILE", "none"]),
        ("calibrate m.safetensors --trials list --root SAMPLES -o c.json --norm as", ["E_COHORT", "--cohort"]),
        ("calibrate m.safetensors --trials list --root SAMPLES -o c.json --norm q", ["E_USAGE", "norm"]),
        ("calibrate m.safetensors --trials list --root SAMPLES -o c.json --quality snr", ["E_CONFIG", "did you mean 'snr_m"]),
        ("calibrate m.safetensors --trials list --root SAMPLES -o c.json --quality cohort_std_max", ["E_COHORT", "--norm as"]),
        ("calibrate m.safetensors --trials list --root SAMPLES -o c.json --p-target 1", ["E_CONFIG", "p_target"]),
        ("calibrate m.safetensors --trials list --root SAMPLES -o c.json --method line", ["E_USAGE", "method"]),
        ("calibrate m.safetensors --trials list --root SAMPLES -o c.json --backend gplda", ["E_NOT_FITTED", "voxid train"]),
        ("calibrate nomodel --trials list --root SAMPLES -o c.json", ["unknown model 'nomodel'"]),
        ("calibrate scores -o c.json", ["E_USAGE", "scores"]),
        ("calibrate scores a.txt list -o c.json", ["E_TRIALS", "no scores in it"]),
        ("calibrate scores a.txt b.txt -o c.json --method pav", ["E_CONFIG", "pav"]),
        ("calibrate scores none.txt -o c.json", ["E_NOT_FILE", "none.txt"]),
        ("calibrate apply none.json a.txt -o s.txt", ["E_NOT_FOUND", "none.json"]),
        ("calibrate apply a.txt a.txt -o s.txt", ["E_FORMAT", "a.txt"]),
        ("evaluate m.safetensors --trials list --root SAMPLES --norm s", ["E_COHORT", "--cohort"]),
        ("evaluate m.safetensors --trials list --root SAMPLES --top 9", ["E_CONFIG", "--norm as"]),
        ("evaluate m.safetensors --trials list --root SAMPLES --calibration m.safetensors", ["E_FORMAT", "voxid calibrate"]),
        ("evaluate m.safetensors --trials list --root SAMPLES --report r.pdf", ["E_FORMAT", ".html or .md"]),
        ("verify a.wav b.wav --model m.safetensors --prior 1", ["E_CONFIG", "prior"]),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(shell: Shell, line: str, words: list[str]) -> None:
    before = sorted(Path().iterdir())
    code, out, err = shell(*(SAMPLES if word == "SAMPLES" else word for word in line.split()))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("voxid: E_")
    assert all(word in err for word in words), err
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("words", [["calibrate", "--help"], ["calibrate", "scores", "--help"], ["calibrate", "apply", "--help"]])
def test_help(shell: Shell, words: list[str]) -> None:
    code, out, err = shell(*words)
    assert (code, err) == (0, "")
    assert " ".join(["voxid", *words[:-1]]) in out
