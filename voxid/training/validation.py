"""The section `validation` of a recipe: trial lists whose recordings are at hand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxid.data.feature_files import FeatureFiles
from voxid.data.pcm_cache import PCMCache
from voxid.data.trials import read_trials
from voxid.errors import ConfigError, DataError
from voxid.training.corpus import cache_folder
from voxid.training.rows import Paths, listed
from voxid.training.speaker import TrialSet


class ListedTrials(TrialSet):
    """A trial list, and the folder that its names are relative to: there its speakers may be written down."""

    def __init__(self, root: Path, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.root = root


def validation_trials(
    trials: Paths | None = None,
    root: Paths | None = None,
    *,
    cache: str,
    sample_rate: float = 16000,
    bins: int | None = None,
) -> list[TrialSet]:
    """The trial lists of a recipe, with their recordings decoded at `sample_rate`; with `bins`, files of features.

    Raises:
        ConfigError: The same list twice, or not one root a list.
        DataError: A malformed list, one without labels or (``E_ONE_CLASS``) with one kind of trial only, or recordings that
            cannot be read.
    """
    lists = [Path(path) for path in listed(trials)]
    roots = [Path(path) for path in listed(root)] or [path.parent for path in lists]
    if len(roots) != len(lists):
        raise ConfigError(f"validation: {len(lists)} trial lists and {len(roots)} roots; give one root a list")
    places = zip(list_names(lists), lists, roots, strict=True)
    return [_trial_set(name, path, folder, cache_folder(cache), sample_rate, bins) for name, path, folder in places]


def list_names(lists: Sequence[Path]) -> list[str]:
    """A name for each list: its stem, with as many of its folders as tell the lists apart."""
    files = [os.path.realpath(path) for path in lists]
    for number, file in enumerate(files):
        if file in files[:number]:
            raise ConfigError(f"validation: {lists[number]} is named twice; name each list once")
    whole = [path.absolute() for path in lists]
    for tried in ([path.with_suffix("") for path in whole], whole):
        for depth in range(1, max((len(path.parts) for path in whole), default=0)):
            names = ["/".join(path.parts[-depth:]) for path in tried]
            if len(set(names)) == len(names):
                return names
    return [str(path) for path in whole]


def _trial_set(name: str, path: Path, root: Path, cache: Path, sample_rate: float, bins: int | None) -> TrialSet:
    trials = [trial for trial in read_trials(path) if trial.label is not None]
    if not trials:
        raise DataError(f"{path}: no labelled trial")
    labels = [int(bool(trial.label)) for trial in trials]
    if len(set(labels)) < 2:
        kind = "the same speaker" if labels[0] else "different speakers"
        raise DataError(f"{path}: all {len(labels)} trials are of {kind}; an EER needs both kinds", "E_ONE_CLASS")
    files = sorted({file for trial in trials for file in (trial.enrol, trial.test)})
    places = [root / file for file in files]
    pcm = PCMCache(places, cache, sample_rate=int(sample_rate)) if bins is None else FeatureFiles(places, bins)
    if pcm.rejected:
        bad, code = next(iter(pcm.rejected.items()))
        raise DataError(f"{path}: {len(pcm.rejected)} of its {len(files)} recordings cannot be read, e.g. {bad} ({code})")
    index = {file: number for number, file in enumerate(files)}
    enrol, test = [index[trial.enrol] for trial in trials], [index[trial.test] for trial in trials]
    return ListedTrials(root, name, pcm, places, enrol, test, labels)
