"""Which utterances, at which speed, make up a batch. A draw is called with the number of the batch and the batch's own generator
and returns its items [B], each of them utterance x speeds + speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from voxid.errors import ConfigError, DataError

# Streams of random numbers: the first word of each seed, so that no two of them ever are one. Seeds [a, b] and [a, b, 0] are.
BATCHES, ORDERS, LENGTHS = 1, 2, 3
Draw = Callable[[int, np.random.Generator], np.ndarray]


class Turns:
    """Passes over the corpus, each in an order of its own: every utterance once with each speed before any comes again.

    Args:
        speakers: Speaker of each utterance.
        batch_size: B.
        speeds: How many there are.
        seed: Of the orders.
        rank, world_size: Processes share a pass.
        fewest, most: A speaker comes with at least and at most so many utterances in a pass: with some of them again, or with
            some that change from pass to pass. None = no limit.

    Example:
        >>> drawn = Turns([0, 0, 0, 1], batch_size=4, fewest=2, most=2)(0, np.random.default_rng(0))
        >>> sorted(drawn.tolist())[2:]
        [3, 3]
    """

    def __init__(
        self,
        speakers: Sequence[int],
        *,
        batch_size: int,
        speeds: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        fewest: int | None = None,
        most: int | None = None,
    ) -> None:
        least = 1 if fewest is None else fewest
        if least < 1 or (most is not None and most < least):
            raise ConfigError(f"1 <= min_utterances <= max_utterances is needed, got {fewest} and {most}")
        self.batch_size, self.speeds, self.seed, self.rank, self.world_size = batch_size, speeds, seed, rank, world_size
        self.limited = fewest is not None or most is not None
        _, self.speaker_of, self.counts = np.unique(np.asarray(speakers), return_inverse=True, return_counts=True)
        self.wanted = np.clip(self.counts, fewest, most) if self.limited else self.counts
        self.size = int(self.wanted.sum()) * speeds
        self._orders: dict[int, np.ndarray] = {}

    def __call__(self, number: int, generator: np.random.Generator) -> np.ndarray:
        # An endless row of permutations, each of them known by its own number.
        first = (number * self.world_size + self.rank) * self.batch_size
        index = np.arange(first, first + self.batch_size)
        orders = {turn: self._order(turn) for turn in sorted(set((index // self.size).tolist()))}
        self._orders = dict(list(orders.items())[-2:])  # the next batch begins in one of them; millions of items take a while
        return np.array([orders[int(i) // self.size][int(i) % self.size] for i in index])

    def _order(self, turn: int) -> np.ndarray:
        known = self._orders.get(turn)
        if known is not None:
            return known
        generator = np.random.default_rng([ORDERS, self.seed, turn])
        if not self.limited:
            return generator.permutation(self.size)
        chosen = self._limited(generator)
        return generator.permutation((chosen[:, None] * self.speeds + np.arange(self.speeds)).ravel())

    def _limited(self, generator: np.random.Generator) -> np.ndarray:
        """The utterances of a pass: of each speaker the first `wanted` of a random row of hers, over and over."""
        row = np.lexsort((generator.random(len(self.speaker_of)), self.speaker_of))
        speaker = self.speaker_of[row]
        place = np.arange(len(row)) - (np.cumsum(self.counts) - self.counts)[speaker]
        times = -(-(self.wanted[speaker] - place) // self.counts[speaker])
        return np.repeat(row, np.maximum(times, 0))


class Weighted:
    """A speaker with n utterances is drawn in proportion to n ** (1 - balance): 1 = every speaker equally often.

    Args:
        speakers: Speaker of each utterance.
        batch_size: B.
        speeds: How many there are.
        balance: Above 0, up to 1.

    Example:
        >>> Weighted([0, 0, 1], batch_size=2, balance=1.0)(0, np.random.default_rng(0)).shape
        (2,)
    """

    def __init__(self, speakers: Sequence[int], *, batch_size: int, balance: float, speeds: int = 1) -> None:
        self.batch_size, self.speeds = batch_size, speeds
        _, index, counts = np.unique(np.asarray(speakers), return_inverse=True, return_counts=True)
        shares = np.cumsum(counts[index].astype(np.float64) ** -balance)
        self.shares = shares / shares[-1]

    def __call__(self, number: int, generator: np.random.Generator) -> np.ndarray:
        utterances = self.shares.searchsorted(generator.random(self.batch_size), side="right")
        return utterances * self.speeds + generator.integers(self.speeds, size=self.batch_size)


class Groups:
    """P classes x K utterances of each, for losses that compare within a batch; a speaker at each speed is a class.

    The classes of a batch differ. They take turns, so that all come equally often; processes share a turn where there are
    enough of them. The utterances of a class differ where it has K, else they come again.

    Args:
        speakers: Speaker of each utterance.
        speakers_per_batch: P.
        utterances_per_speaker: K.
        speeds: How many there are.
        seed: Of the turns.
        rank, world_size: This process among those that train together.

    Raises:
        ConfigError: P or K below 1, or K = 1 with which nothing can be compared.
        DataError: Fewer than P classes.

    Example:
        >>> groups = Groups([0, 0, 1, 1, 2, 2], speakers_per_batch=2, utterances_per_speaker=2)
        >>> groups(0, np.random.default_rng(0)).shape
        (4,)
    """

    def __init__(
        self,
        speakers: Sequence[int],
        *,
        speakers_per_batch: int,
        utterances_per_speaker: int,
        speeds: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if speakers_per_batch < 2 or utterances_per_speaker < 2:
            raise ConfigError(
                "speakers_per_batch and utterances_per_speaker must be 2 or more, "
                f"got {speakers_per_batch} and {utterances_per_speaker}"
            )
        self.per_batch, self.per_speaker = speakers_per_batch, utterances_per_speaker
        self.speeds, self.seed, self.rank, self.world_size = speeds, seed, rank, world_size
        _, index, counts = np.unique(np.asarray(speakers), return_inverse=True, return_counts=True)
        self.classes = len(counts) * speeds
        if speakers_per_batch > self.classes:
            raise DataError(f"speakers_per_batch={speakers_per_batch}, but there are {self.classes} speakers (with their speeds)")
        self.rows = np.split(np.argsort(index, kind="stable"), np.cumsum(counts)[:-1])
        self._turn: tuple[int, np.ndarray] = (-1, np.zeros(0))

    def __call__(self, number: int, generator: np.random.Generator) -> np.ndarray:
        items = []
        for chosen in self._classes(number, generator).tolist():
            speaker, speed = divmod(chosen, self.speeds)
            row = self.rows[speaker]
            # np.resize goes round again where there are too few
            items.append(np.resize(generator.permutation(row), self.per_speaker) * self.speeds + speed)
        return np.concatenate(items)

    def _classes(self, number: int, generator: np.random.Generator) -> np.ndarray:
        batches = self.classes // (self.per_batch * self.world_size)
        if not batches:  # more places than classes: each process draws for itself
            return generator.permutation(self.classes)[: self.per_batch]
        turn, place = divmod(number, batches)
        if self._turn[0] != turn:
            self._turn = (turn, np.random.default_rng([ORDERS, self.seed, turn]).permutation(self.classes))
        first = (place * self.world_size + self.rank) * self.per_batch
        return self._turn[1][first : first + self.per_batch]
