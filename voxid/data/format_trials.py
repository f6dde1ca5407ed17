"""format_trials: the trial list of a corpus -> a list whose paths are those of its unpacked folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from voxid.data.prepared import check_place
from voxid.data.table import write_table
from voxid.data.trials import CODE, Format, Trial, read_trials, write_trials
from voxid.errors import ConfigError, DataError, did_you_mean

Missing = Literal["raise", "skip"]
# Where the recordings of a list may lie below the corpus' folder: VoxCeleb1 (dev and test together or apart) and CN-Celeb.
PLACES = ("", "wav", "test/wav", "dev/wav", "vox1_test_wav/wav", "vox1_dev_wav/wav", "eval", "eval/enroll", "eval/test")
# CN-Celeb names its enrolments without a suffix, and its lists say .wav where the files are .flac.
SUFFIXES = (".wav", ".flac", ".m4a")


@dataclass(frozen=True)
class FormattedTrials:
    """What `format_trials` wrote.

    Args:
        output: The list.
        format: Its format.
        targets, nontargets: How many trials of each kind.
        root: The folder that its paths are relative to, as `evaluate` wants to know it.
        missing: How many recordings of the source are not there; the trials with one of them were left out.
        missing_list: CSV ``path`` of them; None when all are there.
    """

    output: str
    format: str
    targets: int
    nontargets: int
    root: str
    missing: int
    missing_list: str | None

    def describe(self) -> str:
        """The result in one sentence."""
        text = f"{self.output}: {self.targets} target, {self.nontargets} non-target trials ({self.format})"
        text += f"; their paths are relative to {self.root}"
        return text + (f"; {self.missing} recordings are not there, see {self.missing_list}" if self.missing else "")


def format_trials(
    source: str | Path,
    *,
    root: str | Path,
    output: str | Path,
    format: Format = "voxceleb",
    on_missing: Missing = "raise",
) -> FormattedTrials:
    """Write the trial list of a corpus anew, with the paths that its recordings have below a folder.

    Understood are the lists of VoxCeleb1 (``veri_test2.txt``, ``list_test_all2.txt``, ``list_test_hard2.txt``: the cleaned O, E
    and H; also the first ones) and ``eval/lists/trials.lst`` of CN-Celeb, whose enrolment ``id00800-enroll`` becomes the
    recording ``eval/enroll/id00800-enroll.flac``; and any list whose names lie in such folders. Order and labels stay.

    Args:
        source: The list, in any format of `read_trials`.
        root: The corpus, unpacked; the paths that are written are relative to it.
        output: The list to write.
        format: As in `prepare_trials`.
        on_missing: ``raise`` when a recording is not there, or ``skip`` its trials; either way ``OUTPUT.missing.csv`` names all
            that are not there.

    Raises:
        ConfigError: An unknown `on_missing`.
        DataError: ``E_NOT_FILE`` for recordings that are not there, ``E_NOT_FOUND`` for the folder, ``E_TRIALS``, ``E_WRITE``,
            ``E_DISK_FULL``.
    """
    source, root, output = Path(source), Path(root), Path(output)
    if on_missing not in get_args(Missing):
        raise ConfigError(f"unknown on_missing {on_missing!r}: {did_you_mean(str(on_missing), get_args(Missing))}")
    check_place(output)
    trials = read_trials(source)
    if not os.path.isdir(root):  # noqa: PTH112 - Path.is_dir() raises on a name that is too long
        raise DataError(f"{root}: there is no such folder", "E_NOT_FOUND")
    found = _found(root, (name for trial in trials for name in trial[:2]))
    missing = sorted(name for name, path in found.items() if path is None)
    listed = _list_missing(output, missing)
    if missing and on_missing == "raise":
        share = f"{len(missing)} of {len(found)} recordings of the list are not in {root}"
        raise DataError(f"{source}: {share}, see {listed}; the first: {missing[0]}. Skip them with on_missing=skip", "E_NOT_FILE")
    kept = _renamed(trials, found)
    if not kept:
        raise DataError(f"{source}: none of its {len(trials)} trials has both recordings in {root}", CODE)
    write_trials(output, kept, format=format)
    targets = sum(bool(trial.label) for trial in kept)
    nontargets = sum(trial.label is False for trial in kept)
    return FormattedTrials(str(output), format, targets, nontargets, str(root), len(missing), listed)


def _found(root: Path, names: Iterable[str]) -> dict[str, str | None]:
    """The path of each recording relative to `root`, or None."""
    places = [place for place in PLACES if os.path.isdir(root / place)]  # noqa: PTH112 - as above
    found: dict[str, str | None] = {}
    for name in names:
        if name not in found:
            found[name] = _located(root, places, name)
            if found[name] is not None:  # the next one most likely lies in the same place
                places.sort(key=lambda place: not (found[name] or "").startswith(f"{place}/"))
    return found


def _located(root: Path, places: Sequence[str], name: str) -> str | None:
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - half a million times
    known = suffix.lower() in SUFFIXES
    words = [name, *(f"{stem if known else name}{other}" for other in SUFFIXES)]
    for place in places:
        for word in words:
            path = f"{place}/{word}".lstrip("/")
            if os.path.isfile(root / path):  # noqa: PTH113
                return path
    return None


def _renamed(trials: Iterable[Trial], found: Mapping[str, str | None]) -> list[Trial]:
    kept = []
    for trial in trials:
        enrol, test = found[trial.enrol], found[trial.test]
        if enrol is not None and test is not None:
            kept.append(trial._replace(enrol=enrol, test=test))
    return kept


def _list_missing(output: Path, missing: Sequence[str]) -> str | None:
    listed = output.with_name(f"{output.name}.missing.csv")
    if not missing:
        listed.unlink(missing_ok=True)  # that of an earlier run would be taken for this one's
        return None
    write_table(listed, ["path"], [[name] for name in missing])
    return str(listed)
