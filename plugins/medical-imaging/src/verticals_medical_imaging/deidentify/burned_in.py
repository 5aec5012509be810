"""Where names are likely to be burned into the picture, which no header can take out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verticals_medical_imaging.reading.dicom_file import text_of

if TYPE_CHECKING:
    from pydicom import Dataset

DECLARED, LIKELY = "declared", "likely"
# Made by devices or programs that write on the picture: ultrasound, endoscopy, photographs, scans.
_MODALITIES = frozenset({"US", "IVUS", "BDUS", "ES", "GM", "XC", "OT", "DOC", "ECG", "HC", "XA"})
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def burned_in(dataset: Dataset) -> str:
    """Return "declared", "likely" or "" for the text burned into an image.

    An image that says NO in BurnedInAnnotation is believed.
    """
    says = text_of(dataset, "BurnedInAnnotation").upper()
    if says in ("YES", "NO"):
        return DECLARED if says == "YES" else ""
    sop_class = text_of(dataset, "SOPClassUID")
    captured = sop_class == _SECONDARY_CAPTURE or sop_class.startswith(f"{_SECONDARY_CAPTURE}.")
    screen = "SCREEN" in text_of(dataset, "ImageType").upper()
    modality = text_of(dataset, "Modality").upper()
    converted = bool(text_of(dataset, "ConversionType"))
    return LIKELY if captured or screen or converted or modality in _MODALITIES else ""
