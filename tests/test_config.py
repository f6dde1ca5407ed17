"""Recipes, overrides and what is said about wrong ones."""

from __future__ import annotations

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


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads(name: str) -> None:
    recipe = load_recipe(name, ["manifest=a.csv"])
    assert recipe["task"] == name.split("/")[0]


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
