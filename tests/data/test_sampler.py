"""Batches are known by their number alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from voxid.data.draws import ORDERS, Turns, Weighted
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


def test_weights_draw_as_numpy_does() -> None:
    speakers = np.array([0] * 5 + [1] * 2 + [2])
    weights = np.array([5.0] * 5 + [2.0] * 2 + [1.0]) ** -0.5
    generator = np.random.default_rng(7)
    expected = generator.choice(8, 64, p=weights / weights.sum()) * 2 + generator.integers(2, size=64)
    draw = Weighted(speakers.tolist(), batch_size=64, balance=0.5, speeds=2)
    assert draw(0, np.random.default_rng(7)).tolist() == expected.tolist()


def drawn_in(speakers: list[int], turns: int, **options: object) -> list[Counter]:
    """Utterances of each turn of a plain shuffle with limits, a turn a batch."""
    size = Turns(speakers, batch_size=1, fewest=options.get("min_utterances"), most=options.get("max_utterances")).size
    batches = sampler(speakers, batch_size=size, batches=turns, **options)
    return [Counter(crop.utterance for crop in batch) for batch in batches]


def test_limits_cut_and_fill_each_speaker() -> None:
    speakers = [0] * 6 + [1] * 3 + [2]
    turns = drawn_in(speakers, 20, min_utterances=2, max_utterances=4)
    for turn in turns:
        assert [sum(turn[item] for item in range(10) if speakers[item] == who) for who in range(3)] == [4, 3, 2]
        assert max(turn[item] for item in range(9)) == 1
        assert turn[9] == 2
    total = sum(turns, Counter())
    assert all(total[item] > 5 for item in range(6))  # another choice each time: 20 x 4 / 6 = 13 of each


def test_over_sampling_repeats_evenly() -> None:
    (turn,) = drawn_in([0, 0, 0, 1], 1, min_utterances=7)
    assert sorted(turn[item] for item in range(3)) == [2, 2, 3]
    assert turn[3] == 7


def test_limits_take_every_speed() -> None:
    one = sampler([0, 0, 0, 1], batch_size=9, batches=1, speeds=3, max_utterances=2)
    (batch,) = one
    assert Counter(crop.speed for crop in batch) == {0: 3, 1: 3, 2: 3}


@pytest.mark.parametrize("world_size", [1, 2])
def test_groups_hold_speakers_with_utterances(world_size: int) -> None:
    speakers = [0] * 5 + [1] * 2 + [2] + [3] * 4 + [4] * 4 + [5] * 4
    options = {"batch_size": 6, "batches": 4, "utterances_per_speaker": 3, "speeds": 2, "world_size": world_size}
    ranks = [list(sampler(speakers, rank=rank, **options)) for rank in range(world_size)]
    for batches in zip(*ranks, strict=True):
        groups = []
        for batch in batches:
            for start in (0, 3):
                group = batch[start : start + 3]
                (of,) = {(speakers[crop.utterance], crop.speed) for crop in group}
                groups.append(of)
                assert len({crop.utterance for crop in group}) == min(3, speakers.count(of[0]))
        assert len(set(groups)) == 2 * world_size
    turn = 6 // world_size  # batches until all 12 classes were there
    classes = [
        (speakers[batch[start].utterance], batch[start].speed) for row in ranks for batch in row[:turn] for start in (0, 3)
    ]
    assert len(set(classes)) == len(classes)


def test_groups_come_again_and_ranks_may_be_many() -> None:
    speakers = [0, 0, 1, 1, 2, 2]
    options = {"utterances_per_speaker": 2, "world_size": 4, "batch_size": 4, "seed": 5}
    ranks = [list(sampler(speakers, rank=rank, **options)) for rank in range(4)]
    assert ranks == [list(sampler(speakers, rank=rank, **options)) for rank in range(4)]
    assert ranks[0] != ranks[1]
    assert all(len({speakers[crop.utterance] for crop in batch}) == 2 for row in ranks for batch in row)


def test_lengths_are_drawn_a_batch_and_shared_by_ranks() -> None:
    options = {"samples": [10, 20, 30], "batches": 60, "world_size": 2}
    one, other = ([{crop.samples for crop in batch} for batch in sampler([0, 1], rank=rank, **options)] for rank in range(2))
    assert one == other
    assert Counter(length for (length,) in one).keys() == {10, 20, 30}


def test_utterances_of_an_epoch_are_those_of_its_crops() -> None:
    one = sampler([0, 0, 1], speeds=2, balance=1.0)
    one.set_epoch(3)
    assert one.utterances().tolist() == [crop.utterance for batch in one for crop in batch]


@pytest.mark.parametrize("options", [{}, {"utterances_per_speaker": 2}])
def test_no_stream_of_numbers_is_used_twice(options: dict, monkeypatch) -> None:
    """numpy fills a seed up with zeros: [3, 5] and [3, 5, 0] give the same numbers."""
    seeds: set[tuple[int, ...]] = set()
    count, draw = 0, np.random.default_rng

    def made(seed: list[int]) -> np.random.Generator:
        nonlocal count
        count += 1
        seeds.add(tuple([*seed, 0, 0][:4]))
        return draw(seed)

    assert draw([3, 5]).random() == draw([3, 5, 0]).random()
    monkeypatch.setattr(np.random, "default_rng", made)
    for _ in sampler([0, 0, 1, 1, 2, 2], samples=[10, 20], batches=6, **options):
        pass
    assert len(seeds) == count > 12


def test_mistakes_are_refused() -> None:
    with pytest.raises(DataError, match="no utterance"):
        sampler([])
    for options, says in (
        ({"balance": 1.5}, "balance must lie"),
        ({"balance": 0.5, "utterances_per_speaker": 2}, "three ways"),
        ({"utterances_per_speaker": 3}, "no multiple"),
        ({"utterances_per_speaker": 1}, "2 or more"),
        ({"min_utterances": 0}, "min_utterances"),
    ):
        with pytest.raises(ConfigError, match=says):
            sampler([0, 1, 2, 3], **options)
    with pytest.raises(DataError, match="speakers_per_batch=2, but there are 1"):
        sampler([0, 0, 0], utterances_per_speaker=2)


def test_permutations_are_made_once_and_two_are_kept(monkeypatch) -> None:
    made = []
    order = np.random.Generator.permutation

    class Counting:
        def __init__(self, seed: list[int]) -> None:
            self.seed, self.generator = seed, draw(seed)

        def permutation(self, size: int) -> np.ndarray:
            made.append(self.seed[2])
            return order(self.generator, size)

        def random(self, size: int) -> np.ndarray:
            return self.generator.random(size)

    draw = np.random.default_rng
    alone = [list(sampler(list(range(10)), batches=8))[batch] for batch in range(8)]
    monkeypatch.setattr(np.random, "default_rng", Counting)
    one = sampler(list(range(10)), batches=8)
    assert list(one) == alone
    assert made == [0, 1, 2, 3]
    assert len(one.draw._orders) <= 2
    small = sampler([0, 1], batches=3, batch_size=9)  # five turns in a batch
    assert Counter(crop.utterance for batch in small for crop in batch) in ({0: 13, 1: 14}, {0: 14, 1: 13})
    assert len(small.draw._orders) <= 2
    permutations = np.concatenate([draw([ORDERS, 0, turn]).permutation(10) for turn in range(4)])
    assert [crop.utterance for batch in alone for crop in batch] == permutations[:32].tolist()
