"""Recipes: YAML and dotted overrides -> plain data. An unknown key is an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from voxid.errors import ConfigError, did_you_mean

FREE = ("where",)  # sections whose keys are columns of the user's own manifest


def recipe_names() -> list[str]:
    """Names of the recipes that come with voxid, e.g. ``speaker/ecapa_tdnn``."""
    folder = resources.files("voxid") / "recipes"
    return sorted(
        f"{task.name}/{file.name.removesuffix('.yaml')}"
        for task in folder.iterdir()
        if task.is_dir()
        for file in task.iterdir()
        if file.name.endswith(".yaml")
    )


def load_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A recipe as plain data, with its overrides applied.

    Args:
        recipe: A name out of `recipe_names`, or a YAML file. Nothing is added to a file; the trainer has its own defaults.
        overrides: ``key=value`` with dots for depth, e.g. ``optimizer.lr=0.01``; values are read as YAML. A key is known when the
            recipe or a bundled one of its task states it.

    Raises:
        ConfigError: Unknown recipe or key, malformed YAML, or a value that must be given and is not.

    Example:
        >>> load_recipe("speaker/ecapa_tdnn", ["manifest=train.csv", "loss.margin=0.3"])["loss"]["margin"]
        0.3
    """
    base = _read(recipe)
    sources = [base, *_bundled(base)] if overrides else [base]
    for override in overrides:
        _apply(sources, override, str(recipe))
    try:
        if missing := sorted(OmegaConf.missing_keys(base)):
            raise ConfigError(f"{recipe}: {missing[0]} must be given, e.g. {missing[0]}=VALUE")
        plain = OmegaConf.to_container(base, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{recipe}: {_first_line(error)}") from error
    assert isinstance(plain, dict)
    return plain  # type: ignore[return-value]


def dump_recipe(recipe: Mapping[str, Any]) -> str:
    """A recipe as YAML text, keys without a value included.

    Example:
        >>> dump_recipe({"task": "speaker", "init": None})
        'task: speaker\\ninit: null\\n'
    """
    return OmegaConf.to_yaml(OmegaConf.create(dict(recipe)))


def _read(recipe: str | Path) -> DictConfig:
    path = Path(recipe)
    if path.suffix not in (".yaml", ".yml"):
        if str(recipe) not in recipe_names():
            raise ConfigError(
                f"unknown recipe {str(recipe)!r}: {did_you_mean(str(recipe), recipe_names())}. A file of your own ends in .yaml"
            )
        path = Path(str(resources.files("voxid") / "recipes" / f"{recipe}.yaml"))
    try:
        loaded = OmegaConf.load(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; expected a recipe in YAML", "E_NOT_FOUND") from error
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML that can be read: {_first_line(error)}") from error
    if not isinstance(loaded, DictConfig):
        raise ConfigError(f"{path}: a recipe is a mapping of keys, got a list")
    return loaded


def _bundled(base: DictConfig) -> list[DictConfig]:
    """The bundled recipes of the recipe's task: together they state every key that its trainer takes."""
    task = OmegaConf.to_container(base).get("task", "speaker")  # type: ignore[union-attr] # a mapping: _read saw to it
    return [_read(name) for name in recipe_names() if name.partition("/")[0] == task]


def _apply(sources: Sequence[DictConfig], override: str, recipe: str) -> None:
    key, equals, _ = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"an override reads key=value, got {override!r}")
    try:
        update = OmegaConf.from_dotlist([override])
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{override!r} cannot be read: {_first_line(error)}") from error
    _check(sources, update, recipe, "")
    sources[0].merge_with(update)


def _check(sources: Sequence[DictConfig], update: DictConfig, recipe: str, prefix: str) -> None:
    """Refuse keys of `update` that none of the sources states."""
    known = list(dict.fromkeys(str(name) for source in sources for name in source))
    for key in update:
        if str(key) not in known:  # not `in source`: that is False for a value still to be given
            # A part takes any argument that its signature has: that is checked when the part is built.
            if "name" in known:
                continue
            raise ConfigError(f"{recipe}: unknown key {prefix}{key!s}: {did_you_mean(str(key), known)}")
        if key in FREE:
            continue
        new = update._get_node(key)
        inner = [node for source in sources if isinstance(node := source._get_node(key), DictConfig) and not node._is_none()]
        if inner and isinstance(new, DictConfig) and not new._is_none():
            _check(inner, new, recipe, f"{prefix}{key!s}.")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
