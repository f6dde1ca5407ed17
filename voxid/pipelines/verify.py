"""The verb `verify`: is it the same speaker in two recordings?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from voxid.audio.io import AudioLike, Recording
from voxid.audio.io import load as load_audio
from voxid.audio.quality import Meter
from voxid.errors import AudioError, ConfigError
from voxid.metrics.operating_points import stored_points, threshold_for
from voxid.pipelines.embed import embed, ready
from voxid.scoring.cosine import cosine

MIN_SECONDS = 0.3


@dataclass(frozen=True)
class Verification:
    """An answer and what it rests on.

    Attributes:
        score: Cosine of the two embeddings, -1 ... 1; higher = same speaker.
        decision: True = same speaker: the score reaches the threshold.
        threshold: What the score is held against.
        far, frr: Rates of false accepts and false rejects at this threshold, on the trials it was set on (None = unknown).
        source: Where the threshold comes from.
        model: Name and fingerprint of the model.
        reasons: Warnings about the two recordings, in words.
        llr, probability: Calibrated answers; None until the model is calibrated.
    """

    score: float
    decision: bool
    threshold: float
    far: float | None
    frr: float | None
    source: str
    model: str
    reasons: tuple[str, ...]
    llr: float | None = None
    probability: float | None = None

    def describe(self) -> str:
        """The answer in a few lines of text."""
        rates = "" if self.far is None else f" (false accepts {self.far:.2%}, false rejects {self.frr:.2%} there)"
        answer = "same speaker" if self.decision else "different speakers"
        lines = [
            f"{answer}: score {self.score:.3f}, threshold {self.threshold:.3f}",
            f"threshold: {self.source}{rates}",
            f"model: {self.model}",
        ]
        return "\n".join(lines + [f"note: {reason}" for reason in self.reasons])


def verify(
    enrol: AudioLike,
    test: AudioLike,
    *,
    model: str | Path | nn.Module | None = None,
    far: float = 0.01,
    threshold: float | None = None,
    device: str = "auto",
    imports: bool = False,
) -> Verification:
    """Compare two recordings.

    Args:
        enrol, test: Each a path, a file object or a ``(waveform, rate)`` pair.
        model: A name, a file or a loaded model; None = the bundled one.
        far: False-accept rate to aim at; the threshold for it comes out of the model's card.
        threshold: A threshold of your own instead.
        device: ``auto``, ``cpu``, ``cuda`` ...; a loaded model stays where it is with ``auto``.
        imports: Allow a model file whose parts go by an import path. Importing runs code: only for files that you trust.

    Raises:
        AudioError: A recording that cannot be read, lasts less than 0.3 s (``E_TOO_SHORT``) or holds no voice (``E_NO_SPEECH``).
        ModelError: A model that cannot be loaded, or whose card holds malformed thresholds.
        ConfigError: ``E_NO_THRESHOLD``, a model without stored thresholds, and no `threshold` given; a `far` that the card does
            not support; a `threshold` that is not finite.
    """
    net = ready(model, device, imports=imports)
    card = getattr(net, "card", None) or {}
    sides = ("enrol", "test")
    limit, rate, misses, source = _limit(card, far, threshold)
    recordings = [_listen(audio, side) for audio, side in zip((enrol, test), sides, strict=True)]
    first, second = embed([(recording.waveform, recording.rate) for recording in recordings], model=net)
    score = float(cosine(first, second))
    return Verification(
        score=score,
        decision=score >= limit,
        threshold=limit,
        far=rate,
        frr=misses,
        source=source,
        model=f"{card.get('name', 'unnamed')} ({str(card.get('sha256', 'not from a file'))[:12]})",
        reasons=tuple(
            f"{side}: {text}" for recording, side in zip(recordings, sides, strict=True) for text in recording.warnings
        ),
    )


def _limit(card: Mapping[str, Any], far: float, threshold: float | None) -> tuple[float, float | None, float | None, str]:
    """Threshold, its false-accept and false-reject rates, and where it comes from."""
    if threshold is not None:
        if not math.isfinite(threshold):
            raise ConfigError(f"threshold must be a finite number, got {threshold}; scores lie between -1 and 1")
        return threshold, None, None, "given by the caller"
    points, trials = stored_points(card)
    if not points:
        raise ConfigError(
            "this model has no stored thresholds (trained without validation trials or with few); give one: --threshold VALUE",
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
