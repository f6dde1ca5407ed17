"""separate: a recording of several voices at once -> one recording of each, at the rate and with the length that it had."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from voxid.audio import io
from voxid.audio.io import AudioLike, Channel
from voxid.audio.source import printable
from voxid.audio.writer import FORMATS, check_format
from voxid.data.scan import SUFFIXES
from voxid.errors import ConfigError
from voxid.pipelines.delivery import BLOCK_SECONDS, band_remark, deliver, heard, make_folder, spare
from voxid.pipelines.embed import embed, ready
from voxid.pipelines.source_levels import SourceLevels
from voxid.pipelines.source_order import SourceTracker
from voxid.pipelines.waveform_net import WaveformNet, resampled, resampled_back
from voxid.pipelines.windows import sizes, windowed


@dataclass(frozen=True, eq=False)
class Separated:
    """The sources of a recording.

    Args:
        name: The recording.
        model: Name of the model and the first digits of its SHA-256.
        rate: Sampling rate in Hz, that of the recording.
        num_sources: S.
        seconds: Length of each, sample for sample that of the recording.
        outputs: The files that were written, one a source; empty: `waveforms` holds the result.
        waveforms: float32 [S, T]; None when they were written to files.
        clipped: Samples that the files could not hold and that were clipped.
        by_correlation, by_voice, kept: Windows, from the second on, whose sources were told apart by the sound that they share
            with the window before, by their voices, or by neither; see `voxid.pipelines.source_order`.
        warnings: Each ``"W_CODE: text"``.
    """

    name: str
    model: str
    rate: int
    num_sources: int
    seconds: float
    outputs: tuple[str, ...]
    waveforms: NDArray[np.float32] | None
    clipped: int
    by_correlation: int
    by_voice: int
    kept: int
    warnings: tuple[str, ...]

    @property
    def waveform(self) -> NDArray[np.float32] | None:
        """`waveforms`, by the name that an enhanced recording has for it."""
        return self.waveforms

    def describe(self) -> str:
        """The result as text."""
        what = ", ".join(self.outputs) or self.name
        lines = [f"{what}: {self.num_sources} sources of {self.seconds:.2f} s at {self.rate} Hz, by {self.model}"]
        if self.by_correlation or self.by_voice or self.kept:
            told = f"{self.by_correlation} by the overlap, {self.by_voice} by the voices, {self.kept} by neither"
            lines.append(f"order of the sources from window to window: {told}")
        if self.clipped:
            lines.append(f"clipped: {self.clipped} samples; --subtype FLOAT keeps them")
        return "\n".join(printable(line) for line in (*lines, *self.warnings))


def separate(
    audio: AudioLike,
    *,
    output: str | Path | None = None,
    num_sources: int | None = None,
    model: str | Path | nn.Module | None = None,
    speaker_model: str | Path | nn.Module | None = None,
    device: str = "auto",
    imports: bool = False,
    window: float = 10.0,
    overlap: float = 0.5,
    tracking: bool = True,
    rescale: bool = True,
    channel: Channel = "first",
    subtype: str | None = None,
    progress: bool = False,
) -> Separated:
    """Take a recording of any format, rate and length apart into its voices.

    Each source has the rate of the recording and its length, sample for sample. A long recording is heard in windows; a source
    stays the same voice from one to the next. Memory does not grow with the length, apart from the result itself where no
    `output` is named.

    Args:
        audio: A path, a binary file object, or a pair (waveform, rate).
        output: A folder, for NAME_1.wav, NAME_2.wav ... after the recording; or a file with a suffix of audio, whose name
            gets the numbers. None = the result holds the waveforms.
        num_sources: How many; None = as many as the model gives, and any other number is refused.
        model: A name, a file, a loaded model, or None for the bundled one.
        speaker_model: What tells voices apart where the sound that two windows share does not.
        device, imports: As in `voxid.load`.
        window: Seconds that the net hears at a time; what is shorter it hears whole.
        overlap: Seconds that two windows share and are cross-faded over.
        tracking: Put the sources of each window in the order of the window before. False leaves them as the net gives them.
        rescale: Give the sources the levels with which they add up to the recording best, over all that was heard so far; a net
            that was trained by SI-SDR knows neither level nor sign. False leaves them as the net gives them.
        channel: ``"first"`` (with a warning where the others differ), ``"mix"`` or a number.
        subtype: Codec of the files, e.g. ``"FLOAT"`` or ``"PCM_24"``; 16 bits where the format has them when None.
        progress: A bar on stderr.

    Raises:
        AudioError: A recording that cannot be read, or a file that cannot be written.
        ModelError: A model that cannot be loaded, or is no separator.
        ConfigError: A value out of its range, or an output that would overwrite the recording.
        DataError: A folder that cannot be made.

    Example:
        >>> from voxid.models.separation.sudormrf import SuDoRMRF
        >>> noise = np.random.default_rng(0).normal(0, 0.1, 4410).astype(np.float32)
        >>> done = separate((noise, 44100), model=SuDoRMRF("0.25x", channels=16, hidden=32))
        >>> done.waveforms.shape, done.rate
        ((2, 4410), 44100)
    """
    if channel == "all":
        raise ConfigError(
            "separate takes one channel: 'first', 'mix' or a number; the sources of each channel would be in any order"
        )
    net = WaveformNet(model, "separation", device=device, imports=imports)
    num = check_sources(net, num_sources)
    outputs = () if output is None else source_files(audio, output, num)
    if outputs:
        check_format(outputs[0], subtype)
        spare([audio], outputs)
    with io.stream(audio, sample_rate=None, channel=channel, block_seconds=BLOCK_SECONDS) as reader:
        if outputs and Path(outputs[0]).parent == Path(str(output)):
            make_folder(Path(str(output)))
        size, shared, grain = sizes(window, overlap, reader.rate, net.rate)
        tracker = SourceTracker(num, net.rate, voices(speaker_model, net.rate, device)) if tracking else None
        splitter = Splitter(net, num, reader.rate, tracker, SourceLevels(num) if rescale else None)
        rows = windowed(heard(reader, progress=progress, verb="separate"), splitter.run, size=size, overlap=shared, grain=grain)
        with net.evaluating():
            waveforms, clipped = deliver(rows, outputs, 1, reader.rate, subtype)
    return Separated(
        name=reader.facts.name,
        model=net.name,
        rate=reader.rate,
        num_sources=num,
        seconds=reader.duration,
        outputs=outputs,
        waveforms=waveforms,
        clipped=clipped,
        by_correlation=tracker.by_correlation if tracker else 0,
        by_voice=tracker.by_voice if tracker else 0,
        kept=tracker.kept if tracker else 0,
        warnings=(*reader.warnings, *band_remark(reader.rate, net.rate, "")),
    )


class Splitter:
    """Hears windows and gives their sources, in the order of the windows before."""

    def __init__(
        self, net: WaveformNet, num_sources: int, rate: int, tracker: SourceTracker | None, levels: SourceLevels | None
    ) -> None:
        self._net, self._num, self._rate, self._tracker, self._levels = net, num_sources, rate, tracker, levels

    def run(self, window: NDArray[np.float32], shared: int) -> NDArray[np.float32]:
        """Rows [S, T] of a window [1, T]."""
        samples, net = window[0], self._net
        heard = resampled(samples, self._rate, net.rate)
        # Digital silence has silent sources, whatever a net makes of it.
        sources = net(heard) if samples.any() else np.zeros((self._num, len(heard)), np.float32)
        if self._levels is not None:  # by the net's outputs: it is these that have a level and a sign of their own
            sources = self._levels.apply(sources, heard)
        if self._tracker is not None:
            sources = sources[self._tracker.place(sources, round(shared * net.rate / self._rate))]
        return resampled_back(sources, net.rate, self._rate, len(samples))


def check_sources(net: WaveformNet, asked: int | None) -> int:
    """How many sources a net gives; raises ConfigError where another number was asked for."""
    given = int(net.net.num_sources)
    if asked is not None and asked != given:
        raise ConfigError(f"{net.name} gives {given} sources, not {asked}; take a model that was trained for {asked}")
    return given


def source_files(audio: AudioLike, output: str | Path, num_sources: int) -> tuple[str, ...]:
    """The files of the sources: ``out/meeting_1.wav`` for a folder ``out``, ``a_1.flac`` for a pattern ``a.flac``.

    Raises:
        AudioError: ``E_UNSUPPORTED``, a suffix that cannot be written.
        ConfigError: A folder for a recording without a name; what has no suffix of audio is a folder.

    Example:
        >>> source_files("meeting.m4a", "a.flac", 2)
        ('a_1.flac', 'a_2.flac')
    """
    pattern = Path(output)
    suffix = pattern.suffix.lower()  # of a folder voices.v2 it is no format; that of a.m4a is one, which cannot be written
    if suffix not in {*FORMATS, *SUFFIXES} or os.path.isdir(pattern):  # noqa: PTH112 - Path.is_dir() raises on a long name
        if not isinstance(audio, str | Path):
            raise ConfigError(f"{output}: a folder, and the recording has no name to call its sources by; name a file: out.wav")
        pattern = pattern / f"{Path(audio).stem}.wav"
    check_format(pattern)
    return tuple(str(pattern.with_name(f"{pattern.stem}_{number}{pattern.suffix}")) for number in range(1, num_sources + 1))


def voices(model: str | Path | nn.Module | None, rate: int, device: str) -> Callable[[NDArray], NDArray]:
    """Embeddings [n, D] of waveforms [n, T] at `rate`, by a speaker model that is loaded when it is first asked."""
    loaded: list[nn.Module] = []

    def embedded(waveforms: NDArray) -> NDArray:
        if not loaded:
            loaded.append(ready(model, device))
        return embed([(waveform, rate) for waveform in waveforms], model=loaded[0])

    return embedded
