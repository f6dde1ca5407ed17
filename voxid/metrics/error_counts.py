"""Misses and false accepts of a trial list at the thresholds that matter, found in O(N) without sorting all scores."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.metrics.classes import checked

FEW = 1 << 13  # trials: below, to sort all of them is quicker
BINS = 1 << 14  # the counts of both classes stay in the second-level cache
BLOCK = 1 << 16  # scores in work at a time, for the same reason
SAMPLE = 1 << 12  # scores that say where the bins should lie
Point = tuple[int, int]


class ErrorCounts:
    """Misses and false accepts, counted exactly; a trial is accepted when its score >= the threshold.

    The scores are counted in bins that rise with the score. What is asked for then lies in few of the bins, which the counts at
    their edges tell, and only the scores in these are sorted. It matters how the bins lie for the speed, never for the answer.

    Args:
        scores: [N], higher = target; may be infinite, but not NaN.
        labels: [N], bool or 1 = target.

    Raises:
        DataError: As `voxid.metrics.classes.checked`.

    Example:
        >>> counts = ErrorCounts([0.9, 0.6, 0.4, 0.5, 0.2, 0.1], [1, 1, 1, 0, 0, 0])
        >>> counts.lowest(1, 10), counts.lowest(10, 1)
        ((1, 0), (0, 1))
    """

    def __init__(self, scores: ArrayLike, labels: ArrayLike) -> None:
        self._scores, self._labels = checked(scores, labels, finite=False)
        self._numbers, nontargets, targets = _binned(self._scores, self._labels)
        # With the threshold at the lower edge of each bin, and at last above all: [B + 1].
        self._misses = np.append(0, np.cumsum(targets))
        self._accepts = np.append(np.cumsum(nontargets[::-1])[::-1], 0)
        self.num_targets, self.num_nontargets = int(self._misses[-1]), int(self._accepts[0])

    def lowest(self, miss_weight: float, fa_weight: float) -> Point:
        """Misses and false accepts at the threshold where the sum of both, weighted, is least; exact for integer weights."""
        edges = miss_weight * self._misses + fa_weight * self._accepts
        best = int(edges.argmin())
        # No threshold within a bin costs less than the misses at its lower edge with the false accepts at its upper one.
        keep = miss_weight * self._misses[:-1] + fa_weight * self._accepts[1:] < edges[best]
        misses, accepts = self._at_targets(keep)
        inside = miss_weight * misses + fa_weight * accepts
        if inside.size and inside[place := int(inside.argmin())] < edges[best]:
            return int(misses[place]), int(accepts[place])
        return int(self._misses[best]), int(self._accepts[best])

    def crossing(self) -> tuple[Point, Point]:
        """The first threshold where FRR >= FAR, and the one before it: two neighbours (misses, false accepts)."""
        upper = int(np.argmax(self._crossed(self._misses, self._accepts)))
        keep = np.zeros(self._misses.size - 1, dtype=bool)
        keep[upper - 1] = True
        targets, nontargets = self._inside(keep)
        distinct = np.unique(np.concatenate([targets, nontargets]))
        misses = self._misses[upper - 1] + np.append(0, np.searchsorted(targets, distinct, "right"))
        accepts = self._accepts[upper - 1] - np.append(0, np.searchsorted(nontargets, distinct, "right"))
        after = int(np.argmax(self._crossed(misses, accepts)))
        return (int(misses[after - 1]), int(accepts[after - 1])), (int(misses[after]), int(accepts[after]))

    def hull_crossing(self) -> tuple[Point, Point]:
        """The two ends (misses, false accepts) of that edge of the convex hull of the ROC which meets FAR = FRR."""
        before, after = (0, self.num_nontargets), (self.num_targets, 0)
        # The edges of the bins alone bring it near.
        for lowest in (self._lowest_edge, self.lowest):
            while True:
                # Weights for which both ends cost the same: what costs less lies outside the line through them.
                weights = before[1] - after[1], after[0] - before[0]
                point = lowest(*weights)
                if _cost(point, weights) >= _cost(before, weights):
                    break
                before, after = (before, point) if self._crossed(*point) else (point, after)
        return before, after

    def _lowest_edge(self, miss_weight: float, fa_weight: float) -> Point:
        best = int((miss_weight * self._misses + fa_weight * self._accepts).argmin())
        return int(self._misses[best]), int(self._accepts[best])

    def _crossed(self, misses: NDArray | int, accepts: NDArray | int) -> NDArray | bool:
        return misses * self.num_nontargets >= accepts * self.num_targets

    def _inside(self, keep: NDArray) -> tuple[NDArray, NDArray]:
        """Sorted scores of the targets and of the non-targets in the bins to keep [B]."""
        bins = np.flatnonzero(keep).astype(np.uint16)
        if not bins.size:
            return self._scores[:0], self._scores[:0]
        # One comparison for both ends of the range: what lies below the first bin wraps around to the largest numbers.
        rows = np.flatnonzero(self._numbers - bins[0] <= bins[-1] - bins[0])
        if bins.size <= bins[-1] - bins[0]:
            rows = rows[keep[self._numbers[rows]]]
        scores, labels = self._scores[rows], self._labels[rows]
        return np.sort(scores[labels]), np.sort(scores[~labels])

    def _at_targets(self, keep: NDArray) -> tuple[NDArray, NDArray]:
        """Misses and false accepts with the threshold at each target's score in the bins to keep [B].

        Between two targets a higher threshold only removes false accepts, so the best one within a bin is among these. The
        misses of tied targets are counted too high, all but the first, which cannot lower a minimum.
        """
        targets, nontargets = self._inside(keep)
        here, others = np.diff(self._misses)[keep], -np.diff(self._accepts)[keep]
        misses = np.repeat(self._misses[:-1][keep] - (np.cumsum(here) - here), here) + np.arange(targets.size)
        rejected = np.searchsorted(nontargets, targets, "left")
        return misses, np.repeat(self._accepts[:-1][keep] + (np.cumsum(others) - others), here) - rejected


def _cost(point: Point, weights: Point) -> int:
    return point[0] * weights[0] + point[1] * weights[1]


def _binned(scores: NDArray, labels: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The bin of each trial [N], and how many non-targets and targets are in each bin [B]; one bin where more would not pay."""
    numbers = np.zeros(scores.size, dtype=np.uint16)
    low, scale = _scale(scores, labels) if scores.size > FEW else (0.0, 0.0)
    if not scale:
        targets = np.count_nonzero(labels)
        return numbers, np.array([labels.size - targets]), np.array([targets])
    counts = np.zeros(2 * BINS, dtype=np.int64)
    marks = labels.view(np.uint8)
    for start in range(0, scores.size, BLOCK):
        part = slice(start, start + BLOCK)
        # Each step keeps the order of any two scores, whatever the rounding: a higher score is never in a lower bin.
        with np.errstate(over="ignore"):
            place = (scores[part] - low) * scale
        number = np.clip(place, 0, BINS - 1, out=place).astype(np.intp)
        numbers[part] = number
        number *= 2
        number += marks[part]
        counts += np.bincount(number, minlength=2 * BINS)
    return numbers, counts[0::2], counts[1::2]


def _scale(scores: NDArray, labels: NDArray) -> tuple[np.floating, np.floating]:
    """Lower end of the bins, and bins per unit of score; 0 where no bins can be made.

    Both come from a sample of each class: a few far scores, such as marks of trials that failed, must not thin the others out.
    """
    step = scores.size // SAMPLE
    sample, marks = scores[::step], labels[::step]
    ends = [_ends(group[np.isfinite(group)]) for group in (sample[marks], sample[~marks])]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    span = high - low
    scale = BINS / span if 0 < span < math.inf else 0.0
    with np.errstate(over="ignore"):
        narrow = np.array([low, scale]).astype(scores.dtype)
    return tuple(narrow if np.isfinite(narrow).all() else np.zeros_like(narrow))


def _ends(sample: NDArray) -> tuple[float, float]:
    """Twice as far from the middle as all but a sixteenth of the sample at either side."""
    if not sample.size:
        return math.inf, -math.inf
    low, middle, high = (float(value) for value in np.sort(sample)[[sample.size // 16, sample.size // 2, -1 - sample.size // 16]])
    return 2 * low - middle, 2 * high - middle
