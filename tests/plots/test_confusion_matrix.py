"""Confusion matrices from two classes to hundreds."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.errors import DataError
from voxid.plots.confusion_matrix import confusion_matrix


def random(draw, classes: int, items: int = 10) -> np.ndarray:
    truth = np.arange(classes).repeat(items)
    guess = np.where(draw.random(len(truth)) < 0.8, truth, draw.integers(0, classes, len(truth)))
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (truth, guess), 1)
    return matrix


def test_few_classes_have_their_numbers_in_the_cells(readable) -> None:
    figure = readable(confusion_matrix([[8, 2], [0, 10]], names=["anna", "ben"]))
    axes, bar = figure.axes
    assert [text.get_text() for text in axes.texts] == ["8", "2", "10"]
    assert [text.get_position() for text in axes.texts] == [(0, 0), (1, 0), (1, 1)]  # column, row
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == ("predicted class", "true class", "recordings")
    assert axes.get_title() == "Confusion matrix: 90.00 % right"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["anna", "ben"]


def test_shares_are_of_the_row_and_empty_rows_stay_empty(readable) -> None:
    figure = readable(confusion_matrix([[3, 1, 0], [0, 0, 0], [0, 0, 2]], normalize=True))
    assert [text.get_text() for text in figure.axes[0].texts] == ["75.0", "25.0", "100.0"]
    image = figure.axes[0].images[0].get_array()
    assert image.filled(0)[0] == pytest.approx([75, 25, 0])
    assert figure.axes[1].get_ylabel() == "share of the true class (%)"


@pytest.mark.parametrize("classes", [2, 5, 16, 17, 30, 48, 49, 200, 600])
@pytest.mark.parametrize("normalize", [False, True])
def test_any_number_of_classes_is_readable(readable, draw, classes: int, normalize: bool) -> None:
    matrix = random(draw, classes)
    figure = readable(confusion_matrix(matrix, names=[f"id{number:05d}" for number in range(classes)], normalize=normalize))
    axes = figure.axes[0]
    assert bool(axes.texts) == (classes <= 16)
    assert np.array_equal(np.ma.getmaskarray(axes.images[0].get_array()), matrix == 0)
    named = any(text.get_text().startswith("id") for text in axes.get_yticklabels())
    assert named == (classes <= 48)


def test_the_most_frequent_confusions_are_told(readable, draw) -> None:
    matrix = np.eye(60, dtype=int) * 5
    matrix[3, 7], matrix[50, 2] = 4, 3
    text = readable(confusion_matrix(matrix, names=[f"s{number}" for number in range(60)])).axes[0].get_xlabel()
    assert "s3 → s7: 4;  s50 → s2: 3" in text
    assert "no confusion" in confusion_matrix(np.eye(60, dtype=int)).axes[0].get_xlabel()


def test_a_single_confusion_among_hundreds_is_no_white_cell(readable) -> None:
    matrix = np.eye(300, dtype=int) * 1000
    matrix[10, 200] = 1
    image = readable(confusion_matrix(matrix)).axes[0].images[0]
    colour = image.to_rgba(image.get_array())[10, 200]
    assert colour[:3].min() < 0.5
    assert colour[3] == 1


@pytest.mark.parametrize(
    ("matrix", "names"),
    [
        ([], ()),
        ([[1, 2]], ()),
        ([[0, 0], [0, 0]], ()),
        ([[-1, 0], [0, 1]], ()),
        ([[np.nan, 0], [0, 1]], ()),
        ([[1, 0], [0, 1]], ["a"]),
    ],
)
def test_what_is_no_matrix_is_refused(matrix, names) -> None:
    with pytest.raises(DataError) as caught:
        confusion_matrix(matrix, names=names)
    assert caught.value.code == "E_SHAPE"
