"""The run folder: recipe.yaml, train.log, checkpoints/, metrics.json, tensorboard/ and, at the end, model.safetensors."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

from voxid.errors import ConfigError
from voxid.training.fixed import check_fixed
from voxid.training.resume import read_checkpoint

log = logging.getLogger("voxid")
LINES = 100_000  # that are held back until there is a folder


def find_run(folder: Path, resume: bool, epochs: int, fixed: Mapping[str, Any]) -> tuple[Path | None, int]:
    """The checkpoint to resume from, or None, and the epochs that are behind it. Nothing is written.

    Args:
        folder: The run folder; it need not exist.
        resume: Whether a run in it is to go on.
        epochs: Of the whole training.
        fixed: What a resumed training may not change (`fixed.fixed_part`).

    Raises:
        ConfigError: A folder that holds a run that is not to be resumed, or another one; a damaged checkpoint; a place that
            cannot be written.
    """
    last = folder / "checkpoints" / "last.ckpt"
    try:
        held = last.is_file()
        above = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error
    if held and not resume:
        raise ConfigError(f"{folder} holds a run already; go on with trainer.resume=true, or choose another output=FOLDER")
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise _unwritable(folder, "Not a directory" if not above.is_dir() else "Permission denied")
    if not held:
        return None, 0
    checkpoint = read_checkpoint(last)  # a damaged one is told before the data is loaded
    check_fixed(last, checkpoint, fixed)
    behind = int(checkpoint.get("epoch", -1)) + 1
    if behind > epochs:
        raise ConfigError(
            f"{last}: {behind} epochs are behind it, and trainer.epochs={epochs}; set trainer.epochs to {behind} or more"
        )
    return last, behind


def hold_log() -> None:
    """Keep what the log says until `open_folder` has a place for it."""
    _let_go()
    log.addHandler(MemoryHandler(LINES, flushLevel=logging.CRITICAL + 1))
    log.setLevel(logging.INFO)


def open_folder(folder: Path) -> None:
    """Make the folder and its train.log, which begins with what was said since `hold_log`.

    Raises:
        ConfigError: ``E_WRITE``, a place that cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(folder / "train.log")
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for held in log.handlers:
        if isinstance(held, MemoryHandler):
            held.setTarget(handler)
            held.flush()
    _let_go()
    log.addHandler(handler)


def _let_go() -> None:
    """Close the logs of an earlier run in this process."""
    for old in [old for old in log.handlers if isinstance(old, logging.FileHandler | MemoryHandler)]:
        log.removeHandler(old)
        old.close()


def _unwritable(folder: Path, reason: str) -> ConfigError:
    return ConfigError(f"output={folder}: cannot be written ({reason}); choose another place", "E_WRITE")
