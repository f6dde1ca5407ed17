"""Score files -> figures: ROC, DET, precision and recall, histogram, calibration."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxid.data.trials import read_trials
from voxid.errors import ConfigError, DataError
from voxid.evaluation.plotted import DPI, Plotted, check_output, written
from voxid.plots import calibration, detection
from voxid.plots.score_histogram import score_histogram
from voxid.plots.signal import named

Systems = Mapping[str, tuple[NDArray, NDArray]]


def plot_roc(
    *scores: str | Path,
    output: str | Path,
    labels: Sequence[str] = (),
    log: bool = False,
    title: str | None = None,
    dpi: float = DPI,
) -> Plotted:
    """True accepts over false accepts, a line a score file.

    Args:
        scores: Score files, ``enrol test score target|nontarget``; one or several.
        output: The file to write: .png, .svg or .pdf.
        labels: Names of the systems; by default those of the files.
        log: A logarithmic axis of false accepts.
        title: Above the figure.
        dpi: Pixels an inch.

    Raises:
        DataError: A score file that cannot be read, or whose trials lack scores or labels.
    """
    check_output(output, dpi)
    return written("roc", detection.roc(read_systems(scores, labels), log=log, title=title), output, dpi)


def plot_det(
    *scores: str | Path,
    output: str | Path,
    labels: Sequence[str] = (),
    p_target: float | None = None,
    title: str | None = None,
    dpi: float = DPI,
) -> Plotted:
    """False rejects over false accepts on normal deviate axes, a line a score file.

    Args:
        p_target: Also mark where the detection cost at this prior of a target is lowest.
        scores, output, labels, title, dpi: As of `plot_roc`.
    """
    check_output(output, dpi)
    return written("det", detection.det(read_systems(scores, labels), p_target=p_target, title=title), output, dpi)


def plot_precision_recall(
    *scores: str | Path, output: str | Path, labels: Sequence[str] = (), title: str | None = None, dpi: float = DPI
) -> Plotted:
    """Precision over recall, a line a score file; arguments as of `plot_roc`."""
    check_output(output, dpi)
    return written("precision_recall", detection.precision_recall(read_systems(scores, labels), title=title), output, dpi)


def plot_score_histogram(
    scores: str | Path,
    *,
    output: str | Path,
    threshold: float | None = None,
    unit: str = "score",
    title: str | None = None,
    dpi: float = DPI,
) -> Plotted:
    """Scores of targets and of non-targets, with a threshold and its error rates.

    Args:
        scores: A score file.
        threshold: By default the one at which FAR and FRR are nearest to each other.
        unit: What the scores are, e.g. cosine.
        output, title, dpi: As of `plot_roc`.
    """
    check_output(output, dpi)
    values, marks = read_scores(scores)
    return written("score_histogram", score_histogram(values, marks, threshold=threshold, unit=unit, title=title), output, dpi)


def plot_calibration(
    *scores: str | Path,
    output: str | Path,
    labels: Sequence[str] = (),
    p_target: float = 0.5,
    title: str | None = None,
    dpi: float = DPI,
) -> Plotted:
    """Reliability of calibrated scores and their cost over all priors, a line a score file.

    Args:
        scores: Score files whose scores are natural-log likelihood ratios.
        p_target: Prior of a target that probabilities are made with.
        output, labels, title, dpi: As of `plot_roc`.
    """
    check_output(output, dpi)
    figure = calibration.calibration(read_systems(scores, labels), p_target=p_target, title=title)
    return written("calibration", figure, output, dpi)


def read_systems(scores: Sequence[str | Path], labels: Sequence[str] = ()) -> Systems:
    """Score files by name: of the labels, of the files, or their paths where two files have one name.

    Raises:
        ConfigError: No file, another number of labels than of files, or a label that comes twice.
        DataError: As `read_scores`.
    """
    if not scores:
        raise ConfigError("name one score file or more: lines `enrol test score target|nontarget`")
    stems = [Path(path).stem for path in scores]
    unique = len(set(stems)) == len(stems)
    names = named(labels, len(scores), stems if unique else [os.fspath(path) for path in scores])
    if len(set(names)) < len(names):
        raise ConfigError(f"two systems go by one name among {', '.join(names)}; name them with labels")
    return {name: read_scores(path) for name, path in zip(names, scores, strict=True)}


def read_scores(path: str | Path) -> tuple[NDArray, NDArray]:
    """Scores [N] and labels [N] of a score file.

    Raises:
        DataError: ``E_NOT_FILE``; ``E_TRIALS``: no score file, or trials without scores or labels.
    """
    trials = read_trials(path)
    bare = [what for what, value in (("scores", trials[0].score), ("labels", trials[0].label)) if value is None]
    if bare:
        raise DataError(
            f"{path}: its trials have no {' and no '.join(bare)}; expected lines `enrol test score target|nontarget`, "
            "as voxid evaluate --scores writes them",
            "E_TRIALS",
        )
    return np.array([trial.score for trial in trials], np.float64), np.array([trial.label for trial in trials], bool)
