"""What a training leaves: the chosen weights as a model file, with their figures."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from voxid.metrics.detection import eer
from voxid.metrics.operating_points import operating_points
from voxid.models import checkpoint
from voxid.training.averages import mean_weights
from voxid.training.classifier import as_classifier
from voxid.training.corpus import Corpus
from voxid.training.figure import EER
from voxid.training.speaker import SpeakerTask, mean_embedding

log = logging.getLogger("voxid")


@dataclass(frozen=True)
class Trained:
    """What a training left.

    Args:
        output: The run folder.
        model: The model file.
        speakers, utterances: What was trained on (mixtures, where they were ready-made).
        steps: Of the optimiser.
        figure: What the validation lists measure: eer, si_sdr_improvement ...
        value: Its mean over the lists, for the weights in the file; None without lists.
    """

    output: str
    model: str
    speakers: int
    utterances: int
    steps: int
    figure: str
    value: float | None

    @property
    def eer(self) -> float | None:
        """The figure of a speaker model."""
        return self.value if self.figure == EER.name else None


def export(task: SpeakerTask, corpus: Corpus, folder: Path, recipe: Mapping[str, Any], chosen: Sequence[Path]) -> Trained:
    """Write the chosen weights with their card: figures and thresholds are those of the validation lists.

    Args:
        task: The trained task.
        corpus: What it was trained on.
        folder: The run folder.
        recipe: As plain data.
        chosen: Checkpoints; the mean of their weights is taken.
    """
    path = folder / "model.safetensors"
    facts = {"speakers": len(corpus.speakers), "utterances": len(corpus.dataset), "steps": task.steps}
    if getattr(rank_zero_only, "rank", 0):  # the first process of a distributed training does it for all
        return Trained(str(folder), str(path), **facts, figure=EER.name, value=None)
    task.load_state_dict(mean_weights(chosen))
    task.eval()
    if recipe["classifier"]:  # before the middle is moved: the classes stand where they were
        names = as_classifier(task.model, task.loss, corpus.speakers)
        checkpoint.save(
            names, folder / "classifier.safetensors", card={"name": folder.name, "voxid": version(), "training": facts}
        )
    if recipe["center"]:
        task.model.subtract(mean_embedding(task.model, corpus.dataset, task.device))
    scored = {trial_set.name: (trial_set.scores(task.model, task.device), trial_set.labels) for trial_set in task.trial_sets}
    errors = {name: eer(scores, labels) for name, (scores, labels) in scored.items()}
    card: dict[str, Any] = {
        "name": folder.name,
        "voxid": version(),
        "recipe": dict(recipe),
        "checkpoint": ", ".join(file.name for file in chosen),
        "training": facts,
        "validation_eer": errors,
    }
    if scored:
        scores, labels = (np.concatenate(column) for column in zip(*scored.values(), strict=True))
        card["thresholds"] = {"source": ", ".join(scored), "points": operating_points(scores, labels)}
    checkpoint.save(task.model, path, card=card)
    mean = float(np.mean(list(errors.values()))) if errors else None
    log.info("weights of %s%s", card["checkpoint"], "" if mean is None else f": eer={mean:g}")
    return Trained(str(folder), str(path), **facts, figure=EER.name, value=mean)


def version() -> str:
    """Of voxid, for a card."""
    try:
        return importlib.metadata.version("voxid")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return "not installed"
