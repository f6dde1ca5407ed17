"""What a resumed training may not change."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lightning")

from voxid.config import load_recipe
from voxid.errors import ConfigError
from voxid.training.fixed import check_fixed, fixed_part

RUN = Path("runs/x/checkpoints/last.ckpt")


def part(*overrides: str) -> dict:
    return fixed_part(load_recipe("speaker/ecapa_tdnn", ["manifest=m.csv", *overrides]))


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.lr=0.1",
        "optimizer.weight_decay=0.2",
        "schedule.name=constant",
        "loss.margin=0.3",
        "trainer.epochs=99",
        "data.workers=7",
        "data.cache=elsewhere",
        "data.seek=true",
        "output=elsewhere",
        "manifest=moved/m.csv",
        "seed=0",
        "data.speeds=[1,0.9,1.1]",
    ],
)
def test_these_may_change(override: str) -> None:
    check_fixed(RUN, {"fixed": part()}, part(override))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("seed=1", "began with seed=0, and the recipe says 1"),
        ("model.pooling.context=false", "began with model.pooling.context=true"),
        ("model.backbone=resnet", r'model\.backbone=null, and the recipe says "resnet" \(2 further keys'),
        ("loss={name: combined, parts: [{name: softmax}, ge2e]}", r'loss="aam_softmax", .* \["combined", "softmax", "ge2e"\]'),
        ("optimizer={name: sgd}", "optimizer.name"),
        ("optimizer.amsgrad=true", "optimizer.amsgrad=false"),
        ("data.batch_size=64", "data.batch_size=128, and the recipe says 64"),
        ("data.chunk_seconds=[2,3]", "data.chunk_seconds=2.0"),
        ("data.balance=0.5", "data.balance"),
        ("data.prefix_speakers=true", "data.prefix_speakers"),
    ],
)
def test_these_stay(override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_fixed(RUN, {"fixed": part()}, part(override))


def test_what_a_recipe_leaves_out_is_its_default() -> None:
    whole = load_recipe("speaker/ecapa_tdnn", ["manifest=m.csv"])
    short = whole | {"data": {"batch_size": 128, "speeds": [1.0, 0.9, 1.1], "cache": "x"}, "optimizer": None}
    check_fixed(RUN, {"fixed": fixed_part(whole)}, fixed_part(short))
    check_fixed(RUN, {}, fixed_part(short))  # a checkpoint of before says nothing
