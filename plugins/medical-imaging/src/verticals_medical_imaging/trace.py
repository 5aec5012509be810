"""The trace: one JSON line for each inference, by which a result can be followed back.

A line holds no identifier, only the keyed hash of the image's SOP Instance UID: whoever holds the
key can find the line of a known image, and nobody else can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verticals.data import hash_ids
from verticals.errors import DataError
from verticals.jsonlines import LineWriter, read_lines
from verticals.strictjson import check_time, is_digest, plain
from verticals_medical_imaging.results import Finding, finding_json

FORMAT = 1

_WHAT = "trace"
_KEYS = ("format", "time", "bundle", "preprocessing", "image", "result")


@dataclass(frozen=True, kw_only=True)
class Inference:
    """Hold one line: what scored which image when, by what pipeline, and what came out.

    `image` is the HMAC-SHA256 of the SOP Instance UID; None for a file that has none, and without
    a key.
    """

    time: str  # ISO 8601 to the second, with its zone
    bundle: str  # digests
    preprocessing: str
    image: str | None
    result: tuple[dict[str, Any], ...]  # as `finding_json` gives each finding
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Hold the lines of a file. `torn` is the size in bytes of a last line cut off by a kill."""

    lines: tuple[Inference, ...]
    torn: int = 0


def inference(
    findings: Sequence[Finding],
    *,
    time: str,
    bundle: str,
    preprocessing: str,
    sop_uid: str = "",
    key: bytes | None = None,
) -> Inference:
    """Return the line of one scored image; raise `DataError` for a digest or time that is none."""
    return _checked(
        Inference(
            time=time,
            bundle=bundle,
            preprocessing=preprocessing,
            image=hashed_uid(sop_uid, key) if key and sop_uid else None,
            result=tuple(plain(finding_json(item), "result") for item in findings),
        ),
        "the inference",
    )


def hashed_uid(sop_uid: str, key: bytes) -> str:
    """Return the keyed hash under which an image stands in a trace."""
    return str(hash_ids(np.array([sop_uid], dtype=object), key)[0])


class TraceWriter(LineWriter[Inference]):
    """Append inferences to a file, whole lines only; a context manager."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, what=_WHAT, to_json=asdict)


def read_trace(path: str | Path) -> Trace:
    """Read a trace; a last line without its end was torn by a kill and is left out.

    Raises `DataError`, naming the line, for any other line that is no inference.
    """
    found = read_lines(path, what=_WHAT)
    lines = tuple(
        _parsed(value, f"{_WHAT} {str(path)!r}, line {number}")
        for number, value in enumerate(found.values, start=1)
    )
    return Trace(lines=lines, torn=found.torn)


def _parsed(value: Any, where: str) -> Inference:
    if not isinstance(value, dict) or value.get("format") != FORMAT or set(value) != set(_KEYS):
        raise DataError(f"{where} is no inference of format {FORMAT}")
    result = value["result"]
    if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
        raise DataError(f"{where} holds no list of findings")
    return _checked(Inference(**{**value, "result": tuple(result)}), where)


def _checked(line: Inference, where: str) -> Inference:
    check_time(line.time, f"{where}: time")
    for name in ("bundle", "preprocessing"):
        if not is_digest(getattr(line, name)):
            raise DataError(f"{where}: {name} is no digest, expected sha256: and 64 digits")
    if line.image is not None and not isinstance(line.image, str):
        raise DataError(f"{where}: image is no text, expected a keyed hash or null")
    return line
