"""Every recipe of the package: it parses, its parts take what it says, its net has the published size, and it trains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from voxid import registry
from voxid.config import load_recipe, recipe_names

pytest.importorskip("lightning")

from voxid.features.specaugment import specaugment
from voxid.training.corpus import training_corpus
from voxid.training.fit import fit
from voxid.training.layout import to_channels_last
from voxid.training.optim import optimizer
from voxid.training.schedules import MarginSchedule, Schedule
from voxid.training.settings import Settings
from voxid.training.sound import augmenter

RATE = 16000
ALL = [name for name in recipe_names() if name.startswith("speaker/")]
# What makes a net of a recipe tiny: arguments of its backbone.
TINY: dict[str, dict[str, Any]] = {
    "campplus": {"channels": 8, "front_channels": 4, "growth": 4, "bottleneck": 1, "layers": [1, 1, 1]},
    "conformer": {"d_model": 8, "ffn_dim": 8, "num_layers": 1, "kernel_size": 3},
    "ecapa_tdnn": {"channels": 16, "output_dim": 24},
    "eres2net": {"channels": 4, "blocks": [1, 1, 1, 1], "base_width": 32},
    "eres2netv2": {"channels": 4, "blocks": [1, 1, 1, 1]},
    "redimnet": {"channels": 4, "stages": [[2, 1, 1, 8], [3, 1, 1, 0]]},
    "repvgg": {"base_width": 8, "num_blocks": [1, 1, 1, 1]},
    "res2net": {"channels": 4},
    "resnet": {"channels": 4, "depth": 18},
    "resnext": {"channels": 4, "groups": 2},
    "se_resnet": {"channels": 4, "depth": 18},
    "transformer": {"d_model": 8, "ffn_dim": 8, "num_layers": 1},
    "vgg": {"width": 0.05, "output_dim": 16},
    "xvector": {"channels": 8, "output_dim": 12},
}
# Parameters of the published encoders, counted in their authors' code, and what ours has beside them: a BatchNorm behind the
# pooling (2 x its width); CAM++'s matrix has no bias there and its BatchNorm no weights; wespeaker's x-vector has a second linear
# layer that ours lacks.
PUBLISHED = {
    "resnet34": (6_634_336, 2 * 5120),
    "resnet34 model.backbone.depth=221": (23_792_224, 2 * 20480),
    "resnet34 model.backbone.depth=293": (28_626_016, 2 * 20480),
    "ecapa_tdnn": (6_190_720, 0),
    "ecapa_tdnn model.backbone.channels=1024": (14_657_088, 0),
    "xvector": (4_610_524, 2 * 3000 - (512 * 512 + 512)),
    "res2net34": (4_689_024, 2 * 10240),
    "repvgg_a0": (6_833_792, 2 * 5120),
    "campplus": (7_176_224, 2 * 1024 + 512 + 2 * 512),
    "eres2net model.embedding_dim=192": (6_610_688, 2 * 10240),
    "eres2netv2": (17_859_632, 2 * 20480),
    "redimnet_b2": (5_067_056, 0),
}


def recipe(name: str, *overrides: str) -> dict[str, Any]:
    init = ["init=first.ckpt"] if name.endswith("_lm") else []
    return load_recipe(name, ["manifest=a.csv", *init, *overrides])


def weightless(model: Mapping[str, Any]) -> torch.nn.Module:
    with torch.device("meta"):
        return registry.build("speaker", model)


def parameters(model: Mapping[str, Any]) -> int:
    return sum(parameter.numel() for parameter in weightless(model).parameters())


@pytest.mark.parametrize("name", ALL)
def test_its_sections_are_accepted(name: str) -> None:
    held = recipe(name)
    net = weightless(held["model"])
    if held["trainer"].get("channels_last"):
        to_channels_last(net)  # refuses what it would harm
    loss = registry.build("loss", held["loss"] | {"class_weights": None}, embedding_dim=4, num_classes=3)
    registry.call(Settings, held["trainer"], "trainer")
    registry.call(Schedule, held.get("schedule") or {}, "schedule")
    registry.call(MarginSchedule, held.get("margin_schedule") or {}, "margin_schedule")
    registry.call(optimizer, {"parameters": list(loss.parameters())} | (held.get("optimizer") or {}), "optimizer")
    registry.check(training_corpus, {"manifest": "a.csv"} | held["data"], "data")
    if held.get("augment"):
        registry.call(augmenter, held["augment"], "augment")
    if held.get("specaugment"):
        registry.check(specaugment, {"features": None, "generator": None} | held["specaugment"], "specaugment")


@pytest.mark.parametrize("name", [name for name in ALL if name.endswith(("_voxceleb", "_cnceleb", "_lm"))])
def test_the_share_of_augmented_crops_is_the_stated_one(name: str) -> None:
    """Noise and rooms are drawn independently: 0.6 of the crops, as wespeaker's; ERes2NetV2's recipe tells its own share."""
    augment = recipe(name)["augment"]
    added = sum(augment[f"{kind}_prob"] for kind in ("noise", "music", "babble"))
    assert added == pytest.approx(augment["reverb_prob"])
    assert 1 - (1 - added) * (1 - augment["reverb_prob"]) == pytest.approx(0.78 if "eres2netv2" in name else 0.6, abs=0.005)


@pytest.mark.parametrize("net", ["xvector", "resnet34", "res2net34", "repvgg_a0", "campplus", "eres2net", "eres2netv2"])
def test_deviations_are_taken_as_in_wespeaker(net: str) -> None:
    """Its statistics pooling divides by N - 1, as torch.var does."""
    frames = torch.randn(2, 3, 7)
    for corpus in ("voxceleb", "cnceleb"):
        pooling = registry.build("pooling", recipe(f"speaker/{net}_{corpus}")["model"]["pooling"], channels=3)
        torch.testing.assert_close(pooling(frames)[:, 3:], frames.var(dim=2).sqrt(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", PUBLISHED)
def test_the_net_has_the_published_size(case: str) -> None:
    name, *overrides = case.split()
    published, beside = PUBLISHED[case]
    for corpus in ("voxceleb", "cnceleb"):
        assert parameters(recipe(f"speaker/{name}_{corpus}", *overrides)["model"]) == published + beside


def test_the_docs_page_names_every_recipe_and_its_size() -> None:
    text = (Path(__file__).resolve().parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    named = set(re.findall(r"speaker/\w+", text))
    nets = {name.removesuffix("_cnceleb") for name in ALL if name.endswith("_cnceleb")}
    assert {name for name in ALL if not name.endswith("_cnceleb")} <= named
    assert nets <= {name.removesuffix("_voxceleb") for name in ALL}
    chinese = text.partition("## CN-Celeb")[2].replace("_cnceleb", "")
    assert {name.removeprefix("speaker/") for name in nets} <= set(re.findall(r"\w+", chinese))
    sizes = re.findall(r"^\| `(speaker/\w+_voxceleb)` \| ([\d,]+\d)", text, re.M)
    assert len(sizes) > 8
    for name, size in sizes:
        assert parameters(recipe(name)["model"]) == int(size.replace(",", "")), name


@pytest.mark.parametrize("name", ALL)
def test_its_first_lines_tell_the_command_and_the_source(name: str) -> None:
    text = (files("voxid") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8").replace("\\\n#", "")
    command, source = text.splitlines()[:2]
    assert command.startswith(f"# voxid train {name} ")
    assert source.startswith("# ")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four synthetic voices, a pitch each, two recordings of each."""
    folder = tmp_path_factory.mktemp("corpus")
    draw, time = np.random.default_rng(0), np.arange(round(0.6 * RATE)) / RATE
    rows = ["path,speaker,duration,split,set"]
    for speaker in range(4):
        for take in range(2):
            tone = sum(np.sin(2 * np.pi * (90 + 40 * speaker) * k * time + draw.random()) / k for k in range(1, 12))
            soundfile.write(folder / f"s{speaker}_{take}.wav", 0.1 * tone + 0.01 * draw.standard_normal(len(time)), RATE)
            rows.append(f"s{speaker}_{take}.wav,s{speaker},0.6,train,train")
    (folder / "m.csv").write_text("\n".join(rows) + "\n")
    soundfile.write(folder / "noise.wav", 0.1 * draw.standard_normal(RATE), RATE)
    (folder / "noise.csv").write_text("path,duration,kind,split\nnoise.wav,1.0,noise,train\n")
    return folder


def tiny(name: str, corpus: Path, output: Path, *more: str) -> dict[str, Any]:
    """The recipe with a tiny net, two steps and little data; what it says of losses, optimisers and schedules stays."""
    overrides = [
        *(f"manifest={corpus}/m.csv", f"output={output}", f"data.cache={corpus}/cache", "data.workers=0"),
        *("data.batch_size=4", "data.batches=2", "data.chunk_seconds=0.3", "schedule.warmup_steps=1"),
        *("model.embedding_dim=8", "model.frontend.num_mel_bins=24", "trainer.epochs=1", "trainer.accelerator=cpu"),
        *("trainer.devices=1", "trainer.precision=32-true", "trainer.threads=1", "trainer.compile=false"),
        "trainer.channels_last=false",  # which asks for wider nets than these
        *more,
    ]
    held = load_recipe(name, overrides)
    held["model"]["backbone"] = {"name": held["model"]["backbone"]["name"]} | TINY[held["model"]["backbone"]["name"]]
    if held.get("augment"):
        held["augment"] = held["augment"] | {"noise": f"{corpus}/noise.csv"}
    return held


# The recipes of one net differ in numbers alone: those for CN-Celeb and the ladder's run at night.
SLOW = ("_cnceleb", "/hw4_")
SMOKE = [pytest.param(name, marks=[pytest.mark.slow] if any(word in name for word in SLOW) else []) for name in ALL]


@pytest.mark.parametrize("name", [param for param in SMOKE if not str(param.values[0]).endswith("_lm")])
def test_two_steps_of_training(name: str, corpus: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    result = fit(tiny(name, corpus, tmp_path / "run"))
    torch.random.set_rng_state(before)
    assert (result.speakers, result.utterances, result.steps) == (4, 8, 2)
    assert Path(result.model).is_file()


@pytest.mark.parametrize("name", [param for param in SMOKE if str(param.values[0]).endswith("_lm")])
def test_fine_tuning_with_a_large_margin_goes_on_from_its_recipe(name: str, corpus: Path, tmp_path: Path) -> None:
    fit(tiny(name.removesuffix("_lm"), corpus, tmp_path / "first"))
    last = tmp_path / "first" / "checkpoints" / "last.ckpt"
    fit(tiny(name, corpus, tmp_path / "lm", f"init={last}", "optimizer.lr=0.0"))
    old, new = (torch.load(path, weights_only=True) for path in (last, tmp_path / "lm" / "checkpoints" / "last.ckpt"))
    classes = [held["state_dict"]["loss.weight"] for held in (old, new)]
    assert (len(classes[0]), len(classes[1])) == (12, 4)  # three speeds, then one
    assert torch.equal(classes[0][:4], classes[1])
