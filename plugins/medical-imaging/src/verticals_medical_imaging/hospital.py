"""Deliver findings: JSON results, a trace, DICOM reports and captures, from scored images."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from verticals.api.raw import PATH
from verticals.contract.model import ROW
from verticals.errors import CallError, DataError
from verticals.files import system_errors
from verticals.table import Table
from verticals_medical_imaging.results import (
    Algorithm,
    ImageResult,
    findings_of,
    write_results,
)
from verticals_medical_imaging.trace import TraceWriter, inference

if TYPE_CHECKING:
    from pydicom import Dataset

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

    `root` is the folder that image paths are relative to. The folder is there only when everything
    is written, and the trace is appended to only then, so that a call that fails can be made again.

    Raises `CallError` if DICOM is to be written and the rows name no DICOM file, `DataError`
    (naming row and file where it is about one) and `ExplanationError` as the parts do.
    """
    table = scorer.bind(raw)
    columns = scorer.columns(table)
    found = findings_of(columns, scorer.finish.outputs)
    algorithm = algorithm_of(scorer)
    results = [
        ImageResult(findings=findings, **_uids(raw, row)) for row, findings in enumerate(found)
    ]
    time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    lines = [
        inference(
            result.findings,
            time=time,
            bundle=algorithm.bundle,
            preprocessing=algorithm.pipeline,
            sop_uid=result.sop_uid,
            key=key,
        )
        for result in results
    ]
    sources = _sources(scorer, raw, root) if report or capture else []
    with _new_folder(out) as folder:
        written = write_results(folder, results, algorithm, time)
        dicom = _reports(sources, results, algorithm, folder) if report else []
        dicom += _captures(scorer, table, sources, algorithm, folder) if capture else []
        writer = None if trace is None else TraceWriter(trace)  # before anything is delivered
    if writer is not None:
        with writer:
            for line in lines:
                writer.append(line)
    return Delivered(
        images=len(results),
        abstained=sum(any(item.abstained for item in result.findings) for result in results),
        results=tuple(out / path.name for path in written),
        dicom=tuple(out / path.name for path in dicom),
    )


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Give a folder to write to, which is put at `out` in the end: whole, or not at all."""
    what = f"folder '{out}'"
    target = out.absolute()
    with system_errors(what, "written"):
        target.parent.mkdir(parents=True, exist_ok=True)
        held = tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent)
    with held as private:  # mode 0700: what is in it tells of patients
        folder = Path(private) / "findings"
        folder.mkdir()
        yield folder
        with system_errors(what, "written"):
            folder.rename(target)


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


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Hold the header of a DICOM file, and how messages name it."""

    named: str
    header: Dataset


def _sources(scorer: Scorer, raw: Table, root: Path) -> list[_Source]:
    """Read the headers of the DICOM files that the rows name; refuse those without what is needed.

    So nothing is written where a result of one of them could not be.
    """
    image = next(item for item in scorer.bundle.contract.fields if item.kind == "image")
    paths = raw.get(PATH + image.name)
    if paths is None:
        raise CallError(
            "DICOM is to be written, but the data hold pixels and name no file",
            hint="give a table whose image column names DICOM files, or a folder of them",
        )
    numbers = raw[ROW] if ROW in raw else range(1, raw.rows + 1)
    found = []
    for number, path in zip(numbers, paths, strict=True):
        named = f"row {number}: '{path}'"
        with _told_of(named):
            header = _header(root / str(path))
            found.append(_Source(named=named, header=header))
    return found


def _header(path: Path) -> Dataset:
    """Return the header of a DICOM file, with all that a result needs of it."""
    import pydicom

    from verticals_medical_imaging.dicom_output import complete_source
    from verticals_medical_imaging.reading.quiet import quiet_pydicom

    try:
        with quiet_pydicom():
            return complete_source(pydicom.dcmread(path, stop_before_pixels=True))
    except pydicom.errors.InvalidDicomError:
        raise DataError(
            "the file is no DICOM file, expected one to write a report on",
            hint="leave --report and --capture out for images of other formats",
        ) from None


@contextmanager
def _told_of(named: str) -> Iterator[None]:
    """Say of which row and file an error is."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{named}: {error.message}", hint=error.hint) from None


def _reports(
    sources: list[_Source], results: list[ImageResult], algorithm: Algorithm, out: Path
) -> list[Path]:
    from verticals_medical_imaging.dicom_output import structured_report, write_dicom

    written = []
    for number, (source, result) in enumerate(zip(sources, results, strict=True), start=1):
        path = out / f"report-{number}.dcm"
        with _told_of(source.named):
            made = structured_report(source.header, result, algorithm)
        write_dicom(path, made)
        written.append(path)
    return written


def _captures(
    scorer: Scorer, table: Table, sources: list[_Source], algorithm: Algorithm, out: Path
) -> list[Path]:
    """Write the overlay of each image; refuses where the maps fail their own tests."""
    from verticals_medical_imaging.dicom_output import secondary_capture, write_dicom
    from verticals_medical_imaging.overlay import checked_overlays

    written = []
    overlays = checked_overlays(scorer, table)
    for number, (source, pixels) in enumerate(zip(sources, overlays, strict=True), start=1):
        path = out / f"capture-{number}.dcm"
        with _told_of(source.named):
            made = secondary_capture(source.header, pixels, algorithm)
        write_dicom(path, made)
        written.append(path)
    return written
