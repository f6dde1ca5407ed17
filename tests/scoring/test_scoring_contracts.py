"""What every transform and every scorer promises, held over the registry: a new one is tested because it exists."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from voxid import registry
from voxid.errors import DataError, ModelError
from voxid.scoring.backend import Backend, build_backend
from voxid.scoring.presets import PRESETS

TRANSFORMS, SCORERS = registry.names("transform"), registry.names("scorer")
PARTS = [("transform", name) for name in TRANSFORMS] + [("scorer", name) for name in SCORERS]
EVERY_PART = pytest.mark.parametrize(("kind", "name"), PARTS, ids=lambda value: value)
# Options beside the defaults that lead elsewhere in a part.
VARIANTS = {
    "center": [{"balanced": False}],
    "whiten": [{"dim": 5}],
    "lda": [{"dim": 3}, {"shrinkage": 0.5}],
    "wccn": [{"shrinkage": 0.5}],
    "nap": [{"dim": 2, "nuisance": "groups"}],
    "coral": [{"shrinkage": 0.0}],
    "plda": [{"method": "moments"}, {"rank": 4}, {"length_norm": "kaldi"}],
    "heavy_tailed_plda": [{"nu": 100.0, "rank": 3}],
}
BUILT = [(kind, {"name": name} | options) for kind, name in PARTS for options in [{}, *VARIANTS.get(name, [])]]
EVERY_VARIANT = pytest.mark.parametrize(("kind", "spec"), BUILT, ids=lambda value: str(value))
EVERY_SCORER = pytest.mark.parametrize("spec", [spec for kind, spec in BUILT if kind == "scorer"], ids=str)


def fit(kind: str, spec: dict[str, Any], rows: Any, speakers: Any, groups: Any = None) -> Any:
    part = registry.build(kind, spec)
    more = {"groups": groups, "target": np.asarray(rows)[::2]}
    wanted = inspect.signature(part.fit).parameters
    return part.fit(rows, speakers, **{name: value for name, value in more.items() if name in wanted})


def outcome(kind: str, part: Any, rows: Any) -> Any:
    """What a part makes of rows: theirs, or the scores of the first with all."""
    if kind == "transform":
        return part.transform(rows)
    return part.score_trials(rows, rows, np.zeros(len(rows), dtype=int), np.arange(len(rows)))


@EVERY_VARIANT
def test_fit_gives_itself_and_leaves_its_input_alone(kind, spec, planted) -> None:
    rows, speakers = planted.rows.copy(), planted.speakers.copy()
    part = registry.build(kind, spec)
    more = {"groups": planted.groups, "target": planted.fresh}
    wanted = inspect.signature(part.fit).parameters
    assert part.fit(rows, speakers, **{name: value for name, value in more.items() if name in wanted}) is part
    outcome(kind, part, rows)
    np.testing.assert_array_equal(rows, planted.rows)
    np.testing.assert_array_equal(speakers, planted.speakers)


@EVERY_VARIANT
def test_shapes_and_types(kind, spec, planted) -> None:
    part = fit(kind, spec, planted.rows, planted.speakers, planted.groups)
    if kind == "transform":
        made = part.transform(planted.fresh.astype(np.float32))
        assert made.dtype == np.float64
        assert made.shape == (len(planted.fresh), part.transform(planted.rows).shape[1])
        assert part.transform(planted.fresh[:0]).shape == (0, made.shape[1])
        return
    scores = part.score_trials(planted.fresh, planted.rows[:7], [1, 2, 119], [6, 0, 0])
    table = part.score_matrix(planted.fresh, planted.rows[:7])
    assert (scores.shape, scores.dtype) == ((3,), np.float64)
    assert (table.shape, table.dtype) == ((120, 7), np.float32)
    assert part.score_trials(planted.fresh, planted.fresh, [], []).shape == (0,)
    assert part.score_matrix(planted.fresh[:0], planted.fresh).shape == (0, 120)


@EVERY_VARIANT
def test_a_state_gives_the_same_bits_again(kind, spec, planted) -> None:
    part = fit(kind, spec, planted.rows, planted.speakers, planted.groups)
    state = load(save({key: np.ascontiguousarray(array) for key, array in part.state().items()}))
    again = registry.build(kind, spec)
    assert again.restore(state) is again
    np.testing.assert_array_equal(outcome(kind, part, planted.fresh), outcome(kind, again, planted.fresh))
    for array in state.values():  # a restored part does not look at them any more
        array[...] = 0
    np.testing.assert_array_equal(outcome(kind, part, planted.fresh), outcome(kind, again, planted.fresh))


@EVERY_PART
def test_a_state_that_does_not_fit_is_refused(kind, name, planted) -> None:
    state = fit(kind, {"name": name}, planted.rows, planted.speakers, planted.groups).state()
    wrong = [state | {"stranger": np.zeros(1)}]
    for key in state:
        without = {other: array for other, array in state.items() if other != key}
        wrong += [without, without | {key: state[key] * np.nan}, without | {key: state[key][None]}]
        wrong += [without | {key: state[key][:-1]}] if len(state) > 1 else []  # a lone vector may have any length
    for given in wrong:
        with pytest.raises(ModelError) as caught:
            registry.build(kind, name).restore(given)
        assert caught.value.code == "E_FORMAT"


@EVERY_PART
def test_without_a_fit_it_says_so(kind, name, planted) -> None:
    if not fit(kind, {"name": name}, planted.rows, planted.speakers, planted.groups).state():
        return  # nothing to fit
    for use in (lambda part: outcome(kind, part, planted.rows), lambda part: part.state()):
        with pytest.raises(ModelError, match="not fitted") as caught:
            use(registry.build(kind, name))
        assert caught.value.code == "E_NOT_FITTED"


@EVERY_PART
def test_labels_may_be_of_any_kind(kind, name, planted) -> None:
    expected = outcome(kind, fit(kind, {"name": name}, planted.rows, planted.speakers, planted.groups), planted.fresh)
    for labels in (np.char.mod("s%03d", planted.speakers), planted.speakers * 7.5, list(map(str, planted.speakers + 100))):
        made = outcome(kind, fit(kind, {"name": name}, planted.rows, labels, planted.groups), planted.fresh)
        np.testing.assert_array_equal(made, expected)


@EVERY_VARIANT
@pytest.mark.parametrize("rows", [np.zeros((3, 12)), np.ones((3, 12)), np.full((3, 12), 1e6)], ids=["zeros", "ones", "large"])
def test_finite_on_rows_that_are_no_voices(kind, spec, rows, planted) -> None:
    part = fit(kind, spec, planted.rows, planted.speakers, planted.groups)
    assert np.isfinite(outcome(kind, part, rows)).all()


@EVERY_VARIANT
@pytest.mark.parametrize("case", ["constant", "zero", "one recording each", "fewer rows than dimensions", "a subspace"])
def test_training_rows_that_say_little(kind, spec, case, planted) -> None:
    """Finite, or an error that says why not."""
    rows, speakers = planted.rows, planted.speakers
    if case in ("constant", "zero"):
        rows = np.full_like(rows, case == "constant")
    elif case == "one recording each":
        rows, speakers = rows[::6], speakers[::6]
    elif case == "a subspace":
        rows = np.repeat(rows[:, ::2], 2, axis=1)
    else:
        rows, speakers = rows[3:9], speakers[3:9]
    groups = speakers % 2
    try:
        part = fit(kind, spec, rows, speakers, groups)
    except DataError as error:
        codes = {"a subspace": set()}.get(case, {"E_SPEAKERS", "E_SHAPE"})
        if error.code not in codes:
            raise
        return
    assert np.isfinite(outcome(kind, part, planted.fresh)).all()


@EVERY_PART
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda rows: rows * np.nan, "E_EMBEDDING"),
        (lambda rows: rows + np.inf, "E_EMBEDDING"),
        (lambda rows: rows[0], "E_SHAPE"),
        (lambda rows: rows[None], "E_SHAPE"),
        (lambda rows: rows[:, :0], "E_SHAPE"),
        (lambda rows: rows.astype(str).astype(object) + "x", "E_SHAPE"),
    ],
    ids=["nan", "infinity", "one row", "three axes", "no dimensions", "text"],
)
def test_bad_rows_are_a_typed_error(kind, name, change, code, planted) -> None:
    part = fit(kind, {"name": name}, planted.rows, planted.speakers, planted.groups)
    bad = change(planted.fresh)
    calls = [part.transform] if kind == "transform" else [lambda rows: part.score_matrix(planted.fresh, rows)]
    if kind == "scorer":
        calls += [lambda rows: part.score_matrix(rows, planted.fresh), lambda rows: part.score_trials(rows, rows, [0], [0])]
    for call in calls:
        with pytest.raises(DataError) as caught:
            call(bad)
        assert caught.value.code == code


@EVERY_PART
def test_another_width_is_a_typed_error(kind, name, planted) -> None:
    part = fit(kind, {"name": name}, planted.rows, planted.speakers, planted.groups)
    if not part.state():
        return  # any width will do
    with pytest.raises(DataError) as caught:
        outcome(kind, part, planted.fresh[:, :5])
    assert caught.value.code == "E_SHAPE"


@EVERY_PART
def test_speakers_that_do_not_fit_the_rows(kind, name, planted) -> None:
    if "speakers" not in needed(kind, name):
        return
    for speakers in (planted.speakers[:-1], planted.speakers[:, None], None, np.zeros(len(planted.rows), dtype=int)):
        with pytest.raises(DataError) as caught:
            fit(kind, {"name": name}, planted.rows, speakers, planted.groups)
        assert caught.value.code == "E_SPEAKERS"


def needed(kind: str, name: str) -> set[str]:
    parameters = inspect.signature(registry.get(kind, name).fit).parameters.values()
    return {parameter.name for parameter in parameters if parameter.default is parameter.empty}


def test_some_parts_need_speakers_and_some_do_not() -> None:
    asking = {name for kind, name in PARTS if "speakers" in needed(kind, name)}
    assert asking >= {"lda", "wccn", "plda"}
    assert not asking & {"center", "whiten", "length_norm", "cosine"}


@EVERY_VARIANT
def test_options_are_attributes_and_the_repr_is_short(kind, spec) -> None:
    part = registry.build(kind, spec)
    parameters = inspect.signature(type(part)).parameters
    assert {name: getattr(part, name) for name in parameters} == {
        name: spec.get(name, parameter.default) for name, parameter in parameters.items()
    }
    assert len(repr(part)) < 120


@EVERY_SCORER
def test_trials_are_the_matrix_picked(spec, planted) -> None:
    scorer = fit("scorer", spec, planted.rows, planted.speakers)
    enrol, test = np.random.default_rng(1).integers(0, 120, (2, 500))
    counts = np.random.default_rng(2).integers(1, 9, 120)
    for number in (None, np.full(120, 3), counts):
        trials = scorer.score_trials(planted.fresh, planted.rows[:120], enrol, test, number)
        table = scorer.score_matrix(planted.fresh, planted.rows[:120], number)
        np.testing.assert_allclose(table[enrol, test], trials, rtol=1e-5, atol=1e-5 * max(1, np.abs(trials).max()))


@EVERY_SCORER
def test_a_trial_scores_alike_both_ways(spec, planted) -> None:
    scorer = fit("scorer", spec, planted.rows, planted.speakers)
    enrol, test = np.random.default_rng(1).integers(0, 120, (2, 300))
    there = scorer.score_trials(planted.fresh, planted.fresh, enrol, test)
    np.testing.assert_allclose(there, scorer.score_trials(planted.fresh, planted.fresh, test, enrol), rtol=1e-9, atol=1e-9)


@EVERY_SCORER
def test_higher_is_the_same_speaker(spec, planted) -> None:
    scorer = fit("scorer", spec, planted.rows - 5, planted.speakers)
    table = scorer.score_matrix(planted.fresh - 5, planted.fresh - 5)
    same = planted.fresh_speakers[:, None] == planted.fresh_speakers
    apart = ~np.eye(120, dtype=bool)
    assert np.mean(table[same & apart][:, None] > table[~same][None]) > 0.9


@EVERY_SCORER
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (([0], [120]), "E_INDEX"),
        (([-1], [0]), "E_INDEX"),
        (([0.5], [0]), "E_INDEX"),
        (([0, 1], [0]), "E_SHAPE"),
        (([0], [0], [1, 2]), "E_SHAPE"),
        (([0], [0], np.zeros(120)), "E_SHAPE"),
    ],
)
def test_bad_trials_are_a_typed_error(spec, arguments, code, planted) -> None:
    scorer = fit("scorer", spec, planted.rows, planted.speakers)
    with pytest.raises(DataError) as caught:
        scorer.score_trials(planted.fresh, planted.fresh, *arguments)
    assert caught.value.code == code


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_tells_planted_speakers_apart(name, planted) -> None:
    backend = build_backend(name).fit(planted.rows, planted.speakers)
    assert build_backend(backend.spec).spec == backend.spec
    table = backend.score_matrix(planted.fresh, planted.fresh)
    same = planted.fresh_speakers[:, None] == planted.fresh_speakers
    apart = ~np.eye(120, dtype=bool)
    # All rows lie about (5, 5, ...): without the mean taken off, directions differ little.
    assert np.mean(table[same & apart][:, None] > table[~same][None]) > (0.8 if name == "cosine" else 0.9)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_stands_anywhere_in_a_backend(name, planted) -> None:
    more = {"groups": planted.groups, "target": planted.fresh}
    for transforms in ([name], ["center", name, "length_norm"], [name, name]):
        backend = Backend(transforms).fit(planted.rows, planted.speakers, **more)
        scores = backend.score_trials(planted.fresh, [0, 0], [1, 119])
        again = Backend.restore(backend.spec, backend.state())
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(again.score_trials(planted.fresh, [0, 0], [1, 119]), scores)
