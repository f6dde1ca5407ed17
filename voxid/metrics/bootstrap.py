"""How far an error rate would move with other speakers: intervals by the bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError
from voxid.metrics.detection import cross_diagonal, split

# Weights held at one time, 2 MB: larger blocks leave the cache and are given back to the system each time.
BLOCK = 250_000


def eer_interval(
    scores: ArrayLike, labels: ArrayLike, speakers: ArrayLike, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Interval of the equal error rate over speakers, two fractions (low, high); narrower is surer.

    Trials of one speaker are not independent, so speakers are drawn with replacement and not trials. A speaker who was drawn k
    times stands for k speakers with the same recordings: a target trial then weighs k, and a non-target trial the product of the
    counts of its two speakers. (Two copies of one speaker make no non-target trial: the list has no such pair.) Draws that
    leave no target or no non-target trial are set aside. The interval lies between percentiles of the weighted EERs.

    Args:
        scores: Higher = same speaker [N].
        labels: 1 = target, 0 = non-target [N].
        speakers: Labels of the two speakers of each trial [N, 2].
        resamples: Number of draws, at least 1.
        level: Share of the draws inside, within (0, 1).
        seed: Of the draws.

    Raises:
        DataError: What `eer` refuses; ``E_SPEAKERS`` where `speakers` contradict the labels, or where every draw was set aside.

    Example:
        >>> pairs = [["a", "a"], ["b", "b"], ["c", "c"], ["a", "b"], ["b", "c"], ["a", "c"]]
        >>> eer_interval([0.9, 0.8, 0.7, 0.1, 0.2, 0.3], [1, 1, 1, 0, 0, 0], pairs)
        (0.0, 0.0)

    Poh, Martin and Bengio, "Performance generalization in biometric authentication using joint user-specific and sample
    bootstraps", IEEE TPAMI 29(3), 2007.
    """
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ConfigError(f"expected resamples >= 1 and a level within (0, 1), got {resamples} and {level}")
    rates = resampled_eers(scores, labels, speakers, resamples=resamples, seed=seed)
    if not rates.size:
        raise DataError("too few speakers: no draw of them left both target and non-target trials", "E_SPEAKERS")
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resampled_eers(scores: ArrayLike, labels: ArrayLike, speakers: ArrayLike, *, resamples: int, seed: int) -> NDArray:
    """Equal error rate of each draw of speakers that has both classes [<= resamples], fractions; lower is better."""
    split(scores, labels)
    trials = _Trials(np.asarray(scores), np.asarray(labels).astype(bool), numbered(speakers, labels))
    generator = np.random.default_rng(seed)
    rows = max(1, BLOCK // trials.size)
    done = []
    for start in range(0, resamples, rows):
        # Counts of speakers drawn with replacement follow a multinomial distribution.
        draws = min(rows, resamples - start)
        counts = generator.multinomial(trials.num_speakers, np.full(trials.num_speakers, 1 / trials.num_speakers), size=draws)
        done.append(trials.eers(counts))
    return np.concatenate(done)


class _Trials:
    """Trials sorted by score, ready to be weighed again and again."""

    def __init__(self, scores: NDArray, labels: NDArray, speakers: NDArray) -> None:
        self.size = scores.size
        self.num_speakers = int(speakers.max()) + 1
        order = np.argsort(scores, kind="stable")
        scores, labels, speakers = scores[order], labels[order], speakers[order]
        self.target_speakers = speakers[labels, 0]
        self.nontarget_pairs = speakers[~labels].T
        # Operating point p rejects what lies below the p-th distinct score; the last one rejects all.
        distinct = np.unique(scores)
        self.misses = np.append(np.searchsorted(scores[labels], distinct), labels.sum())
        self.rejects = np.append(np.searchsorted(scores[~labels], distinct), (~labels).sum())

    def eers(self, counts: NDArray) -> NDArray:
        """EERs [<= R] of drawn counts [R, K]."""
        first, second = self.nontarget_pairs
        targets = _running_sum(counts[:, self.target_speakers])
        nontargets = _running_sum(counts[:, first] * counts[:, second])
        kept = (targets[:, -1] > 0) & (nontargets[:, -1] > 0)
        targets, nontargets = targets[kept], nontargets[kept]
        return self._crossings(targets, nontargets) if kept.any() else np.empty(0)

    def _crossings(self, targets: NDArray, nontargets: NDArray) -> NDArray:
        num_targets, num_nontargets = targets[:, -1], nontargets[:, -1]
        row = np.arange(targets.shape[0])

        def errors_at(point: NDArray) -> NDArray:
            return np.stack([targets[row, self.misses[point]], num_nontargets - nontargets[row, self.rejects[point]]])

        # Halving, all draws side by side: FAR > FRR at `low` and FRR >= FAR at `high`.
        low, high = np.zeros_like(row), np.full_like(row, self.misses.size - 1)
        while (high - low > 1).any():
            middle = (low + high) // 2
            misses, false_accepts = errors_at(middle)
            crossed = misses * num_nontargets >= false_accepts * num_targets
            low, high = np.where(crossed, low, middle), np.where(crossed, middle, high)
        return cross_diagonal(errors_at(low), errors_at(high), num_targets, num_nontargets)


def _running_sum(weights: NDArray) -> NDArray:
    """Weight of the trials below each place: [R, N] -> [R, N + 1]."""
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1), dtype=np.int64)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


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
