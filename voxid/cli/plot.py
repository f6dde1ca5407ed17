"""``voxid plot`` and what is below it: a kind of figure each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from voxid.cli.apps import Json, Output, Words, plot_app
from voxid.cli.output import show

Title = Annotated[str | None, Parameter(name="--title", help="Above the figure.")]
Dpi = Annotated[float, Parameter(name="--dpi", help="Pixels an inch, of PNG and of pictures in the other formats.")]
Labels = Annotated[
    tuple[str, ...], Parameter(name="--labels", consume_multiple=True, negative="", help="Names of what is drawn.")
]
Offset = Annotated[float, Parameter(name="--offset", help="Where the part to draw begins, in seconds.")]
Duration = Annotated[float | None, Parameter(name="--duration", help="How long the part to draw is, in seconds.")]
MaxFrequency = Annotated[float | None, Parameter(name="--max-frequency", help="Where the figure ends, in Hz.")]
Range = Annotated[float, Parameter(name="--dynamic-range", help="Decibels below the loudest point that the colours tell apart.")]


@plot_app.command
def waveform(
    audio: str,
    *,
    output: Output,
    labels: Labels = (),
    offset: Offset = 0.0,
    duration: Duration = None,
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """Amplitude over time, a panel a channel.

    Args:
        audio: The recording.
        output: The file to write: .png, .svg or .pdf.
    """
    from voxid.evaluation.plot_audio import plot_waveform as run

    result = run(audio, output=output, labels=labels, offset=offset, duration=duration, title=title, dpi=dpi)
    show(result, json, result.output)


@plot_app.command
def spectrogram(
    audio: str,
    *,
    output: Output,
    max_frequency: MaxFrequency = None,
    dynamic_range: Range = 75.0,
    offset: Offset = 0.0,
    duration: Duration = None,
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """Level in dBFS over time and frequency.

    Args:
        audio: The recording; of several channels, the first.
        output: The file to write: .png, .svg or .pdf.
    """
    from voxid.evaluation.plot_audio import plot_spectrogram as run

    part: dict[str, Any] = {"offset": offset, "duration": duration}
    result = run(audio, output=output, max_frequency=max_frequency, dynamic_range=dynamic_range, title=title, dpi=dpi, **part)
    show(result, json, result.output)


@plot_app.command(name="spectrogram-3d")
def spectrogram_3d(
    audio: str,
    *,
    output: Output,
    max_frequency: MaxFrequency = None,
    dynamic_range: Range = 75.0,
    offset: Offset = 0.0,
    duration: Duration = None,
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """Level in dBFS as a surface over time and frequency.

    Args:
        audio: The recording; of several channels, the first.
        output: The file to write: .png, .svg or .pdf.
    """
    from voxid.evaluation.plot_audio import plot_spectrogram_3d as run

    part: dict[str, Any] = {"offset": offset, "duration": duration}
    result = run(audio, output=output, max_frequency=max_frequency, dynamic_range=dynamic_range, title=title, dpi=dpi, **part)
    show(result, json, result.output)


@plot_app.command
def enhancement(
    before: str,
    after: str,
    *,
    output: Output,
    labels: Labels = (),
    max_frequency: MaxFrequency = None,
    dynamic_range: Range = 75.0,
    offset: Offset = 0.0,
    duration: Duration = None,
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """Two recordings side by side on one scale: waveforms above spectrograms.

    Args:
        before: The first recording.
        after: The second recording.
        output: The file to write: .png, .svg or .pdf.
    """
    from voxid.evaluation.plot_audio import plot_enhancement as run

    result = run(
        before,
        after,
        output=output,
        labels=labels,
        max_frequency=max_frequency,
        dynamic_range=dynamic_range,
        offset=offset,
        duration=duration,
        title=title,
        dpi=dpi,
    )
    show(result, json, result.output)


@plot_app.command
def roc(
    *scores: str,
    output: Output,
    labels: Labels = (),
    log: Annotated[bool, Parameter(negative="")] = False,
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """True accepts over false accepts, a line a score file.

    Args:
        scores: Score files: enrol test score target|nontarget.
        output: The file to write: .png, .svg or .pdf.
        log: A logarithmic axis of false accepts.
    """
    from voxid.evaluation.plot_scores import plot_roc as run

    result = run(*scores, output=output, labels=labels, log=log, title=title, dpi=dpi)
    show(result, json, result.output)


@plot_app.command
def det(
    *scores: str,
    output: Output,
    labels: Labels = (),
    p_target: float | None = None,
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """False rejects over false accepts on normal deviate axes, a line a score file.

    Args:
        scores: Score files: enrol test score target|nontarget.
        output: The file to write: .png, .svg or .pdf.
        p_target: Also mark where the detection cost at this prior of a target is lowest.
    """
    from voxid.evaluation.plot_scores import plot_det as run

    result = run(*scores, output=output, labels=labels, p_target=p_target, title=title, dpi=dpi)
    show(result, json, result.output)


@plot_app.command
def precision_recall(
    *scores: str, output: Output, labels: Labels = (), title: Title = None, dpi: Dpi = 150.0, json: Json = False
) -> None:
    """Precision over recall, a line a score file.

    Args:
        scores: Score files: enrol test score target|nontarget.
        output: The file to write: .png, .svg or .pdf.
    """
    from voxid.evaluation.plot_scores import plot_precision_recall as run

    result = run(*scores, output=output, labels=labels, title=title, dpi=dpi)
    show(result, json, result.output)


@plot_app.command
def score_histogram(
    scores: str,
    *,
    output: Output,
    threshold: float | None = None,
    unit: str = "score",
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """Scores of targets and of non-targets, with a threshold and its error rates.

    Args:
        scores: A score file: enrol test score target|nontarget.
        output: The file to write: .png, .svg or .pdf.
        threshold: By default the one at which FAR and FRR are nearest to each other.
        unit: What the scores are, e.g. cosine.
    """
    from voxid.evaluation.plot_scores import plot_score_histogram as run

    result = run(scores, output=output, threshold=threshold, unit=unit, title=title, dpi=dpi)
    show(result, json, result.output)


@plot_app.command
def calibration(
    *scores: str,
    output: Output,
    labels: Labels = (),
    p_target: float = 0.5,
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """Reliability of calibrated scores, and their cost over all priors.

    Args:
        scores: Score files whose scores are natural-log likelihood ratios.
        output: The file to write: .png, .svg or .pdf.
        p_target: Prior of a target that probabilities are made with.
    """
    from voxid.evaluation.plot_scores import plot_calibration as run

    result = run(*scores, output=output, labels=labels, p_target=p_target, title=title, dpi=dpi)
    show(result, json, result.output)


@plot_app.command
def confusion_matrix(
    predictions: str,
    *,
    output: Output,
    normalize: Annotated[bool, Parameter(negative="")] = False,
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """Who was taken for whom.

    Args:
        predictions: A table (.csv, or JSON lines) with the columns speaker and predicted, a row a recording.
        output: The file to write: .png, .svg or .pdf.
        normalize: The share of each true speaker instead of counts.
    """
    from voxid.evaluation.plot_results import plot_confusion_matrix as run

    result = run(predictions, output=output, normalize=normalize, title=title, dpi=dpi)
    show(result, json, result.output)


@plot_app.command
def embedding_map(
    embeddings: str,
    *,
    output: Output,
    manifest: Words = (),
    by: str = "speaker",
    method: Literal["pca", "tsne"] = "pca",
    top: int = 8,
    names: bool = True,
    seed: int = 0,
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """Embeddings on a plane, coloured by speaker.

    Args:
        embeddings: What voxid embed wrote, or a Kaldi archive.
        output: The file to write: .png, .svg or .pdf.
        manifest: Who speaks in the recordings: manifests, or utt2spk of Kaldi.
        by: The column of the manifest to colour by.
        method: pca keeps distances as far as two axes can, tsne keeps neighbours.
        top: How many speakers to colour, the most frequent ones.
        names: Tell who they are; --no-names numbers them.
        seed: Of t-SNE.
    """
    from voxid.evaluation.plot_embeddings import plot_embedding_map as run

    options: dict[str, Any] = {"by": by, "method": method, "top": top, "names": names, "seed": seed}
    result = run(embeddings, output=output, manifest=manifest, title=title, dpi=dpi, **options)
    show(result, json, result.output)


@plot_app.command
def training_curves(
    *runs: str, output: Output, labels: Labels = (), title: Title = None, dpi: Dpi = 150.0, json: Json = False
) -> None:
    """Loss, accuracy, EER and learning rate over training steps, a line a run.

    Args:
        runs: Run folders of voxid train, or folders of TensorBoard events.
        output: The file to write: .png, .svg or .pdf.
    """
    from voxid.evaluation.plot_results import plot_training_curves as run

    result = run(*runs, output=output, labels=labels, title=title, dpi=dpi)
    show(result, json, result.output)


@plot_app.command
def timeline(
    reference: str,
    hypothesis: str | None = None,
    *,
    output: Output,
    recording: str | None = None,
    start: float = 0.0,
    end: float | None = None,
    title: Title = None,
    dpi: Dpi = 150.0,
    json: Json = False,
) -> None:
    """Who speaks when: a reference, above a hypothesis where there is one.

    Args:
        reference: An RTTM file.
        hypothesis: Another one.
        output: The file to write: .png, .svg or .pdf.
        recording: Which one to draw, where the reference holds several.
        start: Where the part to draw begins, in seconds.
        end: Where the part to draw ends, in seconds.
    """
    from voxid.evaluation.plot_results import plot_timeline as run

    result = run(reference, hypothesis, output=output, recording=recording, start=start, end=end, title=title, dpi=dpi)
    show(result, json, result.output)
