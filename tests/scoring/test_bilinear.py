"""Dot products of listed pairs against a plain loop, in every order in which they are made."""

import numpy as np
import pytest

from voxid.scoring import bilinear
from voxid.scoring.bilinear import Bilinear, dot_trials


class Shifted(Bilinear):
    """(2 n x) . y + sum(x) - 3 sum(y), n the counts: sides that differ, with offsets."""

    def enrol_side(self, rows, counts):
        return 2 * counts[:, None] * rows, rows.sum(axis=1)

    def test_side(self, rows):
        return rows, -3 * rows.sum(axis=1)


def loop(enrol, test, first, second, counts):
    return [
        sum(2 * counts[a] * x * y for x, y in zip(enrol[a], test[b], strict=True)) + sum(enrol[a]) - 3 * sum(test[b])
        for a, b in zip(first, second, strict=True)
    ]


@pytest.mark.parametrize("near", [0, 1 << 30], ids=["tiles", "as listed"])
@pytest.mark.parametrize("chunk", [1, 7, 64, 5000])
@pytest.mark.parametrize("sizes", [(40, 9), (3, 1500), (1, 1)])
def test_trials_and_matrix_are_the_plain_sum(near, chunk, sizes, monkeypatch):
    monkeypatch.setattr(bilinear, "NEAR", near)
    monkeypatch.setattr(bilinear, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    enrol, test = (rng.normal(size=(size, 6)) for size in sizes)
    first, second = (rng.integers(0, size, 300) for size in sizes)
    counts = rng.integers(1, 5, sizes[0])
    expected = loop(enrol, test, first, second, counts)
    np.testing.assert_allclose(Shifted().score_trials(enrol, test, first, second, counts), expected, rtol=1e-12, atol=1e-12)
    table = Shifted().score_matrix(enrol, test, counts)
    np.testing.assert_allclose(table[first, second], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [513, 2000, 131_073, 200_000])
def test_every_tile_has_a_number_of_16_bits(rows):
    ends = np.array([0, rows - 1, rows // 2])
    first, second = (grid.ravel() for grid in np.meshgrid(ends, ends))
    order = bilinear._tile_order(first, second, rows)
    assert sorted(order) == list(range(9))
    near = [(first[place], second[place]) for place in order]
    assert near[0] == (0, 0)
    assert near[-1] == (rows - 1, rows - 1)


def test_rows_keep_their_type():
    assert dot_trials(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), np.array([0]), np.array([1])).dtype == np.float32


def test_many_trials_over_a_large_table_are_those_of_the_rows():
    rng = np.random.default_rng(0)
    rows = rng.integers(-9, 9, (6000, 192)).astype(np.float64)
    assert rows.nbytes > bilinear.NEAR
    first, second = rng.integers(0, 6000, (2, 5000))
    np.testing.assert_array_equal(dot_trials(rows, rows, first, second), (rows[first] * rows[second]).sum(axis=1))
