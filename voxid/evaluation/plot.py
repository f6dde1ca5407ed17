"""plot: recordings, scores, embeddings, runs or segments -> a figure in a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voxid.errors import ConfigError, did_you_mean
from voxid.evaluation.plot_audio import plot_enhancement, plot_spectrogram, plot_spectrogram_3d, plot_waveform
from voxid.evaluation.plot_embeddings import plot_embedding_map
from voxid.evaluation.plot_results import plot_confusion_matrix, plot_timeline, plot_training_curves
from voxid.evaluation.plot_scores import plot_calibration, plot_det, plot_precision_recall, plot_roc, plot_score_histogram
from voxid.evaluation.plotted import Plotted
from voxid.registry import check

KINDS: dict[str, Callable[..., Plotted]] = {
    function.__name__.removeprefix("plot_"): function
    for function in (
        plot_waveform,
        plot_spectrogram,
        plot_spectrogram_3d,
        plot_enhancement,
        plot_roc,
        plot_det,
        plot_precision_recall,
        plot_score_histogram,
        plot_calibration,
        plot_confusion_matrix,
        plot_embedding_map,
        plot_training_curves,
        plot_timeline,
    )
}


def plot(kind: str, *inputs: Any, output: str | Path, **options: Any) -> Plotted:
    """Draw a figure of files and write it as PNG, SVG or PDF. For figures of arrays see `voxid.plots`.

    Args:
        kind: waveform, spectrogram, spectrogram_3d, enhancement (recordings); roc, det, precision_recall, score_histogram,
            calibration (score files); confusion_matrix (predictions), embedding_map (embeddings), training_curves (run folders),
            timeline (RTTM).
        inputs: The files, as the function `plot_<kind>` of this room takes them.
        output: The file to write; its suffix is the format.
        options: What that function takes besides, `title` and `dpi` for one.

    Raises:
        ConfigError: An unknown kind or option, too few or too many files, a suffix that is no format;
            ``E_EXTRA`` without matplotlib.
        DataError, AudioError: Files that cannot be read, or with nothing to draw; ``E_WRITE``.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plot("waveform", (np.ones(800), 8000), output=f"{folder}/a.svg", title="a step").format
        'svg'
    """
    name = kind.replace("-", "_")
    if name not in KINDS:
        raise ConfigError(f"unknown kind of plot {kind!r}: {did_you_mean(name, KINDS)}")
    function = KINDS[name]
    _check(function, inputs, options, f"plot {name}")
    return function(*inputs, output=output, **options)


def _check(function: Callable[..., Plotted], inputs: tuple[Any, ...], options: dict[str, Any], what: str) -> None:
    """Raise `ConfigError` for another number of inputs than the kind takes, or an option that it lacks."""
    parameters = inspect.signature(function).parameters.values()
    fixed = [parameter for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    many = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    least = sum(parameter.default is parameter.empty for parameter in fixed)
    if len(inputs) < least or (not many and len(inputs) > len(fixed)):
        wanted = ", ".join(parameter.name for parameter in fixed)
        raise ConfigError(f"{what} takes {wanted}; got {len(inputs)} inputs")
    given = dict(zip((parameter.name for parameter in fixed), inputs, strict=False))
    check(function, {**given, "output": "", **options}, what)
