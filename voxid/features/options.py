"""Options of the front-ends: one field, one convention. A preset (`presets.py`) says what differs from the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from voxid.errors import ConfigError, did_you_mean

CHOICES: dict[str, tuple[str | int, ...]] = {
    "window": ("hamming", "hann", "hanning", "povey", "blackman", "sine", "rectangular"),
    "edges": ("snip", "mirror", "reflect", "zero"),
    "preemphasis_on": ("frame", "signal", "filter"),
    "power": (1, 2),
    "log": ("ln", "log10", "db", "none"),
    "normalize": ("none", "mean", "mean_var", "instance", "sliding"),
    "deltas": (0, 1, 2),
    "delta_edges": ("htk", "kaldi"),
    "mel_scale": ("htk", "slaney", "linear"),
    "mel_norm": ("none", "slaney"),
    "filter_shape": ("mel", "hz", "symmetric"),
    "tree": ("packet", "dwt"),
}
TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}


@dataclass(frozen=True, kw_only=True)
class FrontendOptions:
    """What every front-end takes: the rate, the frames' distance, the logarithm, and what looks at whole items.

    Attributes:
        sample_rate: Rate of the waveform, in Hz.
        frame_shift: In milliseconds; cut to whole samples, as Kaldi does.
        power: 2 = power, 1 = magnitude.
        log: ln, log10, db (10 log10 of a power) or none.
        log_floor: Smallest value that goes into the logarithm.
        log_offset: Added before the logarithm.
        top_db: Clip to this far below the item's maximum, in dB; 0 (or None) is off. Needs log = db.
        deltas: 1 puts the slopes of all rows over time below them, 2 the slopes of the slopes too: see `deltas.add_deltas`.
        delta_window: Frames on each side of a slope.
        delta_edges: htk or kaldi: what stands beside the first and the last frame of an item.
        delta_norm: Divide the slopes by 2 (1 + 4 + 9 ...); ASVspoof's baselines do not.
        normalize: none, mean, mean_var, instance or sliding: over the frames of each item, see `normalize.normalize`.
        cmn_window: Frames of the sliding mean.
    """

    sample_rate: int = 16000
    frame_shift: float = 10.0
    power: int = 2
    log: str = "ln"
    log_floor: float = 2.0**-23
    log_offset: float = 0.0
    top_db: float = 0.0
    deltas: int = 0
    delta_window: int = 2
    delta_edges: str = "htk"
    delta_norm: bool = True
    normalize: str = "mean"
    cmn_window: int = 300

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_value(field.name, str(field.type), getattr(self, field.name))
        for name in ("sample_rate", "frame_shift"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("cmn_window", "delta_window"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1 frame, got {getattr(self, name)}")
        if self.shift < 1:
            raise ConfigError(f"frame_shift must be at least 1 sample, got {self.frame_shift} ms at {self.sample_rate} Hz")
        if self.log != "none" and self.log_floor <= 0 and self.log_offset <= 0:
            raise ConfigError("silence has no logarithm: give log_floor or log_offset above 0")
        if self.top_db and self.log != "db":
            raise ConfigError(f"top_db needs log='db', got log={self.log!r}")

    @property
    def shift(self) -> int:
        """Samples from one frame to the next."""
        return _samples(self.sample_rate, self.frame_shift)


@dataclass(frozen=True, kw_only=True)
class FramedOptions(FrontendOptions):
    """From the waveform to windowed frames. The defaults are voxid's own chain: Kaldi's with a Hamming window.

    Attributes:
        frame_length: In milliseconds; cut to whole samples, as Kaldi does.
        window: hamming, hann (also spelt hanning), povey, blackman, sine or rectangular.
        periodic: Windows of torch and scipy's spectral functions (period = length) instead of symmetric ones (length - 1).
        edges: snip = whole frames only (Kaldi's snip_edges); mirror = Kaldi's snip_edges=False; reflect, zero = frames
            centred on multiples of the shift, as torch.stft pads (center=True with pad_mode reflect or constant).
        scale: Factor on the waveform; 32768 brings [-1, 1] to the range of 16-bit integers.
        dither: Standard deviation of noise added while the module is in training mode, in units of the scaled waveform.
        remove_dc: Take off each frame's mean.
        preemphasis: Coefficient; 0 is off.
        preemphasis_on: frame = within each frame, its first sample x0 - c x0 (Kaldi); signal = on the whole waveform,
            with x0 - c x1 at its start; filter = on the whole waveform, with x0 at its start.
    """

    frame_length: float = 25.0
    window: str = "hamming"
    periodic: bool = False
    edges: str = "snip"
    scale: float = 32768.0
    dither: float = 0.0
    remove_dc: bool = True
    preemphasis: float = 0.97
    preemphasis_on: str = "frame"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("frame_length", "scale"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.length < 2:
            raise ConfigError(f"a frame needs 2 samples, got {self.frame_length} ms at {self.sample_rate} Hz")
        if self.edges == "mirror" and self.shift > self.length:
            raise ConfigError(f"edges={self.edges!r} needs frame_shift <= frame_length; take edges='snip'")

    @property
    def length(self) -> int:
        """Samples of a frame."""
        return _samples(self.sample_rate, self.frame_length)

    @property
    def points(self) -> int:
        """Points of the transform of a frame."""
        return self.length


@dataclass(frozen=True, kw_only=True)
class SpectrogramOptions(FramedOptions):
    """From frames to the spectrum: the options of the frames, and this one.

    Attributes:
        n_fft: Points of the Fourier transform; 0 (or None) is the next power of two.
    """

    n_fft: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_fft and self.n_fft < self.length:
            raise ConfigError(f"n_fft must be 0 or at least the frame's {self.length} samples, got {self.n_fft}")

    @property
    def points(self) -> int:
        """Points of the Fourier transform."""
        return self.n_fft or next_power(self.length)


@dataclass(frozen=True, kw_only=True)
class FbankOptions(SpectrogramOptions):
    """From the waveform to mel filter banks: the spectrum's options, and these.

    Attributes:
        num_mel_bins: Filters.
        low, high: Edges of the first and the last filter, in Hz; `high` <= 0 counts from half the rate.
        mel_scale: htk (also Kaldi's), slaney, or linear: filters spaced evenly in Hz.
        filter_shape: Triangles straight in mel (Kaldi), straight in hz (torchaudio, librosa), or symmetric (SpeechBrain:
            straight in Hz and as wide on the right as on the left).
        mel_norm: none = triangles of height 1; slaney = of area 1.
        log_first: Take the logarithm of the spectrum, before the filters (the seed's chain), not of the filters' output.
        use_energy: One more value a frame, its log energy, in front (Kaldi); in an MFCC it takes the place of C0. Needs log = ln.
        raw_energy: Energy before pre-emphasis and window, or after them.
        htk_compat: Energy (in an MFCC: energy or C0) last.
    """

    num_mel_bins: int = 80
    low: float = 20.0
    high: float = -400.0
    mel_scale: str = "htk"
    filter_shape: str = "mel"
    mel_norm: str = "none"
    log_first: bool = False
    use_energy: bool = False
    raw_energy: bool = True
    htk_compat: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_mel_bins < 1:
            raise ConfigError(f"num_mel_bins must be at least 1, got {self.num_mel_bins}")
        if self.use_energy and self.log != "ln":
            raise ConfigError(f"use_energy needs log='ln', got log={self.log!r}")
        check_band(self.low, self.high, self.sample_rate)

    @property
    def top(self) -> float:
        """Upper edge of the last filter, in Hz."""
        return upper_edge(self.high, self.sample_rate)


@dataclass(frozen=True, kw_only=True)
class MfccOptions(FbankOptions):
    """From the waveform to cepstral coefficients: the filter bank's options, and these.

    Attributes:
        num_ceps: Coefficients, C0 (or the energy) included.
        lifter: Kaldi's cepstral lifter; 0 is off.
    """

    num_mel_bins: int = 30
    num_ceps: int = 30
    lifter: float = 22.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.num_ceps <= self.num_mel_bins:
            raise ConfigError(f"num_ceps must lie within 1 ... num_mel_bins = {self.num_mel_bins}, got {self.num_ceps}")


Options = TypeVar("Options", bound=FrontendOptions)


def build_options(
    kind: type[Options], presets: Mapping[str, Mapping[str, Any]], preset: str, given: Mapping[str, Any]
) -> Options:
    """Options of a front-end: the preset's, then those given beside it; None stands for "off".

    Raises:
        ConfigError: Unknown preset, option or choice, a value of a wrong type, or values that do not go together.

    Example:
        >>> build_options(FbankOptions, {"mine": {"window": "povey"}}, "mine", {"low": 100, "normalize": None}).window
        'povey'
    """
    if not isinstance(preset, str) or preset not in presets:
        raise ConfigError(f"unknown preset {preset!r}: {did_you_mean(str(preset), presets)}")
    types = {field.name: str(field.type) for field in fields(kind)}
    for name in given:
        if name not in types:
            raise ConfigError(f"unknown argument {name!r}: {did_you_mean(name, types)}")
    off = {"str": "none", "bool": False}
    values = {name: off.get(types[name], 0) if value is None else value for name, value in given.items()}
    return kind(**{**presets[preset], **values})


def upper_edge(high: float, rate: int) -> float:
    """The frequency that `high` means, in Hz: `high` <= 0 counts from half the rate."""
    return high if high > 0 else rate / 2 + high


def check_band(low: float, high: float, rate: int) -> None:
    """Raise `ConfigError` unless `low` ... `high` is a band below half the rate, in Hz."""
    top = upper_edge(high, rate)
    if not 0 <= low < top <= rate / 2:
        raise ConfigError(
            f"expected 0 <= low < high <= {rate / 2:g} Hz (half the rate), got low {low:g} and high {high:g} ({top:g} Hz)"
        )


def next_power(samples: int) -> int:
    """The power of two that holds `samples`.

    Example:
        >>> next_power(400)
        512
    """
    return 1 << (samples - 1).bit_length()


def _samples(rate: int, milliseconds: float) -> int:
    # A hair above, so that 0.1 + 0.2 style remainders do not cost a sample.
    return int(rate * milliseconds / 1000 + 1e-6)


def _check_value(name: str, kind: str, value: Any) -> None:
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise ConfigError(f"{name} must be of type {kind}, got {value!r}")
    if name in CHOICES and value not in CHOICES[name]:
        raise ConfigError(f"unknown {name} {value!r}: {did_you_mean(str(value), map(str, CHOICES[name]))}")
