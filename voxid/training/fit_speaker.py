"""The task `speaker`, from its recipe to its model."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch

from voxid import registry
from voxid.atomic import replacing
from voxid.audio.augment import Augmenter
from voxid.data.balance import Balance
from voxid.errors import ConfigError, ModelError
from voxid.training.batches import Batches
from voxid.training.begin import begin, fused_where_it_can, write_recipe
from voxid.training.checks import check_keys, check_values, need_lists
from voxid.training.classifier import as_classifier
from voxid.training.corpus import Corpus, training_corpus
from voxid.training.figure import EER
from voxid.training.fixed import fixed_part
from voxid.training.layout import to_channels_last
from voxid.training.loss import weighted
from voxid.training.overlap import refuse_overlap
from voxid.training.result import Trained, export
from voxid.training.resume import check_same
from voxid.training.rows import Paths, listed
from voxid.training.run_folder import open_folder
from voxid.training.settings import Settings
from voxid.training.sound import augmenter
from voxid.training.speaker import SpeakerTask, TrialSet
from voxid.training.validation import validation_trials

log = logging.getLogger("voxid")


def fit_speaker(
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
    """Train a speaker model; the arguments are the keys of its recipe, as docs/train.md explains them."""
    recipe = dict(locals())
    check_keys(recipe)
    settings = registry.call(Settings, trainer, "trainer")
    every, lists = registry.call(_validation, validation or {}, "validation")
    need_lists(schedule, settings, listed(lists["trials"]))
    folder, fixed = Path(output), fixed_part(recipe)
    loop, last, behind = begin(folder, settings, fixed, every, bool(listed(lists["trials"])), EER)
    lightning.seed_everything(seed, verbose=False)
    net = _net(recipe, settings)
    sound = _sound(augment, net)
    corpus, trial_sets = _heard(manifest, root, where, data, lists, _rate(net.frontend))
    speaker_task = SpeakerTask(
        net,
        weighted(loss, corpus.counts().tolist() * len(corpus.dataset.speeds)),
        corpus.speakers,
        corpus.dataset.num_classes,
        settings.epochs * -(-corpus.batching.batches // settings.accumulate),
        augmenter=sound,
        specaugment=specaugment,
        optimizer=fused_where_it_can(optimizer, settings),
        schedule=schedule,
        margin_schedule=margin_schedule,
        trial_sets=trial_sets,
        seed=seed,
        compile=settings.compile,
        init=init,
        notes={"fixed": fixed, "utterances": len(corpus.dataset)},
    )
    if classifier:
        as_classifier(net, speaker_task.loss, corpus.speakers)  # a loss without classes is told before the training
    if last is not None:
        shapes = {name: value.shape for name, value in speaker_task.state_dict().items()}
        check_same(last, corpus.speakers, shapes, len(corpus.dataset))
    balance = corpus.balance(seed)
    open_folder(folder)  # here all is checked, and the first file written
    _write_down(recipe, balance, corpus, folder)
    chosen = loop.run(speaker_task, Batches(corpus, len(trial_sets), settings.epochs, seed, behind), last)
    return export(speaker_task, corpus, folder, recipe, chosen)


def _net(recipe: Mapping[str, Any], settings: Settings) -> Any:
    """The model of a recipe, whose other values are tried with it."""
    net = registry.build("speaker", recipe["model"])
    check_values(recipe, net)
    if settings.channels_last:
        to_channels_last(net)
    return net


def _sound(augment: Mapping[str, Any] | None, net: Any) -> Augmenter | None:
    """Noise and rooms for the batches."""
    if augment is None:
        return None
    if _takes_features(net.frontend):
        raise ConfigError("augment changes waveforms, and this model takes features; set augment=null (specaugment works)")
    sound: Augmenter = registry.call(augmenter, dict(augment) | {"sample_rate": net.sample_rate}, "augment")
    return sound


def _heard(
    manifest: Paths,
    root: Paths | None,
    where: Mapping[str, Any] | None,
    data: Mapping[str, Any],
    lists: Mapping[str, Any],
    rate: Mapping[str, Any],
) -> tuple[Corpus, list[TrialSet]]:
    """What the training hears and is measured on, at the rate of the front-end."""
    corpus = registry.call(
        training_corpus, {"manifest": manifest, "root": root, "where": where} | dict(data) | dict(rate), "data"
    )
    trial_sets = registry.call(validation_trials, dict(lists) | {"cache": data["cache"]} | dict(rate), "validation")
    refuse_overlap(manifest, root, corpus, trial_sets)
    return corpus, trial_sets


def _rate(frontend: torch.nn.Module) -> dict[str, Any]:
    """What a net takes: samples at a rate, or features of so many bins at so many frames a second."""
    if _takes_features(frontend):
        return {"sample_rate": float(frontend.frame_rate), "bins": frontend.num_bins}  # type: ignore[arg-type]
    return {"sample_rate": frontend.sample_rate}


def _takes_features(frontend: torch.nn.Module) -> bool:
    return bool(getattr(frontend, "input_ndim", 2) == 3)


def _validation(trials: Paths | None = None, root: Paths | None = None, every: int = 1) -> tuple[int, dict[str, Any]]:
    """The section `validation` of a recipe: how often, and on what."""
    if every < 1:
        raise ConfigError(f"validation: every must be 1 or more epochs, got {every}")
    return every, {"trials": trials, "root": root}


def _write_down(recipe: Mapping[str, Any], balance: Balance, corpus: Corpus, folder: Path) -> None:
    """recipe.yaml, and the long tail of the corpus and of what is drawn from it, in the log and in balance.json."""
    write_recipe(recipe, folder)
    log.info("%d utterances, %d speakers, %d classes", len(corpus.dataset), len(corpus.speakers), corpus.dataset.num_classes)
    log.info("in the corpus: %s", balance.corpus)
    log.info("in an epoch: %s", balance.drawn)
    with replacing(folder / "balance.json", ModelError) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(balance), indent=1) + "\n")
