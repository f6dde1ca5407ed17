"""Many recordings, or folders of them, through enhance or separate: each to its place below one folder; what is done stays."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn
from tqdm import tqdm

from voxid.audio.source import printable
from voxid.audio.writer import check_format
from voxid.data.scan import scan
from voxid.errors import AudioError, ConfigError, DataError
from voxid.pipelines.delivery import make_folder, spare
from voxid.pipelines.embed import ready
from voxid.pipelines.enhance import Mix, enhance
from voxid.pipelines.separate import separate, source_files
from voxid.pipelines.waveform_net import WaveformNet

FEW = 8  # files that a summary names


@dataclass(frozen=True)
class CleanedFiles:
    """What `enhance_files` or `separate_files` did.

    Args:
        output: The folder.
        num_recordings: Done now.
        num_before: Left alone, since their files are there and no older than the recordings.
        written: Files, in the order of the recordings.
        seconds: Audio that was done now.
        clipped: Samples that the files could not hold and that were clipped.
        model: Name of the model and the first digits of its SHA-256.
        warnings: Recording -> its warnings.
        failed: Recording -> reason, of those that were left out with on_error="skip".
    """

    output: str
    num_recordings: int
    num_before: int
    written: tuple[str, ...]
    seconds: float
    clipped: int
    model: str
    warnings: Mapping[str, tuple[str, ...]]
    failed: Mapping[str, str]

    def describe(self) -> str:
        """The result as text, a line for each kind of warning and for each recording that was left out."""
        before = f", {self.num_before} were there before" if self.num_before else ""
        lines = [f"{self.output}: {self.num_recordings} recordings, {self.seconds:.1f} s, by {self.model}{before}"]
        lines += self.written if len(self.written) <= FEW else []
        if self.clipped:
            lines.append(f"clipped: {self.clipped} samples; --subtype FLOAT keeps them")
        kinds = Counter(remark for remarks in self.warnings.values() for remark in remarks)
        lines += [f"{remark} ({count} recordings)" for remark, count in kinds.items()]
        lines += [f"left out: {reason}" for reason in self.failed.values()]
        return "\n".join(printable(line) for line in lines)


@dataclass(frozen=True)
class Job:
    """A recording, and the files that are to come of it."""

    source: Path
    target: Path
    files: tuple[Path, ...]

    @property
    def finished(self) -> bool:
        """Whether all files are there, which are whole then, and none is older than the recording."""
        try:
            return min(file.stat().st_mtime_ns for file in self.files) >= self.source.stat().st_mtime_ns
        except OSError:
            return False


def enhance_files(
    recordings: Iterable[str | Path],
    *,
    output: str | Path,
    model: str | Path | nn.Module | None = None,
    device: str = "auto",
    imports: bool = False,
    suffix: str = ".wav",
    overwrite: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool = True,
    **options: Any,
) -> CleanedFiles:
    """Enhance recordings, and all that are below folders, into the same tree below a folder.

    It can be stopped at any time: a file is whole or not there, and the next run goes on with what is missing.

    Args:
        recordings: Files and folders.
        output: A folder; ``calls/a/1.m4a`` of a folder ``calls`` becomes ``OUTPUT/a/1.wav``, a file ``2.flac`` ``OUTPUT/2.wav``.
        model, device, imports: As in `enhance`.
        suffix: Of the files, which chooses their format.
        overwrite: Do again what is there already.
        on_error: "raise" stops at a recording that cannot be used; "skip" leaves it out and lists it in `failed`.
        progress: A bar on stderr.
        options: Others of `enhance`.

    Raises:
        AudioError: A recording that cannot be read, or a file that cannot be written.
        ConfigError: Two recordings that would become one file, an output that would overwrite a recording, or values out of
            their range.
        DataError: With "skip": none of the recordings can be used.
    """
    Mix(**{name: options[name] for name in ("wet", "max_attenuation", "below_snr") if name in options})
    jobs = jobs_of(recordings, Path(output), suffix, lambda target: (target,), options.get("subtype"))
    net = WaveformNet(model, "enhancement", device=device, imports=imports)

    def run(job: Job, bar: bool) -> Any:
        return enhance(job.source, output=job.target, model=net.net, progress=bar, **options)

    return _each(jobs, run, Path(output), net.name, overwrite, on_error, progress)


def separate_files(
    recordings: Iterable[str | Path],
    *,
    output: str | Path,
    model: str | Path | nn.Module | None = None,
    speaker_model: str | Path | nn.Module | None = None,
    device: str = "auto",
    imports: bool = False,
    suffix: str = ".wav",
    overwrite: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool = True,
    **options: Any,
) -> CleanedFiles:
    """Separate recordings, and all that are below folders; ``a/1.m4a`` becomes ``OUTPUT/a/1_1.wav``, ``OUTPUT/a/1_2.wav``.

    Args:
        recordings, output, model, device, imports, suffix, overwrite, on_error, progress: As in `enhance_files`.
        speaker_model: As in `separate`.
        options: Others of `separate`.

    Raises:
        AudioError, ConfigError, DataError: As in `enhance_files`.
    """
    net = WaveformNet(model, "separation", device=device, imports=imports)
    count = int(net.net.num_sources)

    def files(target: Path) -> tuple[Path, ...]:
        return tuple(Path(file) for file in source_files(target, target, count))

    jobs = jobs_of(recordings, Path(output), suffix, files, options.get("subtype"))
    voices = ready(speaker_model, device) if options.get("tracking", True) else None

    def run(job: Job, bar: bool) -> Any:
        return separate(job.source, output=job.target, model=net.net, speaker_model=voices, progress=bar, **options)

    return _each(jobs, run, Path(output), net.name, overwrite, on_error, progress)


def jobs_of(
    recordings: Iterable[str | Path],
    output: Path,
    suffix: str,
    files: Callable[[Path], tuple[Path, ...]],
    subtype: str | None = None,
) -> list[Job]:
    """What is to be done, each recording once; `files` gives those that come of a target.

    Raises:
        AudioError: A suffix or a codec that cannot be written.
        ConfigError: No recordings; a folder that is its own output; two recordings that would become one file; an output that
            would overwrite a recording.
    """
    check_format(f"a{suffix}", subtype)
    found = [Job(source, target, files(target)) for source, target in _targets(recordings, output, suffix)]
    if not found:
        raise ConfigError("no recording: name recordings, or folders that hold some")
    spare([job.source for job in found], [file for job in found for file in job.files])
    owner: dict[str, Path] = {}
    for job in found:
        for file in job.files:
            if (other := owner.setdefault(os.path.realpath(file), job.source)) != job.source:
                both = f"{other} and {job.source} would both become {file}; rename one, or take two output folders"
                raise ConfigError(printable(both))
    return found


def _targets(recordings: Iterable[str | Path], output: Path, suffix: str) -> Iterator[tuple[Path, Path]]:
    """Recordings and their targets; ``x.mp3`` beside ``x.wav`` becomes ``x.mp3.wav``, for ``x.wav`` would be either's."""
    once: dict[str, tuple[Path, Path]] = {}
    for source, inside in _sources(recordings, output):
        once.setdefault(os.path.realpath(source), (source, inside))
    names: dict[Path, list[str]] = defaultdict(list)
    for _, inside in once.values():
        names[inside.with_suffix(suffix)].append(inside.name)
    for source, inside in once.values():
        target = inside.with_suffix(suffix)
        # Equal names, of two folders, would be equal with their suffixes too.
        if len(names[target]) == len(set(names[target])) > 1:
            target = inside.with_name(inside.name + suffix)
        yield source, output / target


def _sources(recordings: Iterable[str | Path], output: Path) -> Iterable[tuple[Path, Path]]:
    """Recordings, and their paths below the folder they were found in; what an earlier run wrote into it is no source."""
    own = Path(os.path.realpath(output))
    for item in recordings:
        path = Path(item)
        if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir() raises on a name that is too long
            yield path, Path(path.name)
            continue
        folder = Path(os.path.realpath(path))
        if folder == own:
            raise ConfigError(
                printable(f"{path}: the output folder is the folder of the recordings; choose another with --output")
            )
        inside = own.is_relative_to(folder)  # else all recordings of a folder below the output folder would be left out
        for name in scan(path):
            if not (inside and (folder / name).is_relative_to(own)):
                yield path / name, Path(name)


def _each(
    jobs: list[Job], run: Callable[[Job, bool], Any], output: Path, model: str, overwrite: bool, on_error: str, progress: bool
) -> CleanedFiles:
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error is 'raise' or 'skip', got {on_error!r}")
    todo = [job for job in jobs if overwrite or not job.finished]
    done: dict[str, Any] = {}
    failed: dict[str, str] = {}
    alone = len(todo) == 1
    for job in tqdm(todo, unit="file", disable=None if progress and not alone else True):
        try:
            make_folder(job.target.parent)
            done[str(job.source)] = run(job, progress and alone)
        except AudioError as error:
            if on_error == "raise" or _fatal(error, job.target.parent):
                raise
            failed[str(job.source)] = str(error)
    if failed and len(failed) == len(jobs):
        first = printable(next(iter(failed.values())))
        raise DataError(f"none of {len(jobs)} recordings can be used, the first: {first}", "E_AUDIO")
    return CleanedFiles(
        output=str(output),
        num_recordings=len(done),
        num_before=len(jobs) - len(todo),
        written=tuple(str(file) for job in todo if str(job.source) in done for file in job.files),
        seconds=sum(result.seconds for result in done.values()),
        clipped=sum(result.clipped for result in done.values()),
        model=model,
        warnings={name: result.warnings for name, result in done.items() if result.warnings},
        failed=failed,
    )


def _fatal(error: AudioError, folder: Path) -> bool:
    """Whether no other recording would fare better: the disk is full, or the folder takes no file."""
    return error.code == "E_DISK_FULL" or (error.code == "E_WRITE" and not os.access(folder, os.W_OK | os.X_OK))
