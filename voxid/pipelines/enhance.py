"""enhance: a recording without its noise, at the rate and with the length that it had."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from voxid.audio import io
from voxid.audio.io import AudioLike, Channel
from voxid.audio.snr import snr
from voxid.audio.source import printable
from voxid.audio.writer import check_format
from voxid.errors import ConfigError
from voxid.pipelines.delivery import BLOCK_SECONDS, band_remark, deliver, heard, spare
from voxid.pipelines.waveform_net import WaveformNet, resampled, resampled_back
from voxid.pipelines.windows import sizes, windowed


@dataclass(frozen=True, eq=False)
class Enhanced:
    """An enhanced recording.

    Args:
        name: The recording.
        model: Name of the model and the first digits of its SHA-256.
        rate: Sampling rate in Hz, that of the recording.
        channels: Channels that came out.
        seconds: Length, sample for sample that of the recording.
        output: The file that was written; None: `waveform` holds the result.
        waveform: float32 [T], or [C, T] where there are several channels; None when it was written to a file.
        clipped: Samples that the file could not hold and that were clipped.
        applied: Whether anything was enhanced; False where the whole recording was at or above `below_snr`.
        share: Of the windows, over all channels, those that were enhanced, 0 to 1; silent ones do not count.
        warnings: Each ``"W_CODE: text"``.
    """

    name: str
    model: str
    rate: int
    channels: int
    seconds: float
    output: str | None
    waveform: NDArray[np.float32] | None
    clipped: int
    applied: bool
    share: float
    warnings: tuple[str, ...]

    def describe(self) -> str:
        """The result as text."""
        head = f"{self.output or self.name}: {self.seconds:.2f} s, {self.channels} x {self.rate} Hz, enhanced by {self.model}"
        lines = [head] if self.applied else [f"{head}: left as it is"]
        if 0 < self.share < 1:
            lines.append(f"windows that were enhanced: {self.share:.0%}")
        if self.clipped:
            lines.append(f"clipped: {self.clipped} samples; --subtype FLOAT keeps them")
        return "\n".join(printable(line) for line in (*lines, *self.warnings))


def enhance(
    audio: AudioLike,
    *,
    output: str | Path | None = None,
    model: str | Path | nn.Module | None = None,
    device: str = "auto",
    imports: bool = False,
    window: float = 10.0,
    overlap: float = 0.5,
    wet: float = 1.0,
    max_attenuation: float | None = None,
    below_snr: float | None = None,
    channel: Channel | None = None,
    subtype: str | None = None,
    progress: bool = False,
) -> Enhanced:
    """Take the noise out of a recording of any format, rate and length.

    The result has the rate of the recording and its length, sample for sample, and lies at the same level. Memory does not grow
    with the length, apart from the result itself where no `output` is named.

    Args:
        audio: A path, a binary file object, or a pair (waveform, rate).
        output: The file to write, another than the recording; its suffix chooses the format (.wav .flac .ogg .opus .mp3 .aiff).
            None = the result holds the waveform.
        model: A name, a file, a loaded model, or None for the bundled one.
        device, imports: As in `voxid.load`.
        window: Seconds that the net hears at a time; what is shorter it hears whole.
        overlap: Seconds that two windows share and are cross-faded over.
        wet: Share of the enhanced in the result, 0 to 1; the rest is the recording as it was.
        max_attenuation: In dB: nothing gets softer by more than this, for that share of the recording stays. None = no bound.
        below_snr: In dB: windows whose estimated SNR (`voxid.audio.snr`) is this or more stay as they are. None = none do.
        channel: ``"all"``, each by itself (None does so); ``"first"``, ``"mix"`` or a number.
        subtype: Codec of the file, e.g. ``"FLOAT"`` or ``"PCM_24"``; 16 bits where the format has them when None.
        progress: A bar on stderr.

    Raises:
        AudioError: A recording that cannot be read, or a file that cannot be written.
        ModelError: A model that cannot be loaded, or is no enhancer.
        ConfigError: A value out of its range, or an output that would overwrite the recording.

    Example:
        >>> from voxid.models.enhancement.phasen import Phasen
        >>> noise = np.random.default_rng(0).normal(0, 0.1, 4410).astype(np.float32)
        >>> done = enhance((noise, 44100), model=Phasen("small"))
        >>> done.waveform.shape, done.rate
        ((4410,), 44100)
    """
    mix = Mix(wet, max_attenuation, below_snr)
    if output is not None:
        check_format(output, subtype)
        spare([audio], [output])
    net = WaveformNet(model, "enhancement", device=device, imports=imports)
    with io.stream(audio, sample_rate=None, channel="all" if channel is None else channel, block_seconds=BLOCK_SECONDS) as reader:
        channels = reader.facts.channels if reader.channel == "all" else 1
        size, shared, grain = sizes(window, overlap, reader.rate, net.rate)
        desk = Desk(net, mix, reader.rate)
        rows = windowed(heard(reader, progress=progress, verb="enhance"), desk.run, size=size, overlap=shared, grain=grain)
        with net.evaluating():
            waveform, clipped = deliver(rows, [] if output is None else [output], channels, reader.rate, subtype)
    return Enhanced(
        name=reader.facts.name,
        model=net.name,
        rate=reader.rate,
        channels=channels,
        seconds=reader.duration,
        output=None if output is None else str(output),
        waveform=waveform[0] if waveform is not None and channels == 1 else waveform,
        clipped=clipped,
        applied=desk.enhanced > 0,
        share=desk.enhanced / max(1, desk.heard),
        warnings=(*reader.warnings, *band_remark(reader.rate, net.rate, "; with wet below 1 a share of them stays")),
    )


@dataclass(frozen=True)
class Mix:
    """How much of the enhanced goes into the result, and when; arguments as in `enhance`.

    Raises:
        ConfigError: A value out of its range.

    Example:
        >>> Mix(max_attenuation=20.0).share
        0.9
    """

    wet: float = 1.0
    max_attenuation: float | None = None
    below_snr: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.wet <= 1:
            raise ConfigError(f"wet is the share of the enhanced in the result, from 0 (none) to 1 (all), got {self.wet}")
        if self.max_attenuation is not None and not 0 <= self.max_attenuation < math.inf:
            raise ConfigError(f"max_attenuation must be 0 dB or more, or None for no bound, got {self.max_attenuation}")
        if self.below_snr is not None and not math.isfinite(self.below_snr):
            raise ConfigError(f"below_snr must be a number of dB, or None for every window, got {self.below_snr}")

    @property
    def share(self) -> float:
        """Of the enhanced; the rest is the recording."""
        return self.wet if self.max_attenuation is None else self.wet * (1 - 10 ** (-self.max_attenuation / 20))


class Desk:
    """Hears windows, each channel by itself, and mixes what the net makes of them with what they were.

    Attributes:
        heard: Windows with sound so far, those of each channel.
        enhanced: Those of them that went through the net.
    """

    def __init__(self, net: WaveformNet, mix: Mix, rate: int) -> None:
        self._net, self._mix, self._rate = net, mix, rate
        self.heard = self.enhanced = 0

    def run(self, window: NDArray[np.float32], shared: int) -> NDArray[np.float32]:
        """Rows [C, T] of a window [C, T]."""
        return np.stack([self._channel(row) for row in window])

    def _channel(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        if not row.any():  # digital silence stays what it is
            return row
        self.heard += 1
        share, bound = self._mix.share, self._mix.below_snr
        if share == 0 or (bound is not None and snr(row, self._rate) >= bound):
            return row
        self.enhanced += 1
        clean = resampled_back(self._net(resampled(row, self._rate, self._net.rate)), self._net.rate, self._rate, len(row))[0]
        return clean if share == 1 else row + np.float32(share) * (clean - row)
