"""What each project's chain sets differently from voxid's defaults (`options.py`). A filter bank takes the spectrum's row
and its own, an MFCC all three; an LFCC has a table of its own.

Facts: Kaldi's compute-*-feats and add-deltas, torchaudio's MelSpectrogram, MFCC and LFCC, SpeechBrain's Fbank, MFCC and
spkrec-ecapa-voxceleb recipe, wespeaker's and 3D-Speaker's processors, thuhcsi/torch_speaker's audio/feature.py, and the LFCC
of the LFCC-LCNN baseline of ASVspoof 2021 (asvspoof-challenge/2021) with the sizes of 2019 and of 2021.
"""

from __future__ import annotations

from typing import Any

Presets = dict[str, dict[str, Any]]

_KALDI = {"window": "povey", "normalize": "none", "delta_edges": "kaldi"}
# Torch's short-time Fourier transform on the bare waveform.
_TORCH = {
    "n_fft": 400,
    "periodic": True,
    "scale": 1.0,
    "remove_dc": False,
    "preemphasis": 0.0,
    "log": "none",
    "normalize": "none",
}

SPECTROGRAM: Presets = {
    "voxid": {},
    "kaldi": _KALDI,
    "torchaudio": {**_TORCH, "frame_shift": 12.5, "window": "hann", "edges": "reflect"},
    "speechbrain": {**_TORCH, "edges": "zero"},
    "wespeaker": {},
    "3dspeaker": {"window": "povey", "scale": 1.0},
    "torch_speaker": {
        "periodic": True,
        "edges": "reflect",
        "scale": 1.0,
        "remove_dc": False,
        "preemphasis_on": "signal",
        "power": 1,
        "log_floor": 0.0,
        "log_offset": 1e-9,
        "normalize": "instance",
    },
}
_WHOLE_BAND = {"low": 0.0, "high": 0.0}
_DB = {"log": "db", "log_floor": 1e-10, "top_db": 80.0}

FBANK: Presets = {
    "voxid": SPECTROGRAM["voxid"],
    "kaldi": {**SPECTROGRAM["kaldi"], "num_mel_bins": 23, "high": 0.0},
    "torchaudio": {**SPECTROGRAM["torchaudio"], **_WHOLE_BAND, "num_mel_bins": 128, "filter_shape": "hz"},
    "speechbrain": {**SPECTROGRAM["speechbrain"], **_WHOLE_BAND, **_DB, "filter_shape": "symmetric", "normalize": "mean"},
    "wespeaker": {**SPECTROGRAM["wespeaker"], "high": 0.0},
    "3dspeaker": {**SPECTROGRAM["3dspeaker"], "high": 0.0},
    "torch_speaker": {
        **SPECTROGRAM["torch_speaker"],
        **_WHOLE_BAND,
        "num_mel_bins": 64,
        "mel_scale": "slaney",
        "mel_norm": "slaney",
        "filter_shape": "hz",
        "log_first": True,
    },
}

MFCC: Presets = {
    "voxid": FBANK["voxid"],
    "kaldi": {**FBANK["kaldi"], "num_ceps": 13, "use_energy": True},
    "torchaudio": {**FBANK["torchaudio"], **_DB, "num_ceps": 40, "lifter": 0.0},
    "speechbrain": {**FBANK["speechbrain"], "num_mel_bins": 23, "num_ceps": 20, "lifter": 0.0, "normalize": "none"},
}
_ASVSPOOF = {
    **_TORCH,
    "frame_length": 20.0,
    "edges": "zero",
    "preemphasis": 0.97,
    "preemphasis_on": "filter",
    "log": "log10",
    "log_floor": 0.0,
    "log_offset": 2.0**-23,
    "num_filters": 20,
    "num_ceps": 20,
    "deltas": 2,
    "delta_window": 1,
    "delta_norm": False,
}

LFCC: Presets = {
    "voxid": {},
    "torchaudio": {**SPECTROGRAM["torchaudio"], **_DB, "num_filters": 128, "num_ceps": 40},
    "asvspoof2019": {**_ASVSPOOF, "n_fft": 512},
    # Its filters end at the bin below 4 kHz.
    "asvspoof2021": {**_ASVSPOOF, "n_fft": 1024, "high": 255 * 15.625, "use_energy": True},
}

CQT: Presets = {"voxid": {}}
WAVELET: Presets = {"voxid": {}}
