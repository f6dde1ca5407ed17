"""The tasks `enhancement` and `separation`, from their recipe to their model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch

from voxid import registry
from voxid.errors import ConfigError, VoxidError, did_you_mean
from voxid.extras import need
from voxid.training.batches import Batches
from voxid.training.begin import begin, fused_where_it_can, write_recipe
from voxid.training.checks import OWN, TOP, check_keys, need_lists, try_moves
from voxid.training.figure import Figure
from voxid.training.fixed import fixed_part
from voxid.training.layout import to_channels_last
from voxid.training.mixture_corpus import MixtureCorpus, mixture_corpus
from voxid.training.mixture_result import export_net
from voxid.training.mixture_sets import MixtureSet, validation_mixtures
from voxid.training.overlap import refuse_files, refuse_overlap, tell_shared_noise
from voxid.training.ready_corpus import check_ready, ready_corpus
from voxid.training.result import Trained
from voxid.training.resume import check_same
from voxid.training.rows import Paths, listed
from voxid.training.run_folder import open_folder
from voxid.training.settings import Settings
from voxid.training.waveforms import FIGURES, WaveformTask, signal_loss

log = logging.getLogger("voxid")
MODELS, SOURCES = "it is that of the model", "it is model.num_sources"
PESQ_RATES = (8000, 16000)
GIVEN = {
    "data": {
        "manifest": TOP,
        "root": TOP,
        "where": TOP,
        "seed": TOP,
        "sample_rate": MODELS,
        "num_sources": SOURCES,
        "voices": SOURCES,
    },
    "optimizer": {"parameters": OWN},
}


def fit_mixtures(
    output: str,
    model: Mapping[str, Any],
    loss: Mapping[str, Any],
    data: Mapping[str, Any],
    trainer: Mapping[str, Any],
    *,
    task: str,
    manifest: Paths | None = None,
    root: Paths | None = None,
    where: Mapping[str, Any] | None = None,
    init: str | None = None,
    seed: int = 0,
    optimizer: Mapping[str, Any] | None = None,
    schedule: Mapping[str, Any] | None = None,
    validation: Mapping[str, Any] | None = None,
) -> Trained:
    """Train an enhancer or a separator; the arguments are the keys of its recipe, as docs/train.md explains them."""
    recipe = dict(locals())
    check_keys(recipe, GIVEN)
    settings = registry.call(Settings, trainer, "trainer")
    every, figure, measure_pesq, lists = registry.call(_validation, validation or {}, "validation")
    validates = bool(listed(lists["mixtures"]))
    need_lists(schedule, settings, listed(lists["mixtures"]), "validation.mixtures")
    folder, fixed = Path(output), fixed_part(recipe) | ({"validation.figure": figure.name} if validates else {})
    loop, last, behind = begin(folder, settings, fixed, every, validates, figure)
    lightning.seed_everything(seed, verbose=False)
    net = _net(recipe, settings)
    if measure_pesq and validates:
        _check_rate(net.sample_rate)
    corpus, sets = _heard(recipe, net, lists)
    origin = dict(corpus.origin) | {"processes": loop.trainer.world_size}
    waveform_task = WaveformTask(
        net,
        loss,
        settings.epochs * -(-corpus.mixing.batches // settings.accumulate),
        figure,
        sets=sets,
        measure_pesq=measure_pesq,
        speakers=corpus.speakers,
        optimizer=fused_where_it_can(optimizer, settings),
        schedule=schedule,
        seed=seed,
        compile=settings.compile,
        init=init,
        notes={"fixed": fixed, "utterances": corpus.recordings, "origin": origin},
    )
    if last is not None:
        shapes = {name: value.shape for name, value in waveform_task.state_dict().items()}
        check_same(last, corpus.speakers, shapes, corpus.recordings, origin)
    open_folder(folder)  # here all is checked, and the first file written
    write_recipe(recipe, folder)
    log.info("%d recordings, %d speakers", corpus.recordings, len(corpus.speakers))
    chosen = loop.run(waveform_task, Batches(corpus, len(sets), settings.epochs, seed, behind), last)
    return export_net(waveform_task, corpus, folder, recipe, chosen)


def _validation(
    mixtures: Paths | None = None,
    root: Paths | None = None,
    where: Mapping[str, Any] | None = None,
    every: int = 1,
    figure: str = "si_sdr_improvement",
    pesq: bool = False,
) -> tuple[int, Figure, bool, dict[str, Any]]:
    """The section `validation` of a recipe: how often, what counts, and on what."""
    if every < 1:
        raise ConfigError(f"validation: every must be 1 or more epochs, got {every}")
    if figure not in FIGURES:
        raise ConfigError(f"validation: unknown figure {figure!r}: {did_you_mean(figure, FIGURES)}")
    measured = pesq or figure == "pesq"
    if measured and mixtures:
        need("pesq", extra="signal")
    return every, FIGURES[figure], measured, {"mixtures": mixtures, "root": root, "where": where}


def _check_rate(sample_rate: int) -> None:
    """Raise `ConfigError` for a rate that PESQ is not defined at."""
    if sample_rate not in PESQ_RATES:
        raise ConfigError(
            f"validation: PESQ is defined at 8000 and 16000 Hz, and the model runs at {sample_rate} Hz; take validation.pesq and "
            "figure=pesq out, or train at one of them"
        )


def _net(recipe: Mapping[str, Any], settings: Settings) -> Any:
    """The model of a recipe; loss, optimiser and schedule are tried with it."""
    net = registry.build(recipe["task"], recipe["model"])
    try_moves(recipe)
    _try_loss(recipe["loss"], net)
    if settings.channels_last:
        to_channels_last(net)
    return net


def _try_loss(loss: Mapping[str, Any], net: Any) -> None:
    """Raise `ConfigError` for a loss that cannot be built, or cannot be taken of what such a net gives."""
    built = signal_loss(loss, net.kind)
    shape = (1, 640) if net.kind == "enhancement" else (1, net.num_sources, 640)
    waves = torch.linspace(-1, 1, 640).expand(shape)
    try:
        built(waves, waves, mixture=waves.reshape(-1, 640)[:1])
    except (VoxidError, *registry.REFUSALS) as error:
        raise ConfigError(f"loss: it cannot be taken of waveforms {list(shape)}: {error}") from error


def _heard(recipe: Mapping[str, Any], net: Any, lists: Mapping[str, Any]) -> tuple[MixtureCorpus, list[MixtureSet]]:
    """What the training hears and is measured on, at the rate of the net."""
    given = {"sample_rate": net.sample_rate, "num_sources": getattr(net, "num_sources", 1)}
    rows = {name: recipe[name] for name in ("root", "where", "seed")}
    data = {key: value for key, value in recipe["data"].items() if key != "mixtures" or value is not None}
    sets = registry.call(validation_mixtures, dict(lists) | given, "validation")
    if "mixtures" in data:
        check_ready(data, recipe["manifest"])
        corpus = registry.call(ready_corpus, rows | data | given, "data")
        refuse_files(corpus.ready, corpus.speakers, sets)
        return corpus, sets
    corpus = registry.call(mixture_corpus, {"manifest": recipe["manifest"]} | rows | data | given, "data")
    refuse_overlap(recipe["manifest"], recipe["root"], corpus, sets)
    for mixtures in sets:
        tell_shared_noise(corpus.noises, mixtures.name, mixtures.noises)
    return corpus, sets
