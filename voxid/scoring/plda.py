"""Gaussian PLDA: the exact log-likelihood ratio of the two-covariance model; higher = same speaker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, ModelError
from voxid.registry import register
from voxid.scoring.bilinear import Bilinear
from voxid.scoring.checks import as_counts, as_rows, not_fitted, restored
from voxid.scoring.plda_em import expectation_maximisation, moments
from voxid.scoring.speaker_statistics import SpeakerStatistics, check_shrinkage, speaker_statistics
from voxid.scoring.two_covariance import TwoCovariance

Method = Literal["em", "moments"]
LengthNorm = Literal["kaldi", "simple", "wespeaker"]


@register("scorer", "plda")
class Plda(Bilinear):
    """Two-covariance PLDA: embedding = mean + speaker + noise, speaker ~ N(0, B), noise ~ N(0, W).

    A score is ln p(enrolment, test | one speaker) - ln p(enrolment, test | two speakers). An enrolment row that is the mean of
    n recordings is scored by the book with ``counts``: as the n recordings together.

    Args:
        method: ``em``, maximum likelihood; or ``moments``, the closed form.
        iterations: Of EM.
        rank: Dimensions in which speakers differ (simplified PLDA, B = V V' with V [D, rank]). None = all. With ``moments`` the
            largest ones are kept.
        shrinkage: Share of a sphere of the same mean variance in W, from 0 to below 1. None = 0 where W is well-conditioned,
            and as much as D more rows where it is not (too few rows, or rows that fill a subspace).
        length_norm: Scale each row in the space where W = I and B is diagonal. None scores rows as they are, and only this is
            a true likelihood ratio of the rows. ``kaldi``: to the length that the model expects of a mean of n recordings, as
            Kaldi's ivector-plda-scoring does; ``simple``: to length sqrt(D) there; ``wespeaker``: to length sqrt(D) before,
            for `fit` too, and there.

    Attributes:
        model: The parameters, once fitted or restored (`TwoCovariance`).
        log_likelihoods: Of the training rows before the first and after each iteration of EM, natural log; None otherwise.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> speakers = np.repeat(np.arange(200), 5)
        >>> rows = rng.normal(size=(200, 2))[speakers] * 3 + rng.normal(size=(1000, 2))
        >>> scorer = Plda().fit(rows, speakers)
        >>> scorer.score_trials([[3.0, 3.0]], [[3.5, 2.5], [-3.0, 3.0]], [0, 0], [0, 1]).round(1).tolist()
        [2.5, -5.7]

    Ioffe, "Probabilistic linear discriminant analysis", ECCV 2006; Brummer and de Villiers, "The speaker partitioning problem",
    Odyssey 2010; Garcia-Romero and Espy-Wilson, "Analysis of i-vector length normalization ...", Interspeech 2011.
    """

    def __init__(
        self,
        method: Method = "em",
        iterations: int = 10,
        rank: int | None = None,
        shrinkage: float | None = None,
        length_norm: LengthNorm | None = None,
    ) -> None:
        _check_options(method, iterations, rank, length_norm)
        check_shrinkage(shrinkage)
        self.method, self.iterations, self.rank = method, iterations, rank
        self.shrinkage, self.length_norm = shrinkage, length_norm
        self.log_likelihoods: NDArray | None = None
        self._model: TwoCovariance | None = None

    @classmethod
    def of(cls, model: TwoCovariance, length_norm: LengthNorm | None = None) -> Self:
        """A scorer with known parameters."""
        scorer = cls(length_norm=length_norm)
        scorer._model = model
        return scorer

    @property
    def model(self) -> TwoCovariance:
        """The parameters.

        Raises:
            ModelError: ``E_NOT_FITTED``.
        """
        if self._model is None:
            raise not_fitted("plda")
        return self._model

    def fit(self, embeddings: ArrayLike, speakers: ArrayLike) -> Self:
        """Learn from labelled embeddings [n, D], speakers [n].

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``, ``E_SPEAKERS`` (see `speaker_statistics`).
            ConfigError: `rank` above D.
        """
        statistics = speaker_statistics(self.prepared(as_rows(embeddings)), speakers, self.shrinkage)
        check_rank(self.rank, len(statistics.scatter))
        self._model, self.log_likelihoods = self._train(statistics)
        return self

    def prepared(self, rows: NDArray) -> NDArray:
        """Rows [n, D] as the model has them: of length sqrt(D) with ``length_norm="wespeaker"``, else as they are."""
        return _scaled(rows, np.einsum("nd,nd->n", rows, rows)) if self.length_norm == "wespeaker" else rows

    def state(self) -> dict[str, NDArray]:
        """What `fit` found: mean [D], transform [D, D], psi [D]."""
        return {"mean": self.model.mean, "transform": self.model.transform, "psi": self.model.psi}

    def restore(self, state: Mapping[str, NDArray]) -> Self:
        """Take what `state` gave.

        Raises:
            ModelError: ``E_FORMAT``.
        """
        self._model = model_of(state)
        self.log_likelihoods = None
        return self

    def enrol_side(self, rows: NDArray, counts: NDArray) -> tuple[NDArray, NDArray]:
        """Vectors [n, 2 R] and offsets [n] of enrolment rows, each the mean of `counts` [n] recordings.

        What the square of a test row weighs depends on the count it is scored with: the second half is that, less the weight
        with a count of 1, which is in the offset of the test row.
        """
        vectors, offsets = self._enrol_side(rows, counts)
        psi = self._active
        return np.hstack([vectors, _square_weights(psi, counts[:, None], 1.0) - _square_weights(psi, 1.0, 1.0)]), offsets

    def test_side(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Vectors [m, 2 R] and offsets [m] of test rows; the second half of a vector are the squares."""
        vectors = self._project(rows, np.ones(1))
        return np.hstack([vectors * self._scale, vectors**2]), self._test_offsets(vectors, 1.0)

    def _sides(self, enrol: ArrayLike, test: ArrayLike, counts: ArrayLike | None) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """With one count for all, R dimensions are enough; where it is 1, both sides make the same of a row."""
        dim = self.model.mean.size
        rows, other = as_rows(enrol, dim, "enrolment rows"), as_rows(test, dim, "test rows")
        number = as_counts(counts, len(rows))
        if (number != number[:1]).any():
            return *self.enrol_side(rows, number), *self.test_side(other)
        count = number[:1] if len(number) else np.ones(1)
        left = self._enrol_side(rows, count)
        if test is enrol and count[0] == 1.0:
            return *left, *left
        vectors = self._project(other, np.ones(1))
        return *left, vectors * self._scale, self._test_offsets(vectors, float(count[0]))

    def _enrol_side(self, rows: NDArray, counts: NDArray) -> tuple[NDArray, NDArray]:
        """Vectors [n, R] and offsets [n]; `counts` [n], or [1] for all."""
        vectors, psi, n = self._project(rows, counts), self._active, counts[:, None]
        gain = n * psi / ((n + 1.0) * psi + 1.0) / (psi / (2.0 * psi + 1.0))
        offsets = (vectors**2 * _square_weights(psi, n, n)).sum(axis=1) + _log_determinants(psi, n) - self._half_constant
        return vectors * (self._scale * gain), offsets

    def _test_offsets(self, vectors: NDArray, count: float) -> NDArray:
        return (vectors**2 * _square_weights(self._active, count, 1.0)).sum(axis=1) + self._half_constant

    @property
    def _scale(self) -> NDArray:
        """Square root of what the product of two single recordings weighs in each dimension: each side takes one."""
        return np.sqrt(self._active / (2.0 * self._active + 1.0))

    @property
    def _half_constant(self) -> float:
        return float(_log_determinants(self._active, np.ones((1, 1)))[0]) / 2.0

    @property
    def _active(self) -> NDArray:
        """Variances between speakers, where there is any: other dimensions say nothing about who it is."""
        return self.model.psi[self.model.psi > 0]

    def _project(self, rows: NDArray, counts: NDArray) -> NDArray:
        model = self.model
        rows = self.prepared(as_rows(rows, model.mean.size))
        if self.length_norm is None:
            active = model.psi > 0
            return (rows - model.mean) @ model.transform[active].T
        vectors = model.project(rows)
        expected = model.psi + 1.0 / counts[:, None] if self.length_norm == "kaldi" else np.ones(1)
        return _scaled(vectors, (vectors**2 / expected).sum(axis=1))[:, model.psi > 0]

    def _train(self, statistics: SpeakerStatistics) -> tuple[TwoCovariance, NDArray | None]:
        if self.method == "moments":
            model = moments(statistics)
            return (model if self.rank is None else model.truncated(self.rank)), None
        rank = len(statistics.scatter) if self.rank is None else self.rank
        subspace, history = expectation_maximisation(statistics, rank, self.iterations)
        return subspace.diagonal(), history


def model_of(state: Mapping[str, NDArray]) -> TwoCovariance:
    """The parameters in a stored state or a file, checked.

    Raises:
        ModelError: ``E_FORMAT``.
    """
    arrays = restored(state, "plda", mean=("D",), transform=("D", "D"), psi=("D",))
    if (arrays["psi"] < 0).any():
        raise ModelError("plda: psi holds variances, got a negative one", "E_FORMAT")
    if np.linalg.matrix_rank(arrays["transform"]) < len(arrays["psi"]):
        raise ModelError("plda: transform must be invertible", "E_FORMAT")
    return TwoCovariance(arrays["mean"], arrays["transform"], arrays["psi"])


def check_rank(rank: int | None, dim: int) -> None:
    """Raise `ConfigError` for more speaker factors than dimensions."""
    if rank is not None and rank > dim:
        raise ConfigError(f"rank must be 1 ... {dim}, the dimensions of the embeddings, got {rank}")


def _square_weights(psi: NDArray, count: NDArray | float, own: NDArray | float) -> NDArray:
    """What the square of a row weighs in each dimension: the mean of `own` recordings, in a trial of `count` and one."""
    return 0.5 * psi * (1.0 / ((count + 1.0) * psi + 1.0) - 1.0 / (own * psi + 1.0)) * own**2


def _log_determinants(psi: NDArray, count: NDArray) -> NDArray:
    """What no row has a part in [n]: of counts [n, 1]."""
    return 0.5 * (np.log(count * psi + 1.0) + np.log(psi + 1.0) - np.log((count + 1.0) * psi + 1.0)).sum(axis=1)


def _scaled(rows: NDArray, squares: NDArray) -> NDArray:
    """Rows times sqrt(D / squares); a row of zeros stays."""
    factor = np.divide(rows.shape[1], squares, out=np.zeros_like(squares), where=squares > 0)
    return rows * np.sqrt(factor)[:, None]


def _check_options(method: str, iterations: int, rank: int | None, length_norm: str | None) -> None:
    if method not in get_args(Method):
        raise ConfigError(f"plda: unknown method {method!r}; known: {', '.join(get_args(Method))}")
    if length_norm is not None and length_norm not in get_args(LengthNorm):
        raise ConfigError(f"plda: unknown length_norm {length_norm!r}; known: null (none), {', '.join(get_args(LengthNorm))}")
    if iterations < 0 or (rank is not None and rank < 1):
        raise ConfigError(f"plda: iterations must be 0 or more and rank 1 or more, got {iterations} and {rank}")
