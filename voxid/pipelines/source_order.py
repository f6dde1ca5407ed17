"""Which output of a separator is which voice, from one window of a recording to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components

from voxid.errors import ConfigError, DataError

BLOCK = 0.2  # seconds; chopped finer, speech is recognised less well
VOICE = 3.0  # seconds of a voice that are embedded
LEAST = 0.4  # seconds below which a voice is not judged
DOMINANT = 1.5  # a block belongs to a source that has this many times the power of the next
SILENT = 0.01  # of the power of the loud parts: 20 dB below them, noise decides what correlates
FADING = 0.9  # of that power, a window later: one bang does not make silence of all that follows
WAITING = 4  # pieces of a voice that wait to be embedded

Embedder = Callable[[NDArray], NDArray]


@dataclass
class Piece:
    """A piece of a voice [T]; it is embedded when it is asked for, once."""

    waveform: NDArray
    known: NDArray | None = None

    def embedding(self, embed: Embedder) -> NDArray:
        if self.known is None:
            self.known = _unit(embed(self.waveform[None])[0])
        return self.known


@dataclass
class Voice:
    """What is known of the voice on one track.

    Pieces wait here unembedded until a voice is asked for: a recording whose overlaps tell all never pays for an embedding.
    """

    waiting: list[Piece] = field(default_factory=list)
    total: NDArray | None = None
    samples: int = 0

    def hear(self, piece: Piece) -> None:
        """Let a piece wait; the longest few stay."""
        self.waiting = sorted([*self.waiting, piece], key=lambda piece: -len(piece.waveform))[:WAITING]

    def mean(self, embed: Embedder) -> NDArray | None:
        """The mean of the unit embeddings [D] of all that was heard, None of a voice never heard.

        It is not of unit length: its product with another is the mean cosine, which does not grow with what was heard.
        """
        for piece in self.waiting:
            part = len(piece.waveform) * piece.embedding(embed)
            self.total = part if self.total is None else self.total + part
            self.samples += len(piece.waveform)
        self.waiting = []
        return None if self.total is None else self.total / self.samples


class SourceTracker:
    """Puts the outputs of every window [S, T] in the order of the windows before it.

    Two windows share samples. Their outputs are compared there by inner products: what continues a track is like it. Where that
    cannot tell one pair of tracks from its exchange (the pair is silent, or two orders fit nearly alike), the voices are compared
    by the cosine of speaker embeddings. Where these cannot tell either, the likelier order is kept and the tracks stay in doubt:
    the voices of the windows that follow are weighed as well, until they tell; then the order is put right, from there on.

    Voices are taken from the parts of a window where one output is well above the others, 3 s of each at most, and of the windows
    between two questions the longest four. So there is at most one embedding a source and window, and none where overlaps tell
    all. What a separator exchanges in the midst of a window is not seen.

    Args:
        num_sources: S.
        sample_rate: Of the windows, in Hz.
        embed: Speaker embeddings [n, D] of waveforms [n, T]; None = by correlation alone.
        margin: How far apart the best order and an exchange of two tracks must be, as a share of their energy, 0 ... 2.
        voice_margin: The same of cosines, summed over the two, each for 3 s of a voice; less of it weighs less.
        stranger: The cosine halfway between one speaker and two, for a track whose voice was not heard so far.

    Attributes:
        by_correlation, by_voice, kept: Windows whose order the overlap gave, the voices gave, and neither. The first is in none.

    Raises:
        ConfigError: A count below 1.

    Example:
        >>> noise = np.random.default_rng(0).normal(0, [[0.1], [0.2]], (2, 300)).astype(np.float32)
        >>> tracker = SourceTracker(2, 8000)
        >>> tracker.place(noise[:, :200], 0).tolist(), tracker.place(noise[::-1, 100:], 100).tolist()
        ([0, 1], [1, 0])
        >>> tracker.by_correlation, tracker.by_voice, tracker.kept
        (1, 0, 0)
    """

    def __init__(
        self,
        num_sources: int,
        sample_rate: int,
        embed: Embedder | None = None,
        margin: float = 0.15,
        voice_margin: float = 0.07,
        stranger: float = 0.35,
    ) -> None:
        if num_sources < 1 or sample_rate < 1:
            raise ConfigError(f"num_sources and sample_rate must be 1 or more, got {num_sources} and {sample_rate}")
        self.num_sources, self.sample_rate, self.embed = num_sources, sample_rate, embed
        self.margin, self.voice_margin, self.stranger = margin, voice_margin, stranger
        self.by_correlation = self.by_voice = self.kept = 0
        self._before: NDArray | None = None  # the last window, in order
        self._levels = np.zeros(num_sources)  # power of the loud parts of each track
        self._voices = [Voice() for _ in range(num_sources)]
        self._doubt = np.zeros((num_sources, num_sources), dtype=bool)  # pairs of tracks that may be exchanged since some window
        self._evidence = np.zeros((num_sources, num_sources))  # for their voices as they are now, since then

    def place(self, window: NDArray, overlap: int) -> NDArray:
        """The order [S] of a window [S, T]: `window[order]` continues the windows before.

        Args:
            window: The outputs of the separator.
            overlap: Samples at its start that are also the last ones of the window before.

        Raises:
            DataError: ``E_SHAPE``.
        """
        if window.ndim != 2 or len(window) != self.num_sources:
            raise DataError(f"expected a window of {self.num_sources} sources [S, T], got {list(window.shape)}", "E_SHAPE")
        powers = _powers(window, self._block)
        levels = np.sort(powers, axis=1)[:, -max(1, powers.shape[1] // 10) :].mean(axis=1)
        if self._before is None or self.num_sources == 1:
            order = np.arange(self.num_sources)
            self._levels = np.maximum(levels, FADING * self._levels)
            self._listen(self._pieces(window, powers))
        else:
            overlap = min(overlap, window.shape[1], self._before.shape[1])
            past = self._before[:, self._before.shape[1] - overlap :]
            order = self._follow(past, window, powers, levels)
        self._before = window[order]  # a copy: who calls may fade the window where it is
        return order

    @property
    def _block(self) -> int:
        return max(1, round(BLOCK * self.sample_rate))

    def _follow(self, past: NDArray, window: NDArray, powers: NDArray, levels: NDArray) -> NDArray:
        order, unclear = self._by_overlap(past, window[:, : past.shape[1]], levels)
        self._levels = np.maximum(levels[order], FADING * self._levels)
        pieces = self._pieces(window, powers)
        heard = [pieces[place] for place in order]
        told = not unclear.any()
        if told and not self._doubt.any():
            self.by_correlation += 1
            self._listen(heard)
            return order
        exchange, settled = self._by_voice(heard, unclear)
        if told and (exchange == np.arange(self.num_sources)).all():
            self.by_correlation += 1
        elif settled:
            self.by_voice += 1
        else:
            self.kept += 1
        return order[exchange]

    def _by_overlap(self, past: NDArray, now: NDArray, levels: NDArray) -> tuple[NDArray, NDArray]:
        """The order [S] that fits best on the overlap, and the pairs of tracks [S, S] of which it cannot be sure."""
        past, now = past.astype(np.float64), now.astype(np.float64)
        products = past @ now.T
        order = linear_sum_assignment(products, maximize=True)[1]
        before, after = (_sums(np.square(part).sum(axis=1)) for part in (past, now[order]))
        quiet = SILENT * past.shape[1] * _sums(np.maximum(self._levels, levels[order]))
        silent = np.minimum(before, after) <= quiet
        return order, _pairs(silent | (_gaps(products[:, order]) < self.margin * np.sqrt(before * after)))

    def _by_voice(self, heard: list[Piece | None], unclear: NDArray) -> tuple[NDArray, bool]:
        """Weighs the voices of a window: how its tracks are to be exchanged [S], and whether they told all that was open."""
        evidence, known = self._weigh(heard)
        questions = self._doubt | unclear
        group = connected_components(questions, directed=False)[1]
        within = group[:, None] == group
        evidence = evidence + self._evidence
        # No exchange between groups, and none where nothing speaks for it.
        fit = np.where(within, evidence, -1e6) + 1e-9 * np.eye(self.num_sources)
        order = linear_sum_assignment(fit, maximize=True)[1]
        evidence = evidence[:, order]
        # Where no voice of a group is known, any order is right: nothing is in doubt.
        answerable = within & np.any(within & known, axis=1, keepdims=True)
        self._doubt = _pairs(answerable & (_gaps(evidence) < self.voice_margin))
        doubtful = np.any(self._doubt, axis=1, keepdims=True)
        self._evidence = evidence * (doubtful & doubtful.T)
        self._listen([heard[place] for place in order])
        return order, not (questions & (self._doubt | ~answerable)).any()

    def _weigh(self, heard: list[Piece | None]) -> tuple[NDArray, NDArray]:
        """How much each voice of a window [second axis] is like each track [S, S], 0 = no idea; and the tracks that are known."""
        evidence = np.zeros((self.num_sources, self.num_sources))
        means = [None if self.embed is None else voice.mean(self.embed) for voice in self._voices]
        known = np.array([mean is not None for mean in means])
        if self.embed is None or not known.any():
            return evidence, known
        for source, piece in enumerate(heard):
            if piece is None:
                continue
            embedding = piece.embedding(self.embed)
            for track, mean in enumerate(means):
                if mean is not None:
                    weight = min(len(piece.waveform), self._voices[track].samples) / (VOICE * self.sample_rate)
                    evidence[track, source] = min(1.0, weight) * (float(mean @ embedding) - self.stranger)
        return evidence, known

    def _listen(self, heard: list[Piece | None]) -> None:
        """Remember the voices of a window in the order of the tracks, of the tracks that are not in doubt."""
        for track, piece in enumerate(heard):
            if piece is not None and not self._doubt[track].any():
                self._voices[track].hear(piece)

    def _pieces(self, window: NDArray, powers: NDArray) -> list[Piece | None]:
        """Of each output the loudest blocks in which it is well above the others, in their order in time."""
        if self.embed is None or self.num_sources == 1:
            return [None] * self.num_sources
        second, first = np.sort(powers, axis=0)[-2:]
        others = np.where(powers == first, second, first)
        clear = (powers > DOMINANT * others) & (powers > SILENT * self._levels.max())
        return [self._piece(*row) for row in zip(window, powers, clear, strict=True)]

    def _piece(self, waveform: NDArray, powers: NDArray, clear: NDArray) -> Piece | None:
        blocks = np.flatnonzero(clear)
        if len(blocks) * self._block < LEAST * self.sample_rate:
            return None
        loudest = blocks[np.argsort(-powers[blocks])[: round(VOICE / BLOCK)]]
        parts = [waveform[block * self._block : (block + 1) * self._block] for block in np.sort(loudest)]
        return Piece(np.concatenate(parts))


def _powers(window: NDArray, block: int) -> NDArray:
    """Mean power of blocks [S, N] of a window [S, T], N = 1 or more; what is left over at its end is not heard."""
    block = max(1, min(block, window.shape[1]))
    count = window.shape[1] // block
    blocks = window[:, : count * block].reshape(len(window), max(1, count), -1)
    return np.einsum("snt,snt->sn", blocks, blocks).astype(np.float64) / block


def _gaps(fit: NDArray) -> NDArray:
    """What the exchange of two tracks would lose [S, S], of a fit [S, S] whose diagonal is the order at hand."""
    return _sums(np.diag(fit)) - fit - fit.T


def _sums(values: NDArray) -> NDArray:
    """The sums of all pairs [S, S] of values [S]."""
    return values[:, None] + values


def _pairs(table: NDArray) -> NDArray:
    """A table [S, S] without its diagonal."""
    return table & ~np.eye(len(table), dtype=bool)


def _unit(vector: NDArray) -> NDArray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
