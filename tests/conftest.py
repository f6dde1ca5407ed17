"""Fixtures that several test files share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

# A shell gives its background jobs an ignored Ctrl-C, and so to what they start: the tests that interrupt would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and reference data beside the checkout; tests that need it skip without it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the folder ../shared with real recordings")
    return folder
