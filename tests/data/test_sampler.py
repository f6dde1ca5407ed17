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
