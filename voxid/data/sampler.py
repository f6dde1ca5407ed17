"""Which crops make up each batch, decided by the seed and the number of the batch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from voxid.data.draws import BATCHES, LENGTHS, Draw, Groups, Turns, Weighted
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
        samples: Length of a crop, in samples after the change of speed; of several, each batch draws one.
        steps: (first batch, samples), ascending: from that batch of the training on, crops have that length.
        speeds: How many speeds there are; every utterance counts once with each.
        balance: 0 = plain shuffle (every utterance once before any comes again); 1 = every speaker equally often;
            between: a speaker with n utterances is drawn in proportion to n ** (1 - balance).
        min_utterances, max_utterances: Of a speaker in each pass of the plain shuffle.
        utterances_per_speaker: K: a batch holds batch_size / K speakers with K utterances each.
        seed: Seed.
        rank, world_size: This process among those that train together; they draw different crops.

    Raises:
        ConfigError: A value out of range, or two ways to balance at once.
        DataError: Nothing to draw from, or too few speakers for a batch.

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
        samples: int | Sequence[int],
        steps: Sequence[tuple[int, int]] = (),
        speeds: int = 1,
        balance: float = 0.0,
        min_utterances: int | None = None,
        max_utterances: int | None = None,
        utterances_per_speaker: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not len(speakers):
            raise DataError("there is no utterance to draw from")
        if not 0.0 <= balance <= 1.0:
            raise ConfigError(f"balance must lie within 0 ... 1, got {balance}")
        limits = (min_utterances, max_utterances)
        if sum([balance > 0, limits != (None, None), utterances_per_speaker is not None]) > 1:
            raise ConfigError(
                "balance, min_utterances with max_utterances, and utterances_per_speaker are three ways to balance; take one "
                "(balance=0, the others null)"
            )
        self.batch_size, self.batches, self.speeds = batch_size, batches, speeds
        self.samples = [samples] if isinstance(samples, int) else list(samples)
        self.steps = list(steps)
        self.seed, self.rank = seed, rank
        self.epoch = 0
        among = {"speeds": speeds, "seed": seed, "rank": rank, "world_size": world_size}
        self.draw: Draw
        if utterances_per_speaker is not None:
            per_batch, rest = divmod(batch_size, max(utterances_per_speaker, 1))
            if rest:
                raise ConfigError(f"batch_size={batch_size} is no multiple of utterances_per_speaker={utterances_per_speaker}")
            self.draw = Groups(speakers, speakers_per_batch=per_batch, utterances_per_speaker=utterances_per_speaker, **among)
        elif balance > 0:
            self.draw = Weighted(speakers, batch_size=batch_size, balance=balance, speeds=speeds)
        else:
            self.draw = Turns(speakers, batch_size=batch_size, fewest=min_utterances, most=max_utterances, **among)

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Crop]]:
        for number in self._numbers():
            generator = self._generator(number)
            items = self.draw(number, generator)
            positions = generator.random(self.batch_size)
            samples = self._samples(number)
            yield [
                Crop(int(item) // self.speeds, int(item) % self.speeds, samples, float(position))
                for item, position in zip(items, positions, strict=True)
            ]

    def utterances(self) -> np.ndarray:
        """The utterances of this epoch [batches x B], in their order."""
        items = [self.draw(number, self._generator(number)) for number in self._numbers()]
        return np.concatenate(items) // self.speeds

    def _numbers(self) -> range:
        return range(self.epoch * self.batches, (self.epoch + 1) * self.batches)

    def _generator(self, number: int) -> np.random.Generator:
        return np.random.default_rng([BATCHES, self.seed, number, self.rank])

    def _samples(self, number: int) -> int:
        """Length of the crops of a batch."""
        if set_at := [samples for first, samples in self.steps if first <= number]:
            return set_at[-1]
        if len(self.samples) == 1:
            return self.samples[0]
        # The rank has no part in it: all processes cut one length.
        return self.samples[int(np.random.default_rng([LENGTHS, self.seed, number]).integers(len(self.samples)))]
