"""What `voxid calibrate` wrote: a calibration, thresholds, and which scores they belong to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxid.errors import ConfigError, ModelError
from voxid.scoring.backend import Backend, build_backend
from voxid.scoring.calibration import Calibration, PavCalibration, read_calibration
from voxid.zoo.backend import parts_of
from voxid.zoo.load import load as load_model

# The digest is of a file, and a calibration that is kept in a model changes its file, not its net.
SAME_WEIGHTS = "right only where both hold the same weights"


def read_decision(path: str | Path, *, imports: bool = False) -> Mapping[str, Any]:
    """``calibration``, ``thresholds`` and ``scored_by`` of a .json, or of a model file whose card holds them.

    Raises:
        ModelError: ``E_NOT_FOUND``; ``E_FORMAT`` for a file of another kind.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        net = load_model(path, device="cpu", imports=imports)
        card: Any = dict(net.card) | {"scored_by": scored_by(net.backend or build_backend("cosine"), {})}
    else:
        card = _read_json(path)
    if not isinstance(card, Mapping) or not card.get("calibration"):
        raise ModelError(f"{path}: no calibration in it; `voxid calibrate` makes one", "E_FORMAT")
    return card


def scored_by(backend: Backend, model: Mapping[str, Any]) -> dict[str, Any]:
    """Which scores a calibration is for: parts of the back-end, name and sha256 of the model."""
    return {"backend": ", ".join(parts_of(backend)), "model": {key: model.get(key) for key in ("name", "sha256")}}


def one_system(card: Mapping[str, Any], where: str | Path = "the model's card") -> Calibration | PavCalibration | None:
    """The calibration of one system's scores, where there is any.

    Raises:
        ModelError: ``E_FORMAT``, a malformed one.
        ConfigError: A fusion of several systems.
    """
    stored = card.get("calibration")
    found = read_calibration(stored) if stored else None
    if isinstance(found, Calibration) and len(found.systems) > 1:
        raise ConfigError(
            f"{where}: a fusion of {len(found.systems)} systems ({', '.join(found.systems)}), here is one; "
            "write the scores of each, then: voxid calibrate apply"
        )
    return found


def check_scores(path: str | Path, card: Mapping[str, Any], backend: Backend, model: Mapping[str, Any]) -> list[str]:
    """Warnings where a calibration was fitted on scores of another model file, as far as its own file tells.

    Raises:
        ConfigError: It was fitted on scores of another back-end: they lie elsewhere.
    """
    told = card.get("scored_by")
    if not isinstance(told, Mapping) or not isinstance(told.get("model"), Mapping) or not told.get("backend"):
        return []
    parts = ", ".join(parts_of(backend))
    if told["backend"] != parts:
        raise ConfigError(
            f"{path}: fitted on scores of the back-end {told['backend']}, these are of {parts}; "
            "ask for the same back-end and normalisation, or calibrate again"
        )
    made, asked = told["model"].get("sha256"), model.get("sha256")
    if not made or not asked or made == asked:
        return []
    file = f"another model file ({str(made)[:12]})"
    return [f"the calibration {path} was fitted on scores of {file}, these are of {asked[:12]}: {SAME_WEIGHTS}"]


def _read_json(path: Path) -> Any:
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file() raises on a name that is too long
        raise ModelError(f"{path}: there is no such file; expected a calibration of `voxid calibrate`", "E_NOT_FOUND")
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{path}: not a calibration of `voxid calibrate` ({reason})", "E_FORMAT") from error
