"""Files of records that can only grow: each line holds the digest of the line before it.

Each line is a JSON record, so a line which is changed, moved or taken out breaks the chain. Lines
cut off at the end leave a chain that is whole: keep the digest of the last record elsewhere (an
audit, a signed note) and give it as `head`. A `Chain` says which records a file of one kind holds:
the ledger (`verticals.ledger`), the human decisions (`verticals.oversight`).
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from verticals.errors import CallError, DataError, EvidenceError
from verticals.files import lock, opened, system_errors
from verticals.strictjson import canonical_json, check_time, parse_json, plain, sha256, shown

FORMAT = 1
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


Records = tuple[Record, ...]


def _no_problem(records: Sequence[Record]) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Say what a file of one kind holds, and read and extend such files.

    `noun` names the file in messages. `entry_problem(kind, entry)` says what an entry lacks, and
    `order_problem(records)` why whole records cannot follow each other as they do; both return
    empty text where nothing is wrong, and show nothing private. `mode` are the permissions of a
    new file, less the process' umask.
    """

    noun: str
    kinds: tuple[str, ...]
    entry_problem: Callable[[str, Mapping[str, Any]], str]
    order_problem: Callable[[Sequence[Record]], str] = _no_problem
    mode: int = 0o666

    def append(
        self, path: str | Path, kind: str, entry: Mapping[str, Any], *, at: str | None = None
    ) -> Record:
        """Add a record to the file, which is made if there is none, and return it.

        Raises `CallError` for an unknown kind or an entry that is not as it should be,
        `EvidenceError` if the chain is broken or the system refuses.
        """
        self._check_call(kind, entry)
        return self.extend(path, kind, lambda records: entry, at=at)

    def extend(
        self,
        path: str | Path,
        kind: str,
        make: Callable[[Records], Mapping[str, Any]],
        *,
        at: str | None = None,
    ) -> Record:
        """Add the record that `make` gives for those that are there, and return it.

        Writers wait for each other, so that nothing comes between what `make` saw and what it
        gave; what it raises leaves the records as they were. The record is on disk when the call
        returns; what a killed writer left of a line is dropped by the next one.
        """
        path = Path(path)
        what = self._named(path)
        time = at or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with _chain_errors(), system_errors(what, "written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(path, flags, self.mode)
            try:
                lock(descriptor)
                return self._extend(descriptor, kind, make, time, what)
            finally:
                os.close(descriptor)

    def read(self, path: str | Path, *, head: str | None = None) -> Records:
        """Return every record, oldest first, after the chain was verified.

        `head` is the digest of a record that must be there.

        Raises `EvidenceError` if the file cannot be read, if a line was changed, moved, taken out
        or cut off, or if `head` is not among the records.
        """
        path = Path(path)
        what = self._named(path)
        with _chain_errors():
            with opened(path.parent, path.name, what) as (descriptor, _):
                lock(descriptor, shared=True)
                data = _all(descriptor, what)
            records = self._records(data, what)
        if head is not None and head not in {record.digest for record in records}:
            raise EvidenceError(
                f"{what} has no record {shown(head)}: its end was cut off, or it is another "
                f"{self.noun}"
            )
        return records

    def _named(self, path: Path) -> str:
        return f"{self.noun} {str(path)!r}"

    def _check_call(self, kind: str, entry: Mapping[str, Any]) -> None:
        if kind not in self.kinds:
            known = ", ".join(self.kinds)
            raise CallError(f"{self.noun} record is of kind {kind!r}, expected one of {known}")
        problem = self.entry_problem(kind, entry)
        if problem:
            raise CallError(f"{self.noun} record of kind {kind!r} {problem}")

    def _extend(
        self,
        descriptor: int,
        kind: str,
        make: Callable[[Records], Mapping[str, Any]],
        time: str,
        what: str,
    ) -> Record:
        data = _all(descriptor, what)
        kept, end = self._whole_lines(data, what)
        records = self._records(data[:kept] + end, what)
        entry = make(records)
        self._check_call(kind, entry)
        number = len(records)
        body = plain({"format": FORMAT, "kind": kind, "at": time, "entry": entry}, what)
        covered = {**body, "index": number, "previous": _last_digest(records)}
        line = canonical_json({**covered, "digest": sha256(canonical_json(covered))})
        record = self._record(line, number, records, f"{what}: new record")
        problem = self.order_problem((*records, record))
        if problem:
            raise CallError(f"{what}: {problem}")
        if kept < len(data):
            os.ftruncate(descriptor, kept)
        _add(descriptor, end + line + b"\n")
        return record

    def _whole_lines(self, data: bytes, what: str) -> tuple[int, bytes]:
        """Return how many bytes to keep, and what to add, so that the last line is whole.

        A last line that is cut off goes; one that lacks nothing but its end stays.
        """
        if not data or data.endswith(b"\n"):
            return len(data), b""
        try:
            self._records(data + b"\n", what)
        except DataError:
            return data.rfind(b"\n") + 1, b""
        return len(data), b"\n"

    def _records(self, data: bytes, what: str) -> Records:
        if data and not data.endswith(b"\n"):
            raise DataError(
                f"{what} ends in the middle of a line",
                hint="a writer was killed, and the next one drops the line; or the end was cut off",
            )
        records: list[Record] = []
        for number, line in enumerate(data.split(b"\n")[:-1]):
            records.append(self._record(line, number, records, f"{what}: line {number + 1}"))
        problem = self.order_problem(records)
        if problem:
            raise DataError(f"{what}: {problem}")
        return tuple(records)

    def _record(self, line: bytes, number: int, before: Sequence[Record], where: str) -> Record:
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
            raise DataError(
                f"{where} does not follow the line before it: one was taken out or put in"
            )
        if value["kind"] not in self.kinds or not isinstance(value["entry"], dict):
            kind = shown(value["kind"])
            raise DataError(f"{where} is of kind {kind}, expected one of {self.kinds}")
        problem = self.entry_problem(value["kind"], value["entry"])
        if problem:
            raise DataError(f"{where} {problem}")
        check_time(value["at"], f"{where}: at")
        return Record(**{**value, "entry": MappingProxyType(value["entry"])}, digest=digest)


@contextmanager
def _chain_errors() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise EvidenceError(error.message, hint=error.hint) from error


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


def _add(descriptor: int, data: bytes) -> None:
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


def _last_digest(records: Sequence[Record]) -> str | None:
    return records[-1].digest if records else None
