"""evaluate: a list through the model and the metrics, on recordings made here."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import soundfile
import torch
from sklearn.metrics import roc_curve

from voxid.data.trials import Trial, read_trials
from voxid.errors import ConfigError, DataError, ModelError, VoxidError
from voxid.evaluation.evaluate import _warnings, evaluate, score_trials
from voxid.metrics.detection import act_dcf, eer, far_frr_at, min_dcf
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import embed

RATE = 16000
RULE = "the true rate may well lie more than 30 % off (rule of 30)"
SPEAKERS = ["anna", "ben", "carl", "dora", "emil"]


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16}).eval()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Five voices (a comb of harmonics each) of four recordings of 0.5 to 1.1 s, and a list of all pairs."""
    root = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    names = []
    for voice, speaker in enumerate(SPEAKERS):
        for take in range(4):
            time = np.arange(int((0.5 + 0.2 * take) * RATE)) / RATE
            tone = sum(np.sin(2 * np.pi * (110 + 25 * voice) * k * time) / k for k in range(1, 12))
            name = f"wav/{speaker}/day{take % 2}/{take}.wav"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(root / name, 0.1 * tone + random.normal(0, 0.1, len(time)), RATE)
            names.append(name)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    trials = [Trial(a, b, a.split("/")[1] == b.split("/")[1]) for a, b in pairs]
    (root / "list.trials").write_text("".join(f"{int(t.label)} {t.enrol} {t.test}\n" for t in trials))
    return root


@pytest.fixture
def trials(corpus):
    return read_trials(corpus / "list.trials")


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
    assert (result.skipped_files, result.skipped_trials) == (0, 0)
    assert (result.act_dcf, result.threshold, result.far, result.frr) == (None, None, None, None)


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


def test_threshold_and_calibration_of_the_card_are_applied(net, corpus, trials):
    points = [{"far": 0.01, "threshold": 0.98, "frr": 0.2}, {"far": 0.1, "threshold": 0.9, "frr": 0.1}]
    net.card = {"name": "toy", "sha256": "ab" * 32, "thresholds": {"source": "dev trials", "points": points}}
    net.card["calibration"] = {"scale": 40.0, "offset": -38.0}
    try:
        result = run(net, corpus, bootstrap=0)
        _, scores, _ = score_trials(net, trials, corpus, progress=False)
    finally:
        del net.card
    labels = [t.label for t in trials]
    assert (result.threshold, result.far, result.frr) == (0.98, *far_frr_at(scores, labels, 0.98))
    assert result.act_dcf == pytest.approx(act_dcf(40 * scores.astype(float) - 38, labels))
    assert result.act_dcf >= min_dcf(scores, labels) - 1e-9
    assert result.model == {"name": "toy", "sha256": "ab" * 32, "embedding_dim": 192}
    text = result.describe()
    assert "actDCF(0.01)" in text
    assert "at 0.9800, set for FAR 1% on dev trials" in text
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
        run(net, corpus), eer=0.0608, eer_interval=(0.05, 0.0725), min_dcf_001=0.4311, min_dcf_0001=0.9, num_speakers=50
    )
    lines = result.describe().splitlines()
    assert "trials         190: 30 target, 160 non-target" in lines
    assert "recordings     20 of 50 speakers" in lines
    assert "EER            6.08 %   95 % interval 5.00 % to 7.25 % (1000 draws of 50 speakers)" in lines
    assert "minDCF(0.01)   0.431" in lines
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
