"""Open a DICOM file that nobody vouches for, and read its header.

All of this is to run in `quiet_pydicom`, since pydicom converts a value when it is asked for.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verticals.errors import DataError
from verticals_medical_imaging.reading.facts import Facts, Identity

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset
    from pydicom.uid import UID

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
MAX_INFLATED = 2**28  # bytes of a dataset that is stored deflated
_DEFLATED = "1.2.840.10008.1.2.1.99"
_DIRECTORY = "1.2.840.10008.1.3.10"  # the SOP class of a DICOMDIR
_META = 128 + 4 + 12  # preamble, prefix and the element that holds the length of the file meta
_AGE = re.compile(r"(\d{3})([DWMY])")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_TEXT = 64  # characters of a text fact, the length of DICOM's LO


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Say how pixels are stored: everything that decoding needs, checked."""

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    photometric: str


def is_dicom(path: Path) -> bool:
    """Tell a DICOM file by its prefix, which follows a preamble of any 128 bytes."""
    with path.open("rb") as file:
        file.seek(128)
        return file.read(4) == b"DICM"


def open_dicom(path: Path, name: str, *, pixels: bool = True) -> FileDataset:
    """Read a file with a DICOM prefix; the pixels stay encoded.

    Raises `DataError` naming the file where it cannot be parsed, or would inflate too far.
    """
    from pydicom import dcmread

    try:
        inflated = _inflated_size(path)
        if inflated <= MAX_INFLATED:
            return dcmread(path, stop_before_pixels=not pixels)
    except Exception as error:  # pydicom raises whatever a damaged file makes it raise
        raise DataError(
            f"'{name}' is a damaged DICOM file: {type(error).__name__} while its header is read",
            hint="export the file again",
        ) from None
    raise DataError(
        f"'{name}' inflates to more than {MAX_INFLATED} bytes, expected at most that",
        hint="store it uncompressed, if it is what it should be",
    )


def _inflated_size(path: Path) -> int:
    """Return the inflated size of a deflated dataset, or a size just above the limit; else 0."""
    from pydicom.filereader import read_file_meta_info

    meta = read_file_meta_info(path)
    if text_of(meta, "TransferSyntaxUID") != _DEFLATED:
        return 0
    data = path.read_bytes()[_META + int(meta.FileMetaInformationGroupLength) :]
    return len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_INFLATED + 1))


def transfer_syntax(dataset: FileDataset) -> UID | None:
    """Return the transfer syntax; None where the file meta has none, or an unreadable one."""
    from pydicom.uid import UID

    syntax = text_of(dataset.file_meta, "TransferSyntaxUID")
    return UID(syntax) if syntax else None


def pixel_keyword(dataset: FileDataset, name: str) -> str:
    """Return the element that holds the pixels; raise `DataError` where there is none."""
    for keyword in PIXEL_KEYWORDS:
        if keyword in dataset:
            return keyword
    if text_of(dataset.file_meta, "MediaStorageSOPClassUID") == _DIRECTORY:
        raise DataError(f"'{name}' is a DICOMDIR, an index of files, expected an image")
    raise DataError(
        f"'{name}' holds no pixels: it is no image, or was cut off before them",
        hint="leave reports, plans and indexes out of the table",
    )


def layout_of(dataset: Dataset, name: str) -> Layout:
    """Return how pixels are stored; raise `DataError` for what is missing or out of range."""
    photometric = text_of(dataset, "PhotometricInterpretation")
    if not photometric:
        raise DataError(f"'{name}' has no photometric interpretation, expected one, as MONOCHROME2")
    allocated = _whole(dataset, "BitsAllocated", name, top=64)
    return Layout(
        rows=_whole(dataset, "Rows", name, top=65535),
        columns=_whole(dataset, "Columns", name, top=65535),
        frames=_whole(dataset, "NumberOfFrames", name, top=2**31 - 1, default=1),
        samples=_whole(dataset, "SamplesPerPixel", name, top=4, default=1),
        allocated=allocated,
        stored=_whole(dataset, "BitsStored", name, top=allocated, default=allocated),
        signed=_whole(dataset, "PixelRepresentation", name, low=0, top=1, default=0) == 1,
        photometric=photometric,
    )


def _whole(
    dataset: Dataset, keyword: str, name: str, *, top: int, low: int = 1, default: int | None = None
) -> int:
    expected = f"expected a whole number from {low} to {top}"
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            if default is not None:
                return default
            raise DataError(f"'{name}' has no {keyword}, {expected}")
        number = int(value)
    except (TypeError, ValueError, OverflowError, AttributeError):
        raise DataError(f"'{name}' has a {keyword} that is no number, {expected}") from None
    if not low <= number <= top:
        raise DataError(f"'{name}' has {keyword} {number}, {expected}")
    return number


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return the text of an element, shortened; empty where it is missing or cannot be read."""
    try:
        value: Any = dataset.get(keyword)
    except Exception:  # a value that pydicom cannot convert
        return ""
    if value is None or isinstance(value, bytes):
        return ""
    text = " ".join(str(value).split())
    return "".join(letter for letter in text if letter.isprintable())[:_TEXT]


def facts_of(dataset: Dataset, *, frame: int = 0) -> Facts:
    """Return the facts of a header; what is missing or unreadable stays empty."""
    sex = text_of(dataset, "PatientSex").upper()
    return Facts(
        format="dicom",
        modality=text_of(dataset, "Modality").upper(),
        photometric=text_of(dataset, "PhotometricInterpretation"),
        bits=_count(dataset, "BitsStored"),
        rows=_count(dataset, "Rows"),
        columns=_count(dataset, "Columns"),
        frames=_count(dataset, "NumberOfFrames") or 1,
        frame=frame,
        manufacturer=text_of(dataset, "Manufacturer"),
        view=text_of(dataset, "ViewPosition"),
        laterality=text_of(dataset, "ImageLaterality") or text_of(dataset, "Laterality"),
        sex=sex if sex in ("M", "F", "O") else "",
        age=_years(text_of(dataset, "PatientAge")),
    )


def identity_of(dataset: Dataset) -> Identity:
    """Return what identifies the patient and the examination."""
    return Identity(
        patient_id=text_of(dataset, "PatientID"),
        study_uid=text_of(dataset, "StudyInstanceUID"),
        series_uid=text_of(dataset, "SeriesInstanceUID"),
        sop_uid=text_of(dataset, "SOPInstanceUID"),
    )


def _count(dataset: Dataset, keyword: str) -> int:
    text = text_of(dataset, keyword)
    return int(text) if text.isascii() and text.isdigit() else 0


def _years(age: str) -> float:
    found = _AGE.fullmatch(age)
    return int(found[1]) * _YEARS[found[2]] if found else math.nan
