"""Drawn trials against all pairs that there are, counted by brute force."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.data.manifest import Manifest, Utterance, read_manifest
from voxid.data.pairs import make_trials
from voxid.data.trials import Trial
from voxid.errors import DataError

Row = tuple[str, str, str]  # speaker, gender, session


def manifest_of(rows: list[Row]) -> Manifest:
    utterances = [
        Utterance(Path(f"/data/{number}.wav"), who, 1.0, {"gender": gender, "session": session})
        for number, (who, gender, session) in enumerate(rows)
    ]
    return Manifest.of(utterances, "/data")


def possible(rows: list[Row], same: bool, different: bool) -> tuple[set[frozenset[str]], set[frozenset[str]]]:
    """All target and all non-target pairs, straight from the definition."""
    targets, nontargets = set(), set()
    for (i, a), (j, b) in combinations(enumerate(rows), 2):
        pair = frozenset((f"{i}.wav", f"{j}.wav"))
        if a[0] == b[0] and (not different or (a[2] and b[2] and a[2] != b[2])):
            targets.add(pair)
        if a[0] != b[0] and (not same or a[1] == b[1]):
            nontargets.add(pair)
    return targets, nontargets


def pairs_of(trials: list[Trial], label: bool) -> list[frozenset[str]]:
    return [frozenset((trial.enrol, trial.test)) for trial in trials if trial.label is label]


def appearances(trials: list[Trial], label: bool, manifest: Manifest) -> Counter[str]:
    who = dict(zip(manifest.relative(), manifest.speakers, strict=True))
    return Counter(who[name] for trial in trials if trial.label is label for name in trial[:2])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["f", "m", ""]), st.sampled_from(["1", "2", ""])),
        min_size=2,
        max_size=14,
    ),
    st.booleans(),
    st.booleans(),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 3),
)
def test_only_what_is_possible_and_nothing_twice(
    rows: list[Row], same: bool, different: bool, share: float, other: float, seed: int
) -> None:
    targets, nontargets = possible(rows, same, different)
    wanted, unwanted = round(share * len(targets)), round(other * len(nontargets))
    options = {"same": ["gender"] * same, "different": ["session"] * different, "seed": seed}
    if wanted + unwanted:
        trials = make_trials(manifest_of(rows), targets=wanted, nontargets=unwanted, **options)
        for label, number, all_of_them in ((True, wanted, targets), (False, unwanted, nontargets)):
            drawn = pairs_of(trials, label)
            assert len(drawn) == len(set(drawn)) == number
            assert set(drawn) <= all_of_them
    for too_many in ({"targets": len(targets) + 1, "nontargets": 0}, {"targets": 0, "nontargets": len(nontargets) + 1}):
        limit = len(targets) if too_many["targets"] else len(nontargets)
        with pytest.raises(DataError, match=rf"allow {limit} .* asked for {limit + 1}"):
            make_trials(manifest_of(rows), **too_many, **options)


def test_every_speaker_as_often() -> None:
    manifest = manifest_of([(f"s{number % 20}", "f", "") for number in range(200)])
    for number in (20, 100, 130, 437):
        trials = make_trials(manifest, targets=number, nontargets=number)
        of_targets, of_nontargets = (appearances(trials, label, manifest) for label in (True, False))
        assert len(of_targets) == len(of_nontargets) == 20
        assert max(of_targets.values()) - min(of_targets.values()) <= 2  # a target trial counts twice for its speaker
        assert max(of_nontargets.values()) - min(of_nontargets.values()) <= 2


def test_a_speaker_with_many_recordings_does_not_take_all() -> None:
    rows = [("long", "f", "")] * 300 + [(f"s{number % 10}", "f", "") for number in range(40)]
    manifest = manifest_of(rows)
    trials = make_trials(manifest, targets=44, nontargets=110)
    assert set(appearances(trials, True, manifest).values()) == {8}
    assert set(appearances(trials, False, manifest).values()) == {20}


def test_groups_of_other_sizes_get_their_share() -> None:
    rows = [(f"f{number % 4}", "f", "") for number in range(80)] + [(f"m{number % 12}", "m", "") for number in range(240)]
    manifest = manifest_of(rows)
    counts = appearances(make_trials(manifest, targets=0, nontargets=320, same=["gender"]), False, manifest)
    assert len(counts) == 16
    assert max(counts.values()) <= 1.5 * min(counts.values())


def test_the_seed_decides_and_the_order_of_the_manifest_does_not() -> None:
    manifest = manifest_of([(f"s{number % 7}", "f", "") for number in range(50)])
    trials = make_trials(manifest, targets=30, nontargets=60, seed=5)
    assert make_trials(manifest.select(reversed(range(50))), targets=30, nontargets=60, seed=5) == trials
    assert set(make_trials(manifest, targets=30, nontargets=60, seed=6)) != set(trials)


def test_labels_and_sides_are_mixed() -> None:
    manifest = manifest_of([(f"s{number % 10}", "f", "") for number in range(100)])
    trials = make_trials(manifest, targets=200, nontargets=200)
    assert 60 < sum(bool(trial.label) for trial in trials[:200]) < 140
    assert 120 < sum(int(trial.enrol[:-4]) < int(trial.test[:-4]) for trial in trials) < 280


def test_a_real_corpus(shared: Path) -> None:
    manifest = read_manifest(shared / "data" / "cv_multi" / "manifest.csv", where={"split": "test"})
    trials = make_trials(manifest, targets=60, nontargets=400, same=["lang"], different=["session"])
    columns = ("speaker", "lang", "session")
    facts = dict(zip(manifest.relative(), zip(*(manifest.column(name) for name in columns), strict=True), strict=True))
    for trial in trials:
        enrol, test = facts[trial.enrol], facts[trial.test]
        assert trial.label == (enrol[0] == test[0])
        assert enrol[2] != test[2] if trial.label else enrol[1] == test[1]


@pytest.mark.parametrize("numbers", [(0, 0), (-1, 5)])
def test_how_many_must_be_said(numbers: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="how many"):
        make_trials(manifest_of([("a", "f", ""), ("b", "f", "")]), targets=numbers[0], nontargets=numbers[1])


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match="did you mean 'gender'"):
        make_trials(manifest_of([("a", "f", ""), ("b", "f", "")]), targets=0, nontargets=1, same=["gendre"])
