"""Text beside the picture: in compressed streams, after the pixels, and in their unused bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verticals_medical_imaging.reading.dicom_file import Layout
from verticals_medical_imaging.reading.markers import without_text

if TYPE_CHECKING:
    from pydicom import Dataset

_RLE = "1.2.840.10008.1.2.5"
_STREAMS = "1.2.840.10008.1.2.4."  # JPEG and its relatives
# Of these the comments are understood: JPEG, JPEG-LS, JPEG 2000, high-throughput JPEG 2000.
_KNOWN = frozenset(f"{_STREAMS}{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91))
_KNOWN_HT = frozenset(f"{_STREAMS}{number}" for number in (201, 202, 203))


def can_clean(syntax: str) -> bool:
    """Tell whether the text in a transfer syntax can be found; not in video or JPEG XL."""
    return not syntax.startswith(_STREAMS) or syntax in _KNOWN | _KNOWN_HT


def clean_pixels(clean: Dataset, layout: Layout, syntax: str, *, little_endian: bool) -> bool:
    """Blank what is no picture in `PixelData`, in place; tell whether there was something.

    The pixels stay as they are, but for burned-in text, which this cannot see.
    """
    data: bytes = clean.PixelData
    if syntax == _RLE or syntax.startswith(_STREAMS):
        blank = _clean_frames(data, layout, rle=syntax == _RLE)
    else:
        blank = _clean_native(data, layout, little_endian=little_endian)
    if blank == data:
        return False
    clean.PixelData = blank
    return True


def _clean_frames(data: bytes, layout: Layout, *, rle: bool) -> bytes:
    from pydicom.encaps import encapsulate, generate_frames

    frames = list(generate_frames(data, number_of_frames=layout.frames))
    cleaned = [frame if rle else without_text(frame) for frame in frames]
    return data if cleaned == frames else encapsulate(cleaned)


def _clean_native(data: bytes, layout: Layout, *, little_endian: bool) -> bytes:
    """Cut what follows the pixels, and clear the bits above those stored (old overlays)."""
    samples = layout.rows * layout.columns * layout.frames * layout.samples
    if layout.photometric == "YBR_FULL_422":
        samples = samples // 3 * 2
    data = data[: (samples * layout.allocated + 7) // 8]
    if layout.allocated in (8, 16) and layout.stored < layout.allocated:
        kind = np.dtype(f"{'i' if layout.signed else 'u'}{layout.allocated // 8}")
        words = np.frombuffer(data, dtype=kind.newbyteorder("<" if little_endian else ">"))
        spare = layout.allocated - layout.stored
        data = ((words << spare) >> spare).astype(words.dtype).tobytes()
    return data + bytes(len(data) % 2)
