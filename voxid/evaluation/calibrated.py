"""How well log-likelihood ratios hold on a list of trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxid.metrics.calibration import cllr, min_cllr
from voxid.metrics.detection import act_dcf, eer, min_dcf


@dataclass(frozen=True)
class Figures:
    """Figures of calibrated scores; lower is better.

    Args:
        name: Of the list.
        num_targets, num_nontargets: Its trials.
        eer: Equal error rate, a fraction.
        cllr, min_cllr: Cost of the ratios in bits, and what it would be if these trials calibrated themselves.
        act_dcf_005, min_dcf_005, act_dcf_001, min_dcf_001: Actual and minimum normalised detection cost at target priors of 0.05
            and 0.01.
    """

    name: str
    num_targets: int
    num_nontargets: int
    eer: float
    cllr: float
    min_cllr: float
    act_dcf_005: float
    min_dcf_005: float
    act_dcf_001: float
    min_dcf_001: float

    def describe(self) -> str:
        """The figures in a line."""
        costs = f"actDCF / minDCF {self.act_dcf_005:.3f} / {self.min_dcf_005:.3f} at 0.05, "
        costs += f"{self.act_dcf_001:.3f} / {self.min_dcf_001:.3f} at 0.01"
        return f"{self.name:<22} EER {100 * self.eer:5.2f} %   Cllr / min {self.cllr:.3f} / {self.min_cllr:.3f}   {costs}"


def figures_of(name: str, llr: ArrayLike, labels: ArrayLike) -> Figures:
    """Figures of log-likelihood ratios [N] and labels [N].

    Raises:
        DataError: What the metrics refuse.

    Example:
        >>> figures_of("dev", [6.0, 5.0, -4.0, -6.0], [1, 1, 0, 0]).act_dcf_001
        0.0
    """
    marks = np.asarray(labels).astype(bool)
    return Figures(
        name=name,
        num_targets=int(marks.sum()),
        num_nontargets=int((~marks).sum()),
        eer=eer(llr, marks),
        cllr=cllr(llr, marks),
        min_cllr=min_cllr(llr, marks),
        act_dcf_005=act_dcf(llr, marks, 0.05),
        min_dcf_005=min_dcf(llr, marks, 0.05),
        act_dcf_001=act_dcf(llr, marks, 0.01),
        min_dcf_001=min_dcf(llr, marks, 0.01),
    )
