"""The plan of the house, held by `ast`: imports run downstairs, and files and functions stay small."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What each floor holds; a room imports lower floors, itself, and on the ground floor its neighbours.
FLOORS = (
    {"registry", "config", "errors", "extras", "atomic"},
    {"audio", "features", "scoring"},
    {"models", "metrics", "data", "adversarial", "store"},
    {"losses", "export", "plots"},
    {"zoo"},
    {"pipelines", "training"},
    {"evaluation", "server"},
    {"cli"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MAX_LINES, MAX_FUNCTION = 400, 60
# The only places that import by a name that is text: the registry, the extras, and the face of the package.
BY_NAME = {"voxid", "voxid.registry", "voxid.extras"}


class House:
    """The modules below a folder that holds the package `voxid`."""

    def __init__(self, root: Path) -> None:
        self.package = root / "voxid"
        self.files = {_module(path.relative_to(root)): path for path in sorted(self.package.rglob("*.py"))}
        self.trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.files.items()}

    def imports(self, name: str) -> Iterator[tuple[str, int]]:
        """Modules of the house that a module imports, wherever in it, and the line."""
        for node in ast.walk(self.trees[name]):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names if alias.name.partition(".")[0] == "voxid")
            elif isinstance(node, ast.ImportFrom):
                base = self._base(name, node)
                if base.partition(".")[0] == "voxid":
                    whole = [f"{base}.{alias.name}" for alias in node.names]
                    yield from ((full if full in self.files else base, node.lineno) for full in whole)

    def _base(self, name: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = name.split(".") if self.files[name].name == "__init__.py" else name.split(".")[:-1]
        return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> str:
    """The room of a module; "" is the face, `voxid` itself."""
    return module.split(".")[1] if "." in module else ""


def unknown_rooms(house: House) -> Iterator[str]:
    """Rooms that the plan does not have, a helper drawer among them."""
    for name in house.files:
        if _room(name) and _room(name) not in FLOOR:
            yield f"{name}: no floor has a room {_room(name)!r}"


def upstairs(house: House) -> Iterator[str]:
    """Imports of a floor that is not below, sideways ones included."""
    for name in house.files:
        own = _room(name)
        if own not in FLOOR:
            continue
        for target, line in house.imports(name):
            other = _room(target)
            if other and other != own and FLOOR.get(other, 99) >= max(FLOOR[own], 1):
                yield f"{name}:{line} imports {target}"


def face_imports(house: House) -> Iterator[str]:
    """What the face imports when it is imported itself, the standard library apart: nothing."""
    for node in house.trees["voxid"].body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or "."]
            foreign = [target for target in named if target.partition(".")[0] not in sys.stdlib_module_names | {"__future__"}]
            yield from (f"voxid:{node.lineno} imports {target}" for target in foreign)


def circles(house: House) -> Iterator[str]:
    """Modules that import each other, directly or around."""
    graph = {name: {target for target, _ in house.imports(name)} - {name, "voxid"} for name in house.files if name != "voxid"}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield " -> ".join(error.args[1])


def imports_by_name(house: House) -> Iterator[str]:
    """Imports that this test cannot see, outside the three places that are there for it."""
    for name, tree in house.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__") and name not in BY_NAME:
                yield f"{name}:{node.lineno} imports by a name"


def prints(house: House) -> Iterator[str]:
    """print() anywhere but in the shell's door."""
    for name, tree in house.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _called(node) == "print" and not name.startswith("voxid.cli"):
                yield f"{name}:{node.lineno} prints"


def long_files(house: House) -> Iterator[str]:
    """Files above 400 lines."""
    for path in house.files.values():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            yield f"{path.name}: {lines} lines"


def long_functions(house: House) -> Iterator[str]:
    """Functions above 60 lines, their docstring apart."""
    for name, tree in house.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
                if lines > MAX_FUNCTION:
                    yield f"{name}.{node.name}: {lines} lines"


def recipes_with_code(house: House) -> Iterator[str]:
    """Recipes are data: YAML files and nothing else."""
    for path in sorted((house.package / "recipes").rglob("*")):
        if path.is_file() and path.suffix != ".yaml":
            yield f"{path.relative_to(house.package)}: a recipe is YAML"


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return 0
    return (first.end_lineno or first.lineno) - first.lineno + 1


RULES: list[Callable[[House], Iterator[str]]] = [
    unknown_rooms,
    upstairs,
    face_imports,
    circles,
    imports_by_name,
    prints,
    long_files,
    long_functions,
    recipes_with_code,
]
OFFENDERS = {
    "unknown_rooms": {"voxid/utils.py": ""},
    "upstairs": {"voxid/audio/io.py": "def late():\n    from voxid.features import fbank\n"},
    "face_imports": {"voxid/__init__.py": "from voxid.cli import main\n"},
    "circles": {"voxid/audio/a.py": "from voxid.audio import b\n", "voxid/audio/b.py": "from .a import x\n"},
    "imports_by_name": {"voxid/zoo/load.py": "import importlib\nimportlib.import_module('voxid.training')\n"},
    "prints": {"voxid/data/table.py": "print('done')\n"},
    "long_files": {"voxid/audio/io.py": "x = 1\n" * (MAX_LINES + 1)},
    "long_functions": {"voxid/audio/io.py": "def long():\n" + "    x = 1\n" * MAX_FUNCTION},
    "recipes_with_code": {"voxid/recipes/speaker/tricks.py": "x = 1\n"},
}


@pytest.fixture(scope="module")
def house() -> House:
    return House(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(house: House, rule: Callable[[House], Iterator[str]]) -> None:
    assert list(rule(house)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_an_offender(tmp_path: Path, rule: Callable[[House], Iterator[str]]) -> None:
    files = {"voxid/__init__.py": "", "voxid/audio/__init__.py": ""} | OFFENDERS[rule.__name__]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert len(list(rule(House(tmp_path)))) == 1


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("pipelines/verify", "zoo.load", True),
        ("pipelines/verify", "training.fit", False),
        ("training/fit", "pipelines.verify", False),
        ("evaluation/evaluate", "server.app", False),
        ("models/layers", "metrics.detection", False),
        ("models/layers", "models.pooling", True),
        ("errors", "audio.io", False),
        ("config", "errors", True),
        ("cli", "evaluation.evaluate", True),
    ],
)
def test_upstairs_knows_the_floors(tmp_path: Path, importer: str, imported: str, allowed: bool) -> None:
    path = tmp_path / "voxid" / f"{importer}.py"
    path.parent.mkdir(parents=True)
    path.write_text(f"from voxid.{imported} import x\n")
    (tmp_path / "voxid" / "__init__.py").write_text("")
    assert bool(list(upstairs(House(tmp_path)))) is not allowed


def test_using_a_model_never_loads_what_trains_it(house: House) -> None:
    doors = [name for name in house.files if _room(name) in ("pipelines", "evaluation")]
    code = f"import importlib, sys\nfor name in {doors!r}: importlib.import_module(name)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert set(doors) <= set(loaded)
    assert not [name for name in loaded if name.startswith(("voxid.training", "lightning", "tensorboard"))]
