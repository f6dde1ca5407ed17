"""How much audio a caller is ready to take: a small file can hold days of it."""

from __future__ import annotations

from dataclasses import dataclass

from voxid.audio.source import refusal

# FLAC packs a block of 65,535 equal samples into about 11 bytes: a header that promises more for each byte of its file lies.
_SAMPLES_PER_BYTE = 6000


@dataclass(frozen=True)
class Limits:
    """Upper bounds, asked of the header and enforced again while decoding.

    Args:
        duration: Seconds that may be decoded.
        channels: Channels.
        min_rate, max_rate: Sampling rate of the file, in Hz.
        samples: Decoded samples of all channels together.

    Example:
        >>> Limits(duration=600).channels
        8
    """

    duration: float = 3600.0
    channels: int = 8
    min_rate: int = 4000
    max_rate: int = 192_000
    samples: int = 200_000_000

    def check_header(self, name: str, rate: int, channels: int) -> None:
        """Raise E_RATE or E_CHANNELS for a recording outside the bounds."""
        if not self.min_rate <= rate <= self.max_rate:
            raise refusal(name, f"a sampling rate of {rate} Hz; accepted: {self.min_rate} to {self.max_rate} Hz", "E_RATE")
        if not 1 <= channels <= self.channels:
            hint = "split it, or pass limits=Limits(channels=...)"
            raise refusal(name, f"{channels} channels; accepted: 1 to {self.channels}; {hint}", "E_CHANNELS")

    def is_plausible(self, frames: int, size: int) -> bool:
        """Whether a file of `size` bytes can hold what its header promises; a lie is left to what is decoded."""
        return frames <= size * _SAMPLES_PER_BYTE

    def check_decoded(self, name: str, frames: int, rate: int, channels: int) -> None:
        """Raise E_TOO_LONG when more than the bounds is there."""
        hint = "read a part of it (offset, duration), in blocks with stream(), or raise the limit"
        if frames > self.duration * rate:
            raise refusal(name, f"longer than the limit of {self.duration:g} s; {hint}", "E_TOO_LONG")
        if frames * channels > self.samples:
            raise refusal(name, f"more than {self.samples} samples in {channels} channels; {hint}", "E_TOO_LONG")


LIMITS = Limits()
STREAM_LIMITS = Limits(duration=100_000.0, samples=20_000_000_000)
