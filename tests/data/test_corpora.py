"""Each corpus on a miniature tree of the shape that it is published in."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from voxid import registry
from voxid.data.manifest import read_manifest
from voxid.data.prepare_corpus import prepare_corpus
from voxid.errors import ConfigError, DataError


def recording(path: Path, seconds: float = 0.1, rate: int = 16000) -> Path:
    """Noise in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * rate))
    if path.suffix == ".m4a":
        m4a(path, samples, rate)
    else:
        soundfile.write(path, samples, rate)
    return path


def m4a(path: Path, samples: np.ndarray, rate: int) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format="mp4") as box:
        stream = box.add_stream("aac", rate=rate, layout="mono")
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024].astype(np.float32), "fltp", "mono")
            frame.sample_rate = rate
            box.mux(stream.encode(frame))
        box.mux(stream.encode(None))


def tree(root: Path, *names: str) -> Path:
    for name in names:
        recording(root / name)
    return root


def rows(root: Path, corpus: str, **options: object) -> pd.DataFrame:
    """The manifest of a corpus, by path relative to the corpus."""
    output = root.parent / "m.csv"
    prepare_corpus(corpus, root, output=output, root=root, **options)
    read_manifest(output, root=root, check_files=True, speaker=None)  # a reader of ours takes it
    return pd.read_csv(output, dtype=str, keep_default_na=False).set_index("path")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    return tmp_path / "corpus"


VOX1 = ("id10001/1zcIwhmdeo4/00001.wav", "id10269/x/00001.wav", "id10270/5r0dWxy17C8/00001.wav", "id10310/x/00002.wav")


def test_voxceleb1(root: Path) -> None:
    tree(root, *(f"wav/{name}" for name in VOX1))
    (root / "vox1_meta.csv").write_text(
        "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
        "id10001\tA.J._Buckley\tm\tIreland\tdev\nid10270\tEartha_Kitt\tf\tUSA\ttest\n"
    )
    table = rows(root, "voxceleb1")
    assert list(table.columns) == ["speaker", "duration", "session", "gender", "split", "nationality"]
    assert table.loc["wav/id10001/1zcIwhmdeo4/00001.wav"].tolist() == ["id10001", "0.1", "1zcIwhmdeo4", "m", "train", "Ireland"]
    assert table.loc["wav/id10270/5r0dWxy17C8/00001.wav"].tolist() == ["id10270", "0.1", "5r0dWxy17C8", "f", "test", "USA"]
    assert table["split"].tolist() == ["train", "train", "test", "train"]
    assert table.loc["wav/id10310/x/00002.wav", "gender"] == ""


def test_voxceleb1_whose_archives_lie_apart(root: Path) -> None:
    tree(root, f"dev/wav/{VOX1[0]}", f"test/wav/{VOX1[2]}")
    table = rows(root, "voxceleb1")
    assert table["split"].to_dict() == {f"dev/wav/{VOX1[0]}": "train", f"test/wav/{VOX1[2]}": "test"}


def test_the_test_set_of_voxceleb1_is_that_of_the_official_list(shared: Path, root: Path) -> None:
    listed = {
        line.split()[side].split("/")[0] for line in (shared / "peers/trials/cleaned_test_list.txt").open() for side in (1, 2)
    }
    for number in range(10260, 10320):
        (root / f"wav/id{number}/v").mkdir(parents=True)
        (root / f"wav/id{number}/v/00001.wav").touch()
    found = {row.speaker for row in registry.get("corpus", "voxceleb1")(root) if row.extra["split"] == "test"}
    assert len(listed) == 40
    assert found == listed


def test_voxceleb2(root: Path) -> None:
    tree(root, "dev/aac/id00012/21Uxsk56VDQ/00001.m4a", "test/aac/id00017/01dfn2spqyE/00001.m4a")
    (root / "vox2_meta.csv").write_text(
        "VoxCeleb2 ID ,VGGFace2 ID ,Gender,Set\nid00012 ,n000012 ,m ,dev\nid00017 ,n000017 ,f ,test\n"
    )
    table = rows(root, "voxceleb2")
    assert table[["speaker", "session", "gender", "split"]].to_numpy().tolist() == [
        ["id00012", "21Uxsk56VDQ", "m", "train"],
        ["id00017", "01dfn2spqyE", "f", "test"],
    ]
    # AAC holds whole frames of 1024 samples: a little more than was written
    assert all(0.1 <= float(duration) <= 0.1 + 2 * 1024 / 16000 for duration in table["duration"])


def test_a_conversion_of_voxceleb2_is_taken_once(root: Path) -> None:
    tree(root, "dev/wav/id00012/v/00001.wav", "test/wav/id00017/v/00001.wav")
    (root / "dev/aac/id00012/v").mkdir(parents=True)
    (root / "dev/aac/id00012/v/00001.m4a").touch()
    assert list(rows(root, "voxceleb2").index) == ["dev/wav/id00012/v/00001.wav", "test/wav/id00017/v/00001.wav"]


def test_voxceleb2_without_its_two_parts(root: Path) -> None:
    tree(root, "wav/id00012/v/00001.wav", "wav/id00017/v/00001.wav")
    assert set(rows(root, "voxceleb2")["split"]) == {"train"}
    (root / "vox2_meta.csv").write_text("Name ,Gender ,VGGFace2 ID ,VoxCeleb2 ID ,Set\nx ,f ,n000017 ,id00017 ,test\n")
    assert rows(root, "voxceleb2")["split"].tolist() == ["train", "test"]


def test_cnceleb1(root: Path) -> None:
    tree(
        root, "data/id00010/singing-01-002.flac", "data/id00010/live_broadcast-03-001.flac", "data/id00800/interview-01-013.flac"
    )
    tree(root, "eval/enroll/id00800-enroll.flac", "eval/test/id00800-singing-01-002.flac")
    for listed in ("with the list", "without it"):
        table = rows(root, "cnceleb1")
        assert {name: tuple(row) for name, row in table[["speaker", "session", "genre", "split"]].iterrows()} == {
            "data/id00010/singing-01-002.flac": ("id00010", "singing-01", "singing", "train"),
            "data/id00010/live_broadcast-03-001.flac": ("id00010", "live_broadcast-03", "live_broadcast", "train"),
            "data/id00800/interview-01-013.flac": ("id00800", "interview-01", "interview", "source"),
            "eval/enroll/id00800-enroll.flac": ("id00800", "enroll", "", "enrol"),
            "eval/test/id00800-singing-01-002.flac": ("id00800", "singing-01", "singing", "test"),
        }, listed
        assert set(table["lang"]) == {"zh"}
        (root / "dev").mkdir(exist_ok=True)
        (root / "dev" / "dev.lst").write_text("id00010\n")


def test_cnceleb2(root: Path) -> None:
    tree(root, "data/id10000/vlog-01-002.flac", "data/id10000/play-02-001.flac")
    (root / "spk.lst").write_text("id10000\n")
    table = rows(root, "cnceleb2")
    assert table["genre"].tolist() == ["play", "vlog"]
    assert set(table["split"]) == {"train"}


def test_librispeech(root: Path) -> None:
    tree(root, "train-clean-100/19/198/19-198-0001.flac", "dev-other/116/288045/116-288045-0000.flac")
    (root / "train-clean-100/19/198/19-198.trans.txt").write_text("19-198-0001 NORTHANGER ABBEY\n")
    (root / "SPEAKERS.TXT").write_text(
        "; The format is:\n;ID  |SEX| SUBSET           |MINUTES| NAME\n"
        "19   | F | train-clean-100  | 25.19 | Kara Shallenberg\n116  | M | dev-other        |  8.06 | Graham Redman\n"
    )
    table = rows(root, "librispeech")
    assert table[["speaker", "session", "gender", "lang", "split", "subset"]].to_numpy().tolist() == [
        ["116", "288045", "m", "en", "dev", "dev-other"],
        ["19", "198", "f", "en", "train", "train-clean-100"],
    ]


@pytest.mark.parametrize("info", ["speaker.info", "resource_aishell/speaker.info"])
def test_aishell1(root: Path, info: str) -> None:
    tree(root, "data_aishell/wav/train/S0002/BAC009S0002W0122.wav", "data_aishell/wav/dev/S0724/BAC009S0724W0121.wav")
    (root / info).parent.mkdir(exist_ok=True)
    (root / info).write_text("0002\tF\n0724\tM\n")
    table = rows(root, "aishell1")
    assert table[["speaker", "gender", "lang", "split"]].to_numpy().tolist() == [
        ["S0002", "f", "zh", "train"],
        ["S0724", "m", "zh", "dev"],
    ]


def common_voice(root: Path) -> None:
    tree(root, *(f"clips/common_voice_fr_{number}.mp3" for number in range(5)))
    head = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment\n"
    lines = [
        f'{who}\tcommon_voice_fr_{number}.mp3\tUn "mot\t2\t0\t\t{gender}\t\tfr\t\n'
        for number, (who, gender) in enumerate(
            (("aa", "male_masculine"), ("aa", "male"), ("bb", "female"), ("cc", ""), ("dd", ""))
        )
    ]
    (root / "validated.tsv").write_text(head + "".join(lines))
    for name, line in (("train", 0), ("dev", 2), ("test", 3)):
        (root / f"{name}.tsv").write_text(head + lines[line])


def test_common_voice(root: Path) -> None:
    common_voice(root)
    table = rows(root, "common_voice")
    assert table[["speaker", "gender", "lang", "split"]].to_numpy().tolist() == [
        ["aa", "m", "fr", "train"],
        ["aa", "m", "fr", "train"],  # a clip of a client of train, though train.tsv does not list it
        ["bb", "f", "fr", "dev"],
        ["cc", "", "fr", "test"],
        ["dd", "", "fr", "rest"],
    ]


def test_a_folder_of_languages_of_common_voice(root: Path) -> None:
    for lang in ("fr", "de"):
        common_voice(root / lang)
    table = rows(root, "common_voice")
    assert len(table) == 10
    assert table.index[0] == "de/clips/common_voice_fr_0.mp3"


def test_clips_of_common_voice_that_are_listed_and_not_there(root: Path) -> None:
    common_voice(root)
    (root / "clips/common_voice_fr_3.mp3").unlink()
    assert len(rows(root, "common_voice")) == 4
    assert pd.read_csv(root.parent / "m.rejected.csv")[["path", "code"]].to_numpy().tolist() == [
        ["clips/common_voice_fr_3.mp3", "E_NOT_FOUND"]
    ]
    (root / "validated.tsv").write_text("client\tclip\na\tb.mp3\n")
    with pytest.raises(DataError, match=r"validated\.tsv: no column path"):
        rows(root, "common_voice")


def test_speech_commands(root: Path) -> None:
    tree(root, *(f"backward/{who}_nohash_0.wav" for who in ("0165e0e8", "017c4098", "feb1d305")))
    tree(root, "_background_noise_/white_noise.wav")
    (root / "validation_list.txt").write_text("backward/017c4098_nohash_0.wav\n")
    (root / "testing_list.txt").write_text("backward/feb1d305_nohash_0.wav\n")
    table = rows(root, "speech_commands")
    assert table[["speaker", "word", "split"]].to_numpy().tolist() == [
        ["0165e0e8", "backward", "train"],
        ["017c4098", "backward", "dev"],
        ["feb1d305", "backward", "test"],
    ]


def test_musan(root: Path) -> None:
    tree(
        root, "noise/free-sound/noise-free-sound-0000.wav", "music/fma/music-fma-0000.wav", "speech/us-gov/speech-us-gov-0000.wav"
    )
    (root / "noise/free-sound/LICENSE").write_text("public domain")
    table = rows(root, "musan")
    assert sorted(zip(table["kind"], table["source"], strict=True)) == [
        ("music", "fma"),
        ("noise", "free-sound"),
        ("speech", "us-gov"),
    ]
    assert set(table["speaker"]) == {""}
    result = prepare_corpus("musan", root, output=root.parent / "m.csv")
    assert result.speakers == 0
    assert result.describe().endswith("m.csv: 3 recordings, 0.00 h")


def test_rirs_noises(root: Path) -> None:
    tree(root, "simulated_rirs/smallroom/Room001/Room001-00001.wav", "simulated_rirs/largeroom/Room200/Room200-00100.wav")
    tree(root, *(f"real_rirs_isotropic_noises/RVB2014_type1_{kind}_largeroom1_1.wav" for kind in ("rir", "noise")))
    tree(root, "pointsource_noises/noise-free-sound-0000.wav")
    (root / "simulated_rirs/smallroom/rir_list").write_text("--rir-id 1\n")
    table = rows(root, "rirs_noises")
    found = {name: tuple(row) for name, row in table[["kind", "source", "room", "session"]].iterrows()}
    assert found == {
        "simulated_rirs/smallroom/Room001/Room001-00001.wav": ("rir", "simulated", "small", "Room001"),
        "simulated_rirs/largeroom/Room200/Room200-00100.wav": ("rir", "simulated", "large", "Room200"),
        "real_rirs_isotropic_noises/RVB2014_type1_rir_largeroom1_1.wav": ("rir", "real", "", ""),
        "real_rirs_isotropic_noises/RVB2014_type1_noise_largeroom1_1.wav": ("noise", "isotropic", "", ""),
        "pointsource_noises/noise-free-sound-0000.wav": ("noise", "pointsource", "", ""),
    }


@pytest.mark.parametrize("names", [True, False])
def test_lists_of_torch_speaker(root: Path, names: bool) -> None:
    tree(root.parent, "wavs/anna/1.wav", "wavs/ben/1.wav")
    tree(root, "beside.wav")
    lists = {
        "train": {"utt_paths": [str(root.parent / "wavs/anna/1.wav"), "beside.wav"], "utt_spk_int_labels": [0, 1]},
        "test": {"utt_paths": ["../wavs/ben/1.wav"], "utt_spk_int_labels": [7]},
    }
    for split, columns in lists.items():
        speaker = {"speaker_name": [f"who{number}" for number in columns["utt_spk_int_labels"]]} if names else {}
        pd.DataFrame(speaker | columns).to_csv(root / f"{split}.csv")
    (root / "other.csv").write_text("a,b\n1,2\n")
    result = prepare_corpus("torch_speaker", root, output=root.parent / "m.csv")
    manifest = read_manifest(root.parent / "m.csv", check_files=True)
    assert manifest.relative() == ["wavs/ben/1.wav", "wavs/anna/1.wav", "corpus/beside.wav"]
    assert manifest.speakers == (["who7", "who0", "who1"] if names else ["7", "0", "1"])
    assert manifest.column("split") == ["test", "train", "train"]
    assert (result.utterances, result.speakers) == (3, 3)


@pytest.mark.parametrize("corpus", registry.names("corpus"))
def test_another_layout_is_said_in_one_line(root: Path, corpus: str) -> None:
    recording(root / "somewhere" / "else.wav")
    with pytest.raises(DataError, match=r"not the layout of .*: expected .*; found somewhere$") as caught:
        rows(root, corpus)
    assert caught.value.code == "E_LAYOUT"
    assert "\n" not in str(caught.value)
    assert not (root.parent / "m.csv").exists()
    with pytest.raises(DataError, match="no such folder"):
        prepare_corpus(corpus, root / "gone", output=root.parent / "m.csv")


def test_some_of_a_corpus(root: Path) -> None:
    tree(root, *(f"wav/{name}" for name in VOX1))
    (root / "wav" / VOX1[3]).write_bytes(b"no audio")  # of train: it is not even opened
    assert list(rows(root, "voxceleb1", where={"split": "test"})["speaker"]) == ["id10270"]
    assert len(rows(root, "voxceleb1", where={"split": ["test", "dev"], "session": "5r0dWxy17C8"})) == 1
    assert not (root.parent / "m.rejected.csv").exists()
    for where, says in (({"spilt": "test"}, "did you mean 'split'"), ({"split": "dev"}, "no recording of voxceleb1 in it with")):
        with pytest.raises(DataError, match=says):
            rows(root, "voxceleb1", where=where)


def test_unknown_corpora_are_named(root: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'voxceleb1'"):
        prepare_corpus("voxceleb", root, output=root.parent / "m.csv")


def test_what_does_not_fit_is_listed(root: Path) -> None:
    tree(root, f"wav/{VOX1[0]}", "wav/loose.wav", "wav/id1/v/00001.wav")
    (root / f"wav/{VOX1[1]}").parent.mkdir(parents=True)
    (root / f"wav/{VOX1[1]}").write_bytes(b"RIFF")
    result = prepare_corpus("voxceleb1", root, output=root.parent / "m.csv")
    assert (result.utterances, result.speakers) == (1, 1)
    assert result.rejected["E_LAYOUT"] == 2
    assert sum(result.rejected.values()) == 3
    table = pd.read_csv(root.parent / "m.rejected.csv")
    assert table["path"].tolist() == ["wav/id1/v/00001.wav", f"wav/{VOX1[1]}", "wav/loose.wav"]


def test_the_header_is_believed_unless_asked_otherwise(root: Path) -> None:
    path = recording(root / "wav" / VOX1[0], 2.0)
    flac = recording(root / "wav/id10001/v/00002.flac", 2.0)
    flac.write_bytes(flac.read_bytes()[:20000])  # cut off: the header still promises two seconds
    told = rows(root, "voxceleb1")["duration"].astype(float)
    measured = rows(root, "voxceleb1", decode=True)["duration"].astype(float)
    with wave.open(str(path)) as stream:
        assert told.iloc[0] == measured.iloc[0] == stream.getnframes() / stream.getframerate()
    assert told.iloc[1] == 2.0
    assert measured.iloc[1] < 1.0
    assert len(rows(root, "voxceleb1", strict=True)) == 1


def test_limits_and_workers(root: Path) -> None:
    for number in range(30):
        recording(root / f"wav/id100{number:02}/v/00001.wav", 0.01 * (number + 1))
    files = []
    for workers in (1, 5):
        rows(root, "voxceleb1", min_duration=0.1, max_duration=0.2, workers=workers, progress=False)
        files.append([(root.parent / name).read_bytes() for name in ("m.csv", "m.rejected.csv")])
    assert files[0] == files[1]
    assert len(files[0][0].splitlines()) == 1 + 11
    for options, says in (({"workers": 0}, "workers"), ({"min_duration": 2, "max_duration": 1}, "min_duration")):
        with pytest.raises(ConfigError, match=says):
            rows(root, "voxceleb1", **options)


def test_a_corpus_of_ones_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(root, "a-1.wav", "b-1.wav")
    (root / "own_corpus.py").write_text(
        "from voxid.data.corpora.layout import Row\n"
        "def rows(root):\n    return [Row(path.name, path.name[0], {}) for path in sorted(root.glob('*.wav'))]\n"
    )
    monkeypatch.syspath_prepend(str(root))
    assert rows(root, "own_corpus.rows")["speaker"].tolist() == ["a", "b"]
