"""Two-class detection: scores and labels -> error rates. Higher = target (same speaker); accepted when score >= threshold.

FAR (false accept rate, false positive rate): the share of non-target trials that are accepted.
FRR (false reject rate, miss rate, false negative rate): the share of target trials that are rejected.

Every function takes finite `scores` [N] and `labels` [N] (bool, or 1 = target and 0 = non-target) with at least one trial of each
class, raises `DataError` for anything else, and costs no more than the sorting of its trials.
"""

from __future__ import annotations

import bisect
import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError


def eer(scores: ArrayLike, labels: ArrayLike) -> float:
    """Equal error rate, a fraction in [0, 1]; lower is better.

    The point where FAR = FRR on the ROC drawn with straight lines between neighbouring operating points (not on its convex hull).
    Tied scores are one step of that line, so a constant score gives 0.5.

    Example:
        >>> eer([0.9, 0.6, 0.4, 0.5, 0.2, 0.1], [1, 1, 1, 0, 0, 0])
        0.3333333333333333
    """
    targets, nontargets = (np.sort(group) for group in split(scores, labels))

    def crossed(index: int) -> bool:
        misses, false_accepts = _errors_at(targets, nontargets, targets[index], "right")
        return misses * nontargets.size >= false_accepts * targets.size

    # FRR - FAR never falls as the threshold rises: the first target whose rejection brings FRR up to FAR is found by halving.
    threshold = targets[bisect.bisect_left(range(targets.size - 1), True, key=crossed)]
    before = _errors_at(targets, nontargets, threshold, "left")
    after = _errors_at(targets, nontargets, threshold, "right")
    return float(cross_diagonal(np.array(before), np.array(after), targets.size, nontargets.size))


def cross_diagonal(before: NDArray, after: NDArray, num_targets: ArrayLike, num_nontargets: ArrayLike) -> NDArray:
    """FRR at which the line from one operating point to the next meets FAR = FRR; elementwise.

    Args:
        before, after: (misses, false accepts) [2, ...] of two neighbours; `after` has FRR >= FAR. Where `before` has it too, the
            stretch that leads to `before` at its own FRR is what crosses.
        num_targets, num_nontargets: What turns the counts into rates.
    """
    miss, far = before[0] / num_targets, before[1] / num_nontargets
    next_miss, next_far = after[0] / num_targets, after[1] / num_nontargets
    gap = np.maximum(far - miss, 0.0)
    whole = gap + np.maximum(next_miss - next_far, 0.0)
    share = np.divide(gap, whole, out=np.zeros_like(whole), where=whole > 0)
    return miss + share * (next_miss - miss)


def min_dcf(scores: ArrayLike, labels: ArrayLike, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Minimum of the normalised detection cost over all thresholds, in [0, 1]; lower is better.

    The cost c_miss * p_target * FRR + c_fa * (1 - p_target) * FAR is divided by the lesser of those of "reject all" and
    "accept all".

    Args:
        p_target: Prior of a target trial, in (0, 1).
        c_miss, c_fa: Cost of a false reject and of a false accept, positive.

    Example:
        >>> min_dcf([0.9, 0.6, 0.4, 0.5, 0.2, 0.1], [1, 1, 1, 0, 0, 0])
        0.33333333333333337

    NIST 2008 and 2016 Speaker Recognition Evaluation plans.
    """
    miss_cost, fa_cost = _costs(p_target, c_miss, c_fa)
    targets, nontargets = (np.sort(group) for group in split(scores, labels))
    # Between two targets a higher threshold only removes false accepts: the best one is a target's score, or above all of them.
    # Tied targets are counted too high, all but the first, which cannot lower the minimum.
    false_accepts = nontargets.size - np.searchsorted(nontargets, targets, "left")
    cost = miss_cost / targets.size * np.arange(targets.size) + fa_cost / nontargets.size * false_accepts
    return float(min(cost.min(), miss_cost) / min(miss_cost, fa_cost))


def act_dcf(llr: ArrayLike, labels: ArrayLike, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Actual normalised detection cost of calibrated scores at the Bayes threshold; lower is better.

    Args:
        llr: Natural-log likelihood ratios [N], higher = target.
        p_target, c_miss, c_fa: As in `min_dcf`.

    Example:
        >>> act_dcf([6.0, 5.0, 1.0, -4.0], [1, 1, 0, 0])
        0.0
    """
    miss_cost, fa_cost = _costs(p_target, c_miss, c_fa)
    far, frr = far_frr_at(llr, labels, math.log(fa_cost / miss_cost))
    return (miss_cost * frr + fa_cost * far) / min(miss_cost, fa_cost)


def det_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """All operating points: (FRR, FAR, thresholds), each [P], by rising threshold; the last threshold is +inf and rejects all.

    Example:
        >>> fnr, fpr, thresholds = det_curve([0.1, 0.5, 0.9], [0, 1, 1])
        >>> thresholds.tolist(), fnr.tolist(), fpr.tolist()
        ([0.1, 0.5, 0.9, inf], [0.0, 0.0, 0.5, 1.0], [1.0, 0.0, 0.0, 0.0])
    """
    targets, nontargets = (np.sort(group) for group in split(scores, labels))
    thresholds = np.append(np.unique(np.concatenate([targets, nontargets])), np.inf).astype(targets.dtype)
    fnr = np.searchsorted(targets, thresholds, "left") / targets.size
    fpr = 1.0 - np.searchsorted(nontargets, thresholds, "left") / nontargets.size
    return fnr, fpr, thresholds


def threshold_at_far(scores: ArrayLike, labels: ArrayLike, far: float) -> float:
    """Smallest threshold whose false accept rate on these trials is at most `far`; higher accepts fewer.

    It is the number next above a non-target's score, in the precision of `scores`; -inf where `far` is 1.

    Args:
        far: A fraction in [0, 1].

    Example:
        >>> round(threshold_at_far([0.9, 0.8, 0.4, 0.3, 0.2, 0.1], [1, 1, 0, 0, 0, 0], far=0.25), 6)
        0.3
    """
    if not 0.0 <= far <= 1.0:
        raise ConfigError(f"a false accept rate lies within 0 ... 1, got {far}")
    nontargets = np.sort(split(scores, labels)[1])
    allowed = bisect.bisect_right(range(nontargets.size + 1), far, key=lambda count: count / nontargets.size) - 1
    if allowed == nontargets.size:
        return -math.inf
    highest_rejected = nontargets[nontargets.size - 1 - allowed]
    return float(np.nextafter(highest_rejected, np.array(np.inf, nontargets.dtype)))


def far_frr_at(scores: ArrayLike, labels: ArrayLike, threshold: float) -> tuple[float, float]:
    """False accept rate and false reject rate at a threshold, two fractions; lower is better.

    Example:
        >>> far_frr_at([0.9, 0.6, 0.4, 0.5], [1, 1, 1, 0], threshold=0.5)
        (1.0, 0.3333333333333333)
    """
    if math.isnan(threshold):
        raise ConfigError("a threshold is a number, got NaN")
    targets, nontargets = split(scores, labels)
    # As a double: a threshold between two float32 scores must not be rounded onto one of them.
    return float((nontargets >= np.float64(threshold)).mean()), float((targets < np.float64(threshold)).mean())


def split(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray, NDArray]:
    """Scores of the targets and scores of the non-targets, checked, in the order given.

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES`` (not numbers, NaN or infinite), ``E_LABELS`` (not 0 / 1) or ``E_ONE_CLASS``.
    """
    try:
        values, marks = np.asarray(scores), np.asarray(labels)
    except (TypeError, ValueError) as error:
        raise DataError(f"expected scores [N] and labels [N], got something that is no array: {error}", "E_SHAPE") from error
    if values.ndim != 1 or values.shape != marks.shape:
        raise DataError(f"expected scores [N] and labels [N], got {list(values.shape)} and {list(marks.shape)}", "E_SHAPE")
    chosen = _as_bool(marks)
    values = _as_float(values)
    targets, nontargets = values.compress(chosen), values.compress(~chosen)
    if not (targets.size and nontargets.size):
        raise DataError(
            f"error rates need trials of both classes, got {targets.size} targets and {nontargets.size} non-targets",
            "E_ONE_CLASS",
        )
    return targets, nontargets


def _as_float(values: NDArray) -> NDArray:
    if values.dtype.kind not in "fiub":
        raise DataError(f"expected scores that are real numbers, got {values.dtype}", "E_SCORES")
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise DataError(f"expected finite scores, got {bad} NaN or infinite of {values.size}", "E_SCORES")
    return values


def _as_bool(marks: NDArray) -> NDArray:
    if marks.dtype == bool:
        return marks
    if marks.dtype.kind not in "fiu" or not ((marks == 0) | (marks == 1)).all():
        raise DataError("expected labels that are bool or 0 / 1 (1 = target), got other values", "E_LABELS")
    return marks.astype(bool)


def _errors_at(targets: NDArray, nontargets: NDArray, score: float, side: Literal["left", "right"]) -> tuple[int, int]:
    """Misses and false accepts of sorted scores with the threshold at `score` ("left") or just above it ("right")."""
    misses = int(np.searchsorted(targets, score, side))
    return misses, nontargets.size - int(np.searchsorted(nontargets, score, side))


def _costs(p_target: float, c_miss: float, c_fa: float) -> tuple[float, float]:
    if not (0.0 < p_target < 1.0 and 0.0 < c_miss < math.inf and 0.0 < c_fa < math.inf):
        raise ConfigError(f"expected p_target within (0, 1) and positive costs, got {p_target}, {c_miss} and {c_fa}")
    return c_miss * p_target, c_fa * (1.0 - p_target)
