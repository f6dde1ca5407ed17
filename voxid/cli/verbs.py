"""The verbs that stand alone: info, embed, verify, train."""

from __future__ import annotations

import os
from typing import Literal

from voxid.cli.apps import Imports, Json, Output, Words, app, conditions, train_app
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
