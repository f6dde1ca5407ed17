"""From a recipe to a trained model: one run folder with recipe, log, checkpoints, figures and the model file."""

from __future__ import annotations

import dataclasses
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from voxid import registry
from voxid.atomic import replacing
from voxid.audio.augment import Augmenter
from voxid.config import dump_recipe, load_recipe
from voxid.errors import ConfigError, ModelError
from voxid.features.specaugment import specaugment as mask
from voxid.losses.class_weights import class_weights
from voxid.training.averages import Recent, RunningMean
from voxid.training.batches import Batches
from voxid.training.callbacks import AtomicCheckpointIO, History, Progress
from voxid.training.classifier import as_classifier
from voxid.training.corpus import Corpus, training_corpus
from voxid.training.layout import to_channels_last
from voxid.training.overlap import refuse_overlap
from voxid.training.result import Trained, export
from voxid.training.resume import check_same
from voxid.training.rows import Paths
from voxid.training.run_folder import open_folder
from voxid.training.settings import Settings, make_trainer
from voxid.training.sound import augmenter
from voxid.training.speaker import SpeakerTask, TrialSet
from voxid.training.validation import validation_trials

log = logging.getLogger("voxid")


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
    classifier: bool = False,
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
    corpus, trial_sets, every = _heard(manifest, root, where, data, validation, _rate(net.frontend))
    speaker_task = SpeakerTask(
        net,
        weighted(loss, corpus.counts().tolist() * len(corpus.dataset.speeds)),
        corpus.speakers,
        corpus.dataset.num_classes,
        settings.epochs * -(-corpus.batching.batches // settings.accumulate),
        augmenter=_sound(augment, specaugment, corpus, net.sample_rate),
        specaugment=specaugment,
        optimizer=_fused_where_it_can(optimizer, settings),
        schedule=schedule,
        margin_schedule=margin_schedule,
        trial_sets=trial_sets,
        seed=seed,
        compile=settings.compile,
        init=init,
    )
    _need_lists(speaker_task, settings)
    if classifier:
        as_classifier(net, speaker_task.loss, corpus.speakers)  # a loss without classes is told before the training
    if settings.channels_last:
        to_channels_last(speaker_task.model)
    _write_recipe(folder, recipe, last, speaker_task)
    _tell_balance(corpus, folder, seed)
    chosen = _run(speaker_task, corpus, folder, settings, every, last, seed)
    return export(speaker_task, corpus, folder, recipe, chosen)


def _sound(
    augment: Mapping[str, Any] | None, specaugment: Mapping[str, Any] | None, corpus: Corpus, sample_rate: int
) -> Augmenter | None:
    """Noise and rooms for the batches; the arguments of specaugment are checked beside."""
    if specaugment is not None:
        registry.check(mask, {"features": None, "generator": None} | dict(specaugment), "specaugment")
    if augment is None:
        return None
    if corpus.features:
        raise ConfigError("augment changes waveforms, and this model takes features; set augment=null (specaugment works)")
    sound: Augmenter = registry.call(augmenter, dict(augment) | {"sample_rate": sample_rate}, "augment")
    return sound


def _write_recipe(folder: Path, recipe: Mapping[str, Any], last: Path | None, task: SpeakerTask) -> None:
    """Put the recipe into its folder, unless that holds another training."""
    if last is not None:
        check_same(last, task.speakers, {name: value.shape for name, value in task.state_dict().items()})
    with replacing(folder / "recipe.yaml", ConfigError) as temporary:
        temporary.write_text(dump_recipe(recipe))


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
    rate: Mapping[str, Any],
) -> tuple[Corpus, list[TrialSet], int]:
    """What the training hears and is measured on, at the rate of the front-end, and every how many epochs."""
    corpus = registry.call(
        training_corpus, {"manifest": manifest, "root": root, "where": where} | dict(data) | dict(rate), "data"
    )
    every, lists = registry.call(_validation, validation or {}, "validation")
    trial_sets = registry.call(validation_trials, lists | {"cache": data["cache"]} | dict(rate), "validation")
    refuse_overlap(manifest, root, corpus, trial_sets)
    return corpus, trial_sets, every


def _rate(frontend: torch.nn.Module) -> dict[str, Any]:
    """What a net takes: samples at a rate, or features of so many bins at so many frames a second."""
    if getattr(frontend, "input_ndim", 2) == 3:
        return {"sample_rate": float(frontend.frame_rate), "bins": frontend.num_bins}  # type: ignore[arg-type]
    return {"sample_rate": frontend.sample_rate}


def _validation(trials: Paths | None = None, root: Paths | None = None, every: int = 1) -> tuple[int, dict[str, Any]]:
    """The section `validation` of a recipe: how often, and on what."""
    if every < 1:
        raise ConfigError(f"validation: every must be 1 or more epochs, got {every}")
    return every, {"trials": trials, "root": root}


def weighted(loss: Mapping[str, Any], counts: Sequence[int]) -> dict[str, Any]:
    """The loss of a recipe with a scheme of class weights turned into the weights of these classes.

    Args:
        loss: Part of a recipe; its `class_weights` is null, a scheme or a list of weights.
        counts: Utterances of each class [K].

    Example:
        >>> weighted({"name": "softmax", "class_weights": "inverse"}, [1, 3])
        {'name': 'softmax', 'class_weights': [1.5, 0.5]}
    """
    # null goes nowhere: losses without the argument are called as ever
    ready = {key: value for key, value in loss.items() if key != "class_weights" or value is not None}
    if isinstance(scheme := ready.get("class_weights"), str):
        ready["class_weights"] = class_weights(counts, scheme)
    if isinstance(parts := ready.get("parts"), list):
        ready["parts"] = [weighted(part, counts) if isinstance(part, Mapping) else part for part in parts]
    return ready


def _fused_where_it_can(optimizer: Mapping[str, Any] | None, settings: Settings) -> dict[str, Any]:
    # A gradient scaler (16-mixed) unscales before the gradients are clipped; a fused optimiser would do it after that.
    return ({"fused": False} if settings.precision.startswith("16") else {}) | dict(optimizer or {})


def _need_lists(task: SpeakerTask, settings: Settings) -> None:
    if task.trial_sets:
        return
    for wanted, key in ((task.schedule.name == "plateau", "schedule.name=plateau"), (settings.average_best, "average_best")):
        if wanted:
            raise ConfigError(f"{key} goes by the EER of a validation; give validation.trials")


def _tell_balance(corpus: Corpus, folder: Path, seed: int) -> None:
    """The long tail of the corpus and of what is drawn from it, in the log and in balance.json."""
    balance = corpus.balance(seed)
    log.info("%d utterances, %d speakers, %d classes", len(corpus.dataset), len(corpus.speakers), corpus.dataset.num_classes)
    log.info("in the corpus: %s", balance.corpus)
    log.info("in an epoch: %s", balance.drawn)
    with replacing(folder / "balance.json", ModelError) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(balance), indent=1) + "\n")


def _run(
    task: SpeakerTask, corpus: Corpus, folder: Path, settings: Settings, every: int, last: Path | None, seed: int
) -> list[Path]:
    """Train; the checkpoints whose weights are the result."""
    saved = folder / "checkpoints"
    # Written after each epoch, whatever the EER says: what a resumed run starts from.
    newest = ModelCheckpoint(saved, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    kept = max(settings.save_top, settings.average_best)
    top = ModelCheckpoint(saved, filename="{epoch}-{eer:.4f}", monitor="eer", save_top_k=kept, every_n_epochs=every)
    recent = Recent(saved, settings.average_last)
    trainer = make_trainer(
        settings,
        check_val_every_n_epoch=every,
        callbacks=[
            *([RunningMean(settings.ema)] if settings.ema is not None else []),
            Progress(),
            History(folder / "metrics.json"),
            recent,
            *([top] if task.trial_sets else []),
            newest,
        ],
        logger=TensorBoardLogger(folder, name=None, version="tensorboard"),
        plugins=[AtomicCheckpointIO()],
    )
    batches = Batches(corpus, len(task.trial_sets), settings.epochs, seed)
    # Lightning's advice on what else to install, and on its own deprecations, is not for the user of voxid.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        try:
            trainer.fit(task, datamodule=batches, ckpt_path=last, weights_only=True)
        except SystemExit:
            if trainer.interrupted:  # Lightning turns Ctrl-C into exit(1)
                log.info("interrupted; go on with trainer.resume=true output=%s", folder)
                raise KeyboardInterrupt from None
            raise
    return _chosen(top, recent, settings, saved)


def _chosen(top: ModelCheckpoint, recent: Recent, settings: Settings, saved: Path) -> list[Path]:
    """The best checkpoints by EER, the most recent ones, or the last one where nothing was validated."""
    if settings.average_last:
        return recent.paths()
    # By name: the folder may have been moved before a resume, and Lightning then forgets all but the best.
    if settings.average_best:
        files = saved.glob("epoch=*-eer=*.ckpt")
        return sorted(files, key=lambda path: (float(path.stem.rpartition("=")[2]), path.name))[: settings.average_best]
    best = saved / Path(top.best_model_path).name
    return [best if best.is_file() else saved / "last.ckpt"]
