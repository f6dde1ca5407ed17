"""What a training of an enhancer or a separator leaves: the chosen weights as a model file, with their figures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from voxid.models import checkpoint
from voxid.training.averages import mean_weights
from voxid.training.mixture_corpus import MixtureCorpus
from voxid.training.result import Trained, version
from voxid.training.waveforms import WaveformTask

log = logging.getLogger("voxid")


def export_net(
    task: WaveformTask, corpus: MixtureCorpus, folder: Path, recipe: Mapping[str, Any], chosen: Sequence[Path]
) -> Trained:
    """Write the chosen weights with their card; figures are those of the validation lists.

    Args:
        task: The trained task.
        corpus: What it was trained on.
        folder: The run folder.
        recipe: As plain data.
        chosen: Checkpoints; the mean of their weights is taken.
    """
    path, figure = folder / "model.safetensors", task.figure.name
    facts = {"speakers": len(corpus.speakers), "utterances": corpus.recordings, "steps": task.steps}
    if getattr(rank_zero_only, "rank", 0):  # the first process of a distributed training does it for all
        return Trained(str(folder), str(path), **facts, figure=figure, value=None)
    task.load_state_dict(mean_weights(chosen))
    task.eval()
    measured = {mixtures.name: task.measure(mixtures) for mixtures in task.sets}
    card: dict[str, Any] = {
        "name": folder.name,
        "voxid": version(),
        "recipe": dict(recipe),
        "checkpoint": ", ".join(file.name for file in chosen),
        "training": facts,
        "validation": {name: {key: round(value, 4) for key, value in row.items()} for name, row in measured.items()},
    }
    checkpoint.save(task.model, path, card=card)
    mean = float(np.mean([row[figure] for row in measured.values()])) if measured else None
    log.info("weights of %s%s", card["checkpoint"], "" if mean is None else f": {figure}={mean:g}")
    return Trained(str(folder), str(path), **facts, figure=figure, value=mean)
