"""PHASEN, after Yin et al., "PHASEN: a phase-and-harmonics-aware speech enhancement network", AAAI 2020."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.errors import ModelError, did_you_mean
from voxid.models.enhancement.frames import Frames
from voxid.models.enhancement.phasen_blocks import LAYOUTS, TwoStreamBlock, Widths
from voxid.models.enhancement.phasen_layers import ConvNormRelu, Level, MaskedConv2d, State
from voxid.models.enhancement.phasen_stream import PhasenStream
from voxid.models.layers import check_counts, frame_mask
from voxid.models.speaker.encoder import check_waveform
from voxid.registry import register

PAPER = {
    "layout": "paper",
    "channels": 96,
    "phase_channels": 48,
    "blocks": 3,
    "attention_channels": 5,
    "attention_kernel": 9,
    "squeeze": 8,
    "recurrent": 600,
    "dense": 600,
    "residual": False,
    "input_phase": False,
    "compression": 1.0,
    "window_length": 400,
    "hop": 160,
    "n_fft": 512,
    "window": "hann",
}
OPEN = {
    "layout": "huyanxin",
    "channels": 24,
    "phase_channels": 12,
    "recurrent": 300,
    "residual": True,
    "hop": 100,
    "window": "sine",
}
# What a core of a laptop trains and runs: the paper's layout with fewer of everything, and the two options that help a small net.
LITTLE = {
    "channels": 16,
    "phase_channels": 8,
    "blocks": 2,
    "attention_channels": 1,
    "attention_kernel": 3,
    "squeeze": 4,
    "recurrent": 128,
    "dense": 128,
    "input_phase": True,
    "compression": 0.3,
}
HOPS_OF_16_MS = {"window_length": 512, "hop": 256, "window": "sine"}
SIZES: dict[str, dict[str, Any]] = {"paper": PAPER, "huyanxin": PAPER | OPEN, "small": PAPER | LITTLE | HOPS_OF_16_MS}
MEMORY = 250  # frames that the level of a causal net is taken over: 4 s of hops of 16 ms
TINY = 1e-6  # in units of the input's level


@register("enhancement", "phasen")
class Phasen(nn.Module):
    """Noisy waveforms [B, T] -> clean waveforms [B, T]: a mask for the amplitude, a phase of its own for every bin.

    An amplitude and a phase stream go through two-stream blocks; the spectrum that comes out is |S_in| * mask * phase. The net
    hears its input at one level, and so scales as its input does, exactly, down to -120 dB re full scale: twice the input gives
    twice the output. Digital silence comes out as digital silence. What is None follows from `size` and `causal`.

    Args:
        size: What the other arguments start from: "paper" (34.9 million parameters), "huyanxin" (8.8 million, the widths and the
            layout of github.com/huyanxin/phasen, with an LSTM in the place of its GRU) or "small" (2.4 million).
        causal: No frame hears a later one: recurrence in one direction, kernels that look back, norms per frame, the level of
            the last 250 frames; frames of 512 samples every 256 unless they are given. Such a net has a `stream`.
        layout: "paper" (attention over frequency) or "huyanxin" (attention over channels, other kernels, norms behind them).
        channels, phase_channels: Of the amplitude and the phase stream.
        blocks: Two-stream blocks.
        attention_channels, attention_kernel: Channels and frames (odd) of the attention in a frequency transformation.
        squeeze: Channels that the recurrence sees of each bin.
        recurrent: Units of the LSTM, in each direction.
        dense: Width of the two dense layers before the one that gives the mask.
        residual: Add what enters the first block to what enters each later one.
        bounded: A mask in (0, 1), by a sigmoid; otherwise any positive number, by a softplus.
        input_phase: Add the phase of the input to what the phase stream gives, before it is brought to length 1.
        compression: Power of the amplitudes that the net hears; 1 is the paper's.
        window_length, hop, n_fft, window: See `Frames`.
        sample_rate: Of the waveforms, in Hz.

    Raises:
        ValueError: An unknown size or layout, a width below 1, an even kernel, a compression out of (0, 1], or frames that
            lose samples.

    Example:
        >>> net = Phasen("small").eval()
        >>> net(torch.randn(2, 1234)).shape
        torch.Size([2, 1234])
    """

    kind: ClassVar[str] = "enhancement"

    def __init__(
        self,
        size: str = "paper",
        causal: bool = False,
        layout: str | None = None,
        channels: int | None = None,
        phase_channels: int | None = None,
        blocks: int | None = None,
        attention_channels: int | None = None,
        attention_kernel: int | None = None,
        squeeze: int | None = None,
        recurrent: int | None = None,
        dense: int | None = None,
        residual: bool | None = None,
        bounded: bool = True,
        input_phase: bool | None = None,
        compression: float | None = None,
        window_length: int | None = None,
        hop: int | None = None,
        n_fft: int | None = None,
        window: str | None = None,
        sample_rate: int = 16000,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in PAPER and value is not None}
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"unknown size {size!r}: {did_you_mean(size, SIZES)}")
        self.options = SIZES[size] | (HOPS_OF_16_MS if causal else {}) | given
        _check(self.options, sample_rate)
        # Every argument by its value: a preset may change, a stored model may not.
        self.spec = {
            "name": "phasen",
            "size": size,
            "causal": causal,
            "bounded": bounded,
            "sample_rate": sample_rate,
            **self.options,
        }
        self.card: dict[str, Any] = {}
        self.sample_rate = sample_rate
        self.causal, self.bounded = causal, bounded
        self._build()

    def _build(self) -> None:
        own, causal = self.options, self.causal
        layout, channels, phases = LAYOUTS[own["layout"]], own["channels"], own["phase_channels"]
        self.frames = Frames(own["window_length"], own["hop"], own["n_fft"], own["window"])
        self.level = Level(self.frames.power, MEMORY if causal else None)
        widths = Widths(self.frames.num_bins, channels, phases, own["attention_channels"], own["attention_kernel"])
        self.amplitude_in = nn.ModuleList(
            [ConvNormRelu(2, channels, (7, 1), causal), ConvNormRelu(channels, channels, (1, 7), causal)]
        )
        self.phase_in = nn.ModuleList(
            [MaskedConv2d(2, phases, (3, 5), causal), MaskedConv2d(phases, phases, layout.pre_kernel, causal)]
        )
        self.blocks = nn.ModuleList(TwoStreamBlock(widths, layout, causal) for _ in range(own["blocks"]))
        self.phase_out = nn.Conv2d(phases, 2, 1)
        self.amplitude_out = ConvNormRelu(channels, own["squeeze"])
        self.recurrent = nn.LSTM(own["squeeze"] * widths.bins, own["recurrent"], batch_first=True, bidirectional=not causal)
        self.dense = nn.Sequential(
            nn.Linear(own["recurrent"] * (1 if causal else 2), own["dense"]),
            nn.ReLU(),
            nn.Linear(own["dense"], own["dense"]),
            nn.ReLU(),
            nn.Linear(own["dense"], widths.bins),
        )

    @property
    def delay(self) -> int:
        """Samples that the end of a stream's output lies behind the last whole hop of its input."""
        return self.frames.before

    @property
    def precision(self) -> torch.dtype:
        """Of the spectra: double for a net of doubles, else float32, whatever the weights are."""
        return torch.float64 if self.phase_out.weight.dtype == torch.float64 else torch.float32

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.phase_out.weight.device

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Clean waveforms [B, T] of noisy ones [B, T]; `lengths` [B] in samples when items are padded at their end.

        Raises:
            ModelError: ``E_SHAPE``, a waveform that is not [B, T], or lengths that do not fit it.
        """
        spectrum = self.estimate(waveform, lengths)
        with torch.autocast(waveform.device.type, enabled=False):
            clean = self.frames.synthesise(spectrum, waveform.shape[1])
        return clean if lengths is None else clean * frame_mask(lengths, clean.shape[1])[:, 0]

    def estimate(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Clean spectra [B, 2, F, N] of noisy waveforms [B, T], as the net gives them: no waveform need have such a spectrum."""
        check_waveform(waveform, lengths)
        mask = None
        if lengths is not None:
            waveform = waveform * frame_mask(lengths, waveform.shape[1])[:, 0]
            mask = frame_mask(self.frames.num_frames(lengths), self.frames.num_frames(waveform.shape[1]))
        with torch.autocast(waveform.device.type, enabled=False):
            spectrum = self.frames.analyse(waveform.to(self.precision))
        return self.clean(spectrum, mask)

    def clean(self, spectrum: Tensor, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Clean spectra [B, 2, F, N] of noisy ones; with `state`, which this fills, of the frames that come next in a stream."""
        with torch.autocast(spectrum.device.type, enabled=False):
            heard = spectrum / self.level(spectrum, mask, state)
            heard = heard * (heard.square().sum(dim=1, keepdim=True) + TINY).pow((self.options["compression"] - 1) / 2)
            # The length of a vector has a gradient of 0 where it is 0, a root of a sum none.
            loudness = torch.linalg.vector_norm(spectrum, dim=1, keepdim=True)
        gain, phase = self._streams(heard.to(self.phase_out.weight.dtype), mask, state)
        with torch.autocast(spectrum.device.type, enabled=False):
            phase = phase.to(spectrum.dtype)
            if self.options["input_phase"]:
                phase = phase + heard * (heard.square().sum(dim=1, keepdim=True) + TINY).rsqrt()
            return loudness * gain.to(spectrum.dtype) * F.normalize(phase, dim=1, eps=TINY)

    def _streams(self, heard: Tensor, mask: Tensor | None, state: State | None) -> tuple[Tensor, Tensor]:
        """Mask [B, 1, F, N] and phase [B, 2, F, N], of any length, of spectra [B, 2, F, N]."""
        amplitude = phase = heard
        for layer in self.amplitude_in:
            amplitude = layer(amplitude, mask, state)
        for layer in self.phase_in:
            phase = layer(phase, mask, state)
        first = amplitude, phase
        for number, block in enumerate(self.blocks):
            if number and self.options["residual"]:
                amplitude, phase = amplitude + first[0], phase + first[1]
            amplitude, phase = block(amplitude, phase, mask, state)
        logits = self.dense(self._recur(self.amplitude_out(amplitude, mask).flatten(1, 2).transpose(1, 2), mask, state))
        gain = torch.sigmoid(logits.float()) if self.bounded else F.softplus(logits.float())
        return gain.transpose(1, 2).unsqueeze(1), self.phase_out(phase)

    def _recur(self, x: Tensor, mask: Tensor | None, state: State | None) -> Tensor:
        """The recurrence over time [B, N, C] -> [B, N, D]; each item ends where its mask does."""
        if self.causal:
            past = None if state is None else state.get(self.recurrent)
            x, past = self.recurrent(x, past)
            if state is not None:
                state[self.recurrent] = past
            return x
        if mask is None:
            return self.recurrent(x)[0]
        packed = nn.utils.rnn.pack_padded_sequence(x, mask.sum(dim=(1, 2)).cpu(), batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=x.shape[1])[0]

    def stream(self, batch: int = 1) -> PhasenStream:
        """A stream of `batch` signals that run side by side through this net.

        Raises:
            ModelError: ``E_STREAM``, a net that is not causal, or is in training.
        """
        if not self.causal:
            raise ModelError("this net hears the whole recording and has no stream; build it with causal=True", "E_STREAM")
        return PhasenStream(self, batch)


def _check(options: dict[str, Any], sample_rate: int) -> None:
    """Raise `ValueError` for values that make no net."""
    check_counts(sample_rate=sample_rate, **{name: value for name, value in options.items() if type(value) is int})
    if options["layout"] not in LAYOUTS:
        raise ValueError(f"unknown layout {options['layout']!r}: {did_you_mean(options['layout'], LAYOUTS)}")
    if options["attention_kernel"] % 2 == 0:
        raise ValueError(f"attention_kernel must be odd so that the length stays, got {options['attention_kernel']}")
    if not 0 < options["compression"] <= 1:
        raise ValueError(f"compression must lie in (0, 1], got {options['compression']}")
