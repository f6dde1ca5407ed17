"""What augmenting a batch costs: each effect for the whole batch, and noise, rooms and speed together, beside a loop.

    python benchmarks/augment.py --items 32 --seconds 2 --threads 1

The loop does the same item after item, as data loaders do: soxr for the speed, scipy's fftconvolve for the room, NumPy for the
noise, all sounds in memory. Every item gets the effect; responses last half a second. The ways take turns, and the medians and
the ratio to the loop are printed. The allocator is that of the command line (`voxid train` keeps large blocks); ``--plain``
leaves it alone. ``--cpu-time`` counts the seconds of the thread instead of those of the wall clock, for a busy machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.signal import fftconvolve

from voxid.audio.augment import Augmenter, change_speed
from voxid.cli import keep_memory

RATE = 16000
OFF = {"noise_prob": 0.0, "babble_prob": 0.0, "reverb_prob": 0.0}
EFFECTS = {
    "noise": {"noise_prob": 1.0},
    "noise of 3 segments": {"noise_prob": 1.0, "noise_segments": 3},
    "babble": {"babble_prob": 1.0},
    "reverb": {"reverb_prob": 1.0},
    "speed": {"speed_prob": 1.0},
    "equaliser": {"equalize_prob": 1.0},
    "volume": {"volume_prob": 1.0},
    "clipping": {"clip_prob": 1.0},
    "telephone": {"telephone_prob": 1.0},
    "mu-law": {"codec_prob": 1.0, "codec": ["mulaw"]},
}
TOGETHER = {"noise_prob": 1.0, "reverb_prob": 1.0, "speed_prob": 1.0}


class Loop:
    """Speed, room and noise for one item after the other."""

    def __init__(self, noises: list[np.ndarray], responses: list[np.ndarray]) -> None:
        self.noises, self.responses = noises, responses
        self.draw = np.random.default_rng(0)

    def __call__(self, batch: np.ndarray, speed: bool = True, reverb: bool = True, noise: bool = True) -> np.ndarray:
        return np.stack([self._item(item, speed, reverb, noise) for item in batch])

    def _item(self, item: np.ndarray, speed: bool, reverb: bool, noise: bool) -> np.ndarray:
        samples = len(item)
        if speed:
            moved = change_speed(item, self.draw.choice([0.9, 1.1]))
            item = np.resize(moved, samples)
        if reverb:
            response = self.responses[self.draw.integers(len(self.responses))]
            start = int(np.abs(response).argmax())
            wet = fftconvolve(item, response)[start : start + samples]
            item = wet * np.sqrt((item**2).mean() / (wet**2).mean())
        if noise:
            sound = self.noises[self.draw.integers(len(self.noises))]
            start = self.draw.integers(len(sound) - samples + 1)
            sound = sound[start : start + samples]
            ratio = (item**2).mean() / (sound**2).mean() * 10 ** (-self.draw.uniform(0, 20) / 10)
            item = item + np.sqrt(ratio) * sound
        return item.astype(np.float32)


def sounds() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Fifty noises of 10 s and a hundred responses of half a second."""
    draw = np.random.default_rng(0)
    noises = [draw.normal(size=10 * RATE).astype(np.float32) for _ in range(50)]
    decay = np.exp(-np.arange(RATE // 2) * 6.9 / (0.4 * RATE))
    responses = [(draw.normal(size=RATE // 2) * decay).astype(np.float32) for _ in range(100)]
    for response in responses:
        response[20] = 5.0
    return noises, responses


def take_turns(ways: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of each way in each round."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 2):
        for name, way in ways.items():
            start = clock()
            way()
            if number >= 2:
                taken[name].append(clock() - start)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"items": 32, "threads": 1, "rounds": 21}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--device", default="cpu")
    for switch in ("plain", "cpu-time"):
        parser.add_argument(f"--{switch}", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if not arguments.plain:
        keep_memory()
    noises, responses = sounds()
    waveform = 0.1 * torch.randn(arguments.items, round(arguments.seconds * RATE))
    array, loop, generator = waveform.numpy(), Loop(noises, responses), torch.Generator().manual_seed(0)

    def way(options: dict[str, object]) -> Callable[[], object]:
        augment, here = Augmenter(noises, responses, **{**OFF, **options}), waveform.to(arguments.device)  # type: ignore[arg-type]

        def run() -> None:
            augment(here, generator)
            if here.is_cuda:
                torch.cuda.synchronize()

        return run

    clock = time.thread_time if arguments.cpu_time else time.perf_counter
    ways: dict[str, Callable[[], object]] = {
        "loop: noise + reverb + speed": lambda: loop(array),
        "noise + reverb + speed": way(TOGETHER),
        "the same for all items": way({**TOGETHER, "policy": "batch"}),
        "loop: noise": lambda: loop(array, speed=False, reverb=False),
        "loop: reverb": lambda: loop(array, speed=False, noise=False),
        "loop: speed": lambda: loop(array, reverb=False, noise=False),
        **{name: way(options) for name, options in EFFECTS.items()},
    }
    taken = take_turns(ways, arguments.rounds, clock)
    loops = {"noise": "loop: noise", "reverb": "loop: reverb", "speed": "loop: speed"}
    whole = "loop: noise + reverb + speed"
    loops |= {"noise + reverb + speed": whole, "the same for all items": whole}
    for name, seconds in taken.items():
        beside = ""
        if name in loops:
            ratio = statistics.median(slow / quick for slow, quick in zip(taken[loops[name]], seconds, strict=True))
            beside = f"{ratio:8.1f} x as fast as the loop"
        print(f"{name:<30}{1000 * statistics.median(seconds):9.2f} ms   least {1000 * min(seconds):8.2f} ms{beside}")


if __name__ == "__main__":
    main()
