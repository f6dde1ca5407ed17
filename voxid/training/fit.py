"""From a recipe to a trained model: one run folder with recipe, log, checkpoints, figures and the model file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voxid import registry
from voxid.config import load_recipe
from voxid.errors import ConfigError, did_you_mean
from voxid.training.fit_mixtures import fit_mixtures
from voxid.training.fit_speaker import fit_speaker
from voxid.training.result import Trained

TASKS: dict[str, Callable[..., Trained]] = {
    "speaker": fit_speaker,
    "enhancement": fit_mixtures,
    "separation": fit_mixtures,
}


def train(recipe: str | Path | Mapping[str, Any], *overrides: str) -> Trained:
    """Train a model: the verb `train`.

    Args:
        recipe: A name (`config.recipe_names`), a YAML file, or a recipe as plain data.
        overrides: ``key=value`` with dots for depth.

    Raises:
        ConfigError: Unknown recipe, key or value.
        DataError: Manifests or trials that do not hold together.
    """
    if not isinstance(recipe, Mapping):
        recipe = load_recipe(recipe, overrides)
    elif overrides:
        raise ConfigError("overrides go with a recipe's name or file; a recipe that is a mapping is changed itself")
    return fit(recipe)


def fit(recipe: Mapping[str, Any]) -> Trained:
    """Train the model of a recipe and write it to ``OUTPUT/model.safetensors``.

    Args:
        recipe: Plain data, as `config.load_recipe` gives it.

    Raises:
        ConfigError: An unknown task or key, or a run folder that holds another run.
        DataError: Manifests, trials or mixtures that do not hold together.
    """
    task = str(recipe.get("task", "speaker"))
    if task not in TASKS:
        raise ConfigError(f"unknown task {task!r}: {did_you_mean(task, TASKS)}")
    registry.check(TASKS[task], recipe, "recipe")
    return TASKS[task](**recipe)
