"""Who speaks: manifest, rule, or folders."""

import re

import pytest

from voxid.data.trials import Trial, read_trials
from voxid.errors import ConfigError, DataError
from voxid.evaluation.speakers import speakers_of

VOXCELEB = [
    Trial("id1/video1/1.wav", "id1/video2/1.wav", True),
    Trial("id1/video1/1.wav", "id2/video1/2.wav", False),
    Trial("id3/video9/1.wav", "id2/video3/1.wav", False),
]
EXPECTED = [["id1", "id1"], ["id1", "id2"], ["id3", "id2"]]


def test_the_nearest_folder_that_agrees_with_the_labels(tmp_path):
    pairs, source = speakers_of(VOXCELEB, tmp_path)
    assert pairs.tolist() == EXPECTED
    assert source == "folder 2 above the file"
    parents = [Trial("x/a/1.wav", "x/a/2.wav", True), Trial("x/a/1.wav", "x/b/1.wav", False)]
    assert speakers_of(parents, tmp_path)[0].tolist() == [["a", "a"], ["a", "b"]]


def test_nobody_can_tell(tmp_path):
    pairs, source = speakers_of([Trial("a1.wav", "a2.wav", True), Trial("a1.wav", "b1.wav", False)], tmp_path)
    assert pairs is None
    assert "no folder" in source


def test_the_manifest_of_the_root_goes_before_folders(tmp_path):
    rows = [
        "path,speaker",
        "id1/video1/1.wav,p",
        "id1/video2/1.wav,p",
        "id2/video1/2.wav,q",
        "id3/video9/1.wav,r",
        "id2/video3/1.wav,q",
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    pairs, source = speakers_of(VOXCELEB, tmp_path)
    assert pairs.tolist() == [["p", "p"], ["p", "q"], ["r", "q"]]
    assert source == str(tmp_path / "manifest.csv")


def test_a_manifest_that_misses_some_does_not_count(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,speaker\nid1/video1/1.wav,p\n")
    assert speakers_of(VOXCELEB, tmp_path)[0].tolist() == EXPECTED


@pytest.mark.parametrize("text", ["", "a;b\n1;2\n", "path,path\nx,y\n", 'path,speaker\n"x', "path,speaker\nx\n", "{not json"])
def test_a_table_of_another_kind_does_not_count(tmp_path, text):
    (tmp_path / "manifest.csv").write_text(text)
    assert speakers_of(VOXCELEB, tmp_path)[0].tolist() == EXPECTED
    with pytest.raises(DataError):
        speakers_of(VOXCELEB, tmp_path, tmp_path / "manifest.csv")


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_manifest_elsewhere_names_its_files_from_its_own_folder(tmp_path, kind):
    (tmp_path / "lists").mkdir()
    names = sorted({name for t in VOXCELEB for name in t[:2]})
    text = "speaker,path\n" + "".join(f"{name[:3].upper()},../audio/{name}\n" for name in names)
    (tmp_path / "lists" / "m.csv").write_text(text)
    pairs, _ = speakers_of(VOXCELEB, tmp_path / "audio", kind(tmp_path / "lists" / "m.csv"))
    assert pairs.tolist() == [[a.upper(), b.upper()] for a, b in EXPECTED]


@pytest.mark.parametrize(
    "speakers",
    [
        r"^[^/]+",
        r"^(id\d+)/",
        re.compile(r"id\d"),
        lambda name: name.split("/")[0],
        {name: name[:3] for t in VOXCELEB for name in t[:2]},
    ],
)
def test_a_rule_is_a_pattern_a_function_or_a_mapping(tmp_path, speakers):
    pairs, source = speakers_of(VOXCELEB, tmp_path, speakers)
    assert pairs.tolist() == EXPECTED
    assert source == "given"


@pytest.mark.parametrize("speakers", [r"nobody", {"id1/video1/1.wav": "id1"}, lambda name: ""])
def test_a_recording_without_a_speaker_is_an_error(tmp_path, speakers):
    with pytest.raises(DataError, match="have no speaker") as caught:
        speakers_of(VOXCELEB, tmp_path, speakers)
    assert caught.value.code == "E_SPEAKERS"


def test_a_broken_rule_is_a_typed_error(tmp_path):
    with pytest.raises(ConfigError, match="regular expression"):
        speakers_of(VOXCELEB, tmp_path, "(")
    with pytest.raises(DataError):
        speakers_of(VOXCELEB, tmp_path, "missing.csv")
    (tmp_path / "m.csv").write_text("path,who\na,b\n")
    with pytest.raises(DataError, match="no column 'speaker'"):
        speakers_of(VOXCELEB, tmp_path, tmp_path / "m.csv")


def test_speakers_that_contradict_the_labels_are_an_error(tmp_path):
    with pytest.raises(
        DataError, match="2 of 3 trials contradict their speakers: trial 1 is a target trial of speakers video1 and"
    ):
        speakers_of(VOXCELEB, tmp_path, r"/(video\d)/")


@pytest.mark.parametrize(("corpus", "speakers"), [("cv_fr", 50), ("cv_multi", 50), ("libri_mini", 29), ("speech_commands", 40)])
def test_manifests_of_real_corpora_agree_with_their_lists(shared, corpus, speakers):
    root = shared / "data" / corpus
    pairs, source = speakers_of(read_trials(shared / "data" / "protocols" / f"{corpus}_test.trials"), root)
    assert source == str(root / "manifest.csv")
    assert len(set(pairs.ravel().tolist())) == speakers


def test_voxceleb1_o_has_its_40_speakers_two_folders_up(shared, tmp_path):
    pairs, source = speakers_of(read_trials(shared / "peers" / "trials" / "cleaned_test_list.txt"), tmp_path)
    assert source == "folder 2 above the file"
    assert len(set(pairs.ravel().tolist())) == 40
