"""One recording under two names: as a list says it, and as a file of embeddings or a manifest does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from voxid.errors import DataError

CODE = "E_NAMES"
SHOWN = 3  # names that an error shows


def locate(asked: Sequence[str], held: Sequence[str], *, what: str, where: str, places: Sequence[str] | None = None) -> NDArray:
    """Place among `held` of each name of `asked` [n]: the same name, or else the same file, or else the end of the path.

    ``id1/a.wav`` is found as ``corpus/id1/a.wav``, and the other way round, where only one recording can be meant.

    Args:
        asked: Names, none twice.
        held: Names to find them among, none twice.
        what: What asks, for errors: "the trials".
        where: What holds, for errors: "embeddings.safetensors".
        places: Absolute paths of `held`, where these are files.

    Raises:
        DataError: ``E_NAMES``: names that are not there, or may mean several recordings.

    Example:
        >>> locate(["id1/a.wav", "b"], ["b", "corpus/id1/a.wav"], what="the trials", where="e.ark").tolist()
        [1, 0]
    """
    index = {name: place for place, name in enumerate(held)}
    found = np.fromiter((index.get(name, -1) for name in asked), np.int64, len(asked))
    if places is not None and (found < 0).any():
        files = {path: place for place, path in enumerate(places)}
        for number in np.flatnonzero(found < 0).tolist():
            found[number] = files.get(os.path.abspath(asked[number]), -1)  # noqa: PTH100 - of every recording
    if (found < 0).any():
        _by_their_ends(asked, held, index, found, what, where)
    lost = np.flatnonzero(found < 0)
    if lost.size:
        names = ", ".join(repr(asked[number]) for number in lost[:SHOWN]) + (" ..." if lost.size > SHOWN else "")
        example = f"; names there read {held[0]!r}" if held else ""
        raise DataError(f"{lost.size} of {len(asked)} recordings of {what} are not in {where}: {names}{example}", CODE)
    return found


def _by_their_ends(
    asked: Sequence[str], held: Sequence[str], index: Mapping[str, int], found: NDArray, what: str, where: str
) -> None:
    """Fill in what `found` lacks from ends of paths."""
    ends: dict[int, dict[str, list[int]]] = {}
    claimed = dict.fromkeys(found[found >= 0].tolist(), "")
    for number in np.flatnonzero(found < 0).tolist():
        name = asked[number].removeprefix("./")
        depth = name.count("/") + 1
        if depth not in ends:
            ends[depth] = _ends(held, depth)
        several = ends[depth].get(name, [])
        if len(several) > 1:
            raise DataError(
                f"{what}: {name!r} may be {held[several[0]]!r} or {held[several[1]]!r} of {where}; use whole paths", CODE
            )
        place = several[0] if several else _tail(name, index)
        if place >= 0 and place in claimed:
            other = claimed[place] or held[place]
            raise DataError(f"{what}: {name!r} and {other!r} would both be {held[place]!r} of {where}; use whole paths", CODE)
        if place >= 0:
            found[number], claimed[place] = place, name


def _ends(held: Sequence[str], depth: int) -> dict[str, list[int]]:
    """Places of the names by their last `depth` parts."""
    ends: dict[str, list[int]] = {}
    for place, name in enumerate(held):
        ends.setdefault("/".join(name.removeprefix("./").rsplit("/", depth)[-depth:]), []).append(place)
    return ends


def _tail(name: str, index: Mapping[str, int]) -> int:
    """The place of the longest end of a path that is a name, -1 for none."""
    while "/" in name:
        name = name.partition("/")[2]
        if name in index:
            return index[name]
    return -1
