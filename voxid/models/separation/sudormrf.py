"""SuDoRM-RF: separation by successive down-sampling and re-sampling of the features of a learned filter bank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxid.errors import ModelError, did_you_mean
from voxid.models.layers import check_counts, frame_mask, keep_frames
from voxid.models.separation.causal import CausalNet
from voxid.models.separation.decoder import Decoder
from voxid.models.separation.filters import fourier_filters, magnitudes
from voxid.models.separation.mask_heads import DenseHead, SlidingHead, masked
from voxid.models.separation.mixture import mixture_consistency, normalized
from voxid.models.separation.sudormrf_stream import SuDoRMRFStream
from voxid.models.separation.uconv import FirstUConvBlock, GlobalNorm, GroupBlock, UConvBlock
from voxid.models.speaker.encoder import check_waveform
from voxid.registry import register

SIZES = {"0.25x": 4, "0.5x": 8, "1.0x": 16, "2.0x": 32, "2.5x": 40}  # U-ConvBlocks
VARIANTS = {"original": "softmax", "improved": "relu", "groupcomm": "relu", "causal": "none"}  # and their masks
LINEAR = ("improved", "groupcomm")  # variants whose frames are a linear function of the waveform
BASES = ("random", "fourier")
LEVEL_SECONDS = 4.0


@register("separation", "sudormrf")
class SuDoRMRF(nn.Module):
    """Mixtures [B, T] -> their sources [B, S, T], in no fixed order.

    The net hears its input at one level and without its mean. So it scales as its input does, from full scale to 100 dB below:
    twice the input gives twice the output. A constant added to the input changes nothing (in the causal net it does).

    Args:
        size: U-ConvBlocks of the net: 0.25x (4), 0.5x (8), 1.0x (16), 2.0x (32) or 2.5x (40). The original net of two sources at
            8 kHz then has 791,174, 1,414,790, 2,662,022, 5,156,486 or 6,403,718 parameters.
        variant: ``original`` (2020): ReLU frames, softmax masks, a slope for each channel, one decoder a source. ``improved``
            (2022): linear frames, ReLU masks, no norm behind the sum of a block, one dense decoder. ``groupcomm``: the improved
            net on groups of channels. ``causal``: the improved net without norms, with kernels that look back; no masks, the
            head gives the frames of the sources; it has a `stream`.
        num_sources: S, 1 or more.
        sample_rate: Of the waveforms, in Hz.
        num_basis: F, filters of the encoder.
        kernel_size: Samples of a filter, an odd number; half of it is the hop. None: 21 at 8 kHz, 41 at 16 kHz and so on.
        channels: C, between the blocks.
        hidden: Inside the blocks.
        num_blocks: Another number of blocks than that of `size`.
        downsamplings: Q; a block works on Q + 1 time scales, each half as fine as the one before.
        groups: Of channels, in ``groupcomm``.
        mask: ``softmax`` (masks sum to 1 over the sources; a sigmoid where there is one), ``sigmoid``, ``relu``, or ``none``. The
            default is that of the variant.
        mixture_consistency: Share what the sources lack of the mixture among them: they sum to it, sample by sample.
        normalize: Bring the input to one level, and the output back: by mean and standard deviation of the waveform, or, in the
            causal net, by the root mean square of the last 4 s.
        basis: What the filters are before any training: ``random``, or ``fourier``, windowed cosines and sines with which a net
            of long filters learns sooner (``improved`` and ``groupcomm``).
        magnitudes: The blocks hear the compressed magnitudes of pairs of filters (n and n + F / 2, a cosine and a sine in a
            Fourier basis), not the frames themselves, whose phases a net of long filters would have to learn to ignore
            (``improved`` and ``groupcomm``). The masks are for the frames as ever.

    Raises:
        ValueError: An unknown size, variant, mask or basis, a count below 1, an even `kernel_size`, `channels` that `groups`
            does not divide, a Fourier basis or magnitudes in a variant that has none.

    Example:
        >>> import torch
        >>> net = SuDoRMRF("0.25x", channels=16, hidden=32).eval()
        >>> net(torch.randn(3, 1234)).shape
        torch.Size([3, 2, 1234])

    Tzinis et al., "Sudo rm -rf: efficient networks for universal audio source separation", MLSP 2020; "Compute and memory
    efficient universal sound source separation", Journal of Signal Processing Systems 2022; layer orders after the authors' code.
    """

    kind: ClassVar[str] = "separation"

    def __init__(
        self,
        size: str = "1.0x",
        variant: str = "original",
        num_sources: int = 2,
        sample_rate: int = 8000,
        num_basis: int = 512,
        kernel_size: int | None = None,
        channels: int = 128,
        hidden: int = 512,
        num_blocks: int | None = None,
        downsamplings: int = 4,
        groups: int = 16,
        mask: str | None = None,
        mixture_consistency: bool = False,
        normalize: bool = True,
        basis: str = "random",
        magnitudes: bool = False,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "size", "__class__")}
        super().__init__()
        _check_words(size=size, variant=variant, basis=basis)
        if variant not in LINEAR and (magnitudes or basis == "fourier"):
            raise ValueError(f"basis 'fourier' and magnitudes are for the variants {' and '.join(LINEAR)}, not for {variant!r}")
        num_blocks = SIZES[size] if num_blocks is None else num_blocks
        kernel_size = 2 * round(sample_rate / 800) + 1 if kernel_size is None else kernel_size
        mask = VARIANTS[variant] if mask is None else mask
        check_counts(num_sources=num_sources, sample_rate=sample_rate, num_basis=num_basis, channels=channels)
        check_counts(hidden=hidden, num_blocks=num_blocks, groups=groups)
        if downsamplings < 0:
            raise ValueError(f"downsamplings must be 0 or more, got {downsamplings}")
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, 3 or more: half of it is the hop; got {kernel_size}")
        # Every argument by its value: a preset may change, a stored model may not. `size` is in `num_blocks`, and by its name it
        # could not be stored: a model file refuses texts with a dot, which might be import paths.
        self.spec = {"name": "sudormrf"} | given | {"num_blocks": num_blocks, "kernel_size": kernel_size, "mask": mask}
        self.card: dict[str, Any] = {}
        self.num_sources, self.sample_rate, self.mixture_consistency = num_sources, sample_rate, mixture_consistency
        sizes = (num_basis, kernel_size, channels, hidden, num_blocks, downsamplings, num_sources, mask)
        self.net: CausalNet | WholeNet
        if variant == "causal":
            hops = LEVEL_SECONDS * sample_rate / (kernel_size // 2)
            self.net = CausalNet(*sizes, level_frames=max(1, round(hops)) if normalize else 0)
        else:
            self.net = WholeNet(variant, *sizes, groups=groups, normalize=normalize, magnitudes=magnitudes)
            if basis == "fourier":
                self.net.start_from_fourier()

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Sources [B, S, T] of mixtures [B, T]; `lengths` [B] in samples when items are padded at their end.

        Raises:
            ModelError: ``E_SHAPE``, a waveform that is not [B, T], or lengths that do not fit it.
        """
        waveform = self._silenced(waveform, lengths)
        sources = self.net(waveform, lengths)
        if self.mixture_consistency:
            sources = mixture_consistency(sources, waveform)
        return sources if lengths is None else sources * frame_mask(lengths, waveform.shape[1])

    def masks(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Masks [B, S, F, N] that the net applies to its frames, one every hop; with ``mask: none`` the frames of the sources."""
        return self.net.masks(self._silenced(waveform, lengths), lengths)

    def stream(self, batch: int = 1) -> SuDoRMRFStream:
        """A stream of `batch` signals that run side by side through this net.

        Raises:
            ModelError: ``E_STREAM``, a net that is not causal.
        """
        if not isinstance(self.net, CausalNet):
            raise ModelError("this net hears the whole recording and has no stream; build it with variant='causal'", "E_STREAM")
        return SuDoRMRFStream(self.net, batch, self.mixture_consistency)

    def _silenced(self, waveform: Tensor, lengths: Tensor | None) -> Tensor:
        check_waveform(waveform, lengths)
        return waveform if lengths is None else waveform.masked_fill(~frame_mask(lengths, waveform.shape[1])[:, 0], 0)


def _check_words(**words: str) -> None:
    for what, known in (("size", SIZES), ("variant", VARIANTS), ("basis", BASES)):
        if words[what] not in known:
            raise ValueError(f"unknown {what} {words[what]!r}: {did_you_mean(words[what], known)}")


class WholeNet(nn.Module):
    """The net that hears a whole waveform before it says anything: [B, T] -> [B, S, T]. Arguments are those of `SuDoRMRF`."""

    def __init__(
        self,
        variant: str,
        num_basis: int,
        kernel_size: int,
        channels: int,
        hidden: int,
        num_blocks: int,
        downsamplings: int,
        num_sources: int,
        mask: str,
        groups: int,
        normalize: bool,
        magnitudes: bool,
    ) -> None:
        super().__init__()
        first = variant == "original"
        self.hop, self.normalize, self.magnitudes = kernel_size // 2, normalize, magnitudes
        self.rectify = nn.ReLU() if first else nn.Identity()
        self.encoder = nn.Conv1d(1, num_basis, kernel_size, stride=self.hop, bias=first)
        if magnitudes and num_basis % 2:
            raise ValueError(f"magnitudes are those of pairs of filters: num_basis must be even, got {num_basis}")
        heard = num_basis // 2 if magnitudes else num_basis
        self.norm = GlobalNorm(heard)
        self.bottleneck = nn.Conv1d(heard, channels, 1)
        block = _block(variant, channels, hidden, downsamplings, groups)
        self.blocks = nn.ModuleList(block() for _ in range(num_blocks))
        self.head = (SlidingHead if first else DenseHead)(channels, num_basis, num_sources, mask)
        self.decoder = Decoder(num_basis, num_sources, kernel_size, separate=first, bias=first)
        if not first:
            nn.init.xavier_uniform_(self.encoder.weight)
            nn.init.xavier_uniform_(self.decoder.weight)

    @torch.no_grad()
    def start_from_fourier(self) -> None:
        """Put a Fourier basis in the place of the filters; each source is then led back as the mixture would be."""
        encoder, decoder = fourier_filters(self.encoder.out_channels, self.encoder.kernel_size[0])
        self.encoder.weight.copy_(encoder[:, None])
        sources = torch.eye(self.decoder.num_sources)
        self.decoder.weight.copy_(torch.einsum("st,fk->sftk", sources, decoder).flatten(0, 1))

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Sources [B, S, T] of waveforms [B, T], which must be 0 behind `lengths`; what is behind them in the sources is not."""
        frames, mask, level = self.encode(waveform, lengths)
        out = masked(self.head, self.refine(frames, mask), frames)
        if mask is not None:
            out = out * mask.unsqueeze(1)
        sources = self.decoder(out.flatten(1, 2))[:, :, : waveform.shape[1]]
        return sources if level is None else sources * level.unsqueeze(1)

    def masks(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Masks [B, S, F, N] of waveforms [B, T]."""
        frames, mask, _ = self.encode(waveform, lengths)
        return self.head(self.refine(frames, mask))

    def encode(self, waveform: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Frames [B, F, N], N = ceil(T / hop), their mask [B, 1, N] and the level [B, 1] that was taken from them."""
        level = None
        if self.normalize:
            waveform, level = normalized(waveform, lengths)
        num_frames = -(-waveform.shape[1] // self.hop)
        padded = F.pad(waveform, (self.hop, (num_frames + 1) * self.hop - waveform.shape[1]))
        frames = self.rectify(self.encoder(padded.unsqueeze(1)))
        mask = None if lengths is None else frame_mask((lengths + self.hop - 1) // self.hop, num_frames)
        return keep_frames(frames, mask), mask, level

    def refine(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """What the head sees [B, C, N] of frames [B, F, N]."""
        y = self.bottleneck(self.norm(magnitudes(frames) if self.magnitudes else frames, mask))
        for block in self.blocks:
            y = block(y, mask)
        return y


def _block(variant: str, channels: int, hidden: int, downsamplings: int, groups: int) -> Callable[[], nn.Module]:
    if variant == "original":
        return lambda: FirstUConvBlock(channels, hidden, downsamplings)
    if variant == "improved":
        return lambda: UConvBlock(channels, hidden, downsamplings)
    return lambda: GroupBlock(channels, hidden, downsamplings, groups)
