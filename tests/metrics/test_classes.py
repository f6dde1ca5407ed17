"""What the metrics of two classes take and refuse, and the order of scores."""

import math

import numpy as np
import pytest

from voxid.errors import DataError
from voxid.metrics.classes import as_float, checked, ranked, split


@pytest.mark.parametrize(
    ("scores", "labels", "code", "says"),
    [
        ([1.0, 2.0], [1, 1], "E_ONE_CLASS", "2 targets and 0 non-targets"),
        ([1.0, 2.0], [False, False], "E_ONE_CLASS", "0 targets and 2 non-targets"),
        ([], [], "E_ONE_CLASS", "0 targets and 0 non-targets"),
        ([1.0, math.nan], [1, 0], "E_SCORES", "1 NaN or infinite of 2"),
        ([-math.inf, math.inf, 1.0], [1, 0, 1], "E_SCORES", "2 NaN or infinite of 3"),
        (np.array([1, np.nan], dtype="f2"), [1, 0], "E_SCORES", "1 NaN"),
        (["1", "2"], [1, 0], "E_SCORES", "real numbers"),
        ([1j, 2], [1, 0], "E_SCORES", "real numbers"),
        ([None, 2], [1, 0], "E_SCORES", "real numbers"),
        ([1.0, 2.0], [1, 2], "E_LABELS", "0 / 1"),
        ([1.0, 2.0], [1, -1], "E_LABELS", "0 / 1"),
        ([1.0, 2.0], [1.0, 0.5], "E_LABELS", "0 / 1"),
        ([1.0, 2.0], [1.0, math.nan], "E_LABELS", "0 / 1"),
        ([1.0, 2.0], ["target", "nontarget"], "E_LABELS", "0 / 1"),
        ([1.0, 2.0, 3.0], [1, 0], "E_SHAPE", r"\[3\] and \[2\]"),
        ([[1.0], [2.0]], [[1], [0]], "E_SHAPE", r"\[2, 1\]"),
        ([[1.0], [2.0, 3.0]], [1, 0], "E_SHAPE", "no array"),
        (1.0, True, "E_SHAPE", r"got \[\] and \[\]"),
    ],
)
def test_bad_trials_are_a_typed_error(scores, labels, code, says):
    for function in (checked, split):
        with pytest.raises(DataError, match=says) as caught:
            function(scores, labels)
        assert caught.value.code == code


def test_infinite_scores_pass_where_they_may_and_nan_never():
    scores, _ = checked([-math.inf, math.inf], [0, 1], finite=False)
    assert scores.tolist() == [-math.inf, math.inf]
    with pytest.raises(DataError, match="without NaN, got 1 NaN of 3") as caught:
        checked([math.inf, math.nan, -math.inf], [0, 1, 1], finite=False)
    assert caught.value.code == "E_SCORES"


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i4", "u8", "bool"])
def test_kinds_of_numbers(dtype):
    scores, labels = checked(np.array([1, 0, 1], dtype=dtype), np.array([1, 0, 1], dtype=dtype))
    assert scores.dtype == ("f4" if dtype == "f4" else "f8")
    assert (scores.tolist(), labels.tolist()) == ([1.0, 0.0, 1.0], [True, False, True])


def test_what_has_the_form_already_is_not_copied():
    scores, labels = np.array([1.0, 2.0], dtype="f4"), np.array([True, False])
    assert checked(scores, labels)[0] is scores
    assert checked(scores, labels)[1] is labels
    assert as_float(scores) is scores


def test_split_keeps_the_order():
    assert [part.tolist() for part in split([3, 1, 2, 0], [1, 0, 1, 0])] == [[3.0, 2.0], [1.0, 0.0]]


@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("strided", [False, True])
def test_ranked_is_the_order_of_all_scores(decimals, strided):
    random = np.random.default_rng(decimals)
    scores, labels = np.round(random.normal(size=501), decimals), random.random(501) < 0.3
    if strided:
        scores, labels = scores[::-2], labels[::-2]
    values, marks = ranked(scores, labels)
    assert values.tolist() == sorted(scores.tolist())
    for value in np.unique(scores):
        assert np.sum(marks[values == value]) == np.sum(labels[scores == value])
