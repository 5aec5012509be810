"""Deliver findings: JSON results, a trace, DICOM reports and captures, from scored images."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verticals.api.raw import PATH
from verticals.errors import CallError, DataError
from verticals.table import Table
from verticals_medical_imaging.results import (
    Algorithm,
    ImageResult,
    findings_of,
    write_results,
)
from verticals_medical_imaging.trace import TraceWriter, inference

if TYPE_CHECKING:
    from verticals.api.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """Say what was written."""

    images: int
    abstained: int
    results: tuple[Path, ...]
    dicom: tuple[Path, ...]


def deliver(
    scorer: Scorer,
    raw: Table,
    root: Path,
    out: Path,
    *,
    trace: Path | None = None,
    key: bytes | None = None,
    report: bool = False,
    capture: bool = False,
) -> Delivered:
    """Score raw rows, whose images are read, and write results for each study to a new folder.

    `root` is the folder that image paths are relative to. Raises `CallError` if DICOM is to be
    written and the rows name no DICOM file, `DataError` and `ExplanationError` as the parts do.
    """
    table = scorer.bind(raw)
    columns = scorer.columns(table)
    found = findings_of(columns, scorer.finish.outputs)
    algorithm = algorithm_of(scorer)
    results = [
        ImageResult(findings=findings, **_uids(raw, row)) for row, findings in enumerate(found)
    ]
    time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    written = write_results(out, results, algorithm, time)
    if trace is not None:
        with TraceWriter(trace) as writer:
            for result in results:
                writer.append(
                    inference(
                        result.findings,
                        time=time,
                        bundle=algorithm.bundle,
                        preprocessing=algorithm.pipeline,
                        sop_uid=result.sop_uid,
                        key=key,
                    )
                )
    dicom: list[Path] = []
    if report or capture:
        sources = _sources(scorer, raw, root)
        dicom += _reports(sources, results, algorithm, out) if report else []
        dicom += _captures(scorer, table, sources, algorithm, out) if capture else []
    return Delivered(
        images=len(results),
        abstained=sum(any(item.abstained for item in result.findings) for result in results),
        results=tuple(written),
        dicom=tuple(dicom),
    )


def algorithm_of(scorer: Scorer) -> Algorithm:
    """Return what identifies a bundle and its preprocessing."""
    pipelines = scorer.bundle.manifest.extra.get("pipelines", {})
    return Algorithm(
        name=str(scorer.bundle.solution["name"]),
        version=str(scorer.bundle.solution["version"]),
        bundle=scorer.digest,
        pipeline=str(next(iter(pipelines.values()), "")),
    )


def _uids(raw: Table, row: int) -> dict[str, str]:
    names = ("study_uid", "series_uid", "sop_uid")
    return {name: str(raw[name][row] or "") if name in raw else "" for name in names}


def _sources(scorer: Scorer, raw: Table, root: Path) -> list[Any]:
    """Read the headers of the DICOM files that the rows name."""
    import pydicom

    from verticals_medical_imaging.reading.quiet import quiet_pydicom

    image = next(item for item in scorer.bundle.contract.fields if item.kind == "image")
    paths = raw.get(PATH + image.name)
    if paths is None:
        raise CallError(
            "DICOM is to be written, but the data hold pixels and name no file",
            hint="give a table whose image column names DICOM files, or a folder of them",
        )
    found = []
    for path in paths:
        try:
            with quiet_pydicom():
                found.append(pydicom.dcmread(root / str(path), stop_before_pixels=True))
        except pydicom.errors.InvalidDicomError:
            raise DataError(
                f"'{path}' is no DICOM file, expected one to write a report on",
                hint="leave --report and --capture out for images of other formats",
            ) from None
    return found


def _reports(
    sources: list[Any], results: list[ImageResult], algorithm: Algorithm, out: Path
) -> list[Path]:
    from verticals_medical_imaging.dicom_output import structured_report, write_dicom

    written = []
    for number, (source, result) in enumerate(zip(sources, results, strict=True), start=1):
        path = out / f"report-{number}.dcm"
        write_dicom(path, structured_report(source, result, algorithm))
        written.append(path)
    return written


def _captures(
    scorer: Scorer, table: Table, sources: list[Any], algorithm: Algorithm, out: Path
) -> list[Path]:
    """Write the overlay of each image; refuses where the maps fail their own tests."""
    from verticals_medical_imaging.dicom_output import secondary_capture, write_dicom
    from verticals_medical_imaging.overlay import checked_overlays

    written = []
    overlays = checked_overlays(scorer, table)
    for number, (source, pixels) in enumerate(zip(sources, overlays, strict=True), start=1):
        path = out / f"capture-{number}.dcm"
        write_dicom(path, secondary_capture(source, pixels, algorithm))
        written.append(path)
    return written
