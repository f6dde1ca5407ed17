"""The section `trainer` of a recipe."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from voxid.errors import ConfigError

# Ways to train on several devices that PyTorch or Lightning had once, and what took their place.
SUCCESSORS = {"dp": "ddp", "ddp2": "ddp", "horovod": "ddp"}


@dataclass(frozen=True)
class Settings:
    """How the loop runs; each field is explained in docs/train.md.

    Raises:
        ConfigError: A value out of range, two that exclude each other, or a strategy that is no more.
    """

    epochs: int
    accelerator: str = "auto"
    devices: str | int = "auto"
    nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    accumulate: int = 1
    gradient_clip: float | None = 5.0
    ema: float | None = None
    average_last: int = 0
    average_best: int = 0
    channels_last: bool = False
    save_top: int = 3
    compile: bool = False
    threads: int | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        least = {"epochs": 1, "nodes": 1, "accumulate": 1, "average_last": 0, "average_best": 0, "save_top": 0, "threads": 1}
        for name, limit in least.items():
            value = getattr(self, name)
            if value is not None and value < limit:
                raise ConfigError(f"trainer: {name} must be {limit} or more, got {value}")
        if self.gradient_clip is not None and not self.gradient_clip >= 0:
            raise ConfigError(f"trainer: gradient_clip must be 0 or more, or null, got {self.gradient_clip}")
        if self.ema is not None and not 0.0 < self.ema < 1.0:
            raise ConfigError(f"trainer: ema must lie within 0 ... 1, e.g. 0.999, or be null, got {self.ema}")
        if self.average_last and self.average_best:
            raise ConfigError("trainer: average_last and average_best exclude each other; set one of them to 0")
        if self.strategy in SUCCESSORS:
            raise ConfigError(
                f"trainer: the strategy {self.strategy!r} is no more; its successor is "
                f"trainer.strategy={SUCCESSORS[self.strategy]}, one process a device"
            )
        if self.ema is not None and self.strategy.startswith("fsdp"):
            raise ConfigError(
                "trainer: ema needs whole weights in each process, which fsdp has not; take strategy=ddp or ema=null"
            )
        if self.gradient_clip and self.strategy.startswith("fsdp"):
            raise ConfigError(
                "trainer: gradient_clip needs whole gradients in each process, which fsdp has not; take strategy=ddp or "
                "gradient_clip=null"
            )


def make_trainer(settings: Settings, **more: Any) -> lightning.Trainer:
    """Lightning's Trainer for these settings; `more` are its further arguments.

    Raises:
        ConfigError: A word or a number that it does not know.
    """
    arguments: dict[str, Any] = {
        "max_epochs": settings.epochs,
        "accelerator": settings.accelerator,
        "precision": settings.precision,
        "accumulate_grad_batches": settings.accumulate,
        "gradient_clip_val": settings.gradient_clip,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "log_every_n_steps": 20,
    }
    try:
        return lightning.Trainer(**arguments, **_places(settings), **more)
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise ConfigError(f"trainer: {' '.join(str(error).split())[:300]}") from error


def _places(settings: Settings) -> dict[str, Any]:
    """Devices, machines and strategy. Under torchrun they are those that it was started with."""
    places = {"devices": settings.devices, "num_nodes": settings.nodes, "strategy": settings.strategy}
    if not torch.distributed.is_torchelastic_launched():
        return places
    started = {"devices": int(os.environ["LOCAL_WORLD_SIZE"]), "num_nodes": int(os.environ["GROUP_WORLD_SIZE"])}
    for name, unset in (("devices", "auto"), ("num_nodes", 1)):
        if places[name] not in (unset, started[name], str(started[name])):
            key = "nodes" if name == "num_nodes" else name
            raise ConfigError(f"trainer: torchrun started {started[name]} {key}, the recipe says {places[name]}; leave {key} out")
    return started | {"strategy": "ddp" if settings.strategy == "auto" else settings.strategy}
