"""What a file is, by its first bytes; its name is never asked."""

from __future__ import annotations

from dataclasses import dataclass

from voxid.audio.source import OpenFile, refusal

ACCEPTED = "wav, flac, mp3, ogg, opus, aiff, au, sph, w64, caf; with the extra 'audio' also m4a, aac, webm, amr"


@dataclass(frozen=True)
class Container:
    """What the bytes say.

    Args:
        name: ``"wav"``, ``"flac"``, ``"mp3"``, ``"mp4"``, ...
        start: Where it begins, behind ID3 tags.
        demuxer: FFmpeg's name for it, where libsndfile does not read it.
    """

    name: str
    start: int = 0
    demuxer: str | None = None


# Magic bytes at an offset, the name, and FFmpeg's demuxer where libsndfile cannot help.
# An allow-list: whatever is not here is never shown to a decoder.
_MAGIC: tuple[tuple[int, bytes, str, str | None], ...] = (
    (8, b"WAVE", "wav", None),
    (0, b"fLaC", "flac", None),
    (28, b"\x7fFLAC", "oggflac", "ogg"),
    (28, b"Speex   ", "speex", "ogg"),
    (0, b"OggS", "ogg", None),
    (8, b"AIFF", "aiff", None),
    (8, b"AIFC", "aiff", None),
    (8, b"8SVX", "svx", None),
    (8, b"16SV", "svx", None),
    (0, b".snd", "au", None),
    (0, b"dns.", "au", None),
    (0, b"NIST_1A\n", "sph", None),
    (0, b"riff\x2e\x91\xcf\x11", "w64", None),
    (0, b"caff", "caf", None),
    (0, b"Creative Voice File\x1a", "voc", None),
    (0, b" paf", "paf", None),
    (0, b"fap ", "paf", None),
    (0, b"2BIT", "avr", None),
    (0, b"PVF1\n", "pvf", None),
    (4, b"ftyp", "mp4", "mov"),
    (4, b"moov", "mp4", "mov"),
    (4, b"mdat", "mp4", "mov"),
    (0, b"\x1aE\xdf\xa3", "webm", "matroska"),
    (0, b"#!AMR\n", "amr", "amr"),
    (0, b"#!AMR-WB\n", "amr", "amr"),
)
_WRAPPERS = {"wav": (b"RIFF", b"RIFX", b"RF64"), "aiff": (b"FORM",), "svx": (b"FORM",)}

# What people name .wav by mistake, and what to do about it.
_STRANGERS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer instead of the file; fetch it with: git lfs pull"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"BZh", "a bzip2 file; unpack it first"),
    (b"\xfd7zXZ", "an xz file; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"#extm3u", "a playlist; playlists are never followed"),
    (b"ffconcat", "a playlist; playlists are never followed"),
    (b"[playlist]", "a playlist; playlists are never followed"),
    (b"<!doctype", "a web page, perhaps the error page of a failed download"),
    (b"<html", "a web page, perhaps the error page of a failed download"),
    (b"\x7felf", "a program"),
    (b"%pdf", "a PDF document"),
)


def sniff(source: OpenFile) -> Container:
    """Name the container of an open file.

    Raises:
        AudioError: E_NOT_AUDIO, or E_TRUNCATED and E_EMPTY where little more than a tag or the magic bytes are left.
    """
    start = 0
    for _ in range(8):  # tags can follow one another; a file of tags only must end
        head = source.at(start, 64)
        source.file.check()
        if head[:3] != b"ID3" or len(head) < 10:
            break
        start += 10 + _synchsafe(head[6:10]) + (10 if head[5] & 0x10 else 0)
        if start >= source.size:
            whole = start == source.size
            text = "only an ID3 tag, no audio behind it" if whole else "cut off inside its ID3 tag"
            raise refusal(source.name, text, "E_EMPTY" if whole else "E_TRUNCATED")
    name, demuxer = _by_magic(head) or _by_sync_word(head) or (None, None)
    if name is None:
        raise _stranger(source, head)
    return Container(name, start, demuxer)


def _synchsafe(data: bytes) -> int:
    return (data[0] & 127) << 21 | (data[1] & 127) << 14 | (data[2] & 127) << 7 | data[3] & 127


def _by_magic(head: bytes) -> tuple[str, str | None] | None:
    for offset, magic, name, demuxer in _MAGIC:
        if head.startswith(magic, offset) and head.startswith(_WRAPPERS.get(name, b"")):
            return name, demuxer
    return None


def _by_sync_word(head: bytes) -> tuple[str, str | None] | None:
    """MPEG audio and ADTS have no magic, only an 11- or 12-bit sync word: the other fields must be legal too."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if layer == 0:
        adts = head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 15 < 13
        return ("aac", "aac") if adts else None
    legal = version != 1 and 0 < head[2] >> 4 < 15 and head[2] >> 2 & 3 != 3
    return ("mp3", None) if legal else None


def _stranger(source: OpenFile, head: bytes) -> Exception:
    if len(head) < 12 and head.startswith((b"RIFF", b"RF64", b"RIFX", b"FORM")):
        return refusal(source.name, f"cut off after {len(head)} bytes of its header", "E_TRUNCATED")
    what = next((text for magic, text in _STRANGERS if head.lower().startswith(magic.lower())), None)
    if what is None:
        text = len(head) > 3 and all(9 <= byte < 127 for byte in head)
        what = "plain text" if text else "an unknown format"
    return refusal(source.name, f"not audio: {what}; accepted: {ACCEPTED}", "E_NOT_AUDIO")
