"""``voxid models`` and what is below it."""

from __future__ import annotations

import dataclasses

from voxid.cli.apps import Json, models_app
from voxid.cli.output import show


@models_app.command(name="list")
def models_list(*, json: Json = False) -> None:
    """The trained models that come with voxid, and their figures."""
    from voxid.zoo.catalogue import catalogue as run

    entries = run()
    show([dataclasses.asdict(entry) for entry in entries], json, "\n".join(entry.describe() for entry in entries))


@models_app.command(name="recipes")
def models_recipes(*, json: Json = False) -> None:
    """The recipes that voxid train knows by name."""
    from voxid.config import recipe_names as run

    show(run(), json)
