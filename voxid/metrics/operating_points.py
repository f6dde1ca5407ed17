"""Thresholds for a row of false-accept rates: what a model's card keeps, so that nobody has to guess one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxid.errors import ConfigError, ModelError
from voxid.metrics.detection import far_frr_at, threshold_at_far

RATES = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)


def operating_points(scores: np.ndarray, labels: np.ndarray, rates: Sequence[float] = RATES) -> list[dict[str, float]]:
    """Rows of ``far``, ``threshold`` and ``frr``, as shares; rates that fewer than three false accepts would set are left out.

    Args:
        scores, labels: Of development trials [n]; 1 = same speaker.
        rates: False-accept rates wanted.

    Example:
        >>> point = operating_points(np.arange(20.0), np.arange(20) >= 10, rates=[0.4])[0]
        >>> round(point["threshold"], 6), point["frr"]
        (5.0, 0.0)
    """
    scores, labels = np.asarray(scores), np.asarray(labels).astype(bool)
    enough = [rate for rate in rates if rate * int((~labels).sum()) >= 3]
    points = []
    for rate in enough:
        threshold = threshold_at_far(scores, labels, rate)
        points.append({"far": rate, "threshold": float(threshold), "frr": float(far_frr_at(scores, labels, threshold)[1])})
    return points


def stored_points(card: Mapping[str, Any]) -> tuple[list[Mapping[str, float]], str]:
    """The rows of `operating_points` in a model's card, and the trials that they were set on; no rows where it has none.

    Raises:
        ModelError: ``E_FORMAT``: `thresholds` that are something else.

    Example:
        >>> stored_points({"name": "mine"})
        ([], '')
    """
    stored = card.get("thresholds")
    if not stored:
        return [], ""
    points = stored.get("points") if isinstance(stored, Mapping) else None
    if not isinstance(points, Sequence) or not all(_is_point(point) for point in points):
        raise ModelError(
            "the model's card is malformed: 'thresholds' is {'source': text, 'points': rows of far, threshold, frr}; "
            "give a threshold (--threshold VALUE) or save the model again",
            "E_FORMAT",
        )
    return list(points), str(stored.get("source", "unnamed"))


def _is_point(point: Any) -> bool:
    if not isinstance(point, Mapping):
        return False
    values = [point.get(name) for name in ("far", "threshold", "frr")]
    numbers = all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    return numbers and point["far"] > 0


def threshold_for(points: Sequence[Mapping[str, Any]], far: float) -> tuple[float, float]:
    """The threshold for a false-accept rate, and its false-reject rate: between two stored rates by their logarithm.

    Raises:
        ConfigError: A rate outside the stored ones, which the development trials cannot support.

    Example:
        >>> threshold_for([{"far": 0.01, "threshold": 0.5, "frr": 0.1}, {"far": 0.1, "threshold": 0.3, "frr": 0.0}], 0.01)
        (0.5, 0.1)
    """
    rates = np.array([point["far"] for point in points])
    if not len(rates) or not rates.min() <= far <= rates.max():
        held = f"{rates.min():g} ... {rates.max():g}" if len(rates) else "none"
        raise ConfigError(f"far={far:g}: the model's development trials support false-accept rates {held}; choose one of these")
    order = np.argsort(rates)
    x = np.log(rates[order])
    columns = (np.array([point[name] for point in points])[order] for name in ("threshold", "frr"))
    threshold, frr = (float(np.interp(np.log(far), x, column)) for column in columns)
    return threshold, frr
