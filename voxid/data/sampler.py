"""Which crops make up each batch, decided by the seed and the number of the batch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from voxid.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Crop:
    """A piece of an utterance to be cut: which one, how fast it is played, how long, and where (a draw in [0, 1))."""

    utterance: int
    speed: int
    samples: int
    position: float


class CropSampler:
    """Batches of crops. Batch i of epoch e depends on the seed, e and i, never on workers or on what was drawn before,
    so that a resumed run meets the very batches of an unbroken one.

    Args:
        speakers: Speaker index of each utterance.
        batch_size: Crops a batch (on each process).
        batches: Batches an epoch.
        samples: Length of a crop, in samples after the change of speed.
        speeds: How many speeds there are; every utterance counts once with each.
        balance: 0 = plain shuffle (every utterance once before any comes again); 1 = every speaker equally often;
            between: a speaker with n utterances is drawn in proportion to n ** (1 - balance).
        seed: Seed.
        rank, world_size: This process among those that train together; they draw different crops.

    Example:
        >>> sampler = CropSampler([0, 0, 1], batch_size=2, batches=3, samples=16000)
        >>> [len(batch) for batch in sampler]
        [2, 2, 2]
    """

    def __init__(
        self,
        speakers: Sequence[int],
        *,
        batch_size: int,
        batches: int,
        samples: int,
        speeds: int = 1,
        balance: float = 0.0,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not len(speakers):
            raise DataError("there is no utterance to draw from")
        if not 0.0 <= balance <= 1.0:
            raise ConfigError(f"balance must lie within 0 ... 1, got {balance}")
        self.batch_size, self.batches, self.samples, self.speeds = batch_size, batches, samples, speeds
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.epoch = 0
        self.size = len(speakers) * speeds
        self._orders: dict[int, np.ndarray] = {}
        self.weights = None if balance == 0.0 else _weights(np.asarray(speakers), balance)

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Crop]]:
        for batch in range(self.batches):
            number = self.epoch * self.batches + batch
            generator = np.random.default_rng([self.seed, number, self.rank])
            chosen = self._shuffled(number) if self.weights is None else self._weighted(generator)
            positions = generator.random(self.batch_size)
            yield [
                Crop(int(item) // self.speeds, int(item) % self.speeds, self.samples, float(position))
                for item, position in zip(chosen, positions, strict=True)
            ]

    def _shuffled(self, number: int) -> np.ndarray:
        # An endless row of permutations, each of them known by its own number.
        first = (number * self.world_size + self.rank) * self.batch_size
        index = np.arange(first, first + self.batch_size)
        orders = {turn: self._order(turn) for turn in sorted(set((index // self.size).tolist()))}
        self._orders = dict(list(orders.items())[-2:])  # the next batch begins in one of them; millions of items take a while
        return np.array([orders[int(i) // self.size][int(i) % self.size] for i in index])

    def _order(self, turn: int) -> np.ndarray:
        known = self._orders.get(turn)
        return np.random.default_rng([self.seed, turn]).permutation(self.size) if known is None else known

    def _weighted(self, generator: np.random.Generator) -> np.ndarray:
        assert self.weights is not None
        utterances = generator.choice(len(self.weights), self.batch_size, p=self.weights)
        return utterances * self.speeds + generator.integers(self.speeds, size=self.batch_size)


def _weights(speakers: np.ndarray, balance: float) -> np.ndarray:
    _, index, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    weights = counts[index].astype(np.float64) ** -balance
    return weights / weights.sum()
