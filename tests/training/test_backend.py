"""A back-end from embeddings and labels in files: the same as one fitted in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxid.data.embeddings import save_embeddings
from voxid.data.kaldi_vectors import write_kaldi_vectors
from voxid.errors import ConfigError, DataError, ModelError
from voxid.scoring.backend import build_backend
from voxid.training.backend import train_backend
from voxid.zoo.backend import backend_card, load_backend

SPEAKERS = np.repeat([f"s{number}" for number in range(10)], 6)
NAMES = [f"{speaker}/{number}.wav" for number, speaker in enumerate(SPEAKERS)]
LANGUAGES = np.tile(["fr", "de"], 30)


@pytest.fixture
def rows(tmp_path, monkeypatch) -> np.ndarray:
    """Embeddings in files, in an order of their own."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(10, 8)).repeat(6, axis=0) * 2 + rng.normal(size=(60, 8))).astype(np.float32)
    order = rng.permutation(60)
    model = {"name": "mine", "sha256": "ab" * 32, "embedding_dim": 8}
    save_embeddings("a.safetensors", [f"corpus/{NAMES[place]}" for place in order[:40]], rows[order[:40]], model)
    save_embeddings("b.safetensors", [f"corpus/{NAMES[place]}" for place in order[40:]], rows[order[40:]], model)
    write_kaldi_vectors("all.ark", NAMES, rows, scp="all.scp")
    Path("m.csv").write_text(
        "path,speaker,lang\n" + "".join(f"{n},{s},{lang}\n" for n, s, lang in zip(NAMES, SPEAKERS, LANGUAGES, strict=True))
    )
    Path("utt2spk").write_text("".join(f"{name} {speaker}\n" for name, speaker in zip(NAMES, SPEAKERS, strict=True)))
    return rows


def same(path: str, expected, rows: np.ndarray) -> None:
    index = np.arange(len(rows))
    found = load_backend(path).score_trials(rows, index, index[::-1].copy())
    np.testing.assert_allclose(found, expected.score_trials(rows, index, index[::-1].copy()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("embeddings", "speakers"),
    [(["a.safetensors", "b.safetensors"], "m.csv"), ("all.ark", ["m.csv"]), (["all.scp"], "utt2spk")],
)
def test_files_give_the_back_end_of_their_rows(rows, embeddings, speakers) -> None:
    done = train_backend("gplda", embeddings=embeddings, speakers=speakers, output="b.out.safetensors", norm="as", top=4)
    expected = build_backend({"name": "gplda", "norm": {"name": "as", "top": 4}}).fit(rows, SPEAKERS)
    same("b.out.safetensors", expected, rows)
    assert (done.num_embeddings, done.num_speakers, done.embedding_dim, done.cohort) == (60, 10, 8, 10)
    assert done.parts == ("center", "length_norm", "plda", "as-norm")
    card = backend_card("b.out.safetensors")
    told = embeddings[0] == "a.safetensors"
    assert card["model"] == done.model == ({"name": "mine", "sha256": "ab" * 32, "embedding_dim": 8} if told else {})
    assert (card["kind"], card["num_speakers"], card["embedding_dim"]) == ("gplda", 10, 8)
    assert ("mine" in done.describe()) == told


def test_options_reach_their_parts(rows) -> None:
    save_embeddings("cohort.safetensors", list("abc"), np.eye(3, 8, dtype=np.float32), {})
    done = train_backend(
        "lda",
        embeddings="all.ark",
        speakers="m.csv",
        output="b.safetensors",
        cohort="cohort.safetensors",
        set=["lda.dim=3"],
        norm="z",
    )
    expected = build_backend("lda").spec
    expected["transforms"][2]["dim"] = 3
    same("b.safetensors", build_backend(expected | {"norm": "z"}).fit(rows, SPEAKERS, cohort=np.eye(3, 8)), rows)
    assert done.cohort == 3


def test_groups_and_target_reach_their_parts(rows) -> None:
    spec = {"transforms": [{"name": "nap", "dim": 1, "nuisance": "groups"}], "scorer": "cosine"}
    train_backend(spec, embeddings="all.ark", speakers="m.csv", output="nap.safetensors", groups="lang")
    same("nap.safetensors", build_backend(spec).fit(rows, SPEAKERS, groups=LANGUAGES), rows)
    target = np.random.default_rng(1).normal(size=(30, 8)).astype(np.float32)
    np.savez("target.npz", names=[str(number) for number in range(30)], embeddings=target)
    spec = {"transforms": ["coral"], "scorer": "plda"}
    assert build_backend(spec).takes("target")
    train_backend(spec, embeddings="all.ark", speakers="m.csv", output="coral.safetensors", target="target.npz")
    same("coral.safetensors", build_backend(spec).fit(rows, SPEAKERS, target=target), rows)


@pytest.mark.parametrize(
    ("change", "kind", "code", "words"),
    [
        ({"kind": "gpldaa"}, ConfigError, "E_CONFIG", ["gplda"]),
        ({"kind": "none.yaml"}, ConfigError, "E_NOT_FOUND", ["none.yaml"]),
        ({"set": ["lda.dim=3"]}, ConfigError, "E_CONFIG", ["no part 'lda'"]),
        ({"norm": "q"}, ConfigError, "E_CONFIG", ["q"]),
        ({"top": 3}, ConfigError, "E_CONFIG", ["--norm as"]),
        ({"norm": "z", "top": 3}, ConfigError, "E_CONFIG", ["--norm as"]),
        ({"embeddings": "none.ark"}, DataError, "E_NOT_FILE", ["none.ark"]),
        ({"speakers": "none.csv"}, DataError, "E_NOT_FILE", ["none.csv"]),
        ({"speakers": "other.csv"}, DataError, "E_NAMES", ["60 of 60", "other.csv"]),
        ({"speakers": "one.csv"}, DataError, None, ["speaker"]),
        ({"cohort": "wide.npz"}, DataError, "E_SHAPE", ["cohort", "8", "9"]),
        ({"embeddings": ["a.safetensors", "b.safetensors"], "cohort": "foreign.safetensors"}, DataError, "E_MODELS", ["cohort"]),
        ({"speakers": "utt2spk", "groups": "lang", "draw_cohort": 5}, DataError, "E_MANIFEST", ["lang"]),
        ({"groups": "lang"}, ConfigError, "E_CONFIG", ["groups", "nap"]),
        ({"target": "wide.npz"}, ConfigError, "E_CONFIG", ["target", "coral"]),
        ({"cohort": "single.npz"}, DataError, "E_SHAPE", ["cohort needs 2"]),
        (
            {"kind": "cosine", "norm": "as", "embeddings": "single.npz", "speakers": "x.csv"},
            DataError,
            "E_SHAPE",
            ["cohort needs 2"],
        ),
        ({"output": "b.npz"}, ModelError, "E_FORMAT", ["b.npz"]),
        ({"output": "nowhere/b.safetensors"}, DataError, "E_WRITE", ["nowhere"]),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(rows, change: dict, kind: type, code: str | None, words: list[str]) -> None:
    Path("other.csv").write_text("path,speaker\nx.wav,x\n")
    Path("one.csv").write_text("path,speaker\n" + "".join(f"{name},anna\n" for name in NAMES))
    Path("x.csv").write_text("path,speaker\nx,x\n")
    np.savez("wide.npz", names=["x", "y"], embeddings=np.ones((2, 9)))
    np.savez("single.npz", names=["x"], embeddings=np.ones((1, 8)))
    save_embeddings("foreign.safetensors", ["x", "y"], np.ones((2, 8)), {"sha256": "cd" * 32})
    before = sorted(Path().iterdir())
    arguments = {"kind": "gplda", "embeddings": "all.ark", "speakers": "m.csv", "output": "b.out.safetensors"} | change
    with pytest.raises(kind) as caught:
        train_backend(**arguments)
    assert code in (None, caught.value.code), caught.value.code
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(Path().iterdir()) == before


def test_a_drawn_cohort_is_nobodys(rows) -> None:
    train_backend(
        "cosine", embeddings="all.ark", speakers="m.csv", norm="as", draw_cohort=50, groups="lang", output="b.safetensors"
    )
    cohort = load_backend("b.safetensors").cohort
    means = np.array([rows[name == SPEAKERS].mean(axis=0) for name in np.unique(SPEAKERS)])
    assert cohort.shape == (50, 8)
    assert np.abs(cohort[:, None] - means).max(axis=2).min() > 1e-3
    with pytest.raises(ConfigError, match="not both"):
        train_backend("cosine", embeddings="all.ark", speakers="m.csv", cohort="all.ark", draw_cohort=50, output="c.safetensors")
