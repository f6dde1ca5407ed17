"""Recipes: YAML and dotted overrides -> plain data. An unknown key is an error.

A recipe may name another one as its ``base``, or several, and say only what differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from voxid.errors import ConfigError, did_you_mean

FREE = ("where", "noise_where", "responses_where")  # sections whose keys are columns of the user's own manifest


def recipe_names() -> list[str]:
    """Names of the recipes that come with voxid, e.g. ``speaker/ecapa_tdnn``; bases that are no recipes begin with ``_``."""
    return [name for name in _files() if not name.partition("/")[2].startswith("_")]


def load_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A recipe as plain data, with its overrides applied.

    Args:
        recipe: A name out of `recipe_names`, or a YAML file. Nothing is added to a file but what it names as its ``base``; the
            trainer has its own defaults.
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
    update = OmegaConf.create({})
    for override in overrides:
        update.merge_with(_checked(sources, override, str(recipe)))
    # All at once: whether a part's new name stands before or behind its arguments makes no difference.
    _make_way(base, update)
    base.merge_with(update)
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


def _files() -> list[str]:
    """Names of all YAML files that come with voxid."""
    folder = resources.files("voxid") / "recipes"
    tasks = [task for task in folder.iterdir() if task.is_dir()]
    return sorted(f"{task.name}/{file.name[:-5]}" for task in tasks for file in task.iterdir() if file.name.endswith(".yaml"))


def _bundled_path(name: str) -> Path:
    return Path(str(resources.files("voxid") / "recipes" / f"{name}.yaml"))


def _read(recipe: str | Path) -> DictConfig:
    """A recipe by name or file, over its bases."""
    if Path(recipe).suffix in (".yaml", ".yml"):
        path = Path(recipe)
    elif str(recipe) in recipe_names():
        path = _bundled_path(str(recipe))
    else:
        raise ConfigError(
            f"unknown recipe {str(recipe)!r}: {did_you_mean(str(recipe), recipe_names())}. A file of your own ends in .yaml"
        )
    return OmegaConf.create(_whole(path, ()))


def _whole(path: Path, above: tuple[Path, ...]) -> dict[Any, Any]:
    """A file over its bases, a later base over an earlier one; `above` are the files that led here."""
    if path.resolve() in above:
        raise ConfigError(f"{above[0]}: its bases go in a circle, back to {path.name}")
    own, below = _load(path), dict[Any, Any]()
    bases = own.pop("base", None)
    for base in bases if isinstance(bases, list) else [] if bases is None else [bases]:
        below = _over(below, _whole(_base_path(base, path), (*above, path.resolve())))
    return _over(below, own)


def _base_path(base: object, recipe: Path) -> Path:
    """The file behind a base: a name that comes with voxid, or a YAML file, relative to the one that names it."""
    if isinstance(base, str) and base.endswith((".yaml", ".yml")):
        return recipe.parent / base
    if not isinstance(base, str) or base not in _files():
        hint = "A file of your own ends in .yaml"
        raise ConfigError(f"{recipe}: unknown base {base!r}: {did_you_mean(str(base), _files())}. {hint}")
    return _bundled_path(base)


def _over(base: Mapping[Any, Any], own: Mapping[Any, Any]) -> dict[Any, Any]:
    """The base with what the recipe states put over it, at any depth; a mapping with another ``name`` is another part, and
    replaces the one of the base whole."""
    out = dict(base)
    for key, value in own.items():
        below = base.get(key)
        same = isinstance(value, dict) and isinstance(below, dict) and value.get("name", below.get("name")) == below.get("name")
        out[key] = _over(below, value) if same else value  # type: ignore[arg-type] # a dict: just seen
    return out


def _load(path: Path) -> dict[Any, Any]:
    """One file as plain data, values that refer to others left as they are."""
    try:
        loaded = OmegaConf.load(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; expected a recipe in YAML", "E_NOT_FOUND") from error
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML that can be read: {_first_line(error)}") from error
    if not isinstance(loaded, DictConfig):
        raise ConfigError(f"{path}: a recipe is a mapping of keys, got a list")
    plain = OmegaConf.to_container(loaded)
    assert isinstance(plain, dict)
    return plain


def _bundled(base: DictConfig) -> list[DictConfig]:
    """The bundled files of the recipe's task: together they state every key that its trainer takes. Those with a base of their
    own add nothing to it, and are not read: there are many."""
    task = OmegaConf.to_container(base).get("task", "speaker")  # type: ignore[union-attr] # a mapping: _read saw to it
    paths = [_bundled_path(name) for name in _files() if name.partition("/")[0] == task]
    return [OmegaConf.create(_load(path)) for path in paths if "\nbase:" not in path.read_text(encoding="utf-8")]


def _checked(sources: Sequence[DictConfig], override: str, recipe: str) -> DictConfig:
    """One override as a recipe that states nothing else."""
    key, equals, _ = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"an override reads key=value, got {override!r}")
    try:
        update = OmegaConf.from_dotlist([override])
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{override!r} cannot be read: {_first_line(error)}") from error
    _check(sources, update, recipe, "")
    return update


def _make_way(recipe: DictConfig, update: DictConfig) -> None:
    """Empty the mappings that `update` gives another ``name``: it is another part, and takes none of the old arguments."""
    for key in update:
        new, old = update._get_node(key), recipe._get_node(key)
        if not isinstance(new, DictConfig) or not isinstance(old, DictConfig) or new._is_none() or old._is_none():
            continue
        if "name" in new and "name" in old and new["name"] != old["name"]:
            recipe[key] = {}
        else:
            _make_way(old, new)


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
