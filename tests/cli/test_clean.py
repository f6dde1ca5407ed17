"""`voxid enhance` and `voxid separate` in the shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import voxid
from voxid.cli import main
from voxid.models import checkpoint
from voxid.models.enhancement.phasen import Phasen
from voxid.models.separation.sudormrf import SuDoRMRF

HOME = Path(voxid.__file__).parents[1]
Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run a command in a folder with an enhancer e, a separator s and a recording: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    checkpoint.save(
        Phasen("small", channels=4, phase_channels=2, blocks=1, recurrent=8, dense=8), "e.safetensors", card={"name": "e"}
    )
    checkpoint.save(SuDoRMRF("0.25x", channels=8, hidden=8, num_basis=32), "s.safetensors", card={"name": "s"})
    soundfile.write("in.wav", np.random.default_rng(0).normal(0, 0.1, (11025, 2)), 11025)

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


E, S = ("--model", "e.safetensors"), ("--model", "s.safetensors")


def test_one_file(shell: Shell) -> None:
    code, out, _ = shell("enhance", "in.wav", "-o", "out.flac", *E, "--wet", 0.5, "--max-attenuation", 20, "--json")
    assert code == 0
    said = json.loads(out)
    assert (said["output"], said["rate"], said["channels"], said["waveform"]) == ("out.flac", 11025, 2, None)
    assert soundfile.info("out.flac").frames == 11025
    code, out, _ = shell("enhance", "in.wav", "-o", "one.wav", *E, "--channel", 1, "--subtype", "FLOAT")
    assert (code, soundfile.info("one.wav").channels, soundfile.info("one.wav").subtype) == (0, 1, "FLOAT")
    assert out.startswith("one.wav: 1.00 s, 1 x 11025 Hz, enhanced by e (")


def test_separate_names_its_files(shell: Shell) -> None:
    code, out, _ = shell("separate", "in.wav", *S)
    assert code == 0
    assert "in_1.wav" in out
    assert [soundfile.info(f"in_{number}.wav").frames for number in (1, 2)] == [11025, 11025]
    before = Path("in_1.wav").stat().st_mtime_ns
    code, out, _ = shell("separate", "in.wav", *S, "--json")
    assert (code, json.loads(out)["num_before"]) == (0, 1)  # a file of that name is not written over unasked
    assert Path("in_1.wav").stat().st_mtime_ns == before
    assert shell("separate", "in.wav", *S, "--overwrite")[0] == 0
    assert Path("in_1.wav").stat().st_mtime_ns > before
    code, out, _ = shell("separate", "in.wav", "-o", "voice.wav", *S, "--channel", "mix", "--no-tracking", "--json")
    assert (code, json.loads(out)["outputs"]) == (0, ["voice_1.wav", "voice_2.wav"])


def test_folders(shell: Shell) -> None:
    Path("calls/day").mkdir(parents=True)
    Path("in.wav").rename("calls/day/in.wav")
    code, out, _ = shell("enhance", "calls", "-o", "clean", *E, "--suffix", ".flac", "--json")
    assert (code, json.loads(out)["num_recordings"]) == (0, 1)
    assert Path("clean/day/in.flac").is_file()
    assert "1 were there before" in shell("enhance", "calls", "-o", "clean", *E, "--suffix", ".flac")[1]
    assert shell("enhance", "calls/day/in.wav", "-o", "clean/", *E)[0] == 0
    assert Path("clean/in.wav").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("enhance", "in.wav", *E), "--output"),
        (("enhance", "-o", "a.wav", *E), "takes recordings"),
        (("enhance", "in.wav", "b.wav", "-o", "a.wav", *E), "name a folder"),
        (("enhance", "none.wav", "-o", "a.wav", *E), "no such file"),
        (("enhance", "in.wav", "-o", "a.wav", *S), "expected an enhancement model"),
        (("separate", "in.wav", *E), "expected a separation model"),
        (("separate", *S), "takes recordings"),
        (("separate", "in.wav", *S, "--channel", "all"), "one channel"),
        (("separate", "in.wav", *S, "--num-sources", 3), "2 sources, not 3"),
        (("enhance", "in.wav", "-o", "a.wav", *E, "--wet", 2), "wet"),
        (("enhance", "in.wav", "--stream", *E), "recordings"),
        (("enhance", "--stream", *E), "causal"),
        (("enhance", "in.wav", "-o", "a.wav", *E, "--rate", 8000), "--rate: of streams only"),
        (("separate", "in.wav", *S, "--pcm", "s16le"), "--pcm: of streams only"),
        (("enhance", "--stream", "--window", 5, "--json"), "not take --window, --json;"),
    ],
)
def test_mistakes_are_one_line(shell: Shell, arguments: tuple[object, ...], says: str) -> None:
    code, out, err = shell(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["e.safetensors", "in.wav", "s.safetensors"]


BOTH = [
    ("--output", "a.wav"),
    ("--window", 5),
    ("--overlap", 1),
    ("--channel", "mix"),
    ("--subtype", "FLOAT"),
    ("--suffix", ".flac"),
    ("--overwrite",),
    ("--on-error", "skip"),
    ("--json",),
]
OWN = [
    ("enhance", ("--below-snr", 20)),
    ("separate", ("--num-sources", 2)),
    ("separate", ("--speaker-model", "m")),
    ("separate", ("--no-tracking",)),
    ("separate", ("--no-rescale",)),
]


@pytest.mark.parametrize(("verb", "option"), [(verb, option) for verb in ("enhance", "separate") for option in BOTH] + OWN)
def test_a_stream_ignores_no_option(shell: Shell, verb: str, option: tuple[object, ...]) -> None:
    code, out, err = shell(verb, "--stream", *option)
    assert (code, out) == (2, "")
    assert err.startswith("voxid: E_CONFIG: --stream goes")
    assert f"does not take {option[0]};" in err


@pytest.mark.parametrize("verb", ["enhance", "separate"])
@pytest.mark.parametrize(("name", "says"), [("stdin", "standard input is closed"), ("stdout", "standard output is closed")])
def test_a_closed_stream_is_one_line(shell: Shell, monkeypatch: pytest.MonkeyPatch, verb: str, name: str, says: str) -> None:
    monkeypatch.setattr(sys, name, None)  # as Python has it after <&- and >&-
    code, _, err = shell(verb, "--stream")
    assert (code, err.count("\n")) == (2, 1)
    assert says in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full of Linux")
def test_a_full_disk_behind_a_stream_is_one_line(tmp_path: Path) -> None:
    net = Phasen("small", causal=True, channels=4, phase_channels=2, blocks=1, recurrent=8, dense=8)
    checkpoint.save(net, tmp_path / "c.safetensors")
    command = [sys.executable, "-m", "voxid.cli", "enhance", "--stream", "--model", str(tmp_path / "c.safetensors")]
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            command,
            input=bytes(32000),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            env=os.environ | {"PYTHONPATH": str(HOME)},
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"voxid: E_DISK_FULL: ")
    assert done.stderr.count(b"\n") == 1
