"""Decode one frame of a DICOM image: transfer syntax, modality LUT, colour, and its VOI.

The chain is that of DICOM PS3.4 N.2.1: stored values → modality LUT → VOI LUT or window. The last
step is only described here (`Decoded.voi`); the declaration says whether it is applied.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verticals.errors import DataError
from verticals.table import Array
from verticals_medical_imaging.reading.dicom_file import (
    Layout,
    facts_of,
    identity_of,
    layout_of,
    open_dicom,
    pixel_keyword,
    transfer_syntax,
)
from verticals_medical_imaging.reading.facts import Decoded
from verticals_medical_imaging.reading.groups import functional_group
from verticals_medical_imaging.reading.markers import stream_size
from verticals_medical_imaging.reading.quiet import quiet_pydicom
from verticals_medical_imaging.reading.spec import ImageSpec
from verticals_medical_imaging.reading.voi import voi_of

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset
    from pydicom.uid import UID

_GREY = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
_LONGER = ("SEG", "RTDOSE", "RTIMAGE", "IVUS", "IVOCT", "OCT", "OPT", "OPTENF", "OSS", "BDUS")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_RCT", "YBR_ICT", _PALETTE)


def read_dicom(path: Path, name: str, spec: ImageSpec) -> tuple[Decoded, ...]:
    """Decode the frames that the declaration asks for.

    Raises `DataError` naming the file: not parsed, another modality, several frames where one is
    declared, too many pixels, truncated, or a transfer syntax without a decoder.
    """
    with quiet_pydicom():  # for the whole of it: pydicom reads values when they are asked for
        return _read_dicom(open_dicom(path, name), name, spec)


def _read_dicom(dataset: FileDataset, name: str, spec: ImageSpec) -> tuple[Decoded, ...]:
    keyword = pixel_keyword(dataset, name)
    modality = facts_of(dataset).modality
    if spec.modality and modality not in spec.modality:
        raise DataError(
            f"'{name}' has {_shown_modality(modality)}, expected one of {', '.join(spec.modality)}",
            hint="leave the file out, or declare its modality in the field's settings",
        )
    layout = layout_of(dataset, name)
    frames = pick_frames(layout.frames, spec, name)
    check_pixels(layout.rows, layout.columns, len(frames), spec, name)
    _check_photometric(layout, name)
    _check_syntax(dataset, keyword, layout, name)
    return tuple(_decoded(dataset, keyword, layout, frame, name) for frame in frames)


def _shown_modality(modality: str) -> str:
    """Name a modality; what is none may be anything, a person's name too, and is not shown."""
    if not modality:
        return "no modality"
    known = len(modality) == 2 or modality in _LONGER
    return f"the modality {modality}" if known else "a modality that is not of the standard"


def pick_frames(frames: int, spec: ImageSpec, name: str) -> range:
    """Return the frames that the declaration asks for; raise `DataError` where it does not say."""
    if spec.frame == "all":
        return range(frames)
    if spec.frame == "single":
        if frames > 1:
            raise DataError(
                f"'{name}' has {frames} frames, expected one image of two dimensions",
                hint="declare `frame: 0` (or another, or all) in the field's settings",
            )
        return range(1)
    wanted = int(spec.frame)
    if wanted >= frames:
        raise DataError(f"'{name}' has {frames} frames, expected a frame {wanted} (from 0)")
    return range(wanted, wanted + 1)


def check_pixels(rows: int, columns: int, frames: int, spec: ImageSpec, name: str) -> None:
    """Refuse a header that declares more pixels than `max_pixels`, before they are decoded."""
    total = rows * columns * frames
    if total > spec.max_pixels:
        shape = f"{rows}×{columns}" + (f"×{frames} frames" if frames > 1 else "")
        raise DataError(
            f"'{name}' declares {shape}, {total} pixels, expected at most {spec.max_pixels}",
            hint="raise `max_pixels` in the field's settings, if the file is what it should be",
        )


def _check_photometric(layout: Layout, name: str) -> None:
    known = (*_GREY, *_COLOUR)
    if layout.photometric not in known:
        raise DataError(
            f"'{name}' has another photometric interpretation than can be read, expected one of "
            f"{', '.join(known)}"
        )
    samples = 1 if layout.photometric in (*_GREY, _PALETTE) else 3
    if layout.samples != samples:
        raise DataError(
            f"'{name}' has {layout.samples} samples a pixel, expected {samples} for "
            f"{layout.photometric}"
        )


def _check_syntax(dataset: FileDataset, keyword: str, layout: Layout, name: str) -> None:
    """Refuse a transfer syntax that cannot be decoded here, and pixels that were cut off."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = transfer_syntax(dataset)
    if syntax is None:
        raise DataError(f"'{name}' names no transfer syntax, expected one in its file meta")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise DataError(
            f"'{name}' has the transfer syntax {_shown_syntax(syntax)}, for which there is no "
            "decoder",
            hint="convert it: gdcmconv --raw IN OUT",
        ) from None
    if not decoder.is_available:
        needs = " or ".join(text.partition(" ")[2] or text for text in decoder.missing_dependencies)
        raise DataError(
            f"'{name}' is compressed as {syntax.name!r}, and no decoder for it is installed: "
            f"expected {needs}",
            hint="pip install 'verticals-medical-imaging[decoders]', or gdcmconv --raw IN OUT",
        )
    if not syntax.is_compressed:
        expected = _native_bytes(layout)
        found = len(dataset[keyword].value or b"")
        if found < expected:
            raise DataError(
                f"'{name}' is truncated: it holds {found} bytes of pixels, expected {expected}",
                hint="export the file again",
            )


def _shown_syntax(syntax: UID) -> str:
    return repr(syntax.name) if syntax.name != str(syntax) else "(not of the standard)"


def _native_bytes(layout: Layout) -> int:
    """Return how many bytes uncompressed pixels take (PS3.5 8.1.1)."""
    bits = layout.rows * layout.columns * layout.frames * layout.samples * layout.allocated
    if layout.photometric == "YBR_FULL_422":
        bits = bits // 3 * 2
    return (bits + 7) // 8


def _decoded(dataset: FileDataset, keyword: str, layout: Layout, frame: int, name: str) -> Decoded:
    stored = _stored_values(dataset, keyword, layout, frame, name)
    floats = keyword != "PixelData"
    limits = None if floats else _limits(layout)
    nominal: tuple[float, float] | None
    if layout.photometric == _PALETTE:
        values, nominal = _by_palette(stored, dataset, name)
    elif layout.photometric in _COLOUR:
        values, nominal = stored.astype(np.float64), limits
    else:
        values, nominal = _by_modality(stored, limits, dataset, frame, name)
    grey = layout.photometric in _GREY
    return Decoded(
        values=values,
        facts=facts_of(dataset, frame=frame),
        identity=identity_of(dataset),
        nominal=nominal,
        mirrored=layout.photometric == "MONOCHROME1",
        voi=voi_of(dataset, frame, name) if grey else None,
        has_voi_module=grey,
    )


def _stored_values(
    dataset: FileDataset, keyword: str, layout: Layout, frame: int, name: str
) -> Array:
    """Return (rows, columns) or (rows, columns, 3) stored values of one frame, YBR as RGB."""
    from pydicom.encaps import get_frame
    from pydicom.pixels.utils import pixel_array

    try:
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            stream = get_frame(dataset[keyword].value, frame, number_of_frames=layout.frames)
            _check_stream(stream, layout, name)
        stored = np.asarray(pixel_array(dataset, index=frame))
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever a damaged stream makes them raise
        raise DataError(
            f"'{name}' holds pixels that cannot be decoded: {type(error).__name__}; they are "
            "damaged or truncated, or do not agree with the header",
            hint="export the file again",
        ) from None
    expected = (layout.rows, layout.columns)
    if stored.shape[:2] != expected or stored.ndim != (3 if layout.samples > 1 else 2):
        raise DataError(
            f"'{name}' decodes to the shape {stored.shape}, expected the {expected} of its header"
        )
    return stored


def _check_stream(stream: bytes, layout: Layout, name: str) -> None:
    size = stream_size(stream)
    if size is not None and size != (layout.rows, layout.columns):
        raise DataError(
            f"'{name}' holds a compressed stream of {size[0]}×{size[1]} pixels, expected the "
            f"{layout.rows}×{layout.columns} of its header"
        )


def _limits(layout: Layout) -> tuple[float, float]:
    if layout.signed:
        return -(2.0 ** (layout.stored - 1)), 2.0 ** (layout.stored - 1) - 1
    return 0.0, 2.0**layout.stored - 1


def _by_palette(
    stored: Array, dataset: Dataset, name: str
) -> tuple[Array, tuple[float, float] | None]:
    from pydicom.pixels.processing import apply_color_lut

    try:
        colours = np.asarray(apply_color_lut(stored, dataset))[..., :3]
    except Exception as error:
        raise DataError(
            f"'{name}' has a palette that cannot be applied: {type(error).__name__}"
        ) from None
    return colours.astype(np.float64), (0.0, float(np.iinfo(colours.dtype).max))


def _by_modality(
    stored: Array, limits: tuple[float, float] | None, dataset: Dataset, frame: int, name: str
) -> tuple[Array, tuple[float, float] | None]:
    """Apply the modality LUT or the rescale slope and intercept to values and to their range."""
    from pydicom.pixels.processing import apply_modality_lut

    try:
        if dataset.get("ModalityLUTSequence"):
            mapped = np.asarray(apply_modality_lut(stored, dataset))
            return mapped.astype(np.float64), None
        holder = functional_group(dataset, frame, "PixelValueTransformationSequence")
        slope, intercept = _rescale(holder)
    except Exception as error:
        raise DataError(
            f"'{name}' has a modality LUT that cannot be applied: {type(error).__name__}"
        ) from None
    if not (np.isfinite([slope, intercept]).all() and slope != 0):
        raise DataError(
            f"'{name}' has the rescale slope {slope:g} and intercept {intercept:g}, expected "
            "finite numbers and a slope other than 0"
        )
    values = stored.astype(np.float64) * slope + intercept
    if limits is None:
        return values, None
    first, last = sorted(limit * slope + intercept for limit in limits)
    return values, (first, last)


def _rescale(holder: Dataset) -> tuple[float, float]:
    slope: Any = holder.get("RescaleSlope")
    intercept: Any = holder.get("RescaleIntercept")
    empty = (None, "")
    return (
        1.0 if slope in empty else float(slope),
        0.0 if intercept in empty else float(intercept),
    )
