"""Ways to train that a recipe may choose, on a tiny net: what they leave, and that a broken run goes on bit by bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("lightning")

from voxid.config import load_recipe
from voxid.errors import ConfigError
from voxid.features.fbank import fbank
from voxid.training.averages import mean_weights, weights
from voxid.training.callbacks import Progress
from voxid.training.fit import fit
from voxid.training.layout import to_channels_last
from voxid.training.loss import weighted
from voxid.zoo.load import load, load_classifier

# As much as goes into one run: what is slow in these tests is the number of runs.
MANY = [
    "optimizer={name: sgd, lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 0.001, decay_norms: false}",
    "schedule={name: plateau, patience: 0, factor: 0.5}",
    "margin_schedule={start: 0.0, stop: 0.5, rise: exp}",
    "data.chunk_seconds=[0.3, 0.4]",
    "data.chunk_schedule=[[0.7, 0.5]]",
    "data.speakers_per_batch=2",
    "data.utterances_per_speaker=2",
    "trainer.accumulate=2",
    "trainer.ema=0.9",
    "trainer.average_last=2",
]


def overrides(corpus: Path, output: Path, *more: str) -> list[str]:
    return [
        f"manifest={corpus}/m.csv",
        "where.split=train",
        f"output={output}",
        f"data.cache={corpus}/cache",
        "data.batch_size=4",
        "data.batches=3",
        "data.chunk_seconds=0.3",
        "data.speeds=[1.0]",
        "augment=null",
        "model.backbone={name: ecapa_tdnn, channels: 16, output_dim: 32}",
        "model.embedding_dim=16",
        "schedule.warmup_steps=0",
        f"validation.trials={corpus}/dev.trials",
        "center=false",
        "trainer.epochs=4",
        "trainer.accelerator=cpu",
        "trainer.precision=32-true",
        "trainer.threads=1",
        *more,
    ]


def train(corpus: Path, output: Path, *more: str):
    return fit(load_recipe("speaker/ecapa_tdnn", overrides(corpus, output, *more)))


def with_features(corpus: Path, folder: Path) -> Path:
    """Features [N, F] of the recordings, under the names that manifest and list of the copy say."""
    folder.mkdir()
    for file in corpus.glob("s*.wav"):
        waveform = torch.from_numpy(soundfile.read(file, dtype="float32")[0])
        np.save(folder / f"{file.stem}.npy", fbank(waveform[None], num_mel_bins=24)[0].T.numpy())
    for name in ("m.csv", "dev.trials"):
        (folder / name).write_text((corpus / name).read_text().replace(".wav", ".npy"))
    return folder


def epochs(output: Path) -> list[dict]:
    return json.loads((output / "metrics.json").read_text())["epochs"]


def last(output: Path) -> dict:
    return torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)


def same(one: object, other: object) -> bool:
    """Whether two checkpoints hold the same, tensors bit by bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture(scope="module")
def unbroken(corpus, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("ways") / "unbroken"
    assert train(corpus, output, *MANY).steps == 8  # four epochs of three batches, two to a step
    return output


def test_a_broken_run_goes_on_bit_by_bit(corpus, unbroken, tmp_path, monkeypatch) -> None:
    def stop(self: Progress, trainer, *_: object) -> None:
        if trainer.global_step == 5:  # in the third epoch, amid the sum of two batches
            raise RuntimeError("broken off")

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="broken off"):
            train(corpus, tmp_path / "run", *MANY)
    assert len(epochs(tmp_path / "run")) == 2
    train(corpus, tmp_path / "run", *MANY, "trainer.resume=true")
    assert epochs(tmp_path / "run") == epochs(unbroken)
    one, other = last(unbroken), last(tmp_path / "run")
    for key in ("state_dict", "average", "plateau", "optimizer_states", "lr_schedulers"):
        assert same(one[key], other[key]), key


def test_a_plateau_lowers_the_rate(unbroken) -> None:
    rows = epochs(unbroken)
    best, factor, rates = 2.0, 1.0, []
    for row in rows:  # the rate of an epoch's last step knows the validations before it
        rates.append(0.05 * factor)
        factor *= 1.0 if row["eer"] < best else 0.5
        best = min(best, row["eer"])
    assert [row["lr"] for row in rows] == pytest.approx(rates)
    assert rates[-1] < 0.05


def test_the_mean_of_the_last_epochs_is_exported(unbroken) -> None:
    recent = sorted((unbroken / "checkpoints").glob("recent-*.ckpt"))
    assert [path.name for path in recent] == ["recent-epoch=2.ckpt", "recent-epoch=3.ckpt"]
    mean, model = mean_weights(recent), load(unbroken, device="cpu").state_dict()
    for name, value in model.items():
        assert torch.equal(mean[f"model.{name}"], value), name
    one, other = map(weights, recent)
    assert not torch.equal(one["model.projection.weight"], other["model.projection.weight"])
    assert not torch.equal(last(unbroken)["state_dict"]["model.norm.running_var"], other["model.norm.running_var"])


def test_validation_measures_the_running_mean(corpus, tmp_path) -> None:
    trained = train(corpus, tmp_path / "run", "trainer.ema=0.99", "trainer.epochs=2", "trainer.average_best=1")
    assert trained.eer == pytest.approx(min(row["eer"] for row in epochs(tmp_path / "run")), abs=1e-6)
    assert not same(last(tmp_path / "run")["average"], last(tmp_path / "run")["state_dict"])


def test_a_run_that_was_killed_between_two_checkpoints_goes_on(corpus, tmp_path) -> None:
    """The best of an epoch is written before `last.ckpt`: a resumed run writes it again, in its place."""
    options = ["trainer.average_best=3", "trainer.epochs=2"]
    train(corpus, tmp_path / "run", *options[:1], "trainer.epochs=1")
    first = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    train(corpus, tmp_path / "run", *options, "trainer.resume=true")
    saved = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(first)
    train(corpus, tmp_path / "run", *options, "trainer.resume=true")
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == saved
    assert len(saved) == 3
    assert "average_best: the mean of 2 checkpoints, not of 3" in (tmp_path / "run" / "train.log").read_text()


def test_channels_last_is_another_layout_of_the_same(corpus, tmp_path) -> None:
    for layout in ("plain", "last"):
        more = ["trainer.epochs=1", "validation.trials=null", f"trainer.channels_last={str(layout == 'last').lower()}"]
        recipe = load_recipe("speaker/ecapa_tdnn", overrides(corpus, tmp_path / layout, *more))
        recipe["model"] |= {"backbone": {"name": "resnet", "depth": 18, "channels": 16}, "pooling": "tsp"}
        recipe["optimizer"] = {"name": "sgd", "lr": 0.0}  # BatchNorm over four rows makes much of the last digit
        fit(recipe)
    weight = last(tmp_path / "last")["state_dict"]["model.backbone.layer1.0.conv1.weight"]
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    assert epochs(tmp_path / "last")[0]["loss"] == pytest.approx(epochs(tmp_path / "plain")[0]["loss"], rel=1e-3)
    load(tmp_path / "last", device="cpu")


def test_nets_whose_gradient_would_be_wrong_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"in front of 1, a 1 x 1 convolution with a stride, and it has 8"):
        to_channels_last(torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3, stride=2), torch.nn.Conv2d(8, 8, 1, stride=2)))


def test_features_of_ones_own_train_and_a_classifier_is_left(corpus, tmp_path) -> None:
    folder = with_features(corpus, tmp_path / "features")
    more = ["trainer.epochs=1", "classifier=true", "center=true"]
    recipe = load_recipe("speaker/ecapa_tdnn", overrides(folder, tmp_path / "run", *more))
    recipe["model"]["frontend"] = {"name": "precomputed", "num_bins": 24, "normalize": "mean"}
    assert fit(recipe).eer is not None
    features = torch.from_numpy(np.load(folder / "s1_0.npy").T)[None]
    names = load_classifier(tmp_path / "run", device="cpu")
    assert names.speakers == ["s0", "s1", "s2", "s3"]
    assert names(features).shape == (1, 4)
    assert load(tmp_path / "run", device="cpu")(features).shape == (1, 16)
    for key, value, says in (
        ("data", recipe["data"] | {"speeds": [1.0, 0.9]}, "speeds=.1.0."),
        ("augment", {}, "takes features"),
        ("loss", {"name": "ge2e"}, "linear or scaled cosines"),
    ):
        with pytest.raises(ConfigError, match=says):
            fit(recipe | {"output": str(tmp_path / key), key: value})


def test_class_weights_follow_the_counts() -> None:
    assert weighted({"name": "softmax", "class_weights": None}, [1, 2]) == {"name": "softmax"}
    assert weighted({"name": "softmax", "class_weights": [1, 1]}, [1, 2])["class_weights"] == [1, 1]
    parts = weighted({"name": "combined", "parts": [{"name": "softmax", "class_weights": "inverse"}, "ge2e"]}, [1, 3])["parts"]
    assert parts == [{"name": "softmax", "class_weights": [1.5, 0.5]}, "ge2e"]
    with pytest.raises(ConfigError, match="did you mean 'inverse'"):
        weighted({"name": "softmax", "class_weights": "invers"}, [1, 2])


@pytest.mark.parametrize("override", ["schedule.name=plateau", "trainer.average_best=3"])
def test_what_goes_by_the_eer_needs_lists(corpus, tmp_path, override: str) -> None:
    with pytest.raises(ConfigError, match=r"give validation\.trials"):
        train(corpus, tmp_path / "run", "validation.trials=null", override)


@pytest.mark.slow
def test_torchrun_tells_the_places(corpus, tmp_path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "voxid.cli", "train"]
    command += [
        "speaker/ecapa_tdnn",
        *overrides(corpus, tmp_path / "run", "trainer.ema=0.9", "trainer.epochs=2", "data.workers=1"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert len(epochs(tmp_path / "run")) == 2
    assert load(tmp_path / "run", device="cpu").card["training"]["steps"] == 6
