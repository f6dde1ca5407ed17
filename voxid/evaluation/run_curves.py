"""Curves of a training: from metrics.json of a run folder of `voxid train`, or from the TensorBoard events of any other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.errors import DataError
from voxid.extras import need

Curve = tuple[NDArray, NDArray]
VALIDATED = ("eer", "si_sdr_improvement", "pesq")  # measured in some epochs only
# Names that other trainers give to a curve, the first that is there counts.
TAGS = {
    "loss": ("loss", "loss_epoch", "train_loss", "train/loss", "loss_step"),
    "accuracy": ("accuracy", "accuracy_epoch", "train_accuracy", "train/accuracy"),
    "eer": ("eer", "val_eer", "val/eer"),
    "si_sdr_improvement": ("si_sdr_improvement", "val_si_sdri", "val/si_sdri"),
    "pesq": ("pesq", "val_pesq", "val/pesq"),
    "lr": ("lr", "learning_rate", "train/lr"),
}


def read_curves(folder: str | Path) -> dict[str, Curve]:
    """Curve -> (steps [N], values [N]) of a run: loss, accuracy, what validations found, lr, as far as it has them.

    Args:
        folder: It holds ``metrics.json`` or, in it or in ``tensorboard/``, files of TensorBoard events.

    Raises:
        DataError: ``E_NOT_FILE``: no run folder; ``E_FORMAT``: figures that cannot be read.
        ConfigError: ``E_EXTRA``: events without TensorBoard.
    """
    folder = Path(folder)
    metrics = folder / "metrics.json"
    if metrics.is_file():
        return _picked(_history(metrics), metrics)
    events = next((place for place in (folder / "tensorboard", folder) if any(place.glob("events.out.tfevents.*"))), None)
    if events is None:
        raise DataError(f"{folder}: no run folder: neither metrics.json nor TensorBoard events are in it", "E_NOT_FILE")
    return _picked(_events(events), events)


def _picked(curves: Mapping[str, Curve], place: Path) -> dict[str, Curve]:
    found = {name: next((curves[tag] for tag in tags if tag in curves), None) for name, tags in TAGS.items()}
    kept = {name: _settled(*curve) if name in VALIDATED else curve for name, curve in found.items() if curve is not None}
    if not kept:
        raise DataError(f"{place}: none of the curves {', '.join(TAGS)} is in it; has an epoch ended?", "E_FORMAT")
    return kept


def _settled(steps: NDArray, values: NDArray) -> Curve:
    """Where a figure was measured anew: epochs without a validation repeat the one before."""
    kept = np.append(True, values[1:] != values[:-1])
    kept[-1] = True
    return steps[kept], values[kept]


def _history(path: Path) -> dict[str, Curve]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["epochs"]
        names = dict.fromkeys(name for row in rows for name in row if name not in ("epoch", "step"))
        return {name: _column([(row["step"], row[name]) for row in rows if name in row]) for name in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not the figures of a training that `voxid train` wrote ({error})", "E_FORMAT") from error


def _events(folder: Path) -> dict[str, Curve]:
    reader = need("tensorboard.backend.event_processing.event_accumulator", extra="train")
    events: Any = reader.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: _column([(event.step + 1, event.value) for event in events.Scalars(tag)]) for tag in events.Tags()["scalars"]}


def _column(points: Sequence[tuple[float, float]]) -> Curve:
    steps, values = np.array(points, np.float64).T
    return steps, values
