"""What happens around the loop: progress on stderr, checkpoints that are whole, the run's figures as JSON."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from tqdm import tqdm

from voxid.atomic import replacing
from voxid.errors import ModelError

log = logging.getLogger("voxid")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that are whole or not there: a kill during a save leaves the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write beside the place, flush, rename."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, ModelError) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # torch's zip writer loses the errno
                raise OSError(28, f"the checkpoint could not be written ({error})") from error


class Progress(lightning.Callback):
    """A bar on stderr over all steps, with the running loss and the last validation, and a line in the log each epoch."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.is_global_zero:
            total = int(trainer.estimated_stepping_batches)
            self.bar = tqdm(total=total, initial=trainer.global_step, desc="train", unit="step", dynamic_ncols=True, disable=None)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if self.bar is not None:
            self.bar.update(trainer.global_step - self.bar.n)
            if trainer.global_step % 10 == 0:
                figures = trainer.progress_bar_metrics
                shown = {name.removesuffix("_step"): figures[name] for name in figures if "_epoch" not in name}
                self.bar.set_postfix({name: f"{float(value):.3g}" for name, value in shown.items()})

    def on_train_end(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def on_exception(self, *_: Any) -> None:
        self.on_train_end()


class History(lightning.Callback):
    """metrics.json: one row an epoch, kept across a resume, written whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        figures = {name: round(float(value), 6) for name, value in sorted(trainer.callback_metrics.items()) if _whole(name)}
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "lr": rate} | figures
        self.rows.append(row)
        if trainer.is_global_zero:
            log.info(" ".join(f"{name}={value:g}" for name, value in row.items()))
            with replacing(self.path, ModelError) as temporary:
                temporary.write_text(json.dumps({"epochs": self.rows}, indent=1) + "\n")

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])


def _whole(name: str) -> bool:
    """Not one of the twins that Lightning makes of a figure that is logged by step and by epoch."""
    return not name.endswith(("_step", "_epoch"))
