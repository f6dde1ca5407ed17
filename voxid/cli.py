"""The shell: one sub-command a verb. Options, types and help come out of the signatures below; each verb imports what it
needs when it runs, so that ``voxid --help`` answers at once."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json as json_format
import logging
import math
import os
import sys
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from voxid import __version__
from voxid.errors import ConfigError, VoxidError

app = App(name="voxid", version=__version__, help="Who spoke, when, and can the answer be trusted?", help_format="plaintext")
prepare_app = App(name="prepare", help="Make manifests of folders, and trial lists of manifests.", help_format="plaintext")
models_app = App(name="models", help="The models that voxid knows.", help_format="plaintext")
app.command(prepare_app)
app.command(models_app)

Output = Annotated[str, Parameter(name=["--output", "-o"])]
Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")]
Imports = Annotated[
    bool, Parameter(name="--imports", negative="", help="Allow parts that go by an import path; importing runs code.")
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]


@app.command
def info(file: str, *, speech: bool = True, max_duration: float = 3600.0, strict: bool = False, json: Json = False) -> None:
    """What is in an audio file, measured by decoding all of it.

    Args:
        file: The recording.
        speech: Refuse what cannot hold a voice (silence, a click, even noise, a bare tone).
        max_duration: Longest recording to accept, in seconds.
        strict: Refuse whatever deserves a warning.
    """
    from voxid.pipelines.info import info as run

    _show(run(file, speech=speech, max_duration=max_duration, strict=strict), json)


@app.command
def embed(
    files: list[str],
    *,
    output: Output,
    model: str | None = None,
    device: str = "auto",
    imports: Imports = False,
    json: Json = False,
) -> None:
    """Embeddings of recordings, written as one .safetensors file.

    Args:
        files: The recordings.
        output: The .safetensors file to write; rows in the order of the recordings.
        model: A name or a file; the bundled model when absent.
        device: auto, cpu, cuda ...
    """
    from voxid.pipelines.embed import embed_to_file as run

    _ready()
    _show(run(files, output=output, model=model, device=device, imports=imports), json)


@app.command
def verify(
    enrol: str,
    test: str,
    *,
    model: str | None = None,
    far: float = 0.01,
    threshold: float | None = None,
    device: str = "auto",
    imports: Imports = False,
    json: Json = False,
) -> None:
    """Is it the same speaker in two recordings?

    Args:
        enrol: The first recording.
        test: The second recording.
        model: A name or a file; the bundled model when absent.
        far: False-accept rate to aim at; the model's card holds the threshold for it.
        threshold: A threshold of your own instead.
        device: auto, cpu, cuda ...
    """
    from voxid.pipelines.verify import verify as run

    _ready()
    result = run(enrol, test, model=model, far=far, threshold=threshold, device=device, imports=imports)
    _show(result, json, result.describe())


@app.command
def train(recipe: str, *overrides: str, json: Json = False) -> None:
    """Train a model from a recipe, e.g. voxid train speaker/ecapa_tdnn manifest=train.csv trainer.epochs=20

    Args:
        recipe: A name (voxid models recipes) or a YAML file.
        overrides: key=value, with dots for depth; list values in brackets.
    """
    from voxid.config import load_recipe
    from voxid.extras import need

    settings = load_recipe(recipe, overrides)
    need("lightning", extra="train")
    need("tensorboard", extra="train")
    _ready()
    from voxid.training.fit import train as run

    result = run(settings)
    if os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0":  # one answer, however many processes trained
        _show(result, json)


@app.command
def evaluate(
    model: str | None = None,
    *,
    trials: str,
    root: str,
    output: Annotated[str | None, Parameter(name=["--output", "-o"])] = None,
    scores: str | None = None,
    speakers: str | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    device: str = "auto",
    imports: Imports = False,
    on_error: Literal["raise", "skip"] = "raise",
    json: Json = False,
) -> None:
    """Error rates of a model on a trial list, with intervals.

    Args:
        model: A name, a file or a run folder; the bundled model when absent.
        trials: The list: VoxCeleb (1 a b), Kaldi or wespeaker (a b target).
        root: Folder that the list's paths are relative to.
        output: Also write the result as JSON.
        scores: Also write a score file: enrol test score label.
        speakers: Who speaks where: a manifest or a regular expression; by default manifest.csv in the root, else the folders.
        bootstrap: Resamples of the speakers behind the interval; 0 for none.
        seed: Of the resampling.
        device: auto, cpu, cuda ...
        on_error: raise stops at recordings that cannot be used, skip leaves their trials out and counts them.
    """
    from voxid.evaluation.evaluate import evaluate as run

    _ready()
    result = run(
        model,
        trials=trials,
        root=root,
        output=output,
        scores=scores,
        speakers=speakers,
        bootstrap=bootstrap,
        seed=seed,
        device=device,
        imports=imports,
        on_error=on_error,
    )
    _show(result, json, result.describe())


@prepare_app.default
def prepare(
    folder: str,
    *,
    output: Output,
    root: str | None = None,
    speaker_part: int = 0,
    speaker_regex: str | None = None,
    min_duration: float = 0.0,
    max_duration: float = math.inf,
    strict: bool = False,
    workers: int | None = None,
    json: Json = False,
) -> None:
    """Find the recordings of a folder, measure them and write a manifest: path,speaker,duration.

    Args:
        folder: Searched at any depth.
        output: The manifest to write, CSV; what is left out goes to OUTPUT.rejected.csv.
        root: Folder that its paths are relative to; by default that of the output.
        speaker_part: Which part of the path is the speaker: 0 the first folder, -2 the folder of the file.
        speaker_regex: Instead: a regular expression with a group "speaker".
        min_duration: Leave out shorter recordings; in seconds.
        max_duration: Leave out longer recordings; in seconds.
        strict: Also leave out recordings that are read with a warning.
        workers: Threads that decode.
    """
    from voxid.data.prepare import prepare as run

    result = run(
        folder,
        output=output,
        root=root,
        speaker_part=speaker_part,
        speaker_regex=speaker_regex,
        min_duration=min_duration,
        max_duration=max_duration,
        strict=strict,
        workers=workers,
    )
    _show(result, json, result.describe())


@prepare_app.command(name="trials")
def prepare_trials(
    source: str,
    *,
    output: Output,
    format: Literal["voxceleb", "kaldi", "wespeaker"] = "voxceleb",
    targets: int | None = None,
    nontargets: int | None = None,
    seed: int = 0,
    same: Words = (),
    different: Words = (),
    where: Words = (),
    root: str | None = None,
    train: str | None = None,
    json: Json = False,
) -> None:
    """Draw a balanced trial list from a manifest, or convert a trial list.

    Args:
        source: A manifest, or a trial list.
        output: The list to write.
        format: voxceleb (1 a b), kaldi (a b target) or wespeaker.
        targets: How many same-speaker trials to draw.
        nontargets: How many different-speaker trials to draw.
        seed: Of the draw.
        same: Columns in which both sides of a non-target agree, e.g. gender.
        different: Columns in which both sides of a target differ, e.g. session.
        where: Draw from rows with these values, e.g. split=test.
        root: Folder that the manifest's paths are relative to.
        train: Manifest of training speakers, none of whom may be in the list.
    """
    from voxid.data.prepare_trials import prepare_trials as run

    result = run(
        source,
        output=output,
        format=format,
        targets=targets,
        nontargets=nontargets,
        seed=seed,
        same=same,
        different=different,
        where=_conditions(where),
        root=root,
        train=train,
    )
    _show(result, json, result.describe())


@models_app.command(name="list")
def models_list(*, json: Json = False) -> None:
    """The trained models that come with voxid, and their figures."""
    from voxid.zoo.catalogue import catalogue as run

    entries = run()
    _show([dataclasses.asdict(entry) for entry in entries], json, "\n".join(entry.describe() for entry in entries))


@models_app.command(name="recipes")
def models_recipes(*, json: Json = False) -> None:
    """The recipes that voxid train knows by name."""
    from voxid.config import recipe_names as run

    _show(run(), json)


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command: 0 = done, 2 = the user's mistake (one line on stderr), 1 = our mistake, 130 = interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a letter that the terminal lacks is no reason to stop
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        _say("")
    except VoxidError as error:
        return _complain(f"{error.code}: {error}")
    except CycloptsError as error:
        return _complain(f"E_USAGE: {' '.join(str(error).split())} See: voxid --help")
    except BrokenPipeError:
        _mute()
        return 0
    except OSError as error:  # what no part of the house foresaw, but the machine's own and so in one line all the same
        _mute()
        return _complain(f"E_SYSTEM: {error}")
    except KeyboardInterrupt:
        print("voxid: interrupted", file=sys.stderr)
        return 130
    return 0


def _say(text: str) -> None:
    """Write to stdout, at once."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _mute()
        raise VoxidError(f"standard output cannot be written to ({error.strerror or error})", "E_WRITE") from error


def _mute() -> None:
    """Leave nothing for the interpreter to write when it ends: that would fail once more, with a traceback."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> int:
    line = " ".join(message.encode(errors="backslashreplace").decode().splitlines())
    print(f"voxid: {line}", file=sys.stderr)
    return 2


def _show(result: Any, json: bool, text: str | None = None) -> None:
    """The result on stdout and nothing else; progress and logs go to stderr."""
    plain = dataclasses.asdict(result) if dataclasses.is_dataclass(result) and not isinstance(result, type) else result
    if json:
        _say(json_format.dumps(plain, indent=1, ensure_ascii=True, allow_nan=False) + "\n")
    else:
        _say((text if text is not None else _lines(plain)) + "\n")


def _conditions(words: tuple[str, ...]) -> dict[str, list[str]]:
    """split=test lang=fr lang=de -> {"split": ["test"], "lang": ["fr", "de"]}."""
    out: dict[str, list[str]] = {}
    for word in words:
        column, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--where takes column=value, got {word!r}")
        out.setdefault(column, []).append(value)
    return out


def _lines(plain: Any) -> str:
    if isinstance(plain, dict):
        return "\n".join(f"{key.replace('_', ' ')}: {_word(value)}" for key, value in plain.items())
    if isinstance(plain, list):
        return "\n".join(_lines(item) + ("\n" if isinstance(item, dict) else "") for item in plain)
    return str(plain)


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(_word(item) for item in value) or "-" if isinstance(value, (list, tuple)) else _one_line(str(value))


def _one_line(text: str) -> str:
    """Characters that no terminal shows, line ends in file names among them, in Python's notation."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _ready() -> None:
    """Logs to stderr, and an allocator for nets."""
    log = logging.getLogger("voxid")
    log.setLevel(logging.INFO)
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
    keep_memory()


def keep_memory() -> None:
    """Tell the C library (Linux) to keep large blocks: a net frees and takes the same megabytes at every layer, and giving
    them back to the kernel each time costs up to half of its time in page faults."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library: its own allocator, its own habits
        return
    trim, top_pad, mmap_max = -1, -2, -4
    for option, value in ((mmap_max, 0), (trim, 2**31 - 1), (top_pad, 256 * 2**20)):
        mallopt(option, value)


if __name__ == "__main__":
    sys.exit(main())
