"""Quality measures of trials: what a calibration may know of two recordings besides their score. Symmetric in the two sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError, did_you_mean

Side = NDArray[np.float64]


def _log(values: Side) -> Side:
    return np.log(np.maximum(values, 1e-3))


def _same(values: Side) -> Side:
    return values


def _mean(first: Side, second: Side) -> Side:
    return (first + second) / 2


# Name -> the fact of a recording that it looks at, how it is scaled, and what is made of the two sides.
MEASURES: dict[str, tuple[str, Callable[[Side], Side], Callable[[Side, Side], Side]]] = {
    "log_duration_min": ("seconds", _log, np.minimum),
    "log_duration_max": ("seconds", _log, np.maximum),
    "log_duration_mean": ("seconds", _log, _mean),
    "snr_min": ("snr_db", _same, np.minimum),
    "snr_max": ("snr_db", _same, np.maximum),
    "magnitude_min": ("magnitude", _same, np.minimum),
    "magnitude_max": ("magnitude", _same, np.maximum),
    "magnitude_mean": ("magnitude", _same, _mean),
    "cohort_mean_min": ("cohort_mean", _same, np.minimum),
    "cohort_mean_max": ("cohort_mean", _same, np.maximum),
    "cohort_mean_mean": ("cohort_mean", _same, _mean),
    "cohort_std_min": ("cohort_std", _same, np.minimum),
    "cohort_std_max": ("cohort_std", _same, np.maximum),
    "cohort_std_mean": ("cohort_std", _same, _mean),
}


def facts_needed(names: Sequence[str]) -> list[str]:
    """Facts of a recording that quality measures look at, sorted.

    ``seconds``: net speech where known, else the duration. ``snr_db``: see `audio.snr`. ``magnitude``: length of the embedding as
    the model gives it. ``cohort_mean``, ``cohort_std``: of the scores against the cohort, see `normalize.cohort_statistics`.

    Raises:
        ConfigError: An unknown measure.

    Example:
        >>> facts_needed(["snr_min", "log_duration_min", "log_duration_max"])
        ['seconds', 'snr_db']
    """
    return sorted({_measure(name)[0] for name in names})


def quality_matrix(
    names: Sequence[str], facts_enrol: Mapping[str, ArrayLike], facts_test: Mapping[str, ArrayLike]
) -> NDArray[np.float64]:
    """Quality measures of trials [N, Q]; the same when the sides change places.

    Args:
        names: Of `MEASURES`, in the order of the columns.
        facts_enrol, facts_test: Facts of the recordings on each side, one value a trial [N]; see `facts_needed`.

    Raises:
        ConfigError: An unknown measure.
        DataError: A missing fact, ``E_SHAPE``, or ``E_SCORES`` for NaN and infinity.

    Example:
        >>> quality_matrix(["snr_min", "snr_max"], {"snr_db": [20.0, 5.0]}, {"snr_db": [10.0, 30.0]}).tolist()
        [[10.0, 20.0], [5.0, 30.0]]
    """
    columns = []
    for name in names:
        fact, scale, join = _measure(name)
        first, second = _fact(fact, facts_enrol), _fact(fact, facts_test)
        if first.shape != second.shape:
            raise DataError(f"expected {fact!r} of both sides of each trial, got {first.size} and {second.size}", "E_SHAPE")
        columns.append(join(scale(first), scale(second)))
    if len({len(column) for column in columns}) > 1:
        raise DataError(f"expected facts of as many trials each, got {[len(column) for column in columns]}", "E_SHAPE")
    return np.column_stack(columns) if columns else np.zeros((0, 0))


def _measure(name: str) -> tuple[str, Callable[[Side], Side], Callable[[Side, Side], Side]]:
    if name not in MEASURES:
        raise ConfigError(f"unknown quality measure {name!r}: {did_you_mean(str(name), MEASURES)}")
    return MEASURES[name]


def _fact(name: str, facts: Mapping[str, ArrayLike]) -> Side:
    if name not in facts:
        raise DataError(f"the quality measures need {name!r} of every recording, got {', '.join(sorted(facts)) or 'no facts'}")
    values = np.asarray(facts[name])
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise DataError(f"expected {name!r} [N] as numbers, got {values.dtype} {list(values.shape)}", "E_SHAPE")
    if not np.isfinite(values).all():
        raise DataError(f"expected finite values of {name!r}, got NaN or infinity", "E_SCORES")
    return values.astype(np.float64)
