"""Maps of embeddings: places against scikit-learn, colours by speaker."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from voxid.errors import ConfigError, DataError
from voxid.plots.embedding_map import embedding_map, place


@pytest.fixture
def clusters(draw):
    """Twelve speakers, their centres far apart; the first ones have more recordings."""
    sizes = [9, 8, 7, 6, 5, 4, 4, 4, 3, 3, 2, 2]
    centres = draw.normal(size=(12, 32))
    rows = np.concatenate([centre + 0.2 * draw.normal(size=(size, 32)) for centre, size in zip(centres, sizes, strict=True)])
    return rows, [f"id{number:02d}" for number, size in enumerate(sizes) for _ in range(size)]


def test_pca_is_that_of_sklearn_on_rows_of_unit_length(readable, clusters) -> None:
    rows, _ = clusters
    axes = readable(embedding_map(rows)).axes[0]
    net = PCA(2)
    expected = net.fit_transform(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    drawn = np.asarray(axes.collections[0].get_offsets())
    assert np.abs(drawn) == pytest.approx(np.abs(expected), abs=1e-9)
    assert axes.get_xlabel() == f"principal component 1 ({100 * net.explained_variance_ratio_[0]:.1f} % of the variance)"


def test_the_most_frequent_speakers_are_coloured_and_all_others_grey(readable, clusters) -> None:
    rows, speakers = clusters
    figure = readable(embedding_map(rows, speakers, top=4))
    groups = figure.axes[0].collections
    assert [len(group.get_offsets()) for group in groups] == [9, 8, 7, 6, 27]
    assert len({tuple(group.get_facecolor()[0]) for group in groups}) == 5
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["id00: 9", "id01: 8", "id02: 7", "id03: 6", "8 other speakers: 27"]


def test_names_may_be_left_out(clusters) -> None:
    figure = embedding_map(*clusters, top=2, names=False, kind="language")
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["language 1: 9", "language 2: 8", "10 other languages: 40"]
    assert figure.legends[0].get_title().get_text() == "language: recordings"


def test_tsne_keeps_clusters_and_the_seed_fixes_it(clusters) -> None:
    rows, speakers = clusters
    places = place(rows / np.linalg.norm(rows, axis=1, keepdims=True), "tsne", 3)[0]
    assert places == pytest.approx(place(rows / np.linalg.norm(rows, axis=1, keepdims=True), "tsne", 3)[0])
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + np.diag(np.full(len(places), np.inf))
    nearest = [speakers[row] for row in distances.argmin(axis=1)]
    assert np.mean([one == other for one, other in zip(nearest, speakers, strict=True)]) > 0.9


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_three_recordings_and_many_speakers_are_readable(readable, draw, method: str) -> None:
    readable(embedding_map(draw.normal(size=(3, 4)), ["a", "b", "c"], method=method))
    names = [f"{'very ' * 20}long name {number}" for number in range(40)]
    readable(embedding_map(draw.normal(size=(40, 4)), names, method=method, top=20))


def test_equal_rows_have_one_place(readable) -> None:
    readable(embedding_map(np.ones((5, 3)), list("aabbb")))


@pytest.mark.parametrize(
    ("rows", "speakers", "code"),
    [
        (np.ones((2, 4)), None, "E_SHAPE"),
        (np.ones(4), None, "E_SHAPE"),
        (np.ones((4, 1)), None, "E_SHAPE"),
        (np.ones((4, 4)), ["a"], "E_SHAPE"),
        (np.zeros((4, 4)), None, "E_EMBEDDING"),
        (np.full((4, 4), np.nan), None, "E_EMBEDDING"),
    ],
)
def test_what_is_no_map_is_refused(rows, speakers, code: str) -> None:
    with pytest.raises(DataError) as caught:
        embedding_map(rows, speakers)
    assert caught.value.code == code


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tsne'"):
        embedding_map(np.eye(4), method="tsn")
    with pytest.raises(ConfigError, match="top"):
        embedding_map(np.eye(4), ["a"] * 4, top=0)
