"""What comes with the package: our own trained models and what they were measured at."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from safetensors import safe_open

from voxid.models.stored_backend import PREFIX
from voxid.zoo.load import DEFAULT, bundled


@dataclass(frozen=True)
class Entry:
    """One bundled model.

    Attributes:
        name: What `--model` and `load` take.
        default: Used when no model is named.
        parameters: How many weights.
        megabytes: Size of the file.
        card: Data, licence, recipe, command, figures, thresholds.
    """

    name: str
    default: bool
    parameters: int
    megabytes: float
    card: dict[str, Any]

    def describe(self) -> str:
        """Name, size and figures in a few lines of text."""
        marks = " (default)" if self.default else ""
        lines = [f"{self.name}{marks}: {self.parameters / 1e6:.2f} M parameters, {self.megabytes:.1f} MB"]
        lines += [f"  {key}: {self.card[key]}" for key in ("description", "licence", "data") if key in self.card]
        lines += [f"  {name}: EER {figures['eer']:.2%}" for name, figures in self.card.get("test", {}).items()]
        return "\n".join(lines)


def catalogue() -> list[Entry]:
    """The bundled models.

    Example:
        >>> [entry.name for entry in catalogue() if entry.default]
        ['ecapa_tdnn_small']
    """
    return [_entry(name) for name in bundled()]


def _entry(name: str) -> Entry:
    path = bundled()[name]
    with safe_open(path, framework="np") as file:
        card = json.loads(file.metadata()["voxid"])["card"]
        keys = [key for key in file.keys() if not key.startswith(PREFIX)]  # noqa: SIM118
        shapes = [file.get_slice(key).get_shape() for key in keys if "running_" not in key and "num_batches" not in key]
    parameters = sum(math.prod(shape) for shape in shapes)
    return Entry(name, name == DEFAULT, parameters, path.stat().st_size / 1e6, card)
