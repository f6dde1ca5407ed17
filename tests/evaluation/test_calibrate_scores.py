"""Score files -> likelihood ratios: one system, several together, and their use on other files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from voxid.data.trials import read_trials
from voxid.errors import ConfigError, DataError, ModelError
from voxid.evaluation.calibrate_scores import apply_calibration, calibrate_scores
from voxid.metrics.detection import eer

NUMBER = 4000


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Scores of two systems that hear the same trials with noise of their own: a.txt and b.txt, of other sizes and offsets; and
    a list of other trials, a_test.txt and b_test.txt."""
    random = np.random.default_rng(0)
    for suffix in ("", "_test"):
        labels = random.random(NUMBER) < 0.1
        truth = np.where(labels, 1.0, -1.0) + random.normal(0, 0.5, NUMBER)
        for name, scale, offset in (("a", 3.0, -7.0), ("b", 0.01, 0.5)):
            write(tmp_path / f"{name}{suffix}.txt", scale * (truth + random.normal(size=NUMBER)) + offset, labels)
    return tmp_path


def write(path: Path, scores: np.ndarray, labels: np.ndarray | None, order: np.ndarray | None = None) -> None:
    words = ["" if labels is None else " target" if label else " nontarget" for label in (scores if labels is None else labels)]
    lines = [f"e{number} t{number} {float(score)!r}{words[number]}\n" for number, score in enumerate(scores)]
    path.write_text("".join(lines if order is None else [lines[place] for place in order]))


def columns(*paths: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scores [N, S] and labels [N]."""
    trials = [read_trials(path) for path in paths]
    return np.array([[t.score for t in some] for some in trials]).T, np.array([t.label for t in trials[0]])


def regression(table: np.ndarray, labels: np.ndarray, p: float) -> tuple[np.ndarray, float]:
    """Weights and offset by scikit-learn, each class as heavy as the prior says."""
    spread = table.std(axis=0)
    weight = np.where(labels, p / labels.sum(), (1 - p) / (~labels).sum()) * len(labels)
    fit = LogisticRegression(C=1e9, solver="newton-cholesky", tol=1e-12).fit(table / spread, labels, sample_weight=weight)
    return fit.coef_[0] / spread, float(fit.intercept_[0] - math.log(p / (1 - p)))


@pytest.mark.parametrize("names", [["a"], ["a", "b"]])
def test_weights_are_those_of_a_logistic_regression(files: Path, names: list[str]) -> None:
    paths = [files / f"{name}.txt" for name in names]
    found = calibrate_scores(paths, output=files / "c.json", p_target=0.05)
    weights, offset = regression(*columns(*paths), 0.05)
    assert found.calibration["weights"] == pytest.approx(weights, rel=1e-4)
    assert found.calibration["offset"] == pytest.approx(offset, rel=1e-4)
    assert found.calibration["systems"] == names
    assert found.num_trials == NUMBER
    assert json.loads((files / "c.json").read_text())["calibration"] == found.calibration


def test_two_noisy_systems_together_beat_each(files: Path) -> None:
    found = calibrate_scores([files / "a.txt", files / "b.txt"], output=files / "c.json")
    assert [figures.name for figures in found.systems] == ["a", "b"]
    assert found.figures.name == "fusion"
    for figures in found.systems:
        assert found.figures.cllr < 0.9 * figures.cllr
        assert found.figures.min_dcf_005 < figures.min_dcf_005
    told = apply_calibration(files / "c.json", [files / "a_test.txt", files / "b_test.txt"], output=files / "f.txt")
    (a, b), labels = columns(files / "a_test.txt", files / "b_test.txt")[0].T, columns(files / "a_test.txt")[1]
    fused = [trial.score for trial in read_trials(files / "f.txt")]
    assert eer(fused, labels) < 0.8 * min(eer(a, labels), eer(b, labels))
    assert told.figures.eer == eer(fused, labels)
    assert told.figures.cllr - told.figures.min_cllr < 0.03  # of trials that no fit has seen


def test_ratios_are_the_formula(files: Path) -> None:
    paths = [files / "a.txt", files / "b.txt"]
    calibration = calibrate_scores(paths, output=files / "c.json").calibration
    apply_calibration(files / "c.json", [files / "a_test.txt", files / "b_test.txt"], output=files / "f.txt")
    table, labels = columns(files / "a_test.txt", files / "b_test.txt")
    llr = table @ np.array(calibration["weights"]) + calibration["offset"]
    low, high = calibration["bounds"]
    inside = (llr > low) & (llr < high)
    assert inside.mean() > 0.9
    written, kept = columns(files / "f.txt")
    assert written[inside, 0] == pytest.approx(llr[inside], rel=1e-12)
    assert (written[:, 0] > low - 1).all()
    assert (written[:, 0] < high + 1).all()
    np.testing.assert_array_equal(kept, labels)
    assert [t[:2] for t in read_trials(files / "f.txt")] == [t[:2] for t in read_trials(files / "a_test.txt")]


def test_lines_may_stand_in_another_order(files: Path) -> None:
    before = calibrate_scores([files / "a.txt", files / "b.txt"], output=files / "c.json")
    (scores, labels) = columns(files / "b.txt")
    write(files / "b.txt", scores[:, 0], labels, np.random.default_rng(1).permutation(NUMBER))
    after = calibrate_scores([files / "a.txt", files / "b.txt"], output=files / "c.json")
    assert (after.calibration, after.figures) == (before.calibration, before.figures)


def test_a_blind_file_gets_ratios_and_no_figures(files: Path) -> None:
    calibrate_scores([files / "a.txt"], output=files / "c.json")
    scores, _ = columns(files / "a_test.txt")
    write(files / "blind.txt", scores[:, 0], None)
    blind = apply_calibration(files / "c.json", [files / "blind.txt"], output=files / "f.txt")
    known = apply_calibration(files / "c.json", [files / "a_test.txt"], output=files / "g.txt")
    assert blind.figures is None
    assert blind.describe() == f"written to     {files / 'f.txt'}: {NUMBER} trials"
    assert known.figures.name == "ratios"
    np.testing.assert_array_equal(columns(files / "f.txt")[0], columns(files / "g.txt")[0])
    assert read_trials(files / "f.txt")[0].label is None


def test_a_curve_of_one_system(files: Path) -> None:
    found = calibrate_scores([files / "a.txt"], output=files / "c.json", method="pav")
    apply_calibration(files / "c.json", [files / "a_test.txt"], output=files / "f.txt")
    table, _ = columns(files / "a_test.txt")
    expected = np.interp(table[:, 0], found.calibration["scores"], found.calibration["llrs"])
    assert columns(files / "f.txt")[0][:, 0] == pytest.approx(expected)
    assert found.figures.cllr == pytest.approx(found.figures.min_cllr, abs=0.01)


def test_thresholds_are_on_the_ratios(files: Path) -> None:
    calibrate_scores([files / "a.txt"], output=files / "c.json")
    points = json.loads((files / "c.json").read_text())["thresholds"]["points"]
    apply_calibration(files / "c.json", [files / "a.txt"], output=files / "f.txt")
    llr, labels = columns(files / "f.txt")
    for point in points:
        assert np.mean(llr[~labels, 0] >= point["threshold"]) == pytest.approx(point["far"], abs=1 / (~labels).sum())
        assert np.mean(llr[labels, 0] < point["threshold"]) == pytest.approx(point["frr"])
    assert [point["far"] for point in points][:3] == [0.001, 0.002, 0.003]


def test_files_of_one_name_go_by_their_paths(files: Path) -> None:
    (files / "other").mkdir()
    (files / "b.txt").rename(files / "other" / "a.txt")
    found = calibrate_scores([files / "a.txt", files / "other" / "a.txt"], output=files / "c.json")
    assert found.calibration["systems"] == [str(files / "a.txt"), str(files / "other" / "a.txt")]


def test_a_trial_that_comes_twice_counts_twice(files: Path) -> None:
    for name in ("a", "b"):
        text = (files / f"{name}.txt").read_text()
        (files / f"{name}.txt").write_text(text + text.splitlines(keepends=True)[0])
    assert calibrate_scores([files / "a.txt", files / "b.txt"], output=files / "c.json").num_trials == NUMBER + 1


def flipped(line: str) -> str:
    """The line of a score file with the other label."""
    *fields, label = line.split()
    return " ".join([*fields, "target" if label == "nontarget" else "nontarget"]) + "\n"


def lines(path: Path, change: Any) -> None:
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda rows: rows[:-1], r"its 3999 trials are not the 4000 of .*a\.txt: e3999 t3999 is not in it"),
        (lambda rows: [*rows, "x y 1.0 target\n"], "its 4001 trials are not the 4000"),
        (lambda rows: [rows[1], *rows[1:]], "e0 t0 is not in it"),
        (lambda rows: [flipped(rows[0]), *rows[1:]], "e0 t0 has another label than in"),
        (lambda rows: [" ".join([*row.split()[:2], row.split()[3]]) + "\n" for row in rows], "no scores in it"),
    ],
    ids=["fewer", "more", "other", "label", "no scores"],
)
def test_files_of_other_trials_are_refused(files: Path, change: Any, word: str) -> None:
    lines(files / "b.txt", change)
    with pytest.raises(DataError, match=word) as caught:
        calibrate_scores([files / "a.txt", files / "b.txt"], output=files / "c.json")
    assert caught.value.code == "E_TRIALS"
    assert not (files / "c.json").exists()


def test_what_cannot_be_fitted(files: Path) -> None:
    scores, labels = columns(files / "a.txt")
    write(files / "blind.txt", scores[:, 0], None)
    write(files / "same.txt", scores[labels, 0], labels[labels])
    cases: list[tuple[dict[str, Any], type, str]] = [
        ({"scores": []}, ConfigError, "E_CONFIG"),
        ({"scores": ["a.txt"], "output": files / "c.txt"}, ConfigError, "E_FORMAT"),
        ({"scores": ["a.txt"], "output": files / "none" / "c.json"}, DataError, "E_WRITE"),
        ({"scores": ["a.txt"], "method": "line"}, ConfigError, "E_CONFIG"),
        ({"scores": ["a.txt", "b.txt"], "method": "pav"}, ConfigError, "E_CONFIG"),
        ({"scores": ["a.txt"], "p_target": 0.0}, ConfigError, "E_CONFIG"),
        ({"scores": ["blind.txt"]}, DataError, "E_TRIALS"),
        ({"scores": ["same.txt"]}, DataError, "E_ONE_CLASS"),
        ({"scores": ["none.txt"]}, DataError, "E_NOT_FILE"),
    ]
    for options, kind, code in cases:
        paths = [files / name for name in options.pop("scores")]
        with pytest.raises(kind) as caught:
            calibrate_scores(paths, **({"output": files / "c.json"} | options))
        assert caught.value.code == code
        assert not (files / "c.json").exists()


def test_what_cannot_be_applied(files: Path) -> None:
    both = [files / "a.txt", files / "b.txt"]
    calibrate_scores(both, output=files / "c.json")
    leaning = {"kind": "logistic", "weights": [1, 1], "offset": 0, "systems": ["s"], "quality": ["snr_min"], "limits": [[0, 1]]}
    (files / "q.json").write_text(json.dumps({"calibration": leaning | {"p_target": 0.01}}))
    out = {"output": files / "f.txt"}
    for name, paths, word in (
        ("c.json", both[:1], r"takes 2 score files \(a, b\), got 1"),
        ("c.json", both[::-1], "in the order a, b; got b, a"),
        ("q.json", both[:1], "snr_min"),
    ):
        with pytest.raises(ConfigError, match=word):
            apply_calibration(files / name, paths, **out)
    with pytest.raises(ModelError) as caught:
        apply_calibration(files / "none.json", both, **out)
    assert caught.value.code == "E_NOT_FOUND"
    with pytest.raises(ModelError) as caught:
        apply_calibration(files / "a.txt", both, **out)
    assert caught.value.code == "E_FORMAT"
    before = {name: (files / name).read_bytes() for name in ("c.json", "a.txt")}
    for taken in before:
        with pytest.raises(ConfigError, match="overwrite"):
            apply_calibration(files / "c.json", both, output=files / taken)
    assert before == {name: (files / name).read_bytes() for name in before}
    with pytest.raises(DataError) as caught:
        apply_calibration(files / "c.json", both, output=files / "none" / "f.txt")
    assert caught.value.code == "E_WRITE"
    assert not (files / "f.txt").exists()


def test_text_has_a_line_for_each_system(files: Path) -> None:
    rows = calibrate_scores([files / "a.txt", files / "b.txt"], output=files / "c.json").describe().splitlines()
    assert rows[0] == f"written to     {files / 'c.json'}: {NUMBER} trials"
    assert [row.split()[0] for row in rows[1:]] == ["a", "b", "fusion"]
