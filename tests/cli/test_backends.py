"""`voxid train backend` and `voxid score` in the shell: from embeddings to a score file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voxid.cli import main
from voxid.data.embeddings import save_embeddings
from voxid.data.trials import read_trials

SPEAKERS = np.repeat([f"s{number}" for number in range(10)], 6)
NAMES = [f"{speaker}/{number}.wav" for number, speaker in enumerate(SPEAKERS)]
Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run a command in a folder with embeddings, speakers and a list: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(10, 8)).repeat(6, axis=0) * 1.5 + rng.normal(size=(60, 8))).astype(np.float32)
    save_embeddings("one.safetensors", NAMES[:30], rows[:30], {"name": "mine", "sha256": "ab"})
    save_embeddings("two.safetensors", NAMES[30:], rows[30:], {"name": "mine", "sha256": "ab"})
    Path("m.csv").write_text("path,speaker\n" + "".join(f"{name},{who}\n" for name, who in zip(NAMES, SPEAKERS, strict=True)))
    Path("list").write_text(
        "".join(f"{int(SPEAKERS[a] == SPEAKERS[b])} {NAMES[a]} {NAMES[b]}\n" for a in range(9) for b in range(60))
    )

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


FILES = ("--embeddings", "one.safetensors", "two.safetensors")


def test_from_embeddings_to_scores(shell: Shell) -> None:
    train = ("train", "backend", "lda_gplda", *FILES, "--speakers", "m.csv", "-o", "b.safetensors")
    code, out, err = shell(*train, "--set", "lda.dim=4", "plda.iterations=3", "--norm", "as", "--top", 5, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["parts"] == ["center", "length_norm", "lda", "length_norm", "plda", "as-norm"]
    code, out, err = shell("score", "list", *FILES, "--backend", "b.safetensors", "-o", "s.txt", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["num_trials"] == len(read_trials("s.txt")) == 540
    assert 0 <= json.loads(out)["eer"] < 0.5
    code, out, err = shell("score", "list", *FILES, "--backend", "b.safetensors", "--norm", "none", "-o", "s.txt")
    assert (code, err) == (0, "")
    assert "EER" in out


def test_several_enrolments(shell: Shell) -> None:
    Path("spk2utt").write_text(f"anna {NAMES[0]} {NAMES[1]}\nben {NAMES[6]}\n")
    Path("trials").write_text(f"anna {NAMES[2]} target\nben {NAMES[2]} nontarget\n")
    code, out, err = shell("score", "trials", *FILES, "--models", "spk2utt", "--multi", "average", "-o", "s.txt", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["num_enrolments"] == 2
    assert [trial.enrol for trial in read_trials("s.txt")] == ["anna", "ben"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train backend", ["E_USAGE"]),
        ("train backend gplda --speakers m.csv -o b.safetensors", ["E_USAGE", "embeddings"]),
        ("train backend gpldaa --embeddings one.safetensors --speakers m.csv -o b.safetensors", ["E_CONFIG", "gplda"]),
        ("train backend gplda --embeddings one.safetensors --speakers m.csv -o b.safetensors --norm q", ["E_USAGE", "norm"]),
        (
            "train backend gplda --embeddings none.safetensors --speakers m.csv -o b.safetensors",
            ["E_NOT_FILE", "none.safetensors"],
        ),
        ("train backend gplda --embeddings m.csv --speakers m.csv -o b.safetensors", ["E_FORMAT", ".ark"]),
        ("train backend gplda --embeddings one.safetensors --speakers m.csv -o b.bin", ["E_FORMAT", "b.bin"]),
        ("score list -o s.txt", ["E_USAGE", "embeddings"]),
        ("score list --embeddings one.safetensors -o s.txt", ["E_NAMES"]),
        ("score none --embeddings one.safetensors -o s.txt", ["E_NOT_FILE", "none"]),
        (
            "score list --embeddings one.safetensors two.safetensors --backend gplda -o s.txt",
            ["E_NOT_FITTED", "voxid train backend gplda"],
        ),
        ("score list --embeddings one.safetensors two.safetensors --norm as -o s.txt", ["E_COHORT", "--cohort"]),
        ("score list --embeddings one.safetensors two.safetensors --multi sum -o s.txt", ["E_USAGE", "multi"]),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(shell: Shell, line: str, words: list[str]) -> None:
    before = sorted(Path().iterdir())
    code, out, err = shell(*line.split())
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert all(word in err for word in words), err
    assert sorted(Path().iterdir()) == before


def test_recipes_still_go_to_train(shell: Shell) -> None:
    code, out, err = shell("train", "speaker/ecapa")
    assert (code, out) == (2, "")
    assert "unknown recipe" in err


@pytest.mark.parametrize("words", [["train", "--help"], ["train", "backend", "--help"], ["score", "--help"]])
def test_help(shell: Shell, words: list[str]) -> None:
    code, out, err = shell(*words)
    assert (code, err) == (0, "")
    assert " ".join(["voxid", *words[:-1]]) in out
