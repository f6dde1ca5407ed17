"""The figure of a validation that chooses the checkpoint, and which way it is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure by its name in the log.

    Args:
        name: E.g. eer, si_sdr_improvement, pesq.
        higher_is_better: As it says.

    Example:
        >>> sorted([0.1, 0.3], key=Figure("pesq", higher_is_better=True).cost)
        [0.3, 0.1]
    """

    name: str
    higher_is_better: bool = False

    @property
    def mode(self) -> str:
        """As Lightning calls it."""
        return "max" if self.higher_is_better else "min"

    def cost(self, value: float) -> float:
        """The figure, or its negative: lower is better."""
        return -value if self.higher_is_better else value


EER = Figure("eer")
