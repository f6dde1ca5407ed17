"""score: lists and files of embeddings -> score files, the same as scores computed in place."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from voxid.data.embeddings import save_embeddings
from voxid.data.kaldi_vectors import write_kaldi_vectors
from voxid.data.trials import Trial, read_trials, table_of
from voxid.errors import ConfigError, DataError, ModelError
from voxid.metrics.detection import eer, min_dcf
from voxid.pipelines.score import _write, score
from voxid.scoring.backend import build_backend
from voxid.zoo.backend import save_backend

SPEAKERS = np.repeat(np.arange(10), 6)
NAMES = [f"s{speaker}/{number}.wav" for number, speaker in enumerate(SPEAKERS)]
FORMATS = {"voxceleb": "{label} {enrol} {test}", "kaldi": "{enrol} {test} {word}", "blind": "{enrol} {test}"}


@pytest.fixture
def rows(tmp_path, monkeypatch) -> np.ndarray:
    """Embeddings of 60 recordings, in files."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(10, 8)).repeat(6, axis=0) * 1.2 + rng.normal(size=(60, 8))).astype(np.float32)
    save_embeddings("e.safetensors", [f"/data/corpus/{name}" for name in NAMES], rows, {"sha256": "ab"})
    write_kaldi_vectors("e.ark", NAMES, rows, scp="e.scp")
    return rows


@pytest.fixture
def pairs() -> np.ndarray:
    """400 trials, their recordings [2, N]."""
    return np.random.default_rng(1).integers(0, 60, (2, 400))


def write_list(path: str, pairs: np.ndarray, form: str = "voxceleb") -> str:
    lines = []
    for first, second in pairs.T:
        same = bool(SPEAKERS[first] == SPEAKERS[second])
        words = {"enrol": NAMES[first], "test": NAMES[second], "label": int(same), "word": "target" if same else "nontarget"}
        lines.append(FORMATS[form].format(**words) + "\n")
    Path(path).write_text("".join(lines))
    return path


def written(path: str = "s.txt") -> np.ndarray:
    return np.array([trial.score for trial in read_trials(path, format="wespeaker")])


@pytest.mark.parametrize("form", sorted(FORMATS))
@pytest.mark.parametrize("file", ["e.safetensors", "e.ark", "e.scp"])
def test_cosines_are_those_of_the_rows(rows, pairs, form: str, file: str) -> None:
    done = score(write_list("l.txt", pairs, form), embeddings=file, output="s.txt")
    expected = cosine_similarity(rows.astype(float))[tuple(pairs)]
    np.testing.assert_allclose(written(), expected, atol=1e-6)
    trials = read_trials("s.txt", format="wespeaker")
    assert [(trial.enrol, trial.test) for trial in trials] == [(NAMES[a], NAMES[b]) for a, b in pairs.T]
    labels = SPEAKERS[pairs[0]] == SPEAKERS[pairs[1]]
    assert [trial.label for trial in trials] == ([None] * 400 if form == "blind" else labels.tolist())
    assert (done.num_trials, done.num_enrolments, done.num_tests) == (400, len({*pairs[0]}), len({*pairs[1]}))
    if form == "blind":
        assert (done.eer, done.min_dcf_001, done.num_targets) == (None, None, None)
        assert "no labels" in done.describe()
    else:
        assert done.eer == eer(written(), labels)
        assert done.min_dcf_001 == min_dcf(written(), labels, 0.01)
        assert (done.num_targets, done.num_nontargets) == (int(labels.sum()), int((~labels).sum()))
        assert "EER" in done.describe()


@pytest.mark.parametrize("norm", [None, "none", "z", "t", "s", "as"])
def test_a_back_end_scores_as_in_python(rows, pairs, norm: str | None) -> None:
    backend = build_backend({"name": "gplda", "norm": "s"}).fit(rows, SPEAKERS)
    save_backend("b.safetensors", backend, {"model": {"sha256": "ab"}})
    done = score(write_list("l.txt", pairs), embeddings="e.ark", output="s.txt", backend="b.safetensors", norm=norm)
    expected = backend if norm is None else backend.with_norm(None if norm == "none" else norm)
    np.testing.assert_allclose(written(), expected.score_trials(rows, *pairs), rtol=1e-6, atol=1e-6)
    assert done.warnings == ()
    assert done.backend.startswith("center, length_norm, plda")


def test_a_cohort_of_its_own(rows, pairs) -> None:
    cohort = np.random.default_rng(2).normal(size=(20, 8)).astype(np.float32)
    np.savez("c.npz", names=[str(number) for number in range(20)], embeddings=cohort)
    backend = build_backend("cosine")
    options = {"backend": backend, "norm": "as", "top": 5, "cohort": "c.npz"}
    score(write_list("l.txt", pairs), embeddings="e.ark", output="s.txt", **options)
    expected = build_backend({"name": "cosine", "norm": {"name": "as", "top": 5}}).set_cohort(cohort)
    np.testing.assert_allclose(written(), expected.score_trials(rows, *pairs), rtol=1e-5, atol=1e-5)
    assert backend.cohort is None  # the caller's own stays as it was


def test_enrolments_from_another_file(rows, pairs) -> None:
    np.savez("enrol.npz", names=NAMES, embeddings=-rows)
    score(write_list("l.txt", pairs), embeddings="e.ark", enrol_embeddings="enrol.npz", output="s.txt")
    np.testing.assert_allclose(written(), -cosine_similarity(rows.astype(float))[tuple(pairs)], atol=1e-6)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("multi", ["book", "average", "scores"])
def test_several_enrolments(rows, multi: str, apart: bool) -> None:
    members = {"anna": [0, 1, 2], "ben": [6, 7], "eve": [12]}
    Path("spk2utt").write_text("".join(f"{name} {' '.join(NAMES[row] for row in group)}\n" for name, group in members.items()))
    tests = [3, 8, 13, 14, 20]
    trials = [Trial(name, NAMES[row], SPEAKERS[group[0]] == SPEAKERS[row]) for name, group in members.items() for row in tests]
    backend = build_backend("gplda").fit(rows, SPEAKERS)
    more = {"enrol_embeddings": "e.scp"} if apart else {}
    score(trials, embeddings="e.ark", output="s.txt", models="spk2utt", multi=multi, backend=backend, **more)
    model, test = np.divmod(np.arange(15), 5)
    expected = backend.score_models(rows, list(members.values()), tests, model, test, multi=multi)
    np.testing.assert_allclose(written(), expected, rtol=1e-6)
    score(
        trials,
        embeddings="e.ark",
        output="m.txt",
        models={k: [NAMES[r] for r in v] for k, v in members.items()},
        multi=multi,
        backend=backend,
    )
    np.testing.assert_array_equal(written("m.txt"), written())


@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=20))
def test_scores_are_written_with_eight_digits(tmp_path_factory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("scores") / "s.txt"
    kept = _write(path, table_of([Trial("a", "b")] * len(values)), np.array(values))
    texts = [line.split()[2] for line in path.read_text().splitlines()]
    assert [float(text) for text in texts] == kept.tolist()
    np.testing.assert_allclose(kept, values, rtol=5.1e-8, atol=1e-17)
    assert all(len(re.sub(r"e.*|\D", "", text).strip("0")) <= 8 for text in texts)


def test_what_a_reader_must_know(rows) -> None:
    backend = build_backend("gplda").fit(rows, SPEAKERS)
    save_backend("b.safetensors", backend, {"model": {"sha256": "cd" * 32}})
    done = score([Trial(NAMES[0], NAMES[1], True)], embeddings="e.safetensors", output="s.txt", backend="b.safetensors")
    assert (done.eer, done.num_targets, done.num_nontargets) == (None, 1, 0)
    assert any("another model" in text for text in done.warnings)
    assert any("same label" in text for text in done.warnings)
    assert all(text in done.describe() for text in done.warnings)


@pytest.mark.parametrize(
    ("change", "kind", "code", "words"),
    [
        ({"trials": "none.txt"}, DataError, "E_NOT_FILE", ["none.txt"]),
        ({"trials": []}, DataError, "E_TRIALS", ["no trial"]),
        ({"trials": [Trial("x.wav", NAMES[0])]}, DataError, "E_NAMES", ["1 of 2", "'x.wav'"]),
        ({"embeddings": "none.ark"}, DataError, "E_NOT_FILE", ["none.ark"]),
        ({"backend": "gplda"}, ModelError, "E_NOT_FITTED", ["voxid train backend"]),
        ({"backend": "none.safetensors"}, ModelError, "E_NOT_FOUND", ["none.safetensors"]),
        ({"backend": "wide.safetensors"}, DataError, "E_SHAPE", ["9", "8"]),
        ({"norm": "as"}, DataError, "E_COHORT", ["--cohort"]),
        ({"norm": "q"}, ConfigError, "E_CONFIG", ["q"]),
        ({"top": 5}, ConfigError, "E_CONFIG", ["--norm as"]),
        ({"cohort": "wide.npz", "norm": "as"}, DataError, "E_SHAPE", ["cohort"]),
        ({"cohort": "e.ark"}, ConfigError, "E_CONFIG", ["--norm as"]),
        ({"multi": "average"}, ConfigError, "E_CONFIG", ["--models"]),
        ({"enrol_embeddings": "wide.npz"}, DataError, "E_SHAPE", ["enrolment"]),
        ({"models": "none"}, DataError, "E_NOT_FILE", ["none"]),
        ({"models": {"x": [NAMES[0]]}}, DataError, "E_NAMES", [NAMES[0]]),
        ({"models": {NAMES[0]: ["y.wav"]}}, DataError, "E_NAMES", ["y.wav"]),
        ({"multi": "mean"}, ConfigError, "E_CONFIG", ["average"]),
        ({"output": "nowhere/s.txt"}, DataError, "E_WRITE", ["nowhere"]),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(rows, change: dict, kind: type, code: str, words: list[str]) -> None:
    wide = np.random.default_rng(3).normal(size=(60, 9))
    np.savez("wide.npz", names=NAMES, embeddings=wide)
    save_backend("wide.safetensors", build_backend("gplda").fit(wide, SPEAKERS))
    before = sorted(Path().iterdir())
    arguments = {"trials": [Trial(NAMES[0], NAMES[1])], "embeddings": "e.ark", "output": "s.txt"} | change
    with pytest.raises(kind) as caught:
        score(arguments.pop("trials"), **arguments)
    assert caught.value.code == code, str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(Path().iterdir()) == before
