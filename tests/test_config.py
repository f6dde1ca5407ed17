"""Recipes, overrides and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from voxid.config import dump_recipe, load_recipe, recipe_names
from voxid.errors import ConfigError


def test_an_override_reaches_its_place() -> None:
    recipe = load_recipe(
        "speaker/ecapa_tdnn", ["manifest=[a.csv,b.csv]", "optimizer.lr=0.5", "where.lang=fr", "model.backbone.scale=4"]
    )
    assert recipe["manifest"] == ["a.csv", "b.csv"]
    assert recipe["optimizer"]["lr"] == 0.5
    assert recipe["where"] == {"lang": "fr"}
    assert recipe["model"]["backbone"] == {"name": "ecapa_tdnn", "channels": 512, "scale": 4}


def test_a_dump_reads_back(tmp_path) -> None:
    recipe = load_recipe("speaker/ecapa_tdnn", ["manifest=a.csv"])
    path = tmp_path / "own.yaml"
    path.write_text(dump_recipe(recipe))
    assert yaml.safe_load(path.read_text()) == recipe == load_recipe(path)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("optimiser.lr=1", "did you mean 'optimizer'"),
        ("data.batchsize=1", "did you mean 'batch_size'"),
        ("trainer.epoch=1", "did you mean 'epochs'"),
        ("trainer", "key=value"),
        ("=1", "key=value"),
        ("data.cache=[1", "cannot be read"),
    ],
)
def test_wrong_overrides_are_named(override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_recipe("speaker/ecapa_tdnn", ["manifest=a.csv", override])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a", "mapping"),
        ("a: [", "not YAML"),
        ("a: ${b}", "b"),
        ("manifest: ???", "manifest must be given"),
        ("\x00", "not YAML"),
    ],
)
def test_malformed_recipes_are_named(tmp_path, text: str, says: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_recipe(path)


def test_unknown_recipes_are_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'speaker/ecapa_tdnn'"):
        load_recipe("speaker/ecapa_tdn")
    with pytest.raises(ConfigError) as caught:
        load_recipe(tmp_path / "none.yaml")
    assert caught.value.code == "E_NOT_FOUND"


def loaded(name: str) -> dict[str, Any]:
    """A bundled recipe with what every one asks for."""
    ready = [] if name.startswith("speaker/") else ["data.mixtures=m.csv"]
    return load_recipe(name, ["manifest=a.csv", "init=null", *ready])


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads(name: str) -> None:
    assert loaded(name)["task"] == name.split("/")[0]


@pytest.fixture
def short(tmp_path) -> str:
    """A recipe that states little."""
    path = tmp_path / "short.yaml"
    path.write_text("task: speaker\nmanifest: a.csv\ntrainer: {epochs: 2}\naugment: null\n")
    return str(path)


def test_keys_that_a_short_recipe_leaves_out_can_be_given(short: str) -> None:
    recipe = load_recipe(short, ["init=x.safetensors", "center=false", "augment.noise=n.csv", "trainer.resume=true"])
    assert recipe == {
        "task": "speaker",
        "manifest": "a.csv",
        "trainer": {"epochs": 2, "resume": True},
        "augment": {"noise": "n.csv"},
        "init": "x.safetensors",
        "center": False,
    }


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("inti=x", "'init'"),
        ("augment.nois=x", "'noise'"),
        ("trainer.resum=true", "'resume'"),
        ("data.batchsize=1", "'batch_size'"),
    ],
)
def test_unknown_keys_of_a_short_recipe_are_named(short: str, override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {says}"):
        load_recipe(short, [override])


def test_a_dump_keeps_what_is_null() -> None:
    assert "init: null" in dump_recipe(load_recipe("speaker/ecapa_tdnn", ["manifest=a.csv"])).splitlines()


def write(folder: Path, **texts: str) -> Path:
    """Recipes of these names; answers the last one."""
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{name}.yaml"


def test_a_recipe_says_what_differs_from_its_base(tmp_path) -> None:
    path = write(
        tmp_path,
        low="task: x\nloss: {name: aam, margin: 0.2, scale: 30}\ndata: {speeds: [1.0, 0.9], workers: 4}\naugment: {noise: n}\n",
        mid="base: low.yaml\nloss: {scale: 32}\ndata: {speeds: [1.0]}\nseed: 3\n",
        own="base: mid.yaml\nloss: {margin: 0.5}\naugment: null\n",
    )
    assert load_recipe(path) == {
        "task": "x",
        "loss": {"name": "aam", "margin": 0.5, "scale": 32},
        "data": {"speeds": [1.0], "workers": 4},
        "augment": None,
        "seed": 3,
    }


def test_another_part_replaces_that_of_the_base(tmp_path) -> None:
    path = write(
        tmp_path,
        low="model: {backbone: {name: ecapa_tdnn, channels: 512}, embedding_dim: 192}\n",
        own="base: low.yaml\nmodel: {backbone: {name: resnet, depth: 18}}\n",
    )
    assert load_recipe(path) == {"model": {"backbone": {"name": "resnet", "depth": 18}, "embedding_dim": 192}}


def test_a_later_base_lies_over_an_earlier_one(tmp_path) -> None:
    texts = {"one": "a: 1\nb: {x: 1, y: 1}\n", "two": "b: {x: 2}\nc: 2\n", "own": "base: [one.yaml, two.yaml]\nc: 3\n"}
    assert load_recipe(write(tmp_path, **texts)) == {"a": 1, "b": {"x": 2, "y": 1}, "c": 3}


def test_a_value_still_to_be_given_may_stand_in_a_base(tmp_path) -> None:
    path = write(tmp_path, low="manifest: ???\nwhere: {split: train}\n", own="base: low.yaml\nname: ${where.split}\n")
    with pytest.raises(ConfigError, match="manifest must be given"):
        load_recipe(path)
    assert load_recipe(path, ["manifest=a.csv", "where.split=all"])["name"] == "all"


def test_a_bundled_recipe_is_a_base_and_its_keys_are_known(tmp_path) -> None:
    path = write(tmp_path, own="base: speaker/ecapa_tdnn\ntrainer: {epochs: 3}\n")
    recipe = load_recipe(path, ["manifest=a.csv", "trainer.save_top=1", "model.backbone.channels=64"])
    assert (recipe["trainer"]["epochs"], recipe["trainer"]["save_top"]) == (3, 1)
    assert recipe["model"]["backbone"] == {"name": "ecapa_tdnn", "channels": 64}
    assert "base" not in recipe
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        load_recipe(path, ["trainer.epoch=1"])


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("speaker/ecapa_tdn", "unknown base 'speaker/ecapa_tdn': did you mean 'speaker/ecapa_tdnn'"),
        ("[own.yaml]", "in a circle, back to own.yaml"),
        ("gone.yaml", "gone.yaml: No such file"),
        ("3", "unknown base 3"),
        ("{a: 1}", "unknown base"),
    ],
)
def test_wrong_bases_are_named(tmp_path, base: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_recipe(write(tmp_path, own=f"base: {base}\n"))


def test_bases_that_are_no_recipes_are_not_listed() -> None:
    assert "speaker/resnet34_voxceleb" in recipe_names()
    assert not [name for name in recipe_names() if "/_" in name]
    with pytest.raises(ConfigError, match="unknown recipe 'speaker/_voxceleb'"):
        load_recipe("speaker/_voxceleb")


def test_the_keys_of_the_bundled_recipes_are_those_of_the_bases() -> None:
    """A recipe with a base is not asked which keys there are (there are many): what it states, a recipe without one states."""
    sections = ("data", "augment", "specaugment", "trainer", "schedule", "margin_schedule", "validation")
    recipes = {name: loaded(name) for name in recipe_names()}
    wholes = ("speaker/ecapa_tdnn", "enhancement/phasen_small", "separation/sudormrf_small")
    whole = {name.partition("/")[0]: recipes[name] for name in wholes}
    for name, recipe in recipes.items():
        for section in sections:
            stated = whole[recipe["task"]].get(section) or {}
            assert set(recipe.get(section) or {}) <= set(stated), f"{name}: {section}"


@pytest.mark.parametrize("override", ["model.backbone={name: resnet, depth: 18}", "model={backbone: {name: resnet, depth: 18}}"])
def test_an_override_with_another_name_is_another_part(override: str) -> None:
    recipe = load_recipe("speaker/ecapa_tdnn", ["manifest=a.csv", override])
    assert recipe["model"]["backbone"] == {"name": "resnet", "depth": 18}
    assert recipe["model"]["pooling"]["name"] == "asp"
    recipe = load_recipe("speaker/ecapa_tdnn", ["manifest=a.csv", "model.backbone.name=resnet", "model.backbone.depth=18"])
    assert recipe["model"]["backbone"] == {"name": "resnet", "depth": 18}


def test_an_override_with_the_same_name_changes_the_part() -> None:
    recipe = load_recipe("speaker/ecapa_tdnn", ["manifest=a.csv", "model.backbone={name: ecapa_tdnn, scale: 4}"])
    assert recipe["model"]["backbone"] == {"name": "ecapa_tdnn", "channels": 512, "scale": 4}


@pytest.mark.parametrize("order", [["optimizer.lr=0.5", "optimizer.name=sgd"], ["optimizer.name=sgd", "optimizer.lr=0.5"]])
def test_the_order_of_a_name_and_its_arguments_makes_no_difference(order: list[str]) -> None:
    recipe = load_recipe("speaker/ecapa_tdnn", ["manifest=a.csv", *order])
    assert recipe["optimizer"] == {"name": "sgd", "lr": 0.5}
