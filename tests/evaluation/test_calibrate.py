"""calibrate: development lists -> likelihood ratios and thresholds that travel with the model."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from voxid.data.embeddings import Embeddings
from voxid.data.trials import Trial, read_trials
from voxid.errors import ConfigError, DataError, ModelError
from voxid.evaluation.calibrate import Calibrated, calibrate
from voxid.evaluation.evaluate import evaluate
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import model_info
from voxid.pipelines.verify import verify
from voxid.scoring.backend import build_backend
from voxid.zoo.backend import backend_card, save_backend
from voxid.zoo.load import load

P = 0.3
Rows = dict[str, np.ndarray]


def run(net: Any, corpus: Path, output: Path, **options: Any) -> Calibrated:
    asked = {"trials": [corpus / "first.trials", corpus / "second.trials"], "root": corpus, "progress": False}
    return calibrate(net, output=output, **(asked | options))


def cosines(rows: Rows, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of a list, pair by pair."""
    trials = read_trials(path)
    unit = {name: row / np.linalg.norm(row) for name, row in rows.items()}
    return np.array([unit[t.enrol] @ unit[t.test] for t in trials]), np.array([t.label for t in trials])


def regression(columns: np.ndarray, labels: np.ndarray, p: float) -> tuple[np.ndarray, float]:
    """Weights and offset of log-likelihood ratios by scikit-learn: each class weighs as much as the prior says."""
    columns = columns.reshape(len(labels), -1)
    spread, center = columns.std(axis=0), columns.mean(axis=0)
    weight = np.where(labels, p / labels.sum(), (1 - p) / (~labels).sum())
    solver = LogisticRegression(C=1e9, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    fit = solver.fit((columns - center) / spread, labels, sample_weight=weight)
    coefficients = fit.coef_[0] / spread
    return coefficients, float(fit.intercept_[0] - coefficients @ center - math.log(p / (1 - p)))


def bounded(llr: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """As many trials support no larger ratios: what is beyond goes on more and more slowly, and less than 1 further."""
    low, high = -math.log(labels.sum() + 1), math.log((~labels).sum() + 1)
    slow = np.where(llr > high, high + 1 - 1 / (1 + llr.clip(high) - high), llr)
    return np.where(llr < low, low - 1 + 1 / (1 + low - llr.clip(max=low)), slow)


def cost(llr: np.ndarray, labels: np.ndarray) -> float:
    """Cllr in bits."""
    return float(np.mean(np.log2(1 + np.exp(-llr[labels]))) + np.mean(np.log2(1 + np.exp(llr[~labels])))) / 2


def test_ratios_are_those_of_a_logistic_regression(
    net: SpeakerEncoder, corpus: Path, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(net, corpus, tmp_path / "c.json", p_target=P)
    assert capsys.readouterr().out == ""
    parts = [cosines(rows, corpus / f"{name}.trials") for name in ("first", "second")]
    scores, labels = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    weights, offset = regression(scores, labels, P)
    assert found.calibration["weights"] == pytest.approx(weights, rel=1e-3)
    assert found.calibration["offset"] == pytest.approx(offset, rel=1e-3)
    assert found.calibration["source"] == "first, second"
    for figures, (values, marks) in zip(found.lists, parts, strict=True):
        llr = bounded(weights[0] * values + offset, labels)
        assert figures.cllr == pytest.approx(cost(llr, marks), abs=1e-4)
        assert (figures.num_targets, figures.num_nontargets) == (marks.sum(), (~marks).sum())
    assert [figures.name for figures in found.lists] == ["first", "second"]


def test_held_out_figures_are_those_of_the_other_lists(net: SpeakerEncoder, corpus: Path, rows: Rows, tmp_path: Path) -> None:
    found = run(net, corpus, tmp_path / "c.json", p_target=P)
    first, second = (cosines(rows, corpus / f"{name}.trials") for name in ("first", "second"))
    for figures, fitted, judged in zip(found.held_out, (second, first), (first, second), strict=True):
        weights, offset = regression(*fitted, P)
        assert figures.cllr == pytest.approx(cost(bounded(weights[0] * judged[0] + offset, fitted[1]), judged[1]), abs=1e-3)
    assert [figures.name for figures in found.held_out] == ["first", "second"]
    alone = run(net, corpus, tmp_path / "c.json", trials=corpus / "first.trials")
    assert (len(alone.lists), alone.held_out) == (1, ())


def agrees(said: Calibrated, corpus: Path, model: Any, **options: Any) -> None:
    """What `evaluate` measures on the same lists is what `calibrate` said."""
    for figures in said.lists:
        lists = {"trials": corpus / f"{figures.name}.trials", "root": corpus, "bootstrap": 0, "progress": False}
        result = evaluate(model, **lists, **options)
        told = {name: value for name, value in asdict(result).items() if name in asdict(figures)}
        assert len(told) == 9
        assert told == {name: value for name, value in asdict(figures).items() if name in told}
        assert all("another model" not in warning for warning in result.warnings)
        assert any(f"fitted on a list of this name ({figures.name})" in warning for warning in result.warnings)


def test_the_written_model_answers_as_was_said(net: SpeakerEncoder, corpus: Path, tmp_path: Path) -> None:
    said = run(net, corpus, tmp_path / "m.safetensors")
    agrees(said, corpus, tmp_path / "m.safetensors")
    labels = np.array([t.label for name in ("first", "second") for t in read_trials(corpus / f"{name}.trials")])
    point = next(point for point in said.points if point["far"] == 0.1)
    for trial in read_trials(corpus / "first.trials")[:3]:
        answer = verify(corpus / trial.enrol, corpus / trial.test, model=tmp_path / "m.safetensors", far=0.1)
        line = said.calibration["weights"][0] * answer.score + said.calibration["offset"]
        assert answer.llr == pytest.approx(bounded(np.array([line]), labels)[0], abs=1e-9)
        assert (answer.threshold, answer.frr, answer.unit) == (point["threshold"], point["frr"], "log-likelihood ratio")
        assert answer.decision == (answer.llr >= point["threshold"])
        assert "first, second" in answer.source


def test_a_calibrated_model_embeds_as_the_file_that_its_weights_come_from(
    net: SpeakerEncoder, corpus: Path, tmp_path: Path
) -> None:
    checkpoint.save(net, tmp_path / "m.safetensors", card={"name": "tiny"})
    run(tmp_path / "m.safetensors", corpus, tmp_path / "once.safetensors")
    run(tmp_path / "once.safetensors", corpus, tmp_path / "twice.safetensors")
    known = [load(tmp_path / f"{name}.safetensors") for name in ("m", "once", "twice")]
    assert {model_info(model)["sha256"] for model in known} == {checkpoint.fingerprint(tmp_path / "m.safetensors")}
    assert known[1].card["sha256"] != known[0].card["sha256"]
    told = backend_card(tmp_path / "twice.safetensors")["model"]
    assert told == {"name": "tiny", "sha256": known[0].card["sha256"]}


def test_figures_of_another_calibration_do_not_travel(net: SpeakerEncoder, corpus: Path, tmp_path: Path) -> None:
    card = {"name": "mine", "test": {"a": {"eer": 0.1}}}
    checkpoint.save(net, tmp_path / "m.safetensors", card=card)
    run(tmp_path / "m.safetensors", corpus, tmp_path / "c.safetensors")
    kept = load(tmp_path / "c.safetensors").card
    assert kept["name"] == "mine"
    assert "test" not in kept
    assert kept["calibration"]["source"] == "first, second"


def test_thresholds_keep_the_rate_that_they_are_for(net: SpeakerEncoder, corpus: Path, rows: Rows, tmp_path: Path) -> None:
    said = run(net, corpus, tmp_path / "c.json")
    parts = [cosines(rows, corpus / f"{name}.trials") for name in ("first", "second")]
    scores, labels = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    llr = bounded(said.calibration["weights"][0] * scores + said.calibration["offset"], labels)
    assert [point["far"] for point in said.points] == [0.05, 0.1, 0.2]  # 64 non-targets: fewer than three would set others
    for point in said.points:
        # The threshold lies beside a score, and the cosine is float32: one trial may fall on the other side.
        assert np.mean(llr[~labels] >= point["threshold"]) <= point["far"] + 1.5 / (~labels).sum()
        assert np.mean(llr[labels] < point["threshold"]) == pytest.approx(point["frr"], abs=1.5 / labels.sum())


@pytest.mark.parametrize("half", [True, False])
def test_weights_stay_float16_where_nothing_is_lost(net: SpeakerEncoder, corpus: Path, tmp_path: Path, half: bool) -> None:
    checkpoint.save(net, tmp_path / "m.safetensors", dtype=torch.float16 if half else torch.float32, card={"name": "tiny"})
    said = run(tmp_path / "m.safetensors", corpus, tmp_path / "c.safetensors")
    with safe_open(tmp_path / "c.safetensors", framework="pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys() if not name.startswith("backend.")}  # noqa: SIM118
    assert kinds - {"I64"} == {"F16" if half else "F32"}
    before, after = (checkpoint.load(tmp_path / name) for name in ("m.safetensors", "c.safetensors"))
    assert all(torch.equal(tensor, after.state_dict()[name]) for name, tensor in before.state_dict().items())
    assert after.card["name"] == "tiny"
    assert after.card["sha256"] not in (before.card["sha256"], None)
    agrees(said, corpus, tmp_path / "c.safetensors")


def test_a_calibration_alone_goes_with_the_model(net: SpeakerEncoder, corpus: Path, gplda: Path, tmp_path: Path) -> None:
    said = run(net, corpus, tmp_path / "c.json")
    written = json.loads((tmp_path / "c.json").read_text())
    assert set(written) == {"calibration", "thresholds", "scored_by"}
    assert written["scored_by"] == {"backend": "cosine", "model": {"name": None, "sha256": None}}
    assert written["thresholds"]["points"] == list(said.points)
    agrees(said, corpus, net, calibration=tmp_path / "c.json")
    with pytest.raises(ConfigError, match="these are of center, length_norm, plda"):
        agrees(said, corpus, net, calibration=tmp_path / "c.json", backend=gplda)


def test_back_end_norm_and_cohort_travel_with_the_model(
    net: SpeakerEncoder, corpus: Path, gplda: Path, cohort: Path, tmp_path: Path
) -> None:
    parts = {"backend": gplda, "norm": "as", "top": 10, "cohort": cohort}
    said = run(net, corpus, tmp_path / "m.safetensors", **parts)
    assert said.scored_by == "center, length_norm, plda, as-norm"
    agrees(said, corpus, tmp_path / "m.safetensors")
    agrees(said, corpus, net, calibration=tmp_path / "m.safetensors", **parts)
    again = run(tmp_path / "m.safetensors", corpus, tmp_path / "again.safetensors")  # its own back-end, by itself
    assert again.calibration == said.calibration
    assert again.scored_by == said.scored_by


def test_quality_measures_are_leaned_on(net: SpeakerEncoder, corpus: Path, rows: Rows, tmp_path: Path) -> None:
    said = run(net, corpus, tmp_path / "m.safetensors", quality=["log_duration_min"], p_target=P)
    assert said.calibration["quality"] == ["log_duration_min"]
    trials = [trial for name in ("first", "second") for trial in read_trials(corpus / f"{name}.trials")]
    unit = {name: row / np.linalg.norm(row) for name, row in rows.items()}
    score, labels = np.array([unit[t.enrol] @ unit[t.test] for t in trials]), np.array([t.label for t in trials])
    seconds = {name: 0.5 + 0.2 * int(Path(name).stem) for name in rows}
    shorter = np.log([min(seconds[t.enrol], seconds[t.test]) for t in trials])
    weights, offset = regression(np.column_stack([score, shorter, score * shorter]), labels, P)
    llr = bounded(np.column_stack([score, shorter, score * shorter]) @ weights + offset, labels)
    first = len(read_trials(corpus / "first.trials"))
    for figures, part in zip(said.lists, (slice(first), slice(first, None)), strict=True):
        assert figures.cllr == pytest.approx(cost(llr[part], labels[part]), abs=2e-3)
    agrees(said, corpus, tmp_path / "m.safetensors")


def test_a_curve_ranks_as_the_scores_do(net: SpeakerEncoder, corpus: Path, rows: Rows, tmp_path: Path) -> None:
    said = run(net, corpus, tmp_path / "m.safetensors", method="pav")
    scores, llrs = (np.array(said.calibration[name]) for name in ("scores", "llrs"))
    assert said.calibration["kind"] == "pav"
    assert (np.diff(llrs) >= 0).all()
    agrees(said, corpus, tmp_path / "m.safetensors")
    values, labels = cosines(rows, corpus / "first.trials")
    assert said.lists[0].cllr == pytest.approx(cost(np.interp(values, scores, llrs), labels), abs=2e-3)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[SpeakerEncoder, Path, Path]:
    """A net, a back-end and lists over recordings whose embeddings are drawn from the model that the back-end assumes."""
    random = np.random.default_rng(3)
    dim, between = 6, 1.5

    def draw(speakers: int, takes: int) -> np.ndarray:
        return random.normal(0, between, (speakers, dim)).repeat(takes, axis=0) + random.normal(size=(speakers * takes, dim))

    save_backend(tmp_path / "plda.safetensors", build_backend({"scorer": "plda"}).fit(draw(800, 10), np.arange(800).repeat(10)))
    table: dict[str, np.ndarray] = {}
    for name, speakers in (("dev", 80), ("test", 80)):
        names = [f"{name}/{number}.wav" for number in range(speakers * 6)]
        table |= dict(zip(names, draw(speakers, 6), strict=True))
        first, second = np.triu_indices(len(names), 1)
        trials = [Trial(names[a], names[b], bool(a // 6 == b // 6)) for a, b in zip(first, second, strict=True)]
        (tmp_path / f"{name}.trials").write_text("".join(f"{int(t.label or 0)} {t.enrol} {t.test}\n" for t in trials))
        (tmp_path / name).mkdir()
        for recording in names:
            (tmp_path / recording).touch()

    def planted_rows(paths: Any, **_: Any) -> Embeddings:
        names = list(paths)
        return Embeddings(tuple(names), np.stack([table[str(Path(path).relative_to(tmp_path))] for path in names]))

    monkeypatch.setattr("voxid.evaluation.evaluate.embed_files", planted_rows)
    net = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16, "output_dim": 32}, embedding_dim=dim).eval()
    return net, tmp_path / "plda.safetensors", tmp_path


def test_scores_that_are_ratios_already_are_left_alone(planted: tuple[SpeakerEncoder, Path, Path]) -> None:
    net, backend, folder = planted
    lists = {"trials": folder / "dev.trials", "root": folder, "progress": False}
    said = calibrate(net, output=folder / "m.safetensors", backend=backend, **lists)
    assert said.calibration["weights"] == pytest.approx([1.0], abs=0.1)
    assert said.calibration["offset"] == pytest.approx(0.0, abs=0.25)
    result = evaluate(folder / "m.safetensors", **(lists | {"trials": folder / "test.trials"}), bootstrap=0)
    assert result.cllr - result.min_cllr < 0.02
    assert result.act_dcf_001 < 1.1 * result.min_dcf_001
    assert result.act_dcf_005 < 1.1 * result.min_dcf_005
    assert result.far == pytest.approx(0.01, abs=0.003)  # of people whom no part has seen


def test_ratios_mean_what_they_say(planted: tuple[SpeakerEncoder, Path, Path]) -> None:
    net, backend, folder = planted
    lists = {"root": folder, "progress": False}
    calibrate(net, trials=folder / "dev.trials", output=folder / "m.safetensors", backend=backend, **lists)
    evaluate(folder / "m.safetensors", trials=folder / "test.trials", scores=folder / "s.txt", bootstrap=0, **lists)
    trials = read_trials(folder / "s.txt")
    llr, labels = np.array([t.score for t in trials]), np.array([t.label for t in trials])
    odds = labels.sum() / (~labels).sum()
    said = expit(llr + math.log(odds))  # at the prior of the list
    for low, high in ((0.02, 0.1), (0.1, 0.4), (0.4, 0.9)):
        some = (said >= low) & (said < high)
        assert some.sum() > 60
        assert labels[some].mean() == pytest.approx(said[some].mean(), abs=0.12)


def test_text_tells_lists_points_and_warnings(net: SpeakerEncoder, corpus: Path, tmp_path: Path) -> None:
    said = run(net, corpus, tmp_path / "c.json")
    lines = said.describe().splitlines()
    assert lines[0] == f"written to     {tmp_path / 'c.json'}"
    assert [line.split()[0] for line in lines[2:6]] == ["first", "second", "first", "second"]
    assert [line.endswith("(held out)") for line in lines[2:6]] == [False, False, True, True]
    assert [line.split()[1] for line in lines if line.startswith("FAR")] == ["5.00%", "10.00%", "20.00%"]
    assert said.warnings == ()


def test_too_few_trials_for_thresholds_are_said(net: SpeakerEncoder, corpus: Path, trials: list[Trial], tmp_path: Path) -> None:
    few = [t for t in trials if t.label][:3] + [t for t in trials if not t.label][:5]
    (tmp_path / "few.trials").write_text("".join(f"{int(t.label or 0)} {t.enrol} {t.test}\n" for t in few))
    said = run(net, corpus, tmp_path / "m.safetensors", trials=tmp_path / "few.trials")
    assert said.points == ()
    assert said.warnings == ("no thresholds: there are too few trials of different speakers to set one",)
    assert said.describe().splitlines()[-1].endswith(said.warnings[0])
    with pytest.raises(ConfigError) as caught:
        verify(corpus / few[0].enrol, corpus / few[0].test, model=tmp_path / "m.safetensors")
    assert caught.value.code == "E_NO_THRESHOLD"
    assert verify(corpus / few[0].enrol, corpus / few[0].test, model=tmp_path / "m.safetensors", threshold=0.0).llr is not None


def test_broken_recordings_stop_or_are_skipped_and_counted(net: SpeakerEncoder, corpus: Path, tmp_path: Path) -> None:
    more = (corpus / "first.trials").read_text() + "0 broken.wav wav/anna/day0/0.wav\n"
    (tmp_path / "more.trials").write_text(more)
    with pytest.raises(DataError, match=r"broken\.wav"):
        run(net, corpus, tmp_path / "c.json", trials=tmp_path / "more.trials")
    said = run(net, corpus, tmp_path / "c.json", trials=tmp_path / "more.trials", on_error="skip")
    assert said.skipped_files == 1
    assert "1 recordings could not be used" in said.describe()
    assert said.lists[0].cllr == run(net, corpus, tmp_path / "c.json", trials=corpus / "first.trials").lists[0].cllr


@pytest.mark.parametrize(
    ("options", "kind", "code"),
    [
        ({"output": "m.pt"}, ConfigError, "E_FORMAT"),
        ({"output": "none/m.json"}, DataError, "E_WRITE"),
        ({"output": "x" * 300 + ".json"}, DataError, "E_WRITE"),
        ({"method": "line"}, ConfigError, "E_CONFIG"),
        ({"method": "pav", "quality": ["snr_min"]}, ConfigError, "E_CONFIG"),
        ({"quality": ["snr"]}, ConfigError, "E_CONFIG"),
        ({"quality": ["cohort_mean_min"]}, DataError, "E_COHORT"),
        ({"norm": "as"}, DataError, "E_COHORT"),
        ({"p_target": 1.0}, ConfigError, "E_CONFIG"),
        ({"p_target": []}, ConfigError, "E_CONFIG"),
        ({"p_target": [0.01, float("nan")]}, ConfigError, "E_CONFIG"),
        ({"trials": []}, ConfigError, "E_CONFIG"),
        ({"root": ["a", "b", "c"]}, ConfigError, "E_CONFIG"),
        ({"root": "elsewhere"}, DataError, "E_NOT_FILE"),
        ({"trials": "blind.trials"}, DataError, "E_TRIALS"),
        ({"trials": "same.trials"}, DataError, "E_ONE_CLASS"),
        ({"trials": "none.trials"}, DataError, "E_NOT_FILE"),
        ({"backend": "none.safetensors"}, ModelError, "E_NOT_FOUND"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_mistakes_are_said_before_the_work(
    net: SpeakerEncoder,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    kind: type,
    code: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    trial = read_trials(corpus / "first.trials")[0]
    Path("blind.trials").write_text(f"{trial.enrol} {trial.test}\n")
    Path("same.trials").write_text(f"1 {trial.enrol} {trial.test}\n")
    before = sorted(Path().iterdir())
    monkeypatch.setattr("voxid.evaluation.evaluate.embed_files", lambda *a, **k: pytest.fail("it began to work"))
    with pytest.raises(kind) as caught:
        run(net, corpus, **{"output": Path("m.json"), **options})
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert sorted(Path().iterdir()) == before
