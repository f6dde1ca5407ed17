"""The verbs that stand alone: info, embed, verify, train, evaluate."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from cyclopts import Parameter

from voxid.cli.apps import Imports, Json, Norm, Output, Words, app, conditions, evaluate_app, train_app
from voxid.cli.output import ready, show


@app.command
def info(file: str, *, speech: bool = True, max_duration: float = 3600.0, strict: bool = False, json: Json = False) -> None:
    """What is in an audio file, measured by decoding all of it.

    Args:
        file: The recording.
        speech: Refuse what cannot hold a voice (silence, a click, even noise, a bare tone).
        max_duration: Longest recording to accept, in seconds.
        strict: Refuse whatever deserves a warning.
    """
    from voxid.pipelines.info import info as run

    show(run(file, speech=speech, max_duration=max_duration, strict=strict), json)


@app.command
def embed(
    files: list[str] | None = None,
    *,
    output: Output,
    manifest: Words = (),
    root: Words = (),
    where: Words = (),
    model: str | None = None,
    device: str = "auto",
    imports: Imports = False,
    on_error: Literal["raise", "skip"] = "raise",
    json: Json = False,
) -> None:
    """Embeddings of recordings, written as one .safetensors file.

    Args:
        files: The recordings.
        output: The .safetensors file to write; rows in the order of the recordings.
        manifest: Manifests of recordings (.csv, .jsonl), besides the files or instead of them.
        root: Folder that the paths of all manifests are relative to, or one folder each; by default each manifest's own.
        where: Take rows of the manifests with these values, e.g. split=train.
        model: A name or a file; the bundled model when absent.
        device: auto, cpu, cuda ...
        on_error: raise stops at recordings that cannot be used, skip leaves them out and names them.
    """
    from voxid.pipelines.embed_to_file import embed_to_file as run

    ready()
    result = run(
        files or (),
        output=output,
        manifest=manifest,
        root=root or None,
        where=conditions(where),
        model=model,
        device=device,
        imports=imports,
        on_error=on_error,
    )
    show(result, json, result.describe())


@app.command
def verify(
    enrol: str,
    test: str,
    *,
    model: str | None = None,
    far: float = 0.01,
    threshold: float | None = None,
    prior: float = 0.5,
    device: str = "auto",
    imports: Imports = False,
    json: Json = False,
) -> None:
    """Is it the same speaker in two recordings?

    Args:
        enrol: The first recording.
        test: The second recording.
        model: A name or a file; the bundled model when absent.
        far: False-accept rate to aim at; the model's card holds the threshold for it.
        threshold: A threshold of your own instead, a log-likelihood ratio (a score for a model without a calibration).
        prior: Probability of the same speaker before anybody listened; for the probability that is printed.
        device: auto, cpu, cuda ...
    """
    from voxid.pipelines.verify import verify as run

    ready()
    result = run(enrol, test, model=model, far=far, threshold=threshold, prior=prior, device=device, imports=imports)
    show(result, json, result.describe())


@train_app.default
def train(recipe: str, *overrides: str, json: Json = False) -> None:
    """Train a model from a recipe, e.g. voxid train speaker/ecapa_tdnn manifest=train.csv trainer.epochs=20

    Args:
        recipe: A name (voxid models recipes) or a YAML file.
        overrides: key=value, with dots for depth; list values in brackets.
    """
    from voxid.config import load_recipe
    from voxid.extras import need

    settings = load_recipe(recipe, overrides)
    need("lightning", extra="train")
    need("tensorboard", extra="train")
    ready()
    from voxid.training.fit import train as run

    result = run(settings)
    if os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0":  # one answer, however many processes trained
        show(result, json)


@evaluate_app.default
def evaluate(
    model: str | None = None,
    *,
    trials: str,
    root: str,
    backend: str | None = None,
    norm: Norm | None = None,
    top: int | None = None,
    cohort: str | None = None,
    calibration: str | None = None,
    output: Annotated[str | None, Parameter(name=["--output", "-o"])] = None,
    scores: str | None = None,
    plots: str | None = None,
    report: str | None = None,
    speakers: str | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    device: str = "auto",
    imports: Imports = False,
    on_error: Literal["raise", "skip"] = "raise",
    json: Json = False,
) -> None:
    """Error rates of a model on a trial list, with intervals.

    Args:
        model: A name, a file or a run folder; the bundled model when absent.
        trials: The list: VoxCeleb (1 a b), Kaldi or wespeaker (a b target).
        root: Folder that the list's paths are relative to.
        backend: A file of voxid train backend, or cosine; by default the model's own.
        norm: Score normalisation: none, z, t, s or as; by default as the back-end has it.
        top: How many of the cohort --norm as takes for each recording.
        cohort: Embeddings or a manifest of recordings of other speakers; by default the back-end's own.
        calibration: A file of voxid calibrate; by default the model's own.
        output: Also write the result as JSON.
        scores: Also write a score file: enrol test score label.
        plots: Also write figures (PNG) into this folder.
        report: Also write a page with the figures inside, .html or .md.
        speakers: Who speaks where: a manifest or a regular expression; by default manifest.csv in the root, else the folders.
        bootstrap: Resamples of the speakers behind the interval; 0 for none.
        seed: Of the resampling.
        device: auto, cpu, cuda ...
        on_error: raise stops at recordings that cannot be used, skip leaves their trials out and counts them.
    """
    from voxid.evaluation.evaluate import evaluate as run

    ready()
    result = run(
        model,
        trials=trials,
        root=root,
        backend=backend,
        norm=norm,
        top=top,
        cohort=cohort,
        calibration=calibration,
        output=output,
        scores=scores,
        plots=plots,
        report=report,
        speakers=speakers,
        bootstrap=bootstrap,
        seed=seed,
        device=device,
        imports=imports,
        on_error=on_error,
    )
    show(result, json, result.describe())


@evaluate_app.command(name="identification")
def evaluate_identification(
    models: list[str],
    *,
    manifest: Words,
    root: Words = (),
    where: Words = (),
    output: Annotated[str | None, Parameter(name=["--output", "-o"])] = None,
    device: str = "auto",
    imports: Imports = False,
    json: Json = False,
) -> None:
    """Who of a closed set speaks? Accuracy of classifiers, of their vote and of their mean posterior.

    Args:
        models: Classifiers (classifier.safetensors) or the run folders that hold them.
        manifest: The recordings and who speaks in them; one or several.
        root: Folder that the paths of all manifests are relative to, or one folder each; by default each manifest's own.
        where: Take rows with these values, e.g. set=test.
        output: Also write the result as JSON.
        device: auto, cpu, cuda ...
    """
    from voxid.evaluation.identification import evaluate_identification as run

    ready()
    result = run(
        models,
        manifest=manifest,
        root=root or None,
        where=conditions(where),
        output=output,
        device=device,
        imports=imports,
    )
    show(result, json, result.describe())
