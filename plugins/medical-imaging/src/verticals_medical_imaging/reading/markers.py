"""Walk the marker segments of a JPEG, JPEG-LS or JPEG 2000 stream, without decoding it.

Two uses: a stream states its own size, which a decoder believes more than the DICOM header; and
its comment and application segments can hold text about the patient, which is blanked in place,
so that no offset changes. Layouts: ISO/IEC 10918-1 B.1, 14495-1 C, 15444-1 A.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_J2K_START = b"\xff\x4f\xff\x51"
_JPEG_START = b"\xff\xd8"
_SIZ, _SOT, _SOD, _J2K_COMMENT = 0x51, 0x90, 0x93, 0x64
_SOS, _EOI, _COMMENT = 0xDA, 0xD9, 0xFE
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_APPLICATION = range(0xE0, 0xF0)
# A marker in entropy-coded data; restarts and stuffed bytes belong to the data.
_NEXT = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
# Application segments that change how a stream is decoded, and their longest payload.
_NEEDED = ((b"JFIF\0", 14), (b"Adobe", 12), (b"mrfx", 5))

Segment = tuple[int, int, int]  # marker, first and last+1 byte of the payload


def stream_size(stream: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) as a compressed stream states them; None where it does not say."""
    for marker, begin, end in _segments(stream):
        if _is_j2k(stream) and marker == _SIZ and end - begin >= 18:
            wide, high, left, top = (
                int.from_bytes(stream[begin + at : begin + at + 4], "big") for at in (2, 6, 10, 14)
            )
            return high - top, wide - left
        if not _is_j2k(stream) and marker in _FRAME_HEADERS and end - begin >= 5:
            high = int.from_bytes(stream[begin + 1 : begin + 3], "big")
            wide = int.from_bytes(stream[begin + 3 : begin + 5], "big")
            return (high, wide) if high else None  # 0: given later, by a DNL segment
    return None


def without_text(stream: bytes) -> bytes:
    """Return a stream of the same length with zeros for comments, application data and the tail."""
    clean = bytearray(stream)
    start = stream.find(_J2K_START) if not stream.startswith(_JPEG_START) else 0
    if start > 0:  # a JP2 file where DICOM wants a bare codestream: its boxes may hold XML
        clean, stream = clean[start:] + bytes(start), stream[start:] + bytes(start)
    for marker, begin, end in _segments(stream):
        payload = stream[begin:end]
        text = marker == _J2K_COMMENT if _is_j2k(stream) else _may_hold_text(marker, payload)
        if text:
            clean[begin:end] = bytes(end - begin)
    tail = stream.rfind(bytes((0xFF, _EOI)))
    if tail >= 0:
        clean[tail + 2 :] = bytes(len(clean) - tail - 2)
    return bytes(clean)


def _may_hold_text(marker: int, payload: bytes) -> bool:
    if marker == _COMMENT:
        return True
    needed = any(payload.startswith(head) and len(payload) <= size for head, size in _NEEDED)
    return marker in _APPLICATION and not needed


def _is_j2k(stream: bytes) -> bool:
    return stream.startswith(_J2K_START)


def _segments(stream: bytes) -> Iterator[Segment]:
    if _is_j2k(stream):
        yield from _j2k_segments(stream)
    elif stream.startswith(_JPEG_START):
        yield from _jpeg_segments(stream)


def _jpeg_segments(stream: bytes) -> Iterator[Segment]:
    place = 2
    while place + 4 <= len(stream):
        if stream[place] != 0xFF:
            return
        marker = stream[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker == _EOI:
            return
        end = place + 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
        yield marker, place + 4, min(end, len(stream))
        place = end
        if marker == _SOS:
            found = _NEXT.search(stream, end)
            if found is None:
                return
            place = found.start()


def _j2k_segments(stream: bytes) -> Iterator[Segment]:
    place = 2
    tile_start, tile_length = 0, 0
    while place + 4 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == _SOD:
            if not tile_length:  # the last tile part: to the end of the stream
                return
            place = tile_start + tile_length
            continue
        end = place + 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
        if marker == _SOT:
            length = int.from_bytes(stream[place + 6 : place + 10], "big")
            tile_start, tile_length = place, length if length >= 14 else 0
        yield marker, place + 4, min(end, len(stream))
        place = end
