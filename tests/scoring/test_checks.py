"""The doors of scoring: what passes comes out in one form, what does not is named."""

import numpy as np
import pytest

from voxid.errors import DataError, ModelError
from voxid.scoring.checks import as_codes, as_counts, as_index, as_pairs, as_rows, restored


def test_rows_of_any_number_type_become_float64():
    for given in ([[1, 2]], np.ones((1, 2), dtype=np.float16), [[True, False]]):
        assert as_rows(given).dtype == np.float64


@pytest.mark.parametrize(
    "labels", [["b", "a", "b"], [2.5, -1.0, 2.5], [True, False, True], np.array(["é", "e", "é"], dtype=object)]
)
def test_labels_become_numbers_in_the_order_of_sorting(labels):
    codes, classes = as_codes(labels, 3)
    assert (codes.tolist(), classes) == ([1, 0, 1], 2)


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        (lambda: as_rows([[1.0], [1.0, 2.0]]), "E_SHAPE", "numbers"),
        (lambda: as_rows([[1j]]), "E_SHAPE", "numbers"),
        (lambda: as_rows(np.ones((2, 3)), 4, "cohort rows"), "E_SHAPE", r"cohort rows \[n, 4\].*\[2, 3\]"),
        (lambda: as_rows([[np.nan]]), "E_EMBEDDING", "NaN"),
        (lambda: as_codes([], 0), "E_SPEAKERS", "at least one row"),
        (lambda: as_codes(np.array(["a", 1, None], dtype=object), 3), "E_SPEAKERS", "one kind"),
        (lambda: as_codes(["a"], 2, "groups"), "E_SPEAKERS", r"groups \[2\]"),
        (lambda: as_index([3], 3), "E_INDEX", r"0 \.\.\. 2"),
        (lambda: as_index([0.0], 3), "E_INDEX", "float64"),
        (lambda: as_pairs([0], [0, 1], 2, 2), "E_SHAPE", "1 and 2"),
        (lambda: as_counts([1, 0], 2), "E_SHAPE", "1 or more"),
        (lambda: as_counts([np.inf], 1), "E_SHAPE", "1 or more"),
        (lambda: as_counts(["1"], 1), "E_SHAPE", "1 or more"),
        (lambda: as_counts([1], 2), "E_SHAPE", r"counts \[2\]"),
    ],
)
def test_what_does_not_pass_is_named(call, code, said):
    with pytest.raises(DataError, match=said) as caught:
        call()
    assert caught.value.code == code


def test_counts_are_one_where_none_are_given():
    assert as_counts(None, 2).tolist() == [1.0, 1.0]


def test_a_letter_is_one_size_wherever_it_stands():
    arrays = {"mean": np.ones(2), "matrix": np.ones((2, 5))}
    assert restored(arrays, "part", mean=("D",), matrix=("D", "R"))["matrix"].shape == (2, 5)
    for shapes in (
        {"mean": ("D",), "matrix": ("D", "D")},
        {"mean": ("D",), "matrix": ("R", "D")},
        {"mean": (3,), "matrix": ("D", 5)},
    ):
        with pytest.raises(ModelError, match="must be finite") as caught:
            restored(arrays, "part", **shapes)
        assert caught.value.code == "E_FORMAT"
