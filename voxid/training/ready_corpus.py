"""The section `data` of a recipe whose mixtures a corpus ships ready made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxid.data.mixtures import Rendered
from voxid.data.ready_mixtures import ReadyMixtures, read_ready
from voxid.errors import ConfigError, DataError
from voxid.training.mixing import Mixing
from voxid.training.mixture_corpus import MixtureCorpus, MixtureDataset, check_workers, mixture_corpus
from voxid.training.origin import digest
from voxid.training.rows import Paths

ORDER, PLACE = 5, 6  # first words of the seeds; `voxid.data.draws` and `voxid.data.mixer` have the others
NAMED = 5  # missing files that a message names


class ReadyDraw:
    """Pieces of ready-made mixtures by number: each comes once before one comes again, in an order drawn anew for every pass.

    Args:
        mixtures: What is drawn from.
        seconds: Length of a piece; zeros follow a shorter mixture.
        sample_rate: In Hz.
        seed: Of the order, and of where the pieces begin.
    """

    def __init__(self, mixtures: ReadyMixtures, seconds: float, sample_rate: int, seed: int) -> None:
        self.mixtures, self.sample_rate, self.seed = mixtures, sample_rate, seed
        self.samples = max(1, round(seconds * sample_rate))
        self._pass, self._order = -1, np.zeros(0, np.int64)

    def __call__(self, number: int) -> Rendered:
        """The piece of this number, 0 or more."""
        turn, place = divmod(number, len(self.mixtures))
        if turn != self._pass:
            self._pass = turn
            self._order = np.random.default_rng([ORDER, self.seed, turn]).permutation(len(self.mixtures))
        index = int(self._order[place])
        spare = max(0, self.mixtures.num_samples(index, self.sample_rate) - self.samples)
        start = int(np.random.default_rng([PLACE, self.seed, number]).integers(spare + 1))
        return self.mixtures.piece(index, start, self.samples, self.sample_rate)


def ready_corpus(
    mixtures: Paths,
    *,
    num_sources: int,
    batch_size: int = 4,
    batches: int = 1000,
    seconds: float = 4.0,
    workers: int = 0,
    root: Paths | None = None,
    where: Mapping[str, Any] | None = None,
    sample_rate: int = 16000,
    seed: int = 0,
) -> MixtureCorpus:
    """The mixtures of manifests, as they are; nothing is decoded beforehand.

    Args:
        mixtures, root, where: Rows of `voxid.data.ready_mixtures`.
        num_sources: Sources of a mixture; those that one lacks are silent.
        sample_rate: Rate of the model, in Hz.
        seed: Of the draws.

    The others are those of `Mixing`.

    Raises:
        ConfigError: A value out of range.
        DataError: A malformed manifest, mixtures of more sources, or (``E_NOT_FILE``) recordings that are not there.
    """
    mixing = Mixing(batch_size, batches, seconds)
    check_workers(workers)
    found = read_ready(mixtures, root=root, where=where, num_sources=num_sources)
    files = sorted(found.files())
    _refuse_missing(files)
    dataset, origin = MixtureDataset(ReadyDraw(found, seconds, sample_rate, seed)), {"data.mixtures": digest(_groups(found))}
    return MixtureCorpus(dataset, mixing, sorted(found.speakers()), len(found), workers, ready=files, origin=origin)


def _refuse_missing(files: Sequence[str]) -> None:
    """What is not there is told before the training, not hours later."""
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        raise DataError(
            f"data.mixtures: {len(missing)} of {len(files)} files are not there, {', '.join(missing[:NAMED])}; name the folder "
            "of the recordings: root=DIR",
            "E_NOT_FILE",
        )


def _groups(mixtures: ReadyMixtures) -> list[list[str]]:
    """Recordings of each manifest."""
    found: dict[str, set[str]] = {}
    for row, mixture, sources in zip(mixtures.rows, mixtures.mixtures, mixtures.sources, strict=True):
        found.setdefault(row.rpartition(":")[0], set()).update((mixture, *filter(None, sources)))
    return [sorted(files) for files in found.values()]


def check_ready(data: Mapping[str, Any], manifest: Paths | None) -> None:
    """Raise `ConfigError` for what has no meaning beside ready-made mixtures."""
    if manifest is not None:
        raise ConfigError("manifest names clean speech that is mixed, data.mixtures what is mixed already; give one of them")
    own, other = (inspect.signature(function).parameters for function in (ready_corpus, mixture_corpus))
    if strange := [key for key in data if key in other and key not in own]:
        raise ConfigError(
            f"data.{strange[0]} goes with mixtures that are made on the fly; take it out, or leave out data.mixtures"
        )
