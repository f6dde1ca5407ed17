"""What is told of a recipe before any recording is read. There is no manifest: whoever asked for it would say so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning")

from voxid.config import load_recipe
from voxid.errors import ConfigError
from voxid.training.fit import fit
from voxid.training.loss import try_loss

SMALL = ["model.backbone={name: ecapa_tdnn, channels: 16, output_dim: 32}", "model.embedding_dim=16", "trainer.accelerator=cpu"]


def recipe(folder: Path, *overrides: str) -> dict:
    return load_recipe("speaker/ecapa_tdnn", [f"manifest={folder}/none.csv", f"output={folder}/run", *SMALL, *overrides])


@pytest.mark.parametrize(
    ("section", "key", "says"),
    [
        ("data", "sample_rate", r"that of model\.frontend"),
        ("data", "bins", r"that of model\.frontend"),
        ("data", "manifest", "at the top of a recipe"),
        ("data", "root", "at the top of a recipe"),
        ("data", "where", "at the top of a recipe"),
        ("augment", "sample_rate", r"that of model\.frontend"),
        ("specaugment", "generator", "the training gives it"),
        ("optimizer", "parameters", "the training gives it"),
        ("loss", "num_classes", "comes with the manifest"),
    ],
)
def test_keys_that_the_training_gives_itself_are_refused(tmp_path, section: str, key: str, says: str) -> None:
    plain = recipe(tmp_path)
    plain[section][key] = 8000
    with pytest.raises(ConfigError, match=rf"{section}\.{key} cannot be given: .*{says}"):
        fit(plain)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.head=relu", "center: false"),
        ("loss.margin=big", "margin must be a number"),
        ("loss.class_weights=invers", "did you mean 'inverse'"),
        ("loss={name: combined, parts: [{name: softmax, scale: 1}]}", "unknown argument 'scale'"),
        ("specaugment.time_width=-1", "0 or more"),
        ("specaugment.policy=each", "unknown policy"),
        ("optimizer.lr=-1.0", "learning rate"),
        ("optimizer={name: sgd, nesterov: true}", "Nesterov"),
        ("schedule={name: exponential, final: 0.0}", r"schedule\.final above 0"),
        ("margin_schedule.rise=linar", "did you mean 'linear'"),
        ("validation.every=0", "every must be 1"),
        ("trainer.average_best=2", r"give validation\.trials"),
        ("trainer.accelerator=quantum", "accelerator"),
        ("output=/dev/null/run", "cannot be written"),
    ],
)
def test_values_are_told_before_the_data_is_read(tmp_path, override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        fit(recipe(tmp_path, override))
    assert not (tmp_path / "run").exists()


def test_with_right_values_the_manifest_is_asked_for(tmp_path) -> None:
    with pytest.raises(Exception, match=r"none\.csv"):
        fit(recipe(tmp_path, "loss.class_weights=inverse", "center=false", "model.head=relu"))
    assert not (tmp_path / "run").exists()


def test_a_trial_of_the_loss_leaves_the_draws_of_the_weights_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    try_loss({"name": "softmax", "class_weights": [1.0, 2.0]}, embedding_dim=8)
    assert torch.equal(torch.rand(4), expected)
