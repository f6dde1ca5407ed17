"""Names, arguments and what is said about wrong ones."""

from __future__ import annotations

import inspect
import itertools
import sys
import types

import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError


def test_a_part_of_ones_own_goes_by_its_import_path() -> None:
    part = registry.build("pooling", {"name": "voxid.models.pooling.TemporalStatisticsPooling"}, channels=3)
    assert part.output_dim == 6


@pytest.mark.parametrize(
    ("kind", "spec", "says"),
    [
        ("backbone", "ecapa", "did you mean 'ecapa_tdnn'"),
        ("backbones", "ecapa_tdnn", "did you mean 'backbone'"),
        ("pooling", {"channels": 3}, "with a 'name'"),
        ("pooling", {"name": 3}, "goes by a name"),
        ("pooling", {"name": "tap"}, "argument 'channels' is missing"),
        ("pooling", {"name": "tap", "channels": 3, "chanels": 3}, "unknown argument 'chanels'"),
        ("pooling", "no.such.module.Net", "cannot be imported"),
        ("pooling", "os.path.nothing", "cannot be imported"),
        ("pooling", "os.path", "no class"),
        ("backbone", {"name": "ecapa_tdnn", "channels": 12}, "multiple of scale"),
    ],
)
def test_mistakes_are_named(kind: str, spec: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        registry.build(kind, spec)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"channels": "many"}, "must be an integer, got 'many'"),
        ({"channels": 16.0}, "must be an integer"),
        ({"aggregation_norm": 1}, "must be true or false"),
    ],
)
def test_values_of_a_wrong_type_are_named(spec: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        registry.build("backbone", {"name": "ecapa_tdnn"} | spec)


@pytest.mark.parametrize(
    ("kind", "spec", "says"),
    [
        ("backbone", {"name": "redimnet", "stages": [[2, 1]]}, r"a stage is \[stride, depth, expansion, reduction\]"),
        ("backbone", {"name": "redimnet", "stages": [[0, 1, 1, 1]]}, "1 or more each"),
        ("backbone", {"name": "redimnet", "stages": [[1, 1, 1, -8]]}, "reduction 0 or more"),
        ("backbone", {"name": "redimnet", "stages": []}, "one stage or more"),
        ("backbone", {"name": "eres2net", "scale": 0}, "scale must be 1 or more"),
        ("backbone", {"name": "campplus", "growth": 1, "bottleneck": 1}, "bottleneck times growth"),
        ("backbone", {"name": "campplus", "layers": [1, 0, 1]}, "depth of 3 dense blocks"),
        ("backbone", {"name": "repvgg", "base_width": 1}, "leaves no channel"),
        ("backbone", {"name": "vgg", "width": 0.0}, "width must be above 0"),
        ("speaker", {"name": "speaker_encoder", "embedding_dim": 0}, "embedding_dim must be 1 or more"),
        ("pooling", {"name": "xi", "bottleneck": 0, "channels": 4}, "bottleneck must be 1 or more"),
        ("loss", {"name": "softmax", "label_smoothing": 2.0, "embedding_dim": 4, "num_classes": 3}, "within 0 ... 1"),
        ("loss", {"name": "aam_softmax", "scale": -30.0, "embedding_dim": 4, "num_classes": 3}, "scale must be above 0"),
    ],
)
def test_values_out_of_range_are_named(kind: str, spec: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        registry.build(kind, spec)


@pytest.mark.parametrize("kind", ["backbone", "pooling", "loss"])
def test_no_part_has_sizes_below_one(kind: str) -> None:
    known = {"backbone": {"input_dim": 72}, "pooling": {"channels": 16}, "loss": {"embedding_dim": 4, "num_classes": 3}}[kind]
    asked = 0
    for name in registry.names(kind):
        parameters = inspect.signature(registry.get(kind, name)).parameters
        # without a penalty: topk = 0
        sizes = {key for key, p in parameters.items() if str(p.annotation).startswith("int") and key not in known} - {"topk"}
        for key, size in itertools.product(sorted(sizes), (0, -1)):
            with pytest.raises(ConfigError, match=key):
                registry.build(kind, {"name": name, key: size}, **known)
            asked += 1
    assert asked


class Broken(torch.nn.Module):
    """A part of somebody's own, whose constructor raises what it is given."""

    def __init__(self, error: str) -> None:
        super().__init__()
        raise {"type": TypeError, "torch": RuntimeError, "zero": ZeroDivisionError, "bug": KeyError, "memory": MemoryError}[error]


@pytest.mark.parametrize("error", ["type", "torch", "zero"])
def test_a_part_that_cannot_be_built_is_one_line(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "broken", types.SimpleNamespace(Broken=Broken))
    with pytest.raises(ConfigError, match=r"backbone 'broken\.Broken': it cannot be built with these arguments"):
        registry.build("backbone", {"name": "broken.Broken", "error": error})


@pytest.mark.parametrize(("error", "raised"), [("bug", KeyError), ("memory", MemoryError)])
def test_other_errors_of_a_part_are_left_alone(error: str, raised: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "broken", types.SimpleNamespace(Broken=Broken))
    with pytest.raises(raised):
        registry.build("backbone", {"name": "broken.Broken", "error": error})


def test_the_error_of_an_inner_part_comes_as_it_is() -> None:
    with pytest.raises(ConfigError, match=r"^unknown backbone 'ecapa'"):
        registry.build("speaker", {"name": "speaker_encoder", "backbone": "ecapa"})


def test_a_name_is_given_once() -> None:
    with pytest.raises(ConfigError, match="taken"):
        registry.register("pooling", "tap")(dict)
