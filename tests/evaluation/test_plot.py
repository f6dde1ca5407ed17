"""The verb plot: files in, a figure in a file out, and one clear line for what cannot be drawn."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from torch.utils.tensorboard import SummaryWriter

import voxid
from voxid.cli import main
from voxid.data.embeddings import save_embeddings
from voxid.data.trials import Trial, write_trials
from voxid.errors import AudioError, ConfigError, DataError, VoxidError
from voxid.evaluation.plot import KINDS
from voxid.evaluation.plot_scores import read_systems
from voxid.evaluation.run_curves import read_curves

pytest.importorskip("matplotlib", reason="figures need the extra viz")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """A folder with what each kind of plot takes."""
    folder = tmp_path_factory.mktemp("inputs")
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        soundfile.write(folder / f"{name}.wav", draw.normal(0, 0.1, (8000, 2)), 8000)
        rows = [Trial(f"x{n}", f"y{n}", n < 20, float(draw.normal(2 * (n < 20)))) for n in range(120)]
        write_trials(folder / f"{name}.txt", rows, format="wespeaker")
        made = folder / f"run_{name}"
        made.mkdir()
        epochs = [{"epoch": n, "step": 10 * n, "lr": 0.1 / n, "loss": 5 / n, "eer": 0.1 if n < 4 else 0.05} for n in range(1, 6)]
        (made / "metrics.json").write_text(json.dumps({"epochs": epochs}))
        (folder / f"{name}.rttm").write_text(
            "SPEAKER r 1 0 2.5 <NA> <NA> anna <NA> <NA>\nSPEAKER r 1 2 2 <NA> <NA> ben <NA> <NA>\n"
        )
    names = [f"c/{n}.wav" for n in range(12)]
    save_embeddings(folder / "e.safetensors", names, draw.normal(size=(12, 6)), {})
    lines = [f"{n}.wav,spk{n % 3},1.0,{'fr' if n < 6 else 'de'}" for n in range(12)]
    (folder / "c").mkdir()
    (folder / "c" / "m.csv").write_text("\n".join(["path,speaker,duration,lang", *lines]) + "\n")
    (folder / "p.csv").write_text("path,speaker,predicted\n1.wav,anna,anna\n2.wav,anna,ben\n3.wav,ben,ben\n")
    return folder


FILES = {
    "waveform": ["a.wav"],
    "spectrogram": ["a.wav"],
    "spectrogram_3d": ["a.wav"],
    "enhancement": ["a.wav", "b.wav"],
    "roc": ["a.txt", "b.txt"],
    "det": ["a.txt", "b.txt"],
    "precision_recall": ["a.txt", "b.txt"],
    "score_histogram": ["a.txt"],
    "calibration": ["a.txt", "b.txt"],
    "confusion_matrix": ["p.csv"],
    "embedding_map": ["e.safetensors"],
    "training_curves": ["run_a", "run_b"],
    "timeline": ["a.rttm", "b.rttm"],
}
Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(inputs: Path, capsys, monkeypatch) -> Shell:
    monkeypatch.chdir(inputs)

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["plot", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_every_kind_is_tried_here() -> None:
    assert set(FILES) == set(KINDS)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", sorted(FILES))
def test_a_kind_draws_its_files_in_python_and_in_the_shell(shell: Shell, inputs: Path, tmp_path: Path, kind: str) -> None:
    made = voxid.plot(kind, *(inputs / name for name in FILES[kind]), output=tmp_path / "python.png", dpi=60)
    assert (made.kind, made.output, made.format) == (kind, str(tmp_path / "python.png"), "png")
    code, out, err = shell(kind.replace("_", "-"), *FILES[kind], "-o", tmp_path / "shell.png", "--dpi", "60", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"kind": kind, "output": str(tmp_path / "shell.png"), "format": "png"}
    assert (tmp_path / "python.png").read_bytes() == (tmp_path / "shell.png").read_bytes()
    assert (tmp_path / "shell.png").read_bytes().startswith(b"\x89PNG")


OPTIONS = {
    "waveform": ["--labels", "left", "right", "--offset", "0.2", "--duration", "0.3", "--title", "words"],
    "spectrogram": ["--max-frequency", "2000", "--dynamic-range", "50", "--offset", "0.1"],
    "spectrogram-3d": ["--max-frequency", "2000", "--duration", "0.5"],
    "enhancement": ["--labels", "noisy", "clean", "--max-frequency", "3000"],
    "roc": ["--log", "--labels", "one", "two"],
    "det": ["--p-target", "0.05"],
    "score-histogram": ["--threshold", "0.7", "--unit", "cosine"],
    "calibration": ["--p-target", "0.1"],
    "confusion-matrix": ["--normalize"],
    "embedding-map": ["--manifest", "c/m.csv", "--by", "lang", "--method", "tsne", "--top", "1", "--no-names", "--seed", "3"],
    "training-curves": ["--labels", "one", "two"],
    "timeline": ["--recording", "r", "--start", "1", "--end", "3"],
}


@pytest.mark.parametrize("kind", sorted(OPTIONS))
def test_options_change_the_figure(shell: Shell, tmp_path: Path, kind: str) -> None:
    files = FILES[kind.replace("-", "_")]
    assert shell(kind, *files, "-o", tmp_path / "plain.svg")[0] == 0
    code, out, err = shell(kind, *files, *OPTIONS[kind], "-o", tmp_path / "asked.svg")
    assert (code, err, out) == (0, "", f"{tmp_path}/asked.svg\n")

    def shapes(name: str) -> list[str]:
        return re.findall(r' d="(.*?)"', (tmp_path / name).read_text(), re.S)

    assert shapes("plain.svg") != shapes("asked.svg")


REFUSED = [
    (["waveform", "none.wav"], "E_NOT_FILE|E_NOT_FOUND", "none.wav"),
    (["waveform", "p.csv"], "E_", "p.csv"),
    (["waveform", "a.wav", "--labels", "one"], "E_CONFIG", "expected 2"),
    (["spectrogram", "a.wav", "--max-frequency", "9000"], "E_CONFIG", "100 ... 4000 Hz"),
    (["roc"], "E_CONFIG", "name one score file"),
    (["roc", "p.csv"], "E_TRIALS", "p.csv"),
    (["roc", "a.txt", "--labels", "one", "two"], "E_CONFIG", "expected 1"),
    (["det", "a.txt", "b.txt", "--labels", "x", "x"], "E_CONFIG", "one name"),
    (["det", "a.txt", "--p-target", "2"], "E_CONFIG", "p_target"),
    (["det", "bare.txt"], "E_TRIALS", "no scores"),
    (["det", "blind.txt"], "E_TRIALS", "no labels"),
    (["det", "targets.txt"], "E_ONE_CLASS", "both classes"),
    (["confusion-matrix", "c/m.csv"], "E_MANIFEST", "predicted"),
    (["embedding-map", "a.txt"], "E_FORMAT", "a.txt"),
    (["embedding-map", "e.safetensors", "--manifest", "other.csv"], "E_NAMES", "other.csv"),
    (["embedding-map", "e.safetensors", "--manifest", "c/m.csv", "--by", "gender"], "E_MANIFEST", "gender"),
    (["training-curves"], "E_CONFIG", "name one run"),
    (["training-curves", "c"], "E_NOT_FILE", "no run folder"),
    (["training-curves", "broken"], "E_FORMAT", "metrics.json"),
    (["timeline", "two.rttm"], "E_CONFIG", "2 recordings"),
    (["timeline", "a.rttm", "two.rttm"], "E_SEGMENTS", "no recording 'r'"),
    (["timeline", "a.rttm", "--start", "9"], "E_CONFIG", "ends at 4 s"),
]


@pytest.mark.parametrize(("words", "code", "said"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_cannot_be_drawn_is_one_line_and_exit_code_2(shell: Shell, inputs: Path, tmp_path: Path, words, code, said) -> None:
    (inputs / "bare.txt").write_text("1 a b\n0 a c\n")
    (inputs / "blind.txt").write_text("a b 0.5\n")
    (inputs / "targets.txt").write_text("a b 0.5 target\n")
    (inputs / "other.csv").write_text("path,speaker,duration\nz.wav,anna,1.0\n")
    (inputs / "two.rttm").write_text("SPEAKER s 1 0 1 <NA> <NA> a <NA> <NA>\nSPEAKER t 1 0 1 <NA> <NA> a <NA> <NA>\n")
    (inputs / "broken").mkdir(exist_ok=True)
    (inputs / "broken" / "metrics.json").write_text('{"epochs": [{"loss": 1}]}')
    answer, out, err = shell(*words, "-o", tmp_path / "f.png")
    assert (answer, out) == (2, "")
    assert err.count("\n") == 1
    assert re.match(f"voxid: (?:{code})", err), err
    assert said in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "said"), [("f.jpg", ".png, .svg, .pdf"), ("none/f.png", "none"), ("c", "choose one of these")]
)
def test_a_place_that_cannot_be_written_is_said_before_the_work(shell: Shell, output: str, said: str) -> None:
    code, out, err = shell("waveform", "missing.wav", "-o", output)
    assert (code, out) == (2, "")
    assert said in err
    assert "missing.wav" not in err


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (["rock", "a.txt"], {}, "did you mean 'roc'"),
        (["roc", "a.txt"], {"max_frequency": 1}, "unknown argument 'max_frequency'"),
        (["waveform"], {}, "takes audio; got 0"),
        (["enhancement", "a.wav"], {}, "takes before, after; got 1"),
        (["score_histogram", "a.txt", "b.txt"], {}, "takes scores; got 2"),
        (["det", "a.txt"], {"p_target": "much"}, "p_target must be a number"),
    ],
)
def test_python_says_what_a_kind_takes(arguments, options, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        voxid.plot(*arguments, output="f.png", **options)


def test_recordings_need_no_file(tmp_path: Path) -> None:
    silence = (np.zeros(8000), 8000)
    assert voxid.plot("spectrogram-3d", silence, output=tmp_path / "a.pdf").format == "pdf"
    with pytest.raises(AudioError):
        voxid.plot("waveform", (np.zeros(0), 8000), output=tmp_path / "b.pdf")


def test_the_second_recording_is_brought_to_the_rate_of_the_first(inputs: Path, tmp_path: Path) -> None:
    soundfile.write(inputs / "wide.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    made = voxid.plot("enhancement", inputs / "a.wav", inputs / "wide.wav", output=tmp_path / "f.png")
    assert Path(made.output).is_file()


def test_systems_go_by_their_files_and_by_paths_where_names_are_equal(inputs: Path, tmp_path: Path) -> None:
    assert list(read_systems([inputs / "a.txt", inputs / "b.txt"])) == ["a", "b"]
    (tmp_path / "a.txt").write_bytes((inputs / "a.txt").read_bytes())
    assert list(read_systems([inputs / "a.txt", tmp_path / "a.txt"])) == [str(inputs / "a.txt"), str(tmp_path / "a.txt")]
    scores, labels = read_systems([inputs / "a.txt"], ["mine"])["mine"]
    assert (len(scores), labels.sum()) == (120, 20)


def test_curves_of_a_run_are_those_of_its_history(inputs: Path) -> None:
    curves = read_curves(inputs / "run_a")
    assert {name: steps.tolist() for name, (steps, _) in curves.items()}["loss"] == [10, 20, 30, 40, 50]
    assert curves["loss"][1].tolist() == [5 / n for n in range(1, 6)]
    # An EER that is repeated until the next validation is one point, and the last one says how far it holds.
    assert [column.tolist() for column in curves["eer"]] == [[10, 40, 50], [0.1, 0.05, 0.05]]


def test_a_folder_of_tensorboard_events_will_do(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "tensorboard")) as writer:
        for step in range(5):
            writer.add_scalar("train_loss", 1.0 / (step + 1), step)
    steps, values = read_curves(tmp_path)["loss"]
    assert steps.tolist() == [1, 2, 3, 4, 5]
    assert values == pytest.approx([1, 0.5, 1 / 3, 0.25, 0.2])


@pytest.mark.parametrize("name", ["metrics.json", "tensorboard/events.out.tfevents.0"])
def test_files_that_are_no_run_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(DataError):
        read_curves(tmp_path)


def test_without_matplotlib_the_extra_is_named_before_the_work(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(VoxidError, match=r"voxid\[viz\]"):
        voxid.plot("waveform", "missing.wav", output=tmp_path / "f.png")


def test_scores_are_drawn_without_torch() -> None:
    code = "import sys, voxid.evaluation.plot_scores, voxid.evaluation.plot_results; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    assert {"torch", "sklearn", "matplotlib", "tensorboard"} & set(loaded) == set()
