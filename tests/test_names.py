"""One name everywhere: a verb is one word in the shell, in Python, in its file and in its docs page."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclopts import App

import voxid
from voxid import registry
from voxid.cli import app
from voxid.config import recipe_names

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "voxid"
TASKS = {"speaker", "enhancement", "separation", "antispoofing", "diarization"}
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Options of the shell that no function has, each with its reason.
SHELL_ONLY = {
    "*": {"json"},  # how the result is printed
    # Python gives recordings and gets the array itself; the shell names lists of files, and a file to put it in
    "embed": {"output", "manifest", "root", "where", "on_error"},
    # the shell also takes folders, and streams from its input to its output
    "enhance": {"suffix", "overwrite", "on_error", "stream", "rate", "pcm"},
    "separate": {"suffix", "overwrite", "on_error", "stream", "rate", "pcm"},
}
# Words of the shell that stand for no function of the face: they only list what is there.
LISTS = {"models"}
# Sub-commands of a verb, and the function behind each.
SUB_VERBS = {
    "calibrate apply": ("voxid.evaluation.calibrate_scores", "apply_calibration"),
    "calibrate scores": ("voxid.evaluation.calibrate_scores", "calibrate_scores"),
    "prepare format-trials": ("voxid.data.format_trials", "format_trials"),
    "prepare hw4": ("voxid.data.prepare_hw4", "prepare_hw4"),
    "prepare trials": ("voxid.data.prepare_trials", "prepare_trials"),
    "train adapt": ("voxid.training.adapt_backend", "adapt_backend"),
    "evaluate enhancement": ("voxid.evaluation.enhancement", "evaluate_enhancement"),
    "evaluate separation": ("voxid.evaluation.separation", "evaluate_separation"),
    "evaluate identification": ("voxid.evaluation.identification", "evaluate_identification"),
    "plot calibration": ("voxid.evaluation.plot_scores", "plot_calibration"),
    "plot confusion-matrix": ("voxid.evaluation.plot_results", "plot_confusion_matrix"),
    "plot det": ("voxid.evaluation.plot_scores", "plot_det"),
    "plot embedding-map": ("voxid.evaluation.plot_embeddings", "plot_embedding_map"),
    "plot enhancement": ("voxid.evaluation.plot_audio", "plot_enhancement"),
    "plot precision-recall": ("voxid.evaluation.plot_scores", "plot_precision_recall"),
    "plot roc": ("voxid.evaluation.plot_scores", "plot_roc"),
    "plot score-histogram": ("voxid.evaluation.plot_scores", "plot_score_histogram"),
    "plot spectrogram": ("voxid.evaluation.plot_audio", "plot_spectrogram"),
    "plot spectrogram-3d": ("voxid.evaluation.plot_audio", "plot_spectrogram_3d"),
    "plot timeline": ("voxid.evaluation.plot_results", "plot_timeline"),
    "plot training-curves": ("voxid.evaluation.plot_results", "plot_training_curves"),
    "train backend": ("voxid.training.backend", "train_backend"),
    "plot waveform": ("voxid.evaluation.plot_audio", "plot_waveform"),
}
# The file of a verb that is not named after it.
FILES = {"train": "fit"}  # Lightning's word for the loop


def verbs() -> dict[str, App]:
    """The sub-commands of `voxid`, by name."""
    return {name: found for name, found in app.resolved_commands().items() if not name.startswith("-")}


def doors(verb: str) -> Iterator[App]:
    """The commands of a verb that do something: itself, or what is below it."""
    found = verbs()[verb]
    below = [inner for name, inner in found.resolved_commands().items() if not name.startswith("-")]
    yield from (inner for inner in [found, *below] if inner.default_command is not None)


def options(door: App) -> set[str]:
    """Argument names of the options of a command; positional arguments apart."""
    arguments = door.assemble_argument_collection()
    return {argument.field_info.name for argument in arguments if argument.field_info.kind is inspect.Parameter.KEYWORD_ONLY}


def test_the_verbs_of_this_version_are_there() -> None:
    assert {"prepare", "train", "evaluate", "embed", "verify", "info", "models"} <= set(verbs())


@pytest.mark.parametrize("verb", sorted(set(verbs()) - LISTS))
def test_a_verb_is_a_function_of_the_face(verb: str) -> None:
    assert verb.replace("-", "_") in voxid.__all__
    assert callable(getattr(voxid, verb.replace("-", "_")))


@pytest.mark.parametrize("verb", sorted(set(verbs()) - LISTS - {"train", "plot"}))  # a kind of plot has options of its own
def test_options_are_arguments_of_the_function(verb: str) -> None:
    signature = inspect.signature(getattr(voxid, verb))
    door = next(doors(verb))
    assert options(door) - set(signature.parameters) <= SHELL_ONLY["*"] | SHELL_ONLY.get(verb, set())


@pytest.mark.parametrize("path", sorted(SUB_VERBS))
def test_options_of_a_sub_command_are_arguments_of_its_function(path: str) -> None:
    verb, name = path.split()
    module, function = SUB_VERBS[path]
    signature = inspect.signature(getattr(importlib.import_module(module), function))
    assert options(verbs()[verb].resolved_commands()[name]) - set(signature.parameters) <= SHELL_ONLY["*"]


def test_every_sub_command_is_known() -> None:
    found = {f"{verb} {name}" for verb, door in verbs().items() if verb not in LISTS for name in door.resolved_commands()}
    assert {path for path in found if not path.split()[1].startswith("-")} == set(SUB_VERBS)


def test_every_exception_is_in_use() -> None:
    for verb, words in SHELL_ONLY.items():
        known = {option for name in (verbs() if verb == "*" else [verb]) for door in doors(name) for option in options(door)}
        assert words <= known


@pytest.mark.parametrize("verb", sorted(set(verbs()) - LISTS))
def test_a_verb_lives_in_a_file_of_its_name(verb: str) -> None:
    function = getattr(voxid, verb.replace("-", "_"))
    assert function.__name__ == verb.replace("-", "_")
    home = Path(inspect.getsourcefile(function) or "").relative_to(PACKAGE)
    assert home.stem == FILES.get(verb, verb.replace("-", "_"))
    assert home.parent.name in ("pipelines", "evaluation", "training", "data")


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_a_verb_has_a_docs_page_that_shows_it(verb: str) -> None:
    page = ROOT / "docs" / f"{verb}.md"
    assert page.is_file()
    assert f"voxid {verb}" in page.read_text(encoding="utf-8")
    assert f"({verb}.md)" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_the_docs_page_names_every_option(verb: str) -> None:
    text = (ROOT / "docs" / f"{verb}.md").read_text(encoding="utf-8")
    asked = {name for door in doors(verb) for argument in door.assemble_argument_collection() for name in _long(argument)}
    assert {name for name in asked if name not in text} == set()


def _long(argument: Any) -> list[str]:
    positional = argument.field_info.kind is not inspect.Parameter.KEYWORD_ONLY
    return [] if positional else [name for name in argument.names if name.startswith("--") and not name.startswith("--no-")]


def test_tasks_go_by_the_five_words() -> None:
    folders = [path.name for room in ("models", "recipes") for path in (PACKAGE / room).iterdir() if path.is_dir()]
    named = [name for name in folders if not name.startswith("__")]
    assert named
    assert set(named) <= TASKS
    assert {name.partition("/")[0] for name in recipe_names()} == {path.name for path in (PACKAGE / "recipes").iterdir()}


def test_commands_in_the_docs_name_tasks_by_the_five_words() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    asked = {name for text in texts for name in re.findall(r"(?:voxid train|^task:) +([a-z_]+/[a-z0-9_]+|[a-z_]+$)", text, re.M)}
    assert {name.partition("/")[0] for name in asked} <= TASKS
    assert asked & set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_its_task_and_its_command(name: str) -> None:
    text = (PACKAGE / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["task"] == name.partition("/")[0]
    assert text.startswith(f"# voxid train {name} ")


@pytest.mark.parametrize("kind", sorted(set(registry.ROOMS)))
def test_registered_names_are_lower_snake(kind: str) -> None:
    assert SNAKE.fullmatch(kind)
    assert [name for name in registry.names(kind) if not SNAKE.fullmatch(name)] == []


@pytest.mark.parametrize("kind", sorted(set(registry.ROOMS)))
def test_every_kind_of_the_registry_has_parts(kind: str) -> None:
    assert registry.names(kind)


# What the caller of a part of a kind gives, not the recipe.
GIVEN = {"backbone": {"input_dim"}, "pooling": {"channels"}, "loss": {"embedding_dim", "num_classes"}}


def documented(kind: str) -> dict[str, str]:
    """The cell of arguments of each part in docs/parts.md."""
    text = (ROOT / "docs" / "parts.md").read_text(encoding="utf-8")
    heading = {"backbone": "## Backbones", "pooling": "## Poolings", "loss": "## Losses"}[kind]
    section = text.partition(heading)[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \|.*\| ?(.*?) ?\|$", section, re.M))


@pytest.mark.parametrize("kind", sorted(GIVEN))
def test_the_docs_tell_every_argument_of_a_part_and_its_default(kind: str) -> None:
    cells = documented(kind)
    assert set(cells) == set(registry.names(kind))
    for name, cell in cells.items():
        parameters = inspect.signature(registry.get(kind, name)).parameters
        told = set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", cell)))
        assert told == set(parameters) - GIVEN[kind], name
        for argument, value in re.findall(r"`(\w+)` \((`?\[.*?\]`?|-?[\d.]+|true|false|`\w+`)[^)]*\)", cell):
            default = parameters[argument].default
            said = yaml.safe_load(value.strip("`"))
            assert (list(default) if isinstance(default, tuple) else default) == said, f"{name}: {argument}"


def test_modules_are_lower_snake() -> None:
    stems = [path.stem for path in PACKAGE.rglob("*.py") if not path.stem.startswith("__")]
    assert [stem for stem in stems if not SNAKE.fullmatch(stem)] == []


def test_type_checkers_see_the_face() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    sources = {alias.name: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    for name in set(voxid.__all__) - {"__version__"}:
        assert sources[name] == getattr(voxid, name).__module__, name


def test_the_glossary_defines_a_term_once() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = Counter(term.strip().lower() for line in re.findall(r"^\*\*(.+?)\*\*", text, re.M) for term in line.split(","))
    assert len(terms) > 30
    assert [term for term, times in terms.items() if times > 1] == []


# What other things rely on, as far as this version has it: path and the first words of its signature.
FACE = {
    "load": ["model", "device", "runtime"],
    "embed": ["audio", "model"],
    "verify": ["enrol", "test", "model", "far"],
    "metrics.detection.eer": ["scores", "labels"],
    "metrics.detection.min_dcf": ["scores", "labels", "p_target", "c_miss", "c_fa"],
    "registry.build": ["kind", "spec"],
    "audio.io.load": [],
    "features.fbank.Fbank": [],
}


@pytest.mark.parametrize("path", sorted(FACE))
def test_the_face_is_reached_by_attributes_alone(path: str) -> None:
    # In a process of its own: here other tests have imported everything.
    code = f"import voxid, inspect; print(*inspect.signature(voxid.{path}).parameters)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert [word for word in words if word in FACE[path]] == FACE[path]
    assert words


@pytest.mark.parametrize("room", ["audio", "features", "metrics"])
def test_a_room_lacks_what_it_lacks(room: str) -> None:
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = getattr(voxid, room).nothing_here
