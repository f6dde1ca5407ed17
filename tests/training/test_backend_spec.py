"""Presets, files and overrides -> what a back-end is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from voxid.errors import ConfigError
from voxid.scoring.backend import build_backend
from voxid.scoring.presets import PRESETS
from voxid.training.backend_spec import backend_spec

SPEC = {"transforms": ["center", "length_norm", {"name": "lda", "dim": 128}, "length_norm"], "scorer": "plda"}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_is_the_one_that_the_back_end_knows(name: str) -> None:
    assert backend_spec(name) == build_backend(name).spec


@pytest.mark.parametrize("suffix", ["yaml", "yml", "json"])
def test_a_file_is_what_it_says(tmp_path, suffix: str) -> None:
    spec = {"transforms": ["center", {"name": "lda", "dim": 3}], "scorer": "plda", "norm": "s"}
    path = tmp_path / f"mine.{suffix}"
    path.write_text(json.dumps(spec) if suffix == "json" else yaml.safe_dump(spec))
    assert backend_spec(path) == backend_spec(str(path)) == backend_spec(spec) == build_backend(spec).spec
    path.write_text('{"name": "gplda", "norm": "z"}')
    assert backend_spec(path) == build_backend({"name": "gplda", "norm": "z"}).spec


@pytest.mark.parametrize(
    ("overrides", "place", "part"),
    [
        (["lda.dim=7"], ("transforms", 2), {"name": "lda", "dim": 7}),
        (["transforms.2.dim=7"], ("transforms", 2), {"name": "lda", "dim": 7}),
        (["plda.iterations=3", "scorer.method=moments"], ("scorer",), {"name": "plda", "iterations": 3, "method": "moments"}),
        (["scorer=cosine"], ("scorer",), {"name": "cosine"}),
        (["scorer={name: plda, rank: 2}"], ("scorer",), {"name": "plda", "rank": 2}),
        (["transforms=[center]"], ("transforms",), [{"name": "center"}]),
        (["norm=as", "norm={name: as, top: 5}"], ("norm",), {"name": "as", "top": 5}),
        (["transforms.0.balanced=false"], ("transforms", 0), {"name": "center", "balanced": False}),
    ],
)
def test_overrides(overrides: list[str], place: tuple, part: object) -> None:
    found = backend_spec(SPEC, overrides)
    for step in place:
        found = found[step]
    assert found == part
    assert SPEC == {"transforms": ["center", "length_norm", {"name": "lda", "dim": 128}, "length_norm"], "scorer": "plda"}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["lda.dim"], ["key=value"]),
        (["=3"], ["key=value"]),
        (["ldaa.dim=3"], ["did you mean 'lda'"]),
        (["lda.dims=3"], ["dims", "did you mean 'dim'"]),
        (["lda.dim=many"], ["dim must be an integer"]),
        (["lda=3"], ["part.argument=value"]),
        (["lda.dim.x=3"], ["part.argument=value"]),
        (["length_norm.x=3"], ["2 times", "transforms.0"]),
        (["transforms.9.dim=3"], ["4 transforms"]),
        (["transforms.x.dim=3"], ["4 transforms"]),
        (["norm.top=3"], ["part.argument=value"]),
        (["scorer=pldaa"], ["did you mean 'plda'"]),
        (["scorer=[1"], ["scorer=[1"]),
    ],
)
def test_what_leads_nowhere_is_refused(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        backend_spec(SPEC, overrides)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", ["mapping"]),
        ("", ["mapping", "nothing"]),
        ("name: [1]\n", ["unknown back-end [1]"]),
        ("{a", ["YAML"]),
        ("scorer: plda\ntransform: [lda]\n", ["did you mean 'transforms'"]),
        ("transforms: lda\n", ["list"]),
        (None, ["mine.yaml"]),
        (b"\xff\xfe\x00", ["mine.yaml"]),
    ],
)
def test_bad_files(tmp_path, content, words: list[str]) -> None:
    path: Path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        backend_spec(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_an_unknown_preset_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'gplda'"):
        backend_spec("gpldaa")
