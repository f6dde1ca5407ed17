"""What one training step costs beside the same step as a textbook writes it, and how fast the loader is.

    python benchmarks/train.py                         # ECAPA-TDNN (512) and ResNet34 (32), 32 x 2 s, 1,211 classes, one thread
    python benchmarks/train.py --nets ecapa --compile  # also compiled; a minute for each way at the start
    python benchmarks/train.py --wespeaker DIR         # also the nets of a checkout of wespeaker, in the textbook's step
    python benchmarks/train.py --loader                # utterances a second: the cache of decoded samples, and seeking in files

Ways take turns, round by round, and medians are printed: milliseconds of the process, what a step does in them beside the best
that this core does in a product of matrices, and the ratio to the textbook in float32. Ours are steps of the training loop
itself: `training.speaker.SpeakerTask` and the optimiser of the recipe, with the allocator that the command line sets
(`voxid.cli.keep_memory`), which the textbook does without: each side runs in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import soundfile
import textbook
import torch

from voxid.cli import keep_memory
from voxid.data.dataset import SpeakerDataset
from voxid.data.pcm_cache import PCMCache
from voxid.data.pcm_files import PCMFiles
from voxid.data.sampler import CropSampler
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.training.layout import to_channels_last
from voxid.training.speaker import SpeakerTask

SAMPLES = 32000
OURS = {
    "ecapa": {"backbone": {"name": "ecapa_tdnn", "channels": 512}, "pooling": {"name": "asp", "context": True}},
    "small": {
        "backbone": {"name": "ecapa_tdnn", "channels": 256, "output_dim": 768},
        "pooling": {"name": "asp", "context": True},
    },
    "resnet": {"backbone": {"name": "resnet", "depth": 34, "channels": 32}, "pooling": "asp"},
}
PLAIN = {"ecapa": textbook.ECAPA, "small": lambda: textbook.ECAPA(256, 768), "resnet": textbook.ResNet34}
PEERS = {"ecapa": ("ecapa_tdnn", "ECAPA_TDNN_GLOB_c512"), "resnet": ("resnet", "ResNet34")}
# Billions of multiply-adds of one item forward; backward takes twice as many.
GIGA = {"ecapa": 1.04, "small": 0.32, "resnet": 4.55}


def our_step(net: str, waveform: torch.Tensor, label: torch.Tensor, way: str, classes: int) -> Callable[[], None]:
    """The body of the training loop, without the loop."""
    model = SpeakerEncoder(frontend={"name": "fbank", "num_mel_bins": 80}, **OURS[net])
    task = SpeakerTask(model, {"name": "aam_softmax"}, ["a"], classes, 1000, margin_schedule={"start": 0.0, "stop": 0.0})
    if "channels_last" in way:
        to_channels_last(task.model)
    if "compiled" in way:
        task.embed_features = torch.compile(task.model.embed_features)
    task._trainer = SimpleNamespace(global_step=0, current_epoch=0, num_training_batches=10, is_last_batch=False, global_rank=0)
    task.log = lambda *_, **__: None
    rule = task.configure_optimizers()["optimizer"]

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in way):
            loss = task.training_step((waveform, label), 0)
        rule.zero_grad()
        loss.backward()
        task.configure_gradient_clipping(rule, 5.0)
        rule.step()

    return step


def peer_step(
    net: str, waveform: torch.Tensor, label: torch.Tensor, way: str, arguments: argparse.Namespace
) -> Callable[[], None]:
    """A net of wespeaker in the step of the textbook."""
    sys.path.insert(0, arguments.wespeaker)
    module, name = PEERS[net]
    model = getattr(importlib.import_module(f"wespeaker.models.{module}"), name)(feat_dim=80, embed_dim=192)

    class TimeFirst(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.model(x.transpose(1, 2))[-1]

    return textbook.make_step(TimeFirst(), arguments.classes, waveform, label, "bf16" in way)


def worker(side: str, net: str, ways: Sequence[str], arguments: argparse.Namespace) -> None:
    """Answer each line on stdin, the name of a way, with the milliseconds of one step of it: CPU time of this process."""
    torch.set_num_threads(arguments.threads)
    if side == "voxid":
        keep_memory()
    torch.manual_seed(0)
    waveform, label = torch.randn(arguments.batch_size, SAMPLES) * 0.1, torch.randint(arguments.classes, (arguments.batch_size,))
    steps = {}
    for way in ways:
        if side == "voxid":
            steps[way] = our_step(net, waveform, label, way, arguments.classes)
        elif side == "wespeaker":
            steps[way] = peer_step(net, waveform, label, way, arguments)
        else:
            steps[way] = textbook.make_step(PLAIN[net](), arguments.classes, waveform, label, "bf16" in way)
        steps[way]()
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.process_time()
        steps[line.strip()]()
        print(1000 * (time.process_time() - start), flush=True)


def steps_of(net: str, arguments: argparse.Namespace) -> None:
    """Print the table of one net."""
    ours = ["float32", "bf16"] + (["bf16 channels_last"] if net == "resnet" else [])
    if arguments.compile:
        ours.append(f"{ours[-1]} compiled")
    sides = {"textbook": ["float32", "bf16"], "voxid": ours}
    if arguments.wespeaker and net in PEERS:
        sides["wespeaker"] = ["float32", "bf16"]
    processes = {}
    for side, ways in sides.items():
        command = [sys.executable, __file__, *sys.argv[1:], "--worker", json.dumps([side, net, ways])]
        processes[side] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert processes[side].stdout.readline().strip() == "ready", f"{side} {net} failed"
    rows = [(side, way) for side, ways in sides.items() for way in ways]
    times: dict[tuple[str, str], list[float]] = {row: [] for row in rows}
    for _ in range(arguments.rounds):
        for side, way in rows:
            processes[side].stdin.write(way + "\n")
            processes[side].stdin.flush()
            times[side, way].append(float(processes[side].stdout.readline()))
    for process in processes.values():
        process.stdin.close()
        process.wait()
    peak = {"float32": matmul(torch.float32), "bf16": matmul(torch.bfloat16)}
    print(f"\n{net}: {arguments.batch_size} x 2 s, {arguments.classes} classes; a product of matrices on this core:")
    print(f"{peak['float32']:.0f} GFLOP/s in float32, {peak['bf16']:.0f} in bf16")
    for row in rows:
        median = statistics.median(times[row])
        ratio = statistics.median(a / b for a, b in zip(times[row], times["textbook", "float32"], strict=True))
        work = 6 * GIGA[net] * arguments.batch_size / median * 1000
        share = work / peak["bf16" if "bf16" in row[1] else "float32"]
        print(f"{row[0]:<11}{row[1]:<30}{median:8.0f} ms {work:6.0f} GFLOP/s {100 * share:4.0f} %   x {ratio:.2f}")


def matmul(dtype: torch.dtype, size: int = 1024) -> float:
    """The best GFLOP/s of seven products of matrices on this core, now."""
    one, other = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    best = 0.0
    for _ in range(7):
        start = time.process_time()
        one @ other
        best = max(best, 2 * size**3 / 1e9 / (time.process_time() - start))
    return best


def loader(arguments: argparse.Namespace) -> None:
    """Print utterances a second of both sources of crops, with one process and two workers."""
    with tempfile.TemporaryDirectory() as folder:
        draw = np.random.default_rng(0)
        paths = [Path(folder) / f"{number}.flac" for number in range(200)]
        for path in paths:
            soundfile.write(path, np.cumsum(draw.standard_normal(8 * 16000)) * 1e-3, 16000)
        sources = {
            "cache of samples": PCMCache(paths, Path(folder) / "cache"),
            "seek in flac": PCMFiles(paths, [8.0] * len(paths)),
        }
        labels = [number // 4 for number in range(200)]
        for name, pcm in sources.items():
            for speeds in ([1.0], [1.0, 0.9, 1.1]):
                sampler = CropSampler(
                    labels, batch_size=arguments.batch_size, batches=60, samples=SAMPLES, speeds=len(speeds), balance=0.5
                )
                dataset = SpeakerDataset(pcm, labels, 50, speeds)
                rates = [rate(dataset, sampler, workers) for workers in (0, 1)]
                kind = "one speed" if len(speeds) == 1 else "three speeds"
                print(f"{name:<18}{kind:<14}{rates[0]:8.0f} crops/s in the loop {rates[1]:8.0f} crops/s with one worker")


def rate(dataset: SpeakerDataset, sampler: CropSampler, workers: int) -> float:
    """Crops a second over one epoch, after a first one."""
    batches = torch.utils.data.DataLoader(
        dataset, batch_size=None, sampler=sampler, num_workers=workers, persistent_workers=workers > 0
    )
    for _ in batches:
        pass
    start = time.perf_counter()
    for _ in batches:
        pass
    return len(sampler) * sampler.batch_size / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=[*OURS], default=["ecapa", "resnet"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--classes", type=int, default=1211)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--wespeaker", metavar="DIR")
    parser.add_argument("--loader", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(*json.loads(arguments.worker), arguments)
    elif arguments.loader:
        loader(arguments)
    else:
        torch.set_num_threads(arguments.threads)
        for net in arguments.nets:
            steps_of(net, arguments)


if __name__ == "__main__":
    main()
