"""The verbs that clean a recording: enhance and separate."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from cyclopts import Parameter

from voxid.cli.apps import Imports, Json, app
from voxid.cli.output import mute, ready, show
from voxid.errors import ConfigError, VoxidError

OptionalOutput = Annotated[str | None, Parameter(name=["--output", "-o"])]
Flag = Annotated[bool, Parameter(negative="")]
OnError = Literal["raise", "skip"]
Pcm = Literal["s16le", "f32le"]


@app.command
def enhance(
    recordings: list[str] | None = None,
    *,
    output: OptionalOutput = None,
    model: str | None = None,
    window: float = 10.0,
    overlap: float = 0.5,
    wet: float = 1.0,
    max_attenuation: float | None = None,
    below_snr: float | None = None,
    channel: str = "all",
    subtype: str | None = None,
    suffix: str = ".wav",
    overwrite: Flag = False,
    on_error: OnError = "raise",
    stream: Flag = False,
    rate: int | None = None,
    pcm: Pcm | None = None,
    device: str = "auto",
    imports: Imports = False,
    json: Json = False,
) -> None:
    """Take the noise out of recordings of any format, rate and length: a file into a file, several or a folder into a folder.

    Args:
        recordings: Files or folders.
        output: A file for one recording, by its suffix wav, flac, ogg, opus, mp3 or aiff; else a folder.
        model: A name or a file; the bundled model when absent.
        window: Seconds that the net hears at a time.
        overlap: Seconds that two windows share and are cross-faded over.
        wet: Share of the enhanced in the result: 1 is all of it, 0 the recording as it was.
        max_attenuation: In dB: nothing gets softer by more than this.
        below_snr: In dB: windows with this estimated SNR or a better one stay as they are.
        channel: all (each by itself), first, mix, or a number from 0.
        subtype: Codec of the files, e.g. FLOAT or PCM_24; 16 bits by default.
        suffix: Of the files in a folder: .wav, .flac ...
        overwrite: Write over files in the folder; else what is there, and no older than its recording, is left alone.
        on_error: raise stops at a recording that cannot be used, skip leaves it out and names it.
        stream: Bare samples from standard input to standard output, one channel, little-endian; the model must be causal.
        rate: Of the stream in Hz; the model's by default.
        pcm: Samples of the stream: s16le, the default, or f32le.
        device: auto, cpu, cuda ...
    """
    ready()
    _check_options(enhance, locals(), "wet", "max_attenuation")
    common: dict[str, Any] = {"model": model, "device": device, "imports": imports}
    if stream:
        _stream("enhancement", rate=rate, pcm=pcm or "s16le", wet=wet, max_attenuation=max_attenuation, **common)
        return
    options = common | {"window": window, "overlap": overlap, "channel": _channel(channel), "subtype": subtype}
    options |= {"wet": wet, "max_attenuation": max_attenuation, "below_snr": below_snr}
    if not recordings or output is None:
        raise ConfigError("enhance takes recordings and --output, a file or a folder; or --stream")
    if _one_file(recordings, output):
        from voxid.pipelines.enhance import enhance as run

        result: Any = run(recordings[0], output=output, progress=True, **options)
    else:
        from voxid.pipelines.clean_files import enhance_files as run_files

        result = run_files(recordings, output=output, suffix=suffix, overwrite=overwrite, on_error=on_error, **options)
    show(result, json, result.describe())


@app.command
def separate(
    recordings: list[str] | None = None,
    *,
    output: OptionalOutput = None,
    num_sources: int | None = None,
    model: str | None = None,
    speaker_model: str | None = None,
    window: float = 10.0,
    overlap: float = 0.5,
    tracking: bool = True,
    rescale: bool = True,
    channel: str = "first",
    subtype: str | None = None,
    suffix: str = ".wav",
    overwrite: Flag = False,
    on_error: OnError = "raise",
    stream: Flag = False,
    rate: int | None = None,
    pcm: Pcm | None = None,
    device: str = "auto",
    imports: Imports = False,
    json: Json = False,
) -> None:
    """Take recordings apart into their voices: meeting.wav becomes meeting_1.wav and meeting_2.wav.

    Args:
        recordings: Files or folders.
        output: A folder, the current one by default; or for one recording a file, whose name gets the numbers.
        num_sources: How many voices the model must give; any other number is refused.
        model: A name or a file; the bundled model when absent.
        speaker_model: What tells voices apart where the sound that two windows share does not; the bundled one when absent.
        window: Seconds that the net hears at a time.
        overlap: Seconds that two windows share and are cross-faded over.
        tracking: Keep each voice in one file from window to window.
        rescale: Give the voices the levels with which they add up to the recording.
        channel: first, mix, or a number from 0.
        subtype: Codec of the files, e.g. FLOAT or PCM_24; 16 bits by default.
        suffix: Of the files in a folder: .wav, .flac ...
        overwrite: Write over files in the folder; else what is there, and no older than its recording, is left alone.
        on_error: raise stops at a recording that cannot be used, skip leaves it out and names it.
        stream: Bare samples from standard input to standard output, little-endian; the voices come out interleaved, like
            channels. The model must be causal.
        rate: Of the stream in Hz; the model's by default.
        pcm: Samples of the stream: s16le, the default, or f32le.
        device: auto, cpu, cuda ...
    """
    ready()
    _check_options(separate, locals())
    common: dict[str, Any] = {"model": model, "device": device, "imports": imports}
    if stream:
        _stream("separation", rate=rate, pcm=pcm or "s16le", **common)
        return
    if not recordings:
        raise ConfigError("separate takes recordings; or --stream")
    options = common | {"window": window, "overlap": overlap, "channel": _channel(channel), "subtype": subtype}
    options |= {"num_sources": num_sources, "speaker_model": speaker_model, "tracking": tracking, "rescale": rescale}
    if output is not None and _one_file(recordings, output):
        from voxid.pipelines.separate import separate as run

        result: Any = run(recordings[0], output=output, progress=True, **options)
    else:
        from voxid.pipelines.clean_files import separate_files as run_files

        result = run_files(recordings, output=output or ".", suffix=suffix, overwrite=overwrite, on_error=on_error, **options)
    show(result, json, result.describe())


def _one_file(recordings: Sequence[str], output: str) -> bool:
    """Whether one recording goes into one file that is named; anything else goes below a folder."""
    named = bool(Path(output).suffix) and not output.endswith(("/", os.sep)) and not os.path.isdir(output)  # noqa: PTH112
    if named and len(recordings) > 1:
        raise ConfigError(f"{output}: a file, for {len(recordings)} recordings; name a folder: --output {Path(output).stem}/")
    return named and not os.path.isdir(recordings[0])  # noqa: PTH112 - Path.is_dir() raises on a name that is too long


def _channel(word: str) -> int | str:
    return int(word) if word.isdecimal() else word


def _check_options(verb: Callable[..., None], given: dict[str, Any], *streamed: str) -> None:
    """Refuse what would be ignored: the options of streams without --stream; with it all others, but those `streamed`."""
    of_streams = ("rate", "pcm")
    apart = ("stream", "model", "device", "imports", *of_streams, *streamed)
    defaults = {name: parameter.default for name, parameter in inspect.signature(verb).parameters.items()}
    looked_at = [name for name in defaults if name not in apart] if given["stream"] else of_streams
    odd = ", ".join(_option(name, defaults[name]) for name in looked_at if given[name] != defaults[name])
    if odd and given["stream"]:
        raise ConfigError(f"--stream goes from standard input to standard output and does not take {odd}; leave it out")
    if odd:
        raise ConfigError(f"{odd}: of streams only; add --stream or leave it out")


def _option(name: str, default: object) -> str:
    if name == "recordings":
        return name
    return f"--{'no-' if default is True else ''}{name.replace('_', '-')}"


def _stream(kind: Literal["enhancement", "separation"], **options: Any) -> None:
    import logging

    source, sink = _standard_streams()
    from voxid.pipelines.stream_pcm import stream_pcm as run

    try:
        done = run(source, sink, kind=kind, **options)
    except VoxidError as error:
        if error.code in ("E_DISK_FULL", "E_WRITE"):
            mute()
        raise
    if done.clipped:
        logging.getLogger("voxid").warning("clipped: %d samples; --pcm f32le keeps them", done.clipped)


def _standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output; Python has None for one that the shell has closed."""
    for name, stream in {"input": sys.stdin, "output": sys.stdout}.items():
        if stream is None:
            raise VoxidError(f"standard {name} is closed; --stream needs it open: a pipe or a file", "E_CLOSED")
    return sys.stdin.buffer, sys.stdout.buffer
