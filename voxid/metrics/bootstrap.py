"""How far an error rate would move with other speakers: intervals by the bootstrap, and the rule of 30.

Trials of one speaker are not independent, so speakers are drawn with replacement and not trials. A speaker who was drawn k times
stands for k speakers with the same recordings: a target trial then weighs k, and a non-target trial the product of the counts of
its two speakers. (Two copies of one speaker make no non-target trial: no list has such a pair.) Draws that leave no target or no
non-target trial are set aside. An interval lies between percentiles of the weighted figures.

Each interval takes `scores` [N], `labels` [N] and `speakers` [N, 2], the labels of the two speakers of each trial; the number of
draws (`resamples`, at least 1), the share of them inside (`level`, within (0, 1)) and the `seed` of the draws, which are the same
for all figures of a seed. It raises what its figure raises, `ConfigError` for an option out of its range, and `DataError`
``E_SPEAKERS`` where `speakers` contradict the labels or every draw was set aside.

Poh, Martin and Bengio, "Performance generalization in biometric authentication using joint user-specific and sample bootstraps",
IEEE TPAMI 29(3), 2007.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError
from voxid.metrics.classes import checked
from voxid.metrics.detection import CostPoint, costs_of, cross_diagonal, whole
from voxid.metrics.draws import Draws, SortedTrials
from voxid.scoring.calibration import bayes_threshold

# Weights held at one time, 2 MB: larger blocks leave the cache and are given back to the system each time.
BLOCK = 250_000
RULE_OF = 30  # errors that make a rate trustworthy
Interval = tuple[float, float]


def eer_interval(
    scores: ArrayLike, labels: ArrayLike, speakers: ArrayLike, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Interval of the equal error rate over speakers, two fractions (low, high); narrower is surer.

    Example:
        >>> pairs = [["a", "a"], ["b", "b"], ["c", "c"], ["a", "b"], ["b", "c"], ["a", "c"]]
        >>> eer_interval([0.9, 0.8, 0.7, 0.1, 0.2, 0.3], [1, 1, 1, 0, 0, 0], pairs)
        (0.0, 0.0)
    """
    return intervals(scores, labels, speakers, [equal_error], resamples=resamples, level=level, seed=seed)[0]


def min_dcf_interval(
    scores: ArrayLike,
    labels: ArrayLike,
    speakers: ArrayLike,
    point: CostPoint = 0.01,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of the minimum detection cost over speakers (low, high), at a p_target or (p_target, c_miss, c_fa).

    Example:
        >>> pairs = [["a", "a"], ["b", "b"], ["c", "c"], ["a", "b"], ["b", "c"], ["a", "c"]]
        >>> min_dcf_interval([0.9, 0.8, 0.7, 0.1, 0.2, 0.3], [1, 1, 1, 0, 0, 0], pairs)
        (0.0, 0.0)
    """
    return intervals(scores, labels, speakers, [lowest_cost(point)], resamples=resamples, level=level, seed=seed)[0]


def act_dcf_interval(
    llr: ArrayLike,
    labels: ArrayLike,
    speakers: ArrayLike,
    point: CostPoint = 0.01,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of the actual detection cost of log-likelihood ratios [N] over speakers (low, high), at a point as above.

    Example:
        >>> pairs = [["a", "a"], ["b", "b"], ["c", "c"], ["a", "b"], ["b", "c"], ["a", "c"]]
        >>> act_dcf_interval([6.0, 6.0, 6.0, -1.0, -1.0, -1.0], [1, 1, 1, 0, 0, 0], pairs)
        (0.0, 0.0)
    """
    return intervals(llr, labels, speakers, [actual_cost(point)], resamples=resamples, level=level, seed=seed)[0]


def cllr_interval(
    llr: ArrayLike, labels: ArrayLike, speakers: ArrayLike, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Interval of the cost of finite log-likelihood ratios [N] (Cllr, in bits) over speakers (low, high).

    Example:
        >>> pairs = [["a", "a"], ["b", "b"], ["c", "c"], ["a", "b"], ["b", "c"], ["a", "c"]]
        >>> low, high = cllr_interval([0.0] * 6, [1, 1, 1, 0, 0, 0], pairs)
        >>> round(low, 6), round(high, 6)
        (1.0, 1.0)
    """
    return intervals(llr, labels, speakers, [log_cost], resamples=resamples, level=level, seed=seed)[0]


def intervals(
    scores: ArrayLike,
    labels: ArrayLike,
    speakers: ArrayLike,
    statistics: Sequence[Statistic],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Interval]:
    """Intervals (low, high) of several figures, with the same draws of speakers for all of them.

    Args:
        statistics: `equal_error`, `lowest_cost(point)`, `actual_cost(point)`, `log_cost`, or a function of your own from `Draws`
            to a figure of each draw [R].

    Example:
        >>> pairs = [["a", "a"], ["b", "b"], ["c", "c"], ["a", "b"], ["b", "c"], ["a", "c"]]
        >>> intervals([0.9, 0.8, 0.7, 0.1, 0.2, 0.3], [1, 1, 1, 0, 0, 0], pairs, [equal_error, lowest_cost(0.01)])
        [(0.0, 0.0), (0.0, 0.0)]
    """
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ConfigError(f"expected resamples >= 1 and a level within (0, 1), got {resamples} and {level}")
    figures = resampled(scores, labels, speakers, statistics, resamples=resamples, seed=seed)
    if not figures.shape[1]:
        raise DataError("too few speakers: no draw of them left both target and non-target trials", "E_SPEAKERS")
    low, high = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def resampled(
    scores: ArrayLike, labels: ArrayLike, speakers: ArrayLike, statistics: Sequence[Statistic], *, resamples: int, seed: int
) -> NDArray:
    """Each figure [S, <= resamples] of each draw of speakers that has trials of both classes."""
    values, marks = checked(scores, labels, finite=False)
    trials = SortedTrials(values, marks, numbered(speakers, labels))
    generator = np.random.default_rng(seed)
    rows = max(1, BLOCK // trials.size)
    done = [np.empty((len(statistics), 0))]
    for start in range(0, resamples, rows):
        # Counts of speakers drawn with replacement follow a multinomial distribution.
        chances = np.full(trials.num_speakers, 1 / trials.num_speakers)
        counts = generator.multinomial(trials.num_speakers, chances, size=min(rows, resamples - start))
        draws = Draws(trials, counts)
        done.append(np.array([statistic(draws) for statistic in statistics]))
    return np.concatenate(done, axis=1)


Statistic = Callable[[Draws], NDArray]


def equal_error(draws: Draws) -> NDArray:
    """Equal error rate of each draw [R], by the convention ``plain``."""
    targets, nontargets = draws.target_sums, draws.nontarget_sums
    all_targets, all_nontargets = targets[:, -1], nontargets[:, -1]
    misses, rejects = draws.trials.points
    row = np.arange(targets.shape[0])

    def errors_at(point: NDArray) -> NDArray:
        return np.stack([targets[row, misses[point]], all_nontargets - nontargets[row, rejects[point]]])

    # Halving, all draws side by side: FAR > FRR at `low` and FRR >= FAR at `high`.
    low, high = np.zeros_like(row), np.full_like(row, misses.size - 1)
    while (high - low > 1).any():
        middle = (low + high) // 2
        missed, accepted = errors_at(middle)
        crossed = missed * all_nontargets >= accepted * all_targets
        low, high = np.where(crossed, low, middle), np.where(crossed, middle, high)
    return cross_diagonal(errors_at(low), errors_at(high), all_targets, all_nontargets)


def lowest_cost(point: CostPoint = 0.01) -> Statistic:
    """The statistic "minimum detection cost" at a point: of each draw [R]."""
    miss_cost, fa_cost = costs_of(point)

    def statistic(draws: Draws) -> NDArray:
        misses, rejects = draws.trials.points_at_targets
        targets, nontargets = draws.target_sums, draws.nontarget_sums
        # At "reject all", the last point, both scales leave the cost of all targets.
        cost = np.take(targets, misses, axis=1) * (miss_cost / targets[:, -1:])
        cost += fa_cost - np.take(nontargets, rejects, axis=1) * (fa_cost / nontargets[:, -1:])
        return cost.min(axis=1).clip(0.0, min(miss_cost, fa_cost)) / min(miss_cost, fa_cost)

    return statistic


def actual_cost(point: CostPoint = 0.01) -> Statistic:
    """The statistic "actual detection cost" of log-likelihood ratios at a point: of each draw [R]."""
    miss_cost, fa_cost = costs_of(point)
    threshold = np.float64(bayes_threshold(*whole(point)))

    def statistic(draws: Draws) -> NDArray:
        missed = draws.targets[:, : np.searchsorted(draws.trials.targets, threshold)].sum(axis=1)
        accepted = draws.nontargets[:, np.searchsorted(draws.trials.nontargets, threshold) :].sum(axis=1)
        cost = miss_cost * missed / draws.targets.sum(axis=1) + fa_cost * accepted / draws.nontargets.sum(axis=1)
        return cost / min(miss_cost, fa_cost)

    return statistic


def log_cost(draws: Draws) -> NDArray:
    """Cost of finite log-likelihood ratios (Cllr) of each draw [R], in bits."""
    targets, nontargets = (side.astype(np.float64) for side in (draws.trials.targets, draws.trials.nontargets))
    if not (np.isfinite(targets).all() and np.isfinite(nontargets).all()):
        raise DataError("an interval of Cllr needs finite log-likelihood ratios, some are infinite", "E_SCORES")
    missed = draws.targets @ np.logaddexp(0.0, -targets) / draws.targets.sum(axis=1)
    accepted = draws.nontargets @ np.logaddexp(0.0, nontargets) / draws.nontargets.sum(axis=1)
    return (missed + accepted) / (2 * math.log(2))


def numbered(speakers: ArrayLike, labels: ArrayLike) -> NDArray:
    """Speakers of the trials as numbers [N, 2], checked: the two of a target trial are one, those of a non-target trial are two.

    Raises:
        DataError: ``E_SPEAKERS``, how many trials contradict that, and the first; ``E_SHAPE``.
    """
    pairs, marks = np.asarray(speakers), np.asarray(labels).astype(bool)
    if pairs.shape != (marks.size, 2):
        raise DataError(f"expected two speakers for each of {marks.size} trials [N, 2], got {list(pairs.shape)}", "E_SHAPE")
    numbers = np.unique(pairs, return_inverse=True)[1].reshape(-1, 2)
    wrong = np.flatnonzero((numbers[:, 0] == numbers[:, 1]) != marks)
    if wrong.size:
        first = wrong[0]
        kind = "target" if marks[first] else "non-target"
        example = f"trial {first + 1} is a {kind} trial of speakers {pairs[first, 0]} and {pairs[first, 1]}"
        raise DataError(f"{wrong.size} of {marks.size} trials contradict their speakers: {example}", "E_SPEAKERS")
    return numbers


def rule_of_30(false_rejects: float, false_accepts: float, where: str = "at the EER") -> str | None:
    """A warning where a list has too few errors of either kind for a rate that can be trusted, else None.

    With 30 errors, the true rate lies within 30 % of the measured one at 90 % confidence, if trials are independent.

    Args:
        false_rejects, false_accepts: How many errors of each kind there are; may be broken, as at the EER.
        where: At which threshold.

    Example:
        >>> rule_of_30(12.2, 480.0)
        'about 12 false rejects at the EER, fewer than 30: the true rate may well lie more than 30 % off (rule of 30)'
        >>> rule_of_30(31, 480) is None
        True

    Doddington et al., "The NIST speaker recognition evaluation: overview, methodology, systems, results, perspective", Speech
    Communication 31, 2000.
    """
    fewest, kind = min((false_rejects, "false rejects"), (false_accepts, "false accepts"))
    if fewest >= RULE_OF:
        return None
    few = f"about {math.floor(fewest + 0.5)} {kind} {where}, fewer than {RULE_OF}"
    return f"{few}: the true rate may well lie more than {RULE_OF} % off (rule of {RULE_OF})"
