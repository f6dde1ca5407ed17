"""evaluate: a model and a trial list -> error rates, how sure they are, and the scores."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from voxid.atomic import check_name
from voxid.data.prepare import check_place
from voxid.data.trials import Trial, read_trials
from voxid.errors import ConfigError, DataError, ModelError
from voxid.evaluation.report import Evaluation, write_report, write_scores
from voxid.evaluation.speakers import Speakers, speakers_of
from voxid.metrics.bootstrap import eer_interval
from voxid.metrics.detection import act_dcf, eer, far_frr_at, min_dcf, split
from voxid.metrics.operating_points import stored_points, threshold_for
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import embed_files, model_info, ready
from voxid.scoring.cosine import cosine_trials

SHOWN = 5  # missing recordings that an error names
FAR = 0.01  # the false accept rate that `verify` aims at by default
RULE_OF = 30  # errors that make a rate trustworthy


def evaluate(
    model: str | Path | nn.Module | None = None,
    *,
    trials: str | Path | Sequence[Trial],
    root: str | Path,
    output: str | Path | None = None,
    scores: str | Path | None = None,
    speakers: Speakers | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    device: str = "auto",
    imports: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool = True,
) -> Evaluation:
    """Score every trial of a list by the cosine of its embeddings and measure the errors.

    Args:
        model: A name, a file, a loaded model, or None for the bundled one.
        trials: A list in any order that `read_trials` knows, or trials that were read already; all with labels.
        root: The folder that its paths are relative to.
        output: Where to write the result as JSON.
        scores: Where to write the scores, a line a trial: ``enrol test score target|nontarget``.
        speakers: Who speaks where: a manifest, a regular expression, a mapping or a function; see `speakers_of`. By default
            ``manifest.csv`` in `root`, else the folder that agrees with the labels.
        bootstrap: Draws of speakers for the interval of the EER; 0 for none.
        seed: Of the draws.
        device: "auto", "cpu", "cuda", ...
        imports: Allow a model file whose parts go by an import path. Importing runs code: only for files that you trust.
        on_error: "raise" stops at recordings that cannot be used; "skip" leaves out their trials and counts them.
        progress: A bar on stderr.

    Raises:
        DataError: A list without labels or of one class only, missing or broken recordings, speakers that contradict the labels,
            a file that cannot be written.
        ModelError: A model that cannot be loaded, or whose card is malformed.
        ConfigError: A value out of its range, or one place for both files.
    """
    # What would fail at the end is said before the work.
    _check_options(bootstrap, seed)
    _check_places(output, scores)
    asked, name = _labelled(trials)
    net = ready(model, device, imports=imports)
    card = getattr(net, "card", None) or {}
    _threshold(card), _calibration(card)
    if on_error == "raise":
        _check_there(asked, Path(root))
        speakers_of(asked, Path(root), speakers)
    kept, values, skipped = score_trials(net, asked, root, on_error=on_error, progress=progress)
    pairs, source = speakers_of(kept, Path(root), speakers)
    facts = {"trial_list": name, "speakers_from": source, "bootstrap": bootstrap, "seed": seed}
    facts |= {"skipped_files": skipped, "skipped_trials": len(asked) - len(kept)}
    result = _measured(net, kept, values, pairs, facts)
    if scores is not None:
        write_scores(scores, kept, values)
    if output is not None:
        write_report(output, result)
    return result


def score_trials(
    model: str | Path | nn.Module | None,
    trials: Sequence[Trial],
    root: str | Path,
    *,
    device: str = "auto",
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool = True,
) -> tuple[list[Trial], NDArray, int]:
    """Trials whose recordings can be used, their cosine scores [N], and the number of recordings left out.

    Every recording is embedded once. Arguments and errors as in `evaluate`.
    """
    paths = {name: str(Path(root) / name) for name in _recordings(trials)}
    done = embed_files(paths.values(), model=model, device=device, on_error=on_error, progress=progress)
    rows = {path: row for row, path in enumerate(done.names)}
    index = {name: rows[path] for name, path in paths.items() if path in rows}
    kept = [trial for trial in trials if trial.enrol in index and trial.test in index]
    if not kept:
        reason = next(iter(done.failed.values()))
        lost = f"{len(done.failed)} of {len(paths)} recordings cannot be used"
        raise DataError(f"no trial is left: {lost}, the first: {reason}", "E_AUDIO")
    scores = cosine_trials(done.embeddings, [index[trial.enrol] for trial in kept], [index[trial.test] for trial in kept])
    return kept, scores, len(paths) - len(index)


def _measured(
    net: SpeakerEncoder, kept: Sequence[Trial], values: NDArray, pairs: NDArray | None, facts: Mapping[str, Any]
) -> Evaluation:
    labels = np.array([trial.label for trial in kept], dtype=bool)
    rate = eer(values, labels)
    interval = None
    if pairs is not None and facts["bootstrap"]:
        interval = eer_interval(values, labels, pairs, resamples=facts["bootstrap"], seed=facts["seed"])
    return Evaluation(
        model=model_info(net),
        eer=rate,
        eer_interval=interval,
        min_dcf_001=min_dcf(values, labels, 0.01),
        min_dcf_0001=min_dcf(values, labels, 0.001),
        **_by_card(values, labels, getattr(net, "card", None) or {}),
        num_trials=len(kept),
        num_targets=int(labels.sum()),
        num_nontargets=int((~labels).sum()),
        num_files=len(_recordings(kept)),
        num_speakers=None if pairs is None else len(np.unique(pairs)),
        warnings=tuple(_warnings(rate, labels, facts, pairs is not None)),
        **facts,
    )


def _by_card(values: NDArray, labels: NDArray, card: Mapping[str, Any]) -> dict[str, Any]:
    """What can be measured only with the threshold or the calibration of the model's card."""
    threshold, source = _threshold(card)
    far, frr = (None, None) if threshold is None else far_frr_at(values, labels, threshold)
    line = _calibration(card)
    cost = act_dcf(line[0] * values.astype(float) + line[1], labels) if line else None
    return {"act_dcf": cost, "threshold": threshold, "threshold_source": source, "far": far, "frr": frr}


def _threshold(card: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """The threshold that `verify` decides by when nobody asks for another, and the trials it was set on."""
    points, trials = stored_points(card)
    try:
        value, _ = threshold_for(points, FAR)
    except ConfigError:  # no development trials, or too few for this rate
        return None, None
    return value, f"set for FAR {FAR:.0%} on {trials}"


def _calibration(card: Mapping[str, Any]) -> tuple[float, float] | None:
    """A line from a cosine to a natural-log likelihood ratio: scale and offset."""
    stored = card.get("calibration")
    if not stored:
        return None
    try:
        return float(stored["scale"]), float(stored["offset"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            "the model's card is malformed: 'calibration' is {'scale': number, 'offset': number}", "E_FORMAT"
        ) from error


def _warnings(rate: float, labels: NDArray, facts: Mapping[str, Any], known_speakers: bool) -> Iterator[str]:
    errors = {"false rejects": rate * labels.sum(), "false accepts": rate * (~labels).sum()}
    kind, fewest = min(errors.items(), key=lambda item: item[1])
    if fewest < RULE_OF:
        yield (
            f"about {math.floor(fewest + 0.5)} {kind} at the EER, fewer than {RULE_OF}: "
            "the true rate may well lie more than 30 % off (rule of 30)"
        )
    if facts["skipped_files"]:
        yield f"{facts['skipped_files']} recordings could not be used; {facts['skipped_trials']} trials are left out"
    if not known_speakers:
        yield f"no interval, speakers are not known: {facts['speakers_from']}"


def _recordings(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in (trial.enrol, trial.test)))


def _labelled(trials: str | Path | Sequence[Trial]) -> tuple[list[Trial], str]:
    read, name = (read_trials(trials), str(trials)) if isinstance(trials, str | Path) else (list(trials), "")
    unlabelled = sum(trial.label is None for trial in read)
    if unlabelled or not read:
        reason = f"{unlabelled} of {len(read)} trials have no label" if read else "there is no trial in it"
        raise DataError(f"{name or 'trials'}: {reason}; evaluation needs lines such as `1 enrol.wav test.wav`", "E_TRIALS")
    split(np.zeros(len(read)), [bool(trial.label) for trial in read])  # both classes, or it says so before the work
    return read, name


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


def _check_places(output: str | Path | None, scores: str | Path | None) -> None:
    places = [Path(place) for place in (output, scores) if place is not None]
    for place in places:
        check_place(place)
        check_name(place, DataError)
    if len(places) == 2 and os.path.realpath(places[0]) == os.path.realpath(places[1]):
        raise ConfigError(f"output and scores are one file, {output}; choose two places")
