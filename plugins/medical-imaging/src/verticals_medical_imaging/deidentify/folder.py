"""De-identify the DICOM images of a folder to another one, with a report of counts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verticals.errors import DataError
from verticals.files import system_errors, write_file
from verticals.strictjson import readable_json, sha256
from verticals_medical_imaging.deidentify.burned_in import burned_in
from verticals_medical_imaging.deidentify.clean import Cleaner, Counts, is_registered, mark
from verticals_medical_imaging.deidentify.pixels import can_clean, clean_pixels
from verticals_medical_imaging.deidentify.profile import EDITION, METHODS
from verticals_medical_imaging.deidentify.pseudonyms import Pseudonyms
from verticals_medical_imaging.reading.dicom_file import (
    PIXEL_KEYWORDS,
    is_dicom,
    layout_of,
    open_dicom,
    transfer_syntax,
)
from verticals_medical_imaging.reading.quiet import quiet_pydicom

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset

REPORT = "deidentify-report.json"
Progress = Callable[[str, int, int], None]


class _LeftOut(Exception):
    """Say why a file is not written, in words that hold no value of it."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Collect what a run has done."""

    pseudonyms: Pseudonyms
    keep_sex_age: bool
    counts: Counts = field(default_factory=Counter)
    left_out: dict[str, str] = field(default_factory=dict)  # original path -> reason
    written: dict[str, str] = field(default_factory=dict)  # original path -> new path
    digests: dict[str, str] = field(default_factory=dict)  # new path -> digest
    burned: dict[str, str] = field(default_factory=dict)  # new path -> declared or likely
    blanked: list[str] = field(default_factory=list)  # new paths


def deidentify_folder(
    source: Path,
    out: Path,
    pseudonyms: Pseudonyms,
    *,
    map_file: Path | None = None,
    keep_sex_age: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the images below `source` to `out` without identities, and return the report.

    The report is written to `out` last: a folder without it is not complete. With `map_file` the
    original identifiers, beside what stands for them, are written there for the owner alone.

    Raises `DataError` for a source without DICOM files, an `out` that is not empty or lies in the
    source, and a map that exists or would lie in either folder.
    """
    _check_places(source, out, map_file)
    with system_errors(f"folder '{source}'", "read"):
        files = [path for path in sorted(source.rglob("*")) if path.is_symlink() or path.is_file()]
    run = _Run(pseudonyms=pseudonyms, keep_sex_age=keep_sex_age)
    for place, path in enumerate(files):
        name = path.relative_to(source).as_posix()
        try:
            _one_file(path, name, out, run)
        except _LeftOut as reason:
            run.left_out[name] = str(reason)
        if progress is not None:
            progress("de-identifying", place + 1, len(files))
    if not run.written:
        why = ", ".join(f"{count} {reason}" for reason, count in _reasons(run).items())
        raise DataError(
            f"folder '{source}' holds no DICOM image that can be de-identified: {why or 'no files'}"
        )
    report = _report(run, len(files))
    if map_file is not None:
        write_file(map_file, _map(run), what=f"map '{map_file}'", mode=0o600)
    write_file(out / REPORT, readable_json(report), what=f"report '{out / REPORT}'")
    return report


def _check_places(source: Path, out: Path, map_file: Path | None) -> None:
    hint = "choose folders that lie apart"
    if not source.is_dir():
        raise DataError(f"'{source}' is no folder, expected one with DICOM files")
    real, target = source.resolve(), out.resolve()
    if target.is_relative_to(real) or real.is_relative_to(target):
        raise DataError(f"'{out}' and '{source}' lie in one another, expected apart", hint=hint)
    with system_errors(f"folder '{out}'", "read"):
        if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
            raise DataError(
                f"'{out}' exists and is no empty folder, expected a free place",
                hint="choose another name, or move away what stands there",
            )
    if map_file is not None:
        place = map_file.resolve()
        if place.is_relative_to(target) or place.is_relative_to(real):
            raise DataError(
                f"map '{map_file}' lies in '{out}' or '{source}', expected it kept apart", hint=hint
            )
        if os.path.lexists(map_file):
            raise DataError(f"map '{map_file}' exists, expected a free place")


def _one_file(path: Path, name: str, out: Path, run: _Run) -> None:
    if path.is_symlink():
        raise _LeftOut("symbolic link")
    try:
        prefixed = is_dicom(path)
    except OSError:  # whose text would name the file
        raise _LeftOut("unreadable") from None
    if not prefixed:
        raise _LeftOut("not DICOM")
    with quiet_pydicom():
        try:
            patient, data, facts = _cleaned(open_dicom(path, name), run)
        except _LeftOut:
            raise
        except Exception:  # whatever a damaged file makes pydicom raise; its text may hold values
            raise _LeftOut("damaged DICOM") from None
    new = f"{patient}/{facts['uid']}.dcm"
    digest = sha256(data)
    if new in run.digests and run.digests[new] != digest:
        raise _LeftOut("another file has the same SOP instance UID")
    if new not in run.digests:
        write_file(out / new, data, what=f"'{out / new}'")
    run.digests[new], run.written[name] = digest, new
    run.counts.update(facts["counts"])
    if facts["burned"]:
        run.burned[new] = facts["burned"]
    if facts["blanked"]:
        run.blanked.append(new)


def _cleaned(dataset: FileDataset, run: _Run) -> tuple[str, bytes, dict[str, Any]]:
    """Return the code of the patient, the bytes of the new file, and what was done."""
    syntax = _check(dataset)
    patient = _identity(dataset)
    cleaner = Cleaner(pseudonyms=run.pseudonyms, patient=patient, keep_sex_age=run.keep_sex_age)
    clean = cleaner.dataset(dataset)
    burned = burned_in(dataset)
    blanked = False
    if "PixelData" in clean:
        layout = layout_of(dataset, "file")
        little = syntax != "1.2.840.10008.1.2.2"
        blanked = clean_pixels(clean, layout, syntax, little_endian=little)
    clean.PatientID = clean.PatientName = run.pseudonyms.patient(patient)
    mark(clean, keep_sex_age=run.keep_sex_age)
    facts = {
        "uid": str(clean.SOPInstanceUID),
        "counts": cleaner.counts,
        "burned": burned,
        "blanked": blanked,
    }
    return run.pseudonyms.patient(patient), _file_bytes(clean, syntax), facts


def _check(dataset: FileDataset) -> str:
    """Return the transfer syntax of an image that can be cleaned; else raise `_LeftOut`."""
    if not any(keyword in dataset for keyword in PIXEL_KEYWORDS):
        raise _LeftOut("no pixels (a report, plan or index)")
    syntax = transfer_syntax(dataset)
    if syntax is None or not is_registered(syntax) or not can_clean(syntax):
        raise _LeftOut("transfer syntax in which text cannot be found")
    if not dataset.get("SOPInstanceUID") or not is_registered(str(dataset.get("SOPClassUID"))):
        raise _LeftOut("no SOP instance UID, or an unknown SOP class")
    return syntax


def _identity(dataset: Dataset) -> str:
    """Return what tells this patient from others: the id, else the study."""
    for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID"):
        text = str(dataset.get(keyword) or "").strip()
        if text:
            return text if keyword == "PatientID" else f"{keyword} {text}"
    return ""


def _file_bytes(clean: Dataset, syntax: str) -> bytes:
    """Return a DICOM file with a preamble of zeros and a file meta of our own."""
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "VERTICALS"
    clean.file_meta = meta
    if meta.TransferSyntaxUID.is_encapsulated:
        clean["PixelData"].is_undefined_length = True
    buffer = BytesIO()
    dcmwrite(buffer, clean, enforce_file_format=True)
    return buffer.getvalue()


def _reasons(run: _Run) -> dict[str, int]:
    return dict(sorted(Counter(run.left_out.values()).items()))


def _report(run: _Run, files: int) -> dict[str, Any]:
    """Say what changed by counts; names here are those of the dictionary and of new files."""
    elements: dict[str, dict[str, int]] = {}
    totals: Counter[str] = Counter()
    for (keyword, action), count in sorted(run.counts.items()):
        elements.setdefault(keyword, {})[action] = count
        totals[action] += count
    codes = [code for code in METHODS if run.keep_sex_age or code != "113108"]
    return {
        "format": 1,
        "profile": {
            "name": METHODS["113100"],
            "edition": EDITION,
            "codes": [{"code": code, "scheme": "DCM", "meaning": METHODS[code]} for code in codes],
        },
        "files": {
            "found": files,
            "written": len(run.digests),
            "duplicates": len(run.written) - len(run.digests),
            "left_out": _reasons(run),
        },
        "patients": len({new.partition("/")[0] for new in run.digests}),
        "actions": dict(sorted(totals.items())),
        "elements": elements,
        "pixels_blanked": len(run.blanked),
        "burned_in": {
            "declared": sorted(new for new, why in run.burned.items() if why == "declared"),
            "likely": sorted(new for new, why in run.burned.items() if why == "likely"),
        },
    }


def _map(run: _Run) -> bytes:
    """Return the original identifiers beside what stands for them: private."""
    patients = {
        identity: {"code": code, "days": run.pseudonyms.days(identity)}
        for identity, code in run.pseudonyms.patients.items()
    }
    return readable_json(
        {
            "format": 1,
            "key_id": run.pseudonyms.key_id,
            "patients": patients,
            "uids": run.pseudonyms.uids,
            "files": run.written,
            "left_out": run.left_out,
        }
    )
