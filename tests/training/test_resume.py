"""Fine-tuning: which rows of the classes are taken over."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning")

from voxid import registry
from voxid.errors import ConfigError
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.training.resume import start_from

OLD, NEW = ["a", "b", "c"], ["c", "x", "a"]


def small() -> SpeakerEncoder:
    return SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 8, "output_dim": 8}, pooling="tap", embedding_dim=4)


def trained(path: Path, loss: torch.nn.Module, **more: object) -> dict[str, torch.Tensor]:
    """A checkpoint of a training of `OLD`, written to `path`."""
    state = {f"model.{name}": value for name, value in small().state_dict().items()}
    state |= {f"loss.{name}": value.clone() for name, value in loss.state_dict().items()}
    torch.save({"state_dict": state, "speakers": OLD} | more, path)
    return state


@pytest.mark.parametrize("spec", ["softmax", "aam_softmax", {"name": "aam_softmax", "sub_centers": 3}])
def test_rows_go_by_speaker_and_speeds_are_dropped(tmp_path, spec) -> None:
    # With two speeds the old rows are a b c at 1.0, then a b c at the other one.
    old = trained(tmp_path / "old.ckpt", registry.build("loss", spec, embedding_dim=4, num_classes=6))
    loss = registry.build("loss", spec, embedding_dim=4, num_classes=3)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    model = small()
    start_from(str(tmp_path / "old.ckpt"), model, loss, NEW, 3)
    for name, value in loss.state_dict().items():
        assert torch.equal(value[[0, 2]], old[f"loss.{name}"][[2, 0]])
        assert torch.equal(value[1], before[name][1])
    assert torch.equal(model.projection.weight, old["model.projection.weight"])


def test_parameters_without_classes_are_taken_whole(tmp_path) -> None:
    loss = registry.build("loss", "ge2e", embedding_dim=4, num_classes=6)
    with torch.no_grad():
        for value in loss.parameters():
            value.add_(1.5)
    trained(tmp_path / "old.ckpt", loss)
    fresh = registry.build("loss", "ge2e", embedding_dim=4, num_classes=3)
    start_from(str(tmp_path / "old.ckpt"), small(), fresh, NEW, 3)
    assert len(list(loss.parameters())) == 2
    for one, other in zip(fresh.parameters(), loss.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_running_mean_is_what_is_gone_on_with(tmp_path) -> None:
    loss = registry.build("loss", "aam_softmax", embedding_dim=4, num_classes=3)
    state = trained(tmp_path / "old.ckpt", loss)
    mean = {name: value + 1 if value.is_floating_point() else value for name, value in state.items()}
    torch.save({"state_dict": state, "speakers": OLD, "average": mean}, tmp_path / "old.ckpt")
    model = small()
    start_from(str(tmp_path / "old.ckpt"), model, loss, OLD, 3)
    assert torch.equal(model.projection.weight, mean["model.projection.weight"])
    assert torch.equal(loss.weight, mean["loss.weight"])


def test_another_loss_is_refused(tmp_path) -> None:
    trained(tmp_path / "old.ckpt", registry.build("loss", "softmax", embedding_dim=4, num_classes=3))
    loss = registry.build("loss", "aam_softmax", embedding_dim=4, num_classes=3)
    with pytest.raises(ConfigError, match="do not fit the recipe's model and loss"):
        start_from(str(tmp_path / "old.ckpt"), small(), loss, OLD, 3)


@pytest.mark.parametrize("sub_centers", [2, 3])
def test_one_centre_a_class_is_not_spread_over_several(tmp_path, sub_centers: int) -> None:
    # With as many classes as sub-centres the rows would fit, by broadcasting: class 0's row as the first centre of every class.
    speakers = OLD[:sub_centers]
    trained(tmp_path / "old.ckpt", registry.build("loss", "aam_softmax", embedding_dim=4, num_classes=sub_centers))
    spec = {"name": "aam_softmax", "sub_centers": sub_centers}
    loss = registry.build("loss", spec, embedding_dim=4, num_classes=sub_centers)
    before = loss.weight.detach().clone()
    with pytest.raises(ConfigError, match=rf"loss\.weight is \[{sub_centers}, 4\] there and \[{sub_centers}, {sub_centers}, 4\]"):
        start_from(str(tmp_path / "old.ckpt"), small(), loss, speakers, sub_centers)
    assert torch.equal(loss.weight, before)
