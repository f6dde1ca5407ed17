"""The table of backbones in docs/models.md: parameters, multiplications, time, beside the counts that others publish.

    python benchmarks/models.py
    python benchmarks/models.py --only resnet campplus --rounds 9
    python benchmarks/models.py --no-time

Parameters are those of the whole encoder (front-end, backbone, pooling, BatchNorm, projection). MACs are counted by torch's flop
counter (two operations a multiply-add) over one utterance of 3 s; layers without a matrix product count nothing. Milliseconds are
medians of CPU time for one utterance of 3 s, waveform in, embedding out, float32, on one thread; the models take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch

from voxid.cli import keep_memory
from voxid.models.complexity import macs, parameters
from voxid.models.speaker.encoder import SpeakerEncoder

SECONDS = 3
BINS = {"b0": 60, "b1": 72, "b2": 72}  # of ReDimNet; all others take 80
ASP, TSP, TAP = {"name": "asp", "context": True}, {"name": "tsp"}, {"name": "tap"}
# name, backbone, pooling, D, what others publish for their variant (millions), by whom
ROWS: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any], int, str], ...] = (
    ("x-vector", {"name": "xvector"}, TSP, 512, "4.61 (wespeaker)"),
    ("ECAPA-TDNN, C=256, small", {"name": "ecapa_tdnn", "channels": 256, "output_dim": 768}, ASP, 192, ""),
    ("ECAPA-TDNN, C=512", {"name": "ecapa_tdnn", "channels": 512, "aggregation_norm": False}, ASP, 192, "6.19 (wespeaker)"),
    ("ECAPA-TDNN, C=1024", {"name": "ecapa_tdnn", "channels": 1024, "aggregation_norm": False}, ASP, 192, "14.65 (wespeaker)"),
    ("ResNet18", {"name": "resnet", "depth": 18}, TSP, 256, ""),
    ("ResNet34", {"name": "resnet", "depth": 34}, TSP, 256, "6.63 (wespeaker)"),
    ("ResNet50", {"name": "resnet", "depth": 50}, TSP, 256, ""),
    ("ResNet101", {"name": "resnet", "depth": 101}, TSP, 256, ""),
    ("ResNet152", {"name": "resnet", "depth": 152}, TSP, 256, ""),
    ("ResNet221", {"name": "resnet", "depth": 221}, TSP, 256, "23.79 (wespeaker)"),
    ("ResNet293", {"name": "resnet", "depth": 293}, TSP, 256, "28.62 (wespeaker)"),
    ("SE-ResNet34", {"name": "se_resnet", "depth": 34}, TSP, 256, ""),
    ("ResNeXt50", {"name": "resnext"}, TSP, 256, ""),
    ("Res2Net34", {"name": "res2net"}, TSP, 256, "4.68 (wespeaker)"),
    ("VGG-M", {"name": "vgg"}, TAP, 512, ""),
    ("VGG-16", {"name": "vgg", "variant": "vgg16"}, TAP, 512, ""),
    ("RepVGG-A0, tiny", {"name": "repvgg", "size": "tiny_a0"}, TSP, 256, ""),
    ("RepVGG-A0, tiny, deployed", {"name": "repvgg", "size": "tiny_a0", "deployed": True}, TSP, 256, "6.26 (wespeaker)"),
    ("RepVGG-A0, deployed", {"name": "repvgg", "size": "a0", "deployed": True}, TSP, 256, ""),
    ("RepVGG-B1, deployed", {"name": "repvgg", "size": "b1", "deployed": True}, TSP, 256, ""),
    ("Transformer, d=224, 3 layers", {"name": "transformer", "d_model": 224, "num_layers": 3}, {"name": "sap"}, 192, ""),
    ("Conformer, d=224, 3 layers", {"name": "conformer"}, {"name": "sap"}, 192, ""),
    ("CAM++, D=512", {"name": "campplus"}, TSP, 512, "7.18 (wespeaker)"),
    ("CAM++, D=192", {"name": "campplus"}, TSP, 192, "6.85 (3D-Speaker)"),
    ("ERes2Net base", {"name": "eres2net"}, TSP, 192, "6.61 (3D-Speaker)"),
    ("ERes2Net large", {"name": "eres2net", "channels": 64}, TSP, 192, "22.46 (3D-Speaker)"),
    ("ERes2NetV2", {"name": "eres2netv2"}, TSP, 192, "17.86 (3D-Speaker)"),
    ("ReDimNet-B0", {"name": "redimnet", "size": "b0"}, ASP, 192, "1.0 (paper)"),
    ("ReDimNet-B1", {"name": "redimnet", "size": "b1"}, ASP, 192, "2.2 (paper)"),
    ("ReDimNet-B2", {"name": "redimnet", "size": "b2"}, ASP, 192, "4.7 (paper)"),
)


def build(row: tuple[str, Mapping[str, Any], Mapping[str, Any], int, str]) -> SpeakerEncoder:
    """The encoder of a row."""
    _, backbone, pooling, embedding_dim, _ = row
    bins = BINS[backbone["size"]] if backbone["name"] == "redimnet" else 80
    torch.manual_seed(0)
    return SpeakerEncoder({"name": "fbank", "num_mel_bins": bins}, backbone, pooling, embedding_dim).eval()


def embedding_macs(net: SpeakerEncoder) -> int:
    """Multiply-adds of 3 s behind the front-end."""
    return macs(net.embed_features, net.frontend(torch.randn(1, SECONDS * 16000)))


def times(rows: list[Any], rounds: int) -> dict[str, float]:
    """Median milliseconds of 3 s for each row."""
    waveform = torch.randn(1, SECONDS * 16000)
    nets = {row[0]: build(row) for row in rows}
    taken: dict[str, list[float]] = {name: [] for name in nets}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for name, net in nets.items():
                start = time.process_time()
                net(waveform)
                if turn:
                    taken[name].append(time.process_time() - start)
    return {name: 1000 * statistics.median(values) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="names of backbones")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-time", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    rows = [row for row in ROWS if not arguments.only or row[1]["name"] in arguments.only]
    spent = {} if arguments.no_time else times(rows, arguments.rounds)
    print("| model | `backbone` | pooling, D | parameters | published, M | GMACs | ms |\n|---|---|---|---|---|---|---|")
    for row in rows:
        name, backbone, pooling, embedding_dim, published = row
        net = build(row)
        options = ", ".join(f"{key}: {str(value).lower()}" for key, value in backbone.items())
        clock = f"{spent[name]:.0f}" if name in spent else ""
        where = f"{pooling['name']}, {embedding_dim}"
        cost = f"{parameters(net):,} | {published} | {embedding_macs(net) / 1e9:.2f}"
        print(f"| {name} | `{{{options}}}` | {where} | {cost} | {clock} |", flush=True)


if __name__ == "__main__":
    main()
