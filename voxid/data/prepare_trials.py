"""prepare trials: a manifest -> a trial list, or a trial list -> the same in another format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxid.data.manifest import Manifest, Where, read_manifest
from voxid.data.overlap import check_overlap
from voxid.data.pairs import make_trials
from voxid.data.prepare import check_place
from voxid.data.table import is_jsonl
from voxid.data.trials import CODE, Format, Trial, read_trials, write_trials
from voxid.errors import DataError


@dataclass(frozen=True)
class PreparedTrials:
    """What `prepare_trials` wrote.

    Args:
        output: The list.
        format: Its format.
        targets, nontargets: How many trials of each kind.
        unlabelled: Trials of a blind list.
        root: The folder that the paths in it are relative to, as `evaluate` wants to know it; None after a conversion.
    """

    output: str
    format: str
    targets: int
    nontargets: int
    unlabelled: int
    root: str | None

    def describe(self) -> str:
        """The result in one sentence."""
        kinds = (("target", self.targets), ("non-target", self.nontargets), ("unlabelled", self.unlabelled))
        text = ", ".join(f"{number} {kind}" for kind, number in kinds if number)
        root = f"; their paths are relative to {self.root}" if self.root else ""
        return f"{self.output}: {text} trials ({self.format}){root}"


def prepare_trials(
    source: str | Path,
    *,
    output: str | Path,
    format: Format = "voxceleb",
    targets: int | None = None,
    nontargets: int | None = None,
    seed: int = 0,
    same: Sequence[str] = (),
    different: Sequence[str] = (),
    where: Where | None = None,
    root: str | Path | None = None,
    train: str | Path | None = None,
) -> PreparedTrials:
    """Draw a balanced trial list from a manifest, or convert a trial list.

    Args:
        source: A manifest (CSV or JSON lines) or a trial list (VoxCeleb, Kaldi, wespeaker).
        output: The list to write.
        format: ``voxceleb`` (1 enrol test), ``kaldi`` (enrol test target), or ``wespeaker`` (Kaldi's, with the scores if any).
        targets, nontargets: How many trials of each kind to draw from a manifest; one of them alone stands for both.
        seed: Of the draw.
        same: Columns in which both sides of a non-target trial agree, e.g. gender.
        different: Columns in which both sides of a target trial differ, e.g. session.
        where: Draw from the rows whose columns hold these values, e.g. ``{"split": "test"}``.
        root: The folder that the manifest's paths are relative to; by default its own.
        train: A manifest of training speakers, none of whom may be in the list; where it has rows of a split ``train``, those.

    Raises:
        DataError: ``E_NOT_FILE``, ``E_MANIFEST``, ``E_TRIALS``, ``E_OVERLAP``, ``E_WRITE``, ``E_DISK_FULL``.
    """
    source, output = Path(source), Path(output)
    check_place(output)
    folder = None
    if _is_manifest(source):
        if targets is None and nontargets is None:
            raise DataError(f"{source} is a manifest: say how many trials to draw from it (--targets, --nontargets)", CODE)
        manifest = read_manifest(source, root=root, where=where)
        if train is not None:
            check_overlap(_trained(Path(train)), manifest)
        folder = str(manifest.root)
        like, unlike = nontargets if targets is None else targets, targets if nontargets is None else nontargets
        trials = make_trials(manifest, targets=like or 0, nontargets=unlike or 0, seed=seed, same=same, different=different)
    else:
        options = {"targets": targets, "nontargets": nontargets, "same": same, "different": different}
        given = [name for name, value in (options | {"where": where, "root": root, "train": train}).items() if value]
        if given:
            raise DataError(f"{source} is a trial list, which is only converted: leave out {', '.join(given)}", CODE)
        trials = read_trials(source)
    write_trials(output, trials, format=format)
    return _counted(trials, output, format, folder)


def _is_manifest(source: Path) -> bool:
    if is_jsonl(source) or source.suffix == ".csv":
        return True
    with source.open("rb") as stream:
        return b"path" in stream.readline(65536).removeprefix(b"\xef\xbb\xbf").strip().split(b",")


def _trained(path: Path) -> Manifest:
    manifest = read_manifest(path)
    if "train" not in manifest.extra.get("split", []):
        return manifest
    return manifest.select(row for row, split in enumerate(manifest.extra["split"]) if split == "train")


def _counted(trials: Sequence[Trial], output: Path, format: str, root: str | None) -> PreparedTrials:
    labels = [trial.label for trial in trials]
    targets, unlabelled = sum(bool(label) for label in labels), labels.count(None)
    return PreparedTrials(str(output), format, targets, len(labels) - targets - unlabelled, unlabelled, root)
