"""Closed-set identification: who of K speakers is it? Accuracies are shares; higher is better."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError


def accuracy(scores: ArrayLike, labels: ArrayLike) -> float:
    """Share of items [M] whose highest score [M, K] is that of their own class; higher is better.

    A tie with another class counts as wrong: a net that scores all classes alike has recognised nobody.

    Example:
        >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
        0.5
    """
    return top_k_accuracy(scores, labels, 1)


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, k: int) -> float:
    """Share of items whose own class is among the `k` highest scores, ties counted against it; higher is better.

    Raises:
        DataError: Scores that are not [M, K] or not finite, or labels outside 0 ... K - 1.
        ConfigError: `k` below 1.

    Example:
        >>> top_k_accuracy([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]], [2, 2], 2)
        0.5
    """
    if k < 1:
        raise ConfigError(f"top_k_accuracy: k must be 1 or more, got {k}")
    return float((_rank(*_checked(scores, labels)) < k).mean())


def confusion_matrix(predicted: ArrayLike, labels: ArrayLike, num_classes: int | None = None) -> NDArray[np.int64]:
    """Counts [K, K]: row = true class, column = predicted class.

    Example:
        >>> confusion_matrix([0, 1, 1], [0, 0, 1]).tolist()
        [[1, 1], [0, 1]]
    """
    guess, truth = np.asarray(predicted, np.int64), np.asarray(labels, np.int64)
    if guess.shape != truth.shape or guess.ndim != 1 or not len(guess):
        raise DataError(f"expected two lists of classes of one length, got {guess.shape} and {truth.shape}", "E_SHAPE")
    most = int(max(guess.max(), truth.max())) + 1
    size = most if num_classes is None else num_classes
    if most > size or min(guess.min(), truth.min()) < 0:
        raise DataError(f"classes must lie within 0 ... {size - 1}", "E_SHAPE")
    return np.bincount(truth * size + guess, minlength=size * size).reshape(size, size)


def wilson_interval(hits: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a share (95 % at z = 1.96) that holds for few items and for shares near 0 and 1 too.

    Example:
        >>> low, high = wilson_interval(8, 10)
        >>> round(low, 3), round(high, 3)
        (0.49, 0.943)

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    if not 0 <= hits <= trials or trials < 1:
        raise DataError(f"expected 0 <= hits <= trials and a trial at least, got {hits} of {trials}")
    share, square = hits / trials, z * z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = z / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def vote(predictions: Sequence[ArrayLike], scores: Sequence[ArrayLike]) -> NDArray[np.int64]:
    """Class [M] that most systems name; a tie goes to the class with the higher mean posterior among those tied.

    Args:
        predictions: Classes [M] of each system.
        scores: Posteriors [M, K] of each system.

    Example:
        >>> vote([[0], [1], [1]], [[[0.9, 0.1]], [[0.4, 0.6]], [[0.4, 0.6]]]).tolist()
        [1]
    """
    posterior = np.mean([np.asarray(one, np.float64) for one in scores], axis=0)
    counts = np.zeros_like(posterior)
    for classes in predictions:
        counts[np.arange(len(counts)), np.asarray(classes, np.int64)] += 1
    # Posteriors lie within 0 ... 1, so half of them never outweighs a vote.
    return np.argmax(counts + 0.5 * posterior, axis=1)


def _rank(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many other classes score at least as high as the own one [M]."""
    own = scores[np.arange(len(labels)), labels]
    return (scores >= own[:, None]).sum(axis=1) - 1


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values, truth = np.asarray(scores, np.float64), np.asarray(labels)
    if values.ndim != 2 or not len(values) or truth.shape != values.shape[:1] or truth.dtype.kind not in "iu":
        raise DataError(
            f"expected scores [M, K] and M integer labels, got {values.shape} and {truth.dtype} {truth.shape}", "E_SHAPE"
        )
    if not np.isfinite(values).all():
        raise DataError("the scores hold NaN or infinity", "E_NOT_FINITE")
    if truth.min() < 0 or truth.max() >= values.shape[1]:
        raise DataError(f"labels must lie within 0 ... {values.shape[1] - 1}, got {truth.min()} ... {truth.max()}", "E_SHAPE")
    return values, truth.astype(np.int64)
