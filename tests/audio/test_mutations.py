"""Damaged files by the hundred: each gives finite samples or a typed error, and never ends the process.

In a child process, for a fault in a C library would end this one. To run more of them:
`python tests/audio/test_mutations.py FOLDER SEED COUNT`.
"""

from __future__ import annotations

import io as memory
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from voxid.audio import io
from voxid.errors import VoxidError

COUNT = 400


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change, cut, copy or flip a few bytes, most of them in the header."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 4, 16))):
        size = max(1, len(changed))
        early, anywhere = min(size - 1, int(rng.expovariate(1 / 60))), rng.randrange(size)
        kind = rng.randrange(6)
        if kind == 0:
            changed[early : early + 1] = bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))])
        elif kind == 1:
            changed[early : early + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\x80"))
        elif kind == 2:
            del changed[rng.randrange(size) :]
        elif kind == 3:
            changed[anywhere:anywhere] = changed[early : early + rng.randrange(200)]
        elif kind == 4:
            changed[anywhere : anywhere + rng.randrange(1, 64)] = rng.randbytes(rng.randrange(64))
        elif anywhere < len(changed):
            changed[anywhere] ^= 1 << rng.randrange(8)
    return bytes(changed)


def outcome(data: bytes, rng: random.Random) -> str:
    offset, duration = (0.0, None) if rng.random() < 0.5 else (rng.uniform(0, 1), 0.2)
    try:
        found = io.load(memory.BytesIO(data), offset=offset, duration=duration, strict=rng.random() < 0.2)
    except VoxidError as error:
        return error.code if str(error).isprintable() else "not printable"
    assert np.isfinite(found.waveform).all()
    assert found.waveform.ndim == 1
    assert found.waveform.size
    return "warned" if found.warnings else "read"


def fuzz(folder: Path, seed: int, count: int) -> dict[str, int]:
    """How often what came of it."""
    rng, seen = random.Random(seed), dict[str, int]()
    files = [path.read_bytes()[:60_000] for path in sorted(folder.iterdir()) if path.is_file()]
    for number in range(count):
        data = mutate(rng.choice(files), rng)
        sys.stderr.write(f"{number}\n")  # what the parent sees last, should this process die
        start = time.process_time()
        word = outcome(data, rng)
        if time.process_time() - start > 2:
            word = "slow"
        seen[word] = seen.get(word, 0) + 1
    return seen


def test_mutated_files(tmp_path, voice, encode, encode_av):
    kinds = "WAV WAV:FLOAT WAV:IMA_ADPCM FLAC OGG:VORBIS OGG:OPUS MP3 AIFF AU NIST CAF W64 RF64"
    for kind, _, subtype in (name.partition(":") for name in kinds.split()):
        (tmp_path / f"{kind}{subtype}").write_bytes(encode(voice(1.0), 16000, kind, subtype or None))
    for name in ("ipod aac 16000", "adts aac 16000", "webm libopus 48000", "amr libopencore_amrnb 8000"):
        muxer, codec, rate = name.split()
        (tmp_path / muxer).write_bytes(encode_av(voice(1.0, int(rate)), int(rate), muxer, codec))
    command = [sys.executable, __file__, str(tmp_path), "1", str(COUNT)]
    environment = {**os.environ, "PYTHONPATH": str(Path(io.__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300, env=environment)
    if done.returncode:
        pytest.fail(f"the process ended with {done.returncode}: {done.stderr[-2000:]}")
    seen = json.loads(done.stdout)
    assert sum(seen.values()) == COUNT
    assert not {"slow", "not printable"} & set(seen)
    assert {"read", "warned", "E_NOT_AUDIO"} <= set(seen)  # or the mutations would be too mild, or too wild


if __name__ == "__main__":
    print(json.dumps(fuzz(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
