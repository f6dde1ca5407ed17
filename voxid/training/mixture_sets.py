"""The section `validation` of a recipe for enhancement or separation: mixtures that are always the same."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from voxid.data.mixtures import Enhancement, Recipe, Rendered, read_mixtures, render
from voxid.data.ready_mixtures import NOISE, ReadyMixtures, is_ready, read_ready
from voxid.data.table import numbered_rows
from voxid.errors import ConfigError, DataError
from voxid.training.rows import Paths, listed
from voxid.training.validation import list_names

log = logging.getLogger("voxid")


class MixtureSet(Protocol):
    """A list of mixtures, rendered one by one when they are asked for.

    Attributes:
        name: Of the list, for the log.
        paths, noises: Recordings of speech (or whatever the sources are), and of noise, where they are files of their own.
        speakers: Who speaks, as far as the list tells.
    """

    name: str
    paths: Sequence[Path]
    noises: Sequence[Path]
    speakers: Sequence[str]

    def __len__(self) -> int:
        """How many."""
        ...

    def item(self, number: int) -> Rendered:
        """A mixture and its parts."""
        ...


class RecipeSet:
    """Mixtures by recipe.

    Args:
        name: Of the list, for the log.
        recipes: The mixtures.
        root: The folder that their recordings are relative to.
        sample_rate: In Hz.
    """

    def __init__(self, name: str, recipes: Sequence[Recipe], root: Path, sample_rate: int) -> None:
        self.name, self.recipes, self.root, self.sample_rate = name, list(recipes), root, sample_rate
        self.paths: Sequence[Path] = [root / file for file in sorted({file for recipe in recipes for file in _speech(recipe)})]
        self.noises: Sequence[Path] = [
            root / file for file in sorted({recipe.noise for recipe in recipes if recipe.noise is not None})
        ]
        self.speakers: Sequence[str] = []

    def __len__(self) -> int:
        return len(self.recipes)

    def item(self, number: int) -> Rendered:
        """A mixture and its parts."""
        return render(self.recipes[number], self.root, self.sample_rate)


class ReadySet:
    """Ready-made mixtures, each from its beginning to its end.

    Args:
        name: Of the list, for the log.
        mixtures: What `read_ready` gives.
        sample_rate: In Hz.
        noises: Recordings of the noise; they are not read.
    """

    def __init__(self, name: str, mixtures: ReadyMixtures, sample_rate: int, noises: Sequence[Path] = ()) -> None:
        self.name, self.mixtures, self.sample_rate = name, mixtures, sample_rate
        self.paths: Sequence[Path] = [Path(file) for file in sorted(mixtures.files())]
        self.noises: Sequence[Path] = list(noises)
        self.speakers: Sequence[str] = sorted(mixtures.speakers())

    def __len__(self) -> int:
        return len(self.mixtures)

    def item(self, number: int) -> Rendered:
        """A mixture and its parts."""
        return self.mixtures.whole(number, self.sample_rate)


def validation_mixtures(
    mixtures: Paths | None = None,
    root: Paths | None = None,
    where: Mapping[str, Any] | None = None,
    *,
    sample_rate: int = 16000,
    num_sources: int = 1,
) -> list[MixtureSet]:
    """The lists of mixtures of a recipe.

    Args:
        mixtures: JSON lines of `voxid.data.mixtures`, or manifests of `voxid.data.ready_mixtures`.
        root: Folder of each list, or one for all; by default that of the list.
        where: Rows to take of the manifests.
        sample_rate: Rate of the model, in Hz.
        num_sources: Voices that a mixture has.

    Raises:
        ConfigError: The same list twice, or another number of roots.
        DataError: A malformed list, one with another number of voices, or recordings that are not there.
    """
    lists = [Path(path) for path in listed(mixtures)]
    roots: list[str | None] = [*listed(root)] or [None]
    roots = roots * len(lists) if len(roots) == 1 else roots
    if len(roots) != len(lists):
        raise ConfigError(f"validation: {len(lists)} lists of mixtures and {len(roots)} roots; give one root, or one a list")
    found: list[MixtureSet] = []
    for name, path, folder in zip(list_names(lists), lists, roots, strict=True):
        if _is_manifest(path):
            rows = read_ready(path, root=folder, where=where, num_sources=num_sources)
            found.append(ReadySet(name, rows, sample_rate, _noises(path, Path(folder or path.parent), rows)))
        else:
            if where:
                log.warning("%s: a list of recipes has no columns, validation.where takes nothing out of it", name)
            found.append(RecipeSet(name, _recipes(path, num_sources), Path(folder or path.parent), sample_rate))
        _check(path, found[-1])
    return found


def _is_manifest(path: Path) -> bool:
    """A table; JSON lines may hold rows of one, or recipes, whose own reader complains of what is neither."""
    try:
        return is_ready(path) or path.suffix != ".jsonl"
    except DataError:
        return path.suffix != ".jsonl"


def _recipes(path: Path, num_sources: int) -> list[Recipe]:
    recipes = read_mixtures(path)
    for recipe in recipes:
        voices = len(_speech(recipe))
        if voices != num_sources:
            raise DataError(f"{recipe.where}: a mixture of {voices} voices, and the model gives {num_sources}", "E_MIXTURES")
    return recipes


def _check(path: Path, mixtures: MixtureSet) -> None:
    """What is not there is told before the training; what cannot be read mostly, by the first one."""
    noises = mixtures.noises if isinstance(mixtures, RecipeSet) else ()  # that of ready-made mixtures is not read
    missing = [file for file in (*mixtures.paths, *noises) if not file.is_file()]
    if missing:
        way = "name the folder of its recordings: validation.root=DIR"
        raise DataError(f"{path}: {missing[0]} is not there ({len(missing)} are missing); {way}", "E_NOT_FILE")
    mixtures.item(0)


def _noises(path: Path, root: Path, rows: ReadyMixtures) -> list[Path]:
    """Recordings of noise in the rows that are taken."""
    numbered = numbered_rows(path)
    _, header = next(numbered)
    if NOISE not in header:
        return []
    column, taken = header.index(NOISE), {int(row.rpartition(":")[2]) for row in rows.rows}
    names = {values[column] for line, values in numbered if line in taken}
    return [root / name for name in sorted(names) if name]


def _speech(recipe: Recipe) -> list[str]:
    return [recipe.speech] if isinstance(recipe, Enhancement) else [recipe.s1, recipe.s2]
