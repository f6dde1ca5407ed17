"""The two-covariance model of embeddings: a speaker's place ~ N(mean, between), a recording's noise ~ N(0, within)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TwoCovariance:
    """Parameters in the form that scores fast: `transform` makes `within` the identity and `between` the diagonal `psi`.

    Args:
        mean: Mean of the embeddings [D].
        transform: Square and invertible [D, D]; row d gives dimension d of the diagonal space.
        psi: Variance between speakers in each dimension of that space [D], 0 or more.
    """

    mean: NDArray
    transform: NDArray
    psi: NDArray

    @classmethod
    def of(cls, mean: NDArray, within: NDArray, between: NDArray) -> TwoCovariance:
        """From covariances [D, D]; `within` must be positive definite, negative variance between speakers becomes 0.

        Example:
            >>> model = TwoCovariance.of(np.zeros(2), np.diag([1.0, 4.0]), np.diag([3.0, 8.0]))
            >>> model.psi.round(12).tolist(), model.between.round(12).tolist()
            ([3.0, 2.0], [[3.0, 0.0], [0.0, 8.0]])
        """
        transform, psi, _ = diagonalise(within, between)
        return cls(np.asarray(mean, dtype=np.float64), transform, np.maximum(psi, 0.0))

    @property
    def within(self) -> NDArray:
        """Covariance of a speaker's recordings [D, D]."""
        inverse = np.linalg.inv(self.transform)
        return inverse @ inverse.T

    @property
    def between(self) -> NDArray:
        """Covariance of the speakers [D, D]."""
        inverse = np.linalg.inv(self.transform)
        return (inverse * self.psi) @ inverse.T

    def project(self, rows: NDArray) -> NDArray:
        """Rows [n, D] in the diagonal space [n, D], the mean taken off."""
        return (rows - self.mean) @ self.transform.T

    def truncated(self, rank: int) -> TwoCovariance:
        """The same with only the `rank` largest variances between speakers."""
        psi = np.zeros_like(self.psi)
        kept = np.argsort(-self.psi, kind="stable")[:rank]
        psi[kept] = self.psi[kept]
        return TwoCovariance(self.mean, self.transform, psi)


def diagonalise(within: NDArray, between: NDArray) -> tuple[NDArray, NDArray, float]:
    """Both covariances at once: transform [D, D] with T within T' = I and T between T' = diag(psi); psi [D] falls.

    Returns:
        transform, psi (which may be negative where `between` is no covariance), and the log-determinant of `within`.

    Raises:
        numpy.linalg.LinAlgError: `within` is not positive definite.
    """
    root = np.linalg.cholesky(within)
    whiten = np.linalg.solve(root, np.eye(len(root)))
    white = whiten @ between @ whiten.T
    psi, axes = np.linalg.eigh((white + white.T) / 2)
    return axes[:, ::-1].T @ whiten, psi[::-1], 2.0 * float(np.log(np.diag(root)).sum())
