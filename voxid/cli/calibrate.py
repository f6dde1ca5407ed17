"""``voxid calibrate`` and what is below it."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from voxid.cli.apps import Imports, Json, Norm, Output, Words, calibrate_app
from voxid.cli.output import ready, show

Priors = Annotated[tuple[float, ...], Parameter(consume_multiple=True, negative="")]


@calibrate_app.default
def calibrate(
    model: str | None = None,
    *,
    trials: Words,
    root: Words,
    output: Output,
    backend: str | None = None,
    norm: Norm | None = None,
    top: int | None = None,
    cohort: str | None = None,
    quality: Words = (),
    method: Literal["logistic", "pav"] = "logistic",
    p_target: Priors = (0.01, 0.05),
    device: str = "auto",
    imports: Imports = False,
    on_error: Literal["raise", "skip"] = "raise",
    json: Json = False,
) -> None:
    """Fit likelihood ratios and thresholds on development trials, and keep them with the model.

    Args:
        model: A name, a file or a run folder; the bundled model when absent.
        trials: One list or several, with labels, of speakers that no test list holds.
        root: Folder that the paths of all lists are relative to, or one folder each.
        output: The model to write (.safetensors), or the calibration alone (.json).
        backend: A file of voxid train backend, or cosine; by default the model's own.
        norm: Score normalisation: none, z, t, s or as; by default as the back-end has it.
        top: How many of the cohort --norm as takes for each recording.
        cohort: Embeddings or a manifest of recordings of other speakers; by default the back-end's own.
        quality: Quality measures that the calibration may lean on, e.g. log_duration_min.
        method: logistic, a line, or pav, any rising curve (for many trials).
        p_target: Priors of a target where the line matters most.
        device: auto, cpu, cuda ...
        on_error: raise stops at recordings that cannot be used, skip leaves their trials out.
    """
    from voxid.evaluation.calibrate import calibrate as run

    ready()
    result = run(
        model,
        trials=trials,
        root=root,
        output=output,
        backend=backend,
        norm=norm,
        top=top,
        cohort=cohort,
        quality=quality,
        method=method,
        p_target=p_target,
        device=device,
        imports=imports,
        on_error=on_error,
    )
    show(result, json, result.describe())


@calibrate_app.command(name="scores")
def calibrate_scores(
    scores: list[str],
    *,
    output: Output,
    method: Literal["logistic", "pav"] = "logistic",
    p_target: Priors = (0.01, 0.05),
    json: Json = False,
) -> None:
    """Fit a calibration of a score file, or the fusion of several systems.

    Args:
        scores: Score files with labels, one a system: enrol test score label.
        output: The .json to write.
        method: logistic, or pav for one system with many trials.
        p_target: Priors of a target where it matters most.
    """
    from voxid.evaluation.calibrate_scores import calibrate_scores as run

    result = run(scores, output=output, method=method, p_target=p_target)
    show(result, json, result.describe())


@calibrate_app.command(name="apply")
def calibrate_apply(calibration: str, scores: list[str], *, output: Output, json: Json = False) -> None:
    """Log-likelihood ratios of score files.

    Args:
        calibration: The .json that voxid calibrate scores wrote.
        scores: Score files of the systems that it was fitted on, in the same order.
        output: The score file to write.
    """
    from voxid.evaluation.calibrate_scores import apply_calibration as run

    result = run(calibration, scores, output=output)
    show(result, json, result.describe())
