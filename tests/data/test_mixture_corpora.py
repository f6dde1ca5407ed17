"""Each corpus of mixtures on a miniature tree of the shape that it is published in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from voxid.data.manifest import read_manifest
from voxid.data.prepare import prepare
from voxid.data.ready_mixtures import ReadyMixtures, read_ready
from voxid.errors import DataError

WSJ = "050a0502_1.9707_440c020w_-1.9707.wav"
LIBRI = "103-1240-0003_1235-135887-0017.wav"


def recording(path: Path, samples: int = 800, rate: int = 8000) -> None:
    """Noise that differs from file to file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(list(str(path).encode()))
    soundfile.write(path, draw.uniform(-0.1, 0.1, samples), rate)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    return tmp_path / "corpus"


def tree(root: Path, names: list[str], **options: int) -> None:
    for name in names:
        recording(root / name, **options)


def prepared(root: Path, corpus: str, **options: object) -> tuple[pd.DataFrame, ReadyMixtures]:
    """The manifest, by mixture, as pandas reads it and as we do."""
    output = root.parent / "m.csv"
    prepare(root, output=output, root=root, corpus=corpus, progress=False, **options)
    mixtures = read_ready(output, root=root)
    for row in range(len(mixtures)):  # all that is named can be read, and the sum is the mixture
        whole = mixtures.whole(row, 8000)
        np.testing.assert_allclose(whole.sources.sum(0) + whole.noise, whole.mixture, atol=1e-6)
    table = pd.read_csv(output, dtype=str, keep_default_na=False).set_index("mixture")
    assert list(table.index) == [path.removeprefix(f"{root.resolve()}/") for path in mixtures.mixtures]
    return table, mixtures


def test_voicebank(root: Path) -> None:
    for part, names in (
        ("trainset_28spk", ("p226_001", "p227_001")),
        ("testset", ("p232_001",)),
        ("trainset_56spk", ("p234_001",)),
    ):
        tree(root, [f"{kind}_{part}_wav/{name}.wav" for kind in ("noisy", "clean") for name in names], samples=4800, rate=48000)
    (root / "log_testset.txt").write_text("p232_001 bus 17.5\n")
    (root / "logfiles").mkdir()
    (root / "logfiles/log_trainset_28spk.txt").write_text("p226_001 cafeteria 5\n")
    table, mixtures = prepared(root, "voicebank")
    assert list(table.columns) == ["s1", "duration_s", "s1_speaker", "split", "subset", "noise_type", "snr_db"]
    assert list(table["s1"]) == [name.replace("noisy", "clean") for name in table.index]
    assert {name.rpartition("/")[2]: tuple(row) for name, row in table.drop(columns="s1").iterrows()} == {
        "p226_001.wav": ("0.1", "p226", "dev", "28spk", "cafeteria", "5"),
        "p227_001.wav": ("0.1", "p227", "train", "28spk", "", ""),
        "p234_001.wav": ("0.1", "p234", "train", "56spk", "", ""),
        "p232_001.wav": ("0.1", "p232", "test", "test", "bus", "17.5"),
    }
    assert mixtures.num_sources == 1
    assert mixtures.num_samples(0, 16000) == len(mixtures.whole(0, 16000).mixture) == 1600


@pytest.mark.parametrize(("voices", "home"), [(2, ""), (2, "2speakers/"), (3, "3speakers/")])
def test_wsj0_mix(root: Path, voices: int, home: str) -> None:
    name = WSJ if voices == 2 else "050a0502_1.9707_440c020w_-1.9707_22go010a_0.wav"
    folders = ["mix", *(f"s{number + 1}" for number in range(voices))]
    tree(root, [f"{home}wav8k/min/{split}/{folder}/{name}" for split in ("tr", "cv", "tt") for folder in folders])
    tree(root, [f"{home}wav16k/max/tr/{folder}/{name}" for folder in folders], rate=16000)
    table, mixtures = prepared(root, f"wsj0_{voices}mix")
    assert table[["split", "sample_rate", "mode"]].to_numpy().tolist() == [
        ["train", "8000", "min"],
        ["dev", "8000", "min"],
        ["test", "8000", "min"],
        ["train", "16000", "max"],
    ]
    first = table.iloc[0]
    assert first["s2"] == f"{home}wav8k/min/tr/s2/{name}"
    assert mixtures.num_sources == voices
    assert mixtures.speakers() == {"050", "440", "22g"} - (set() if voices == 3 else {"22g"})
    assert [first["s1_speaker"], first["s2_speaker"]] == ["050", "440"]


def wham_tree(root: Path, sources: list[str], mixes: list[str]) -> None:
    tree(root, [f"wav8k/min/{split}/{folder}/{WSJ}" for split in ("tr", "tt") for folder in [*sources, *mixes, "noise"]])


def test_wham(root: Path) -> None:
    wham_tree(root, ["s1", "s2"], ["mix_both", "mix_clean", "mix_single"])
    table, mixtures = prepared(root, "wham")
    assert len(table) == 6
    place = "wav8k/min/tr"
    files = table.loc[[f"{place}/{mix}/{WSJ}" for mix in ("mix_both", "mix_clean", "mix_single")], ["s1", "s2", "noise"]]
    first, second, noise = (f"{place}/{folder}/{WSJ}" for folder in ("s1", "s2", "noise"))
    assert files.to_numpy().tolist() == [[first, second, noise], [first, second, ""], [first, "", noise]]
    assert mixtures.num_sources == 2
    single, enhanced = prepared(root, "wham", where={"mix": "single", "split": "test"})
    assert enhanced.num_sources == 1
    assert single[["s1_speaker", "s2_speaker", "split"]].to_numpy().tolist() == [["050", "", "test"]]


def test_whamr(root: Path) -> None:
    rooms = ("anechoic", "reverb")
    wham_tree(root, [f"s{n}_{room}" for n in (1, 2) for room in rooms], [f"mix_both_{room}" for room in rooms])
    table, mixtures = prepared(root, "whamr")
    assert sorted(zip(table["mix"], table["room"], table["split"], strict=True)) == [
        ("both", room, split) for room in rooms for split in ("test", "train")
    ]
    assert set(table["s1"]) == {f"wav8k/min/{split}/s1_anechoic/{WSJ}" for split in ("tr", "tt")}
    assert set(table["noise"]) == {f"wav8k/min/{split}/noise/{WSJ}" for split in ("tr", "tt")}
    assert mixtures.num_sources == 2


def libri_tree(home: Path, name: str, voices: int) -> None:
    folders = [*(f"s{number + 1}" for number in range(voices)), "noise", "mix_both", "mix_clean", "mix_single"]
    tree(home, [f"wav8k/min/{subset}/{folder}/{name}" for subset in ("train-100", "dev") for folder in folders])


def test_librimix(root: Path) -> None:
    libri_tree(root, LIBRI, 2)
    (root / "metadata").mkdir()
    table, _ = prepared(root, "librimix")
    assert len(table) == 6
    row = table.loc[f"wav8k/min/train-100/mix_both/{LIBRI}"]
    assert row.drop(["s1", "s2"]).to_dict() == {
        "noise": f"wav8k/min/train-100/noise/{LIBRI}", "duration_s": "0.1", "s1_speaker": "103", "s2_speaker": "1235",
        "voices": "2", "mix": "both", "split": "train", "sample_rate": "8000", "mode": "min", "subset": "train-100",
    }  # fmt: skip
    single, mixtures = prepared(root, "librimix", where={"mix": "single"})
    assert mixtures.num_sources == 1
    assert set(single["s1_speaker"]) == {"103"}
    assert set(single["s2"]) == {""}


def test_both_librimixes(root: Path) -> None:
    libri_tree(root / "Libri2Mix", LIBRI, 2)
    libri_tree(root / "Libri3Mix", f"{LIBRI[:-4]}_19-198-0001.wav", 3)
    table, mixtures = prepared(root, "librimix", where={"mix": "clean"})
    assert table["voices"].tolist() == ["2", "2", "3", "3"]
    assert mixtures.num_sources == 3
    assert table["s3"].tolist()[:2] == ["", ""]
    assert table["s3_speaker"].tolist() == ["", "", "19", "19"]


@pytest.mark.parametrize("inside", [False, True])
def test_fuss(root: Path, inside: bool) -> None:
    root = root / "ssdata_reverb" if inside else root
    home = "" if inside else "ssdata_reverb/"
    for split in ("train", "validation", "eval"):
        tree(root, [f"{home}{split}/example0000{number}.wav" for number in range(2)])
        sounds = ["0/background0", "0/foreground0", "0/foreground1", "1/background0"]
        tree(root, [f"{home}{split}/example0000{'_sources/'.join(sound.split('/'))}_sound.wav" for sound in sounds])
        (root / f"{home}{split}_example_list.txt").write_text(f"{split}/example00000.wav\n")
    table, mixtures = prepared(root, "fuss")
    assert table[["room", "split", "sources"]].to_numpy().tolist() == [
        ["reverb", split, number] for split in ("train", "dev", "test") for number in ("3", "1")
    ]
    assert table.iloc[0][["s1", "s2", "s3"]].tolist() == [
        f"{home}train/example00000_sources/{sound}_sound.wav" for sound in ("background0", "foreground0", "foreground1")
    ]
    assert mixtures.num_sources == 3
    assert not mixtures.whole(1, 8000).sources[1:].any()


def test_mixtures_that_are_not_whole_are_listed(root: Path) -> None:
    wham_tree(root, ["s1", "s2"], ["mix_both"])
    (root / f"wav8k/min/tr/s2/{WSJ}").unlink()
    recording(root / "wav8k/min/tt/mix_both/other.wav")
    recording(root / "wav8k/min/tt/mix_both/050a0502_1_440c020w_-1.wav")
    result = prepare(root, output=root.parent / "m.csv", corpus="wham", progress=False)
    assert (result.utterances, result.speakers) == (1, 2)
    rejected = pd.read_csv(root.parent / "m.rejected.csv")
    assert rejected[["path", "code"]].to_numpy().tolist() == [
        [f"wav8k/min/tr/mix_both/{WSJ}", "E_NOT_FOUND"],
        ["wav8k/min/tt/mix_both/050a0502_1_440c020w_-1.wav", "E_NOT_FOUND"],
        ["wav8k/min/tt/mix_both/other.wav", "E_LAYOUT"],
    ]
    assert rejected["reason"][0] == f"its s2 is not there: wav8k/min/tr/s2/{WSJ}"
    # without --root the paths count from the folder of the manifest
    assert read_ready(root.parent / "m.csv").sources[0][0] == f"{root.resolve()}/wav8k/min/tt/s1/{WSJ}"


def test_a_manifest_of_mixtures_is_not_taken_for_one_of_speakers(root: Path) -> None:
    wham_tree(root, ["s1", "s2"], ["mix_both"])
    prepare(root, output=root.parent / "m.csv", corpus="wham", progress=False)
    with pytest.raises(DataError, match="no column 'path'"):
        read_manifest(root.parent / "m.csv")
