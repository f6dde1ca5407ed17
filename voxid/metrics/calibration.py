"""How well log-likelihood ratios mean what they say. In bits per trial; lower is better, 0 is perfect, 1 says nothing.

Every function takes `labels` [N] (bool, or 1 = target and 0 = non-target) with a trial of each class at least, and scores [N]
that may be infinite but not NaN, and raises `DataError` for anything else.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import DataError
from voxid.scoring.labelled import labels_of
from voxid.scoring.pav import pav


def cllr(llr: ArrayLike, labels: ArrayLike) -> float:
    """Cost of log-likelihood ratios over all priors and costs, in bits; lower is better.

    Half the mean of log2(1 + exp(-llr)) over targets plus half the mean of log2(1 + exp(llr)) over non-targets. An infinite ratio
    costs nothing where it is right; where it is wrong the result is infinite, which is what certainty in an error costs.

    Args:
        llr: Natural-log likelihood ratios [N]; higher = target.
        labels: [N], 1 = target.

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES``, ``E_LABELS`` or ``E_ONE_CLASS``.

    Example:
        >>> cllr([0.0, 0.0], [1, 0]), round(cllr([3.0, 1.0, -2.0, -4.0], [1, 1, 0, 0]), 4)
        (1.0, 0.1828)

    Brümmer and du Preez, "Application-independent evaluation of speaker detection", Computer Speech and Language 2006.
    """
    ratios = np.asarray(llr)
    if ratios.ndim != 1 or ratios.dtype.kind not in "fiub":
        raise DataError(f"expected llr [N] of real numbers, got {ratios.dtype} {list(ratios.shape)}", "E_SHAPE")
    targets = labels_of(labels, len(ratios))
    ratios = ratios.astype(np.float64)
    if np.isnan(ratios).any():
        raise DataError(f"expected log-likelihood ratios, got {int(np.isnan(ratios).sum())} NaN of {ratios.size}", "E_SCORES")
    miss, false_accept = np.logaddexp(0.0, -ratios[targets]).mean(), np.logaddexp(0.0, ratios[~targets]).mean()
    return float(miss + false_accept) / (2 * math.log(2))


def min_cllr(scores: ArrayLike, labels: ArrayLike) -> float:
    """`cllr` after the best rising map of the scores, in [0, 1]; what the scores could tell. Lower is better.

    Args:
        scores: [N], only their order matters; higher = target.
        labels: [N], 1 = target.

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES``, ``E_LABELS`` or ``E_ONE_CLASS``.

    Example:
        >>> min_cllr([0.9, 0.6, 0.4, 0.1], [1, 1, 0, 0]), round(min_cllr([3.0, 1.0, 2.0, 0.0], [1, 1, 0, 0]), 4)
        (0.0, 0.5)
    """
    blocks = pav(scores, labels)
    hits, misses = blocks.targets / blocks.targets.sum(), blocks.nontargets / blocks.nontargets.sum()
    return float(_surprise(hits, hits + misses) + _surprise(misses, hits + misses)) / (2 * math.log(2))


def calibration_loss(llr: ArrayLike, labels: ArrayLike) -> float:
    """What wrong calibration costs: `cllr` minus `min_cllr`, in bits; lower is better, never below 0 but for rounding.

    Example:
        >>> round(calibration_loss([3.0, 1.0, -2.0, -4.0], [1, 1, 0, 0]), 4)
        0.1828
    """
    return cllr(llr, labels) - min_cllr(llr, labels)


def _surprise(part: NDArray, whole: NDArray) -> float:
    """Sum of part * log(whole / part), without the blocks whose part is 0."""
    some = part > 0
    return float(part[some] @ np.log(whole[some] / part[some]))
