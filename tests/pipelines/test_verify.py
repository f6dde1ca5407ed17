"""Two recordings, one answer."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch

from voxid.errors import AudioError, ConfigError, ModelError
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.verify import verify

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
