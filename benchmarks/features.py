"""Speed and parity of voxid's front-ends.

python benchmarks/features.py              ours, kaldi-native-fbank and one big torch.stft, interleaved: median CPU time, ratios
python benchmarks/features.py --chunks     ours with other chunk sizes (voxid.features.stft.CHUNK_CPU)
python benchmarks/features.py --parity     largest difference to kaldi-native-fbank over a grid of options
python benchmarks/features.py --frontends  CPU time of every front-end, with and without its gradient

One thread; CPU time of the process, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import kaldi_native_fbank as knf
import numpy as np
import torch
from numpy.typing import NDArray

from voxid import registry
from voxid.features import stft
from voxid.features.fbank import Fbank
from voxid.features.mfcc import Mfcc

SIZES = [(1, 3), (1, 10), (1, 60), (32, 3), (32, 10)]
FRONTENDS: list[dict[str, Any]] = [
    {"name": "fbank"},
    {"name": "fbank", "normalize": "sliding"},
    {"name": "spectrogram"},
    {"name": "mfcc"},
    {"name": "mfcc", "deltas": 2},
    {"name": "lfcc"},
    {"name": "lfcc", "preset": "asvspoof2021"},
    {"name": "cqt"},
    {"name": "wavelet"},
    {"name": "wavelet", "tree": "dwt"},
    {"name": "multi_resolution"},
]
CHUNKS = [100, 300, 500, 1000, 2000, 1 << 30]

# Options beside the preset "kaldi". What is not named there is Kaldi's default: 23 bins, povey, 20 Hz to half the rate.
FBANK_GRID: list[dict[str, Any]] = [
    {},
    {"window": "hamming"},
    {"window": "hanning"},
    {"window": "hann", "periodic": True},
    {"window": "blackman"},
    {"window": "sine"},
    {"window": "rectangular"},
    {"num_mel_bins": 40},
    {"num_mel_bins": 80},
    {"num_mel_bins": 80, "window": "hamming", "low": 20.0, "high": 7600.0},
    {"num_mel_bins": 128, "frame_length": 40.0},
    {"edges": "mirror"},
    {"edges": "mirror", "num_mel_bins": 80, "high": -400.0},
    {"edges": "mirror", "frame_length": 20.0, "frame_shift": 12.5, "window": "hamming"},
    {"sample_rate": 8000},
    {"sample_rate": 8000, "num_mel_bins": 40, "low": 60.0, "high": 3700.0, "window": "hamming"},
    {"sample_rate": 8000, "edges": "mirror", "num_mel_bins": 80},
    {"sample_rate": 44100, "num_mel_bins": 80},
    {"low": 0.0, "high": -500.0, "num_mel_bins": 40},
    {"use_energy": True},
    {"use_energy": True, "raw_energy": False, "window": "hanning"},
    {"use_energy": True, "htk_compat": True, "num_mel_bins": 80},
    {"preemphasis": 0.0},
    {"remove_dc": False},
    {"preemphasis": 0.0, "remove_dc": False, "window": "hamming"},
    {"scale": 1.0, "num_mel_bins": 80},
    {"power": 1},
    {"n_fft": 400},
    {"frame_shift": 5.0, "frame_length": 32.0},
]
MFCC_GRID: list[dict[str, Any]] = [
    {},
    {"use_energy": False},
    {"use_energy": False, "htk_compat": True},
    {"htk_compat": True, "raw_energy": False},
    {"lifter": 0.0, "use_energy": False, "window": "hamming"},
    {"num_mel_bins": 30, "num_ceps": 30, "use_energy": False, "high": 7600.0, "edges": "mirror"},
    {"num_mel_bins": 80, "num_ceps": 40, "window": "hanning"},
    {"sample_rate": 8000, "num_mel_bins": 23, "num_ceps": 20, "low": 60.0},
    {"scale": 1.0, "edges": "mirror"},
]


def example(seconds: float = 3.0, rate: int = 16000, seed: int = 0) -> NDArray[np.float32]:
    """Noise of changing loudness and colour, tones and an offset, within [-1, 1]: [T]."""
    random = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    noise = random.standard_normal(len(t))
    coloured = 0.02 * noise + 0.05 * np.convolve(noise, np.hanning(9), "same")
    tones = sum(0.05 * np.sin(2 * np.pi * f * t) for f in (130.0, 440.0, 1730.0))
    return (0.01 + (0.2 + np.sin(2 * np.pi * 0.7 * t) ** 2) * (coloured + tones)).astype(np.float32)


def kaldi_features(kind: str, waveform: NDArray[np.float32], options: dict[str, Any]) -> NDArray[np.float32]:
    """Features [F, N] of a waveform [T] by kaldi-native-fbank, from voxid's options beside the preset "kaldi"."""
    rate = options.get("sample_rate", 16000)
    scaled = waveform * options.get("scale", 32768.0)
    computer = kaldi_computer(kind, options)
    computer.accept_waveform(rate, scaled.tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)], axis=1)


def kaldi_computer(kind: str, options: dict[str, Any]) -> Any:
    """An OnlineFbank or OnlineMfcc of kaldi-native-fbank."""
    chosen = knf.FbankOptions() if kind == "fbank" else knf.MfccOptions()
    frame, mel = chosen.frame_opts, chosen.mel_opts
    frame.dither = 0.0
    frame.samp_freq = options.get("sample_rate", 16000)
    frame.frame_length_ms = options.get("frame_length", 25.0)
    frame.frame_shift_ms = options.get("frame_shift", 10.0)
    frame.window_type = options.get("window", "povey")
    frame.preemph_coeff = options.get("preemphasis", 0.97)
    frame.remove_dc_offset = options.get("remove_dc", True)
    frame.snip_edges = options.get("edges", "snip") == "snip"
    frame.round_to_power_of_two = "n_fft" not in options
    mel.num_bins = options.get("num_mel_bins", 23)
    mel.low_freq, mel.high_freq = options.get("low", 20.0), options.get("high", 0.0)
    chosen.use_energy = options.get("use_energy", kind == "mfcc")
    chosen.raw_energy = options.get("raw_energy", True)
    chosen.htk_compat = options.get("htk_compat", False)
    if kind == "fbank":
        chosen.use_power = options.get("power", 2) == 2
        return knf.OnlineFbank(chosen)
    chosen.num_ceps = options.get("num_ceps", 13)
    chosen.cepstral_lifter = options.get("lifter", 22.0)
    return knf.OnlineMfcc(chosen)


def parity(kind: str, options: dict[str, Any]) -> float:
    """Largest absolute difference of ours to kaldi-native-fbank on `example`, in the log domain."""
    waveform = example(rate=options.get("sample_rate", 16000))
    frontend = (Fbank if kind == "fbank" else Mfcc)("kaldi", **options)
    ours = frontend(torch.from_numpy(waveform)[None])[0].numpy()
    theirs = kaldi_features(kind, waveform, options)
    if ours.shape != theirs.shape:
        raise AssertionError(f"{kind} {options}: {ours.shape} beside {theirs.shape}")
    return float(np.abs(ours - theirs).max())


def print_parity() -> None:
    """The table of docs/features.md."""
    print("| | options beside the preset `kaldi` | largest difference |\n|---|---|---|")
    for kind, grid in (("fbank", FBANK_GRID), ("mfcc", MFCC_GRID)):
        for options in grid:
            words = ", ".join(f"{key}={value}" for key, value in options.items()) or "(none)"
            print(f"| {kind} | {words} | {parity(kind, options):.1e} |")


def naive(frontend: Fbank) -> Callable[[torch.Tensor], torch.Tensor]:
    """The usual chain, without Kaldi's mean and pre-emphasis: one big torch.stft, power, filters, logarithm, mean."""
    filters = torch.zeros(frontend.num_bins, frontend.stft.n_fft // 2 + 1)
    row = 0
    for block in frontend.blocks:
        weights = block.weights.value
        filters[row : row + len(weights), block.band] = weights
        row += len(weights)
    window = frontend.stft.window.value

    def run(waveform: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(waveform, 512, 160, 400, window, center=False, return_complex=True)
        mel = torch.matmul(filters, spectrum.abs().square()).clamp(min=2.0**-23).log()
        return mel - mel.mean(dim=2, keepdim=True)

    return run


def kaldi_batch(waveform: torch.Tensor) -> NDArray[np.float32]:
    """The same front-end by kaldi-native-fbank, a row at a time."""
    options = {"num_mel_bins": 80, "window": "hamming", "high": -400.0}
    rows = []
    for row in (waveform * 32768.0).numpy():
        computer = kaldi_computer("fbank", options)
        computer.accept_waveform(16000, row)
        computer.input_finished()
        rows.append(np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)]))
    features = np.stack(rows)
    return features - features.mean(axis=1, keepdims=True)


def interleaved(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds of each function, a call of each per round, forwards and backwards in turn."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(rounds + 1):
        order = list(functions) if turn % 2 else list(functions)[::-1]
        for name in order:
            start = time.process_time()
            functions[name]()
            if turn:
                times[name].append(1e3 * (time.process_time() - start))
    return times


def print_speed(rounds: int) -> None:
    """CPU time, times real time, and ratios."""
    ours = Fbank()
    plain = naive(ours)
    print("| batch | ours ms, median (best) | x real time (best) | kaldi-native-fbank ms (ratio) | one torch.stft ms (ratio) |")
    print("|---|---|---|---|---|")
    for batch, seconds in SIZES:
        waveform = 0.1 * torch.randn(batch, 16000 * seconds)
        times = interleaved(
            {"ours": lambda x=waveform: ours(x), "kaldi": lambda x=waveform: kaldi_batch(x), "stft": lambda x=waveform: plain(x)},
            rounds,
        )
        median = {name: statistics.median(values) for name, values in times.items()}
        cells = [
            f"{median[name]:.2f} ({statistics.median(b / a for a, b in zip(times['ours'], times[name], strict=True)):.1f})"
            for name in ("kaldi", "stft")
        ]
        best, audio = min(times["ours"]), 1e3 * batch * seconds
        fast = f"{median['ours']:.2f} ({best:.2f}) | {audio / median['ours']:.0f} ({audio / best:.0f})"
        print(f"| {seconds} s x {batch} | {fast} | {cells[0]} | {cells[1]} |")


def print_chunks(rounds: int) -> None:
    """CPU time by chunk size."""
    ours = Fbank()
    print("| batch | " + " | ".join(f"{size} frames" if size < 1 << 30 else "all at once" for size in CHUNKS) + " |")
    print("|---" * (len(CHUNKS) + 1) + "|")
    for batch, seconds in SIZES:
        waveform = 0.1 * torch.randn(batch, 16000 * seconds)

        def run(size: int, x: torch.Tensor = waveform) -> None:
            stft.CHUNK_CPU = size
            ours(x)

        times = interleaved({str(size): lambda size=size, run=run: run(size) for size in CHUNKS}, rounds)
        print(f"| {seconds} s x {batch} | " + " | ".join(f"{statistics.median(v):.2f}" for v in times.values()) + " |")


def print_frontends(rounds: int) -> None:
    """CPU time of every front-end on 32 x 3 s, and of a step through it to the waveform's gradient."""
    waveform = (0.1 * torch.randn(32, 48000)).requires_grad_()
    functions: dict[str, Callable[[], Any]] = {}
    rows = {}
    for spec in FRONTENDS:
        frontend = registry.build("frontend", spec)
        name = ", ".join(value if key == "name" else f"{key}={value}" for key, value in spec.items())
        rows[name] = frontend.num_bins
        functions[name] = lambda net=frontend: net(waveform)
        functions[f"{name} back"] = lambda net=frontend: with_gradient(net, waveform)
    times = {name: statistics.median(values) for name, values in interleaved(functions, rounds).items()}
    print("| front-end | F | ms | ms with the gradient |\n|---|---|---|---|")
    for name, bins in rows.items():
        print(f"| {name} | {bins} | {times[name]:.1f} | {times[f'{name} back']:.1f} |")


def with_gradient(frontend: torch.nn.Module, waveform: torch.Tensor) -> None:
    """Features of `waveform` and the gradient of their squares."""
    with torch.enable_grad():
        frontend(waveform).square().sum().backward()


def main() -> None:
    """Read the arguments and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parity", action="store_true", help="differences to kaldi-native-fbank")
    parser.add_argument("--frontends", action="store_true", help="CPU time of every front-end")
    parser.add_argument("--chunks", action="store_true", help="CPU time by chunk size")
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.parity:
        print_parity()
    elif arguments.frontends:
        print_frontends(arguments.rounds)
    elif arguments.chunks:
        print_chunks(arguments.rounds)
    else:
        print_speed(arguments.rounds)


if __name__ == "__main__":
    with torch.no_grad():
        main()
