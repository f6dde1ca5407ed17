"""The verb `verify`: is it the same speaker in two recordings?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from voxid.audio.io import AudioLike, Recording
from voxid.audio.io import load as load_audio
from voxid.audio.quality import Meter
from voxid.errors import AudioError, ConfigError
from voxid.metrics.operating_points import threshold_for
from voxid.pipelines.embed import embed_files
from voxid.pipelines.system import System, build_system
from voxid.scoring.calibration import posterior

MIN_SECONDS = 0.3


@dataclass(frozen=True)
class Verification:
    """An answer and what it rests on.

    Attributes:
        score: By the model's back-end, the cosine of the two embeddings (-1 ... 1) where it has none; higher = same speaker.
        decision: True = same speaker: what is compared (`unit`) reaches the threshold.
        threshold: What it is held against.
        far, frr: Rates of false accepts and false rejects at this threshold, on the trials it was set on (None = unknown).
        source: Where the threshold comes from.
        model: Name and fingerprint of the model.
        reasons: Warnings about the two recordings, in words.
        llr: Natural-log likelihood ratio: how much better "same speaker" explains the two recordings; None without a calibration.
        probability: Of the same speaker, given `prior`; None without a calibration.
        prior: Probability of the same speaker before anybody listened.
        unit: What the threshold is on: "log-likelihood ratio", or "score" for a model without a calibration.
    """

    score: float
    decision: bool
    threshold: float
    far: float | None
    frr: float | None
    source: str
    model: str
    reasons: tuple[str, ...]
    llr: float | None
    probability: float | None
    prior: float
    unit: str

    def describe(self) -> str:
        """The answer in a few lines of text."""
        rates = "" if self.far is None else f" (false accepts {self.far:.2%}, false rejects {self.frr:.2%} there)"
        answer = "same speaker" if self.decision else "different speakers"
        value = self.score if self.llr is None else self.llr
        lines = [f"{answer}: {self.unit} {value:.3f}, threshold {self.threshold:.3f}"]
        if self.probability is not None:
            lines.append(f"probability of the same speaker: {_share(self.probability)}, if it was {self.prior:g} before")
        lines += [f"threshold: {self.source}{rates}", f"model: {self.model}"]
        return "\n".join(lines + [f"note: {reason}" for reason in self.reasons])


def verify(
    enrol: AudioLike,
    test: AudioLike,
    *,
    model: str | Path | nn.Module | None = None,
    far: float = 0.01,
    threshold: float | None = None,
    prior: float = 0.5,
    device: str = "auto",
    imports: bool = False,
) -> Verification:
    """Compare two recordings.

    Args:
        enrol, test: Each a path, a file object or a ``(waveform, rate)`` pair.
        model: A name, a file or a loaded model; None = the bundled one.
        far: False-accept rate to aim at; the threshold for it comes out of the model's card.
        threshold: A threshold of your own instead: a log-likelihood ratio, or a score for a model without a calibration.
        prior: Probability of the same speaker before anybody listened, for `probability`; it does not change the decision.
        device: ``auto``, ``cpu``, ``cuda`` ...; a loaded model stays where it is with ``auto``.
        imports: Allow a model file whose parts go by an import path. Importing runs code: only for files that you trust.

    Raises:
        AudioError: A recording that cannot be read, lasts less than 0.3 s (``E_TOO_SHORT``) or holds no voice (``E_NO_SPEECH``).
        ModelError: A model that cannot be loaded, or whose card holds malformed thresholds.
        ConfigError: ``E_NO_THRESHOLD``, a model without stored thresholds, and no `threshold` given; a `far` that the card does
            not support; a `threshold` that is not finite; a `prior` outside (0, 1).
    """
    if not 0.0 < prior < 1.0:
        raise ConfigError(f"prior is a probability within (0, 1), got {prior:g}")
    system = build_system(model, device=device, imports=imports)
    card = getattr(system.net, "card", None) or {}
    sides = ("enrol", "test")
    limit, rate, misses, source = _limit(system, far, threshold)
    recordings = [_listen(audio, side) for audio, side in zip((enrol, test), sides, strict=True)]
    done = embed_files([(recording.waveform, recording.rate) for recording in recordings], model=system.net, progress=False)
    scored = system.score(done, [0], [1])
    llr = None if scored.llr is None else float(scored.llr[0])
    return Verification(
        score=float(scored.scores[0]),
        decision=bool(scored.decisive[0] >= limit),
        threshold=limit,
        far=rate,
        frr=misses,
        source=source,
        model=f"{card.get('name', 'unnamed')} ({str(card.get('sha256', 'not from a file'))[:12]})",
        reasons=tuple(
            f"{side}: {text}" for recording, side in zip(recordings, sides, strict=True) for text in recording.warnings
        ),
        llr=llr,
        probability=None if llr is None else float(posterior(llr, prior)),
        prior=prior,
        unit=system.unit,
    )


def _share(probability: float) -> str:
    """A probability that never reads as certainty."""
    return f"{min(max(probability, 0.0001), 0.9999):.2%}"


def _limit(system: System, far: float, threshold: float | None) -> tuple[float, float | None, float | None, str]:
    """Threshold, its false-accept and false-reject rates, and where it comes from."""
    if threshold is not None:
        if not math.isfinite(threshold):
            raise ConfigError(f"threshold must be a finite number, got {threshold}")
        return threshold, None, None, "given by the caller"
    points, trials = system.points()
    if not points:
        raise ConfigError(
            "this model has no stored thresholds (trained without validation trials or with few); "
            "give one (--threshold VALUE) or set them (voxid calibrate)",
            "E_NO_THRESHOLD",
        )
    value, misses = threshold_for(points, far)
    return value, far, misses, f"false-accept rate {far:g} on the development trials {trials}"


def _listen(audio: AudioLike, which: str) -> Recording:
    """A recording that is long enough and may hold a voice."""
    recording = load_audio(audio)
    name = f"{which}: {recording.name}"
    if recording.duration < MIN_SECONDS:
        raise AudioError(
            f"{name}: {recording.duration:.2f} s of audio, at least {MIN_SECONDS} s are needed; record more", "E_TOO_SHORT"
        )
    meter = Meter(recording.rate, 1)
    meter.add(recording.waveform[None])
    if reason := meter.voiceless():
        raise AudioError(f"{name}: no speech: {reason}; check the microphone, or take another recording", "E_NO_SPEECH")
    return recording
