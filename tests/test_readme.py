"""The README and the docs are run: shell lines parse, lines on the samples work, Python blocks marked with <!-- run --> too."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from voxid.cli import app, main
from voxid.cli.apps import train_app
from voxid.config import load_recipe, recipe_names

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "samples" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = {"bash", "sh", "shell"}
FENCE = re.compile(r"^(?P<mark>[^\n]*\n)?```(?P<language>\w*)\n(?P<body>.*?)^```$", re.M | re.S)
JOINTS = {"&&", "||", ";", "|", ">", ">>", "<", "&"}


class Block(NamedTuple):
    """A fenced block; `mark` is the line above it."""

    language: str
    body: str
    mark: str


def blocks(page: Path) -> list[Block]:
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["language"], match["body"], (match["mark"] or "").strip()) for match in found]


def commands(page: Path) -> Iterator[list[str]]:
    """Arguments of each call of `voxid` in the shell blocks of a page."""
    for block in blocks(page):
        if block.language in SHELL:
            for line in block.body.replace("\\\n", " ").splitlines():
                yield from _calls(line)


def _calls(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.wordchars += "*[],=:@$?{}()^%+"  # of overrides, patterns and variables
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in JOINTS:
            words.append(word)
            continue
        if words and Path(words[0]).name == "voxid":
            yield words[1:]
        words = []


def on_samples(arguments: list[str]) -> bool:
    """Can be run here and now: it needs the samples and nothing else."""
    return arguments[0] != "train" and any(word.startswith("samples") for word in arguments)


ALL = [(page, arguments) for page in PAGES for arguments in commands(page)]
DEMOS = [page for page in PAGES if any(on_samples(arguments) for arguments in commands(page))]
RUN = ("python", "<!-- run -->")
PYTHON = [(page, block.body) for page in PAGES for block in blocks(page) if (block.language, block.mark) == RUN]


def _name(value: object) -> str:
    if isinstance(value, Path):
        return str(value.relative_to(ROOT))
    return " ".join(value)[:60] if isinstance(value, list) else "block"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the samples in it, as in the checkout; needs the bundled model."""
    if not list((ROOT / "voxid" / "zoo" / "weights").glob("*.safetensors")):
        pytest.skip("needs the bundled model, voxid/zoo/weights/*.safetensors")
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    log = logging.getLogger("voxid")
    handlers = list(log.handlers)
    yield tmp_path
    for handler in [handler for handler in log.handlers if handler not in handlers]:
        log.removeHandler(handler)


def test_there_is_something_to_check() -> None:
    assert {arguments[0] for page, arguments in ALL if page == README} >= {"verify", "embed", "evaluate", "prepare", "train"}
    assert README in DEMOS
    assert README in [page for page, _ in PYTHON]


def test_calls_are_found() -> None:
    line = (
        "python3 -m venv .venv && .venv/bin/voxid verify a.wav b.wav && voxid train x data.speeds=[1.0,0.9] 'w.a=b c' > log # x"
    )
    assert list(_calls(line)) == [["verify", "a.wav", "b.wav"], ["train", "x", "data.speeds=[1.0,0.9]", "w.a=b c"]]


@pytest.mark.parametrize(("page", "arguments"), ALL, ids=_name)
def test_a_shell_line_parses(page: Path, arguments: list[str]) -> None:
    command, *_ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    assert callable(command)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_recipe_lines_are_known_to_their_recipe(page: Path) -> None:
    for arguments in commands(page):
        if arguments[0] == "train" and arguments[1] not in train_app.resolved_commands() and "--help" not in arguments:
            recipe, *overrides = [word for word in arguments[1:] if not word.startswith("-")]
            assert load_recipe(recipe, overrides) if recipe in recipe_names() else recipe.endswith(".yaml")


def _expanded(arguments: list[str]) -> list[str]:
    return [name for word in arguments for name in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]


@pytest.mark.parametrize("page", DEMOS, ids=_name)
def test_lines_on_the_samples_work(page: Path, work: Path) -> None:
    for arguments in commands(page):
        if on_samples(arguments):
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
                code = main(_expanded(arguments))
            assert code == 0, f"voxid {shlex.join(arguments)}: {err.getvalue()}"
            assert out.getvalue().strip()


def test_the_demonstration_tells_the_voices_apart(work: Path) -> None:
    lines = [arguments for arguments in commands(README) if arguments[0] == "verify" and on_samples(arguments)]
    expected, found = [], []
    for arguments in lines:
        first, second = (Path(word).name.partition("_")[0] for word in arguments if word.startswith("samples"))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            main([*arguments, "--json"])
        expected.append(first == second)
        found.append(json.loads(out.getvalue())["decision"])
    assert {True, False} == set(expected)
    assert found == expected


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=_name)
def test_a_python_block_runs(page: Path, code: str, work: Path) -> None:
    exec(compile(code, str(page), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_figure_is_missing(page: Path) -> None:
    assert "<!-- figure" not in page.read_text(encoding="utf-8")


def test_every_docs_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_the_table_of_extras_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = re.findall(r"^\| `(\w+)` \|", README.read_text(encoding="utf-8"), re.M)
    assert sorted(rows) == sorted(project["optional-dependencies"])


def test_ci_runs_the_test_command_of_the_readme() -> None:
    line = next(line for block in blocks(README) for line in block.body.splitlines() if "[dev]" in line)
    install, test = (part.strip() for part in line.split("&&")[-2:])
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert install.startswith("pip install")
    assert test.startswith("pytest")
    assert install in script
    assert f"\n{test}\n" in script


def test_samples_are_small_and_labelled() -> None:
    recordings = sorted((ROOT / "samples").glob("*.opus"))
    text = (ROOT / "samples" / "README.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in recordings) < 150_000
    assert "SYNTHETIC" in text
    assert [path.name for path in recordings if path.name not in text] == []
