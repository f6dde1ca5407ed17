"""Scores of one system or several, as files -> log-likelihood ratios: fit a calibration or a fusion, and use it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.atomic import replacing
from voxid.data.prepare import check_place
from voxid.data.trials import Trial, read_trials, write_trials
from voxid.errors import ConfigError, DataError
from voxid.evaluation.calibrated import Figures, figures_of
from voxid.metrics.operating_points import operating_points
from voxid.pipelines.decision import read_decision
from voxid.scoring.calibration import Calibration, fit_calibration, fit_pav, read_calibration


@dataclass(frozen=True)
class CalibratedScores:
    """A calibration of score files, or what one made of them.

    Args:
        output: The file that was written.
        num_trials: Trials of the list.
        calibration: As the file keeps it.
        figures: Of the ratios on these trials; None where they have no labels.
        systems: Figures of each system alone, calibrated in the same way, where there are several.
    """

    output: str
    num_trials: int
    calibration: Mapping[str, Any]
    figures: Figures | None
    systems: tuple[Figures, ...]

    def describe(self) -> str:
        """The result as text."""
        rows = [f"written to     {self.output}: {self.num_trials} trials"]
        rows += [figures.describe() for figures in (*self.systems, self.figures) if figures is not None]
        return "\n".join(rows)


def calibrate_scores(
    scores: Sequence[str | Path],
    *,
    output: str | Path,
    method: str = "logistic",
    p_target: float | Sequence[float] = (0.01, 0.05),
) -> CalibratedScores:
    """Fit a calibration of a score file, or the fusion of several systems that scored the same trials.

    Args:
        scores: Score files with labels, one a system (``enrol test score target|nontarget``); their lines may differ in order.
        output: The .json to write: calibration and thresholds.
        method: ``logistic``, or ``pav`` for one system with many trials.
        p_target: Priors of a target where it matters most.

    Raises:
        DataError: Files that cannot be read, without labels, or of other trials than the first.
        ConfigError: Another method or suffix, several systems with ``pav``.
    """
    if Path(output).suffix != ".json":
        raise ConfigError(f"{output}: a calibration of score files ends in .json", "E_FORMAT")
    check_place(Path(output))
    if method not in ("logistic", "pav") or (method == "pav" and len(scores) > 1):
        raise ConfigError(f"method is 'logistic', or 'pav' for one system; got {method!r} for {len(scores)} systems")
    trials, table, names = _read(scores)
    labels = _labels(trials, scores[0])
    source = ", ".join(Path(path).stem for path in scores)
    if method == "pav":
        found: Any = fit_pav(table[:, 0], labels, source=source)
    else:
        found = fit_calibration(table, labels, p_target=p_target, systems=names, source=source)
    llr = found.llr(table)
    alone = []
    if len(names) > 1:
        for name, column in zip(names, table.T, strict=True):
            alone.append(figures_of(name, fit_calibration(column, labels, p_target=p_target).llr(column), labels))
    decision = {"calibration": found.to_card(), "thresholds": {"source": source, "points": operating_points(llr, labels)}}
    with replacing(output, DataError) as temporary:
        temporary.write_text(json.dumps(decision, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    figures = figures_of("fusion" if alone else names[0], llr, labels)
    return CalibratedScores(str(output), len(trials), decision["calibration"], figures, tuple(alone))


def apply_calibration(calibration: str | Path, scores: Sequence[str | Path], *, output: str | Path) -> CalibratedScores:
    """Log-likelihood ratios of score files, written as a score file.

    Args:
        calibration: What `calibrate_scores` wrote, or `voxid calibrate` without quality measures.
        scores: Score files of the systems that it was fitted on, in the same order; labels are not needed.
        output: The score file to write.

    Raises:
        DataError: Files that cannot be read or hold other trials than the first.
        ModelError: A file that holds no calibration.
        ConfigError: Another number of systems, a calibration that needs quality measures, or an output that is an input.
    """
    check_place(Path(output))
    if os.path.realpath(output) in [os.path.realpath(path) for path in (calibration, *scores)]:
        raise ConfigError(f"{output}: the ratios would overwrite what they are made of; choose another output")
    found = read_calibration(read_decision(calibration)["calibration"])
    wanted = found.systems if isinstance(found, Calibration) else ("score",)
    if len(scores) != len(wanted):
        raise ConfigError(f"{calibration} takes {len(wanted)} score files ({', '.join(wanted)}), got {len(scores)}")
    given = _names(scores)
    if set(given) == set(wanted) and tuple(given) != tuple(wanted):
        raise ConfigError(f"{calibration} takes score files in the order {', '.join(wanted)}; got {', '.join(given)}")
    if isinstance(found, Calibration) and found.quality:
        measures = ", ".join(found.quality)
        raise ConfigError(f"{calibration} needs {measures} of the recordings, which score files lack; see voxid evaluate")
    trials, table, _ = _read(scores)
    llr = found.llr(table)
    write_trials(
        output,
        [trial._replace(score=value) for trial, value in zip(trials, llr.tolist(), strict=True)],
        format="wespeaker",
    )
    known = [trial.label for trial in trials if trial.label is not None]
    both = len(known) == len(trials) and len(set(known)) == 2
    figures = figures_of("ratios", llr, np.array(known, dtype=bool)) if both else None
    return CalibratedScores(str(output), len(trials), found.to_card(), figures, ())


def _read(paths: Sequence[str | Path]) -> tuple[list[Trial], NDArray, list[str]]:
    """Trials of the first file, the scores of all files in its order [N, S], and names of the systems."""
    if not paths:
        raise ConfigError("no score file was given")
    trials = read_trials(paths[0])
    columns = [_column(trials, paths[0])]
    for path in paths[1:]:
        columns.append(_aligned(trials, read_trials(path), paths[0], path))
    return trials, np.column_stack(columns), _names(paths)


def _aligned(trials: Sequence[Trial], others: Sequence[Trial], first: str | Path, path: str | Path) -> NDArray:
    """Scores of another file in the order of the first; the trials must be the same, and so must the labels that both tell."""
    scores = _column(others, path)
    if [trial[:2] for trial in trials] == [trial[:2] for trial in others]:
        matched, places = others, list(range(len(others)))
    else:
        known = {trial[:2]: place for place, trial in enumerate(others)}
        missing = next((trial for trial in trials if trial[:2] not in known), None)
        if missing is not None or len(others) != len(trials) or len(known) != len({trial[:2] for trial in trials}):
            example = f": {missing.enrol} {missing.test} is not in it" if missing else ""
            raise DataError(f"{path}: its {len(others)} trials are not the {len(trials)} of {first}{example}", "E_TRIALS")
        places = [known[trial[:2]] for trial in trials]
        matched = [others[place] for place in places]
    for one, other in zip(trials, matched, strict=True):
        if None not in (one.label, other.label) and one.label != other.label:
            raise DataError(f"{path}: {one.enrol} {one.test} has another label than in {first}", "E_TRIALS")
    return scores[places]


def _names(paths: Sequence[str | Path]) -> list[str]:
    """Names of the systems: those of the files without folder and suffix, where these tell them apart."""
    stems = [Path(path).stem for path in paths]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in paths]


def _column(trials: Sequence[Trial], path: str | Path) -> NDArray:
    if any(trial.score is None for trial in trials):
        raise DataError(f"{path}: no scores in it; expected lines such as `enrol.wav test.wav 0.5 target`", "E_TRIALS")
    return np.array([trial.score for trial in trials])


def _labels(trials: Sequence[Trial], path: str | Path) -> NDArray:
    if any(trial.label is None for trial in trials):
        raise DataError(f"{path}: no labels in it; a calibration is fitted on `enrol test score target|nontarget`", "E_TRIALS")
    return np.array([trial.label for trial in trials], dtype=bool)
