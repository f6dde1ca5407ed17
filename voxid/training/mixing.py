"""How mixtures are drawn, and which ones make up each batch: the keys of the section `data` that decide it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voxid.errors import ConfigError

SHORTEST, LONGEST = 0.1, 600.0  # of a mixture, in seconds


@dataclass(frozen=True)
class Mixing:
    """The draw.

    Args:
        batch_size: Mixtures of a batch, on each process.
        batches: Batches of an epoch.
        seconds: Length of a mixture.
        min_seconds: Shorter recordings of speech are left out; the others are repeated up to `seconds`.
        gain_db: Other voices lie at most so far above or below the first one, in dB.
        noise_prob, reverb_prob: Shares of the mixtures with noise, and in rooms.
        noise_snr_db: Range of the level of the first voice above the noise, in dB.

    Raises:
        ConfigError: A value out of range.
    """

    batch_size: int = 4
    batches: int = 1000
    seconds: float = 4.0
    min_seconds: float = 1.0
    gain_db: float = 2.5
    noise_prob: float = 1.0
    noise_snr_db: Sequence[float] = (0.0, 20.0)
    reverb_prob: float = 0.0

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.batches < 1:
            raise ConfigError("data: batch_size and batches must be 1 or more")
        if not SHORTEST <= self.seconds <= LONGEST:
            raise ConfigError(f"data: seconds must lie within {SHORTEST:g} ... {LONGEST:g}, got {self.seconds}")
        if not self.min_seconds >= 0:
            raise ConfigError(f"data: min_seconds must be 0 or more, got {self.min_seconds}")

    def arguments(self) -> dict[str, object]:
        """Those of `voxid.data.mixer.Mixer` among them."""
        drawn = dataclasses.asdict(self)
        return {name: drawn[name] for name in ("seconds", "gain_db", "noise_prob", "noise_snr_db", "reverb_prob")}


class Numbers:
    """Batches of numbers, one a mixture. Batch i of epoch e has the same ones whatever was drawn before it.

    Args:
        mixing: How large batches and epochs are.
        rank, world_size: This process among those that train together; they draw different mixtures.

    Example:
        >>> numbers = Numbers(Mixing(batch_size=2, batches=2), rank=1, world_size=2)
        >>> list(numbers)
        [[2, 3], [6, 7]]
        >>> numbers.set_epoch(1)
        >>> list(numbers)
        [[10, 11], [14, 15]]
    """

    def __init__(self, mixing: Mixing, rank: int = 0, world_size: int = 1) -> None:
        self.mixing, self.rank, self.world_size = mixing, rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.mixing.batches

    def __iter__(self) -> Iterator[list[int]]:
        size, batches = self.mixing.batch_size, self.mixing.batches
        for batch in range(self.epoch * batches, (self.epoch + 1) * batches):
            first = (batch * self.world_size + self.rank) * size
            yield list(range(first, first + size))
