"""Sources: what is not a regular file is refused without hanging, and a name never breaks the line."""

from __future__ import annotations

import io as memory
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from voxid.audio import io
from voxid.audio.source import OpenFile, printable
from voxid.errors import AudioError


def refusal(audio) -> AudioError:
    with pytest.raises(AudioError) as error:
        io.load(audio)
    assert "\n" not in str(error.value)
    return error.value


@pytest.mark.skipif(os.name != "posix", reason="pipes, sockets and links of POSIX")
@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "null", "zero", "link to a pipe"])
def test_only_regular_files(tmp_path, kind):
    path = tmp_path / "a.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            here = Path.cwd()
            os.chdir(tmp_path)  # the name of a socket is limited to 108 bytes
            server.bind("a.wav")
            os.chdir(here)
    elif kind in ("null", "zero"):
        path.symlink_to(f"/dev/{kind}")
    else:
        os.mkfifo(tmp_path / "pipe")
        path = tmp_path / "pipe" if kind == "pipe" else path
        if kind != "pipe":
            path.symlink_to(tmp_path / "pipe")
    error = refusal(path)
    assert error.code == "E_NOT_FILE"
    assert path.name in str(error)


def test_missing_files(tmp_path):
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("none.wav", "dangling.wav", "loop.wav", "file/a.wav", "x" * 300, "nul\0.wav"):
        error = refusal(tmp_path / name)
        assert error.code == "E_NOT_FOUND"
        assert printable(name) in str(error)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "a.wav").chmod(0)
    assert refusal(tmp_path / "a.wav").code == "E_PERMISSION"


def test_an_empty_file(put):
    assert refusal(put(b"")).code == "E_EMPTY"
    assert refusal(memory.BytesIO()).code == "E_EMPTY"


@pytest.mark.parametrize(
    "name", ["a\nb.wav", "t\t.wav", "esc\x1b[31m.wav", "bidi\u202e.wav", "nonutf8_\udcff.wav", "%s%n{0}.wav"]
)
def test_names_fit_on_one_line(tmp_path, voice, encode, name):
    path = tmp_path / name
    path.write_bytes(encode(voice(0.2)))
    assert io.load(path).duration == pytest.approx(0.2)
    assert io.load(os.fsencode(path)).name == str(path)
    path.write_bytes(b"no audio at all")
    text = str(refusal(path))
    assert text.isprintable()
    assert text.encode("utf-8").decode("unicode_escape" if "\\" in text else "utf-8")


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        ((np.zeros(0), 16000), "E_EMPTY"),
        ((np.zeros((2, 0)), 16000), "E_EMPTY"),
        ((np.float32(1), 16000), "E_SHAPE"),
        ((np.zeros((1, 2, 3)), 16000), "E_SHAPE"),
        ((np.zeros((16000, 2)), 16000), "E_CHANNELS"),
        ((16000, np.zeros(4)), "E_INPUT"),
        ((np.zeros(4), "16000"), "E_INPUT"),
        ((np.zeros(4), 16000.5), "E_INPUT"),
        ((np.zeros(4), None), "E_INPUT"),
        ((np.zeros(4),), "E_INPUT"),
        (([0.0, 1.0], 16000), "E_INPUT"),
        ((np.zeros(4, complex), 16000), "E_INPUT"),
        ((np.zeros(4, bool), 16000), "E_INPUT"),
        ((np.array(["a"]), 16000), "E_INPUT"),
        (np.zeros(4), "E_INPUT"),
        (None, "E_INPUT"),
        (["a.wav"], "E_INPUT"),
    ],
    ids=str,
)
def test_pairs_that_are_none(pair, code):
    assert refusal(pair).code == code


def test_a_tensor_that_needs_a_gradient():
    torch = pytest.importorskip("torch")
    error = refusal((torch.zeros(4, requires_grad=True), 16000))
    assert error.code == "E_INPUT"
    assert "detach" in str(error)


class Broken(memory.BytesIO):
    """A file object whose disk fails after some bytes."""

    left = 5000

    def read(self, size=-1):
        self.left -= size
        if self.left < 0:
            raise OSError("the disk is gone")
        return super().read(size)


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", None), ("FLAC", None), ("OGG", "VORBIS"), ("MP3", None)])
def test_an_error_of_the_file_object_is_typed(voice, encode, capfd, kind, subtype):
    error = refusal(Broken(encode(voice(3.0), 16000, kind, subtype)))
    assert error.code == "E_IO"
    assert "the disk is gone" in str(error)
    assert "Traceback" not in capfd.readouterr().err  # what a callback raises inside C lands there


def test_an_error_of_the_file_object_under_pyav(voice, encode_av):
    assert refusal(Broken(encode_av(voice(3.0), 16000, "ipod", "aac"))).code == "E_IO"


def test_file_objects_of_the_wrong_kind(tmp_path):
    (tmp_path / "a.wav").write_text("text")
    with (tmp_path / "a.wav").open(encoding="utf-8") as text:
        assert refusal(text).code == "E_IO"
    with pytest.raises(AudioError, match="cannot seek"), os.fdopen(os.pipe()[0], "rb") as pipe:
        OpenFile(pipe)


def test_files_are_closed(put, voice, encode):
    good, bad, fake = put(encode(voice(0.2)), "good"), put(encode(voice(0.2))[:40], "bad"), put(b"fake", "fake")
    handles = Path("/proc/self/fd")
    before = len(list(handles.iterdir())) if handles.exists() else pytest.skip("needs /proc")
    for _ in range(5):
        io.load(good)
        io.info(good)
        for path in (bad, fake):
            refusal(path)
    assert len(list(handles.iterdir())) == before
