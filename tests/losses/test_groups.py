"""Batches sorted by class."""

from __future__ import annotations

import pytest
import torch

from voxid import registry
from voxid.errors import ModelError
from voxid.losses.groups import groups

COMPARING = ["angular_prototypical", "combined", "ge2e", "prototypical", "triplet"]


def test_classes_are_gathered_in_the_order_of_the_batch() -> None:
    label = torch.tensor([9, 2, 5, 2, 9, 2])
    batch = groups(label, "ge2e")
    assert batch.rows[batch.present].tolist() == [1, 3, 5, 0, 4]
    assert batch.present.tolist() == [[True, True, True], [True, True, False]]
    taken = batch.take(torch.arange(1.0, 7.0)[:, None])[:, :, 0]
    assert taken.tolist() == [[2.0, 4.0, 6.0], [1.0, 5.0, 0.0]]
    back = batch.back(batch.present)
    assert back.tolist() == [True, True, False, True, True, True]  # the item alone in its class is left out


@pytest.mark.parametrize("name", COMPARING)
@pytest.mark.parametrize("label", [[0, 1, 2, 3], [4, 4, 4, 4]])
def test_a_batch_with_nothing_to_compare_names_the_way_out(name: str, label: list[int]) -> None:
    loss = registry.build("loss", name, embedding_dim=3, num_classes=5)
    with pytest.raises(ModelError, match=r"data\.speakers_per_batch=P data\.utterances_per_speaker=K") as caught:
        loss(torch.randn(4, 3), torch.tensor(label))
    assert caught.value.code == "E_BATCH"
    assert f"got 4 utterances of {len(set(label))} speakers" in str(caught.value)


VARIANTS = [*COMPARING, {"name": "triplet", "mining": "semihard"}, {"name": "ge2e", "variant": "contrast"}]


@pytest.mark.parametrize("part", VARIANTS)
def test_the_label_alone_tells_who_belongs_together(part: str | dict) -> None:
    torch.manual_seed(0)
    loss = registry.build("loss", part, embedding_dim=3, num_classes=4)
    embedding, label = torch.randn(8, 3), torch.tensor([0, 0, 1, 1, 1, 2, 3, 3])
    mixed = torch.tensor([5, 2, 0, 6, 3, 1, 4, 7])  # the speakers one among the other, the items of each in their order
    value, hits = loss(embedding, label)
    again, moved = loss(embedding[mixed], label[mixed])
    assert float(again.detach()) == pytest.approx(float(value.detach()), rel=1e-5)
    assert moved.tolist() == hits[mixed].tolist()
