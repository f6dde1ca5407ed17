"""Tiny recipes of an enhancer and a separator from end to end: the run folder, the resume, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("lightning")

from voxid.config import load_recipe
from voxid.data.mixtures import read_mixtures, render
from voxid.errors import ConfigError, DataError, ModelError
from voxid.training import fit_mixtures
from voxid.training.callbacks import Progress
from voxid.training.figure import EER
from voxid.training.fit import fit
from voxid.training.loop import best
from voxid.training.result import Trained
from voxid.training.waveforms import FIGURES
from voxid.zoo.load import load

RATE = 16000
NETS = {
    "enhancement": "{name: phasen, size: small, channels: 4, phase_channels: 2, blocks: 1, recurrent: 4, dense: 4, squeeze: 2}",
    "separation": "{name: sudormrf, variant: improved, num_basis: 16, channels: 8, hidden: 8, num_blocks: 1, downsamplings: 2, "
    "kernel_size: 41, sample_rate: 16000}",
}
RECIPES = {"enhancement": "enhancement/phasen_small", "separation": "separation/sudormrf_small"}


@pytest.fixture(scope="module")
def lists(corpus) -> Path:
    """The folder of the corpus, with mixtures of its two speakers that are not trained on."""
    row: dict[str, Any] = {"dur": 0.5}
    noise = {"noise": "noise.wav", "snr_db": 5.0, "start": 0.1, "noise_start": 0.2}
    voices = {"s1_start": 0.0, "s2_start": 0.2, "s2_gain_db": 1.0}
    enhancement = [row | noise | {"id": f"{n}", "speech": f"s{4 + n % 2}_{n}.wav"} for n in range(3)]
    separation = [row | voices | {"id": f"{n}", "s1": f"s4_{n}.wav", "s2": f"s5_{n}.wav"} for n in range(2)]
    for name, rows in (("enhancement", enhancement), ("separation", separation)):
        (corpus / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    return corpus


def overrides(task: str, lists: Path, output: Path, *more: str) -> list[str]:
    return [
        f"manifest={lists}/m.csv",
        f"output={output}",
        f"model={NETS[task]}",
        f"data.cache={lists}/cache",
        "data.batch_size=2",
        "data.batches=3",
        "data.seconds=0.5",
        "data.min_seconds=0.5",
        f"data.noise={lists}/noise.csv",
        f"data.responses={lists}/room.csv",
        "data.reverb_prob=0.5",
        "schedule.warmup_steps=2",
        f"validation.mixtures={lists}/{task}.jsonl",
        "validation.every=1",
        "trainer.epochs=3",
        "trainer.accelerator=cpu",
        "trainer.devices=1",
        "trainer.precision=32-true",
        "trainer.threads=1",
        *more,
    ]


def train(task: str, lists: Path, output: Path, *more: str) -> Trained:
    recipe = load_recipe(RECIPES[task], overrides(task, lists, output, *more))
    if recipe["manifest"] is not None:  # neither noise nor rooms have splits here
        recipe["data"] |= {"noise_where": None, "responses_where": None}
    return fit(recipe)


@pytest.fixture(scope="module", params=["enhancement", "separation"])
def unbroken(request, lists, tmp_path_factory) -> tuple[str, Path, Trained]:
    output = tmp_path_factory.mktemp("runs") / request.param
    return request.param, output, train(request.param, lists, output)


def epochs(output: Path) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads((output / "metrics.json").read_text())["epochs"]
    return rows


def last(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)
    return found


def si_sdr(estimate: np.ndarray, target: np.ndarray) -> float:
    estimate, target = (x.astype(np.float64) - x.astype(np.float64).mean() for x in (estimate, target))
    wanted = target * (estimate @ target) / (target @ target)
    return float(10 * np.log10((wanted @ wanted) / ((estimate - wanted) @ (estimate - wanted))))


def test_the_run_folder_is_whole(unbroken, lists) -> None:
    task, output, result = unbroken
    files = {"recipe.yaml", "train.log", "checkpoints", "metrics.json", "model.safetensors", "tensorboard"}
    assert {path.name for path in output.iterdir()} >= files
    assert (result.speakers, result.utterances, result.steps, result.figure) == (4, 12, 9, "si_sdr_improvement")
    assert result.eer is None
    rows = epochs(output)
    assert [row["step"] for row in rows] == [3, 6, 9]
    assert all(np.isfinite(row["loss"]) and np.isfinite(row[f"si_sdr/{task}"]) for row in rows)
    assert max(row["si_sdr_improvement"] for row in rows) == pytest.approx(result.value, abs=1e-5)


def test_the_file_is_a_model_that_does_what_its_card_says(unbroken, lists) -> None:
    task, output, result = unbroken
    net = load(output, kind=task, device="cpu")
    assert net.card["training"] == {"speakers": 4, "utterances": 12, "steps": 9}
    ratios, gains = [], []
    for recipe in read_mixtures(lists / f"{task}.jsonl"):
        item = render(recipe, lists)
        with torch.inference_mode():
            out = net(torch.from_numpy(item.mixture)[None])[0].numpy().reshape(item.sources.shape)
        tries = [[si_sdr(one, two) for one, two in zip(each, item.sources, strict=True)] for each in (out, out[::-1])]
        ratios.append(max(tries, key=np.mean))
        gains.append(np.array(ratios[-1]) - [si_sdr(item.mixture, source) for source in item.sources])
    figures = net.card["validation"][task]
    assert figures["si_sdr"] == pytest.approx(np.mean(ratios), abs=1e-3)
    assert figures["si_sdr_improvement"] == pytest.approx(np.mean(gains), abs=1e-3)
    assert result.value == pytest.approx(np.mean(gains), abs=1e-3)


def test_a_resumed_run_ends_where_an_unbroken_one_does(unbroken, lists, tmp_path, monkeypatch) -> None:
    """It breaks off in the middle of the second epoch; the running mean of the weights goes on, too."""
    task, output, _ = unbroken

    class Break(Exception):
        pass

    def stop(self: Progress, trainer: Any, *_: object) -> None:
        if trainer.global_step == 5:
            raise Break

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_train_batch_end", stop)
        with pytest.raises(Break):
            train(task, lists, tmp_path / "run")
    assert len(epochs(tmp_path / "run")) == 1
    with pytest.raises(ConfigError, match=r"trainer\.resume=true"):
        train(task, lists, tmp_path / "run")
    train(task, lists, tmp_path / "run", "trainer.resume=true", "data.workers=1")  # workers change nothing
    assert epochs(tmp_path / "run") == epochs(output)
    one, other = last(output), last(tmp_path / "run")
    for kind in ("state_dict", "average"):
        assert all(torch.equal(one[kind][name], other[kind][name]) for name in one[kind])


def test_a_resume_that_is_another_training_is_refused(unbroken, lists, tmp_path) -> None:
    task, output, _ = unbroken
    shutil.copytree(output, tmp_path / "run")
    for override, says in (
        ("where.speaker=[s1,s2,s3]", "other speakers"),
        ("data.seconds=0.4", r"began with data\.seconds=0\.5, and the recipe says 0\.4"),
        ("data.noise_snr_db=[1,2]", r"data\.noise_snr_db"),
        ("data.reverb_prob=0.1", r"data\.reverb_prob=0\.5"),
        ("seed=2", "began with seed=0"),
        ("loss.name=snr" if task == "enhancement" else "loss={name: sum, parts: [snr]}", "loss="),
        ("model.num_blocks=2" if task == "separation" else "model.blocks=2", r"model\.(num_)?blocks"),
    ):
        with pytest.raises(ConfigError, match=says):
            train(task, lists, tmp_path / "run", "trainer.resume=true", override)


def test_a_resume_with_other_noise_rooms_or_processes_is_refused(unbroken, lists, tmp_path) -> None:
    """A checkpoint that does not tell what it drew from goes on as ever."""
    task, output, _ = unbroken
    shutil.copytree(output, tmp_path / "run")
    for name, file in (("noise", "noise"), ("room", "room")):
        shutil.copy(lists / f"{file}.wav", tmp_path / f"other_{name}.wav")
        (tmp_path / f"{name}.csv").write_text(f"path,duration\nother_{name}.wav,{2.0 if name == 'noise' else 0.05}\n")
    changed = [f"data.noise={tmp_path}/noise.csv", f"data.responses={tmp_path}/room.csv"]
    for override, key in zip(changed, (r"data\.noise", r"data\.responses"), strict=True):
        with pytest.raises(ConfigError, match=f"this run began with {key}: 1 files"):
            train(task, lists, tmp_path / "run", "trainer.resume=true", override)
    with pytest.raises(ConfigError, match=r'began with validation\.figure="si_sdr_improvement", and the recipe says "si_sdr"'):
        train(task, lists, tmp_path / "run", "trainer.resume=true", "validation.figure=si_sdr")
    file = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    assert checkpoint["origin"]["processes"] == 1
    torch.save(checkpoint | {"origin": checkpoint["origin"] | {"processes": 2}}, file)
    with pytest.raises(ConfigError, match="this run began with processes: 2, and now there are 1"):
        train(task, lists, tmp_path / "run", "trainer.resume=true")
    del checkpoint["origin"], checkpoint["fixed"]["validation.figure"]
    torch.save(checkpoint, file)
    result = train(task, lists, tmp_path / "run", "trainer.resume=true", *changed)
    assert result.steps == 9


def test_pesq_of_a_rate_that_it_does_not_know_is_refused_before_anything_is_read(lists, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fit_mixtures, "need", lambda *_, **__: None)
    more = ["model.sample_rate=22050", "validation.pesq=true", f"manifest={tmp_path}/none.csv", "validation.mixtures=none.jsonl"]
    with pytest.raises(ConfigError, match="PESQ is defined at 8000 and 16000 Hz, and the model runs at 22050 Hz"):
        train("separation", lists, tmp_path / "run", *more)
    with pytest.raises(DataError):
        train("separation", lists, tmp_path / "run", *more, "model.sample_rate=16000")


def test_a_training_starts_from_a_model_or_a_checkpoint(unbroken, lists, tmp_path) -> None:
    """The weights of the file are those of the best epoch's running mean; the last checkpoint has those of the last epoch."""
    task, output, _ = unbroken
    still = ["trainer.epochs=1", "data.batches=1", "data.batch_size=1", "optimizer.lr=0.0"]
    for init in (output / "model.safetensors", output / "checkpoints" / "last.ckpt"):
        result = train(task, lists, tmp_path / init.stem, f"init={init}", *still)
        net = load(result.model, kind=task, device="cpu")
        if init.suffix == ".ckpt":
            expected = {key.removeprefix("model."): value for key, value in last(output)["average"].items()}
        else:
            expected = load(init, kind=task, device="cpu").state_dict()
        # Not the statistics of BatchNorm: they move with every batch, whatever the rate.
        assert all(torch.allclose(value, expected[name], atol=1e-7) for name, value in net.named_parameters())


def test_a_model_of_another_kind_or_size_is_no_start(unbroken, lists, tmp_path) -> None:
    task, output, _ = unbroken
    other = "separation" if task == "enhancement" else "enhancement"
    with pytest.raises(ModelError, match=rf"expected an? {other} model"):
        train(other, lists, tmp_path / "run", f"init={output}/model.safetensors")
    wider = "model.channels=8" if task == "enhancement" else "model.channels=16"
    for init in ("model.safetensors", "checkpoints/last.ckpt"):
        with pytest.raises(ConfigError, match="do not fit the recipe's model"):
            train(task, lists, tmp_path / "run", f"init={output}/{init}", wider)
    assert not (tmp_path / "run").exists()


def test_other_ways_to_train(lists, tmp_path) -> None:
    """bfloat16, several batches a step, one mixture a batch, the mean of the best epochs."""
    ways = [
        "trainer.precision=bf16-mixed",
        "trainer.accumulate=2",
        "data.batch_size=1",
        "trainer.average_best=2",
        "trainer.ema=null",
    ]
    result = train("enhancement", lists, tmp_path / "run", *ways, "validation.figure=si_sdr", "data.gain_db=0")
    assert (result.steps, result.figure) == (6, "si_sdr")
    chosen = best(tmp_path / "run" / "checkpoints", FIGURES["si_sdr"])
    values = [float(path.stem.rpartition("=")[2]) for path in chosen]
    assert len(values) == 3
    assert values == sorted(values, reverse=True)
    card = load(tmp_path / "run", kind="enhancement", device="cpu").card
    assert card["checkpoint"] == ", ".join(path.name for path in chosen[:2])


def test_the_best_checkpoints_come_first(tmp_path) -> None:
    for name in (
        "epoch=0-pesq=2.5000",
        "epoch=1-pesq=10.1000",
        "epoch=2-pesq=-1.0000",
        "epoch=0-eer=0.5000",
        "epoch=1-eer=0.1000",
    ):
        (tmp_path / f"{name}.ckpt").touch()
    assert [path.stem for path in best(tmp_path, FIGURES["pesq"])] == [
        f"epoch={n}-pesq={v}" for n, v in ((1, "10.1000"), (0, "2.5000"), (2, "-1.0000"))
    ]
    assert [path.stem for path in best(tmp_path, EER)] == ["epoch=1-eer=0.1000", "epoch=0-eer=0.5000"]


def test_ready_made_mixtures_train_and_validate(lists, tmp_path) -> None:
    rows = []
    for number, split in enumerate(("train", "train", "dev")):
        waves = np.random.default_rng(number).normal(0, 0.05, (2, RATE))
        for name, wave in (("mix", waves.sum(0)), ("s1", waves[0]), ("s2", waves[1])):
            soundfile.write(tmp_path / f"{name}_{number}.wav", wave, RATE)
        rows.append(f"mix_{number}.wav,s1_{number}.wav,s2_{number}.wav,1.0,{split}")
    (tmp_path / "r.csv").write_text("\n".join(["mixture,s1,s2,duration_s,split", *rows]) + "\n")
    recipe = load_recipe("separation/sudormrf_small", overrides("separation", lists, tmp_path / "run", "trainer.epochs=1"))
    keys = ("batch_size", "batches", "seconds")
    recipe |= {
        "manifest": None,
        "data": {key: recipe["data"][key] for key in keys} | {"mixtures": f"{tmp_path}/r.csv"},
        "validation": {"mixtures": f"{tmp_path}/r.csv", "where": {"split": "dev"}},
    }
    result = fit(recipe)
    assert (result.speakers, result.utterances) == (0, 2)
    assert list(load(result.model, kind="separation", device="cpu").card["validation"]) == ["r"]
    (tmp_path / "o.csv").write_text((tmp_path / "r.csv").read_text().replace("mix_1", "s1_0"))
    other = recipe["data"] | {"mixtures": f"{tmp_path}/o.csv"}
    with pytest.raises(ConfigError, match=r"this run began with data\.mixtures: 6 files"):
        fit(recipe | {"data": other, "trainer": recipe["trainer"] | {"resume": True}})
    with pytest.raises(DataError, match="3 of its files are trained on") as caught:
        fit(recipe | {"where": None, "output": f"{tmp_path}/other"})
    assert caught.value.code == "E_OVERLAP"


def test_a_training_without_validation_keeps_its_last_weights(lists, tmp_path) -> None:
    result = train("separation", lists, tmp_path / "run", "validation.mixtures=null", "trainer.epochs=1")
    assert result.value is None
    card = load(result.model, kind="separation", device="cpu").card
    assert (card["checkpoint"], card["validation"]) == ("last.ckpt", {})


def test_voices_that_are_trained_on_do_not_validate(lists, tmp_path) -> None:
    with pytest.raises(DataError, match="trained on") as caught:
        train("separation", lists, tmp_path / "run", "where={}", "where.split=[train,dev]")
    assert caught.value.code == "E_OVERLAP"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "override", "says"),
    [
        ("enhancement", "loss.weights=[1.0]", "each of the 2 parts"),
        ("enhancement", "loss={name: pit, loss: si_sdr}", r"loss: it cannot be taken of waveforms \[1, 640\]"),
        ("separation", "loss={name: sum, parts: [{name: pit}]}", r"loss: it cannot be taken of waveforms \[1, 2, 640\]"),
        ("separation", "loss.name=pitt", "did you mean 'pit'"),
        ("separation", "model.name=phasen", "unknown separation 'phasen'"),
        ("separation", "model.kernel_size=40", "kernel_size must be odd"),
        ("separation", "task=separatin", "did you mean 'separation'"),
        ("separation", "data.batch_size=0", "batch_size and batches"),
        ("separation", "data.noise_prob=2.0", "noise_prob is a share"),
        ("separation", "data.noise_snr_db=[5,1]", "the lower one first"),
        ("separation", "data.gain_db=-1", "gain_db is 0"),
        ("separation", "data.second=1", "did you mean 'seconds'"),
        ("enhancement", "data.noise=null", r"give data\.noise"),
        ("enhancement", "validation.figure=si_snr", "did you mean 'si_sdr'"),
        ("enhancement", "validation.every=0", "every must be 1"),
        (
            "enhancement",
            "validation={mixtures: null}",
            "average_best goes by the figure of a validation; give validation.mixtures",
        ),
        ("enhancement", "optimizer.name=adamx", "did you mean 'adam"),
        ("enhancement", "schedule.name=cosin", "did you mean 'cosine'"),
        ("enhancement", "trainer.ema=2.0", "ema must lie within"),
        ("enhancement", "output=/dev/null/run", "cannot be written"),
        ("enhancement", "data.mixtures=m.csv", "give one of them"),
    ],
)
def test_mistakes_in_a_recipe_are_named(lists, tmp_path, task: str, override: str, says: str) -> None:
    more = ["trainer.average_best=2"] if "mixtures: null" in override else []
    with pytest.raises(ConfigError, match=says):
        train(task, lists, tmp_path / "run", override, *more)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("key", ["sample_rate", "num_sources", "voices", "manifest", "seed"])
def test_keys_that_the_training_gives_itself_are_refused(lists, tmp_path, key: str) -> None:
    recipe = load_recipe("separation/sudormrf_small", overrides("separation", lists, tmp_path / "run"))
    recipe["data"][key] = 2
    with pytest.raises(ConfigError, match=rf"data\.{key} cannot be given"):
        fit(recipe)


def test_a_loss_that_is_not_finite_stops_the_run(lists, tmp_path) -> None:
    wild = ["optimizer={name: sgd, lr: 1.0e+38}", "schedule.warmup_steps=0", "trainer.gradient_clip=null"]
    with pytest.raises(ModelError, match="No checkpoint was written yet") as caught:
        train("enhancement", lists, tmp_path / "run", *wild)
    assert caught.value.code == "E_NOT_FINITE"
    assert not list((tmp_path / "run").glob("checkpoints/*"))
