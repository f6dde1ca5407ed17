"""The corpus of malformed audio, judged entry by entry as its index says."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import pytest

from voxid.audio import io
from voxid.errors import AudioError
from voxid.pipelines.info import AudioInfo, info

# Entries whose files deserve less or more than the index expects, each with its reason.
WITHOUT_WARNING = {"format/ch6.wav"}  # six equal channels: taking one loses nothing
CODES = {"E_HEADER", "E_UNSUPPORTED", "E_TRUNCATED", "E_CORRUPT", "E_EMPTY", "E_RATE", "E_NOT_AUDIO", "E_TOO_SHORT"}
# Codes that the index words in another way; what is torn, empty or no audio at all is often a matter of taste.
SYNONYMS = {"E_NOT_FILE": {"E_NOT_FOUND"}, "E_TOO_LONG": {"E_NO_SPEECH"}, **dict.fromkeys(CODES, CODES)}


@pytest.fixture(scope="module")
def corpus(shared, tmp_path_factory) -> Path:
    archive = shared / "badaudio" / "badaudio.tar.gz"
    if not archive.is_file():
        pytest.skip("needs ../shared/badaudio")
    folder = tmp_path_factory.mktemp("badaudio")
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.startswith("./extra") or member.name.startswith("extra"):
                continue  # bad models and manifests, among them a pickle
            try:  # links to devices and a pipe are part of it, so that nothing is filtered; all names are plain
                tar.extract(member, folder, filter="fully_trusted")
            except OSError:
                assert not member.isfile(), member.name
    return folder


def entries(shared: Path) -> list[dict[str, str]]:
    with (shared / "badaudio" / "index.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["group"] not in ("model", "manifest") and row["expect"] != "skip"]
    for row in rows:
        for escaped, plain in (("\\n", "\n"), ("\\t", "\t"), ("\\udcff\\udcfe", "\udcff\udcfe")):
            row["file"] = row["file"].replace(escaped, plain)
    return rows


def judge(row: dict[str, str], path: Path) -> str:
    """What is wrong with the answer to one entry, or ""."""
    try:
        answer: AudioInfo | AudioError = info(path)
    except AudioError as error:
        answer = error
    if isinstance(answer, AudioInfo):
        return _judge_accepted(row, answer)
    text = str(answer)
    if not text.isprintable() or not text.startswith(str(path)[:20]):
        return f"not one line that names the file: {text!r}"
    if row["expect"] == "accept":
        return f"refused: {text}"
    if row["expect"] == "reject" and answer.code not in {row["error_code"]} | SYNONYMS.get(row["error_code"], set()):
        return f"refused as {answer.code} where {row['error_code']} was expected"
    return ""


def _judge_accepted(row: dict[str, str], answer: AudioInfo) -> str:
    codes = {warning.partition(":")[0] for warning in answer.warnings}
    if row["expect"] == "reject":
        return f"accepted: {answer}"
    if row["expect"] == "accept_warn" and not codes and row["file"] not in WITHOUT_WARNING:
        return "no warning"
    if row["expect"] == "accept" and codes - {"W_SHORT", "W_CLIPPED"}:
        return f"warned of {codes}"
    return "" if answer.duration >= 0.1 and answer.peak > 0 else f"odd figures: {answer}"


def test_every_entry_is_answered_as_expected(shared, corpus):
    wrong = {row["file"]: judge(row, corpus / row["file"]) for row in entries(shared)}
    assert len(wrong) > 150
    assert {name: reason for name, reason in wrong.items() if reason} == {}


def test_the_answer_is_the_same_every_time(shared, corpus):
    for row in entries(shared):
        if row["expect"] == "either":
            first, second = (judge({**row, "expect": "reject"}, corpus / row["file"]) for _ in range(2))
            assert first == second


def test_strict_refuses_what_is_damaged(corpus):
    flacs = ("flac/trunc_mid.flac", "flac/corrupt_frame.flac", "flac/bad_md5.flac")
    for name in (*flacs, "wav/trunc_half_data.wav", "lossy/trunc_mid.mp3"):
        with pytest.raises(AudioError, match="strict"):
            io.load(corpus / name, strict=True)
        assert io.load(corpus / name).waveform.size


def test_strict_accepts_what_is_whole(shared, corpus):
    for row in entries(shared):
        if row["expect"] == "accept" and row["group"] not in ("name",):
            assert io.load(corpus / row["file"], strict=True).waveform.size


def test_bombs_cost_little_memory(corpus):
    import tracemalloc

    for path in sorted((corpus / "bomb").iterdir()):
        tracemalloc.start()
        with pytest.raises(AudioError):
            info(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 64_000_000, path
