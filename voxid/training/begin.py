"""What every training begins with, whatever its task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from voxid.atomic import replacing
from voxid.config import dump_recipe
from voxid.errors import ConfigError
from voxid.training.figure import Figure
from voxid.training.loop import Loop, make_loop, refuse_empty_mean
from voxid.training.run_folder import find_run, hold_log
from voxid.training.settings import Settings


def begin(
    folder: Path, settings: Settings, fixed: Mapping[str, Any], every: int, validates: bool, figure: Figure
) -> tuple[Loop, Path | None, int]:
    """The loop, the checkpoint that it goes on from, and the epochs behind it; the log is kept until there is a folder for it."""
    last, behind = find_run(folder, settings.resume, settings.epochs, fixed)
    loop = make_loop(folder, settings, every, validates, figure)
    refuse_empty_mean(loop, every, behind)
    hold_log()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return loop, last, behind


def fused_where_it_can(optimizer: Mapping[str, Any] | None, settings: Settings) -> dict[str, Any]:
    """The section `optimizer`; not fused under a gradient scaler."""
    # A gradient scaler (16-mixed) unscales before the gradients are clipped; a fused optimiser would do it after that.
    return ({"fused": False} if settings.precision.startswith("16") else {}) | dict(optimizer or {})


def write_recipe(recipe: Mapping[str, Any], folder: Path) -> None:
    """recipe.yaml in the run folder."""
    with replacing(folder / "recipe.yaml", ConfigError) as temporary:
        temporary.write_text(dump_recipe(recipe))
