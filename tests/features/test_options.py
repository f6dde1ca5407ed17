"""voxid.features.options: what is refused, and how."""

from __future__ import annotations

import pytest

from voxid import registry
from voxid.errors import ConfigError
from voxid.features import presets
from voxid.features.fbank import Fbank
from voxid.features.mfcc import Mfcc
from voxid.features.options import FbankOptions, SpectrogramOptions, build_options
from voxid.features.spectrogram import Spectrogram


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "kald"}, "unknown preset 'kald': did you mean 'kaldi'"),
        ({"preset": None}, "unknown preset None"),
        ({"num_mel_bin": 40}, "unknown argument 'num_mel_bin': did you mean 'num_mel_bins'"),
        ({"window": "haming"}, "unknown window 'haming': did you mean 'hamming'"),
        ({"edges": "snap"}, "unknown edges 'snap': did you mean 'snip'"),
        ({"normalize": "means"}, "unknown normalize 'means': did you mean 'mean'"),
        ({"power": 3}, "unknown power 3"),
        ({"num_mel_bins": "80"}, "num_mel_bins must be of type int, got '80'"),
        ({"num_mel_bins": True}, "num_mel_bins must be of type int, got True"),
        ({"remove_dc": 1}, "remove_dc must be of type bool, got 1"),
        ({"num_mel_bins": 0}, "num_mel_bins must be at least 1"),
        ({"sample_rate": -8000}, "sample_rate must be above 0"),
        ({"sample_rate": 10}, "frame_shift must be at least 1 sample, got 10.0 ms at 10 Hz"),
        ({"frame_length": 0.1}, "a frame needs 2 samples, got 0.1 ms at 16000 Hz"),
        ({"edges": "mirror", "frame_shift": 30}, "needs frame_shift <= frame_length"),
        ({"deltas": 3}, "unknown deltas 3"),
        ({"delta_window": 0}, "delta_window must be at least 1 frame, got 0"),
        ({"cmn_window": 0}, "cmn_window must be at least 1 frame, got 0"),
        ({"n_fft": 256}, "at least the frame's 400 samples, got 256"),
        ({"log_floor": 0}, "silence has no logarithm"),
        ({"top_db": 80}, "top_db needs log='db'"),
        ({"low": 4000, "high": 3000}, "0 <= low < high <= 8000 Hz"),
        ({"sample_rate": 8000, "high": 7600}, "0 <= low < high <= 4000 Hz"),
        ({"use_energy": True, "log": None}, "use_energy needs log='ln'"),
        ({"num_mel_bins": 200}, "mel filters see no bin of a 512 point transform"),
    ],
)
def test_a_wrong_option_is_named(options, words):
    with pytest.raises(ConfigError) as error:
        Fbank(**options)
    assert words in str(error.value)


def test_mfcc_has_fewer_presets_and_no_more_coefficients_than_bins():
    with pytest.raises(ConfigError, match="unknown preset 'wespeaker'"):
        Mfcc("wespeaker")
    with pytest.raises(ConfigError, match=r"num_ceps must lie within 1 \.\.\. num_mel_bins = 30, got 31"):
        Mfcc(num_ceps=31)


def test_the_spectrogram_takes_no_option_of_the_filters():
    with pytest.raises(ConfigError, match="unknown argument 'num_mel_bins'"):
        Spectrogram(num_mel_bins=80)


def test_the_registry_passes_options_on():
    frontend = registry.build("frontend", {"name": "fbank", "preset": "kaldi", "num_mel_bins": 40})
    assert frontend.num_bins == 40
    assert frontend.options.window == "povey"
    with pytest.raises(ConfigError, match="did you mean 'num_mel_bins'"):
        registry.build("frontend", {"name": "fbank", "num_mel": 40})


def test_an_argument_overrides_the_preset_and_none_is_off():
    options = build_options(FbankOptions, presets.FBANK, "speechbrain", {"window": "hann", "normalize": None, "top_db": None})
    assert (options.window, options.normalize, options.top_db, options.edges) == ("hann", "none", 0, "zero")
    assert build_options(FbankOptions, presets.FBANK, "speechbrain", {"n_fft": None}).points == 512


@pytest.mark.parametrize(
    ("rate", "length", "shift", "points"), [(16000, 400, 160, 512), (8000, 200, 80, 256), (44100, 1102, 441, 2048)]
)
def test_lengths_in_samples(rate, length, shift, points):
    options = SpectrogramOptions(sample_rate=rate)
    assert (options.length, options.shift, options.points) == (length, shift, points)
