"""The shell's door: fast help, one clear line and exit code 2 for a user's mistake, JSON and nothing else on stdout."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from voxid.cli import main
from voxid.errors import ModelError
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "samples"
ANNA, BEN = str(SAMPLES / "anna_1.opus"), str(SAMPLES / "ben_1.opus")
Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Run a command in an empty folder: exit code, stdout, stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    log = logging.getLogger("voxid")
    handlers = list(log.handlers)
    # Loggers of libraries keep the stderr of the test that imported them.
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    yield run
    for handler in [handler for handler in log.handlers if handler not in handlers]:
        log.removeHandler(handler)
        handler.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights: fit for every path through the shell, and for no real answer."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    checkpoint.save(SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16}), path, card={"name": "tiny"})
    return path


def refused(answer: tuple[int, str, str], *words: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr with these words in it."""
    code, out, err = answer
    assert (code, out) == (2, "")
    assert err.startswith("voxid: E_")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def refused_at_work(answer: tuple[int, str, str], *words: str) -> None:
    """The same behind log lines and progress bars: what went wrong is the last line."""
    code, out, err = answer
    assert (code, out) == (2, "")
    assert [line for line in err.splitlines() if line.startswith("voxid: E_")] == err.splitlines()[-1:]
    assert "Traceback" not in err
    for word in words:
        assert word in err.splitlines()[-1]


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize("what", ["import voxid", "import voxid.cli", "from voxid.cli import main; main(['--help'])"])
def test_the_door_opens_without_the_heavy_parts(what: str) -> None:
    code = f"import sys\ntry:\n    {what}\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    loaded = set(python(code).stderr.split())
    assert "voxid" in loaded
    assert loaded & {"torch", "scipy", "sklearn", "lightning", "numpy", "omegaconf", "soundfile"} == set()


@pytest.mark.parametrize("verb", ["info", "embed", "verify", "evaluate", "prepare", "train", "models"])
def test_each_verb_has_help(shell: Shell, verb: str) -> None:
    code, out, err = shell(verb, "--help")
    assert (code, err) == (0, "")
    assert f"voxid {verb}" in out


def test_version(shell: Shell) -> None:
    import voxid

    assert shell("--version")[:2] == (0, f"{voxid.__version__}\n")


def test_exit_code_of_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voxid.cli", "info", "nope.wav"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    refused((done.returncode, done.stdout, done.stderr), "nope.wav")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("unbuffered", ["", "1"])  # the pipe breaks at the end, or at once
def test_a_closed_pipe_is_no_error(unbuffered: str) -> None:
    code = "import sys\nfrom voxid.cli import main\nsys.exit(main(['models', 'recipes']))"
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, cwd=ROOT, env=environment)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert (process.stderr.read(), process.wait()) == (b"", 0)
    process.stderr.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["enroll"], ["enroll"]),
        (["verifi", "a.wav", "b.wav"], ["verify"]),
        (["info"], ["file"]),
        (["info", "a.wav", "--loud"], ["--loud"]),
        (["verify", "a.wav"], ["test"]),
        (["verify", "a.wav", "b.wav", "--far", "much"], ["far", "much"]),
        (["embed", "a.wav"], ["output"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_usage(shell: Shell, arguments: list[str], words: list[str]) -> None:
    refused(shell(*arguments), "E_USAGE", *words)


@pytest.mark.parametrize("verb", ["info", "verify", "embed", "evaluate", "prepare", "train"])
def test_a_missing_file(shell: Shell, model: Path, verb: str) -> None:
    commands: dict[str, list[Any]] = {
        "info": ["info", "nope.wav"],
        "verify": ["verify", "nope.wav", ANNA, "--model", model, "--threshold", "0.5"],
        "embed": ["embed", "nope.wav", "-o", "out.safetensors", "--model", model],
        "evaluate": ["evaluate", model, "--trials", "nope.txt", "--root", "."],
        "prepare": ["prepare", "nope", "-o", "out.csv"],
        "train": ["train", "nope.yaml"],
    }
    refused_at_work(shell(*commands[verb]), "nope")
    assert list(Path().iterdir()) == []


def test_an_empty_folder(shell: Shell) -> None:
    Path("empty").mkdir()
    refused(shell("prepare", "empty", "-o", "out.csv"), "E_EMPTY", "empty")
    assert [path.name for path in Path().iterdir()] == ["empty"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["speaker/ecapa"], ["unknown recipe", "did you mean 'speaker/ecapa_tdnn"]),
        (["speaker/ecapa_tdnn", "manifest=a.csv", "modle.name=x"], ["unknown key modle", "did you mean 'model'"]),
        (["speaker/ecapa_tdnn", "manifest=a.csv", "trainer.epoch=3"], ["unknown key trainer.epoch", "did you mean 'epochs'"]),
        (["speaker/ecapa_tdnn", "manifest=a.csv", "seed"], ["key=value", "'seed'"]),
        (["speaker/ecapa_tdnn", "manifest=a.csv", "seed=[1"], ["seed=[1"]),
        (["speaker/ecapa_tdnn"], ["manifest must be given"]),
    ],
    ids=["recipe", "key", "inner key", "no value", "no yaml", "missing"],
)
def test_train_refuses_before_it_starts(shell: Shell, arguments: list[str], words: list[str]) -> None:
    refused(shell("train", *arguments), "E_CONFIG", *words)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("data.batch_siz=3", "did you mean 'batch_size'"),
        ("loss.margn=0.1", "did you mean 'margin'"),
        ("model.backbone.name=ecapa", "did you mean 'ecapa_tdnn'"),
        ("optimizer.name=adamm", "did you mean 'adam"),
        ("schedule.name=cosin", "did you mean 'cosine'"),
        ("data.batch_size=many", "batch_size"),
        ("trainer.epochs=many", "epochs"),
        ("trainer.epochs=0", "epochs"),
        ("seed=x", "seed"),
    ],
)
def test_train_refuses_what_a_part_does_not_take(shell: Shell, corpus: list[str], override: str, word: str) -> None:
    refused_at_work(shell("train", *corpus, override), "E_CONFIG", word)
    assert not Path("run", "model.safetensors").exists()


def test_an_unknown_model(shell: Shell) -> None:
    refused(shell("verify", ANNA, BEN, "--model", "ecapa_tdn"), "unknown model 'ecapa_tdn'")


def test_an_unknown_device(shell: Shell, model: Path) -> None:
    refused(shell("verify", ANNA, BEN, "--model", model, "--device", "gpux"), "gpux", "auto")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "bare"])
def test_a_pickle_is_refused_and_never_opened(shell: Shell, name: str, zipped: bool) -> None:
    marker = Path("marker").absolute()
    torch.save({"weights": Trap(marker)}, name, _use_new_zipfile_serialization=zipped)
    refused(shell("verify", ANNA, BEN, "--model", Path(name).absolute(), "--threshold", "0.5"), "pickle", ".safetensors")
    assert not marker.exists()
    torch.load(io.BytesIO(Path(name).read_bytes()), weights_only=False)
    assert marker.exists()  # the trap was set


def test_a_model_whose_weights_do_not_fit(shell: Shell, model: Path) -> None:
    with safe_open(model, framework="pt") as file:
        metadata = dict(file.metadata())
    tensors = load_file(model)
    name = next(iter(tensors))
    save_file(tensors | {name: torch.zeros(3)}, "odd.safetensors", metadata=metadata)
    refused(shell("verify", ANNA, BEN, "--model", "odd.safetensors"), "E_SHAPE", "odd.safetensors", "do not fit")


def test_a_model_without_thresholds_asks_for_one(shell: Shell, model: Path) -> None:
    refused(shell("verify", ANNA, BEN, "--model", model), "E_NO_THRESHOLD", "--threshold")


def as_json(answer: tuple[int, str, str]) -> Any:
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)


def test_json_of_info(shell: Shell) -> None:
    found = as_json(shell("info", ANNA, "--json"))
    assert (found["rate"], found["channels"]) == (16000, 1)


def test_json_of_verify(shell: Shell, model: Path) -> None:
    found = as_json(shell("verify", ANNA, BEN, "--model", model, "--threshold", "-1", "--json"))
    assert found["decision"] is True
    assert (found["threshold"], found["source"]) == (-1.0, "given by the caller")
    assert -1.0 <= found["score"] <= 1.0


def test_json_of_embed(shell: Shell, model: Path) -> None:
    as_json(shell("embed", ANNA, BEN, "-o", "voices.safetensors", "--model", model, "--json"))
    rows = [tensor for tensor in load_file("voices.safetensors").values() if tensor.ndim == 2]
    assert [tuple(row.shape) for row in rows] == [(2, 192)]


def test_json_of_prepare_and_evaluate(shell: Shell, model: Path) -> None:
    found = as_json(shell("prepare", SAMPLES, "-o", "all.csv", "--speaker-regex", "(?P<speaker>[a-z]+)_", "--json"))
    assert (found["utterances"], found["speakers"]) == (6, 3)
    found = as_json(shell("evaluate", model, "--trials", SAMPLES / "trials.txt", "--root", SAMPLES, "--json"))
    assert (found["num_trials"], found["num_targets"]) == (15, 3)


@pytest.mark.parametrize("command", ["list", "recipes"])
def test_json_of_models(shell: Shell, command: str) -> None:
    found = as_json(shell("models", command, "--json"))
    names = [entry if command == "recipes" else entry["name"] for entry in found]
    assert {"recipes": "speaker/ecapa_tdnn", "list": "ecapa_tdnn_small"}[command] in names


@pytest.fixture
def corpus(shell: Shell) -> list[str]:
    """A recipe that trains for two steps on the samples, as arguments of `voxid train`."""
    pytest.importorskip("lightning", reason="needs the extra train")
    assert shell("prepare", SAMPLES, "-o", "all.csv", "--speaker-regex", "(?P<speaker>[a-z]+)_")[0] == 0
    small = ["data.batch_size=4", "data.batches=1", "data.cache=cache", "data.chunk_seconds=1.0", "model.backbone.channels=16"]
    loop = ["trainer.epochs=2", "trainer.precision=32-true", "trainer.accelerator=cpu", "trainer.threads=1", "output=run"]
    return ["speaker/ecapa_tdnn", "manifest=all.csv", "augment=null", *small, *loop]


def test_json_of_train(shell: Shell, corpus: list[str]) -> None:
    found = as_json(shell("train", *corpus, "--json"))
    assert (found["speakers"], found["utterances"], found["steps"]) == (3, 6, 2)
    assert sorted(path.name for path in Path("run").iterdir() if path.is_file()) == [
        "balance.json",
        "metrics.json",
        "model.safetensors",
        "recipe.yaml",
        "train.log",
    ]


@pytest.mark.parametrize("suffix", [".yaml", ".ckpt", ".safetensors"])
def test_the_disk_is_full_while_training(shell: Shell, corpus: list[str], monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    replace = os.replace

    def full(source: Any, target: Any, **options: Any) -> None:
        if Path(target).suffix == suffix:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target, **options)

    monkeypatch.setattr(os, "replace", full)
    refused_at_work(shell("train", *corpus), "E_DISK_FULL", suffix)
    assert [path for path in Path("run").rglob("*") if path.suffix in (suffix, ".part")] == []


def test_the_disk_is_full_while_embeddings_are_written(shell: Shell, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("voices.safetensors").write_text("before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    refused_at_work(shell("embed", ANNA, "-o", "voices.safetensors", "--model", model), "E_DISK_FULL", "voices.safetensors")
    assert {path.name: path.read_text() for path in Path().iterdir()} == {"voices.safetensors": "before"}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    mounted = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_full(tiny_disk: Path, shell: Shell, model: Path) -> None:
    manifest = tiny_disk / "all.csv"
    assert shell("prepare", SAMPLES, "-o", manifest, "--speaker-regex", "(?P<speaker>[a-z]+)_")[0] == 0
    (tiny_disk / "ballast").write_bytes(bytes(4096 * 14))
    before = sorted(path.name for path in tiny_disk.iterdir())
    answer = shell("embed", *sorted(SAMPLES.glob("*.opus")), "-o", tiny_disk / "voices.safetensors", "--model", model)
    refused_at_work(answer, "E_DISK_FULL")
    with pytest.raises(ModelError, match="the disk is full"):
        checkpoint.save(checkpoint.load(model), tiny_disk / "model.safetensors")
    assert sorted(path.name for path in tiny_disk.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", ANNA, BEN, "--model", "x" * 300],
        ["embed", ANNA, "-o", "x" * 300 + ".safetensors"],
        ["evaluate", "--trials", SAMPLES / "trials.txt", "--root", SAMPLES, "-o", "x" * 300],
        ["prepare", SAMPLES, "-o", "x" * 300, "--speaker-regex", "(?P<speaker>[a-z]+)_"],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_a_name_that_is_too_long(shell: Shell, arguments: list[Any]) -> None:
    refused_at_work(shell(*arguments), "x" * 300)
    assert list(Path().iterdir()) == []


def test_a_name_of_letters_of_four_bytes_is_not_too_long(shell: Shell) -> None:
    name = "\U0001d7d8" * 59 + ".csv"
    assert shell("prepare", SAMPLES, "-o", name, "--speaker-regex", "(?P<speaker>[a-z]+)_")[0] == 0


@pytest.mark.parametrize("option", [["--threshold", "nan"], ["--threshold", "inf"], ["--device", "meta"]], ids=" ".join)
def test_verify_refuses_what_is_no_number(shell: Shell, option: list[str]) -> None:
    refused(shell("verify", ANNA, BEN, *option), option[1])


def test_a_seed_below_0(shell: Shell) -> None:
    assert shell("prepare", SAMPLES, "-o", "all.csv", "--speaker-regex", "(?P<speaker>[a-z]+)_")[0] == 0
    refused(shell("prepare", "trials", "all.csv", "-o", "t.trials", "--targets", "2", "--seed", "-1"), "seed", "-1")
    refused(shell("evaluate", "--trials", SAMPLES / "trials.txt", "--root", SAMPLES, "--seed", "-1"), "seed", "-1")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["models", "recipes"], ["--help"]], ids=" ".join)
def test_a_full_stdout_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "voxid.cli", *arguments], stdout=full, stderr=-1, text=True, cwd=ROOT, check=False
        )
    refused((done.returncode, "", done.stderr), "No space left")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8:strict"])
def test_a_name_that_stdout_cannot_show_is_escaped(tmp_path: Path, encoding: str) -> None:
    odd = tmp_path / "\u00e4\nb.opus"
    shutil.copy(ANNA, odd)
    command = [sys.executable, "-m", "voxid.cli", "info", str(odd)]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    shown = "\\xe4" if encoding == "ascii" else "\u00e4"
    assert done.stdout.decode().splitlines()[0] == f"path: {tmp_path}/{shown}\\nb.opus"
