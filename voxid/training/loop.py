"""The loop around a task: Lightning's trainer, what it saves, and which of it is the result."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from voxid.errors import ConfigError
from voxid.training.averages import Recent, RunningMean
from voxid.training.batches import Batches
from voxid.training.callbacks import AtomicCheckpointIO, History, Progress
from voxid.training.figure import EER, Figure
from voxid.training.settings import Settings, make_trainer

log = logging.getLogger("voxid")


@dataclass(frozen=True)
class Loop:
    """A trainer and the checkpoints that it leaves in a run folder.

    Args:
        folder: The run folder; it is first touched by `run`.
        settings: The section `trainer`.
        trainer, top, recent: Made by `make_loop`.
        figure: What chooses among the checkpoints.
    """

    folder: Path
    settings: Settings
    trainer: lightning.Trainer
    top: ModelCheckpoint
    recent: Recent
    figure: Figure = EER

    def run(self, task: lightning.LightningModule, batches: Batches, last: Path | None) -> list[Path]:
        """Train, from `last` on where there is one; the checkpoints whose weights are the result."""
        with warnings.catch_warnings():
            # Lightning's own deprecations are not for the user of voxid.
            warnings.filterwarnings("ignore", module=r"lightning\.")
            try:
                self.trainer.fit(task, datamodule=batches, ckpt_path=last, weights_only=True)
            except SystemExit:
                if self.trainer.interrupted:  # Lightning turns Ctrl-C into exit(1)
                    log.info("interrupted; go on with trainer.resume=true output=%s", self.folder)
                    raise KeyboardInterrupt from None
                raise
        return self._chosen()

    def _chosen(self) -> list[Path]:
        """The best checkpoints by the figure, the most recent ones, or the last one where nothing was validated."""
        saved = self.folder / "checkpoints"
        if self.settings.average_last:
            return _counted(self.recent.paths(), self.settings.average_last, "average_last")
        # By name: the folder may have been moved before a resume, and Lightning then forgets all but the best.
        if self.settings.average_best:
            return _counted(best(saved, self.figure)[: self.settings.average_best], self.settings.average_best, "average_best")
        first = saved / Path(self.top.best_model_path).name
        return [first if first.is_file() else saved / "last.ckpt"]


def make_loop(folder: Path, settings: Settings, every: int, validates: bool, figure: Figure = EER) -> Loop:
    """The loop of a recipe; nothing is written yet.

    Args:
        folder: The run folder.
        settings: The section `trainer`.
        every: Epochs between two validations.
        validates: Whether there are validation lists.
        figure: What is measured on them, and chooses among the checkpoints.

    Raises:
        ConfigError: A word or a number that the trainer does not know.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its advice on what else to install is left out
    saved = folder / "checkpoints"
    # Written after each epoch, whatever the figure says: what a resumed run starts from.
    newest = ModelCheckpoint(saved, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    kept = max(settings.save_top, settings.average_best)
    # Killed between this checkpoint and `newest`, a resumed run writes it once more: in its place, not beside it as -v1.
    name = f"{{epoch}}-{{{figure.name}:.4f}}"
    top = ModelCheckpoint(
        saved,
        filename=name,
        monitor=figure.name,
        mode=figure.mode,
        save_top_k=kept,
        every_n_epochs=every,
        enable_version_counter=False,
    )
    recent = Recent(saved, settings.average_last)
    trainer = make_trainer(
        settings,
        check_val_every_n_epoch=every,
        callbacks=[
            *([RunningMean(settings.ema)] if settings.ema is not None else []),
            Progress(),
            History(folder / "metrics.json"),
            recent,
            *([top] if validates else []),
            newest,
        ],
        logger=TensorBoardLogger(folder, name=None, version="tensorboard"),
        plugins=[AtomicCheckpointIO()],
    )
    return Loop(folder, settings, trainer, top, recent, figure)


def best(saved: Path, figure: Figure) -> list[Path]:
    """Checkpoints with the figure in their name, the best first."""
    found = saved.glob(f"epoch=*-{figure.name}=*.ckpt")
    return sorted(found, key=lambda path: (figure.cost(float(path.stem.rpartition("=")[2])), path.name))


def refuse_empty_mean(loop: Loop, every: int, behind: int) -> None:
    """Raise `ConfigError` when a training with so many epochs behind it will leave no checkpoint to average."""
    settings = loop.settings
    if settings.average_last and behind >= settings.epochs and not loop.recent.paths():
        raise ConfigError(
            f"trainer: average_last={settings.average_last}, but all {behind} epochs are behind this run and it kept none of "
            "them; raise trainer.epochs, or set average_last=0"
        )
    to_come = settings.epochs // every - behind // every
    if settings.average_best and to_come < 1 and not best(loop.folder / "checkpoints", loop.figure):
        raise ConfigError(
            f"trainer: average_best={settings.average_best}, but with {settings.epochs - behind} epochs to come and "
            f"validation.every={every} nothing is validated; raise trainer.epochs, lower validation.every, or set average_best=0"
        )


def _counted(found: Sequence[Path], wanted: int, key: str) -> list[Path]:
    log.info("%s: the mean of %d checkpoints%s", key, len(found), f", not of {wanted}" if len(found) < wanted else "")
    return list(found)
