"""``voxid evaluate`` and what is below it."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from voxid.cli.apps import Imports, Json, Norm, Words, conditions, evaluate_app
from voxid.cli.output import ready, show

Side = Literal["test", "both"]
File = Annotated[str | None, Parameter(name=["--output", "-o"])]


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
    output: File = None,
    scores: str | None = None,
    plots: str | None = None,
    report: str | None = None,
    speakers: str | None = None,
    noise: str | None = None,
    noise_root: str | None = None,
    noise_where: Words = (),
    noise_side: Side = "test",
    snr: float | None = None,
    enhance: str | None = None,
    enhance_side: Side = "both",
    max_attenuation: float | None = None,
    below_snr: float | None = None,
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
        noise: Add noise of this manifest to recordings: the same to the same recording, whatever else is asked.
        noise_root: Folder that its paths are relative to; its own by default.
        noise_where: Take rows of it with these values, e.g. split=test.
        noise_side: test or both sides of a trial.
        snr: Power of a recording over that of its noise, in dB.
        enhance: An enhancement model that hears recordings before the speaker model does; none for none.
        enhance_side: test or both sides of a trial.
        max_attenuation: Let the enhancer make nothing softer by more than this, in dB.
        below_snr: Enhance recordings only whose estimated SNR lies below this, in dB.
        bootstrap: Resamples of the speakers behind the interval; 0 for none.
        seed: Of the resampling, and of the noise.
        device: auto, cpu, cuda ...
        on_error: raise stops at recordings that cannot be used, skip leaves their trials out and counts them.
    """
    asked = {name: value for name, value in locals().items() if name != "json"}
    from voxid.evaluation.evaluate import evaluate as run

    ready()
    result = run(**asked | {"noise_where": conditions(noise_where)})
    show(result, json, result.describe())


@evaluate_app.command(name="identification")
def evaluate_identification(
    models: list[str],
    *,
    manifest: Words,
    root: Words = (),
    where: Words = (),
    output: File = None,
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


@evaluate_app.command(name="enhancement")
def evaluate_enhancement(
    model: str | None = None,
    *,
    mixtures: str,
    root: str | None = None,
    where: Words = (),
    limit: int | None = None,
    metrics: Words = ("si_sdr", "pesq", "stoi", "estoi"),
    output: File = None,
    rows: str | None = None,
    report: str | None = None,
    window: float = 10.0,
    overlap: float = 0.5,
    wet: float = 1.0,
    max_attenuation: float | None = None,
    below_snr: float | None = None,
    device: str = "auto",
    imports: Imports = False,
    json: Json = False,
) -> None:
    """How much nearer to the clean voice does a model bring noisy speech? Measures before and after, by SNR.

    Args:
        model: A name, a file or a run folder; the bundled model when absent.
        mixtures: Recipes of noisy speech (.jsonl), or a manifest of ready-made mixtures of one source.
        root: Folder that their paths are relative to; a manifest's own by default.
        where: Take rows of a manifest with these values, e.g. split=test.
        limit: Take the first so many mixtures.
        metrics: Out of si_sdr, sdr, pesq, stoi, estoi, dnsmos.
        output: Also write the result as JSON.
        rows: Also write the measures of each source as CSV.
        report: Also write a page, .html or .md.
        window: Seconds that the net hears at a time.
        overlap: Seconds that two windows share.
        wet: Share of the enhanced in what is measured, 0 to 1.
        max_attenuation: Make nothing softer by more than this, in dB.
        below_snr: Enhance only whose estimated SNR lies below this, in dB.
        device: auto, cpu, cuda ...
    """
    from voxid.evaluation.enhancement import evaluate_enhancement as run

    ready()
    result = run(
        model,
        mixtures=mixtures,
        root=root,
        where=conditions(where),
        limit=limit,
        metrics=metrics,
        output=output,
        rows=rows,
        report=report,
        window=window,
        overlap=overlap,
        wet=wet,
        max_attenuation=max_attenuation,
        below_snr=below_snr,
        device=device,
        imports=imports,
    )
    show(result, json, result.describe())


@evaluate_app.command(name="separation")
def evaluate_separation(
    model: str | None = None,
    *,
    mixtures: str,
    root: str | None = None,
    where: Words = (),
    limit: int | None = None,
    metrics: Words = ("si_sdr", "pesq", "stoi", "estoi"),
    output: File = None,
    rows: str | None = None,
    report: str | None = None,
    window: float = 10.0,
    overlap: float = 0.5,
    tracking: bool = True,
    device: str = "auto",
    imports: Imports = False,
    json: Json = False,
) -> None:
    """How well do voices come apart? Measures of each before and after, by noise and gender.

    Args:
        model: A name, a file or a run folder; the bundled model when absent.
        mixtures: Recipes of two voices (.jsonl), or a manifest of ready-made mixtures.
        root: Folder that their paths are relative to; a manifest's own by default.
        where: Take rows of a manifest with these values, e.g. split=test.
        limit: Take the first so many mixtures.
        metrics: Out of si_sdr, sdr, pesq, stoi, estoi, dnsmos.
        output: Also write the result as JSON.
        rows: Also write the measures of each source as CSV.
        report: Also write a page, .html or .md.
        window: Seconds that the net hears at a time.
        overlap: Seconds that two windows share.
        tracking: Keep the order of the sources from window to window.
        device: auto, cpu, cuda ...
    """
    from voxid.evaluation.separation import evaluate_separation as run

    ready()
    result = run(
        model,
        mixtures=mixtures,
        root=root,
        where=conditions(where),
        limit=limit,
        metrics=metrics,
        output=output,
        rows=rows,
        report=report,
        window=window,
        overlap=overlap,
        tracking=tracking,
        device=device,
        imports=imports,
    )
    show(result, json, result.describe())
