"""Mixtures to measure on, with what went into them: recipes that are rendered, or files that are ready."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from voxid.data.mixtures import CODE, Recipe, Rendered, read_mixtures, render
from voxid.data.ready_mixtures import ReadyMixtures, is_ready, read_ready
from voxid.data.table import check_file
from voxid.errors import ConfigError, DataError


class Item(NamedTuple):
    """A mixture.

    Args:
        id: Its name.
        rendered: Its waveforms.
        recipe: What it was made by; None for one that was ready.
    """

    id: str
    rendered: Rendered
    recipe: Recipe | None


class MixtureList:
    """Mixtures that are rendered one after the other.

    Args:
        path: JSON lines of recipes (`read_mixtures`), or a manifest of ready ones (`read_ready`).
        root: The folder that its paths are relative to: recipes need it, a manifest's own is its default.
        where: Take rows of a manifest with these values.
        limit: Take the first so many; None = all.

    Attributes:
        recipes: Of the mixtures; empty for ready ones.

    Raises:
        DataError: A list that cannot be read.
        ConfigError: Recipes without a root or with `where`, a limit below 1.
    """

    def __init__(
        self,
        path: str | Path,
        root: str | Path | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ConfigError(f"limit is a number of mixtures, 1 or more, got {limit}")
        self.path, self.root = Path(path), Path() if root is None else Path(root)
        check_file(self.path)
        self._ready: ReadyMixtures | None = None
        self.recipes: Sequence[Recipe] = ()
        if self.path.suffix != ".jsonl" or _names_mixtures(self.path):
            found = read_ready(self.path, root=root, where=where)
            self._ready = found.select(range(min(len(found), limit or len(found))))
            return
        if root is None or where:
            wrong = "where (--where) takes rows of a manifest" if where else "give root (--root), the folder of their recordings"
            raise ConfigError(f"{self.path} holds recipes of mixtures: {wrong}")
        self.recipes = read_mixtures(self.path)[:limit]

    def __len__(self) -> int:
        return len(self.recipes if self._ready is None else self._ready)

    @property
    def num_sources(self) -> int:
        """S of all of them; some may be silent."""
        return 2 if self._ready is None else self._ready.num_sources

    def check(self, kind: type[Recipe]) -> None:
        """Raise `DataError` (``E_MIXTURES``) for recipes of another kind."""
        strange = next((recipe for recipe in self.recipes if not isinstance(recipe, kind)), None)
        if strange is not None:
            raise DataError(f"{strange.where}: a recipe for {_task(type(strange))}, expected one for {_task(kind)}", CODE)

    def items(self, sample_rate: int) -> Iterator[Item]:
        """The mixtures in their order, at a rate in Hz.

        Raises:
            DataError: Recordings that cannot be read.
        """
        if self._ready is None:
            yield from (Item(recipe.id, render(recipe, self.root, sample_rate), recipe) for recipe in self.recipes)
            return
        for place, name in enumerate(self._ready.ids):
            yield Item(name, self._ready.whole(place, sample_rate), None)


def _names_mixtures(path: Path) -> bool:
    """Whether JSON lines are rows of a manifest; what is not JSON is for the reader of recipes to complain of."""
    try:
        return is_ready(path)
    except DataError:
        return False


def _task(kind: type[Recipe]) -> str:
    return kind.__name__.lower()
