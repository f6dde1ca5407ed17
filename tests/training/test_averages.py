"""Means of weights against means written out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("lightning")

from voxid.errors import ConfigError
from voxid.training.averages import RunningMean, mean_weights, weights
from voxid.training.loop import make_loop, refuse_empty_mean
from voxid.training.settings import Settings


def checkpoint(path: Path, value: float, **more: object) -> Path:
    state = {"model.w": torch.full((3,), value), "model.bn.num_batches_tracked": torch.tensor(int(value))}
    torch.save({"state_dict": state, "speakers": ["a"]} | more, path)
    return path


def test_floats_are_averaged_and_counters_are_the_last(tmp_path) -> None:
    paths = [checkpoint(tmp_path / f"{value}.ckpt", value) for value in (1.0, 2.0, 6.0)]
    mean = mean_weights(paths)
    torch.testing.assert_close(mean["model.w"], torch.full((3,), 3.0))
    assert int(mean["model.bn.num_batches_tracked"]) == 6
    assert mean_weights(paths[:1])["model.w"].tolist() == [1.0] * 3


def test_a_running_mean_stands_for_its_checkpoint(tmp_path) -> None:
    path = checkpoint(tmp_path / "one.ckpt", 1.0, average={"model.w": torch.full((3,), 9.0)})
    assert weights(path)["model.w"].tolist() == [9.0] * 3


def refuse(folder: Path, behind: int = 0, every: int = 1, **options: int) -> None:
    settings = Settings(accelerator="cpu", **options)
    refuse_empty_mean(make_loop(folder, settings, every, validates=True), every, behind)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 1, "average_best": 2, "every": 2}, "with 1 epochs to come and validation.every=2 nothing"),
        ({"epochs": 5, "average_best": 2, "every": 3, "behind": 3}, "with 2 epochs to come"),
        ({"epochs": 2, "average_best": 2, "behind": 2}, "with 0 epochs to come"),
        ({"epochs": 2, "average_last": 2, "behind": 2}, "all 2 epochs are behind this run"),
    ],
)
def test_a_mean_of_nothing_is_refused(tmp_path, options: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        refuse(tmp_path, **options)
    (tmp_path / "checkpoints").mkdir()
    for name in ("recent-epoch=1", "epoch=1-eer=0.1000"):  # of what the run kept there can be a mean
        (tmp_path / "checkpoints" / f"{name}.ckpt").write_bytes(b"")
    refuse(tmp_path, **options)


def test_a_mean_of_less_than_asked_for_is_none_of_nothing(tmp_path) -> None:
    for options in (
        {"epochs": 1, "average_last": 10},
        {"epochs": 3, "average_last": 3, "behind": 2},
        {"epochs": 2, "average_best": 9, "every": 2},
    ):
        refuse(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_running_mean_follows_its_rule_and_validation_sees_it() -> None:
    module = torch.nn.BatchNorm1d(2)
    trainer = SimpleNamespace(global_step=0)
    mean = RunningMean(0.8)
    mean.on_fit_start(trainer, module)
    mean.on_train_start(trainer, module)
    expected = {name: value.clone().double() for name, value in module.state_dict().items()}
    for step in range(1, 60):
        with torch.no_grad():
            for value in (module.weight, module.bias, module.running_var):
                value.normal_()
        mean.on_train_batch_end(trainer)  # no step was made: gradients are added up
        trainer.global_step = step
        mean.on_train_batch_end(trainer)
        decay = min(0.8, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    live = module.weight.detach().clone()
    mean.on_validation_start()
    for name in ("weight", "bias", "running_var", "running_mean"):
        torch.testing.assert_close(module.state_dict()[name], expected[name].float(), rtol=1e-4, atol=1e-6)
    mean.on_validation_end()
    assert torch.equal(module.weight, live)
