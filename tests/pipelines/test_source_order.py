"""Which output is which voice: windows whose order is known, exchanged at random, with pauses where they meet."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from voxid.audio.io import load
from voxid.data.manifest import read_manifest
from voxid.errors import ConfigError, DataError
from voxid.pipelines.embed import embed
from voxid.pipelines.separate import separate
from voxid.pipelines.source_order import SourceTracker

RATE = 8000
WINDOW, OVERLAP = 4 * RATE, RATE // 2
HOP = WINDOW - OVERLAP


def tones(waveforms):
    """A stand-in for a speaker model: which of the bands of 250 Hz hold the power [n, 16]."""
    spectrum = np.abs(np.fft.rfft(waveforms, 2 * RATE)[:, :-1]) ** 2
    return spectrum.reshape(len(waveforms), 16, -1).sum(axis=2)


class Counted:
    """A stand-in that counts what it was asked for."""

    def __init__(self, embed=tones):
        self.embed, self.rows = embed, 0

    def __call__(self, waveforms):
        self.rows += len(waveforms)
        return self.embed(waveforms)


def voice(number, seconds, seed=0):
    """Noise in one band, whose loudness moves as that of speech does: a voice for `tones`."""
    random = np.random.default_rng((number, seed))
    time = np.arange(int(seconds * RATE)) / RATE
    spectrum = np.fft.rfft(random.normal(size=len(time)))
    frequency = np.fft.rfftfreq(len(time), 1 / RATE)
    spectrum[(frequency < 250 * number + 300) | (frequency > 250 * number + 450)] = 0
    samples = np.fft.irfft(spectrum, len(time)) * (1 + 0.6 * np.sin(2 * np.pi * time / 3 + 1.3 * number))
    return (0.1 * samples / samples.std()).astype(np.float32)


def follow(tracker, sources, seed=0, leak=0.0, window=WINDOW, overlap=OVERLAP):
    """The order in which the tracks hold the sources in each window [n, S], for outputs that are exchanged at random."""
    random = np.random.default_rng(seed)
    found = []
    for start in range(0, sources.shape[1] - overlap, window - overlap):
        part = sources[:, start : start + window]
        outputs = part + leak * (part.sum(axis=0) - part)
        exchanged = random.permutation(len(sources))
        order = tracker.place(outputs[exchanged], overlap if start else 0)
        found.append(exchanged[order])
    return np.array(found)


def silenced(sources, margin=0):
    """With digital silence wherever two windows meet."""
    quiet = sources.copy()
    for start in range(HOP, sources.shape[1], HOP):
        quiet[:, start - margin : start + OVERLAP + margin] = 0
    return quiet


def steady(found):
    return (found == found[0]).all()


@pytest.mark.parametrize("num_sources", [2, 3, 4, 7])
def test_the_overlap_tells(num_sources):
    sources = np.stack([voice(number, 30) for number in range(num_sources)])
    embedder = Counted()
    tracker = SourceTracker(num_sources, RATE, embedder)
    found = follow(tracker, sources, leak=0.1)
    assert len(found) == 9
    assert steady(found)
    assert (tracker.by_correlation, tracker.by_voice, tracker.kept) == (8, 0, 0)
    assert embedder.rows == 0  # nothing was asked


def test_one_voice_on_the_overlap_is_enough_and_its_leak_does_not_mislead():
    sources = np.stack([voice(0, 60), voice(1, 60)])
    for number, start in enumerate(range(HOP, sources.shape[1], HOP)):
        sources[number % 2, start - 100 : start + OVERLAP + 100] = 0
    tracker = SourceTracker(2, RATE)
    assert steady(follow(tracker, sources, leak=0.2))
    assert tracker.kept == 0


def test_windows_of_other_levels():
    sources = np.stack([voice(0, 40), voice(1, 40)])
    tracker = SourceTracker(2, RATE)
    first = tracker.place(sources[:, :WINDOW], 0)
    for number, start in enumerate(range(HOP, 10 * HOP, HOP)):
        part = sources[::-1, start : start + WINDOW] * np.float32(0.3 if number % 2 else 1.0)
        assert tracker.place(part, OVERLAP).tolist() == first[::-1].tolist()
    assert tracker.by_correlation == 9


@pytest.mark.parametrize("num_sources", [2, 3])
def test_pauses_where_windows_meet(num_sources):
    sources = silenced(np.stack([voice(number, 60) for number in range(num_sources)]), 50)
    embedder = Counted()
    tracker = SourceTracker(num_sources, RATE, embedder)
    found = follow(tracker, sources)
    assert steady(found)
    assert (tracker.by_correlation, tracker.by_voice, tracker.kept) == (0, len(found) - 1, 0)
    assert embedder.rows <= num_sources * len(found)


def test_noise_in_a_pause_is_no_evidence():
    sources = silenced(np.stack([voice(0, 60), voice(1, 60)]), 50)
    noise = np.random.default_rng(5).normal(0, 0.001, sources.shape[1]).astype(np.float32)
    tracker = SourceTracker(2, RATE, tones)
    random, found = np.random.default_rng(6), []
    for start in range(0, sources.shape[1] - OVERLAP, HOP):
        exchanged = random.permutation(2)
        outputs = sources[exchanged, start : start + WINDOW].copy()
        outputs[0] += noise[start : start + WINDOW]  # as a net does whose first output takes all that is no voice
        found.append(exchanged[tracker.place(outputs, OVERLAP if start else 0)])
    assert steady(np.array(found))
    assert tracker.by_voice == len(found) - 1


def test_a_third_voice_over_a_pause_of_two():
    sources = np.stack([voice(number, 60) for number in range(3)])
    sources[:2] = silenced(sources[:2], 50)
    tracker = SourceTracker(3, RATE, tones)
    found = follow(tracker, sources)
    assert steady(found)
    assert tracker.by_voice == len(found) - 1


def test_without_voices_it_says_that_it_could_not_tell():
    sources = silenced(np.stack([voice(0, 30), voice(1, 30)]))
    tracker = SourceTracker(2, RATE)
    found = follow(tracker, sources)
    assert (tracker.by_correlation, tracker.by_voice, tracker.kept) == (0, 0, len(found) - 1)
    assert np.sort(found, axis=1).tolist() == [[0, 1]] * len(found)


def test_silence_from_the_first_sample_on():
    tracker = SourceTracker(2, RATE, tones)
    silence = np.zeros((2, WINDOW), np.float32)
    for overlap in (0, OVERLAP, OVERLAP):
        assert tracker.place(silence, overlap).tolist() == [0, 1]
    assert tracker.kept == 2
    assert steady(follow(tracker, silenced(np.stack([voice(0, 40), voice(1, 40)]), 50)))


def test_a_second_voice_comes_in_after_a_pause():
    first, second = voice(0, 4), voice(1, 4)
    silence = np.zeros_like(first)
    for output in range(2):
        tracker = SourceTracker(2, RATE, tones)
        first_window = np.stack([silence, first] if output else [first, silence])
        tracker.place(np.pad(first_window[:, :HOP], ((0, 0), (0, OVERLAP))), 0)
        for place in range(2):
            window = np.stack([silence, second] if place else [second, silence])
            window[:, : OVERLAP + 50] = 0
            order = tracker.place(window, OVERLAP)
            # Not on the track of the first voice, wherever the net put it.
            assert np.abs(window[order][output]).max() == 0
            assert np.abs(window[order][1 - output]).max() > 0


def test_a_doubt_is_put_right_when_the_voices_tell():
    sources = np.stack([voice(0, 40), voice(1, 40)])
    sources[:, HOP - 50 : HOP + OVERLAP + 50] = 0  # a pause where the second window begins, which is too soft to be judged
    sources[:, HOP : HOP + WINDOW - RATE // 5] *= 0.01  # but for its last 0.2 s
    tracker = SourceTracker(2, RATE, tones)
    parts = [sources[:, start : start + WINDOW] for start in range(0, 4 * HOP, HOP)]
    tracker.place(parts[0], 0)
    guess = tracker.place(parts[1][::-1], OVERLAP)
    assert tracker.kept == 1
    assert guess.tolist() == [0, 1]  # the wrong one
    # It follows the overlap exactly as wrongly, but now the voices are heard.
    assert tracker.place(parts[2], OVERLAP).tolist() == [0, 1]
    assert tracker.by_voice == 1
    assert tracker.place(parts[3][::-1], OVERLAP).tolist() == [1, 0]
    assert tracker.by_correlation == 1


def test_memory_does_not_grow():
    tracker = SourceTracker(2, RATE, tones)
    sources = silenced(np.stack([voice(0, 30), voice(1, 30)]), 50)
    for turn in range(4):
        follow(tracker, sources, seed=turn)
        follow(tracker, np.stack([voice(0, 60, turn), voice(1, 60, turn)]), seed=turn)
    # Two sources: the last window, and of each four pieces of 3 s; all the pieces that came by are ten times that.
    assert len(pickle.dumps(tracker)) < 2 * (WINDOW + 4 * 3 * RATE) * 4 + 10_000


def test_the_window_is_left_alone_and_may_be_reused():
    sources = np.stack([voice(0, 12), voice(1, 12)])
    tracker = SourceTracker(2, RATE, tones)
    buffer = np.empty((2, WINDOW), np.float32)
    for start, overlap in ((0, 0), (HOP, OVERLAP), (2 * HOP, OVERLAP)):
        buffer[:] = sources[:, start : start + WINDOW]
        assert tracker.place(buffer, overlap).tolist() == [0, 1]
        assert (buffer == sources[:, start : start + WINDOW]).all()
        buffer[:] = 0
    assert tracker.by_correlation == 2


@pytest.mark.parametrize("samples", [1, 7, 1000])
def test_short_windows_and_more_overlap_than_there_is(samples):
    tracker = SourceTracker(2, RATE, tones)
    sources = np.stack([voice(0, 1), voice(1, 1)])
    tracker.place(sources[:, :samples], 0)
    # What both have is compared, from the end of the one and the start of the other.
    assert tracker.place(sources[::-1, :samples], 10 * samples).tolist() == [1, 0]


def test_one_source():
    tracker = SourceTracker(1, RATE, tones)
    assert [tracker.place(voice(0, 1)[None], overlap).tolist() for overlap in (0, 100)] == [[0], [0]]


def test_mistakes():
    with pytest.raises(ConfigError, match="num_sources"):
        SourceTracker(0, RATE)
    for wrong in (np.zeros(100), np.zeros((3, 100)), np.zeros((1, 2, 100))):
        with pytest.raises(DataError, match=r"2 sources \[S, T\]"):
            SourceTracker(2, RATE).place(wrong, 0)


def speech(shared, speaker):
    """All that a speaker says, 72 s and more, at 16 kHz and -24 dB."""
    root = shared / "data" / "libri_mini"
    rows = read_manifest(root / "manifest.csv")
    parts = [load(row.path, sample_rate=16000).waveform for row in rows if row.speaker == speaker]
    joined = np.concatenate(parts)
    return 0.06 * joined / joined.std()


def conversation(voices, seconds, seed):
    """Turns of 1.5 to 6 s with pauses of 0.3 to 2 s [S, T]; one may take two turns in a row."""
    random = np.random.default_rng(seed)
    talk = np.zeros((len(voices), int(seconds * 16000)), np.float32)
    heard, who, start = [0] * len(voices), 0, 0
    while start < talk.shape[1]:
        size = min(int(random.uniform(1.5, 6) * 16000), talk.shape[1] - start)
        talk[who, start : start + size] = voices[who][(heard[who] + np.arange(size)) % len(voices[who])]
        heard[who] += size
        start += size + int(random.uniform(0.3, 2) * 16000)
        who = (who + (random.random() < 0.8)) % len(voices)
    return talk


def embedded(waveforms):
    return embed([(waveform, 16000) for waveform in waveforms])


@pytest.mark.parametrize("speakers", [("ls1998", "ls3331"), ("ls367", "ls2033")])  # two women; a woman and a man
def test_real_voices_with_a_pause_wherever_windows_meet(shared, speakers):
    talk = conversation([speech(shared, speaker) for speaker in speakers], 90, seed=1)
    window, overlap = 160000, 12800
    for start in range(window - overlap, talk.shape[1], window - overlap):
        talk[:, start - 800 : start + overlap + 800] = 0
    embedder = Counted(embedded)
    tracker = SourceTracker(2, 16000, embedder)
    found = follow(tracker, talk, leak=0.15, window=window, overlap=overlap)
    assert steady(found)
    assert tracker.by_voice == len(found) - 1 == 9
    assert embedder.rows <= 2 * len(found)


class Oracle(nn.Module):
    """A separator that knows the sources, and gives them in any order with some of the others and some noise."""

    kind, sample_rate, num_sources = "separation", 16000, 2

    def __init__(self, sources, overlap):
        super().__init__()
        self.card, self.spec = {}, {}
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.sources, self.overlap, self.start = sources, overlap, 0
        self.random = np.random.default_rng(0)

    def forward(self, mixture, lengths=None):
        part = self.sources[:, self.start : self.start + mixture.shape[1]]
        assert np.allclose(part.sum(axis=0), mixture[0].numpy(), atol=1e-6)
        self.start += part.shape[1] - self.overlap
        outputs = part + 0.15 * part[::-1] + self.random.normal(0, 3e-4, part.shape)
        return torch.from_numpy(outputs[self.random.permutation(2)].astype(np.float32))[None]


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [("ls1998", "ls3331"), ("ls367", "ls2033")])
def test_ten_minutes_of_two_real_voices_keep_their_tracks(shared, speakers):
    talk = conversation([speech(shared, speaker) for speaker in speakers], 600, seed=2)
    done = separate((talk.sum(axis=0), 16000), model=Oracle(talk, 12800), rescale=False)
    assert done.by_correlation + done.by_voice + done.kept == 65
    assert done.by_voice >= 3  # pauses do meet borders
    tracks = done.waveforms if np.vdot(done.waveforms[0], talk[0]) > np.vdot(done.waveforms[0], talk[1]) else done.waveforms[::-1]
    for start in range(0, talk.shape[1], 16000):  # second by second: nowhere exchanged
        given, wanted = tracks[:, start : start + 16000], talk[:, start : start + 16000]
        assert np.linalg.norm(given - wanted) <= 0.3 * np.linalg.norm(wanted) + 0.1, f"{start / 16000:g} s"
    untracked = separate((talk.sum(axis=0), 16000), model=Oracle(talk, 12800), rescale=False, tracking=False)
    assert np.linalg.norm(untracked.waveforms - talk) > 0.8 * np.linalg.norm(talk)  # the test can fail
