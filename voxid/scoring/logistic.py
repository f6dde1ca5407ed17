"""Prior-weighted logistic regression: what calibration and fusion are fitted with. Lower objective = better."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Newton's method doubles its digits near the optimum; perfectly separable scores walk about one nat a step, so it may need many.
_STEPS, _HALVINGS = 200, 40
_ENOUGH = 1e-15


class Logistic:
    """The prior-weighted cross-entropy of log-likelihood ratios ``features @ weights + offset``, and its minimum.

    At one prior p it is the mean over targets of p log(1 + exp(-z)) plus the mean over non-targets of (1 - p) log(1 + exp(z)),
    with z the log-likelihood ratio + logit(p), divided by the entropy of p: scores that say nothing cost 1. Several priors count
    by the mean of theirs. `l2` times half the squared weights of the standardised features is added.

    Args:
        features: [N, F], finite.
        targets: bool [N].
        shares: What each trial counts [N]; those of each class sum to 1.
        p_targets: Priors of a target trial, within (0, 1).
        l2: Keeps the weights finite where a threshold parts the classes without an error.

    Brümmer and de Villiers, "The BOSARIS Toolkit: theory, algorithms and code", 2011.
    """

    def __init__(self, features: NDArray, targets: NDArray, shares: NDArray, p_targets: Sequence[float], l2: float) -> None:
        self._mean, self._scale = _standard(features)
        columns = (features - self._mean) * np.where(self._scale > 0, 1.0 / np.where(self._scale > 0, self._scale, 1.0), 0.0)
        sign = np.where(targets, 1.0, -1.0)
        # With the sign of its class in the columns, every trial costs log(1 + exp(-margin)).
        self._columns = np.column_stack([columns, np.ones(len(columns))]) * sign[:, None]
        self._sign = sign
        self._costs = [(math.log(p / (1 - p)), shares * np.where(targets, p, 1 - p) / _entropy(p)) for p in p_targets]
        self._l2 = np.append(np.full(features.shape[1], l2), 0.0)

    def fit(self) -> tuple[NDArray, float]:
        """Weights [F] and the offset at the minimum, by Newton's method with halved steps; the same bits every time."""
        solution = np.zeros(self._columns.shape[1])
        value, gradient, curvature = self._look(solution)
        for _ in range(_STEPS):
            step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
            gain = float(gradient @ step)
            if not gain > _ENOUGH:
                break
            found = self._shorten(solution, step, value, gain)
            if found is None:
                break
            solution = found
            value, gradient, curvature = self._look(solution)
        weights = np.divide(solution[:-1], self._scale, out=np.zeros_like(self._scale), where=self._scale > 0)
        return weights, float(solution[-1] - weights @ self._mean)

    def _shorten(self, solution: NDArray, step: NDArray, value: float, gain: float) -> NDArray | None:
        """The first of the step, half of it, a quarter ... that lowers the objective as much as it should."""
        for _ in range(_HALVINGS):
            trial = solution - step
            if self._value(trial) <= value - 1e-4 * gain:
                return trial
            step, gain = step / 2, gain / 2
        return None

    def _value(self, solution: NDArray) -> float:
        llr = self._columns @ solution
        total = 0.5 * float(self._l2 @ solution**2)
        for logit, share in self._costs:
            total += float(share @ np.logaddexp(0.0, -(llr + logit * self._sign))) / len(self._costs)
        return total

    def _look(self, solution: NDArray) -> tuple[float, NDArray, NDArray]:
        llr = self._columns @ solution
        slope, bend = np.zeros_like(llr), np.zeros_like(llr)
        for logit, share in self._costs:
            wrong = np.exp(-np.logaddexp(0.0, llr + logit * self._sign))
            slope += share * wrong / len(self._costs)
            bend += share * wrong * (1.0 - wrong) / len(self._costs)
        gradient = self._l2 * solution - self._columns.T @ slope
        curvature = np.diag(self._l2) + (self._columns * bend[:, None]).T @ self._columns
        return self._value(solution), gradient, curvature


def _standard(features: NDArray) -> tuple[NDArray, NDArray]:
    """Mean and standard deviation of each column; 0 for one that is constant but for rounding."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    return mean, np.where(scale > 1e-12 * np.abs(features).max(axis=0, initial=0.0), scale, 0.0)


def _entropy(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log1p(-p)
