"""The task `speaker`: embeddings that tell speakers apart, trained by classification or by a metric loss."""

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
from torch import Tensor

from voxid import registry
from voxid.audio.augment import Augmenter
from voxid.data.dataset import PCM, SpeakerDataset, as_batch
from voxid.errors import ModelError
from voxid.features.specaugment import specaugment
from voxid.metrics.detection import eer
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.scoring.cosine import cosine_trials
from voxid.training.optim import optimizer
from voxid.training.resume import start_from
from voxid.training.schedules import MarginSchedule, Plateau, Schedule

# Of an optimiser's options, how it computes, not what: a resumed training keeps it.
COMPUTED = ("params", "fused", "foreach", "capturable", "differentiable", "decoupled_weight_decay")
log = logging.getLogger("voxid")
LOOK = 10  # batches between two looks at the loss: each look makes a GPU wait for its queue


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


class SpeakerTask(lightning.LightningModule):
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
        super().__init__()
        self.model = model
        self.loss = registry.build("loss", loss, embedding_dim=self.model.embedding_dim, num_classes=num_classes)
        self.speakers = list(speakers)
        if init is not None:
            start_from(init, self.model, self.loss, self.speakers, num_classes)
        self.steps, self.seed, self.notes = steps, seed, dict(notes or {})
        self.margin = getattr(self.loss, "margin", None)
        self.augmenter = augmenter
        self.specaugment = specaugment
        self.optimizer_spec = dict(optimizer or {})
        self.schedule: Schedule = registry.call(Schedule, schedule or {}, "schedule")
        self.plateau = Plateau(self.schedule)
        self.margin_schedule: MarginSchedule = registry.call(MarginSchedule, margin_schedule or {}, "margin_schedule")
        self.trial_sets = trial_sets
        self.compile_net = compile
        self.learns_features = any(parameter.requires_grad for parameter in self.model.frontend.parameters())
        self.embed_features = self.model.embed_features
        self.found: list[float] = []

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
        if batch_idx % LOOK == 0 or self.trainer.is_last_batch:  # a checkpoint is written after the last one
            self._refuse(loss, f"the loss is {loss.item()} at step {self.global_step}")
        for name, value in (("loss", loss.detach()), ("accuracy", hits.float().mean())):
            self.log(name, value, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(label))
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """At the end of an epoch, look at the weights before they are validated and saved."""
        if self.trainer.is_last_batch:
            for value in self._moved():
                self._refuse(value, f"weights are no finite numbers any more after step {self.global_step}")

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

    def _features(self, waveform: Tensor, batch_idx: int) -> Tensor:
        # Draws of the batch's own, torch's global ones (dropout, dither) too: a resumed run meets those of the unbroken one.
        batch = self.current_epoch * int(self.trainer.num_training_batches) + batch_idx
        number = (self.seed * 1_000_003 + batch) * 1_009 + self.global_rank
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
        self.found.append(value)
        self.log(f"eer/{trial_set.name}", value, batch_size=1)
        self.log("eer", value, prog_bar=True, batch_size=1)

    def on_validation_epoch_end(self) -> None:
        """Let a plateau see the mean EER: that of the first process, so that all have one learning rate."""
        mean = self.trainer.strategy.broadcast(float(np.mean(self.found)))
        self.found = []
        if self.schedule.name == "plateau":
            self.plateau.observe(mean)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser of the recipe, and a schedule that moves every step."""
        rule = registry.call(optimizer, {"parameters": list(self.parameters())} | self.optimizer_spec, "optimizer")
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
        """Keep the names of the classes, so that a fine-tuning finds its speakers, and where a plateau stands."""
        checkpoint.update(self.notes, speakers=self.speakers)
        checkpoint["plateau"] = self.plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on where the plateau stood."""
        if "plateau" in checkpoint:
            self.plateau.load_state_dict(checkpoint["plateau"])
