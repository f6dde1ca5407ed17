"""One way to name a part: register, names, get, build.

A mapping with ``name`` is a part and its other keys are keyword arguments; a name with a dot is an import path.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from voxid.errors import ConfigError, did_you_mean

# Where the parts of a kind live. A room is imported at the first question about its kind, never before.
ROOMS = {
    "frontend": "voxid.features",
    "backbone": "voxid.models.speaker",
    "pooling": "voxid.models.pooling",
    "speaker": "voxid.models.speaker",
    "separation": "voxid.models.separation",
    "enhancement": "voxid.models.enhancement",
    "loss": "voxid.losses",
    "signal_loss": "voxid.losses",
    "corpus": "voxid.data.corpora",
    "transform": "voxid.scoring",
    "scorer": "voxid.scoring",
}

# What a constructor raises when its arguments make no sense together. A `VoxidError` inside it is none of these and passes.
REFUSALS = (ValueError, TypeError, ArithmeticError, RuntimeError)

_parts: dict[str, dict[str, Callable[..., Any]]] = {}
_opened: set[str] = set()
Part = TypeVar("Part", bound=Callable[..., Any])


def register(kind: str, name: str) -> Callable[[Part], Part]:
    """Class or function decorator: make a part known as `name` among its `kind`."""

    def keep(part: Part) -> Part:
        known = _parts.setdefault(kind, {})
        if name in known and known[name].__qualname__ != part.__qualname__:
            raise ConfigError(f"{kind} {name!r} is taken by {known[name].__module__}.{known[name].__qualname__}")
        known[name] = part
        return part

    return keep


def names(kind: str) -> list[str]:
    """Names of all parts of a kind, sorted.

    Example:
        >>> "aam_softmax" in names("loss")
        True
    """
    _open(kind)
    return sorted(_parts.get(kind, {}))


def get(kind: str, name: str) -> Callable[..., Any]:
    """The part behind a name, or behind an import path such as ``my_package.nets.MyNet``.

    Raises:
        ConfigError: Unknown kind or name, with the nearest known one.
    """
    _open(kind)
    if not isinstance(name, str):
        raise ConfigError(f"a {kind} goes by a name, got {name!r}")
    if "." in name:
        return _by_path(kind, name)
    known = _parts.get(kind, {})
    if name not in known:
        raise ConfigError(
            f"unknown {kind} {name!r}: {did_you_mean(name, known)}. "
            "A class of your own goes by its import path, e.g. 'my_package.nets.MyNet'"
        )
    return known[name]


def build(kind: str, spec: str | Mapping[str, Any], **extra: Any) -> Any:
    """Build a part from a name or from ``{name: ..., argument: value}``.

    Args:
        kind: One of the kinds in `ROOMS`.
        spec: The part; `extra` adds arguments that the caller knows (a width, say).

    Raises:
        ConfigError: Unknown name or argument, a missing argument, or values that the part refuses or cannot be built with.

    Example:
        >>> build("pooling", {"name": "tap", "channels": 4}).output_dim
        4
    """
    if isinstance(spec, str):
        spec = {"name": spec}
    if not isinstance(spec, Mapping) or "name" not in spec:
        raise ConfigError(f"a {kind} is a name or a mapping with a 'name', got {spec!r}")
    part = get(kind, spec["name"])
    arguments = {key: value for key, value in spec.items() if key != "name"} | extra
    what = f"{kind} {spec['name']!r}"
    try:
        return call(part, arguments, what)
    except REFUSALS as error:  # torch's own words: the name of the error belongs to them
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise ConfigError(f"{what}: it cannot be built with these arguments ({reason}); see its docstring") from error


def call(function: Callable[..., Any], arguments: Mapping[str, Any], what: str) -> Any:
    """Call `function` with the keys of a recipe as its arguments: the signature is the schema.

    Raises:
        ConfigError: An argument that `function` lacks or misses, or a value that it refuses with a ValueError.
    """
    check(function, arguments, what)
    try:
        return function(**arguments)
    except ValueError as error:
        raise ConfigError(f"{what}: {error}") from error


def check(function: Callable[..., Any], arguments: Mapping[str, Any], what: str) -> None:
    """Raise `ConfigError` for an argument that `function` lacks or misses, or a number, text or switch of a wrong type."""
    parameters = inspect.signature(function).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in arguments:
            if key not in parameters:
                raise ConfigError(f"{what}: unknown argument {key!r}: {did_you_mean(str(key), parameters)}")
    for key, parameter in parameters.items():
        optional = parameter.default is not parameter.empty or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if not optional and key not in arguments:
            raise ConfigError(f"{what}: argument {key!r} is missing")
    hints = _hints(function)
    for key, value in arguments.items():
        if not _fits(value, hints.get(key, Any)):
            raise ConfigError(f"{what}: {key} must be {_say(hints[key])}, got {value!r}")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    plain = not inspect.isclass(function) or dataclasses.is_dataclass(function)
    try:
        return typing.get_type_hints(function if plain else function.__init__)
    except (NameError, TypeError):  # annotations of somebody else's part that cannot be read
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a recipe suits a hint: number, text, switch, list or mapping; other hints are left to the part."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, kind) for kind in inner)
    if origin in (Mapping, dict):
        return isinstance(value, Mapping)
    if origin in (Sequence, list, tuple):
        return isinstance(value, (list, tuple)) and all(_fits(item, inner[0]) for item in value)
    if hint in (int, float) and isinstance(value, bool):
        return False
    if hint is float:
        return isinstance(value, (int, float))
    return isinstance(value, hint) if hint in (int, str, bool, type(None)) else True


def _say(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_say(kind) for kind in inner))
    if origin in (Sequence, list, tuple):
        return f"a list of {_say(inner[0])}"
    names = {int: "an integer", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    return "a mapping" if origin in (Mapping, dict) else names.get(hint, str(getattr(hint, "__name__", hint)))


def modules_of(room: str) -> Callable[[str], types.ModuleType]:
    """The `__getattr__` of a room: its modules are imported at their first use, so that ``voxid.metrics.detection.eer`` works."""

    def find(name: str) -> types.ModuleType:
        if importlib.util.find_spec(f"{room}.{name}") is None:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return importlib.import_module(f"{room}.{name}")

    return find


def _by_path(kind: str, path: str) -> Callable[..., Any]:
    module, _, attribute = path.rpartition(".")
    try:
        part = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        hint = "its folder must be on the path of Python, e.g. PYTHONPATH=."
        raise ConfigError(f"{kind} {path!r} cannot be imported ({error}); {hint}") from error
    if not callable(part):
        raise ConfigError(f"{kind} {path!r} is no class and no function")
    return part


def _open(kind: str) -> None:
    if kind not in ROOMS:
        raise ConfigError(f"unknown kind of part {kind!r}: {did_you_mean(kind, ROOMS)}")
    if kind in _opened:
        return
    room = importlib.import_module(ROOMS[kind])
    for module in pkgutil.iter_modules(getattr(room, "__path__", [])):
        importlib.import_module(f"{ROOMS[kind]}.{module.name}")
    _opened.add(kind)
