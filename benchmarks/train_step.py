"""What one training step costs: float32 against bfloat16, as it is and compiled.

    python benchmarks/train_step.py --channels 256 --output-dim 768 --batch-size 64 --threads 2

Each way does the same work (ECAPA-TDNN, AAM-softmax, AdamW, crops of 2 s); the ways take turns, and the medians and the
ratios to the first are printed. The allocator is that of the command line (`voxid train` keeps large blocks); ``--plain``
leaves it alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from voxid.cli import keep_memory
from voxid.losses.margin import AAMSoftmax
from voxid.models.speaker.encoder import SpeakerEncoder

WAYS = {"float32": (False, False), "bfloat16": (True, False), "bfloat16 compiled": (True, True)}


def make_step(arguments: argparse.Namespace, low: bool, compiled: bool) -> Callable[[], None]:
    """One forward, backward and update on fresh weights."""
    torch.manual_seed(0)
    net = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": arguments.channels, "output_dim": arguments.output_dim})
    loss = AAMSoftmax(net.embedding_dim, arguments.classes)
    rule = torch.optim.AdamW([*net.parameters(), *loss.parameters()])
    embed = torch.compile(net.embed_features) if compiled else net.embed_features
    waveform = torch.randn(arguments.batch_size, 32000) * 0.1
    label = torch.randint(arguments.classes, (arguments.batch_size,))

    def step() -> None:
        with torch.no_grad():
            features = net.frontend(waveform)
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            embedding = embed(features)
        loss(embedding, label)[0].backward()
        rule.step()
        rule.zero_grad()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = {"channels": 256, "output-dim": 768, "batch-size": 64, "classes": 5772, "threads": 2, "rounds": 7}
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if not arguments.plain:
        keep_memory()
    steps = {name: make_step(arguments, *way) for name, way in WAYS.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    first = next(iter(times))
    for name, taken in times.items():
        ratio = statistics.median(a / b for a, b in zip(taken, times[first], strict=True))
        print(f"{name:<20}{1000 * statistics.median(taken):8.0f} ms   {ratio:5.2f} x {first}")


if __name__ == "__main__":
    main()
