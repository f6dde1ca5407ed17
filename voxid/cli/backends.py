"""``voxid train backend`` and ``voxid score``: back-ends on embeddings, no audio and no net."""

from __future__ import annotations

from typing import Literal

from voxid.cli.apps import Imports, Json, Norm, Output, Words, app, train_app
from voxid.cli.output import ready, show


@train_app.command(name="backend")
def train_backend(
    kind: str,
    *,
    embeddings: Words,
    speakers: Words,
    output: Output,
    cohort: Words = (),
    norm: Norm | None = None,
    top: int | None = None,
    set: Words = (),
    groups: str | None = None,
    target: Words = (),
    draw_cohort: int | None = None,
    json: Json = False,
) -> None:
    """Fit a back-end on embeddings: voxid train backend gplda --embeddings e.safetensors --speakers train.csv -o b.safetensors

    Args:
        kind: cosine, centered_cosine, lda, wccn, gplda, lda_gplda, heavy_tailed_plda, or a YAML or JSON file.
        embeddings: What voxid embed wrote, Kaldi's .ark or .scp, or .npz; one or several.
        speakers: Manifests (.csv, .jsonl) with path and speaker, or Kaldi's utt2spk.
        output: The .safetensors file to write.
        cohort: Embeddings for score normalisation; by default the mean of each speaker.
        norm: Score normalisation: none, z, t, s or as; by default as the kind has it.
        top: How many of the cohort --norm as takes for each recording.
        set: Overrides, e.g. lda.dim=100.
        groups: Column of the manifests with the group of each recording, for nap and for a drawn cohort.
        target: Embeddings of the domain that will be scored, for coral.
        draw_cohort: Draw so many rows for the cohort in place of the means of real speakers, so that the file holds no voice.
    """
    from voxid.training.backend import train_backend as run

    ready()
    result = run(
        kind,
        embeddings=embeddings,
        speakers=speakers,
        output=output,
        cohort=cohort or None,
        norm=norm,
        top=top,
        set=set,
        groups=groups,
        target=target or None,
        draw_cohort=draw_cohort,
    )
    show(result, json, result.describe())


@train_app.command(name="adapt")
def train_adapt(
    backend: str,
    *,
    embeddings: Words,
    output: Output,
    mean_diff_scale: float = 1.0,
    within_covar_scale: float = 0.75,
    between_covar_scale: float = 0.25,
    imports: Imports = False,
    json: Json = False,
) -> None:
    """Adapt the PLDA of a back-end to embeddings of another domain, without labels.

    Args:
        backend: What voxid train backend wrote, or a plda of Kaldi or WeSpeaker.
        embeddings: Of the domain that will be scored; one file or several.
        output: The .safetensors file to write.
        mean_diff_scale: How much of the difference of both means joins the covariance.
        within_covar_scale: Share of the excess variance that goes to the variation within speakers.
        between_covar_scale: Share of it that goes to the variation between speakers.
    """
    from voxid.training.adapt_backend import adapt_backend as run

    ready()
    result = run(
        backend,
        embeddings=embeddings,
        output=output,
        mean_diff_scale=mean_diff_scale,
        within_covar_scale=within_covar_scale,
        between_covar_scale=between_covar_scale,
        imports=imports,
    )
    show(result, json, result.describe())


@app.command
def score(
    trials: str,
    *,
    embeddings: Words,
    output: Output,
    enrol_embeddings: Words = (),
    models: str | None = None,
    multi: Literal["book", "average", "scores"] = "book",
    backend: str = "cosine",
    norm: Norm | None = None,
    top: int | None = None,
    cohort: Words = (),
    imports: Imports = False,
    json: Json = False,
) -> None:
    """Score a trial list from embeddings, and write enrol test score [label].

    Args:
        trials: The list: VoxCeleb (1 a b), Kaldi or wespeaker (a b target), with labels or without.
        embeddings: What voxid embed wrote, Kaldi's .ark or .scp, or .npz; one or several.
        output: The score file to write.
        enrol_embeddings: Where the enrolment side is found instead.
        models: Enrolments of several recordings: lines "model recording recording ...", as Kaldi's spk2utt.
        multi: How these count: book (as the back-end's model has it), average of embeddings, or mean of scores.
        backend: A file of voxid train backend, a model file with a back-end inside, or cosine.
        norm: Score normalisation: none, z, t, s or as; by default as the back-end has it.
        top: How many of the cohort --norm as takes for each recording.
        cohort: Embeddings of other speakers; by default the back-end's own.
    """
    from voxid.pipelines.score import score as run

    ready()
    result = run(
        trials,
        embeddings=embeddings,
        output=output,
        enrol_embeddings=enrol_embeddings or None,
        models=models,
        multi=multi,
        backend=backend,
        norm=norm,
        top=top,
        cohort=cohort or None,
        imports=imports,
    )
    show(result, json, result.describe())
