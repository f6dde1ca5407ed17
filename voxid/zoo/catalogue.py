"""What comes with the package: our own trained models and what they were measured at."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safetensors import safe_open

from voxid.models.stored_backend import PREFIX
from voxid.zoo.load import DEFAULTS, bundled


@dataclass(frozen=True)
class Entry:
    """One bundled model.

    Attributes:
        name: What `--model` and `load` take.
        kind: What it does: speaker, enhancement or separation.
        default: Used when no model of its kind is named.
        parameters: How many weights.
        megabytes: Size of the file.
        card: Data, licence, recipe, command, figures, thresholds.
    """

    name: str
    kind: str
    default: bool
    parameters: int
    megabytes: float
    card: dict[str, Any]

    def describe(self) -> str:
        """Name, size and figures in a few lines of text."""
        marks = f" ({self.kind}, default)" if self.default else f" ({self.kind})"
        lines = [f"{self.name}{marks}: {self.parameters / 1e6:.2f} M parameters, {self.megabytes:.1f} MB"]
        lines += [f"  {key}: {self.card[key]}" for key in ("description", "licence", "data") if key in self.card]
        lines += [f"  {name}: {self._figures(figures)}" for name, figures in self.card.get("test", {}).items()]
        return "\n".join(lines)

    def _figures(self, figures: Mapping[str, Any]) -> str:
        if self.kind == "speaker":
            return f"EER {figures['eer']:.2%}"
        return ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in figures.items())


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def catalogue() -> list[Entry]:
    """The bundled models.

    Example:
        >>> [entry.name for entry in catalogue() if entry.default and entry.kind == "speaker"]
        ['ecapa_tdnn_small']
    """
    return [_entry(name) for name in bundled()]


def _entry(name: str) -> Entry:
    path = bundled()[name]
    with safe_open(path, framework="np") as file:
        told = json.loads(file.metadata()["voxid"])
        keys = [key for key in file.keys() if not key.startswith(PREFIX)]  # noqa: SIM118
        shapes = [file.get_slice(key).get_shape() for key in keys if "running_" not in key and "num_batches" not in key]
    parameters = sum(math.prod(shape) for shape in shapes)
    kind = told["kind"]
    return Entry(name, kind, name == DEFAULTS.get(kind), parameters, path.stat().st_size / 1e6, told["card"])
