"""The task `speaker`: embeddings that tell speakers apart, trained by classification or by a metric loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxid import registry
from voxid.audio.augment import Augmenter
from voxid.data.dataset import PCM, SpeakerDataset, as_batch
from voxid.features.specaugment import specaugment
from voxid.metrics.detection import eer
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.scoring.cosine import cosine_trials
from voxid.training.figure import EER
from voxid.training.resume import start_from
from voxid.training.schedules import MarginSchedule
from voxid.training.task import Task


class TrialSet:
    """A list of trials whose recordings are at hand: what validation measures on.

    Args:
        name: Of the list, for the log.
        pcm: Samples of the recordings.
        paths: Of the recordings.
        enrol, test: Index of a recording for each trial.
        labels: 1 = same speaker.
    """

    def __init__(
        self, name: str, pcm: PCM, paths: Sequence[Path], enrol: Sequence[int], test: Sequence[int], labels: Sequence[int]
    ) -> None:
        self.name, self.pcm, self.paths = name, pcm, list(paths)
        self.enrol, self.test, self.labels = np.asarray(enrol), np.asarray(test), np.asarray(labels)

    def scores(self, model: torch.nn.Module, device: torch.device) -> np.ndarray:
        """Cosine of each trial; higher = same speaker."""
        rows = []
        with torch.inference_mode():
            for recording in range(int(max(self.enrol.max(), self.test.max())) + 1):
                samples = self.pcm.read(recording, 0, self.pcm.num_samples(recording))
                rows.append(model(as_batch([samples]).to(device)).float().cpu().numpy()[0])
        return cosine_trials(np.stack(rows), self.enrol, self.test)


def mean_embedding(model: SpeakerEncoder, dataset: SpeakerDataset, device: torch.device, most: int = 1000) -> Tensor:
    """Mean [D] of the embeddings of one utterance each of up to `most` training speakers, evenly taken, as they are (no
    augmentation), 10 s at most. A speaker with hundreds of utterances counts like all others.

    wespeaker subtracts the mean of its training before the cosine; here it can go into the last layer.
    """
    total = torch.zeros(model.embedding_dim)
    first = np.unique(dataset.labels, return_index=True)[1]
    chosen = first[:: -(-len(first) // most)].tolist()
    with torch.inference_mode():
        for utterance in chosen:
            samples = dataset.pcm.read(utterance, 0, min(dataset.pcm.num_samples(utterance), 10 * model.sample_rate))
            total += model(as_batch([samples]).to(device)).float().cpu()[0]
    return total / len(chosen)


class SpeakerTask(Task):
    """Model, loss, augmentation and optimiser of a recipe; batches are (waveform [B, T] or features [B, F, N], class [B]).

    Args:
        model: The net.
        loss: Part of the recipe.
        speakers: Names of the first classes.
        num_classes: Speakers x speeds.
        steps: Steps of the optimiser in the whole training; schedules are shares of it.
        augmenter: Noise and rooms for the batch, or None.
        specaugment: Arguments of `features.specaugment.specaugment`, or None.
        optimizer, schedule, margin_schedule: Sections of the recipe.
        trial_sets: What validation measures; the mean of their EERs chooses the checkpoint.
        seed: Of the augmentation.
        compile: Compile the net behind its front-end with torch.compile: a minute at the start, faster steps.
        init: What to start from (fine-tuning), or None: a model file; or a checkpoint of a training, which also brings the
            class weights of the speakers that both trainings know, at their own speed.
        notes: What the checkpoints hold beside weights: what a resumed training is compared with.
    """

    def __init__(
        self,
        model: SpeakerEncoder,
        loss: Mapping[str, Any],
        speakers: Sequence[str],
        num_classes: int,
        steps: int,
        *,
        augmenter: Augmenter | None = None,
        specaugment: Mapping[str, Any] | None = None,
        optimizer: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | None = None,
        margin_schedule: Mapping[str, Any] | None = None,
        trial_sets: Sequence[TrialSet] = (),
        seed: int = 0,
        compile: bool = False,
        init: str | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        built = registry.build("loss", loss, embedding_dim=model.embedding_dim, num_classes=num_classes)
        super().__init__(
            model, built, steps, EER, speakers=speakers, optimizer=optimizer, schedule=schedule, seed=seed, notes=notes
        )
        if init is not None:
            start_from(init, self.model, self.loss, self.speakers, num_classes)
        self.margin = getattr(self.loss, "margin", None)
        self.augmenter = augmenter
        self.specaugment = specaugment
        self.margin_schedule: MarginSchedule = registry.call(MarginSchedule, margin_schedule or {}, "margin_schedule")
        self.trial_sets = trial_sets
        self.compile_net = compile
        self.learns_features = any(parameter.requires_grad for parameter in self.model.frontend.parameters())
        self.embed_features = self.model.embed_features

    def setup(self, stage: str) -> None:
        """Compile in the process that trains; only the part behind the features: complex FFTs gain nothing."""
        if self.compile_net and stage == "fit":
            self.embed_features = torch.compile(self.model.embed_features)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss [] of a batch."""
        waveform, label = batch
        if self.margin is not None:
            self.loss.margin = self.margin_schedule.at(self.global_step, self.steps, self.margin)
        loss, hits = self.loss(self.embed_features(self._features(waveform, batch_idx)), label)
        self.look(loss, batch_idx)
        for name, value in (("loss", loss.detach()), ("accuracy", hits.float().mean())):
            self.log(name, value, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(label))
        return loss

    def _features(self, waveform: Tensor, batch_idx: int) -> Tensor:
        generator = self.seeded(batch_idx)
        with torch.no_grad():
            if self.augmenter is not None:
                waveform = self.augmenter(waveform, generator)
        with torch.set_grad_enabled(self.learns_features):
            features = self.model.frontend(waveform)
        return features if self.specaugment is None else specaugment(features, generator, **self.specaugment)

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """EER of one trial list; `batch` is its number."""
        trial_set = self.trial_sets[batch]
        with torch.autocast(self.device.type, enabled=False):
            value = eer(trial_set.scores(self.model, self.device), trial_set.labels)
        self.found.append(value)
        self.log(f"eer/{trial_set.name}", value, batch_size=1)
        self.log("eer", value, prog_bar=True, batch_size=1)
