"""The task `speaker`: embeddings that tell speakers apart, trained by classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from voxid import registry
from voxid.audio.augment import Augmenter
from voxid.data.dataset import PCM, SpeakerDataset
from voxid.errors import ModelError
from voxid.features.specaugment import specaugment
from voxid.metrics.detection import eer
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.scoring.cosine import cosine_trials
from voxid.training.optim import lr_factor, margin_at, optimizer
from voxid.training.resume import start_from


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
                rows.append(model(torch.from_numpy(samples)[None].to(device)).float().cpu().numpy()[0])
        return cosine_trials(np.stack(rows), self.enrol, self.test)


def mean_embedding(model: SpeakerEncoder, dataset: SpeakerDataset, device: torch.device, most: int = 1000) -> Tensor:
    """Mean [D] of the embeddings of up to `most` training utterances, evenly taken, as they are (no augmentation), 10 s at most.

    wespeaker subtracts this mean before the cosine; here it can go into the last layer.
    """
    total = torch.zeros(model.embedding_dim)
    chosen = range(0, len(dataset), -(-len(dataset) // most))
    with torch.inference_mode():
        for utterance in chosen:
            samples = dataset.pcm.read(utterance, 0, min(dataset.pcm.num_samples(utterance), 10 * model.sample_rate))
            total += model(torch.from_numpy(samples)[None].to(device)).float().cpu()[0]
    return total / len(chosen)


class SpeakerTask(lightning.LightningModule):
    """Model, loss, augmentation and optimiser of a recipe; batches are (waveform [B, T], class [B]).

    Args:
        model: The net.
        loss: Part of the recipe.
        speakers: Names of the first classes.
        num_classes: Speakers x speeds.
        steps: Of the whole training; schedules are shares of it.
        augmenter: Noise and rooms for the batch, or None.
        specaugment: Arguments of `features.specaugment.specaugment`, or None.
        optimizer, schedule, margin_schedule: Sections of the recipe.
        trial_sets: What validation measures; the mean of their EERs chooses the checkpoint.
        seed: Of the augmentation.
        compile: Compile the net behind its front-end with torch.compile: a minute at the start, faster steps.
        init: What to start from (fine-tuning), or None: a model file; or a checkpoint of a training, which also brings the
            class weights of the speakers that both trainings know, at their own speed.
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
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = registry.build("loss", loss, embedding_dim=self.model.embedding_dim, num_classes=num_classes)
        self.speakers = list(speakers)
        if init is not None:
            start_from(init, self.model, self.loss, self.speakers)
        self.steps, self.seed = steps, seed
        self.margin = getattr(self.loss, "margin", None)
        self.augmenter = augmenter
        self.specaugment = specaugment
        self.optimizer_spec = dict(optimizer or {})
        self.schedule = dict(schedule or {})
        self.margin_schedule = dict(margin_schedule or {})
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
            self.loss.margin = margin_at(self.global_step, self.steps, self.margin, **self.margin_schedule)
        loss, hits = self.loss(self.embed_features(self._features(waveform)), label)
        if not bool(torch.isfinite(loss)):
            raise ModelError(
                f"the loss is {loss.item()} at step {self.global_step}; the last checkpoint is whole. "
                "Resume from it with a lower optimizer.lr, or with trainer.precision=32-true",
                "E_NOT_FINITE",
            )
        for name, value in (("loss", loss.detach()), ("accuracy", hits.float().mean())):
            self.log(name, value, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(label))
        return loss

    def _features(self, waveform: Tensor) -> Tensor:
        # Draws of the step's own, torch's global ones (dropout, dither) too: a resumed run meets those of the unbroken one.
        number = (self.seed * 1_000_003 + self.global_step) * 1_009 + self.global_rank
        torch.manual_seed(number)
        generator = torch.Generator().manual_seed(number)
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
        self.log(f"eer/{trial_set.name}", value, batch_size=1)
        self.log("eer", value, prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser of the recipe, and a schedule that moves every step."""
        rule = registry.call(optimizer, {"parameters": list(self.parameters())} | self.optimizer_spec, "optimizer")
        registry.check(margin_at, {"step": 0, "steps": 1, "margin": 0.0} | self.margin_schedule, "margin_schedule")
        registry.call(lr_factor, {"step": self.steps, "steps": self.steps} | self.schedule, "schedule")  # refuse a wrong key now
        scheduler = torch.optim.lr_scheduler.LambdaLR(rule, lambda step: lr_factor(step, self.steps, **self.schedule))
        return {"optimizer": rule, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the names of the classes, so that a fine-tuning finds its speakers."""
        checkpoint["speakers"] = self.speakers
