"""Ready-made mixtures against the files they were written to, read here with soundfile alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from voxid.data.ready_mixtures import ReadyMixtures, is_ready, read_ready, write_ready
from voxid.errors import ConfigError, DataError, VoxidError

RATE = 8000
ROWS = (
    "mix/a.wav,s1/a.wav,s2/a.wav,noise/a.wav,1.0,train,ann,ben",
    "mix/b.wav,s1/b.wav,,,0.5,train,ann,",
    "mix/c.wav,s1/c.wav,s2/c.wav,,1.0,test,cyd,dan",
)
HEADER = "mixture,s1,s2,noise,duration_s,split,s1_speaker,s2_speaker"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a: two sources and noise; b: one source, shorter than the mixture; c: two sources, at 16 kHz."""
    root = tmp_path_factory.mktemp("corpus")
    draw = np.random.default_rng(3)
    for folder in ("mix", "s1", "s2", "noise"):
        (root / folder).mkdir()
    for name, rate, samples, folders in (("a", RATE, 8000, 3), ("b", RATE, 4000, 1), ("c", 16000, 16000, 2)):
        parts = draw.uniform(-0.2, 0.2, (folders, samples)).astype(np.float32)
        soundfile.write(root / f"mix/{name}.wav", parts.sum(0), rate, subtype="FLOAT")
        for folder, part in zip(("s1", "s2", "noise"), parts, strict=False):
            part = part[:3000] if name == "b" else part
            soundfile.write(root / f"{folder}/{name}.wav", part, rate, subtype="FLOAT")
    (root / "m.csv").write_text("\n".join((HEADER, *ROWS)) + "\n")
    return root


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0]


def test_the_columns(corpus: Path) -> None:
    mixtures = read_ready(corpus / "m.csv")
    assert (len(mixtures), mixtures.num_sources) == (3, 2)
    assert mixtures.ids == ["mix/a.wav", "mix/b.wav", "mix/c.wav"]
    assert mixtures.sources[1] == (f"{corpus.resolve()}/s1/b.wav", "")
    assert mixtures.column("split") == ["train", "train", "test"]
    assert mixtures.speakers() == {"ann", "ben", "cyd", "dan"}
    assert mixtures.select([1]).speakers() == {"ann"}
    assert f"{corpus.resolve()}/s2/c.wav" in mixtures.files()
    assert len(mixtures.files()) == 3 + 5
    assert [mixtures.num_samples(row, 16000) for row in range(3)] == [16000, 8000, 16000]
    with pytest.raises(DataError, match="did you mean 'split'"):
        mixtures.column("spilt")


def test_a_whole_and_its_pieces(corpus: Path) -> None:
    mixtures = read_ready(corpus / "m.csv")
    whole = mixtures.whole(0, RATE)
    np.testing.assert_array_equal(whole.mixture, read(corpus / "mix/a.wav"))
    np.testing.assert_array_equal(whole.sources, np.stack([read(corpus / "s1/a.wav"), read(corpus / "s2/a.wav")]))
    np.testing.assert_allclose(whole.noise, read(corpus / "noise/a.wav"), atol=1e-6)
    piece = mixtures.piece(0, 1234, 777, RATE)
    for name in ("mixture", "sources", "noise"):
        cut = getattr(piece, name)
        assert cut.dtype == np.float32
        np.testing.assert_array_equal(cut, getattr(whole, name)[..., 1234 : 1234 + 777])


def test_behind_the_end_there_are_zeros(corpus: Path) -> None:
    mixtures = read_ready(corpus / "m.csv")
    piece = mixtures.piece(0, 7900, 500, RATE)
    assert piece.mixture.shape == (500,)
    assert piece.mixture[:100].all()
    for part in (piece.mixture, *piece.sources, piece.noise):
        assert not part[100:].any()
    beyond = mixtures.piece(0, 9000, 10, RATE)
    assert beyond.sources.shape == (2, 10)
    assert not beyond.mixture.any()


def test_a_source_that_is_absent_or_ends_early_is_silent_there(corpus: Path) -> None:
    whole = read_ready(corpus / "m.csv").whole(1, RATE)
    np.testing.assert_array_equal(whole.sources[0, :3000], read(corpus / "s1/b.wav"))
    assert not whole.sources[0, 3000:].any()
    assert not whole.sources[1].any()
    np.testing.assert_array_equal(whole.noise[3000:], whole.mixture[3000:])  # what the sources leave is noise


def test_another_rate(corpus: Path) -> None:
    mixtures = read_ready(corpus / "m.csv")
    whole = mixtures.whole(2, RATE)
    expected = soxr.resample(read(corpus / "s2/c.wav"), 16000, RATE)
    np.testing.assert_allclose(whole.sources[1], expected, atol=1e-5)
    np.testing.assert_allclose(whole.mixture, whole.sources.sum(0) + whole.noise, atol=1e-6)
    np.testing.assert_allclose(mixtures.piece(2, 4000, 500, RATE).mixture, whole.mixture[4000:4500], atol=1e-5)


def test_rows_by_where_and_the_number_of_sources(corpus: Path) -> None:
    single = read_ready(corpus / "m.csv", where={"s2_speaker": ""})
    assert (len(single), single.num_sources) == (1, 1)
    assert single.whole(0, RATE).sources.shape == (1, 4000)
    four = read_ready(corpus / "m.csv", num_sources=4, where={"split": ["train", "dev"]})
    assert len(four) == 2
    assert four.piece(0, 0, 10, RATE).sources.shape == (4, 10)
    assert not four.piece(0, 0, 10, RATE).sources[2:].any()
    with pytest.raises(DataError, match=r"m\.csv:2: 2 sources, asked for 1"):
        read_ready(corpus / "m.csv", num_sources=1)
    with pytest.raises(DataError, match="no mixture in it with split=dev"):
        read_ready(corpus / "m.csv", where={"split": "dev"})


def test_several_manifests(corpus: Path, tmp_path: Path) -> None:
    single = tmp_path / "single.jsonl"
    single.write_text('{"id": "x", "mixture": "mix/b.wav", "s1": "s1/b.wav", "duration": 0.5}\n')
    both = read_ready([corpus / "m.csv", single], root=corpus)
    assert (len(both), both.num_sources, both.ids[-1]) == (4, 2, "x")
    assert both.column("split")[-1] == ""
    assert both.sources[1] == both.sources[3]
    with pytest.raises(ConfigError, match="1 manifests and 2 roots"):
        read_ready(single, root=[corpus, corpus])


@pytest.mark.parametrize(
    ("header", "row", "says"),
    [
        ("path,s1,duration_s", "a,b,1", "m.csv:1: no column 'mixture'"),
        ("mixture,duration_s", "a,1", "m.csv:1: no column 's1'"),
        ("mixture,s1", "a,b", "m.csv:1: no column 'duration_s'"),
        ("mixture,s1,s3,duration_s", "a,b,c,1", "m.csv:1: the sources are numbered from s1 on without a gap, got s1, s3"),
        ("mixture,s1,s1,duration_s", "a,b,c,1", "m.csv:1: a column is named twice"),
        ("mixture,s1,duration_s", "a,b", "m.csv:2: the row does not have the 3 fields"),
        ("mixture,s1,duration_s", "a,b,0", "m.csv:2: duration_s is '0'"),
        ("mixture,s1,duration_s", "a,b,nan", "m.csv:2: duration_s is 'nan'"),
        ("mixture,s1,duration_s", "a,b,soon", "m.csv:2: duration_s is 'soon'"),
        ("mixture,s1,duration_s", ",b,1", "m.csv:2: mixture is empty"),
        ("mixture,s1,duration_s", "a,../b,1", "m.csv:2: '../b' leaves the folder"),
        ("mixture,s1,duration_s", "a,b,1\na,c,1", "m.csv:3: a of line 2 again"),
        ("mixture,s1,duration_s", "", "no mixture in it"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, header: str, row: str, says: str) -> None:
    (tmp_path / "m.csv").write_text(f"{header}\n{row}\n")
    with pytest.raises(DataError) as caught:
        read_ready(tmp_path / "m.csv", root=tmp_path)
    assert says in str(caught.value)
    assert caught.value.code == "E_MANIFEST"


def test_recordings_that_cannot_be_read(corpus: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"mixture,s1,duration_s\n{corpus}/mix/a.wav,gone.wav,1\n")
    with pytest.raises(DataError, match=r"m\.csv:2: .*gone\.wav") as caught:
        read_ready(manifest).piece(0, 0, 10)
    assert caught.value.code == "E_NOT_FOUND"
    mixtures = read_ready(corpus / "m.csv")
    for start, samples in ((-1, 5), (0, 0)):
        with pytest.raises(VoxidError, match="a piece begins at 0"):
            mixtures.piece(0, start, samples)


def same(left: ReadyMixtures, right: ReadyMixtures) -> bool:
    return left.mixtures == right.mixtures and left.sources == right.sources and left.extra == right.extra


def test_written_and_read_again(corpus: Path, tmp_path: Path) -> None:
    mixtures = read_ready(corpus / "m.csv")
    columns = {f"s{number + 1}": [paths[number] for paths in mixtures.sources] for number in range(2)}
    write_ready(tmp_path / "w.csv", mixtures.mixtures, list(mixtures.durations), mixtures.extra | columns, root=corpus)
    assert (tmp_path / "w.csv").read_text().splitlines()[0] == "mixture,s1,s2,duration_s,split,s1_speaker,s2_speaker,id"
    again = read_ready(tmp_path / "w.csv", root=corpus)
    assert same(again, mixtures)
    np.testing.assert_array_equal(again.durations, mixtures.durations)


def test_manifests_of_mixtures_are_told_from_others(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,speaker,duration\na.wav,ann,1\n")
    assert is_ready(corpus / "m.csv")
    assert not is_ready(tmp_path / "m.csv")
