"""What came out of identifications, trainings and diarizations -> figures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from voxid.audio.segments import Segment, read_rttm
from voxid.data.table import read_table
from voxid.errors import ConfigError, DataError, did_you_mean
from voxid.evaluation.plotted import DPI, Plotted, check_output, written
from voxid.evaluation.run_curves import read_curves
from voxid.metrics.identification import confusion_matrix as count
from voxid.plots.confusion_matrix import confusion_matrix
from voxid.plots.signal import named
from voxid.plots.timeline import timeline
from voxid.plots.training_curves import training_curves


def plot_confusion_matrix(
    predictions: str | Path, *, output: str | Path, normalize: bool = False, title: str | None = None, dpi: float = DPI
) -> Plotted:
    """Who was taken for whom.

    Args:
        predictions: A table (.csv, or JSON lines) with the columns ``speaker`` and ``predicted``, a row a recording.
        output: The file to write: .png, .svg or .pdf.
        normalize: The share of each true speaker in per cent instead of counts.
        title: Above the figure.
        dpi: Pixels an inch.

    Raises:
        DataError: A table that cannot be read or lacks a column.
    """
    check_output(output, dpi)
    truth, guess = _predictions(Path(predictions))
    names = sorted({*truth, *guess})
    index = {name: number for number, name in enumerate(names)}
    counts = count([index[name] for name in guess], [index[name] for name in truth], len(names))
    return written("confusion_matrix", confusion_matrix(counts, names=names, normalize=normalize, title=title), output, dpi)


def plot_training_curves(
    *runs: str | Path, output: str | Path, labels: Sequence[str] = (), title: str | None = None, dpi: float = DPI
) -> Plotted:
    """Loss, accuracy, EER and learning rate over training steps, a line a run.

    Args:
        runs: Run folders of `voxid train`, or folders of TensorBoard events; one or several.
        labels: Names of the runs; by default those of the folders.
        output, title, dpi: As of `plot_confusion_matrix`.

    Raises:
        DataError: A folder that holds no run.
    """
    check_output(output, dpi)
    if not runs:
        raise ConfigError("name one run folder of voxid train or more")
    stems = [Path(os.path.realpath(run)).name for run in runs]
    unique = len(set(stems)) == len(stems)
    names = named(labels, len(runs), stems if unique else [os.fspath(run) for run in runs])
    if len(set(names)) < len(names):
        raise ConfigError(f"two runs go by one name among {', '.join(names)}; name them with labels")
    curves = {name: read_curves(run) for name, run in zip(names, runs, strict=True)}
    return written("training_curves", training_curves(curves, title=title), output, dpi)


def plot_timeline(
    reference: str | Path,
    hypothesis: str | Path | None = None,
    *,
    output: str | Path,
    recording: str | None = None,
    start: float = 0.0,
    end: float | None = None,
    title: str | None = None,
    dpi: float = DPI,
) -> Plotted:
    """Who speaks when: a reference, above a hypothesis where there is one.

    Args:
        reference, hypothesis: RTTM files.
        recording: Which one to draw, where the reference holds several.
        start, end: The part to draw, in seconds.
        output, title, dpi: As of `plot_confusion_matrix`.

    Raises:
        DataError: Files that cannot be read, or that do not have the recording.
        ConfigError: Several recordings and none named.
    """
    check_output(output, dpi)
    truth = read_rttm(reference)
    name = _recording(reference, truth, recording)
    ours = _of(reference, truth, name)
    theirs = None if hypothesis is None else _of(hypothesis, read_rttm(hypothesis), name)
    figure = timeline(ours, theirs, start=start, end=end, title=title)
    return written("timeline", figure, output, dpi)


def _predictions(path: Path) -> tuple[list[str], list[str]]:
    header, blocks = read_table(path)
    for column in ("speaker", "predicted"):
        if column not in header:
            hint = f"expected a table with the columns speaker and predicted; {did_you_mean(column, header)}"
            raise DataError(f"{path}:1: no column {column!r}: {hint}", "E_MANIFEST")
    rows = [row for block in blocks for row in block]
    if not rows:
        raise DataError(f"{path}: no row in it", "E_MANIFEST")
    truth, guess = header.index("speaker"), header.index("predicted")
    return [row[truth] for row in rows], [row[guess] for row in rows]


def _recording(path: str | Path, held: Mapping[str, Sequence[Segment]], recording: str | None) -> str:
    if recording is not None:
        return recording
    if not held:
        raise DataError(f"{path}: no segment in it", "E_SEGMENTS")
    if len(held) > 1:
        shown = ", ".join(sorted(held)[:5]) + (" ..." if len(held) > 5 else "")
        raise ConfigError(f"{path}: {len(held)} recordings in it; name one as the recording: {shown}")
    return next(iter(held))


def _of(path: str | Path, held: Mapping[str, Sequence[Segment]], recording: str) -> Sequence[Segment]:
    if recording not in held:
        raise DataError(f"{path}: no recording {recording!r} in it: {did_you_mean(recording, held)}", "E_SEGMENTS")
    return held[recording]
