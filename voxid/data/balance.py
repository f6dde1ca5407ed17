"""How long the tail of a corpus is: a few speakers with much speech, many with little; and what the draw makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxid.errors import DataError

SHARES = (0, 10, 25, 50, 75, 90, 100)  # quantiles told, in per cent


@dataclass(frozen=True)
class Tail:
    """How utterances fall on speakers.

    Attributes:
        speakers: Those with an utterance.
        utterances: Of all of them.
        top_share: Share of the utterances that the tenth of the speakers with the most has; 0.1 = balanced.
        gini: 0 = all speakers have equally many, towards 1 = one has them all.
        effective: exp of the entropy of the speakers: as many equal speakers would be as hard to guess.
        quantiles: Utterances of a speaker at 0, 10, 25, 50, 75, 90 and 100 % of the speakers.
    """

    speakers: int
    utterances: int
    top_share: float
    gini: float
    effective: float
    quantiles: dict[str, float]

    def __str__(self) -> str:
        median, most = self.quantiles["50"], self.quantiles["100"]
        return (
            f"{self.utterances} utterances of {self.speakers} speakers (median {median:g}, most {most:g}), "
            f"top tenth {100 * self.top_share:.1f} %, Gini {self.gini:.3f}, as good as {self.effective:.1f} equal speakers"
        )


@dataclass(frozen=True)
class Balance:
    """The tail of a corpus, and that of what is drawn from it."""

    corpus: Tail
    drawn: Tail


def tail(counts: Sequence[int] | np.ndarray) -> Tail:
    """Describe the utterances of each speaker [K]; speakers with none are left out.

    Raises:
        DataError: No utterance at all, or a negative count.

    Example:
        >>> tail([4, 4, 4, 4]).gini, tail([1, 0]).speakers
        (0.0, 1)

    Gini, "Variabilita e mutabilita", 1912; effective number after Hill, "Diversity and evenness", Ecology 1973.
    """
    counts = np.sort(np.asarray(counts, np.int64))
    if not counts.sum() or counts[0] < 0:
        raise DataError("a balance needs the number of utterances of each speaker, one or more in all and none below 0")
    counts = counts[counts > 0]
    speakers, total = len(counts), int(counts.sum())
    top = counts[-max(1, round(speakers / 10)) :].sum() / total
    gini = float((2 * np.arange(1, speakers + 1) - speakers - 1) @ counts / (speakers * total))
    share = counts / total
    effective = float(np.exp(-(share * np.log(share)).sum()))
    quantiles = {str(part): float(value) for part, value in zip(SHARES, np.percentile(counts, SHARES), strict=True)}
    return Tail(speakers, total, float(top), gini, effective, quantiles)


def report(counts: Sequence[int] | np.ndarray, drawn: Sequence[int] | np.ndarray) -> Balance:
    """The long tail before and after: utterances of each speaker [K] in the corpus, and in what was drawn from it.

    Raises:
        DataError: Nothing in one of them.

    Example:
        >>> print(report([8, 1, 1], [4, 3, 3]).drawn)
        10 utterances of 3 speakers (median 3, most 4), top tenth 40.0 %, Gini 0.067, as good as 3.0 equal speakers
    """
    return Balance(tail(counts), tail(drawn))
