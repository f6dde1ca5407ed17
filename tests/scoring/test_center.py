"""The mean that is taken off."""

import numpy as np

from voxid.scoring.center import Center


def test_each_speaker_counts_once_unless_told_otherwise():
    rows, speakers = np.array([[0.0, 1.0]] * 9 + [[10.0, 3.0]]), ["often"] * 9 + ["once"]
    assert Center().fit(rows, speakers).mean.tolist() == [5.0, 2.0]
    np.testing.assert_allclose(Center(balanced=False).fit(rows, speakers).mean, rows.mean(axis=0))
    np.testing.assert_allclose(Center().fit(rows).mean, rows.mean(axis=0))


def test_the_order_of_rows_does_not_matter(planted):
    order = np.random.default_rng(0).permutation(len(planted.rows))
    shuffled = Center().fit(planted.rows[order], planted.speakers[order]).mean
    expected = np.mean([planted.rows[planted.speakers == name].mean(axis=0) for name in range(60)], axis=0)
    np.testing.assert_allclose(shuffled, expected)
    np.testing.assert_allclose(Center().fit(planted.rows, planted.speakers).transform(planted.fresh), planted.fresh - expected)
