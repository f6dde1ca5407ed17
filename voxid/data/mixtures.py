"""Mixtures by recipe: JSON lines that say which pieces of which recordings are added at which level -> waveforms."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from voxid.audio import io
from voxid.data.table import check_file
from voxid.errors import AudioError, DataError, did_you_mean

CODE = "E_MIXTURES"
LEVEL = -26.0  # dBFS, RMS of a voice
PEAK = 0.95  # a mixture that is louder is turned down to it, full scale is 1
MOST_DB = 200.0  # beyond it float32 holds no sum
LATEST = 1e9  # seconds; no recording is as long


@dataclass(frozen=True)
class Separation:
    """Two voices at once, over noise or not.

    Args:
        id: Name of the mixture.
        s1, s2: The recordings, relative to the folder that `render` is given.
        s1_start, s2_start: Where their pieces begin, in seconds.
        s2_gain_db: Level of the second voice above the first, in dB.
        dur: Length in seconds.
        same_gender: Of the two speakers, where it is known.
        noise: A recording that is added from its start on, over and over; None for none.
        noise_snr_db: Level of the first voice above it, in dB.
        where: File and line that it comes from, for messages.
    """

    id: str
    s1: str
    s1_start: float
    s2: str
    s2_start: float
    s2_gain_db: float
    dur: float
    same_gender: bool | None = None
    noise: str | None = None
    noise_snr_db: float | None = None
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Enhancement:
    """A voice over noise.

    Args:
        id: Name of the mixture.
        speech, noise: The recordings, relative to the folder that `render` is given. Noise that ends early begins again.
        start, noise_start: Where their pieces begin, in seconds.
        snr_db: Level of the voice above the noise, in dB.
        dur: Length in seconds.
        where: File and line that it comes from, for messages.
    """

    id: str
    speech: str
    start: float
    noise: str
    noise_start: float
    snr_db: float
    dur: float
    where: str = field(default="", compare=False)


Recipe = Separation | Enhancement


@dataclass(frozen=True, eq=False)
class Rendered:
    """A mixture and its parts: ``mixture = sources.sum(0) + noise``.

    Args:
        mixture: float32 [T], full scale is 1.
        sources: float32 [S, T], at the levels that they have in the mixture.
        noise: float32 [T]; zeros where there is none.
    """

    mixture: np.ndarray
    sources: np.ndarray
    noise: np.ndarray


def read_mixtures(path: str | Path) -> list[Recipe]:
    """Recipes of mixtures, one JSON object a line; blank lines do not count.

    Args:
        path: UTF-8. A recipe with ``s1`` is a `Separation`, one with ``speech`` an `Enhancement`; its keys are their arguments.

    Raises:
        DataError: ``E_NOT_FILE``, or ``E_MIXTURES`` with file and line.

    Example:
        >>> import tempfile
        >>> row = {"id": "0", "speech": "a.wav", "start": 0, "noise": "n.wav", "noise_start": 0.5, "snr_db": 5, "dur": 4}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "enh.jsonl"
        ...     _ = path.write_text(json.dumps(row))
        ...     read_mixtures(path)[0].snr_db
        5.0
    """
    path = Path(path)
    check_file(path)
    recipes = [_recipe(record, where) for where, record in _records(path)]
    if not recipes:
        raise DataError(f"{path}: no mixture in it; expected a JSON object a line", CODE)
    return recipes


def render(recipe: Recipe, root: str | Path, sample_rate: int = 16000) -> Rendered:
    """The waveforms of a recipe; only the pieces are read.

    Voices are scaled to an RMS of -26 dBFS, the second one by its gain above that, and noise to the SNR below it, each measured
    over the piece as it sounds. A mixture that peaks above 0.95 is turned down to it, with its parts.

    Args:
        recipe: A line of `read_mixtures`.
        root: The folder that its paths are relative to.
        sample_rate: In Hz.

    Raises:
        DataError: With file and line: a recording that is missing or cannot be read, that ends before the piece does, or is
            silent there.
    """
    pieces = _Pieces(Path(root), sample_rate, recipe.dur, recipe.where)
    if isinstance(recipe, Enhancement):
        sources = [pieces.voice(recipe.speech, recipe.start, LEVEL)]
        return add(sources, pieces.noise(recipe.noise, recipe.noise_start, LEVEL - recipe.snr_db))
    sources = [
        pieces.voice(recipe.s1, recipe.s1_start, LEVEL),
        pieces.voice(recipe.s2, recipe.s2_start, LEVEL + recipe.s2_gain_db),
    ]
    if recipe.noise is None or recipe.noise_snr_db is None:
        return add(sources)
    return add(sources, pieces.noise(recipe.noise, 0.0, LEVEL - recipe.noise_snr_db))


def add(sources: list[np.ndarray], noise: np.ndarray | None = None) -> Rendered:
    """The sum of waveforms [T] and noise [T]; where it peaks above 0.95, it and its parts are turned down.

    Example:
        >>> added = add([np.array([1.0, 0.0]), np.array([0.9, 0.1])])
        >>> added.mixture, added.sources[0]
        (array([0.95, 0.05], dtype=float32), array([0.5, 0. ], dtype=float32))
    """
    parts = np.stack([*sources, np.zeros_like(sources[0]) if noise is None else noise]).astype(np.float64)
    mixture = parts.sum(axis=0)
    scale = PEAK / max(PEAK, float(np.abs(mixture).max()))
    scaled = (scale * parts).astype(np.float32)
    return Rendered((scale * mixture).astype(np.float32), scaled[:-1], scaled[-1])


def at_level(waveform: np.ndarray, level_db: float) -> np.ndarray:
    """A waveform [T] that is not silent, scaled to an RMS in dBFS: float64 [T].

    Example:
        >>> at_level(np.array([3.0, -3.0]), -20.0)
        array([ 0.1, -0.1])
    """
    samples = np.asarray(waveform, np.float64)
    return samples * (10.0 ** (level_db / 20.0) / math.sqrt(float(np.mean(samples**2))))


class _Pieces:
    """Pieces of recordings, all of one length, at the level asked for."""

    def __init__(self, root: Path, sample_rate: int, duration: float, where: str) -> None:
        self.root, self.rate, self.duration, self.where = root, sample_rate, duration, where
        self.samples = max(1, round(duration * sample_rate))

    def voice(self, name: str, start: float, level_db: float) -> np.ndarray:
        waveform = self._load(name, start)
        missing = self.samples - len(waveform)
        if missing > 1:
            end = start + len(waveform) / self.rate
            raise self._wrong(f"{name} ends at {end:.3f} s, the piece is from {start:g} to {start + self.duration:g} s")
        # Start and length are rounded to samples one by one, which may ask for one more than there is.
        return self._scaled(np.pad(waveform, (0, missing)), name, start, level_db)

    def noise(self, name: str, start: float, level_db: float) -> np.ndarray:
        waveform = self._load(name, start)
        missing = self.samples - len(waveform)
        if missing:  # from its beginning; where it begins late, the beginning has not been read
            whole = self._load(name, 0.0) if start else waveform
            waveform = np.concatenate([waveform, np.resize(whole, missing)])
        return self._scaled(waveform, name, start, level_db)

    def _load(self, name: str, start: float) -> np.ndarray:
        path = self.root / name
        try:
            return io.load(path, sample_rate=self.rate, offset=start, duration=self.duration).waveform
        except AudioError as error:
            raise DataError(f"{_prefix(self.where)}{error} (the piece begins at {start:g} s)", error.code) from error

    def _scaled(self, waveform: np.ndarray, name: str, start: float, level_db: float) -> np.ndarray:
        if not waveform.any():
            raise self._wrong(f"{name} is silent from {start:g} to {start + self.duration:g} s, so it has no level")
        return at_level(waveform, level_db)

    def _wrong(self, what: str) -> DataError:
        return DataError(f"{_prefix(self.where)}{what}; take another piece", CODE)


def _prefix(where: str) -> str:
    return f"{where}: " if where else ""


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as stream:
        for line, text in enumerate(stream, 1):
            where = f"{path}:{line}"
            try:
                record = json.loads(text.decode("utf-8-sig")) if text.strip() else {}
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where}: not a JSON object ({str(error) or 'nested too deep'})", CODE) from error
            if not isinstance(record, dict):
                raise DataError(f"{where}: a JSON {type(record).__name__}, expected an object {{...}}", CODE)
            if text.strip():
                yield where, record


def _recipe(record: Mapping[str, Any], where: str) -> Recipe:
    record = {name: value for name, value in record.items() if value is not None}
    if not {"s1", "s2", "speech"} & set(record):
        raise DataError(f"{where}: neither s1 and s2 nor speech, so what is mixed is not said", CODE)
    kind: type[Recipe] = Enhancement if "speech" in record else Separation
    known = {one.name: one for one in fields(kind) if one.name != "where"}
    for name in record:
        if name not in known:
            raise DataError(f"{where}: unknown key {name!r}: {did_you_mean(name, known)}", CODE)
    missing = [name for name, one in known.items() if one.default is MISSING and name not in record]
    if kind is Separation and len({"noise", "noise_snr_db"} & set(record)) == 1:
        missing += {"noise", "noise_snr_db"} - set(record)
    if missing:
        raise DataError(f"{where}: {' and '.join(missing)} missing", CODE)
    return kind(**{name: _value(name, value, str(known[name].type), where) for name, value in record.items()}, where=where)


def _value(name: str, value: Any, kind: str, where: str) -> Any:
    """The value of a key, checked against the type of the field."""
    if kind.startswith("str"):
        fits, expected = isinstance(value, str) and value != "", "text"
    elif kind.startswith("bool"):
        fits, expected = isinstance(value, bool), "true or false"
    else:
        low, high, expected = _limits(name)
        fits = (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and low <= value <= high
            and (name != "dur" or value > 0)
        )
    if not fits:
        raise DataError(f"{where}: {name} is {str(value)[:100]!r}, expected {expected}", CODE)
    return float(value) if kind.startswith("float") else value


def _limits(name: str) -> tuple[float, float, str]:
    if name.endswith("_db"):
        return -MOST_DB, MOST_DB, f"decibels within +-{MOST_DB:g}"
    return 0.0, LATEST, "seconds above 0" if name == "dur" else "seconds, 0 or more"
