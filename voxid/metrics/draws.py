"""Draws of speakers with replacement, and what every trial of a list weighs in them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray


class SortedTrials:
    """Trials of each class by rising score, ready to be weighed again and again."""

    def __init__(self, scores: NDArray, labels: NDArray, speakers: NDArray) -> None:
        self.size = scores.size
        self.num_speakers = int(speakers.max()) + 1
        order = np.argsort(scores, kind="stable")
        scores, labels, speakers = scores[order], labels[order], speakers[order]
        self.targets, self.nontargets = scores[labels], scores[~labels]
        self.target_speakers, self.nontarget_pairs = speakers[labels, 0], speakers[~labels].T

    @cached_property
    def points(self) -> tuple[NDArray, NDArray]:
        """Targets and non-targets below each distinct score, and at last all of them: two [P], by rising threshold."""
        return self._below(np.concatenate([self.targets, self.nontargets]))

    @cached_property
    def points_at_targets(self) -> tuple[NDArray, NDArray]:
        """The same at the scores of targets, and above all: at no other threshold is a cost lower."""
        return self._below(self.targets)

    def _below(self, thresholds: NDArray) -> tuple[NDArray, NDArray]:
        distinct = np.unique(thresholds)
        misses, rejects = np.searchsorted(self.targets, distinct), np.searchsorted(self.nontargets, distinct)
        return np.append(misses, self.targets.size), np.append(rejects, self.nontargets.size)


class Draws:
    """Draws of speakers, and what the trials weigh in each of them; those without one of the classes are left out.

    Attributes:
        trials: The trials, by rising score.
        targets, nontargets: Their weights [R, T] and [R, F] in R draws.
    """

    def __init__(self, trials: SortedTrials, counts: NDArray) -> None:
        first, second = trials.nontarget_pairs
        self.trials = trials
        targets = np.take(counts, trials.target_speakers, axis=1)
        nontargets = np.take(counts, first, axis=1) * np.take(counts, second, axis=1)
        kept = targets.any(axis=1) & nontargets.any(axis=1)
        self.targets, self.nontargets = (targets, nontargets) if kept.all() else (targets[kept], nontargets[kept])

    @cached_property
    def target_sums(self) -> NDArray:
        """Weight of the targets below each place [R, T + 1]."""
        return _running_sum(self.targets)

    @cached_property
    def nontarget_sums(self) -> NDArray:
        """Weight of the non-targets below each place [R, F + 1]."""
        return _running_sum(self.nontargets)


def _running_sum(weights: NDArray) -> NDArray:
    """Weight of the trials below each place: [R, N] -> [R, N + 1]."""
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1), dtype=np.int64)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums
