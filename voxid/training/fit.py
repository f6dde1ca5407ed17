"""From a recipe to a trained model: one run folder with recipe, log, checkpoints, figures and the model file."""

from __future__ import annotations

import importlib.metadata
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from voxid import registry
from voxid.atomic import replacing
from voxid.config import dump_recipe, load_recipe
from voxid.errors import ConfigError
from voxid.features.specaugment import specaugment as mask
from voxid.metrics.detection import eer
from voxid.metrics.operating_points import operating_points
from voxid.models import checkpoint
from voxid.training.batches import Batches
from voxid.training.callbacks import AtomicCheckpointIO, History, Progress
from voxid.training.corpus import Corpus, refuse_overlap, training_corpus, validation_trials
from voxid.training.resume import check_same
from voxid.training.rows import Paths
from voxid.training.run_folder import open_folder
from voxid.training.sound import augmenter
from voxid.training.speaker import SpeakerTask, TrialSet, mean_embedding

log = logging.getLogger("voxid")


@dataclass(frozen=True)
class Trained:
    """What a training left: the run folder, the model file, and its mean EER on the validation lists."""

    output: str
    model: str
    speakers: int
    utterances: int
    steps: int
    eer: float | None


@dataclass(frozen=True)
class Settings:
    """The section `trainer` of a recipe."""

    epochs: int
    accelerator: str = "auto"
    devices: str | int = "auto"
    strategy: str = "auto"
    precision: str = "32-true"
    gradient_clip: float | None = 5.0
    save_top: int = 3
    compile: bool = False
    threads: int | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.save_top < 0 or (self.threads is not None and self.threads < 1):
            raise ConfigError("trainer: epochs and threads must be 1 or more, save_top 0 or more")


def train(recipe: str | Path | Mapping[str, Any], *overrides: str) -> Trained:
    """Train a model: the verb `train`.

    Args:
        recipe: A name (`config.recipe_names`), a YAML file, or a recipe as plain data.
        overrides: ``key=value`` with dots for depth.

    Raises:
        ConfigError: Unknown recipe, key or value.
        DataError: Manifests or trials that do not hold together.
    """
    if not isinstance(recipe, Mapping):
        recipe = load_recipe(recipe, overrides)
    elif overrides:
        raise ConfigError("overrides go with a recipe's name or file; a recipe that is a mapping is changed itself")
    return fit(recipe)


def fit(recipe: Mapping[str, Any]) -> Trained:
    """Train the model of a recipe and write it to ``OUTPUT/model.safetensors``.

    Args:
        recipe: Plain data, as `config.load_recipe` gives it.

    Raises:
        ConfigError: An unknown key, or a run folder that holds another run.
        DataError: Manifests or trials that do not hold together.
    """
    registry.check(_fit, recipe, "recipe")
    return _fit(**recipe)


def _fit(
    manifest: Paths,
    output: str,
    model: Mapping[str, Any],
    loss: Mapping[str, Any],
    data: Mapping[str, Any],
    trainer: Mapping[str, Any],
    *,
    task: str = "speaker",
    root: Paths | None = None,
    where: Mapping[str, Any] | None = None,
    init: str | None = None,
    seed: int = 0,
    center: bool = True,
    augment: Mapping[str, Any] | None = None,
    specaugment: Mapping[str, Any] | None = None,
    optimizer: Mapping[str, Any] | None = None,
    schedule: Mapping[str, Any] | None = None,
    margin_schedule: Mapping[str, Any] | None = None,
    validation: Mapping[str, Any] | None = None,
) -> Trained:
    recipe = dict(locals())
    _check(task, seed)
    settings = registry.call(Settings, trainer, "trainer")
    folder = Path(output)
    last = open_folder(folder, settings.resume)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    lightning.seed_everything(seed, verbose=False)
    net = registry.build("speaker", model)
    corpus, trial_sets, every = _heard(manifest, root, where, data, validation, net.sample_rate)
    sound = None
    if augment is not None:
        sound = registry.call(augmenter, dict(augment) | {"sample_rate": net.sample_rate}, "augment")
    if specaugment is not None:
        registry.check(mask, {"features": None, "generator": None} | dict(specaugment), "specaugment")
    speaker_task = SpeakerTask(
        net,
        loss,
        corpus.speakers,
        corpus.dataset.num_classes,
        settings.epochs * corpus.batches,
        augmenter=sound,
        specaugment=specaugment,
        optimizer=optimizer,
        schedule=schedule,
        margin_schedule=margin_schedule,
        trial_sets=trial_sets,
        seed=seed,
        compile=settings.compile,
        init=init,
    )
    if last is not None:
        check_same(last, corpus.speakers, {name: value.shape for name, value in speaker_task.state_dict().items()})
    with replacing(folder / "recipe.yaml", ConfigError) as temporary:
        temporary.write_text(dump_recipe(recipe))
    log.info("%d utterances, %d speakers, %d classes", len(corpus.dataset), len(corpus.speakers), corpus.dataset.num_classes)
    best = _run(speaker_task, corpus, folder, settings, every, last, seed)
    return _export(speaker_task, corpus, folder, recipe, best)


def _check(task: str, seed: int) -> None:
    if task != "speaker":
        raise ConfigError(f"unknown task {task!r}: this version of voxid trains the task 'speaker'")
    if not 0 <= seed < 2**31:
        raise ConfigError(f"seed must lie within 0 ... 2147483647, got {seed}")


def _heard(
    manifest: Paths,
    root: Paths | None,
    where: Mapping[str, Any] | None,
    data: Mapping[str, Any],
    validation: Mapping[str, Any] | None,
    sample_rate: int,
) -> tuple[Corpus, list[TrialSet], int]:
    """What the training hears and is measured on, at the rate of the front-end, and every how many epochs."""
    rate = {"sample_rate": sample_rate}
    corpus = registry.call(training_corpus, {"manifest": manifest, "root": root, "where": where} | dict(data) | rate, "data")
    every, lists = registry.call(_validation, validation or {}, "validation")
    trial_sets = registry.call(validation_trials, lists | {"cache": data["cache"]} | rate, "validation")
    refuse_overlap(manifest, root, corpus, trial_sets)
    return corpus, trial_sets, every


def _validation(trials: Paths | None = None, root: Paths | None = None, every: int = 1) -> tuple[int, dict[str, Any]]:
    """The section `validation` of a recipe: how often, and on what."""
    if every < 1:
        raise ConfigError(f"validation: every must be 1 or more epochs, got {every}")
    return every, {"trials": trials, "root": root}


def _run(task: SpeakerTask, corpus: Corpus, folder: Path, settings: Settings, every: int, last: Path | None, seed: int) -> Path:
    """Train; the checkpoint with the best EER, or the last one where nothing was validated."""
    saved = folder / "checkpoints"
    callbacks = [Progress(), History(folder / "metrics.json")]
    # Written after each epoch, whatever the EER says: what a resumed run starts from.
    newest = ModelCheckpoint(saved, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    top = ModelCheckpoint(saved, filename="{epoch}-{eer:.4f}", monitor="eer", save_top_k=settings.save_top, every_n_epochs=every)
    arguments: dict[str, Any] = {
        "max_epochs": settings.epochs,
        "accelerator": settings.accelerator,
        "devices": settings.devices,
        "strategy": settings.strategy,
        "precision": settings.precision,
        "gradient_clip_val": settings.gradient_clip,
        "check_val_every_n_epoch": every,
        "num_sanity_val_steps": 0,
        "callbacks": [*callbacks, *([top] if task.trial_sets else []), newest],
        "logger": TensorBoardLogger(folder, name=None, version="tensorboard"),
        "plugins": [AtomicCheckpointIO()],
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "log_every_n_steps": 20,
    }
    trainer = _trainer(arguments)
    # Lightning's advice on what else to install, and on its own deprecations, is not for the user of voxid.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        try:
            trainer.fit(task, datamodule=Batches(corpus, len(task.trial_sets), seed), ckpt_path=last, weights_only=True)
        except SystemExit:
            if trainer.interrupted:  # Lightning turns Ctrl-C into exit(1)
                log.info("interrupted; go on with trainer.resume=true output=%s", folder)
                raise KeyboardInterrupt from None
            raise
    best = saved / Path(top.best_model_path).name  # by name: the folder may have been moved before a resume
    return best if task.trial_sets and best.is_file() else saved / "last.ckpt"


def _trainer(arguments: dict[str, Any]) -> lightning.Trainer:
    """Lightning's Trainer; a word that it does not know is a mistake in the recipe."""
    try:
        return lightning.Trainer(**arguments)
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise ConfigError(f"trainer: {' '.join(str(error).split())[:300]}") from error


def _version() -> str:
    try:
        return importlib.metadata.version("voxid")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return "not installed"


def _export(task: SpeakerTask, corpus: Corpus, folder: Path, recipe: Mapping[str, Any], best: Path) -> Trained:
    """Write the chosen weights with their card: figures and thresholds are those of the validation lists."""
    path = folder / "model.safetensors"
    if getattr(rank_zero_only, "rank", 0):  # the first process of a distributed training does it for all
        return Trained(str(folder), str(path), len(corpus.speakers), len(corpus.dataset), task.steps, None)
    state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
    task.load_state_dict(state)
    task.eval()
    if recipe["center"]:
        task.model.subtract(mean_embedding(task.model, corpus.dataset, task.device))
    scored = {trial_set.name: (trial_set.scores(task.model, task.device), trial_set.labels) for trial_set in task.trial_sets}
    errors = {name: eer(scores, labels) for name, (scores, labels) in scored.items()}
    card: dict[str, Any] = {
        "name": folder.name,
        "voxid": _version(),
        "recipe": dict(recipe),
        "checkpoint": best.name,
        "training": {"speakers": len(corpus.speakers), "utterances": len(corpus.dataset), "steps": task.steps},
        "validation_eer": errors,
    }
    if scored:
        scores, labels = (np.concatenate(column) for column in zip(*scored.values(), strict=True))
        card["thresholds"] = {"source": ", ".join(scored), "points": operating_points(scores, labels)}
    checkpoint.save(task.model, path, card=card)
    mean = float(np.mean(list(errors.values()))) if errors else None
    return Trained(str(folder), str(path), len(corpus.speakers), len(corpus.dataset), task.steps, mean)
