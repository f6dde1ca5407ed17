"""Which files of a folder are taken for recordings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxid.data.scan import scan


def tone(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(800) / 5) / 2, 8000, format="WAV")
    return path


def test_by_suffix_and_by_content(tmp_path: Path) -> None:
    for name in ("b/x.wav", "a/deep/er/y.WAV", "a/no_suffix", "c/named.txt", "top.wav"):
        tone(tmp_path / name)
    (tmp_path / "broken.mp3").write_text("not audio")
    (tmp_path / "empty.flac").touch()
    for name in ("notes.txt", "manifest.csv", "empty", "README"):
        (tmp_path / name).write_text("" if name == "empty" else "plain words")
    found = ["a/deep/er/y.WAV", "a/no_suffix", "b/x.wav", "broken.mp3", "c/named.txt", "empty.flac", "top.wav"]
    assert scan(tmp_path) == found


def test_hidden_names_are_left_out(tmp_path: Path) -> None:
    for name in (".trash/x.wav", "a/._x.wav", ".y.wav", "a/x.wav"):
        tone(tmp_path / name)
    assert scan(tmp_path) == ["a/x.wav"]


def test_a_folder_named_like_a_recording_is_entered(tmp_path: Path) -> None:
    tone(tmp_path / "dir.wav" / "x.wav")
    assert scan(tmp_path) == ["dir.wav/x.wav"]


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    tone(tmp_path / "real" / "x.wav")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "corpus" / "up").symlink_to(tmp_path / "corpus")
    (tmp_path / "corpus" / "self.wav").symlink_to("self.wav")
    (tmp_path / "corpus" / "gone.wav").symlink_to("nowhere")
    (tmp_path / "corpus" / "gone.txt").symlink_to("nowhere")
    assert scan(tmp_path / "corpus") == ["gone.wav", "linked/x.wav", "self.wav"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipes_are_listed_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    os.mkfifo(tmp_path / "pipe")
    assert scan(tmp_path) == ["pipe.wav"]


def test_the_order_does_not_hang_on_the_file_system(tmp_path: Path) -> None:
    names = [f"{a}/{b}.wav" for a in "zay" for b in "312"]
    for name in names:
        tone(tmp_path / name)
    assert scan(tmp_path) == sorted(names)
