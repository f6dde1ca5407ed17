"""Several recordings of one speaker: their mean, and their pairs with a test recording."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voxid.errors import DataError
from voxid.scoring.checks import as_index
from voxid.scoring.cosine import unit
from voxid.scoring.speaker_statistics import class_sums


def members(models: Sequence[Sequence[int]], count: int) -> tuple[NDArray, NDArray]:
    """Row numbers of all models behind each other [M], and the model of each [M].

    Args:
        models: Row numbers of the recordings of each enrolled speaker, one or more.
        count: How many rows there are.

    Raises:
        DataError: ``E_INDEX``.

    Example:
        >>> [numbers.tolist() for numbers in members([[5, 3], [8]], 9)]
        [[5, 3, 8], [0, 0, 1]]
    """
    lists = [as_index(model, count) for model in models]
    if not lists or any(len(model) == 0 for model in lists):
        raise DataError("expected one model or more with one recording or more each", "E_INDEX")
    return np.concatenate(lists), np.repeat(np.arange(len(lists)), [len(model) for model in lists])


def speaker_means(rows: NDArray, codes: NDArray) -> NDArray:
    """The mean of each speaker's rows [K, D], each row counted alike whatever its length.

    It is as long as rows of this kind are: a mean of directions of length 1 would be lost where a transform then subtracts the
    mean of rows that are longer.

    Args:
        rows: [n, D].
        codes: Speaker of each row [n], every one of 0 ... K - 1 at least once.

    Example:
        >>> speaker_means(np.array([[1.0, 0.0], [0.0, 3.0], [5.0, 0.0]]), np.array([1, 1, 0])).tolist()
        [[5.0, 0.0], [1.0, 1.0]]
    """
    number = np.bincount(codes)
    length = np.bincount(codes, np.linalg.norm(rows, axis=1)) / number
    return class_sums(unit(rows, np.float64), codes) * (length / number)[:, None]


def recording_trials(codes: NDArray, model: NDArray, test: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Each trial of a model as one trial for each of its recordings.

    Args:
        codes: Model of each enrolled recording [M], in order (`members`).
        model, test: The sides of the trials [N].

    Returns:
        Place of the recording [P] and test [P] of each pair, and where the pairs of each trial begin [N].

    Example:
        >>> places, tests, begins = recording_trials(np.array([0, 0, 1]), np.array([1, 0]), np.array([7, 9]))
        >>> places.tolist(), tests.tolist(), begins.tolist()
        ([2, 0, 1], [7, 9, 9], [0, 1])
    """
    sizes = np.bincount(codes)
    number = sizes[model]
    begin = np.cumsum(number) - number
    first = (np.cumsum(sizes) - sizes)[model]
    return np.arange(number.sum()) + np.repeat(first - begin, number), np.repeat(test, number), begin
