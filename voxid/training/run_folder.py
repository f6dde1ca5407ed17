"""The run folder: recipe.yaml, train.log, checkpoints/, metrics.json, tensorboard/ and, at the end, model.safetensors."""

from __future__ import annotations

import logging
from pathlib import Path

from voxid.errors import ConfigError
from voxid.training.resume import read_checkpoint

log = logging.getLogger("voxid")


def open_folder(folder: Path, resume: bool) -> Path | None:
    """Make the folder and start its log; the checkpoint to resume from, or None.

    Raises:
        ConfigError: A folder that holds a run that is not to be resumed, a damaged checkpoint, or a place that cannot be written.
    """
    last = folder / "checkpoints" / "last.ckpt"
    try:
        held = last.is_file()
        if held and not resume:
            raise ConfigError(f"{folder} holds a run already; go on with trainer.resume=true, or choose another output=FOLDER")
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(folder / "train.log")
    except OSError as error:
        raise ConfigError(f"output={folder}: cannot be written ({error.strerror}); choose another place", "E_WRITE") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for old in [old for old in log.handlers if isinstance(old, logging.FileHandler)]:
        log.removeHandler(old)
        old.close()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    if held:
        read_checkpoint(last)  # a damaged one is told before the data is loaded
    return last if held else None
