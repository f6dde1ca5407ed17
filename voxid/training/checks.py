"""What can be told of a recipe before any recording is read: wrong values cost seconds, not hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from voxid import registry
from voxid.errors import ConfigError, ModelError
from voxid.features.specaugment import specaugment
from voxid.training.loss import try_loss
from voxid.training.optim import optimizer
from voxid.training.schedules import MarginSchedule, Schedule
from voxid.training.settings import Settings

# Arguments that the training gives itself. A recipe that states them would be ignored, or would take their place.
TOP, FRONT, OWN = "it stands at the top of a recipe", "it is that of model.frontend", "the training gives it"
GIVEN = {
    "data": {"manifest": TOP, "root": TOP, "where": TOP, "sample_rate": FRONT, "bins": FRONT},
    "augment": {"sample_rate": FRONT},
    "specaugment": {"features": OWN, "generator": OWN},
    "optimizer": {"parameters": OWN},
    "loss": {"embedding_dim": "it is that of the model", "num_classes": "it comes with the manifest"},
}


def check_keys(recipe: Mapping[str, Any], given: Mapping[str, Mapping[str, str]] = GIVEN) -> None:
    """Raise `ConfigError` for a seed out of range, or a key where it does not belong."""
    if not 0 <= recipe["seed"] < 2**31:
        raise ConfigError(f"seed must lie within 0 ... 2147483647, got {recipe['seed']}")
    for section, reasons in given.items():
        for key in recipe[section] or {}:
            if key in reasons:
                raise ConfigError(f"{section}.{key} cannot be given: {reasons[key]}; take it out of {section}")


def check_values(recipe: Mapping[str, Any], model: nn.Module) -> None:
    """Try loss, optimiser, schedules, specaugment and the centring of a recipe on next to nothing.

    Raises:
        ConfigError: What one of them refuses; ``E_HEAD``, embeddings that cannot be centred.
    """
    net: Any = model
    try_loss(recipe["loss"], net.embedding_dim)
    try_moves(recipe)
    registry.call(MarginSchedule, recipe["margin_schedule"] or {}, "margin_schedule")
    if recipe["specaugment"] is not None:
        tried = {"features": torch.zeros(2, net.frontend.num_bins, 50), "generator": torch.Generator()}
        registry.call(specaugment, tried | dict(recipe["specaugment"]), "specaugment")
    if recipe["center"]:
        try:
            net.subtract(torch.zeros(net.embedding_dim))
        except ModelError as error:  # told at the end of a training otherwise
            raise ConfigError(str(error), error.code) from error


def try_moves(recipe: Mapping[str, Any]) -> None:
    """Try optimiser and schedule of a recipe on next to nothing: `ConfigError` for what one of them refuses."""
    parameters = [nn.Parameter(torch.zeros(1, 1)), nn.Parameter(torch.zeros(1))]
    registry.call(optimizer, {"parameters": parameters} | dict(recipe["optimizer"] or {}), "optimizer")
    registry.call(Schedule, recipe["schedule"] or {}, "schedule")


def need_lists(
    schedule: Mapping[str, Any] | None, settings: Settings, lists: Sequence[str], key: str = "validation.trials"
) -> None:
    """Raise `ConfigError` where something goes by the figure of a validation and there is no list for it."""
    if lists:
        return
    plateau = (schedule or {}).get("name") == "plateau"
    for wanted, what in ((plateau, "schedule.name=plateau"), (settings.average_best, "average_best")):
        if wanted:
            raise ConfigError(f"{what} goes by the figure of a validation; give {key}")
