"""What a header promises and what the bytes hold: asked when a file ends, to tell a whole recording from a torn one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from voxid.audio.containers import Container
from voxid.audio.source import OpenFile

# Sizes that streaming writers leave behind (FFmpeg 0xFFFFFFFF, SoX 0x7FFFF000 and above): unknown, not a promise.
_STREAMED = 0x7FFFF000
# A walk ends after so many parts: a file of tiny ones must not hold the reader up.
_CHUNKS, _PAGES = 4096, 200_000


@dataclass(frozen=True)
class Claim:
    """The promises of a header.

    Args:
        rate: Sampling rate in Hz, where it explains why a decoder refused the file.
        frames: Samples a channel.
        data: Bytes of audio, promised and present.
        md5: Checksum of the decoded samples (FLAC).
        faults: Warnings, ``"W_CODE: text"``.
    """

    rate: int | None = None
    frames: int | None = None
    data: tuple[int, int] | None = None
    md5: bytes = b""
    faults: tuple[str, ...] = ()

    def duration(self, measured: int, rate: int) -> float | None:
        """Promised seconds, or None; `measured` is what was decoded, in samples a channel."""
        if self.frames is not None:
            return self.frames / rate
        if self.data is not None and self.data[1]:
            return measured / rate * (self.data[0] / self.data[1])
        return None


def read_claim(source: OpenFile, container: Container, frames: int | None) -> Claim:
    """Read the promises of a file; `frames` is what the decoder made of the header. Never raises for a broken header."""
    reader = _READERS.get(container.name)
    try:
        claim = reader(source, container.start) if reader else Claim()
    except (struct.error, IndexError):
        return Claim(faults=("W_TRUNCATED: the header is cut off",))
    except (ValueError, KeyError):
        return Claim(faults=("W_HEADER: the header is damaged",))
    believed = container.name in ("mp4", "webm") or (container.name == "mp3" and _has_xing(source, container.start))
    return replace(claim, frames=frames) if believed else claim


def _wav(source: OpenFile, start: int) -> Claim:
    head = source.at(0, 12)
    order = ">" if head[:4] == b"RIFX" else "<"
    end = struct.unpack(f"{order}I", head[4:8])[0] + 8
    rate, long_data, faults = None, None, []
    for kind, position, length in _chunks(source, 12, order):
        if kind == b"ds64":
            long_data = struct.unpack("<Q", source.at(position + 8, 8))[0]
        elif kind == b"fmt ":
            tag, channels, rate, _, align, bits = struct.unpack(f"{order}HHIIHH", source.at(position, 16))
            if tag in (1, 3, 0xFFFE) and align != channels * ((bits + 7) // 8):
                faults.append(f"W_HEADER: a block of {align} bytes does not fit {channels} x {bits} bits")
        elif kind == b"data":
            length = long_data if long_data is not None and head[:4] == b"RF64" else length
            present = min(length, source.size - position)
            if 8 < end < position + present and end < _STREAMED:
                faults.append("W_HEADER: the RIFF size ends before the data does")
            streamed = long_data is None and length >= _STREAMED
            return Claim(rate, data=None if streamed else (length, present), faults=tuple(faults))
    return Claim(rate, faults=tuple(faults))


def _aiff(source: OpenFile, start: int) -> Claim:
    for kind, position, length in _chunks(source, 12, ">"):
        if kind == b"SSND":
            return Claim(data=(length, min(length, source.size - position)))
    return Claim()


def _chunks(source: OpenFile, position: int, order: str) -> list[tuple[bytes, int, int]]:
    """(kind, position of the body, length) of each chunk; a flood of tiny chunks ends after `_CHUNKS`."""
    found: list[tuple[bytes, int, int]] = []
    while len(found) < _CHUNKS and len(head := source.at(position, 8)) == 8:
        length = struct.unpack(f"{order}I", head[4:])[0]
        found.append((head[:4], position + 8, length))
        position += 8 + length + (length & 1)
    return found


def _au(source: OpenFile, start: int) -> Claim:
    order = "<" if source.at(0, 4) == b"dns." else ">"
    offset, length, _, rate = struct.unpack(f"{order}IIII", source.at(4, 16))
    return Claim(rate, data=None if length == 0xFFFFFFFF else (length, max(0, min(length, source.size - offset))))


def _sph(source: OpenFile, start: int) -> Claim:
    """NIST SPHERE: lines ``name -type value`` in a header whose size is its second line."""
    size = int(source.at(8, 8))
    lines = (line.split(None, 2) for line in source.at(16, min(size, 16384)).decode("latin-1").split("\n"))
    field = {line[0]: line[2] for line in lines if len(line) == 3}
    promised = int(field["sample_count"]) * int(field.get("sample_n_bytes", 2)) * int(field.get("channel_count", 1))
    return Claim(int(field["sample_rate"]), data=(promised, max(0, min(promised, source.size - size))))


def _flac(source: OpenFile, start: int) -> Claim:
    info = source.at(start + 8, 34)
    packed = int.from_bytes(info[10:18])
    return Claim(packed >> 44, frames=packed & (1 << 36) - 1 or None, md5=info[18:34].strip(b"\0") and info[18:34])


def _has_xing(source: OpenFile, start: int) -> bool:
    """Without one of these tags the length of an MP3 is a guess from its first bit rate, and a guess is no promise."""
    head = source.at(start, 256)
    return any(tag in head for tag in (b"Xing", b"Info", b"VBRI"))


def _ogg(source: OpenFile, start: int) -> Claim:
    """Walk the pages: order, checksums, and whether the last one says that it is the last."""
    position, ended = start, False
    for _ in range(_PAGES):
        if position >= source.size:
            return Claim() if ended else Claim(faults=("W_TRUNCATED: the Ogg stream has no last page",))
        page = ogg_page(source, position)
        if page is None or page[22:26] != ogg_checksum(page):
            cut = page is None and source.at(position, 4) == b"OggS"
            return Claim(faults=(_cut_off(position) if cut else f"W_CORRUPT: the Ogg page at byte {position} is damaged",))
        if ended and page[5] & 2:
            return Claim(faults=("W_CHAINED: a second stream follows; only the first is read",))
        ended = ended or bool(page[5] & 4)
        position += len(page)
    return Claim()


def last_ogg_page(source: OpenFile) -> int:
    """The sample with which the last whole Ogg page begins: what the page before it counts up to. 0 when there is only one."""
    tail = source.at(max(0, source.size - 2 * _PAGE_BYTES), 2 * _PAGE_BYTES)
    counts: list[int] = []
    place = len(tail)
    while len(counts) < 2 and (place := tail.rfind(b"OggS", 0, place)) >= 0:
        count = int.from_bytes(tail[place + 6 : place + 14], "little")
        if ogg_page(source, source.size - len(tail) + place) is not None and count < 1 << 62:
            counts.append(count)
    return counts[1] if len(counts) == 2 else 0


def ogg_page(source: OpenFile, position: int) -> bytes | None:
    """The whole Ogg page at `position`, or None."""
    head = source.at(position, 27 + 255)
    if head[:4] != b"OggS" or len(head) < 27:
        return None
    length = 27 + head[26] + sum(head[27 : 27 + head[26]])
    page = head[:length] if length <= len(head) else head + source.at(position + len(head), length - len(head))
    return page if len(page) == length else None


_PAGE_BYTES = 27 + 255 + 255 * 255
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_checksum(page: bytes) -> bytes:
    """CRC of an Ogg page (RFC 3533): zlib's polynomial run the other way round, so both ends are bit-reversed."""
    plain = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(plain.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4, "big").translate(_REVERSED)


_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"


def _webm(source: OpenFile, start: int) -> Claim:
    """Hop over the EBML elements: recorders leave the sizes of the outer ones open, so only the last block tells of a cut."""
    position = start
    for _ in range(_PAGES):
        if position >= source.size:
            break
        head = source.at(position, 12)
        width = 9 - head[0].bit_length()
        size_width = 9 - head[width].bit_length()
        value = int.from_bytes(head[width : width + size_width]) & (1 << 7 * size_width) - 1
        unknown = value == (1 << 7 * size_width) - 1
        inside = head[:width] == _SEGMENT or (unknown and head[:width] == _CLUSTER)
        position += width + size_width + (0 if inside else value)
    return Claim(faults=(_cut_off(source.size),) if position > source.size else ())


def _cut_off(position: int) -> str:
    return f"W_TRUNCATED: the file is cut off at byte {position}"


_READERS: dict[str, Callable[[OpenFile, int], Claim]] = {
    "wav": _wav,
    "aiff": _aiff,
    "au": _au,
    "sph": _sph,
    "flac": _flac,
    "ogg": _ogg,
    "oggflac": _ogg,
    "webm": _webm,
}
