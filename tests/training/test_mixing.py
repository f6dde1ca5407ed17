"""Which mixtures make up each batch."""

from __future__ import annotations

import pytest

pytest.importorskip("lightning")

from voxid.errors import ConfigError
from voxid.training.mixing import Mixing, Numbers


def test_every_number_comes_once_whatever_the_processes() -> None:
    for processes in (1, 2, 3):
        drawn = []
        for epoch in range(2):
            for rank in range(processes):
                numbers = Numbers(Mixing(batch_size=3, batches=4), rank, processes)
                numbers.set_epoch(epoch)
                assert len(numbers) == len(list(numbers)) == 4
                drawn += [number for batch in numbers for number in batch]
        assert sorted(drawn) == list(range(2 * 4 * 3 * processes))


def test_a_batch_is_found_again_in_a_later_epoch_of_another_run() -> None:
    """Shorter epochs meet the same mixtures in the same order."""
    long, short = Numbers(Mixing(batch_size=2, batches=6)), Numbers(Mixing(batch_size=2, batches=3))
    second = Numbers(Mixing(batch_size=2, batches=3))
    second.set_epoch(1)
    assert list(long) == [*short, *second]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"batch_size": 0}, "batch_size and batches"),
        ({"batches": 0}, "batch_size and batches"),
        ({"seconds": 0.05}, r"seconds must lie within 0\.1"),
        ({"seconds": float("nan")}, "seconds must lie"),
        ({"min_seconds": -1.0}, "min_seconds"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Mixing(**arguments)
