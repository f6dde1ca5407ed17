"""embed: one recording, a list, and long lists in batches."""

import io
import logging
import sys

import numpy as np
import pytest
import soundfile
import torch

from voxid.errors import AudioError, ConfigError, DataError
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines import embed as module
from voxid.pipelines.embed import embed, embed_files

RATE = 16000


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16}).eval()


def noise(seconds, seed=0):
    """Noise whose loudness and colour move, so that frames differ from one another."""
    random = np.random.default_rng(seed)
    samples = random.normal(0, 0.1, int(seconds * RATE)).astype(np.float32)
    return samples * np.linspace(0.2, 1, len(samples), dtype=np.float32)


def alone(net, waveform):
    with torch.no_grad():
        return net(torch.from_numpy(waveform)[None])[0].numpy()


@pytest.fixture
def files(tmp_path):
    """Recordings of 0.3 s to 12 s, shuffled, as 16-bit wav."""
    seconds = [3.1, 0.3, 12.0, 0.5, 7.7, 3.0, 1.0, 0.31, 5.2, 3.0]
    for number, length in enumerate(seconds):
        soundfile.write(tmp_path / f"{number}.wav", noise(length, number), RATE, subtype="FLOAT")
    return [tmp_path / f"{number}.wav" for number in range(len(seconds))]


@pytest.mark.parametrize("batch_seconds", [1.0, 8.0, 60.0])
@pytest.mark.parametrize("near", [0.0, 0.75])
def test_batch_equals_single_whatever_the_lengths(net, files, batch_seconds, near, monkeypatch):
    monkeypatch.setattr(module, "NEAR", near)  # 0: the longest beside the shortest, padding forty times the speech
    done = embed_files(files, model=net, batch_seconds=batch_seconds, progress=False)
    assert done.names == tuple(map(str, files))
    assert done.embeddings.dtype == np.float32
    for row, file in zip(done.embeddings, files, strict=True):
        np.testing.assert_allclose(row, alone(net, soundfile.read(file, dtype="float32")[0]), atol=1e-5)


def test_windows_keep_the_order_and_read_every_file_once(net, files, monkeypatch):
    read = []
    load = module.load_audio
    monkeypatch.setattr(module, "load_audio", lambda audio, **options: read.append(audio) or load(audio, **options))
    whole = embed_files(files, model=net, progress=False)
    assert sorted(read) == sorted(files)
    monkeypatch.setattr(module, "WINDOW", 1)
    np.testing.assert_allclose(
        embed_files(files, model=net, batch_seconds=4, progress=False).embeddings, whole.embeddings, atol=1e-5
    )


def test_no_batch_is_larger_than_asked_nor_mostly_padding(net, files, monkeypatch):
    batches = []
    forward = module._forward
    monkeypatch.setattr(
        module, "_forward", lambda net, waveforms: batches.append([len(w) for w in waveforms]) or forward(net, waveforms)
    )
    embed_files(files, model=net, batch_seconds=8, progress=False)
    assert sum(map(len, batches)) == len(files)
    assert any(len(batch) > 1 for batch in batches)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(batch) <= 8 * RATE
        assert min(batch) >= 0.75 * max(batch)


def test_a_path_a_file_object_and_a_pair_give_the_same(net, tmp_path):
    waveform = noise(1.5)
    soundfile.write(tmp_path / "a.wav", waveform, RATE, subtype="FLOAT")
    expected = alone(net, waveform)
    assert expected.shape == (192,)
    for audio in (tmp_path / "a.wav", str(tmp_path / "a.wav"), io.BytesIO((tmp_path / "a.wav").read_bytes()), (waveform, RATE)):
        np.testing.assert_allclose(embed(audio, model=net), expected, atol=1e-6)


def test_a_list_gives_a_list_of_rows(net):
    rows = embed([(noise(1), RATE), (noise(2, 1), RATE)], model=net)
    assert rows.shape == (2, 192)
    np.testing.assert_allclose(rows[1], embed((noise(2, 1), RATE), model=net), atol=1e-5)
    assert embed([], model=net).shape == (0, 192)


def test_embeddings_are_not_normalised(net):
    lengths = [np.linalg.norm(embed((noise(1, seed), RATE), model=net)) for seed in range(3)]
    assert np.ptp(lengths) > 1e-3


def test_another_rate_is_brought_to_that_of_the_model(net):
    time = np.arange(2 * 48000) / 48000
    tone = 0.3 * np.sin(2 * np.pi * 440 * time).astype(np.float32) + 0.1 * np.sin(2 * np.pi * 1500 * time).astype(np.float32)
    slow, fast = embed((tone[::3].copy(), 16000), model=net), embed((tone, 48000), model=net)
    assert slow @ fast / np.linalg.norm(slow) / np.linalg.norm(fast) > 0.99


def test_a_model_in_training_is_used_in_eval_mode_and_given_back(net):
    expected = embed((noise(1), RATE), model=net)
    net.train()
    statistics = net.norm.running_mean.clone()
    np.testing.assert_array_equal(embed((noise(1), RATE), model=net), expected)
    assert net.training
    torch.testing.assert_close(net.norm.running_mean, statistics)
    net.eval()


def test_skip_leaves_out_and_lists_what_is_broken(net, files, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"no audio at all")
    asked = [files[0], tmp_path / "broken.wav", files[1], tmp_path / "missing.wav"]
    done = embed_files(asked, model=net, on_error="skip", progress=False)
    assert done.names == (str(files[0]), str(files[1]))
    assert done.embeddings.shape == (2, 192)
    assert set(done.failed) == {str(tmp_path / "broken.wav"), str(tmp_path / "missing.wav")}


def test_nothing_left_is_no_rows(net, tmp_path):
    done = embed_files([tmp_path / "missing.wav"], model=net, on_error="skip", progress=False)
    assert done.embeddings.shape == (0, 192)


def test_raise_names_the_first_few_in_one_line(net, files, tmp_path):
    missing = [tmp_path / f"missing{number}.wav" for number in range(8)]
    with pytest.raises(DataError) as caught:
        embed_files([*files[:2], *missing], model=net, progress=False)
    message = str(caught.value)
    assert message.startswith("8 of 10 recordings cannot be used: ")
    assert "missing0.wav" in message
    assert "missing4.wav" in message
    assert "missing5.wav" not in message
    assert message.endswith("... and 3 more")
    assert "\n" not in message
    assert caught.value.code == "E_AUDIO"


def test_a_broken_single_recording_keeps_its_own_error(net, tmp_path):
    with pytest.raises(AudioError) as caught:
        embed(tmp_path / "missing.wav", model=net)
    assert caught.value.code == "E_NOT_FOUND"


def test_an_embedding_that_is_not_finite_is_no_embedding(files):
    sick = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16})
    with torch.no_grad():
        sick.projection.bias[0] = torch.nan
    with pytest.raises(DataError, match="not finite"):
        embed_files(files[:1], model=sick, progress=False)


@pytest.mark.parametrize(
    "options", [{"on_error": "ignore"}, {"batch_seconds": 0}, {"batch_seconds": float("inf")}, {"device": "warp9"}]
)
def test_bad_options_are_typed_errors(net, files, options):
    with pytest.raises(ConfigError):
        embed_files(files, model=net, progress=False, **options)


def test_the_bar_goes_to_a_terminal_on_stderr_and_can_be_left_out(net, files, capsys, monkeypatch):
    embed_files(files[:2], model=net)
    assert capsys.readouterr().err == ""  # no terminal, no bar
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    embed_files(files[:2], model=net)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "embed: 100%" in shown.err
    embed_files(files[:2], model=net, progress=False)
    assert capsys.readouterr().err == ""


def test_what_the_loader_warns_of_is_said(net, tmp_path, caplog):
    stereo = np.stack([noise(1), noise(1, 1)], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, RATE)
    with caplog.at_level(logging.WARNING):
        embed(tmp_path / "stereo.wav", model=net)
    assert "stereo.wav" in caplog.text
    assert "W_CHANNELS" in caplog.text


def test_facts_are_those_of_the_recordings(net, tmp_path):
    quiet = np.zeros(RATE, dtype=np.float32)
    quiet[RATE // 2 :] = noise(0.5)
    done = embed_files([(noise(1.5), RATE), (quiet[: RATE // 2 + 99], RATE), (noise(0.7), RATE)], model=net, progress=False)
    assert done.facts["seconds"].tolist() == [1.5, (RATE // 2 + 99) / RATE, 0.7]
    assert done.facts["snr_db"].shape == (3,)
    assert np.isfinite(done.facts["snr_db"]).all()


def test_facts_of_a_recording_that_is_left_out_are_left_out(net, files, tmp_path):
    done = embed_files([files[0], tmp_path / "missing.wav", files[6]], model=net, on_error="skip", progress=False)
    assert done.facts["seconds"] == pytest.approx([3.1, 1.0])
