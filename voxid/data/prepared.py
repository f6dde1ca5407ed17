"""What preparing leaves: a manifest, a list of what was left out, and a summary."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxid.atomic import check_name
from voxid.data.manifest import Manifest, write_manifest
from voxid.data.measure import Reject
from voxid.data.ready_mixtures import has_sources, speaker_columns, write_ready
from voxid.data.table import write_table
from voxid.errors import ConfigError, DataError


@dataclass(frozen=True)
class Prepared:
    """What `prepare` found.

    Args:
        output: The manifest.
        utterances, speakers: How many of each are in it; noise has no speakers. In a corpus of mixtures these are the utterances.
        hours: Sum of the durations.
        rejected: How many recordings were left out, by the code of the reason.
        rejected_list: CSV ``path,code,reason`` of them; None when there is none.
    """

    output: str
    utterances: int
    speakers: int
    hours: float
    rejected: dict[str, int]
    rejected_list: str | None

    def describe(self) -> str:
        """The result in one sentence."""
        held = f"{self.utterances} utterances of {self.speakers} speakers" if self.speakers else f"{self.utterances} recordings"
        text = f"{self.output}: {held}, {self.hours:.2f} h"
        return text + (f"; left out {_counts(self.rejected)}, see {self.rejected_list}" if self.rejected else "")


def check_durations(least: float, most: float) -> None:
    """Raise `ConfigError` for limits that leave nothing."""
    if not 0 <= least <= most:
        raise ConfigError(f"expected 0 <= min_duration <= max_duration, got {least} and {most}")


def check_place(output: Path) -> None:
    """Say before the work, not after it, that a file cannot be written there.

    Raises:
        DataError: ``E_WRITE``.
    """
    check_name(output, DataError)
    if not os.path.isdir(output.parent):  # noqa: PTH112 - Path.is_dir() raises on a name that is too long
        raise DataError(f"{output}: {output.parent} is no folder; make it first", "E_WRITE")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise DataError(f"{output}: {output.parent} cannot be written to; choose another place", "E_WRITE")


def judged(answer: float | Reject, least: float, most: float) -> float | Reject:
    """A measured length in seconds, rounded to the microsecond, or why its recording is left out."""
    if isinstance(answer, Reject):
        return answer
    if answer < least:
        return Reject("E_TOO_SHORT", f"{answer:.3f} s; asked for {least:g} s or more")
    if answer > most:
        return Reject("E_TOO_LONG", f"{answer:.3f} s; asked for {most:g} s or less")
    return round(answer, 6)


def write_prepared(
    folder: Path, output: Path, root: str | Path | None, manifest: Manifest, rejects: Sequence[tuple[str, str, str]]
) -> Prepared:
    """Write the manifest and, beside it, the list ``path,code,reason`` of what was left out.

    Raises:
        DataError: ``E_EMPTY`` when nothing is left for the manifest; ``E_WRITE``, ``E_DISK_FULL``.
    """
    listed = output.with_name(output.name.removesuffix(".csv") + ".rejected.csv")
    codes = dict(sorted(Counter(code for _, code, _ in rejects).items()))
    if rejects:
        write_table(listed, ["path", "code", "reason"], rejects)
    if not len(manifest):
        name, _, reason = rejects[0]
        first = f"the first: {name}: {reason}"
        raise DataError(f"{folder}: no recording can be used: {_counts(codes)}, see {listed}; {first}", "E_EMPTY")
    voices = [manifest.speakers]
    if has_sources(manifest.extra):
        durations = manifest.durations.tolist()
        write_ready(output, manifest.paths, durations, manifest.extra, root=output.parent if root is None else root)
        voices = speaker_columns(manifest.extra)
    else:
        write_manifest(output, manifest, root=root)
    if not rejects:
        listed.unlink(missing_ok=True)  # that of an earlier run would be taken for this one's
    speakers = len({name for column in voices for name in column if name})
    return Prepared(str(output), len(manifest), speakers, round(manifest.hours, 4), codes, str(listed) if rejects else None)


def _counts(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {code}" for code, number in codes.items())
