"""A tiny recipe from end to end: the run folder, the resume after a kill, what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("lightning")

from voxid.config import load_recipe
from voxid.errors import ConfigError, DataError, ModelError
from voxid.training.callbacks import Progress
from voxid.training.fit import fit
from voxid.training.speaker import SpeakerTask
from voxid.zoo.load import load

RATE = 16000


def overrides(corpus: Path, output: Path, *more: str) -> list[str]:
    return [
        f"manifest={corpus}/m.csv",
        "where.split=train",
        f"output={output}",
        f"data.cache={corpus}/cache",
        "data.batch_size=4",
        "data.batches=3",
        "data.chunk_seconds=0.5",
        "model.backbone.channels=16",
        "model.backbone.output_dim=32",
        "model.embedding_dim=16",
        "schedule.warmup_steps=2",
        f"augment.noise={corpus}/noise.csv",
        f"augment.responses={corpus}/room.csv",
        f"validation.trials={corpus}/dev.trials",
        f"validation.root={corpus}",
        "trainer.epochs=5",
        "trainer.accelerator=cpu",
        "trainer.devices=1",
        "trainer.precision=32-true",
        "trainer.threads=1",
        *more,
    ]


def train(corpus: Path, output: Path, *more: str):
    return fit(load_recipe("speaker/ecapa_tdnn", overrides(corpus, output, *more)))


@pytest.fixture(scope="module")
def unbroken(corpus, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "unbroken"
    result = train(corpus, output)
    assert (result.speakers, result.utterances, result.steps) == (4, 12, 15)
    return output


def epochs(output: Path) -> list[dict]:
    path = output / "metrics.json"
    return json.loads(path.read_text())["epochs"] if path.is_file() else []


def test_the_run_folder_is_whole(unbroken) -> None:
    assert {path.name for path in unbroken.iterdir()} >= {
        "recipe.yaml",
        "train.log",
        "checkpoints",
        "metrics.json",
        "model.safetensors",
        "tensorboard",
    }
    assert (unbroken / "checkpoints" / "last.ckpt").is_file()
    assert len(list((unbroken / "checkpoints").glob("epoch*.ckpt"))) == 3
    rows = epochs(unbroken)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert all(np.isfinite(row["loss"]) and 0 <= row["eer"] <= 1 for row in rows)
    model = load(unbroken, device="cpu")
    assert model.card["training"] == {"speakers": 4, "utterances": 12, "steps": 15}
    assert set(model.card["validation_eer"]) == {"dev"}


def test_a_resumed_run_ends_where_an_unbroken_one_does(corpus, unbroken, tmp_path) -> None:
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "voxid.cli", "train", "speaker/ecapa_tdnn", *overrides(corpus, output)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while len(epochs(output)) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert not (output / "model.safetensors").exists()
    with pytest.raises(ConfigError, match=r"trainer\.resume=true"):
        train(corpus, output)
    train(corpus, output, "trainer.resume=true")
    assert epochs(output) == epochs(unbroken)
    one, other = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for folder in (unbroken, output)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_moved_run_is_resumed(corpus, unbroken, tmp_path) -> None:
    shutil.copytree(unbroken, tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved" / "tensorboard")
    (tmp_path / "moved" / "model.safetensors").unlink()
    result = train(corpus, tmp_path / "moved", "trainer.resume=true")
    one, other = load(unbroken, device="cpu"), load(result.model, device="cpu")
    assert torch.equal(one.projection.weight, other.projection.weight)


def test_a_resume_with_other_speakers_or_another_net_is_refused(corpus, unbroken, tmp_path) -> None:
    shutil.copytree(unbroken, tmp_path / "run")
    recipe = (tmp_path / "run" / "recipe.yaml").read_text()
    for override, says in (
        ("where.speaker=[s1,s2,s3]", "other speakers"),
        ("model.embedding_dim=17", r"began with model\.embedding_dim=16, and the recipe says 17"),
        ("optimizer.name=sgd", r'began with optimizer\.name="adamw"'),
        ("optimizer.decay_norms=false", r"optimizer\.decay_norms=true"),
        ("loss.name=am_softmax", 'loss="aam_softmax"'),
        ("seed=2", "began with seed=0, and the recipe says 2"),
        ("data.batches=4", r"data\.batches=3"),
        ("data.speeds=[1.0,0.9]", r"data\.speeds=\[1\.0, 0\.9, 1\.1\]"),
        ("trainer.epochs=4", "5 epochs are behind it"),
        ("trainer.accelerator=quantum", "accelerator"),
        ("trainer.average_last=2", r"kept none of them; raise trainer\.epochs"),
    ):
        with pytest.raises(ConfigError, match=says):
            train(corpus, tmp_path / "run", "trainer.resume=true", override)
    assert (tmp_path / "run" / "recipe.yaml").read_text() == recipe


def test_a_dumped_recipe_trains_again(corpus, unbroken, tmp_path) -> None:
    result = fit(load_recipe(unbroken / "recipe.yaml", [f"output={tmp_path}/again", "init=null"]))
    assert torch.equal(load(unbroken, device="cpu").projection.weight, load(result.model, device="cpu").projection.weight)


def test_ctrl_c_leaves_a_run_to_go_on_with(corpus, tmp_path) -> None:
    output = tmp_path / "stopped"
    command = [sys.executable, "-m", "voxid.cli", "train", "speaker/ecapa_tdnn"]
    command += overrides(corpus, output, "trainer.epochs=100000")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not (output / "checkpoints" / "last.ckpt").is_file() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert "trainer.resume=true" in err
    assert "Traceback" not in err
    assert (output / "checkpoints" / "last.ckpt").is_file()


class Front(torch.nn.Module):
    """A front-end that learns."""

    num_bins, sample_rate = 8, RATE

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(1, 8, 400, stride=160)

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        return ((lengths - 400) // 160 + 1).clamp(min=1)

    def forward(self, waveform: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return self.conv(waveform[:, None])


def test_a_front_end_of_ones_own_learns(corpus, tmp_path, monkeypatch) -> None:
    module = types.ModuleType("own_front")
    module.Front = Front
    monkeypatch.setitem(sys.modules, "own_front", module)
    recipe = load_recipe("speaker/ecapa_tdnn", overrides(corpus, tmp_path / "own", "trainer.epochs=1"))
    recipe["model"]["frontend"] = {"name": "own_front.Front"}
    torch.manual_seed(0)
    fit(recipe)
    states = [torch.load(tmp_path / "own" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]]
    recipe |= {"output": str(tmp_path / "still"), "optimizer": {"name": "sgd", "lr": 0.0}}
    fit(recipe)
    states.append(torch.load(tmp_path / "still" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert not torch.equal(states[0]["model.frontend.conv.weight"], states[1]["model.frontend.conv.weight"])


def test_workers_do_not_change_the_batches(corpus, unbroken, tmp_path) -> None:
    train(corpus, tmp_path / "workers", "data.workers=2")
    assert epochs(tmp_path / "workers") == epochs(unbroken)


def test_crops_by_seeking_train_like_those_of_the_cache(corpus, unbroken, tmp_path) -> None:
    train(corpus, tmp_path / "seek", "data.seek=true")
    assert epochs(tmp_path / "seek")[0]["loss"] == pytest.approx(epochs(unbroken)[0]["loss"], rel=1e-2)


def test_fine_tuning_starts_from_a_model(corpus, unbroken, tmp_path) -> None:
    init = f"init={unbroken}/model.safetensors"
    train(
        corpus, tmp_path / "tuned", init, "trainer.epochs=1", "optimizer.lr=0.0", "optimizer.weight_decay=0.0", "data.batches=1"
    )
    one, other = load(unbroken, device="cpu"), load(tmp_path / "tuned", device="cpu")
    assert torch.equal(one.projection.weight, other.projection.weight)


def test_embeddings_are_centred_inside_the_model(corpus, unbroken, tmp_path) -> None:
    def mean(model: torch.nn.Module) -> torch.Tensor:
        # One recording each: a speaker with many counts like the others.
        waves = [soundfile.read(corpus / f"s{speaker}_0.wav", dtype="float32")[0] for speaker in range(4)]
        with torch.inference_mode():
            return model(torch.from_numpy(np.stack(waves))).mean(dim=0)

    assert float(mean(load(unbroken, device="cpu")).abs().max()) < 1e-5
    train(corpus, tmp_path / "plain", "center=false", "trainer.epochs=1", "data.batches=1")
    assert float(mean(load(tmp_path / "plain", device="cpu")).abs().max()) > 1e-3


def test_a_checkpoint_brings_its_classes(corpus, unbroken, tmp_path) -> None:
    init = f"init={unbroken}/model.safetensors"
    still = ["trainer.epochs=1", "optimizer.lr=0.0", "data.batches=1", "data.speeds=[1.0]", "where.speaker=[s1,s3]"]
    train(
        corpus, tmp_path / "fewer", f"init={unbroken}/checkpoints/last.ckpt", *still
    )  # its speeds and half its speakers dropped
    old, new = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (unbroken, tmp_path / "fewer"))
    assert new["speakers"] == ["s1", "s3"]
    assert torch.equal(new["state_dict"]["loss.weight"], old["state_dict"]["loss.weight"][[1, 3]])
    with pytest.raises(ConfigError, match="do not fit"):
        train(corpus, tmp_path / "wide", init, "model.embedding_dim=17")
    for content in (b"", b"junk", b"PK\x03\x04"):
        (tmp_path / "bad.ckpt").write_bytes(content)
        with pytest.raises(ConfigError, match="not a checkpoint"):
            train(corpus, tmp_path / "bad", f"init={tmp_path}/bad.ckpt")


def test_a_damaged_checkpoint_is_named(corpus, unbroken, tmp_path) -> None:
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    whole = (unbroken / "checkpoints" / "last.ckpt").read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        last.write_bytes(whole[:cut])
        with pytest.raises(ConfigError, match="take an earlier one"):
            train(corpus, tmp_path / "run", "trainer.resume=true")


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp"])
@pytest.mark.slow
def test_two_processes_train_together(corpus, tmp_path, strategy: str) -> None:
    command = [sys.executable, "-m", "voxid.cli", "train", "speaker/ecapa_tdnn"]
    command += overrides(corpus, tmp_path / strategy, f"trainer.strategy={strategy}", "trainer.devices=2", "trainer.epochs=2")
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert len(epochs(tmp_path / strategy)) == 2
    assert load(tmp_path / strategy, device="cpu").card["training"]["steps"] == 6


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("optimizer.learning_rate=1", "learning_rate"),
        ("optimizer.name=adamx", "did you mean 'adam"),
        ("schedule.name=cosin", "did you mean 'cosine'"),
        ("model.backbone.name=ecapa_tdn", "did you mean 'ecapa_tdnn'"),
        ("model.backbone.width=3", "unknown argument 'width'"),
        ("model.backbone.channels=12", "multiple of scale"),
        ("loss.name=aam", "did you mean 'aam_softmax'"),
        ("data.batch_size=1", "batch_size"),
        ("data.balance=2", "balance"),
        ("augment.noise_probability=1", "noise_probability"),
        ("task=speakr", "unknown task"),
        ("trainer.precision=8-bit", "precision"),
        ("trainer.accelerator=quantum", "accelerator"),
        ("trainer.strategy=dpd", "strategy"),
        ("trainer.threads=-1", "threads"),
        ("trainer.save_top=x", "save_top must be an integer"),
        ("trainer=3", "trainer must be a mapping"),
        ("data=null", "data must be a mapping"),
        ("where=3", "where must be a mapping"),
        ("manifest=3", "manifest must be text or a list of text"),
        ("validation.every=x", "every must be an integer"),
        ("validation.every=0", "every must be 1"),
        ("loss.margin=big", "margin must be a number"),
        ("model.embedding_dim=none", "embedding_dim must be an integer"),
        ("specaugment.freq_masks=x", "freq_masks must be an integer"),
        ("specaugment.freq_masks=-1", "must be 0 or more"),
        ("loss.scales=1", "did you mean 'scale'"),
        ("loss.class_weights=invers", "did you mean 'inverse'"),
        ("optimizer.lr=-1.0", "learning rate"),
        ("model.head=relu", "center: false"),
        ("data.speeds=[1.0,1.0]", "none may come twice"),
        ("data.speeds=2", "speeds must be a list of a number"),
        ("schedule.warmup_steps=-1", "warmup_steps >= 0"),
        ("optimizer.lr=fast", "lr must be a number"),
        ("seed=-1", "seed must lie"),
        ("trainer.devices=-1", "trainer"),
    ],
)
def test_mistakes_in_a_recipe_are_named(corpus, tmp_path, override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        train(corpus, tmp_path / "run", override)
    assert not (tmp_path / "run").exists()


def test_a_cache_that_cannot_be_made_is_named(corpus, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cache cannot be made"):
        train(corpus, tmp_path / "run", f"data.cache={tmp_path}/file/cache")


def test_speakers_in_training_and_validation_are_refused(corpus, tmp_path) -> None:
    with pytest.raises(DataError, match="trained on") as caught:
        fit(load_recipe("speaker/ecapa_tdnn", [*overrides(corpus, tmp_path / "run"), "where.split=[train,dev]"]))
    assert caught.value.code == "E_OVERLAP"


def test_a_loss_that_is_not_finite_stops_the_run(corpus, tmp_path) -> None:
    wild = ["optimizer={name: sgd, lr: 1.0e+38}", "schedule.warmup_steps=0", "trainer.gradient_clip=null", "trainer.epochs=2"]
    with pytest.raises(ModelError, match=r"No checkpoint was written yet: begin anew with a lower optimizer\.lr") as caught:
        train(corpus, tmp_path / "run", *wild)
    assert caught.value.code == "E_NOT_FINITE"
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_weights_that_are_not_finite_are_not_saved(corpus, tmp_path, monkeypatch) -> None:
    """The last step of the second epoch spoils the weights: its loss was a number still."""

    def spoil(self: Progress, trainer, task: SpeakerTask, *_: object) -> None:
        if trainer.global_step == 6:
            with torch.no_grad():
                task.model.projection.weight[0, 0] = torch.inf

    monkeypatch.setattr(Progress, "on_train_batch_end", spoil)
    with pytest.raises(ModelError, match=r"after step 6\. .*last\.ckpt is older and finite: go on from it") as caught:
        train(corpus, tmp_path / "run")
    assert caught.value.code == "E_NOT_FINITE"
    assert len(epochs(tmp_path / "run")) == 1
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 0
    assert all(bool(value.isfinite().all()) for value in last["state_dict"].values())


def test_a_resume_with_another_rate_has_it(corpus, unbroken, tmp_path) -> None:
    shutil.copytree(unbroken, tmp_path / "run")
    train(corpus, tmp_path / "run", "trainer.resume=true", "trainer.epochs=6", "optimizer.lr=0.0", "optimizer.weight_decay=0.01")
    one, other = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (unbroken, tmp_path / "run"))
    assert epochs(tmp_path / "run")[-1]["lr"] == 0.0
    assert torch.equal(one["state_dict"]["model.projection.weight"], other["state_dict"]["model.projection.weight"])
    (group,) = other["optimizer_states"][0]["param_groups"]
    assert (group["lr"], group["initial_lr"], group["weight_decay"]) == (0.0, 0.0, 0.01)
    assert "optimizer.lr: 0 from here on, before 0.002" in (tmp_path / "run" / "train.log").read_text()


def test_what_the_data_says_is_in_the_log(corpus, tmp_path) -> None:
    """The folder is opened when all is checked; what was skipped before that is in its log all the same."""
    folder = shutil.copytree(corpus, tmp_path / "corpus", ignore=shutil.ignore_patterns("cache"))
    rows = "".join(f"{row},s{row % 4}_0.wav,s{row % 4},1,train\n" for row in range(40))
    (folder / "m.csv").write_text("id,path,speaker,duration,split\n" + rows + "40,s9.wav,s9,1,train\n")
    (folder / "s9.wav").write_bytes(b"RIFF nothing to hear")
    train(folder, tmp_path / "run", "trainer.epochs=1", "data.batches=1")
    assert "s9.wav" in (tmp_path / "run" / "train.log").read_text()
