"""Two recordings, one answer."""

from __future__ import annotations

import io
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import soundfile
import torch

from voxid.errors import AudioError, ConfigError, ModelError
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.verify import Verification, verify
from voxid.scoring.backend import build_backend
from voxid.scoring.calibration import Calibration

RATE = 16000
POINTS = [{"far": 0.01, "threshold": 0.8, "frr": 0.2}, {"far": 0.1, "threshold": 0.5, "frr": 0.05}]


def voice(pitch: float, seconds: float = 1.0) -> np.ndarray:
    """A voice-like [T]: harmonics of a pitch under syllables."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 20))
    return (0.1 * tone * np.clip(np.sin(2 * np.pi * 3 * time), 0, None)).astype(np.float32)


@pytest.fixture
def model(tmp_path) -> str:
    torch.manual_seed(0)
    net = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16, "output_dim": 32}, embedding_dim=8)
    card = {"name": "tiny", "thresholds": {"source": "dev", "points": POINTS}}
    checkpoint.save(net, tmp_path / "m.safetensors", card=card)
    return str(tmp_path / "m.safetensors")


def test_a_recording_is_itself(model, tmp_path) -> None:
    soundfile.write(tmp_path / "a.wav", voice(120), RATE)
    answer = verify(tmp_path / "a.wav", (voice(120), RATE), model=model)
    assert answer.score == pytest.approx(1.0, abs=1e-3)
    assert answer.decision
    assert (answer.threshold, answer.far, answer.frr) == (0.8, 0.01, 0.2)
    assert "0.01" in answer.source
    assert "dev" in answer.source
    assert answer.model.startswith("tiny (")
    assert answer.describe().startswith("same speaker: score 1.000, threshold 0.800")


def test_the_score_is_the_cosine_of_the_embeddings(model) -> None:
    net = checkpoint.load(model)
    with torch.inference_mode():
        one, other = (net(torch.from_numpy(voice(pitch))[None])[0].numpy() for pitch in (120, 240))
    expected = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    answer = verify((voice(120), RATE), (voice(240), RATE), model=model)
    assert answer.score == pytest.approx(expected, abs=1e-5)
    assert answer.decision == (answer.score >= answer.threshold)


def test_another_rate_of_false_accepts_is_another_threshold(model) -> None:
    pair = (voice(120), RATE), (voice(240), RATE)
    assert verify(*pair, model=model, far=0.1).threshold == 0.5
    assert verify(*pair, model=model, far=np.sqrt(0.001)).threshold == pytest.approx(0.65)
    own = verify(*pair, model=model, threshold=-1.0)
    assert own.decision
    assert (own.far, own.source) == (None, "given by the caller")
    for far in (0.001, 0.5, 0.0):
        with pytest.raises(ConfigError, match=r"0\.01 \.\.\. 0\.1"):
            verify(*pair, model=model, far=far)


def test_a_model_without_thresholds_asks_for_one(tmp_path) -> None:
    checkpoint.save(SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16}), tmp_path / "m.safetensors")
    pair = (voice(120), RATE), (voice(240), RATE)
    with pytest.raises(ConfigError, match="threshold") as caught:
        verify(*pair, model=tmp_path / "m.safetensors")
    assert caught.value.code == "E_NO_THRESHOLD"
    assert verify(*pair, model=tmp_path / "m.safetensors", threshold=0.0).threshold == 0.0


@pytest.mark.parametrize(
    ("waveform", "code"),
    [
        (np.zeros(RATE), "E_NO_SPEECH"),
        (np.full(RATE, 0.3), "E_NO_SPEECH"),
        (voice(120, 0.2), "E_TOO_SHORT"),
        (np.full(RATE, np.nan), None),
    ],
)
@pytest.mark.parametrize("side", ["enrol", "test"])
def test_what_holds_no_voice_is_refused(model, waveform: np.ndarray, code: str | None, side: str) -> None:
    pair = [(voice(120), RATE), (voice(120), RATE)]
    pair[side == "test"] = (waveform.astype(np.float32), RATE)
    with pytest.raises(AudioError) as caught:
        verify(*pair, model=model)
    assert code is None or caught.value.code == code
    assert code is None or side in str(caught.value)


def test_channels_are_never_mixed_and_the_answer_says_so(model, tmp_path) -> None:
    two = np.stack([voice(120), voice(240)], axis=1)
    soundfile.write(tmp_path / "two.wav", two, RATE)
    answer = verify(tmp_path / "two.wav", (voice(120), RATE), model=model)
    assert answer.score == pytest.approx(1.0, abs=1e-3)
    assert any("W_CHANNELS" in reason and reason.startswith("enrol") for reason in answer.reasons)


def test_a_file_object_will_do(model) -> None:
    file = io.BytesIO()
    soundfile.write(file, voice(120), RATE, format="WAV")
    file.seek(0)
    assert verify(file, (voice(120), RATE), model=model).decision


@pytest.mark.parametrize("gain_db", [-40.0, 6.0])
def test_loudness_does_not_change_the_score(model, gain_db: float) -> None:
    room = np.random.default_rng(0).normal(0, 1e-3, RATE).astype(np.float32)  # no microphone hears nothing between syllables
    loud, other = voice(120) + room, (voice(180), RATE)
    quiet = loud * np.float32(10 ** (gain_db / 20))
    score = verify((loud, RATE), other, model=model).score
    assert verify((quiet, RATE), other, model=model).score == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), float("-inf")])
def test_a_threshold_is_a_finite_number(model, threshold: float) -> None:
    with pytest.raises(ConfigError, match="finite"):
        verify((voice(120), RATE), (voice(240), RATE), model=model, threshold=threshold)


@pytest.mark.parametrize("training", [True, False])
def test_a_loaded_model_is_left_as_it_was(model, training: bool) -> None:
    net = checkpoint.load(model).train(training)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    verify((voice(120), RATE), (voice(240), RATE), model=net)
    assert net.training is training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    "stored",
    [
        "0.5",
        {"source": "dev"},
        {"points": 3},
        {"points": [3]},
        {"points": [{"far": 0.01, "threshold": 0.5}]},
        {"points": [{"far": 0.01, "threshold": "high", "frr": 0.1}]},
        {"points": [{"far": 0, "threshold": 0.5, "frr": 0.1}]},
    ],
    ids=str,
)
def test_malformed_thresholds_are_the_models_fault(model, stored) -> None:
    net = checkpoint.load(model)
    net.card["thresholds"] = stored
    with pytest.raises(ModelError, match="'thresholds'"):
        verify((voice(120), RATE), (voice(240), RATE), model=net)
    assert verify((voice(120), RATE), (voice(240), RATE), model=net, threshold=-1.0).decision


def test_no_rows_are_no_thresholds(model) -> None:
    net = checkpoint.load(model)
    net.card["thresholds"] = {"source": "dev", "points": []}
    with pytest.raises(ConfigError, match="--threshold") as caught:
        verify((voice(120), RATE), (voice(240), RATE), model=net)
    assert caught.value.code == "E_NO_THRESHOLD"


LLR_POINTS = [{"far": 0.01, "threshold": 3.0, "frr": 0.2}, {"far": 0.1, "threshold": 1.0, "frr": 0.05}]


def calibrated(model: str, weight: float = 40.0, offset: float = -37.0, **card: object) -> SpeakerEncoder:
    """The model with a calibration and thresholds on its ratios."""
    net = checkpoint.load(model)
    kept = {"calibration": Calibration((weight,), offset, source="dev").to_card()}
    net.card |= kept | {"thresholds": {"source": "dev", "points": LLR_POINTS}} | card
    return net


PAIR = (voice(120), RATE), (voice(240), RATE)


def test_a_score_is_its_own_unit_without_a_calibration(model) -> None:
    answer = verify(*PAIR, model=model)
    assert (answer.llr, answer.probability, answer.prior, answer.unit) == (None, None, 0.5, "score")
    assert "probability" not in answer.describe()


@pytest.mark.parametrize("prior", [0.5, 0.01, 0.999])
def test_ratio_and_probability_are_those_of_the_calibration(model, prior: float) -> None:
    plain, answer = verify(*PAIR, model=model), verify(*PAIR, model=calibrated(model), prior=prior)
    assert answer.score == pytest.approx(plain.score, abs=1e-6)
    assert answer.llr == pytest.approx(40 * answer.score - 37)
    odds = math.exp(answer.llr) * prior / (1 - prior)
    assert answer.probability == pytest.approx(odds / (1 + odds))
    assert (answer.prior, answer.unit) == (prior, "log-likelihood ratio")
    assert (answer.threshold, answer.frr) == (3.0, 0.2)


def test_the_ratio_is_held_against_the_threshold_whatever_the_prior(model) -> None:
    net = calibrated(model)
    ratio = verify(*PAIR, model=net).llr
    for prior in (0.001, 0.999):
        assert verify(*PAIR, model=net, threshold=ratio, prior=prior).decision  # reaching it is enough
        assert not verify(*PAIR, model=net, threshold=ratio + 1e-6, prior=prior).decision
    assert verify(*PAIR, model=net, far=0.1).threshold == 1.0
    with pytest.raises(ConfigError, match=r"0\.01 \.\.\. 0\.1"):
        verify(*PAIR, model=net, far=0.5)


@pytest.mark.parametrize("offset", [500.0, -500.0])
def test_no_probability_reads_as_certainty(model, offset: float) -> None:
    answer = verify(*PAIR, model=calibrated(model, offset=offset))
    assert 0.0 <= answer.probability <= 1.0
    shown = answer.describe().splitlines()[1]
    assert shown == f"probability of the same speaker: {'99.99' if offset > 0 else '0.01'}%, if it was 0.5 before"


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_prior_is_a_probability(model, prior: float) -> None:
    with pytest.raises(ConfigError, match="prior is a probability within"):
        verify(*PAIR, model=calibrated(model), prior=prior)


def test_text_of_a_calibrated_answer(model) -> None:
    answer = replace(verify(*PAIR, model=calibrated(model)), llr=3.21, probability=0.75, prior=0.1, reasons=("enrol: loud",))
    assert answer.describe().splitlines()[:3] == [
        f"{'same speaker' if answer.decision else 'different speakers'}: log-likelihood ratio 3.210, threshold 3.000",
        "probability of the same speaker: 75.00%, if it was 0.1 before",
        "threshold: false-accept rate 0.01 on the development trials dev (false accepts 1.00%, false rejects 20.00% there)",
    ]
    assert answer.describe().splitlines()[-1] == "note: enrol: loud"


def test_back_end_and_quality_of_the_file_are_used(model, tmp_path) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(0, 1, (20, 8)).repeat(6, axis=0) + random.normal(0, 0.5, (120, 8))
    spec = {"transforms": ["center"], "scorer": "cosine", "norm": {"name": "as", "top": 5}}
    backend = build_backend(spec).fit(rows, np.arange(20).repeat(6))
    leaning = Calibration((2.0, 3.0), -1.0, quality=("log_duration_max",), limits=((-1.0, 1.0),), source="dev")
    card = {"calibration": leaning.to_card(), "thresholds": {"source": "dev", "points": LLR_POINTS}}
    checkpoint.save(checkpoint.load(model), tmp_path / "b.safetensors", card=card, backend=backend)
    pair = (voice(120, 1.0), RATE), (voice(240, 2.0), RATE)
    answer = verify(*pair, model=tmp_path / "b.safetensors")
    net = checkpoint.load(model)
    with torch.inference_mode():
        left, right = (net(torch.from_numpy(waveform)[None]).double().numpy() for waveform, _ in pair)
    assert answer.score == pytest.approx(backend.score(left, right)[0], abs=1e-3)
    assert answer.llr == pytest.approx(2 * answer.score + 3 * math.log(2) - 1, abs=1e-6)


def test_all_that_json_shows_is_plain(model) -> None:
    answer = verify(*PAIR, model=calibrated(model))
    assert isinstance(answer, Verification)
    kinds = {name: type(value) for name, value in asdict(answer).items()}
    assert kinds["decision"] is bool
    assert {kinds[name] for name in ("score", "llr", "probability", "threshold", "prior", "far", "frr")} == {float}
