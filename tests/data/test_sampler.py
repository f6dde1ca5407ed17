"""Batches are known by their number alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from voxid.data.sampler import CropSampler
from voxid.errors import ConfigError, DataError


def sampler(speakers: list[int], **options: object) -> CropSampler:
    return CropSampler(speakers, **({"batch_size": 4, "batches": 5, "samples": 100} | options))


def test_epochs_differ_and_come_again() -> None:
    one = sampler([0, 1, 2], seed=3)
    first = list(one)
    one.set_epoch(1)
    second = list(one)
    one.set_epoch(0)
    assert list(one) == first != second
    assert list(sampler([0, 1, 2], seed=4)) != first


def test_plain_shuffle_takes_every_utterance_at_every_speed_once_a_turn() -> None:
    batches = list(sampler(list(range(5)), speeds=2, batch_size=4, batches=5))
    drawn = [(crop.utterance, crop.speed) for batch in batches for crop in batch]
    for turn in range(2):
        assert len(set(drawn[10 * turn : 10 * turn + 10])) == 10
    assert drawn[:10] != drawn[10:]


def test_ranks_share_a_turn() -> None:
    drawn = Counter()
    for rank in range(2):
        drawn.update(crop.utterance for batch in sampler(list(range(40)), rank=rank, world_size=2) for crop in batch)
    assert drawn == Counter(range(40))


@pytest.mark.parametrize(("balance", "share"), [(1.0, 0.5), (0.5, 3 / 4)])
def test_balance_weighs_the_speakers(balance: float, share: float) -> None:
    speakers = [0] * 9 + [1]
    drawn = [crop.utterance for batch in sampler(speakers, balance=balance, batch_size=100, batches=100) for crop in batch]
    assert np.mean(np.array(drawn) < 9) == pytest.approx(share, abs=0.02)


def test_mistakes_are_refused() -> None:
    with pytest.raises(DataError, match="no utterance"):
        sampler([])
    with pytest.raises(ConfigError, match="balance"):
        sampler([0], balance=1.5)


def test_permutations_are_made_once_and_two_are_kept(monkeypatch) -> None:
    made = []
    order = np.random.Generator.permutation

    class Counting:
        def __init__(self, seed: list[int]) -> None:
            self.seed, self.generator = seed, draw(seed)

        def permutation(self, size: int) -> np.ndarray:
            made.append(self.seed[1])
            return order(self.generator, size)

        def random(self, size: int) -> np.ndarray:
            return self.generator.random(size)

    draw = np.random.default_rng
    alone = [list(sampler(list(range(10)), batches=8))[batch] for batch in range(8)]
    monkeypatch.setattr(np.random, "default_rng", Counting)
    one = sampler(list(range(10)), batches=8)
    assert list(one) == alone
    assert made == [0, 1, 2, 3]
    assert len(one._orders) <= 2
    small = sampler([0, 1], batches=3, batch_size=9)  # five turns in a batch
    assert Counter(crop.utterance for batch in small for crop in batch) in ({0: 13, 1: 14}, {0: 14, 1: 13})
    assert len(small._orders) <= 2
    permutations = np.concatenate([draw([0, turn]).permutation(10) for turn in range(4)])
    assert [crop.utterance for batch in alone for crop in batch] == permutations[:32].tolist()
