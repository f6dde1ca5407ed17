"""evaluate: a list through the model and the metrics, on recordings made here."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from voxid.data.embeddings import read_embeddings
from voxid.data.trials import Trial, read_trials
from voxid.errors import ConfigError, DataError, ModelError, VoxidError
from voxid.evaluation.evaluate import _warnings, evaluate, score_trials
from voxid.metrics.bootstrap import min_dcf_interval
from voxid.metrics.detection import act_dcf, eer, far_frr_at
from voxid.models import checkpoint
from voxid.pipelines.embed import embed
from voxid.pipelines.system import build_system
from voxid.scoring.calibration import Calibration
from voxid.zoo.backend import load_backend

RULE = "the true rate may well lie more than 30 % off (rule of 30)"


def run(net, corpus, **options):
    return evaluate(net, **{"trials": corpus / "list.trials", "root": corpus, "progress": False, **options})


def test_the_figures_are_those_of_the_scores_pair_by_pair(net, corpus, trials):
    result = run(net, corpus)
    rows = {name: embed(corpus / name, model=net).astype(float) for t in trials for name in t[:2]}
    scores = [rows[t.enrol] @ rows[t.test] / np.linalg.norm(rows[t.enrol]) / np.linalg.norm(rows[t.test]) for t in trials]
    labels = [t.label for t in trials]
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    nearest = np.argmin(np.abs(fpr - (1 - tpr)))
    assert result.eer == pytest.approx((fpr[nearest] + 1 - tpr[nearest]) / 2, abs=1 / 30)
    assert result.eer == pytest.approx(eer(scores, labels), abs=1e-6)
    assert result.min_dcf_001 == pytest.approx(np.min(0.01 * (1 - tpr) + 0.99 * fpr) / 0.01, abs=1e-6)
    assert result.min_dcf_0001 == pytest.approx(np.min(0.001 * (1 - tpr) + 0.999 * fpr) / 0.001, abs=1e-6)
    assert (result.num_trials, result.num_targets, result.num_nontargets) == (190, 30, 160)
    assert (result.num_files, result.num_speakers) == (20, 5)
    assert 0 <= result.eer_interval[0] <= result.eer <= result.eer_interval[1] <= 1
    pairs = [[name.split("/")[1] for name in trial[:2]] for trial in trials]
    assert result.min_dcf_001_interval == pytest.approx(min_dcf_interval(scores, labels, pairs, point=0.01), abs=1e-6)
    assert (result.skipped_files, result.skipped_trials) == (0, 0)
    assert (result.threshold, result.far, result.frr) == (None, None, None)
    assert (result.act_dcf_001, result.act_dcf_005, result.cllr, result.min_cllr) == (None, None, None, None)
    assert result.scored_by == "cosine"


def test_scores_and_result_are_written_and_read_back(net, corpus, tmp_path):
    result = run(net, corpus, scores=tmp_path / "s.txt", output=tmp_path / "r.json")
    scored = read_trials(tmp_path / "s.txt")
    assert [t[:3] for t in scored] == [t[:3] for t in read_trials(corpus / "list.trials")]
    assert eer([t.score for t in scored], [t.label for t in scored]) == result.eer
    assert (tmp_path / "s.txt").read_text().splitlines()[0].split()[3] == "target"
    written = json.loads((tmp_path / "r.json").read_text())
    assert written == json.loads(json.dumps(asdict(result)))
    assert written["eer"] == result.eer
    assert sorted(file.name for file in tmp_path.iterdir()) == ["r.json", "s.txt"]


def test_threshold_and_calibration_of_the_card_are_applied(net, corpus, trials, tmp_path):
    points = [{"far": 0.01, "threshold": 1.2, "frr": 0.2}, {"far": 0.1, "threshold": -2.0, "frr": 0.1}]
    net.card = {"name": "toy", "sha256": "ab" * 32, "thresholds": {"source": "dev trials", "points": points}}
    net.card["calibration"] = Calibration((40.0,), -38.0, source="dev trials").to_card()
    try:
        result = run(net, corpus, bootstrap=0, scores=tmp_path / "s.txt")
        _, scored, _ = score_trials(build_system(net), trials, corpus, progress=False)
        plain = run(net, corpus, bootstrap=0, norm="none")
    finally:
        net.card = {}
    labels = [t.label for t in trials]
    llr = 40 * scored.scores - 38
    assert scored.llr == pytest.approx(llr)
    assert [t.score for t in read_trials(tmp_path / "s.txt")] == pytest.approx(llr)
    assert (result.threshold, result.far, result.frr) == (1.2, *far_frr_at(llr, labels, 1.2))
    assert result.act_dcf_001 == pytest.approx(act_dcf(llr, labels))
    assert result.act_dcf_005 == pytest.approx(act_dcf(llr, labels, 0.05))
    assert result.act_dcf_001 >= result.min_dcf_001 - 1e-9
    positive = np.array(labels)
    cost = np.mean(np.log2(1 + np.exp(-llr[positive]))) / 2 + np.mean(np.log2(1 + np.exp(llr[~positive]))) / 2
    assert result.cllr == pytest.approx(cost)
    assert result.cllr >= result.min_cllr > 0
    # Calibration and thresholds belong to the scores that the card was made for: asked for others, none is used.
    assert (plain.cllr, plain.threshold, plain.scored_by) == (None, None, "cosine")
    assert result.model == {"name": "toy", "sha256": "ab" * 32, "embedding_dim": 16}
    text = result.describe()
    assert f"actual {result.act_dcf_001:.3f} at the Bayes threshold" in text
    assert "calibrated on dev trials" in text
    assert "at 1.2000, set for FAR 1% on dev trials" in text
    assert "toy (sha256 abababababab)" in text


@pytest.mark.parametrize("card", [{}, {"thresholds": {"source": "few", "points": [{"far": 0.1, "threshold": 0.9, "frr": 0.1}]}}])
def test_a_card_without_a_threshold_for_this_rate_gives_no_rates_at_it(net, corpus, card):
    net.card = card
    try:
        result = run(net, corpus, bootstrap=0)
    finally:
        del net.card
    assert (result.threshold, result.threshold_source, result.far, result.frr) == (None, None, None, None)
    assert "FAR" not in result.describe()


def test_the_seed_decides_the_interval_and_zero_draws_give_none(net, corpus):
    first, again, other, none = (run(net, corpus, **o) for o in ({}, {}, {"seed": 1}, {"bootstrap": 0}))
    assert first == again
    assert first.eer_interval != other.eer_interval
    assert none.eer_interval is None
    assert "interval" not in none.describe()


@pytest.mark.parametrize(("rate", "said"), [(0.1, False), (0.09, True)])
def test_the_rule_of_30_counts_the_errors_of_the_rarer_class(rate, said):
    labels = np.arange(5300) < 300
    warnings = list(_warnings(rate, labels, {"skipped_files": 0}, known_speakers=True))
    assert warnings == (["about 27 false rejects at the EER, fewer than 30: " + RULE] if said else [])
    warnings = list(_warnings(rate, ~labels, {"skipped_files": 0}, known_speakers=True))
    assert [text.split(",")[0] for text in warnings] == (["about 27 false accepts at the EER"] if said else [])


def test_the_rule_of_30_reaches_the_result(net, corpus):
    assert any("fewer than 30" in warning for warning in run(net, corpus).warnings)  # 30 targets


def test_text_shows_each_figure_once(net, corpus):
    result = replace(
        run(net, corpus),
        eer=0.0608,
        eer_interval=(0.05, 0.0725),
        min_dcf_001=0.4311,
        min_dcf_001_interval=(0.4, 0.5),
        min_dcf_0001=0.9,
        num_speakers=50,
    )
    lines = result.describe().splitlines()
    assert "trials         190: 30 target, 160 non-target" in lines
    assert "recordings     20 of 50 speakers" in lines
    assert "EER            6.08 %   95 % interval 5.00 % to 7.25 % (1000 draws of 50 speakers)" in lines
    assert "minDCF(0.01)   0.431 [0.400 to 0.500]" in lines
    assert "minDCF(0.001)  0.900" in lines


def test_missing_recordings_are_one_line_that_names_the_first_few(net, corpus, trials):
    lost = [Trial(f"gone/{n}.wav", trials[0].test, False) for n in range(7)]
    with pytest.raises(DataError) as caught:
        run(net, corpus, trials=[*trials, *lost])
    message = str(caught.value)
    assert message.startswith("7 of 27 recordings of the list are not under ")
    assert "gone/0.wav" in message
    assert "gone/5.wav" not in message
    assert "... and 2 more" in message
    assert caught.value.code == "E_NOT_FILE"


def test_broken_recordings_stop_or_are_skipped_and_counted(net, corpus, trials, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF not at all")
    more = [*trials, Trial(str(broken), trials[0].test, False), Trial("gone.wav", str(broken), True)]
    with pytest.raises(DataError, match=r"broken\.wav"):
        run(net, corpus, trials=more[:-1])
    result = run(net, corpus, trials=more, on_error="skip")
    assert (result.skipped_files, result.skipped_trials, result.num_trials) == (2, 2, 190)
    assert result.eer == run(net, corpus, bootstrap=0).eer
    assert any("2 recordings could not be used" in warning for warning in result.warnings)
    with pytest.raises(DataError, match="no trial is left: 2 of 2 recordings cannot be used"):
        run(net, corpus, trials=[Trial("gone.wav", str(broken), same) for same in (True, False)], on_error="skip")


def test_lists_that_cannot_be_evaluated(net, corpus, trials, tmp_path):
    cases = {
        "E_TRIALS": [trials[0], trials[1]._replace(label=None)],
        "E_ONE_CLASS": [t for t in trials if t.label],
    }
    for code, asked in cases.items():
        with pytest.raises(DataError) as caught:
            run(net, corpus, trials=asked)
        assert caught.value.code == code
    for asked in ([], tmp_path / "none.trials"):
        with pytest.raises(DataError):
            run(net, corpus, trials=asked)


def test_what_would_fail_at_the_end_is_said_before_the_work(net, corpus, trials, tmp_path, monkeypatch):
    monkeypatch.setattr("voxid.evaluation.evaluate.embed_files", lambda *a, **k: pytest.fail("it began to work"))
    for options in ({"output": tmp_path / "none" / "r.json"}, {"scores": tmp_path / "none" / "s.txt"}):
        with pytest.raises(DataError, match="is no folder"):
            run(net, corpus, **options)
    for options in ({"trials": [t for t in trials if t.label]}, {"speakers": r"day(\d)"}, {"root": tmp_path}):
        with pytest.raises(DataError):
            run(net, corpus, **options)
    for options in ({"output": tmp_path}, {"scores": tmp_path / ("s" * 300)}):
        with pytest.raises(DataError) as caught:
            run(net, corpus, **options)
        assert caught.value.code == "E_WRITE"
    for options in ({"bootstrap": -1}, {"seed": -1}, {"output": tmp_path / "r", "scores": tmp_path / "." / "r"}):
        with pytest.raises(ConfigError):
            run(net, corpus, **options)
    for card in ({"thresholds": {"points": [{}]}}, {"calibration": {"scale": 1.0}}, {"calibration": {"scale": "x", "offset": 0}}):
        monkeypatch.setattr(net, "card", card, raising=False)
        with pytest.raises(ModelError, match="card is malformed"):
            run(net, corpus)


def test_a_name_that_is_too_long_is_a_missing_recording(net, corpus, trials):
    with pytest.raises(DataError, match="1 of 21 recordings of the list are not under") as caught:
        run(net, corpus, trials=[*trials, Trial("x" * 300, trials[0].test, False)])
    assert caught.value.code == "E_NOT_FILE"


def test_contradicting_speakers_are_an_error_when_asked_for(net, corpus):
    with pytest.raises(VoxidError, match="contradict their speakers"):
        run(net, corpus, speakers=r"day(\d)")


def test_unknown_speakers_leave_the_interval_out_and_say_so(net, corpus, tmp_path, trials):
    flat = {name: tmp_path / name.replace("/", "_") for t in trials for name in t[:2]}
    for name, place in flat.items():
        place.write_bytes((corpus / name).read_bytes())
    result = run(net, tmp_path, trials=[Trial(flat[t.enrol].name, flat[t.test].name, t.label) for t in trials])
    assert result.eer_interval is None
    assert result.num_speakers is None
    assert any(warning.startswith("no interval, speakers are not known") for warning in result.warnings)
    assert "20 of unknown speakers" in result.describe()


def sides(rows, trials):
    return np.stack([rows[t.enrol] for t in trials]), np.stack([rows[t.test] for t in trials])


def written_scores(path):
    return np.array([trial.score for trial in read_trials(path)])


def test_a_back_end_scores_in_the_place_of_the_cosine(net, corpus, trials, rows, gplda, tmp_path):
    result = run(net, corpus, backend=gplda, scores=tmp_path / "s.txt", bootstrap=0)
    assert result.scored_by == "center, length_norm, plda"
    expected = load_backend(gplda).score(*sides(rows, trials))
    assert written_scores(tmp_path / "s.txt") == pytest.approx(expected, abs=1e-4)
    assert result.eer == pytest.approx(eer(expected, [t.label for t in trials]), abs=1e-3)


def test_norm_by_the_cohort_of_a_back_end_or_by_another(net, corpus, trials, rows, gplda, cohort, tmp_path):
    own = run(net, corpus, backend=gplda, norm="s", scores=tmp_path / "own.txt", bootstrap=0)
    assert own.scored_by == "center, length_norm, plda, s-norm"
    expected = load_backend(gplda).with_norm("s").score(*sides(rows, trials))
    assert written_scores(tmp_path / "own.txt") == pytest.approx(expected, abs=1e-3)
    run(net, corpus, norm="as", top=7, cohort=cohort, scores=tmp_path / "other.txt", bootstrap=0)
    unit = {name: row / np.linalg.norm(row) for name, row in rows.items()}
    others = read_embeddings(cohort).embeddings.astype(float)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    highest = {name: np.sort(others @ row)[-7:] for name, row in unit.items()}
    shifted = [
        sum((unit[t.enrol] @ unit[t.test] - highest[side].mean()) / highest[side].std() for side in t[:2]) / 2 for t in trials
    ]
    assert written_scores(tmp_path / "other.txt") == pytest.approx(shifted, rel=2e-2, abs=2e-2)


def test_a_cohort_may_be_a_manifest(net, corpus, trials, rows, tmp_path):
    names = [name for name in rows if "emil" in name or "dora" in name]
    lines = "".join(f"{corpus / name},{name.split('/')[1]},1\n" for name in names)
    (tmp_path / "m.csv").write_text("path,speaker,duration\n" + lines)
    asked = [t for t in trials if not {"emil", "dora"} & {name.split("/")[1] for name in t[:2]}]
    result = run(net, corpus, trials=asked, norm="t", cohort=tmp_path / "m.csv", scores=tmp_path / "s.txt")
    assert result.scored_by == "cosine, t-norm"
    unit = {name: row / np.linalg.norm(row) for name, row in rows.items()}
    means = [np.mean([unit[name] for name in names if speaker in name], axis=0) for speaker in ("emil", "dora")]
    against = {name: [row @ mean / np.linalg.norm(mean) for mean in means] for name, row in unit.items()}
    expected = [(unit[t.enrol] @ unit[t.test] - np.mean(against[t.test])) / np.std(against[t.test]) for t in asked]
    assert written_scores(tmp_path / "s.txt") == pytest.approx(expected, rel=2e-2, abs=2e-2)


def test_a_calibration_of_a_file_is_used(net, corpus, trials, rows, tmp_path):
    points = [{"far": 0.01, "threshold": 0.5, "frr": 0.3}, {"far": 0.1, "threshold": 0.0, "frr": 0.2}]
    card = {
        "calibration": Calibration((30.0,), -29.0, source="dev").to_card(),
        "thresholds": {"source": "dev", "points": points},
    }
    (tmp_path / "c.json").write_text(json.dumps(card))
    checkpoint.save(net, tmp_path / "c.safetensors", card=card)
    left, right = sides(rows, trials)
    llr = 30 * np.sum(left * right, axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1) - 29
    for name in ("c.json", "c.safetensors"):
        result = run(net, corpus, calibration=tmp_path / name, scores=tmp_path / "s.txt", bootstrap=0)
        assert result.scored_by == "cosine, calibrated on dev"
        assert written_scores(tmp_path / "s.txt") == pytest.approx(llr, abs=1e-3)
        assert (result.far, result.frr) == far_frr_at(written_scores(tmp_path / "s.txt"), [t.label for t in trials], 0.5)
    card["scored_by"] = {"backend": "cosine", "model": {"name": "x", "sha256": "ef" * 32}}
    (tmp_path / "c.json").write_text(json.dumps(card))
    noted = run(tmp_path / "c.safetensors", corpus, calibration=tmp_path / "c.json", bootstrap=0)
    assert any("scores of another model file (efefefefefef)" in warning for warning in noted.warnings)


@pytest.mark.parametrize(
    ("options", "kind", "code"),
    [
        ({"report": "r.pdf"}, ConfigError, "E_FORMAT"),
        ({"report": "none/r.html"}, DataError, "E_WRITE"),
        ({"report": "x" * 300 + ".html"}, DataError, "E_WRITE"),
        ({"plots": "taken"}, DataError, "E_WRITE"),
        ({"plots": "taken/below"}, DataError, "E_WRITE"),
        ({"plots": "x" * 300}, DataError, "E_WRITE"),
        ({"report": "r.html", "output": "r.html"}, ConfigError, "E_CONFIG"),
        ({"plots": "same", "output": "same"}, ConfigError, "E_CONFIG"),
        ({"plots": "new", "report": "r.md", "norm": "as"}, DataError, "E_COHORT"),
        ({"calibration": "none.json"}, ModelError, "E_NOT_FOUND"),
        ({"backend": "gpldaa"}, ModelError, "E_NOT_FOUND"),
        ({"norm": "q"}, ConfigError, "E_CONFIG"),
        ({"top": 5}, ConfigError, "E_CONFIG"),
        ({"norm": "as", "top": 1, "cohort": "none.safetensors"}, ConfigError, "E_CONFIG"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_pages_and_parts_that_cannot_be_are_refused_before_the_work(net, corpus, tmp_path, monkeypatch, options, kind, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr("voxid.evaluation.evaluate.embed_files", lambda *a, **k: pytest.fail("it began to work"))
    with pytest.raises(kind) as caught:
        run(net, corpus, **options)
    assert caught.value.code == code
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]
