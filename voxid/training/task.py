"""What all tasks share: optimiser, schedule, looks at whether numbers are finite, what a checkpoint holds beside weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from voxid import registry
from voxid.errors import ModelError
from voxid.training.figure import Figure
from voxid.training.optim import optimizer as make_optimizer
from voxid.training.schedules import Plateau, Schedule

# Of an optimiser's options, how it computes, not what: a resumed training keeps it.
COMPUTED = ("params", "fused", "foreach", "capturable", "differentiable", "decoupled_weight_decay")
log = logging.getLogger("voxid")
LOOK = 10  # batches between two looks at the loss: each look makes a GPU wait for its queue


class Task(lightning.LightningModule):
    """A net that is trained. A task of its own says what a step and a validation are: `training_step`, `validation_step`.

    Args:
        model: The net.
        loss: What it is trained with, a module.
        steps: Steps of the optimiser in the whole training; schedules are shares of it.
        figure: What validation measures: the mean over its lists moves a plateau.
        speakers: Whose speech is trained on; kept in the checkpoints.
        optimizer, schedule: Sections of the recipe.
        seed: Of the draws within a step.
        notes: What the checkpoints hold beside weights: what a resumed training is compared with.
    """

    def __init__(
        self,
        model: Any,
        loss: nn.Module,
        steps: int,
        figure: Figure,
        *,
        speakers: Sequence[str] = (),
        optimizer: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | None = None,
        seed: int = 0,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.loss: Any = loss
        self.steps, self.figure, self.seed, self.notes = steps, figure, seed, dict(notes or {})
        self.speakers = list(speakers)
        self.optimizer_spec = dict(optimizer or {})
        self.schedule: Schedule = registry.call(Schedule, schedule or {}, "schedule")
        self.plateau = Plateau(self.schedule)
        self.found: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """At the end of an epoch, look at the weights before they are validated and saved."""
        if self.trainer.is_last_batch:
            for value in self._moved():
                self._refuse(value, f"weights are no finite numbers any more after step {self.global_step}")

    def look(self, loss: Tensor, batch_idx: int) -> None:
        """Raise `ModelError` (``E_NOT_FINITE``) for a loss that is no number; only now and then, and before a checkpoint."""
        if batch_idx % LOOK == 0 or self.trainer.is_last_batch:  # a checkpoint is written after the last one
            self._refuse(loss, f"the loss is {loss.item()} at step {self.global_step}")

    def _moved(self) -> Iterator[Tensor]:
        """Weights, statistics, and what the optimiser remembers of them."""
        yield from self.state_dict().values()
        for state in self.trainer.optimizers[0].state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))

    def _refuse(self, value: Tensor, what: str) -> None:
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{what}. {self._way_out()}", "E_NOT_FINITE")

    def _way_out(self) -> str:
        folders = [saved.dirpath for saved in self.trainer.checkpoint_callbacks if isinstance(saved, ModelCheckpoint)]
        last = next((path for folder in folders if (path := Path(folder or "") / "last.ckpt").is_file()), None)
        if last is None:
            return "No checkpoint was written yet: begin anew with a lower optimizer.lr, or with trainer.precision=32-true"
        return (
            f"{last} is older and finite: go on from it with trainer.resume=true and a lower optimizer.lr, or with "
            "trainer.precision=32-true; if that ends here too, begin anew so"
        )

    def seeded(self, batch_idx: int) -> torch.Generator:
        """Draws of the batch's own, torch's global ones (dropout, dither) too: a resumed run meets those of the unbroken one."""
        batch = self.current_epoch * int(self.trainer.num_training_batches) + batch_idx
        number = (self.seed * 1_000_003 + batch) * 1_009 + self.global_rank
        torch.manual_seed(number)
        return torch.Generator().manual_seed(number)

    def on_validation_epoch_end(self) -> None:
        """Let a plateau see the mean figure: that of the first process, so that all have one learning rate."""
        mean = self.trainer.strategy.broadcast(float(np.mean(self.found)))
        self.found = []
        if self.schedule.name == "plateau":
            self.plateau.observe(self.figure.cost(mean))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser of the recipe, and a schedule that moves every step."""
        rule = registry.call(make_optimizer, {"parameters": list(self.parameters())} | self.optimizer_spec, "optimizer")
        self.options = [{key: value for key, value in group.items() if key not in COMPUTED} for group in rule.param_groups]
        scheduler = torch.optim.lr_scheduler.LambdaLR(rule, lambda step: self._factor(step))
        return {"optimizer": rule, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _factor(self, step: int) -> float:
        """On the learning rate."""
        return self.schedule.at(step, self.steps) * self.plateau.factor

    def on_train_start(self) -> None:
        """Put the options of the recipe over those that a resumed training found in its checkpoint."""
        rule, scheduler = self.trainer.optimizers[0], self.trainer.lr_scheduler_configs[0].scheduler
        rates = [options["lr"] for options in self.options]
        changed = scheduler.base_lrs != rates
        for group, options in zip(rule.param_groups, self.options, strict=True):
            group.update({key: value for key, value in options.items() if key != "lr"}, initial_lr=options["lr"])
        # A plateau that fell after the last step does so from the next one on: its rate stays as it was found.
        if changed or self.schedule.name != "plateau":
            for group, rate in zip(rule.param_groups, rates, strict=True):
                group["lr"] = rate * self._factor(scheduler.last_epoch)
        if changed:
            log.info("optimizer.lr: %g from here on, before %g", rates[0], scheduler.base_lrs[0])
            scheduler.base_lrs = rates

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the norm of all gradients."""
        if not gradient_clip_val:
            return
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            # Lightning refuses fused optimisers here for the sake of a gradient scaler, which bfloat16 and float32 have not.
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the names of the speakers, so that a fine-tuning finds its classes, and where a plateau stands."""
        checkpoint.update(self.notes, speakers=self.speakers)
        checkpoint["plateau"] = self.plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on where the plateau stood."""
        if "plateau" in checkpoint:
            self.plateau.load_state_dict(checkpoint["plateau"])
