"""Results as DICOM: a structured report (TID 1500) and a secondary capture of an overlay.

Made by highdicom, an optional extra. Both belong to the patient and study of the source image and
copy their names from it, as an archive files them by these. What is written is read back.

Codes are those of DICOM and SNOMED CT where these have one. What an algorithm alone knows (its
decision, its prediction set, that it abstains) has codes of this plugin's own, under the private
scheme 99VERTICALS; so has a finding, unless the caller gives its code.
"""

from __future__ import annotations

import copy
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verticals.errors import DataError, PluginError
from verticals.files import system_errors, write_file
from verticals.table import Array
from verticals_medical_imaging.results import Algorithm, Finding, ImageResult

if TYPE_CHECKING:
    from pydicom import Dataset

SCHEME = "99VERTICALS"
SERIES_NUMBER = 9900  # above what scanners number; a new series each time
SERIES_TEXT = "Algorithm result, not verified by a person"

#: What a result must name of its source (type 1 of DICOM PS3.3), and what it may leave empty (2).
NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_SEXES = ("", "M", "F", "O")

Code = tuple[str, str, str]  # value, scheme, meaning

_DECISION = ("DECISION", SCHEME, "Decision of the algorithm")
_IN_SET = ("IN-SET", SCHEME, "Value in the prediction set")
_ABSTAINED = ("ABSTAINED", SCHEME, "Algorithm abstained")
_REASON = ("REASON", SCHEME, "Reason of the algorithm")


def structured_report(
    source: Dataset,
    result: ImageResult,
    algorithm: Algorithm,
    *,
    codes: Mapping[str, Code] | None = None,
) -> Dataset:
    """Return a Comprehensive SR with a measurement group for each finding of one image.

    A group holds the finding's code, the algorithm (name, version, digests of bundle and
    preprocessing), each probability as a NUM without unit, the prediction set, whether the
    algorithm abstained and why, and, where it did not, its decision. `codes` gives the code of a
    target, of its values as `TARGET=VALUE`. What a source leaves out of `MAY_BE_EMPTY` is empty in
    the report.

    Raises `PluginError` without highdicom, `DataError` as `complete_source`.
    """
    hd = _highdicom()
    source = complete_source(source)
    from pydicom.sr.codedict import codes as known

    groups = [_group(hd, source, finding, algorithm, codes or {}) for finding in result.findings]
    with _source_errors():
        device = hd.sr.ObserverContext(
            observer_type=known.DCM.Device,
            observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
                uid=_device_uid(algorithm),
                name=algorithm.name[:64],
                model_name=algorithm.name[:64],
                serial_number=algorithm.version[:64],
            ),
        )
        content = hd.sr.MeasurementReport(
            observation_context=hd.sr.ObservationContext(observer_device_context=device),
            procedure_reported=known.SCT.ImagingProcedure,
            imaging_measurements=groups,
            title=known.DCM.ImagingMeasurementReport,
        )
        report: Dataset = hd.sr.ComprehensiveSR(
            evidence=[source],
            content=content[0],
            series_instance_uid=hd.UID(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer=algorithm.name[:64],
            is_complete=True,
            is_final=False,
            is_verified=False,
            series_description=SERIES_TEXT,
        )
    return report


def secondary_capture(source: Dataset, pixels: Array, algorithm: Algorithm) -> Dataset:
    """Return a Secondary Capture of (height, width, 3) uint8 pixels, an overlay for example.

    It says that it is derived, from which image, and by what. Raises as `structured_report`, and
    `DataError` for other pixels.
    """
    hd = _highdicom()
    source = complete_source(source)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise DataError(
            f"the capture's pixels are {pixels.dtype} of {pixels.shape}, expected uint8 of "
            "(height, width, 3)"
        )
    with _source_errors():
        capture: Dataset = hd.sc.SCImage.from_ref_dataset(
            ref_dataset=source,
            pixel_array=pixels,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            series_instance_uid=hd.UID(),
            series_number=SERIES_NUMBER + 1,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer=algorithm.name[:64],
            patient_orientation=_orientation(source),
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            series_description=SERIES_TEXT,
        )
        capture.DerivationDescription = _told(algorithm)[:1024]
        capture.ImageType = ["DERIVED", "SECONDARY"]
        if not source.get("PatientOrientation"):
            capture.PatientOrientation = None  # better unknown than made up
        if source.get("BurnedInAnnotation"):
            capture.BurnedInAnnotation = source.BurnedInAnnotation
        capture.ManufacturerModelName = algorithm.name[:64]
        capture.SoftwareVersions = algorithm.version[:64]
        capture.SourceImageSequence = [_reference(source)]
    return capture


def complete_source(source: Dataset) -> Dataset:
    """Return a copy of a source image's header in which what may be empty is there, and empty.

    Raises `DataError`, naming the DICOM keywords and no value, where it lacks one of `NEEDED`, or
    holds a sex that DICOM does not know.
    """
    lacking = [name for name in NEEDED if not source.get(name)]
    if lacking:
        raise DataError(
            f"the source image lacks {', '.join(lacking)}, which a DICOM result must name",
            hint="give the original image, with its patient and study",
        )
    if str(source.get("PatientSex") or "") not in _SEXES:
        raise DataError(
            "the source image has a PatientSex that DICOM does not know, expected M, F, O or empty",
            hint="correct it in a copy of the image, or leave --report and --capture out",
        )
    found = copy.deepcopy(source)
    for name in MAY_BE_EMPTY:
        if name not in found:
            setattr(found, name, None)
    return found


def write_dicom(path: str | Path, dataset: Dataset) -> None:
    """Write a DICOM file (mode 0600) and read it back; raise `DataError` if it does not come back.

    Before it is put in its place, a report is held against its template, a capture's pixels
    against those that were given.
    """
    what = f"DICOM file '{path}'"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    data = file.getvalue()
    _check_back(data, dataset, what)
    write_file(Path(path), data, what=what, mode=0o600)


def read_report(path: str | Path) -> list[Mapping[str, Any]]:
    """Return the measurement groups of a structured report, as plain values.

    Each has `finding`, `algorithm` (name, version, parameters), `probabilities` (code meaning:
    value), `evaluations` (name, value) and `sources` (SOP Instance UIDs).

    Raises `DataError` for a file that is no such report.
    """
    what = f"DICOM file '{path}'"
    with system_errors(what, "read"):
        data = Path(path).read_bytes()
    return _groups_of(data, what)


def _group(
    hd: Any,
    source: Dataset,
    finding: Finding,
    algorithm: Algorithm,
    codes: Mapping[str, Code],
) -> Any:
    from pydicom.sr.codedict import codes as known

    identified = hd.sr.AlgorithmIdentification(
        name=algorithm.name[:64],
        version=algorithm.version[:64],
        parameters=[f"bundle {algorithm.bundle}", f"preprocessing {algorithm.pipeline}"],
        family=known.DCM.ArtificialIntelligence,
    )
    coded = _coder(hd, codes, finding.target)
    several = len(finding.probabilities) > 1
    chances = [
        hd.sr.Measurement(
            name=coded(f"{finding.target}={value}", value) if several else known.DCM.Probability,
            value=float(chance),
            unit=known.UCUM.NoUnits,
            derivation=known.DCM.Probability if several else None,
        )
        for value, chance in finding.probabilities
    ]
    with _source_errors():
        return hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(
                uid=hd.UID(), identifier=finding.target[:64]
            ),
            finding_type=coded(finding.target, finding.target),
            algorithm_id=identified,
            measurements=chances,
            qualitative_evaluations=list(_evaluations(hd, finding, codes)),
            source_images=[
                hd.sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)
            ],
        )


def _evaluations(hd: Any, finding: Finding, codes: Mapping[str, Code]) -> Iterator[Any]:
    """Yield the set, the abstention with its reason, and the decision where there is one."""
    from pydicom.sr.codedict import codes as known

    coded = _coder(hd, codes, finding.target)

    def said(name: Code, value: Any) -> Any:
        return hd.sr.QualitativeEvaluation(hd.sr.CodedConcept(*name), value)

    yield said(_ABSTAINED, known.SCT.Yes if finding.abstained else known.SCT.No)
    if finding.reason:
        yield said(_REASON, coded(f"reason: {finding.reason}", finding.reason))
    for value in finding.values:
        yield said(_IN_SET, coded(f"{finding.target}={value}", value))
    if finding.decision is not None and not finding.abstained:
        yield said(_DECISION, known.SCT.Present if finding.decision else known.SCT.Absent)


def _coder(hd: Any, codes: Mapping[str, Code], target: str) -> Any:
    """Return what turns a key and its words into a code: the caller's, else a private one."""

    def coded(key: str, words: str) -> Any:
        if key in codes:
            return hd.sr.CodedConcept(*codes[key])
        value = hashlib.sha256(key.encode()).hexdigest()[:12].upper()
        return hd.sr.CodedConcept(value, SCHEME, (words or target)[:64])

    return coded


def _check_back(data: bytes, dataset: Dataset, what: str) -> None:
    """Read written bytes and hold them against what was meant."""
    import pydicom

    found = pydicom.dcmread(io.BytesIO(data))
    if found.SOPInstanceUID != dataset.SOPInstanceUID:
        raise DataError(f"{what} does not read back: it holds another instance")
    if "PixelData" in dataset:
        if not np.array_equal(found.pixel_array, dataset.pixel_array):
            raise DataError(f"{what} does not read back: it holds other pixels")
        return
    if not _groups_of(data, what):
        raise DataError(f"{what} does not read back: it holds no measurement")


def _groups_of(data: bytes, what: str) -> list[Mapping[str, Any]]:
    hd = _highdicom()
    from pydicom.errors import InvalidDicomError

    refused = (AttributeError, KeyError, TypeError, ValueError, RuntimeError, OSError)
    try:
        report = hd.sr.srread(io.BytesIO(data))
        return [_plain_group(group) for group in report.content.get_image_measurement_groups()]
    except (InvalidDicomError, *refused) as error:
        kind = type(error).__name__
        raise DataError(f"{what} is no structured report of TID 1500 ({kind})") from error


def _plain_group(group: Any) -> Mapping[str, Any]:
    names = ("AlgorithmName", "AlgorithmVersion", "AlgorithmParameters")
    from pydicom.sr.codedict import codes as known

    told = {
        name: [
            str(item.value)
            for item in group[0].ContentSequence
            if item.name == getattr(known.DCM, name)
        ]
        for name in names
    }
    return {
        "finding": group.finding_type.meaning,
        "algorithm": {
            "name": next(iter(told["AlgorithmName"]), ""),
            "version": next(iter(told["AlgorithmVersion"]), ""),
            "parameters": told["AlgorithmParameters"],
        },
        "probabilities": {item.name.meaning: item.value for item in group.get_measurements()},
        "evaluations": [
            (item.name.meaning, item.value.meaning) for item in group.get_qualitative_evaluations()
        ],
        "sources": [str(image.referenced_sop_instance_uid) for image in group.source_images],
    }


def _reference(source: Dataset) -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return item


def _orientation(source: Dataset) -> tuple[str, str]:
    """Return the directions of rows and columns; a stand-in where the source tells none."""
    told: Sequence[str] = source.get("PatientOrientation") or ()
    return (str(told[0]), str(told[1])) if len(told) == 2 and all(told) else ("L", "F")


def _device_uid(algorithm: Algorithm) -> str:
    """Return the same UID for the same bundle."""
    from pydicom.uid import generate_uid

    return str(generate_uid(prefix=None, entropy_srcs=[algorithm.bundle]))


def _told(algorithm: Algorithm) -> str:
    return (
        f"Saliency overlay by {algorithm.name} {algorithm.version}, bundle {algorithm.bundle}, "
        f"preprocessing {algorithm.pipeline}; not verified by a person"
    )


def _highdicom() -> Any:
    try:
        import highdicom
        import highdicom.sc
        import highdicom.sr
    except ImportError as error:
        raise PluginError(
            "DICOM output needs highdicom, which is not installed",
            hint="pip install 'verticals-medical-imaging[highdicom]'",
        ) from error
    return highdicom


@contextmanager
def _source_errors() -> Iterator[None]:
    """Turn what highdicom says of a source into one line, without the source's own values."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Its text may quote a value of the patient.
        raise DataError(
            f"no DICOM result can be made of the source image ({type(error).__name__}): one of "
            "its elements about patient or study is not as DICOM has it",
            hint="give the original image, with its patient and study",
        ) from None
