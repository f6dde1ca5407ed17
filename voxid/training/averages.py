"""Means of weights: over the steps of a training (EMA), or over some of its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from voxid.training.resume import read_checkpoint


class RunningMean(lightning.Callback):
    """Exponential moving average of all weights and of the statistics of BatchNorm, kept beside them.

    Validation measures the mean. A checkpoint holds the weights, from which a resumed training goes on, and the mean under
    ``average``. The mean is short at first, (1 + n) / (10 + n) after n steps, so that it forgets where the training began.

    Args:
        decay: Share of the mean that stays at each step, e.g. 0.999.

    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control Optim. 1992.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.live: list[Tensor] = []
        self.mean: list[Tensor] = []
        self.names: list[str] = []
        self.step = 0
        self._loaded: dict[str, Tensor] | None = None

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        state = {name: value for name, value in pl_module.state_dict().items() if value.is_floating_point()}
        self.names, self.live = list(state), list(state.values())
        self.mean = [value.clone() for value in self.live]
        if self._loaded is not None:
            for name, value in zip(self.names, self.mean, strict=True):
                value.copy_(self._loaded[name])
            self._loaded = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.step = trainer.global_step

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:  # gradients are still being added up
            return
        self.step = trainer.global_step
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.mean, self.live, 1.0 - decay)

    def on_validation_start(self, *_: Any) -> None:
        self._swap()

    def on_validation_end(self, *_: Any) -> None:
        self._swap()

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["average"] = checkpoint["state_dict"] | dict(zip(self.names, self.mean, strict=True))

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._loaded = checkpoint.get("average")

    @torch.no_grad()
    def _swap(self) -> None:
        kept = [value.clone() for value in self.live]
        torch._foreach_copy_(self.live, self.mean)
        torch._foreach_copy_(self.mean, kept)


class Recent(lightning.Callback):
    """Checkpoints of the last epochs of a training, ``recent-epoch=N.ckpt``.

    Args:
        folder: Where to.
        number: Of epochs.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch >= (trainer.max_epochs or 0) - self.number:
            trainer.save_checkpoint(self.folder / f"recent-epoch={trainer.current_epoch}.ckpt")

    def paths(self) -> list[Path]:
        """The last ones, the newest last."""
        found = self.folder.glob("recent-epoch=*.ckpt")
        return sorted(found, key=lambda path: int(path.stem.partition("=")[2]))[-self.number :]


def weights(path: str | Path) -> dict[str, Tensor]:
    """The weights that a checkpoint stands for: their running mean where one was kept.

    Raises:
        ConfigError: Not a checkpoint of voxid, or a damaged one.
    """
    found = read_checkpoint(path)
    state: dict[str, Tensor] = found.get("average", found["state_dict"])
    return state


def mean_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Mean of the weights of checkpoints, statistics of BatchNorm included; integers are those of the last one.

    Raises:
        ConfigError: Not a checkpoint of voxid, or a damaged one.
    """
    total = weights(paths[0])
    sums = {name: value.double() for name, value in total.items()}
    for path in paths[1:]:
        total = weights(path)
        for name, value in total.items():
            sums[name] += value
    return {
        name: (sums[name] / len(paths)).to(value.dtype) if value.is_floating_point() else value for name, value in total.items()
    }
