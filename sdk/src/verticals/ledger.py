"""The ledger: what was trained, audited, signed off and spent, in lines that cannot be changed.

Each line is a JSON record that holds the digest of the line before it, so that a line which is
changed, moved or taken out breaks the chain. Lines cut off at the end leave a chain that is whole:
keep the digest of the last record elsewhere (an audit, a signed note) and give it as `head`.
"""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from verticals.errors import CallError, DataError, EvidenceError
from verticals.files import lock, opened, system_errors
from verticals.strictjson import canonical_json, check_time, parse_json, plain, sha256, shown

FORMAT = 1
KINDS = ("training", "audit", "sign-off", "privacy")
SPENDING = ("training", "privacy")  # kinds that say what was spent on which data
MAX_LINE_BYTES = 2**20
MAX_BYTES = 2**28

_KEYS = {"format", "index", "kind", "at", "entry", "previous", "digest"}


@dataclass(frozen=True, kw_only=True)
class Record:
    """Hold one line: its place, kind and time, what was entered, and the digests of the chain."""

    index: int  # from 0
    kind: str
    at: str  # ISO 8601, UTC
    entry: Mapping[str, Any]
    previous: str | None  # digest of the record before it
    digest: str


@dataclass(frozen=True, kw_only=True)
class PrivacySpent:
    """Say what the releases of some data cost together.

    `epsilon` is infinite once a release was not private. `unattributed` counts releases whose
    data bear no fingerprint: they may have been of these data too, and are not in the sums.
    """

    epsilon: float
    delta: float
    releases: int
    unattributed: int


def append(
    path: str | Path, kind: str, entry: Mapping[str, Any], *, at: str | None = None
) -> Record:
    """Add a record to the ledger, which is made if there is none, and return it.

    `kind` is training, audit, sign-off or privacy. A training and a privacy record say
    `data_fingerprint` (text, empty if unknown), `epsilon` (None for a raw release) and `delta`.
    Writers wait for each other. The record is on disk when the call returns; what a killed writer
    left of a line is dropped by the next one.

    Raises `CallError` for an unknown kind or an entry that lacks these, `EvidenceError` if the
    ledger is broken or the system refuses.
    """
    path = Path(path)
    what = _named(path)
    if kind not in KINDS:
        raise CallError(f"ledger record is of kind {kind!r}, expected one of {', '.join(KINDS)}")
    problem = _spending_problem(entry) if kind in SPENDING else ""
    if problem:
        raise CallError(f"ledger record of kind {kind!r} {problem}")
    time = at or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    body = {"format": FORMAT, "kind": kind, "at": time, "entry": entry}
    with _ledger_errors(), system_errors(what, "written"):
        body = plain(body, what)
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o666)
        try:
            lock(descriptor)
            return _append(descriptor, body, what)
        finally:
            os.close(descriptor)


def _append(descriptor: int, body: Mapping[str, Any], what: str) -> Record:
    data = _all(descriptor, what)
    kept, end = _whole_lines(data, what)
    records = _chain(data[:kept] + end, what)
    number = len(records)
    covered = {**body, "index": number, "previous": _last_digest(records)}
    line = canonical_json({**covered, "digest": sha256(canonical_json(covered))})
    record = _record(line, number, records, f"{what}: new record")
    if kept < len(data):
        os.ftruncate(descriptor, kept)
    _extend(descriptor, end + line + b"\n")
    return record


def read(path: str | Path, *, head: str | None = None) -> tuple[Record, ...]:
    """Return every record, oldest first, after the chain was verified.

    `head` is the digest of a record that must be there.

    Raises `EvidenceError` if the ledger cannot be read, if a line was changed, moved, taken out or
    cut off, or if `head` is not among the records.
    """
    path = Path(path)
    what = _named(path)
    with _ledger_errors():
        with opened(path.parent, path.name, what) as (descriptor, _):
            lock(descriptor, shared=True)
            data = _all(descriptor, what)
        records = _chain(data, what)
    if head is not None and head not in {record.digest for record in records}:
        raise EvidenceError(
            f"{what} has no record {shown(head)}: its end was cut off, or it is another ledger"
        )
    return records


def privacy_spent(records: Sequence[Record], data_fingerprint: str) -> PrivacySpent:
    """Return what all releases of these data cost: epsilons and deltas add up.

    Sequential composition (Dwork and Roth 2014, The Algorithmic Foundations of Differential
    Privacy, theorem 3.16) holds however the releases depend on each other. Data are told by their
    fingerprint: overlapping data with another fingerprint are not found.

    Raises `CallError` for an empty fingerprint.
    """
    if not data_fingerprint:
        raise CallError("the fingerprint is empty, expected that of some data", hint="give --key")
    spending = [record.entry for record in records if record.kind in SPENDING]
    mine = [entry for entry in spending if entry["data_fingerprint"] == data_fingerprint]
    epsilons = [math.inf if entry["epsilon"] is None else entry["epsilon"] for entry in mine]
    return PrivacySpent(
        epsilon=math.fsum(epsilons),
        delta=min(1.0, math.fsum(entry["delta"] or 0.0 for entry in mine)),
        releases=len(mine),
        unattributed=sum(not entry["data_fingerprint"] for entry in spending),
    )


def _named(path: Path) -> str:
    return f"ledger {str(path)!r}"


@contextmanager
def _ledger_errors() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise EvidenceError(error.message, hint=error.hint) from error


def _spending_problem(entry: Mapping[str, Any]) -> str:
    """Say what keeps an entry from telling what was spent; empty if nothing does."""
    for key in ("data_fingerprint", "epsilon", "delta"):
        if key not in entry:
            return f"lacks {key!r}, which says what was spent on which data"
    if not isinstance(entry["data_fingerprint"], str):
        return f"has data_fingerprint {shown(entry['data_fingerprint'])}, expected text"
    for key, most in (("epsilon", math.inf), ("delta", 1.0)):
        value = entry[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= value <= most and math.isfinite(value)):
            return f"has {key} {shown(value)}, expected a number from 0 or none"
    return ""


def _all(descriptor: int, what: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    while part := os.read(descriptor, 2**20):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise DataError(f"{what} is too large, expected at most {MAX_BYTES} bytes")
    return b"".join(parts)


def _whole_lines(data: bytes, what: str) -> tuple[int, bytes]:
    """Return how many bytes to keep, and what to add, so that the last line is whole.

    A last line that is cut off goes; one that lacks nothing but its end stays.
    """
    if not data or data.endswith(b"\n"):
        return len(data), b""
    try:
        _chain(data + b"\n", what)
    except DataError:
        return data.rfind(b"\n") + 1, b""
    return len(data), b"\n"


def _extend(descriptor: int, data: bytes) -> None:
    """Add data to the end of a file, or leave it as it was."""
    size = os.fstat(descriptor).st_size
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _chain(data: bytes, what: str) -> tuple[Record, ...]:
    if data and not data.endswith(b"\n"):
        raise DataError(
            f"{what} ends in the middle of a line",
            hint="a writer was killed, and the next one drops the line; or the end was cut off",
        )
    records: list[Record] = []
    for number, line in enumerate(data.split(b"\n")[:-1]):
        records.append(_record(line, number, records, f"{what}: line {number + 1}"))
    return tuple(records)


def _record(line: bytes, number: int, before: Sequence[Record], where: str) -> Record:
    value = parse_json(line, what=where, max_bytes=MAX_LINE_BYTES)
    if not isinstance(value, dict) or set(value) != _KEYS or canonical_json(value) != line:
        raise DataError(f"{where} is not in the form in which a record is written")
    digest = value.pop("digest")
    if digest != sha256(canonical_json(value)):
        raise DataError(f"{where} has changed: its digest is not {shown(digest)}")
    if canonical_json(value.pop("format")) != canonical_json(FORMAT):
        raise DataError(f"{where} is of another format, expected {FORMAT}")
    place = [value["index"], value["previous"]]
    if canonical_json(place) != canonical_json([number, _last_digest(before)]):
        raise DataError(f"{where} does not follow the line before it: one was taken out or put in")
    if value["kind"] not in KINDS or not isinstance(value["entry"], dict):
        raise DataError(f"{where} is of kind {shown(value['kind'])}, expected one of {KINDS}")
    problem = _spending_problem(value["entry"]) if value["kind"] in SPENDING else ""
    if problem:
        raise DataError(f"{where} {problem}")
    check_time(value["at"], f"{where}: at")
    return Record(**{**value, "entry": MappingProxyType(value["entry"])}, digest=digest)


def _last_digest(records: Sequence[Record]) -> str | None:
    return records[-1].digest if records else None
