"""What one embedding costs: ECAPA-TDNN, eager, float32, ours beside wespeaker's module with the same weights.

    python benchmarks/embed.py
    python benchmarks/embed.py --wespeaker DIR        # a checkout of github.com/wenet-e2e/wespeaker

CPU time of the process on the given number of threads, features computed beforehand for both; the last column adds our front-end.
The turns of the two alternate, so that what else runs on the machine meets both; a figure is the median over the rounds.
With --wespeaker it also prints how far the embeddings are apart (parity) and the numbers of parameters.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from voxid.models.speaker.encoder import SpeakerEncoder

CASES = [(1, 3), (1, 10), (32, 2)]  # recordings, seconds


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    ours = net_with_statistics(options.channels)
    peer = peer_module(options.wespeaker, options.channels, ours) if options.wespeaker else None
    print(f"ECAPA-TDNN C={options.channels}, torch {torch.__version__}, threads {options.threads}, rounds {options.rounds}")
    print(f"parameters: ours {count(ours):,}" + (f", wespeaker {count(peer):,}" if peer else ""))
    print("| batch | ours ms | real-time factor | wespeaker ms | ours / wespeaker | max difference | ours from the waveform ms |")
    print("|---|---|---|---|---|---|---|")
    for batch, seconds in CASES:
        print(row(ours, peer, batch, seconds, options.rounds), flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wespeaker", type=Path, help="folder that holds wespeaker/models/ecapa_tdnn.py")
    parser.add_argument("--channels", type=int, default=512, help="C")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def net_with_statistics(channels: int) -> SpeakerEncoder:
    """Our net with random weights; its BatchNorms too, or parity would not notice two of them exchanged."""
    net = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": channels, "aggregation_norm": False})
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return net.eval()


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@torch.inference_mode()
def row(ours: SpeakerEncoder, peer: nn.Module | None, batch: int, seconds: int, rounds: int) -> str:
    waveform = 0.1 * torch.randn(batch, seconds * ours.sample_rate)
    features = ours.frontend(waveform)
    frames_first = features.transpose(1, 2).contiguous()
    turns: list[Callable[[], Tensor]] = [lambda: ours.embed_features(features), lambda: ours(waveform)]
    if peer is not None:
        turns.append(lambda: peer(frames_first)[-1])
    outputs = [turn() for turn in turns]  # also warms up
    times = interleaved(turns, rounds)
    net, whole = (1e3 * statistics.median(t) for t in times[:2])
    cells = [f"{batch} x {seconds} s", f"{net:.1f}", f"{net / 1e3 / (batch * seconds):.4f}"]
    if peer is None:
        return "| " + " | ".join([*cells, "-", "-", "-", f"{whole:.1f}"]) + " |"
    theirs = 1e3 * statistics.median(times[2])
    ratio = statistics.median(a / b for a, b in zip(times[0], times[2], strict=True))
    difference = (outputs[0] - outputs[2]).abs().max().item()
    scale = outputs[2].abs().max().item()
    return "| " + " | ".join([*cells, f"{theirs:.1f}", f"{ratio:.2f}", f"{difference:.1e} of {scale:.1f}", f"{whole:.1f}"]) + " |"


def interleaved(turns: list[Callable[[], Tensor]], rounds: int) -> list[list[float]]:
    """CPU seconds of each turn [turns][rounds], taken forwards and backwards by turns."""
    times: list[list[float]] = [[] for _ in turns]
    for number in range(rounds):
        order = range(len(turns)) if number % 2 == 0 else reversed(range(len(turns)))
        for index in order:
            start = time.process_time()
            turns[index]()
            times[index].append(time.process_time() - start)
    return times


def peer_module(folder: Path, channels: int, ours: SpeakerEncoder) -> nn.Module:
    """wespeaker's ECAPA_TDNN with global context, holding our weights."""
    for name, place in (("wespeaker", folder / "wespeaker"), ("wespeaker.models", folder / "wespeaker" / "models")):
        # The package's own __init__ imports torchaudio and s3prl, which this module does not need.
        package = types.ModuleType(name)
        package.__path__ = [str(place)]
        sys.modules[name] = package
    ecapa = importlib.import_module("wespeaker.models.ecapa_tdnn")
    peer = ecapa.ECAPA_TDNN(channels=channels, feat_dim=80, embed_dim=ours.embedding_dim, global_context_att=True)
    weights = {peer_key(key): value for key, value in ours.state_dict().items() if not key.startswith("frontend.")}
    peer.load_state_dict(weights, strict=True)
    return peer.eval()


def peer_key(key: str) -> str:
    """The name of our weight in wespeaker's module."""
    parts = key.split(".")
    if parts[:2] == ["backbone", "stem"]:
        return ".".join(["layer1", *parts[2:]])
    if parts[:2] == ["backbone", "aggregate"]:
        return f"conv.{parts[-1]}"
    if parts[:2] == ["backbone", "blocks"]:
        layer = f"layer{int(parts[2]) + 2}.se_res2block"
        if parts[3] == "res2":
            kind = {"conv": "convs", "bn": "bns"}[parts[6]]
            return f"{layer}.1.{kind}.{parts[5]}.{parts[7]}"
        place = {"expand": 0, "project": 2, "se": 3}[parts[3]]
        return ".".join([layer, str(place), *parts[4:]])
    renamed = {"pooling": "pool", "norm": "bn", "projection": "linear"}
    return ".".join([renamed[parts[0]], *parts[1:]])


if __name__ == "__main__":
    main()
