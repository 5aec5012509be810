"""Results as a hospital's systems take them: JSON, one document for each study.

A result names the study, series and image that it is of, as whoever receives it must find them:
it is personal data. Its file is readable by its owner only (mode 0600).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from verticals.errors import DataError
from verticals.files import write_file
from verticals.plugin import Columns, Output
from verticals.strictjson import check_time, plain, readable_json
from verticals_medical_imaging.measures import SEPARATOR

FORMAT = 1
NOTICE = "Made by an algorithm; to be read by a person who may report on such images."


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """Identify what made a result: solution, version, and the digests of bundle and pipeline."""

    name: str
    version: str
    bundle: str
    pipeline: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Hold what is said of one target in one image.

    `probabilities` are those of a binary target's positive value, or of every class. `values` is
    the prediction set; `decision` is None where there is none, or where the model abstains.
    """

    target: str
    probabilities: tuple[tuple[str, float], ...]
    values: tuple[str, ...] = ()
    abstained: bool = False
    reason: str = ""
    decision: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """Hold the findings of one image; its identifiers are shown in no message."""

    findings: tuple[Finding, ...]
    study_uid: str = field(default="", repr=False)
    series_uid: str = field(default="", repr=False)
    sop_uid: str = field(default="", repr=False)


def findings_of(columns: Columns, outputs: Sequence[Output]) -> list[tuple[Finding, ...]]:
    """Return the findings of each row from what a scorer gives.

    Raises `DataError` where no output is a probability.
    """
    targets = dict.fromkeys(item.target for item in outputs if item.kind == "probability")
    if not targets:
        raise DataError("the outputs hold no probability, expected that of a finding")
    rows = len(next(iter(columns.values())))
    return [
        tuple(_finding(columns, outputs, target, row) for target in targets) for row in range(rows)
    ]


def study_document(results: Sequence[ImageResult], algorithm: Algorithm, time: str) -> Any:
    """Return the JSON document of the images of one study; `time` is when they were scored.

    Raises `DataError` where the images are of several studies, or `time` is no time with a zone.
    """
    studies = {item.study_uid for item in results}
    if len(studies) != 1:
        raise DataError(f"the results are of {len(studies)} studies, expected one")
    document = {
        "format": FORMAT,
        "time": check_time(time, "the time of the result"),
        "algorithm": {
            "name": algorithm.name,
            "version": algorithm.version,
            "bundle": algorithm.bundle,
            "preprocessing": algorithm.pipeline,
        },
        "study_uid": studies.pop() or None,
        "images": [_image(item) for item in results],
        "notice": NOTICE,
    }
    return plain(document, "result")


def write_results(
    folder: str | Path, results: Sequence[ImageResult], algorithm: Algorithm, time: str
) -> list[Path]:
    """Write `result-1.json`, … to a folder, one for each study in the order of the results.

    File names tell of nobody. Raises `DataError` where the system refuses.
    """
    by_study: dict[str, list[ImageResult]] = {}
    for item in results:
        by_study.setdefault(item.study_uid, []).append(item)
    written = []
    for number, images in enumerate(by_study.values(), start=1):
        path = Path(folder) / f"result-{number}.json"
        document = readable_json(study_document(images, algorithm, time))
        write_file(path, document, what=f"result '{path}'", mode=0o600)
        written.append(path)
    return written


def _image(result: ImageResult) -> dict[str, Any]:
    return {
        "series_uid": result.series_uid or None,
        "sop_uid": result.sop_uid or None,
        "findings": [finding_json(item) for item in result.findings],
    }


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return one finding as JSON."""
    return {
        "target": finding.target,
        "probability": dict(finding.probabilities),
        "set": list(finding.values),
        "abstained": finding.abstained,
        "reason": finding.reason or None,
        "decision": finding.decision,
    }


def _finding(columns: Columns, outputs: Sequence[Output], target: str, row: int) -> Finding:
    mine = [item for item in outputs if item.target == target and item.name in columns]

    def value(kind: str, start: str = "") -> Any:
        for item in mine:
            if item.kind == kind and item.name.startswith(start):
                return columns[item.name][row]
        return None

    chances = tuple(
        (item.value or item.name, _chance(columns[item.name][row]))
        for item in mine
        if item.kind == "probability"
    )
    held, decision = value("set"), value("flag", "decision")
    abstained = bool(value("flag", "abstained") or 0)
    undecided = abstained or decision is None or np.isnan(decision)
    return Finding(
        target=target,
        probabilities=chances,
        values=tuple(held.split(SEPARATOR)) if held else (),
        abstained=abstained,
        reason=value("text", "reason") or "",
        decision=None if undecided else bool(decision == 1),
    )


def _chance(value: Any) -> float:
    number = float(value)
    if not 0 <= number <= 1:
        raise DataError(f"a probability is {number}, expected 0 to 1")
    return number
