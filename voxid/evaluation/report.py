"""What an evaluation found: as a frozen result, as text, as JSON, and its scores line by line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from voxid.atomic import replacing
from voxid.data.trials import Trial, write_trials
from voxid.errors import DataError


@dataclass(frozen=True)
class Evaluation:
    """Error rates of a model on a trial list; rates are fractions, lower is better.

    Args:
        model: Name and sha256 of the model, and its D.
        trial_list: The list, as it was named.
        scored_by: Back-end and calibration, in words.
        eer: Equal error rate.
        eer_interval, min_dcf_001_interval: 95 % of the figures of drawn speakers lie between; None where speakers are not known
            or none were drawn.
        min_dcf_005, min_dcf_001, min_dcf_0001: Minimum normalised detection cost at target priors of 0.05, 0.01 and 0.001.
        act_dcf_005, act_dcf_001: Actual normalised detection cost at 0.05 and 0.01; None without a calibration.
        cllr, min_cllr: Cost of the log-likelihood ratios in bits, and what it would be after the best calibration of these very
            trials; None without a calibration.
        threshold: The one of the card, if any, set elsewhere (`threshold_source`) on scores, or on log-likelihood ratios where
            there is a calibration; `far` and `frr` are the false accept and false reject rates at it, here.
        num_trials, num_targets, num_nontargets, num_files: What was scored.
        num_speakers: Speakers of these trials, None where not known; `speakers_from` says whence, or why not.
        skipped_files, skipped_trials: What was left out because a recording could not be used.
        bootstrap, seed: Of the interval; the seed also of the noise that was added.
        conditions: What was done to the recordings before, noise added or taken out; None for nothing.
        warnings: What a reader of the figures must know.
    """

    model: Mapping[str, Any]
    trial_list: str
    scored_by: str
    eer: float
    eer_interval: tuple[float, float] | None
    min_dcf_001_interval: tuple[float, float] | None
    min_dcf_005: float
    min_dcf_001: float
    min_dcf_0001: float
    act_dcf_005: float | None
    act_dcf_001: float | None
    cllr: float | None
    min_cllr: float | None
    threshold: float | None
    threshold_source: str | None
    far: float | None
    frr: float | None
    num_trials: int
    num_targets: int
    num_nontargets: int
    num_files: int
    num_speakers: int | None
    speakers_from: str
    skipped_files: int
    skipped_trials: int
    bootstrap: int
    seed: int
    conditions: Mapping[str, Any] | None
    warnings: tuple[str, ...]

    def describe(self) -> str:
        """The result as text, a line a figure; rates in per cent."""
        return "\n".join(f"{name:<15}{value}" for name, value in self.rows())

    def rows(self) -> list[tuple[str, str]]:
        """Name and text of each figure."""
        speakers = "unknown" if self.num_speakers is None else self.num_speakers
        rows = [
            ("model", named(self.model)),
            ("scored by", self.scored_by),
            ("trials", f"{self.num_trials}: {self.num_targets} target, {self.num_nontargets} non-target"),
            ("recordings", f"{self.num_files} of {speakers} speakers"),
            *_heard(self.conditions or {}),
            ("EER", _percent(self.eer) + _interval(self)),
            ("minDCF(0.05)", _cost(self.min_dcf_005, self.act_dcf_005)),
            ("minDCF(0.01)", _cost(self.min_dcf_001, self.act_dcf_001, self.min_dcf_001_interval)),
            ("minDCF(0.001)", f"{self.min_dcf_0001:.3f}"),
        ]
        if self.cllr is not None:
            rows.append(("Cllr", f"{self.cllr:.3f} bits; {self.min_cllr:.3f} if these trials calibrated themselves"))
        if self.far is not None and self.frr is not None:
            at = f"at {self.threshold:.4f}, {self.threshold_source}"
            rows.append(("FAR / FRR", f"{_percent(self.far)} / {_percent(self.frr)}   {at}"))
        return rows + [("warning", text) for text in self.warnings]


def write_result(path: str | Path, result: Evaluation) -> None:
    """Write all fields as JSON, whole or not at all."""
    with replacing(path, DataError) as temporary:
        temporary.write_text(json.dumps(asdict(result), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_scores(path: str | Path, trials: Iterable[Trial], scores: NDArray) -> None:
    """Write ``enrol test score target|nontarget``, a line a trial (wespeaker's order), whole or not at all."""
    scored = [trial._replace(score=score) for trial, score in zip(trials, scores.tolist(), strict=True)]
    write_trials(path, scored, format="wespeaker")


def named(model: Mapping[str, Any]) -> str:
    """Name and digest of a model.

    Example:
        >>> named({"name": None, "sha256": "0123456789abcdef"})
        'unnamed (sha256 0123456789ab)'
    """
    digest = model.get("sha256")
    return (model.get("name") or "unnamed") + (f" (sha256 {digest[:12]})" if digest else "")


def _heard(conditions: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was done to the recordings, a line for the noise and one for the enhancer."""
    sides = {"test": "the test side", "both": "both sides"}
    rows = []
    if "noise" in conditions:
        rows.append(("noise", f"{conditions['noise']} at {conditions['snr']:g} dB on {sides[conditions['noise_side']]}"))
    if "enhancer" in conditions:
        text = f"{named(conditions['enhancer'])} on {sides[conditions['enhance_side']]}"
        if conditions["max_attenuation"] is not None:
            text += f", by {conditions['max_attenuation']:g} dB at most"
        if conditions["below_snr"] is not None:
            text += f", below {conditions['below_snr']:g} dB: {conditions['left_alone']} left as they were"
        rows.append(("enhanced by", text))
    return rows


def _cost(lowest: float, actual: float | None, interval: tuple[float, float] | None = None) -> str:
    between = "" if interval is None else f" [{interval[0]:.3f} to {interval[1]:.3f}]"
    return f"{lowest:.3f}{between}" + ("" if actual is None else f"; actual {actual:.3f} at the Bayes threshold")


def _interval(result: Evaluation) -> str:
    if result.eer_interval is None:
        return ""
    low, high = result.eer_interval
    return f"   95 % interval {_percent(low)} to {_percent(high)} ({result.bootstrap} draws of {result.num_speakers} speakers)"


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f} %"
