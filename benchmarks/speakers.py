"""What enhancement and separation do for speaker recognition: EER on clean, noisy and enhanced recordings, and on two voices.

    python benchmarks/speakers.py --data DATA --enhancer phasen_small --separator sudormrf_small --cache runs/speakers

DATA holds the corpora and their protocols. The speaker model scores as `voxid verify` does; the bare cosine stands beside it.

Noise: the test side of every trial gets noise of the split of its list, drawn by the recording's name, at 20, 10, 5 and 0 dB; the
enrolment stays clean. Each recording is enhanced once. From that follow all settings: how much the enhancer may take away (the
output is a share of the input and the rest of the enhanced), the estimated SNR below which it is asked at all, and whether the
enrolment goes through it as well. The setting with the lowest mean EER over development lists and conditions, clean ones among
them, is chosen; test lists are measured with it and with plain enhancement of both sides.

Voices: the test side gets another voice at 0 dB for as long as it lasts, by speakers of another split, who are in no trial. A
trial is scored by the mixture, and by the better of the sources that it is separated into.

What was embedded is kept in --cache, by model and condition: a second run reads it.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from voxid.atomic import replacing
from voxid.audio import io
from voxid.audio.snr import snr
from voxid.cli import keep_memory
from voxid.data.embeddings import Embeddings
from voxid.data.trials import Trial, read_trials
from voxid.errors import DataError
from voxid.evaluation.added_noise import AddedNoise
from voxid.metrics.detection import eer
from voxid.metrics.signal import si_sdr
from voxid.pipelines.embed import embed_files, model_info
from voxid.pipelines.enhance import enhance
from voxid.pipelines.separate import separate
from voxid.pipelines.system import System, build_system
from voxid.zoo.load import load

RATE = 16000
DEV = ("cv_fr_dev", "cv_multi_dev")
TEST = ("cv_fr_test", "cv_multi_test", "libri_mini_test")
LEVELS = (None, 20.0, 10.0, 5.0, 0.0)  # dB of the noise; None = clean
ATTENUATIONS = (None, 12.0, 6.0)
BELOW = (None, 15.0, 10.0, 5.0)
OTHERS = {"dev": "train", "test": "dev"}  # where the second voice comes from
HELD = 32  # recordings at a time
FACTS = ("seconds", "snr_db")


class Setting(NamedTuple):
    """How recordings are enhanced; `side` None = not at all."""

    side: str | None = None
    attenuation: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        if self.side is None:
            return "not enhanced"
        bound = "no bound" if self.attenuation is None else f"at most {self.attenuation:g} dB"
        side = "both sides" if self.side == "both" else "test side"
        return f"{side}, {bound}, " + ("always" if self.below is None else f"below {self.below:g} dB")


# The mildest first: of equal ones it is chosen.
SETTINGS = [Setting(*options) for options in itertools.product(("test", "both"), ATTENUATIONS[::-1], BELOW[::-1])]
PLAIN = Setting("both")


class Take(NamedTuple):
    """Embeddings [N, V, D] of N recordings in V variants, facts of each [N, V], and one number more of each recording [N]."""

    rows: NDArray
    seconds: NDArray
    snr_db: NDArray
    told: NDArray


class Bench:
    """Recordings of a list in all conditions."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.data, self.cache, self.options = options.data, options.cache, options
        self.cache.mkdir(parents=True, exist_ok=True)
        # A calibrated threshold is not asked for: what is compared is the EER.
        self.systems = {"own": build_system(options.model), "cosine": build_system(options.model, backend="cosine")}
        self.net = self.systems["own"].net
        self.enhancer = load(options.enhancer, kind="enhancement") if options.enhancer else None
        self.separator = load(options.separator, kind="separation") if options.separator else None

    def trials(self, name: str) -> list[Trial]:
        """Trials of a list; with --limit only those between its first so many recordings."""
        trials = read_trials(self.data / "protocols" / f"{name}.trials")
        kept = set(recordings(trials)[: self.options.limit])
        return [trial for trial in trials if trial.enrol in kept and trial.test in kept]

    def noisy(self, name: str, level: float | None) -> Take:
        """Variants: as it is, then enhanced with each of ATTENUATIONS; told: the estimated SNR."""
        corpus, split = name.split("_dev")[0].split("_test")[0], "dev" if "_dev" in name else "test"
        noise = None
        if level is not None:
            manifest = self.data / "noise" / "manifest.csv"
            noise = AddedNoise(manifest, level, where={"split": split, "kind": "noise"}, seed=self.options.seed)

        def heard(recording: str) -> tuple[list[NDArray], float]:
            waveform = io.load(self.data / corpus / recording, sample_rate=RATE).waveform
            waveform = waveform if noise is None else noise(waveform, recording, RATE)
            variants = [waveform]
            if self.enhancer is not None:
                clean = enhance((waveform, RATE), model=self.enhancer).waveform
                variants += [mixed(waveform, clean, bound) for bound in ATTENUATIONS]
            return variants, snr(waveform, RATE)

        return self._kept(f"{name}_{'clean' if level is None else f'{level:g}dB'}", name, heard, self.enhancer)

    def voices(self, name: str) -> Take:
        """Variants: with another voice, then its sources; told: which of them is nearest to the voice that was asked for."""
        corpus, split = name.split("_dev")[0].split("_test")[0], "dev" if "_dev" in name else "test"
        manifest = self.data / corpus / "manifest.csv"
        other = AddedNoise(manifest, 0.0, where={"split": OTHERS[split]}, seed=self.options.seed)

        def heard(recording: str) -> tuple[list[NDArray], float]:
            voice = io.load(self.data / corpus / recording, sample_rate=RATE).waveform
            mixture = other(voice, recording, RATE)
            sources = separate((mixture, RATE), model=self.separator).waveforms
            ratios = si_sdr(torch.from_numpy(sources), torch.from_numpy(voice).expand(len(sources), -1))
            return [mixture, *sources], float(ratios.argmax())

        return self._kept(f"{name}_voices", name, heard, self.separator)

    def _kept(self, key: str, name: str, heard: Callable[[str], tuple[list[NDArray], float]], net: Any) -> Take:
        made = "_".join(str(digest(model))[:12] for model in (self.net, net))
        made += "_" + hashlib.sha256(repr((str(self.data.resolve()), ATTENUATIONS)).encode()).hexdigest()[:8]
        path = self.cache / f"{key}_{self.options.limit or 'all'}_{self.options.seed}_{made}.npz"
        if path.is_file():
            with np.load(path) as known:
                return Take(*(known[field] for field in Take._fields))
        take = self._embedded(recordings(self.trials(name)), heard, key)
        with replacing(path, DataError) as temporary, temporary.open("wb") as file:
            np.savez(file, **take._asdict())
        return take

    def _embedded(self, names: Sequence[str], heard: Callable[[str], tuple[list[NDArray], float]], key: str) -> Take:
        parts = []
        for some in batches(tqdm(names, desc=key, unit="file", mininterval=10)):
            found = [heard(name) for name in some]
            done = embed_files(
                [(waveform, RATE) for variants, _ in found for waveform in variants], model=self.net, progress=False
            )
            shape = (len(some), len(found[0][0]))
            facts = [done.facts[fact].reshape(shape) for fact in FACTS]
            parts.append(Take(done.embeddings.reshape(*shape, -1), *facts, np.array([told for _, told in found])))
        return Take(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def score(
        self, system: System, trials: Sequence[Trial], enrol: Take, enrol_pick: NDArray, test: Take, pick: NDArray
    ) -> NDArray:
        """Scores of trials, each side with a variant [N] of each recording."""
        place = {name: row for row, name in enumerate(recordings(trials))}
        sides = [variant(enrol, enrol_pick), variant(test, pick)]
        rows, *facts = (np.concatenate(column) for column in zip(*sides, strict=True))
        done = Embeddings(tuple(map(str, range(len(rows)))), rows, {}, model_info(self.net), dict(zip(FACTS, facts, strict=True)))
        before = [place[trial.enrol] for trial in trials]
        return system.score(done, before, [len(place) + place[trial.test] for trial in trials]).decisive


def recordings(trials: Sequence[Trial]) -> list[str]:
    """Recordings of a list, in the order in which they first come."""
    return list(dict.fromkeys(name for trial in trials for name in (trial.enrol, trial.test)))


def batches(names: Any) -> Iterator[list[str]]:
    """Some recordings at a time."""
    names = iter(names)
    while some := list(itertools.islice(names, HELD)):
        yield some


def mixed(waveform: NDArray, clean: NDArray, bound: float | None) -> NDArray:
    """What `voxid.enhance` gives with max_attenuation, from what it gives without."""
    share = 0.0 if bound is None else 10 ** (-bound / 20)
    return (share * waveform + (1 - share) * clean).astype(np.float32)


def digest(net: Any) -> str | None:
    """Which model it is."""
    return None if net is None else (getattr(net, "card", None) or {}).get("sha256")


def variant(take: Take, pick: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Rows [N, D] and facts [N] of a variant [N] of each recording."""
    each = np.arange(len(pick))
    return take.rows[each, pick], take.seconds[each, pick], take.snr_db[each, pick]


def picked(take: Take, setting: Setting, side: str) -> NDArray:
    """Variant of each recording [N] under a setting, on the side `enrol` or `test` of trials."""
    if setting.side is None or (side == "enrol" and setting.side == "test"):
        return np.zeros(len(take.rows), np.intp)
    enhanced = 1 + ATTENUATIONS.index(setting.attenuation)
    return np.where(take.told < (np.inf if setting.below is None else setting.below), enhanced, 0)


def rates(bench: Bench, name: str, settings: Sequence[Setting]) -> dict[tuple[Setting, float | None, str], float]:
    """EER of a list under each setting, at each level, by each way to score."""
    trials = bench.trials(name)
    labels = np.array([trial.label for trial in trials])
    takes = {level: bench.noisy(name, level) for level in LEVELS}
    found = {}
    for setting, (level, take) in itertools.product(settings, takes.items()):
        enrol = takes[None]
        for way, system in bench.systems.items():
            sides = enrol, picked(enrol, setting, "enrol"), take, picked(take, setting, "test")
            found[setting, level, way] = eer(bench.score(system, trials, *sides), labels)
    return found


def voice_rates(bench: Bench, name: str) -> dict[tuple[str, str], float]:
    """EER of a list with one voice, with two, and with the two separated, by each way to score."""
    trials = bench.trials(name)
    labels = np.array([trial.label for trial in trials])
    clean, take = bench.noisy(name, None), bench.voices(name)
    first = np.zeros(len(clean.rows), np.intp)
    found = {}
    for way, system in bench.systems.items():
        found["one voice", way] = eer(bench.score(system, trials, clean, first, clean, first), labels)
        each = [
            bench.score(system, trials, clean, first, take, np.full(len(first), number)) for number in range(take.rows.shape[1])
        ]
        found["two voices", way] = eer(each[0], labels)
        found["separated, the better source", way] = eer(np.max(each[1:], axis=0), labels)
        found["the better of sources and mixture", way] = eer(np.max(each, axis=0), labels)
        right = bench.score(system, trials, clean, first, take, 1 + take.told.astype(np.intp))
        found["the right source, if it were known", way] = eer(right, labels)
    return found


def chosen(found: Sequence[dict[tuple[Setting, float | None, str], float]]) -> Setting:
    """The setting with the lowest mean EER over lists and levels; prints the mean of each."""
    print("\n| setting | mean EER % on dev lists: " + " | ".join(map(condition, LEVELS)) + " | all | cosine, all |")
    print("|---|" + "---|" * (len(LEVELS) + 2))
    means = {}
    for setting in (Setting(), *SETTINGS):
        each = [np.mean([table[setting, level, "own"] for table in found]) for level in LEVELS]
        bare = np.mean([table[setting, level, "cosine"] for table in found for level in LEVELS])
        means[setting] = float(np.mean(each))
        print(f"| {setting} | " + " | ".join(f"{100 * rate:.2f}" for rate in (*each, means[setting], bare)) + " |")
    best = min(SETTINGS, key=means.__getitem__)
    gain = "lower than" if means[best] < means[Setting()] else "NOT lower than"
    print(f"\nchosen on dev: {best}; its mean EER is {gain} that without enhancement")
    return best


def condition(level: float | None) -> str:
    """A level in words."""
    return "clean" if level is None else f"{level:g} dB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder of the corpora and their protocols")
    parser.add_argument("--model", help="the speaker model; the bundled one by default")
    parser.add_argument("--enhancer", help="name or file; without it no noise is measured")
    parser.add_argument("--separator", help="name or file; without it no mixtures of voices are")
    parser.add_argument("--dev", nargs="+", default=DEV, help="lists that the setting is chosen on")
    parser.add_argument("--test", nargs="+", default=TEST)
    parser.add_argument("--limit", type=int, help="only trials between the first so many recordings of each list")
    parser.add_argument("--seed", type=int, default=0, help="of the noise and the second voice")
    parser.add_argument("--cache", type=Path, default=Path("runs/speakers"))
    options = parser.parse_args()
    keep_memory()
    bench = Bench(options)
    if bench.enhancer is not None:
        best = chosen([rates(bench, name, [Setting(), *SETTINGS]) for name in options.dev])
        settings = list(dict.fromkeys([Setting(), PLAIN, best]))
        print(f"\n| list | EER %, own / cosine | {' | '.join(map(condition, LEVELS))} |\n|---|---|" + "---|" * len(LEVELS))
        for name in options.test:
            found = rates(bench, name, settings)
            for setting in settings:
                pairs = [[100 * found[setting, level, way] for way in ("own", "cosine")] for level in LEVELS]
                print(
                    f"| {name} | {setting} | " + " | ".join(f"{own:.2f} / {bare:.2f}" for own, bare in pairs) + " |", flush=True
                )
    if bench.separator is not None:
        print("\n| list | another voice at 0 dB on the test side | EER %, own | cosine |\n|---|---|---|---|")
        for name in options.test:
            table = voice_rates(bench, name)
            for what in dict.fromkeys(what for what, _ in table):
                print(f"| {name} | {what} | {100 * table[what, 'own']:.2f} | {100 * table[what, 'cosine']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
