"""De-identify DICOM images by the Basic Application Level Confidentiality Profile of PS3.15.

`deidentify_folder` writes images without the identity of their patients, and a report of counts.
Nothing that the profile or a keep-list does not name is kept. No heavy package is imported before
a file is read.
"""

from verticals_medical_imaging.deidentify.folder import deidentify_folder
from verticals_medical_imaging.deidentify.pseudonyms import Pseudonyms

__all__ = ["Pseudonyms", "deidentify_folder"]
