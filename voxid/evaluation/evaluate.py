"""evaluate: a model and a trial list -> error rates, how sure they are, and the scores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from voxid.atomic import check_name
from voxid.data.embeddings import Embeddings
from voxid.data.prepare import check_place
from voxid.data.trials import Trial, read_trials
from voxid.errors import ConfigError, DataError
from voxid.evaluation.conditions import Conditions, Heard, Side, conditions_for, embed_heard
from voxid.evaluation.page import check_page, drawn, write_figures, write_page
from voxid.evaluation.report import Evaluation, write_result, write_scores
from voxid.evaluation.speakers import Speakers, speakers_of
from voxid.metrics.bootstrap import equal_error, intervals, lowest_cost, rule_of_30
from voxid.metrics.calibration import cllr, min_cllr
from voxid.metrics.detection import act_dcf, eer, far_frr_at, min_dcf, split
from voxid.metrics.operating_points import threshold_for
from voxid.pipelines.embed import embed_files, model_info
from voxid.pipelines.system import Norm, Scored, System, build_system

SHOWN = 5  # missing recordings that an error names
FAR = 0.01  # the false accept rate that `verify` aims at by default


def evaluate(
    model: str | Path | nn.Module | None = None,
    *,
    trials: str | Path | Sequence[Trial],
    root: str | Path,
    backend: str | Path | None = None,
    norm: Norm | None = None,
    top: int | None = None,
    cohort: str | Path | None = None,
    calibration: str | Path | None = None,
    output: str | Path | None = None,
    scores: str | Path | None = None,
    plots: str | Path | None = None,
    report: str | Path | None = None,
    speakers: Speakers | None = None,
    noise: str | Path | None = None,
    noise_root: str | Path | None = None,
    noise_where: Mapping[str, Any] | None = None,
    noise_side: Side = "test",
    snr: float | None = None,
    enhance: str | Path | nn.Module | None = None,
    enhance_side: Side = "both",
    max_attenuation: float | None = None,
    below_snr: float | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    device: str = "auto",
    imports: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool = True,
) -> Evaluation:
    """Score every trial of a list and measure the errors: by the back-end of the model's file, the cosine of embeddings else.

    Args:
        model: A name, a file, a loaded model, or None for the bundled one.
        trials: A list in any order that `read_trials` knows, or trials that were read already; all with labels.
        root: The folder that its paths are relative to.
        backend: A file of `voxid train backend`, or ``cosine``; None = the model's own.
        norm: Score normalisation: ``none``, ``z``, ``t``, ``s`` or ``as``; None = as the back-end has it.
        top: How many of the cohort ``as`` takes for each recording; None = as the back-end has it, else 300.
        cohort: Embeddings or a manifest of recordings of other speakers; None = the back-end's own.
        calibration: A file of `voxid calibrate`; None = that of the model's card, where back-end and normalisation are its own.
        output: Where to write the result as JSON.
        scores: Where to write the scores, a line a trial: ``enrol test score target|nontarget``. Log-likelihood ratios where
            there is a calibration.
        plots: A folder for the figures: DET, ROC, precision and recall, scores, calibration. It is made where it is missing.
        report: Where to write a page with figures inside: .html (one file) or .md (the figures in a folder beside it).
        speakers: Who speaks where: a manifest, a regular expression, a mapping or a function; see `speakers_of`. By default
            ``manifest.csv`` in `root`, else the folder that agrees with the labels.
        noise: A manifest of noise, a piece of which, drawn by `seed` and the name of the recording alone, is added to it.
        noise_root, noise_where: The folder that its paths are relative to, its own by default; and rows to take.
        noise_side: ``test`` or ``both`` sides of a trial.
        snr: Power of the recording over that of its noise, in dB.
        enhance: A model for enhancement that hears the recordings, with their noise, before the speaker model does; None, or
            ``none``, for none.
        enhance_side: ``test`` or ``both``.
        max_attenuation, below_snr: In dB, as in `voxid.enhance`: nothing gets softer by more than the first; what has at least
            the second is left as it is.
        bootstrap: Draws of speakers for the interval of the EER; 0 for none.
        seed: Of the draws, those of noise too.
        device: "auto", "cpu", "cuda", ...
        imports: Allow a model file whose parts go by an import path. Importing runs code: only for files that you trust.
        on_error: "raise" stops at recordings that cannot be used; "skip" leaves out their trials and counts them.
        progress: A bar on stderr.

    Raises:
        DataError: A list without labels or of one class only, missing or broken recordings, speakers that contradict the labels,
            a file that cannot be written.
        ModelError: A model that cannot be loaded, or whose card is malformed.
        ConfigError: A value out of its range, one place for two files, a report that is no page, figures without matplotlib
            (``E_EXTRA``), or a calibration of other scores.
    """
    options = dict(locals())
    # What would fail at the end is said before the work.
    _check_options(bootstrap, seed)
    _check_places(output, scores, report, plots=plots)
    check_page(plots, report)
    asked, name = checked_trials(trials, root, on_error), str(trials) if isinstance(trials, str | Path) else ""
    system = build_system(**{name: options[name] for name in signature(build_system).parameters})
    system.points()  # a malformed card
    conditions = conditions_for(**{name: options[name] for name in signature(conditions_for).parameters})
    if on_error == "raise":
        speakers_of(asked, Path(root), speakers)
    kept, scored, skipped = score_trials(system, asked, root, conditions=conditions, on_error=on_error, progress=progress)
    pairs, source = speakers_of(kept, Path(root), speakers)
    facts = {"trial_list": name, "speakers_from": source, "bootstrap": bootstrap, "seed": seed}
    facts |= {"skipped_files": skipped, "skipped_trials": len(asked) - len(kept)}
    facts["conditions"] = None if conditions is None else conditions.facts()
    result = _measured(system, kept, scored, pairs, facts)
    if scores is not None:
        write_scores(scores, kept, scored.decisive)
    if output is not None:
        write_result(output, result)
    _draw(plots, report, scored, _labels(kept), result)
    return result


def score_trials(
    system: System,
    trials: Sequence[Trial],
    root: str | Path,
    *,
    quality: Sequence[str] = (),
    conditions: Conditions | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool = True,
) -> tuple[list[Trial], Scored, int]:
    """Trials whose recordings can be used, their scores, and the number of recordings left out.

    Every recording is embedded once, or once for each way it is heard. `quality` names measures to tell besides, `conditions`
    what is done to the recordings; other arguments and errors as in `evaluate`.
    """
    heard = conditions.heard if conditions is not None else lambda name, side: Heard(name, False, False)
    sides = [(heard(trial.enrol, "enrol"), heard(trial.test, "test")) for trial in trials]
    recordings = list(dict.fromkeys(recording for pair in sides for recording in pair))
    done, index = _embedded(system, recordings, Path(root), conditions, on_error, progress)
    places = [place for place, pair in enumerate(sides) if pair[0] in index and pair[1] in index]
    if not places:
        reason = next(iter(done.failed.values()))
        lost = f"{len(done.failed)} of {len(recordings)} recordings cannot be used"
        raise DataError(f"no trial is left: {lost}, the first: {reason}", "E_AUDIO")
    rows = [[index[sides[place][side]] for place in places] for side in (0, 1)]
    scored = system.score(done, rows[0], rows[1], quality=quality)
    return [trials[place] for place in places], scored, len({heard.name for heard in recordings if heard not in index})


def _embedded(
    system: System, recordings: Sequence[Heard], root: Path, conditions: Conditions | None, on_error: Any, progress: bool
) -> tuple[Embeddings, Mapping[Heard, int]]:
    """Embeddings, and the row of each recording that has one."""
    if conditions is not None:
        return embed_heard(system.net, recordings, root, conditions, on_error=on_error, progress=progress)
    paths = {recording: str(root / recording.name) for recording in recordings}
    done = embed_files(paths.values(), model=system.net, on_error=on_error, progress=progress)
    rows = {path: row for row, path in enumerate(done.names)}
    return done, {recording: rows[path] for recording, path in paths.items() if path in rows}


def _draw(plots: str | Path | None, report: str | Path | None, scored: Scored, labels: NDArray, result: Evaluation) -> None:
    """Write the figures and the page that were asked for."""
    if plots is None and report is None:
        return
    pictures = drawn(scored, labels, result)
    if plots is not None:
        write_figures(plots, pictures)
    if report is not None:
        write_page(report, result, pictures)


def _measured(
    system: System, kept: Sequence[Trial], scored: Scored, pairs: NDArray | None, facts: Mapping[str, Any]
) -> Evaluation:
    labels, values = _labels(kept), scored.decisive
    rate = eer(values, labels)
    interval = cost_interval = None
    if pairs is not None and facts["bootstrap"]:
        options = {"resamples": facts["bootstrap"], "seed": facts["seed"]}
        interval, cost_interval = intervals(values, labels, pairs, [equal_error, lowest_cost(0.01)], **options)
    return Evaluation(
        model=model_info(system.net),
        scored_by=system.describe(),
        eer=rate,
        eer_interval=interval,
        min_dcf_001_interval=cost_interval,
        min_dcf_005=min_dcf(values, labels, 0.05),
        min_dcf_001=min_dcf(values, labels, 0.01),
        min_dcf_0001=min_dcf(values, labels, 0.001),
        **_calibrated(scored.llr, labels),
        **_at_threshold(system, values, labels),
        num_trials=len(kept),
        num_targets=int(labels.sum()),
        num_nontargets=int((~labels).sum()),
        num_files=len(_recordings(kept)),
        num_speakers=None if pairs is None else len(np.unique(pairs)),
        warnings=(*system.notes, *_own_list(system, facts["trial_list"]), *_warnings(rate, labels, facts, pairs is not None)),
        **facts,
    )


def _calibrated(llr: NDArray | None, labels: NDArray) -> dict[str, Any]:
    """What can be measured on likelihood ratios only."""
    if llr is None:
        return {"act_dcf_005": None, "act_dcf_001": None, "cllr": None, "min_cllr": None}
    costs = {"act_dcf_005": act_dcf(llr, labels, 0.05), "act_dcf_001": act_dcf(llr, labels, 0.01)}
    return costs | {"cllr": cllr(llr, labels), "min_cllr": min_cllr(llr, labels)}


def _at_threshold(system: System, values: NDArray, labels: NDArray) -> dict[str, Any]:
    """Errors at the threshold that `verify` decides by when nobody asks for another, and the trials it was set on."""
    points, trials = system.points()
    try:
        threshold, _ = threshold_for(points, FAR)
    except ConfigError:  # no development trials, or too few for this rate
        return {"threshold": None, "threshold_source": None, "far": None, "frr": None}
    far, frr = far_frr_at(values, labels, threshold)
    source = f"set for FAR {FAR:.0%} on {trials}"
    return {"threshold": threshold, "threshold_source": source, "far": far, "frr": frr}


def _own_list(system: System, trial_list: str) -> Iterator[str]:
    """Figures of the very trials that a calibration was fitted on read like those of a test, and are better."""
    source = "" if system.calibration is None else system.calibration.source
    if trial_list and Path(trial_list).stem in source.split(", "):
        yield f"the calibration was fitted on a list of this name ({Path(trial_list).stem}): costs and rates may be too good"


def _labels(trials: Sequence[Trial]) -> NDArray:
    return np.array([trial.label for trial in trials], dtype=bool)


def _warnings(rate: float, labels: NDArray, facts: Mapping[str, Any], known_speakers: bool) -> Iterator[str]:
    if few := rule_of_30(rate * labels.sum(), rate * (~labels).sum()):
        yield few
    if facts["skipped_files"]:
        yield f"{facts['skipped_files']} recordings could not be used; {facts['skipped_trials']} trials are left out"
    if not known_speakers:
        yield f"no interval, speakers are not known: {facts['speakers_from']}"


def _recordings(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in (trial.enrol, trial.test)))


def checked_trials(trials: str | Path | Sequence[Trial], root: str | Path, on_error: str = "raise") -> list[Trial]:
    """Trials with labels of both classes whose recordings are there (with on_error="raise"), said before any work.

    Raises:
        DataError: What `evaluate` says of lists.
    """
    read, name = (read_trials(trials), str(trials)) if isinstance(trials, str | Path) else (list(trials), "")
    unlabelled = sum(trial.label is None for trial in read)
    if unlabelled or not read:
        reason = f"{unlabelled} of {len(read)} trials have no label" if read else "there is no trial in it"
        raise DataError(f"{name or 'trials'}: {reason}; evaluation needs lines such as `1 enrol.wav test.wav`", "E_TRIALS")
    split(np.zeros(len(read)), [bool(trial.label) for trial in read])  # both classes, or it says so before the work
    if on_error == "raise":
        _check_there(read, Path(root))
    return read


def _check_there(trials: Sequence[Trial], root: Path) -> None:
    names = _recordings(trials)
    missing = [name for name in names if not os.path.isfile(root / name)]  # noqa: PTH113 - Path.is_file() raises on long names
    if missing:
        shown = ", ".join(missing[:SHOWN]) + (f" ... and {len(missing) - SHOWN} more" if len(missing) > SHOWN else "")
        raise DataError(
            f"{len(missing)} of {len(names)} recordings of the list are not under {root}: {shown}. "
            "The root is the folder that the paths of the list are relative to",
            "E_NOT_FILE",
        )


def _check_options(bootstrap: int, seed: int) -> None:
    if bootstrap < 0:
        raise ConfigError(f"bootstrap is a number of draws, 0 or more, got {bootstrap}")
    if seed < 0:
        raise ConfigError(f"seed is an integer, 0 or more, got {seed}")


def _check_places(*asked: str | Path | None, plots: str | Path | None) -> None:
    places = [Path(place) for place in asked if place is not None]
    for place in places:
        check_place(place)
        check_name(place, DataError)
    places += [] if plots is None else [Path(plots)]
    if len({os.path.realpath(place) for place in places}) < len(places):
        shown = ", ".join(map(str, places))
        raise ConfigError(f"output, scores, report and the folder of plots share a place ({shown}); choose one for each")
