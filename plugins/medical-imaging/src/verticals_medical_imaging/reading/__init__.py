"""Read medical images: DICOM, PNG, JPEG, TIFF and arrays, by one declared pipeline.

`spec_of` turns a contract's image field into an `ImageSpec`; `read_images` turns the paths of a
table into float32 pixels in the declared range. What does not fit the declaration is refused, and
never rescaled in silence. No heavy package is imported before a file is read.
"""

from verticals_medical_imaging.reading.facts import Facts, Identity
from verticals_medical_imaging.reading.images import (
    Images,
    ReadImage,
    Skipped,
    read_image,
    read_images,
    scan_folder,
)
from verticals_medical_imaging.reading.spec import ImageSpec, pipeline_digest, spec_of

__all__ = [
    "Facts",
    "Identity",
    "ImageSpec",
    "Images",
    "ReadImage",
    "Skipped",
    "pipeline_digest",
    "read_image",
    "read_images",
    "scan_folder",
    "spec_of",
]
