"""Trials out of a manifest: as many as asked for, no trial twice, every speaker about as often."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from voxid.data.manifest import Manifest
from voxid.data.trials import CODE, Trial
from voxid.errors import ConfigError, DataError

MOST = 2000  # utterances of one speaker that target trials are drawn from: their pairs grow with the square
Pair = tuple[int, int]


def make_trials(
    manifest: Manifest,
    *,
    targets: int,
    nontargets: int,
    seed: int = 0,
    same: Sequence[str] = (),
    different: Sequence[str] = (),
) -> list[Trial]:
    """Draw trials of the same and of different speakers, in random order.

    No trial comes twice, in either order of its sides, and none compares an utterance with itself. Each speaker is in about as
    many trials as any other, as far as the utterances allow. The list depends on the seed and on the utterances, not on the order
    of the manifest. Recordings are named by their paths relative to `manifest.root`.

    Args:
        manifest: The utterances.
        targets, nontargets: How many trials of the same speaker and of different ones.
        seed: Of the draw.
        same: Columns in which the sides of a non-target trial agree, e.g. ``gender``; an empty value agrees with empty ones.
        different: Columns in which the sides of a target trial differ, e.g. ``session``; of an empty value that is not known.

    Raises:
        DataError: ``E_TRIALS`` for fewer possible trials than asked for, ``E_MANIFEST`` for a column that is not there.
        ConfigError: A seed below 0.

    Example:
        >>> from pathlib import Path
        >>> from voxid.data.manifest import Utterance
        >>> rows = [Utterance(Path(f"/data/{who}{n}.wav"), who, 2.0) for who in ("anna", "ben") for n in range(2)]
        >>> trials = make_trials(Manifest.of(rows, "/data"), targets=2, nontargets=4)
        >>> sum(bool(trial.label) for trial in trials), len(trials)
        (2, 6)
    """
    if min(targets, nontargets) < 0 or targets + nontargets == 0:
        raise DataError(f"expected how many trials are wanted, got targets={targets} and nontargets={nontargets}", CODE)
    if seed < 0:
        raise ConfigError(f"seed is an integer, 0 or more, got {seed}")
    rng = np.random.default_rng(seed)
    manifest = manifest.select(np.argsort(np.array(manifest.paths), kind="stable").tolist())
    pairs = [*_targets(manifest, targets, different, rng), *_nontargets(manifest, nontargets, same, rng)]
    names = manifest.relative()
    sides = rng.permuted(np.array(pairs), axis=1).tolist()
    trials = [Trial(names[enrol], names[test], index < targets) for index, (enrol, test) in enumerate(sides)]
    return [trials[index] for index in rng.permutation(len(trials))]


def _targets(manifest: Manifest, number: int, different: Sequence[str], rng: np.random.Generator) -> Iterator[Pair]:
    values = np.array([_codes(manifest.column(name)) for name in different], np.int64).reshape(len(different), len(manifest))
    speakers = [_some(np.array(rows), rng) for rows in _grouped(manifest, ["speaker"]).values()]
    speakers = [speakers[index] for index in rng.permutation(len(speakers))]
    capacities = np.array([len(_differing(rows, values)) for rows in speakers])
    if capacities.sum() < number:
        raise _too_many(int(capacities.sum()), number, "target", "different", different)
    quotas = _level(capacities, number)
    for rows, quota in zip(speakers, quotas.tolist(), strict=True):
        if quota:
            pairs = _differing(rows, values)
            yield from (tuple(pair) for pair in pairs[rng.choice(len(pairs), quota, replace=False)].tolist())


def _some(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= MOST else np.sort(rng.choice(rows, MOST, replace=False))


def _differing(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Pairs of these utterances that differ in all columns [n, 2]; values [columns, utterances] are below 0 where not known."""
    pairs = np.stack(np.triu_indices(len(rows), 1), axis=1)
    first, second = values[:, rows[pairs[:, 0]]], values[:, rows[pairs[:, 1]]]
    return rows[pairs[((first != second) & (first >= 0) & (second >= 0)).all(axis=0)]]


def _level(capacities: np.ndarray, number: int) -> np.ndarray:
    """Shares of `number` that are equal, except where a capacity is smaller; the remainder goes to the first ones."""
    low, high = 0, number
    while low < high:  # the highest level that is not too much for all together
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(capacities, middle).sum() <= number else (low, middle - 1)
    shares = np.minimum(capacities, low)
    shares[np.flatnonzero(capacities > low)[: number - shares.sum()]] += 1
    return shares


def _nontargets(manifest: Manifest, number: int, same: Sequence[str], rng: np.random.Generator) -> Iterator[Pair]:
    groups: dict[tuple[str, ...], list[np.ndarray]] = defaultdict(list)
    for key, rows in _grouped(manifest, [*same, "speaker"]).items():
        groups[key[:-1]].append(np.array(rows))
    circles = [[group[index] for index in rng.permutation(len(group))] for group in groups.values() if len(group) > 1]
    sizes = [np.array([len(rows) for rows in circle]) for circle in circles]
    possible = sum(int(size.sum() ** 2 - (size**2).sum()) // 2 for size in sizes)
    if possible < number:
        raise _too_many(possible, number, "non-target", "same", same)
    for circle, size, quotas in zip(circles, sizes, _rounds(sizes, number, rng), strict=True):
        for offset, counts in quotas.items():
            first, second = _met(len(circle), offset)
            for a, b, pick in _picks(size[first] * size[second], counts, rng, first, second):
                left, right = divmod(pick, int(size[b]))
                yield int(circle[a][left]), int(circle[b][right])


def _too_many(possible: int, number: int, kind: str, option: str, columns: Sequence[str]) -> DataError:
    way_out = f"; ask for fewer, or leave out a column of {option}: {', '.join(columns)}" if columns else "; ask for fewer"
    return DataError(f"the utterances allow {possible} {kind} trials, asked for {number}{way_out}", CODE)


def _rounds(sizes: Sequence[np.ndarray], number: int, rng: np.random.Generator) -> list[dict[int, np.ndarray]]:
    """How many trials each two speakers have, by group and offset.

    Speakers of a group sit in a circle. In a round everybody meets who sits `offset` seats on, so everybody is in two trials (in
    one where that is the seat across); the next round takes the next offset. So nobody gets ahead of the others of any group.
    """
    quotas: list[dict[int, np.ndarray]] = [{} for _ in sizes]
    turn = 0
    while number:
        for index in rng.permutation(len(sizes)).tolist():
            offset = 1 + turn % (len(sizes[index]) // 2)
            first, second = _met(len(sizes[index]), offset)
            counts = quotas[index].setdefault(offset, np.zeros(len(first), np.int64))
            free = np.flatnonzero(counts < sizes[index][first] * sizes[index][second])[:number]
            counts[free] += 1
            number -= len(free)
        turn += 1
    return quotas


def _met(seats: int, offset: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.arange(seats // 2 if 2 * offset == seats else seats)
    return first, (first + offset) % seats


def _picks(
    capacities: np.ndarray, counts: np.ndarray, rng: np.random.Generator, first: np.ndarray, second: np.ndarray
) -> Iterator[tuple[int, int, int]]:
    """For each two speakers as many of their pairs of utterances as they have trials, each pair once."""
    single = rng.integers(capacities)  # at once: two speakers mostly have one trial, and there can be a million
    for index in np.flatnonzero(counts).tolist():
        several = counts[index] > 1
        picks = rng.choice(capacities[index], counts[index], replace=False).tolist() if several else [int(single[index])]
        yield from ((int(first[index]), int(second[index]), pick) for pick in picks)


def _grouped(manifest: Manifest, names: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, key in enumerate(zip(*(manifest.column(name) for name in names), strict=True)):
        groups[key].append(index)
    return groups


def _codes(column: Sequence[str]) -> np.ndarray:
    """A number for each value, -1 for the empty one."""
    known = {value: code for code, value in enumerate(dict.fromkeys(value for value in column if value))}
    return np.array([known.get(value, -1) for value in column])
