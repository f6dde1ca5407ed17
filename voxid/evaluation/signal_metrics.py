"""Measures of waveforms by name: what an evaluation of enhancement or separation asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from voxid.errors import ConfigError, DataError, did_you_mean
from voxid.extras import need
from voxid.metrics.dnsmos import dnsmos
from voxid.metrics.pesq import pesq
from voxid.metrics.signal import sdr, si_sdr
from voxid.metrics.stoi import estoi, stoi

Measure = Callable[[NDArray, NDArray, int], float]
USUAL = ("si_sdr", "pesq", "stoi", "estoi")
PESQ_BANDS = {8000: "narrow", 16000: "wide"}
DNSMOS_RATE = 16000

MEASURES: Mapping[str, Measure] = {
    "si_sdr": lambda ours, theirs, rate: float(si_sdr(ours, theirs)),
    "sdr": lambda ours, theirs, rate: float(sdr(ours, theirs)),
    "pesq": lambda ours, theirs, rate: float(pesq(ours, theirs, rate, band=PESQ_BANDS[rate])),
    "stoi": lambda ours, theirs, rate: float(stoi(ours, theirs, rate)),
    "estoi": lambda ours, theirs, rate: float(estoi(ours, theirs, rate)),
    "dnsmos": lambda ours, theirs, rate: float(dnsmos(ours, rate).overall),
}


def check_metrics(metrics: Sequence[str], rate: int) -> None:
    """Raise `ConfigError` for measures that are unknown, need a package that is missing, or another rate than `rate` in Hz.

    Example:
        >>> check_metrics(["si_sdr", "stoi"], 8000)
    """
    if not metrics:
        raise ConfigError(f"metrics: name one or more of {', '.join(MEASURES)}")
    for name in metrics:
        if name not in MEASURES:
            raise ConfigError(f"unknown metric {name!r}: {did_you_mean(name, MEASURES)}")
    if len(set(metrics)) < len(metrics):
        raise ConfigError(f"metrics: one is named twice in {', '.join(metrics)}")
    for name, rates in (("pesq", tuple(PESQ_BANDS)), ("dnsmos", (DNSMOS_RATE,))):
        if name in metrics and rate not in rates:
            accepted = " or ".join(map(str, rates))
            raise ConfigError(f"{name} takes {accepted} Hz, and this model works at {rate}: leave it out with metrics")
    if "pesq" in metrics:
        need("pesq", extra="signal")
    if "dnsmos" in metrics:
        need("onnxruntime", extra="signal")
        need("speechmos", extra="signal")


def headings(metrics: Sequence[str], rate: int) -> dict[str, str]:
    """Names of measures for a table, with unit or band.

    Example:
        >>> headings(["pesq"], 8000)
        {'pesq': 'PESQ narrow'}
    """
    known = {"si_sdr": "SI-SDR dB", "sdr": "SDR dB", "stoi": "STOI", "estoi": "ESTOI", "dnsmos": "DNSMOS overall"}
    known["pesq"] = f"PESQ {PESQ_BANDS.get(rate, '')}".strip()
    return {name: known[name] for name in metrics}


def measured(metrics: Sequence[str], estimate: NDArray, target: NDArray, rate: int) -> dict[str, float]:
    """Each measure of an estimate [T] of a target [T]; higher is better.

    NaN where it is not defined: a target that is silent, or shorter than the measure takes.

    Example:
        >>> target = np.array([3.0, -0.5, 2.0, 7.0])
        >>> found = measured(["si_sdr", "stoi"], np.array([2.5, 0.0, 2.0, 8.0]), target, 16000)
        >>> round(found["si_sdr"], 4), found["stoi"]
        (15.0918, nan)
    """
    if not np.any(target):
        return dict.fromkeys(metrics, np.nan)
    return {name: _defined(MEASURES[name], estimate, target, rate) for name in metrics}


def _defined(measure: Measure, estimate: NDArray, target: NDArray, rate: int) -> float:
    try:
        return measure(np.asarray(estimate, np.float64), np.asarray(target, np.float64), rate)
    except DataError as error:
        if error.code != "E_SHORT":
            raise
        return np.nan
