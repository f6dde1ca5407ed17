"""The Augmenter: what is drawn, for whom, how often, and that the generator decides all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from voxid.audio import effects
from voxid.audio.augment import Augmenter, _pieced
from voxid.audio.codecs import mulaw
from voxid.audio.draws import Draw
from voxid.audio.rooms import Rooms
from voxid.errors import ConfigError

OFF = {"noise_prob": 0.0, "babble_prob": 0.0, "reverb_prob": 0.0}
EVERYTHING: dict[str, Any] = {
    "music_prob": 0.2,
    "noise_segments": 3,
    "speed_prob": 0.5,
    "equalize_prob": 0.5,
    "volume_prob": 0.5,
    "clip_prob": 0.5,
    "telephone_prob": 0.4,
    "codec_prob": 0.5,
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmenter(**options: Any) -> Augmenter:
    draw = np.random.default_rng(0)
    noises, musics = [draw.normal(size=500), draw.normal(size=50000)], [draw.normal(size=6000)]
    return Augmenter(noises, [np.eye(1, 60)[0], draw.normal(size=90)], musics=musics, **options)


@pytest.mark.parametrize("options", [{}, EVERYTHING, {**EVERYTHING, "policy": "batch"}], ids=["plain", "item", "batch"])
def test_the_generator_decides_everything(options: dict[str, Any]) -> None:
    waveform, augment = torch.randn(16, 4000), augmenter(**options)
    before = waveform.clone()
    first, second, other = (augment(waveform, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert torch.equal(first, augmenter(**options)(waveform, seeded(1)))
    assert not torch.equal(first, other)
    assert first.shape == waveform.shape
    assert torch.isfinite(first).all()
    assert torch.equal(waveform, before)


def test_global_seeds_and_autocast_change_nothing() -> None:
    waveform, augment = torch.randn(8, 4000), augmenter(**EVERYTHING)
    first = augment(waveform, seeded())
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        second = augment(waveform, seeded())
    assert second.dtype == torch.float32
    assert torch.equal(first, second)


@pytest.mark.parametrize("more", sorted(set(EVERYTHING) - {"noise_segments", "speed_prob"}))
def test_an_effect_that_is_off_leaves_the_draws_of_the_others_alone(more: str) -> None:
    waveform = torch.randn(64, 800)
    plain = augmenter()(waveform, seeded())
    some = augmenter(**{more: 0.5})(waveform, seeded())
    same = (plain == some).all(dim=1)
    assert 0.2 < same.float().mean() < 0.9  # those without the effect got what they had got before


@pytest.mark.parametrize(
    "effect", ["noise", "babble", "music", "reverb", "speed", "equalize", "volume", "clip", "telephone", "codec"]
)
def test_each_effect_meets_its_share_of_the_items(effect: str) -> None:
    waveform = torch.randn(400, 256)
    options = {**OFF, f"{effect}_prob": 0.5}
    changed = (augmenter(**options)(waveform, seeded()) != waveform).any(dim=1)
    assert 0.4 < changed.float().mean() < 0.6
    assert torch.equal(augmenter(**OFF)(waveform, seeded()), waveform)


def test_items_are_augmented_each_for_itself() -> None:
    waveform = torch.randn(400, 256)
    out = augmenter(**{**OFF, "noise_prob": 0.5})(waveform, seeded())
    added = (out - waveform)[(out != waveform).any(dim=1)]
    assert not torch.allclose(added[0], added[1])


@pytest.mark.parametrize("effect", sorted({"noise", "music", "reverb", "speed", "equalize", "volume", "clip", "telephone"}))
def test_a_batch_of_one_policy_gets_the_same(effect: str) -> None:
    waveform = torch.randn(1, 3000).expand(12, -1)
    each = augmenter(**{**OFF, f"{effect}_prob": 1.0})(waveform, seeded())
    assert (each != each[:1]).any() == (effect != "telephone")  # which is the same for everybody
    augment = augmenter(**{**OFF, f"{effect}_prob": 0.5}, policy="batch")
    outs = [augment(waveform, seeded(seed)) for seed in range(12)]
    for out in outs:
        torch.testing.assert_close(out, out[:1].expand(12, -1), rtol=1e-5, atol=1e-5)
    met = [not torch.allclose(out, waveform, atol=1e-5) for out in outs]
    assert any(met)
    if effect != "reverb":  # the room that is a click changes nothing
        assert not all(met)


def test_one_policy_puts_a_batch_through_one_codec() -> None:
    waveform = 0.3 * torch.randn(1, 500).expand(4, -1)
    augment = Augmenter(**OFF, codec_prob=1.0, policy="batch")
    outs = [augment(waveform, seeded(seed)) for seed in range(10)]
    assert all(torch.equal(out, out[:1].expand(4, -1)) for out in outs)
    assert len({tuple(out[0].tolist()) for out in outs}) == 2


def test_babble_is_made_of_the_other_items() -> None:
    waveform = torch.zeros(3, 4)
    waveform[0] = 1.0
    waveform[1, 0], waveform[2, 1] = 1.0, 1.0
    out = Augmenter(babble_prob=1.0, babble_snr_db=(0.0, 0.0))(waveform, seeded())
    assert out[0, 0] > 1.0
    assert out[0, 1] > 1.0
    assert torch.allclose(out[0, 2:], torch.ones(2))


@pytest.mark.parametrize("policy", ["item", "batch"])
def test_nobody_babbles_into_his_own_speech(policy: str) -> None:
    waveform = torch.eye(6)  # item i speaks at moment i
    options = {"babble_voices": (2, 4), "babble_snr_db": (0.0, 0.0), "policy": policy}
    seen = set()
    for seed in range(20):
        added = Augmenter(babble_prob=1.0, **options)(waveform, seeded(seed)) - waveform
        assert torch.equal(added.diagonal(), torch.zeros(6))
        voices = (added > 0).sum(dim=1)
        seen |= set(voices.tolist())
        if policy == "batch":
            everyone = (added > 0).any(dim=0)
            assert all(torch.equal((row > 0) | own, everyone | own) for row, own in zip(added, torch.eye(6) > 0, strict=True))
    assert seen <= ({2, 3, 4} if policy == "item" else {1, 2, 3, 4})
    assert len(seen) > 1


def test_a_single_item_has_nobody_to_babble() -> None:
    waveform = torch.randn(1, 100)
    assert torch.equal(Augmenter(babble_prob=1.0)(waveform, seeded()), waveform)
    voices = [np.ones(10, np.float32), np.ones(1000, np.float32)]
    out = Augmenter(voices=voices, babble_prob=1.0, babble_snr_db=(0, 0), babble_voices=(2, 2))(waveform, seeded())
    added = out - waveform
    torch.testing.assert_close(added, added[:, :1].expand(1, 100))
    torch.testing.assert_close(added.square().mean(), waveform.square().mean())


def test_noise_is_a_stretch_of_a_recording_and_short_ones_are_looped() -> None:
    ramp, tick = np.arange(1000, dtype=np.float32), np.array([1.0, 2.0, 3.0], np.float32)
    starts = set()
    for seed in range(30):
        piece = _pieced([torch.from_numpy(ramp)], 400, 1, Draw(seeded(seed), 1, False))
        starts.add(int(piece[0]))
        np.testing.assert_array_equal(piece, np.arange(400) + piece[0].item())
        looped = _pieced([torch.from_numpy(tick)], 8, 1, Draw(seeded(seed), 1, False))
        assert (looped.diff().remainder(3) == 1).all()
    assert len(starts) > 20
    assert max(starts) <= 600


def test_segments_are_stretches_one_after_the_other() -> None:
    ramp = torch.arange(10_000, dtype=torch.float32)
    counts = []
    for seed in range(60):
        piece = _pieced([ramp], 300, 3, Draw(seeded(seed), 1, False))
        assert piece.shape == (300,)
        counts.append(1 + int((piece.diff() != 1).sum()))
    assert set(counts) == {1, 2, 3}


def test_kinds_of_noise_have_their_own_ratios() -> None:
    waveform = torch.randn(600, 400)
    ratios = {"noise_snr_db": (30.0, 30.0), "babble_snr_db": (10.0, 10.0), "music_snr_db": (-10.0, -10.0)}
    augment = augmenter(noise_prob=0.3, babble_prob=0.3, music_prob=0.3, reverb_prob=0.0, **ratios)
    added = augment(waveform, seeded()) - waveform
    level = (10 * torch.log10(waveform.square().mean(dim=1) / added.square().mean(dim=1).clamp(min=1e-9))).round()
    counts = {ratio: int((level == ratio).sum()) for ratio in (30, 10, -10)}
    assert sum(counts.values()) + int((added == 0).all(dim=1).sum()) == 600
    assert min(counts.values()) > 130


def test_effects_come_in_their_order() -> None:
    waveform, generator = 0.5 * torch.randn(3, 4000), seeded()
    options = {"clip_prob": 1.0, "clip_share": (0.1, 0.1), "telephone_prob": 1.0, "codec_prob": 1.0, "codec": ["mulaw"]}
    out = Augmenter(**OFF, volume_prob=1.0, volume_db=(6.0, 6.0), **options)(waveform, generator)
    louder = effects.clip(effects.volume(waveform, torch.tensor([6.0])), torch.tensor([0.1]))
    torch.testing.assert_close(out, effects.telephone(louder, 16000, mulaw))


def test_speech_is_heard_in_the_room_before_the_noise_is_added() -> None:
    draw = np.random.default_rng(0)
    waveform, room, noise = torch.randn(2, 1000), draw.normal(size=80), np.ones(1000, np.float32)
    augment = Augmenter([noise], [room], noise_prob=1.0, reverb_prob=1.0, noise_snr_db=(10.0, 10.0), babble_prob=0.0)
    wet = Rooms([room], 16000).put(waveform, torch.tensor([0]))
    torch.testing.assert_close(augment(waveform, seeded()), effects.mix(wet, torch.ones(1, 1000), torch.tensor([10.0])))


def test_without_sources_nothing_changes() -> None:
    waveform = torch.randn(4, 100)
    augment = Augmenter(noise_prob=1.0, music_prob=1.0, reverb_prob=1.0, babble_prob=0.0)
    assert torch.equal(augment(waveform, seeded()), waveform)


@pytest.mark.gpu
def test_a_gpu_gives_the_same() -> None:
    waveform = torch.randn(16, 8000)
    for options in (EVERYTHING, {**EVERYTHING, "policy": "batch"}):
        augment = augmenter(**options)
        got = augment(waveform.cuda(), seeded())
        assert got.is_cuda
        torch.testing.assert_close(got.cpu(), augment(waveform, seeded()), rtol=1e-3, atol=2e-2)


SHARES = ["noise", "babble", "reverb", "music", "speed", "equalize", "volume", "clip", "telephone", "codec"]


@pytest.mark.parametrize("name", [f"{share}_prob" for share in SHARES])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "high", None, True])
def test_a_share_lies_within_0_and_1(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        Augmenter(**{name: value})


@pytest.mark.parametrize("name", ["noise_snr_db", "babble_snr_db", "music_snr_db", "volume_db", "clip_share", "codec_kbps"])
@pytest.mark.parametrize("value", [5, [0], [0, 10, 20], [20, 10], ["0", "10"], [0, float("inf")], "05", None])
def test_a_range_is_two_numbers(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        Augmenter(**{name: value})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"policy": "items"}, "did you mean 'item'"),
        ({"codec": ["mulow"]}, "did you mean 'mulaw'"),
        ({"codec": []}, "codec must be a list"),
        ({"codec": "mulaw"}, "codec must be a list"),
        ({"speeds": []}, "speeds"),
        ({"speeds": [3.0]}, "speeds"),
        ({"speeds": 0.9}, "speeds"),
        ({"babble_voices": (0, 3)}, "babble_voices"),
        ({"clip_share": (0.0, 1.5)}, "clip_share"),
        ({"equalize_db": -1}, "equalize_db"),
        ({"equalize_points": 1}, "equalize_points"),
        ({"noise_segments": 0}, "noise_segments"),
        ({"response_seconds": 0}, "response_seconds"),
        ({"sample_rate": 16}, "sample_rate"),
        ({"noises": [np.zeros(0)]}, "noises must be recordings"),
        ({"responses": [np.zeros((2, 9))]}, "responses must be recordings"),
    ],
)
def test_other_values_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Augmenter(**options)
