"""What a back-end is made of, out of a preset or a file and overrides, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from voxid.errors import ConfigError, did_you_mean
from voxid.scoring.backend import build_backend

FILES = (".yaml", ".yml", ".json")
KEYS = ("transforms", "scorer", "norm")
Kind = str | Path | Mapping[str, Any]


def backend_spec(kind: Kind, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """``{"transforms": [...], "scorer": ..., "norm": ...}``, as `build_backend` takes it.

    Args:
        kind: A preset, a YAML or JSON file with such a mapping (or with ``name``, a preset, and what differs), or the mapping.
        overrides: ``part.argument=value`` by the name of a part, or by its place, ``transforms.0.dim=100``; ``scorer=cosine``
            takes another part. Values are YAML.

    Raises:
        ConfigError: An unknown preset, part or argument; a file that holds no back-end; an override that does not read
            ``key=value`` or leads nowhere.

    Example:
        >>> backend_spec({"transforms": ["lda"], "scorer": "cosine"}, ["lda.dim=3"])["transforms"]
        [{'name': 'lda', 'dim': 3}]
    """
    file = not isinstance(kind, Mapping) and Path(kind).suffix in FILES
    plain = _read(Path(str(kind))) if file else kind if isinstance(kind, Mapping) else str(kind)
    spec = build_backend(plain).spec  # each part is a mapping with its name there
    for override in overrides:
        _override(spec, override)
    return build_backend(spec).spec


def _read(path: Path) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; expected a back-end in YAML or JSON", "E_NOT_FOUND") from error
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML that can be read: {_first_line(error)}") from error
    if not isinstance(plain, dict) or not plain:
        got = "nothing" if not plain else "a list"
        raise ConfigError(f"{path}: a back-end is a mapping of transforms, scorer and norm, got {got}")
    return {str(key): value for key, value in plain.items()}


def _override(spec: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"an override reads key=value, got {override!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{override!r} cannot be read: {_first_line(error)}") from error
    first, *rest = key.split(".")
    if first in KEYS and not rest:
        spec[first] = value
    elif first == "transforms":
        _put(_at(spec["transforms"], rest[0], override), rest[1:], value, override)
    else:
        _put(spec[first] if first in KEYS else _by_name(spec, first, override), rest, value, override)


def _at(transforms: Sequence[Any], place: str, override: str) -> Any:
    if not place.isdecimal() or int(place) >= len(transforms):
        raise ConfigError(f"{override!r}: there are {len(transforms)} transforms, counted from 0, got {place!r}")
    return transforms[int(place)]


def _by_name(spec: Mapping[str, Any], name: str, override: str) -> Any:
    parts = [part for part in [*spec["transforms"], spec["scorer"], spec["norm"]] if isinstance(part, Mapping)]
    found = [part for part in parts if part.get("name") == name]
    if len(found) > 1:
        raise ConfigError(f"{override!r}: {name} comes {len(found)} times; say which by its place, e.g. transforms.0.dim=3")
    if not found:
        known = [*KEYS, *(str(part.get("name")) for part in parts)]
        raise ConfigError(f"{override!r}: no part {name!r}: {did_you_mean(name, known)}")
    return found[0]


def _put(part: Any, words: Sequence[str], value: Any, override: str) -> None:
    if len(words) != 1 or not isinstance(part, dict):
        raise ConfigError(f"{override!r} leads to no argument of a part; it reads part.argument=value, e.g. lda.dim=100")
    part[words[0]] = value


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
