"""The grid of options and the calls of kaldi-native-fbank are those of benchmarks/features.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch


def _load() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "features.py"
    spec = importlib.util.spec_from_file_location("benchmarks_features", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = _load()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def kaldi() -> ModuleType:
    """benchmarks/features.py: example(), kaldi_features(), parity()."""
    return BENCHMARK


def pytest_generate_tests(metafunc: Any) -> None:
    """`fbank_options` and `mfcc_options` run over the grids."""
    for name, grid in (("fbank_options", BENCHMARK.FBANK_GRID), ("mfcc_options", BENCHMARK.MFCC_GRID)):
        if name in metafunc.fixturenames:
            ids = ["-".join(f"{key}={value}" for key, value in options.items()) or "defaults" for options in grid]
            metafunc.parametrize(name, grid, ids=ids)
