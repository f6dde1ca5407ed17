"""The section `trainer`: what is refused, and what torchrun tells."""

from __future__ import annotations

import pytest

pytest.importorskip("lightning")

from voxid import registry
from voxid.errors import ConfigError
from voxid.training.settings import Settings, make_trainer


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 0}, "epochs must be 1 or more"),
        ({"nodes": 0}, "nodes must be 1 or more"),
        ({"accumulate": 0}, "accumulate must be 1 or more"),
        ({"average_last": -1}, "average_last must be 0 or more"),
        ({"threads": 0}, "threads must be 1 or more"),
        ({"ema": 1.0}, "ema must lie within"),
        ({"ema": 0}, "ema must lie within"),
        ({"gradient_clip": -1.0}, "gradient_clip must be 0 or more"),
        ({"gradient_clip": float("nan")}, "gradient_clip must be 0 or more"),
        ({"average_last": 2, "average_best": 2}, "exclude each other"),
        ({"channels_last": 1}, "channels_last must be true or false"),
        ({"emas": 0.9}, "did you mean 'ema'"),
        ({"strategy": "dp"}, "successor is trainer.strategy=ddp"),
        ({"strategy": "ddp2"}, "successor is trainer.strategy=ddp"),
        ({"strategy": "horovod"}, "successor is trainer.strategy=ddp"),
        ({"strategy": "fsdp", "ema": 0.9}, "ema needs whole weights"),
        ({"strategy": "fsdp"}, "gradient_clip needs whole gradients"),
        ({"strategy": "fsdp_cpu_offload", "gradient_clip": 1.0}, "gradient_clip needs whole gradients"),
    ],
)
def test_mistakes_are_named(options: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        registry.call(Settings, {"epochs": 1} | options, "trainer")


def test_fsdp_goes_without_clipping() -> None:
    for none in (0.0, None):
        assert Settings(1, strategy="fsdp", gradient_clip=none).strategy == "fsdp"


@pytest.mark.parametrize(("options", "key"), [({"devices": 3}, "devices"), ({"nodes": 2}, "nodes")])
def test_another_number_than_torchruns_is_named(monkeypatch, options: dict, key: str) -> None:
    started = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    for name, value in (started | {"GROUP_WORLD_SIZE": "3"} if key == "nodes" else started).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"torchrun started . {key}, the recipe says"):
        make_trainer(Settings(1, accelerator="cpu", **options), logger=False)
