"""Names, arguments and what is said about wrong ones."""

from __future__ import annotations

import pytest

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


def test_a_name_is_given_once() -> None:
    with pytest.raises(ConfigError, match="taken"):
        registry.register("pooling", "tap")(dict)
