"""Two-class detection: scores and labels -> error rates. Higher = target (same speaker); accepted when score >= threshold.

FAR (false accept rate, false positive rate): the share of non-target trials that are accepted.
FRR (false reject rate, miss rate, false negative rate): the share of target trials that are rejected.

Every function takes `scores` [N] and `labels` [N] (bool, or 1 = target and 0 = non-target) with at least one trial of each class,
and raises `DataError` for anything else, NaN among it. Infinite scores are taken, as a log-likelihood ratio may be infinite; only
what answers a threshold refuses them. Tied scores are accepted or rejected together. Time and memory are O(N).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, did_you_mean
from voxid.metrics.classes import checked
from voxid.metrics.classes import split as split
from voxid.metrics.curves import det_curve as det_curve
from voxid.metrics.error_counts import ErrorCounts
from voxid.scoring.calibration import bayes_threshold

Convention = Literal["plain", "hull"]
CostPoint = float | tuple[float, float, float]  # p_target, or (p_target, c_miss, c_fa)


def eer(scores: ArrayLike, labels: ArrayLike, *, convention: Convention = "plain") -> float:
    """Equal error rate, a fraction in [0, 1]; lower is better.

    The point where FAR = FRR on the ROC. Two conventions are in use, and a figure should say which:

    - ``plain``: on the ROC drawn with straight lines between neighbouring operating points. Tied scores are one step of that
      line, so a constant score gives 0.5.
    - ``hull``: on its convex hull (ROCCH-EER), never above ``plain`` nor above 0.5. The hull is what one reaches who may toss a
      coin between two thresholds. The difference is large only where few trials make a coarse ROC.

    Example:
        >>> eer([0.9, 0.6, 0.4, 0.5, 0.2, 0.1], [1, 1, 1, 0, 0, 0])
        0.3333333333333333
        >>> eer([0.9, 0.6, 0.4, 0.5, 0.2, 0.1], [1, 1, 1, 0, 0, 0], convention="hull")
        0.16666666666666666

    Brümmer and de Villiers, "The BOSARIS Toolkit: theory, algorithms and code", 2011 (the hull).
    """
    if convention not in get_args(Convention):
        raise ConfigError(f"unknown convention {convention!r}: {did_you_mean(str(convention), get_args(Convention))}")
    return _equal_error(ErrorCounts(scores, labels), convention)


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
        0.3333333333333333

    NIST 2008 and 2016 Speaker Recognition Evaluation plans.
    """
    return min_dcfs(scores, labels, [(p_target, c_miss, c_fa)])[0]


def min_dcfs(scores: ArrayLike, labels: ArrayLike, points: Sequence[CostPoint]) -> tuple[float, ...]:
    """`min_dcf` at each of several points, for little more than the time of one.

    Args:
        points: Each a p_target (with costs of 1), or (p_target, c_miss, c_fa).

    Example:
        >>> min_dcfs([0.9, 0.6, 0.4, 0.5, 0.2, 0.1], [1, 1, 1, 0, 0, 0], [0.01, (0.5, 1, 10)])
        (0.3333333333333333, 0.3333333333333333)
    """
    costs = [costs_of(point) for point in points]
    counts = ErrorCounts(scores, labels)
    return tuple(_lowest_cost(counts, *cost) for cost in costs)


def act_dcf(llr: ArrayLike, labels: ArrayLike, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Actual normalised detection cost of calibrated scores at the Bayes threshold; lower is better.

    Args:
        llr: Natural-log likelihood ratios [N], higher = target.
        p_target, c_miss, c_fa: As in `min_dcf`.

    Example:
        >>> act_dcf([6.0, 5.0, 1.0, -4.0], [1, 1, 0, 0])
        0.0
    """
    return act_dcfs(llr, labels, [(p_target, c_miss, c_fa)])[0]


def act_dcfs(llr: ArrayLike, labels: ArrayLike, points: Sequence[CostPoint]) -> tuple[float, ...]:
    """`act_dcf` at each of several points, as in `min_dcfs`.

    Example:
        >>> act_dcfs([6.0, 5.0, 1.0, -4.0], [1, 1, 0, 0], [0.01, 0.5])
        (0.0, 0.5)
    """
    for point in points:
        costs_of(point)
    trials = checked(llr, labels, finite=False)
    return tuple(_actual_cost(*trials, point) for point in points)


class Detection(NamedTuple):
    """What `detection` found; rates are fractions, lower is better.

    Args:
        eer, eer_hull: Equal error rate by either convention.
        min_dcf: Minimum normalised detection cost at each point that was asked for.
        num_targets, num_nontargets: Trials of each class.
    """

    eer: float
    eer_hull: float
    min_dcf: tuple[float, ...]
    num_targets: int
    num_nontargets: int


def detection(scores: ArrayLike, labels: ArrayLike, points: Sequence[CostPoint] = (0.01, 0.001)) -> Detection:
    """Equal error rates and `min_dcfs` together: the scores are looked through once for all of them.

    Example:
        >>> detection([0.9, 0.6, 0.4, 0.5, 0.2, 0.1], [1, 1, 1, 0, 0, 0], [0.5]).min_dcf
        (0.3333333333333333,)
    """
    costs = [costs_of(point) for point in points]
    counts = ErrorCounts(scores, labels)
    lowest = tuple(_lowest_cost(counts, *cost) for cost in costs)
    plain, hull = _equal_error(counts, "plain"), _equal_error(counts, "hull")
    return Detection(plain, hull, lowest, counts.num_targets, counts.num_nontargets)


def threshold_at_far(scores: ArrayLike, labels: ArrayLike, far: float) -> float:
    """Smallest threshold whose false accept rate on these trials is at most `far`; higher accepts fewer.

    It is the number next above a non-target's score, in the precision of `scores`; -inf where `far` is 1. Scores are finite.

    Args:
        far: A fraction in [0, 1].

    Example:
        >>> round(threshold_at_far([0.9, 0.8, 0.4, 0.3, 0.2, 0.1], [1, 1, 0, 0, 0, 0], far=0.25), 6)
        0.3
    """
    if not 0.0 <= far <= 1.0:
        raise ConfigError(f"a false accept rate lies within 0 ... 1, got {far}")
    return threshold_above(split(scores, labels)[1], far)


def threshold_above(nontargets: NDArray, far: float) -> float:
    """Smallest threshold that at most the share `far` of these scores reaches; -inf where all of them may.

    Example:
        >>> threshold_above(np.array([0.0, 1.0]), 1.0)
        -inf
    """
    allowed = bisect.bisect_right(range(nontargets.size + 1), far, key=lambda count: count / nontargets.size) - 1
    if allowed == nontargets.size:
        return -math.inf
    place = nontargets.size - 1 - allowed
    highest_rejected = np.partition(nontargets, place)[place]
    return float(np.nextafter(highest_rejected, np.array(np.inf, nontargets.dtype)))


def far_frr_at(scores: ArrayLike, labels: ArrayLike, threshold: float) -> tuple[float, float]:
    """False accept rate and false reject rate at a threshold, two fractions; lower is better.

    Example:
        >>> far_frr_at([0.9, 0.6, 0.4, 0.5], [1, 1, 1, 0], threshold=0.5)
        (1.0, 0.3333333333333333)
    """
    if math.isnan(threshold):
        raise ConfigError("a threshold is a number, got NaN")
    return _rates_at(*checked(scores, labels, finite=False), threshold)


def _rates_at(scores: NDArray, labels: NDArray, threshold: float) -> tuple[float, float]:
    # As a double: a threshold between two float32 scores must not be rounded onto one of them.
    accepted = scores >= np.float64(threshold)
    hits, accepts, targets = (int(np.count_nonzero(marks)) for marks in (accepted & labels, accepted, labels))
    return (accepts - hits) / (labels.size - targets), (targets - hits) / targets


def _equal_error(counts: ErrorCounts, convention: Convention) -> float:
    before, after = counts.crossing() if convention == "plain" else counts.hull_crossing()
    return float(cross_diagonal(np.array(before), np.array(after), counts.num_targets, counts.num_nontargets))


def _lowest_cost(counts: ErrorCounts, miss_cost: float, fa_cost: float) -> float:
    misses, accepts = counts.lowest(miss_cost / counts.num_targets, fa_cost / counts.num_nontargets)
    return _cost_of(accepts / counts.num_nontargets, misses / counts.num_targets, miss_cost, fa_cost)


def _actual_cost(llr: NDArray, labels: NDArray, point: CostPoint) -> float:
    miss_cost, fa_cost = costs_of(point)
    return _cost_of(*_rates_at(llr, labels, bayes_threshold(*whole(point))), miss_cost, fa_cost)


def _cost_of(far: float, frr: float, miss_cost: float, fa_cost: float) -> float:
    return (miss_cost * frr + fa_cost * far) / min(miss_cost, fa_cost)


def costs_of(point: CostPoint) -> tuple[float, float]:
    """Cost of rejecting all targets and of accepting all non-targets, at a p_target or (p_target, c_miss, c_fa).

    Raises:
        ConfigError: A p_target outside (0, 1), or a cost that is not positive.

    Example:
        >>> costs_of((0.25, 2.0, 1.0))
        (0.5, 0.75)
    """
    p_target, c_miss, c_fa = whole(point)
    if not (0.0 < p_target < 1.0 and 0.0 < c_miss < math.inf and 0.0 < c_fa < math.inf):
        raise ConfigError(f"expected p_target within (0, 1) and positive costs, got {p_target}, {c_miss} and {c_fa}")
    return c_miss * p_target, c_fa * (1.0 - p_target)


def whole(point: CostPoint) -> tuple[float, float, float]:
    """A point as (p_target, c_miss, c_fa), with costs of 1 where it has none.

    Example:
        >>> whole(0.01)
        (0.01, 1.0, 1.0)
    """
    if isinstance(point, float | int | np.floating):
        return float(point), 1.0, 1.0
    try:
        p_target, c_miss, c_fa = point
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a point is a p_target or (p_target, c_miss, c_fa), got {point!r}") from error
    return p_target, c_miss, c_fa
