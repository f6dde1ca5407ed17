"""What a resumed training may not change: what it is, and what its batches are drawn from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxid.errors import ConfigError
from voxid.training.corpus import Batching
from voxid.training.mixing import Mixing

LATER = {"validation.figure"}  # older checkpoints do not tell it, nor does a run without validation: it may come and go


def fixed_part(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a recipe that stay from the first step to the last, dotted, as plain data.

    Example:
        >>> part = fixed_part({"seed": 3, "model": {"backbone": "resnet"}, "loss": {"name": "softmax"}, "data": {"batches": 7}})
        >>> part["seed"], part["model.backbone"], part["optimizer.name"], part["data.batches"], part["data.batch_size"]
        (3, 'resnet', 'adamw', 7, 128)
    """
    rule, data = recipe.get("optimizer") or {}, recipe["data"]
    drawn = _drawn(recipe.get("task", "speaker"))
    found = {
        "seed": recipe["seed"],
        "loss": _names(recipe["loss"]),
        "optimizer.name": rule.get("name", "adamw"),
        "optimizer.decay_norms": rule.get("decay_norms", True),
        "optimizer.amsgrad": rule.get("amsgrad", False),
    }
    found |= {f"data.{key}": data.get(key, default) for key, default in drawn.items()}
    plain: dict[str, Any] = json.loads(json.dumps(found | _dotted("model", recipe["model"]), default=str))
    return plain


def check_fixed(path: Path, checkpoint: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Raise `ConfigError` when the run of a checkpoint began with another value of a key that stays."""
    began = checkpoint.get("fixed", fixed)
    both = {*began, *fixed} - (LATER - (began.keys() & fixed.keys()))
    changed = [key for key in sorted(both) if began.get(key) != fixed.get(key)]
    if changed:
        key = changed[0]
        more = f" ({len(changed) - 1} further keys differ too)" if changed[1:] else ""
        raise ConfigError(
            f"{path}: this run began with {key}={json.dumps(began.get(key))}, and the recipe says "
            f"{json.dumps(fixed.get(key))}{more}; resume with the recipe it began with (recipe.yaml in its folder), "
            "or choose another output=FOLDER"
        )


def _drawn(task: str) -> dict[str, Any]:
    """Keys of the section `data` that decide the draws, and their defaults."""
    kind, more = (Batching, {"speeds": [1.0]}) if task == "speaker" else (Mixing, {})
    return {field.name: field.default for field in dataclasses.fields(kind)} | more | {"prefix_speakers": False}


def _names(loss: Mapping[str, Any]) -> Any:
    """Name of a loss; with those of its parts, where it has some."""
    parts = loss.get("parts")
    if not isinstance(parts, list):
        return loss.get("name")
    return [loss.get("name"), *(_names(part) if isinstance(part, Mapping) else part for part in parts)]


def _dotted(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {key: value}
    return {inner: item for name, below in value.items() for inner, item in _dotted(f"{key}.{name}", below).items()}
