"""Files of JSON lines that are only ever appended to: one write a line, whole lines only.

Several processes may write one file. A line that a kill tore at the end is left out when reading,
and removed when the file is next opened and nobody else writes to it. The files are private to
their owner (mode 0600).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from verticals.errors import DataError
from verticals.files import lock, system_errors
from verticals.strictjson import canonical_json, parse_json, plain

MAX_BYTES = 2**30

_BLOCK = 65_536

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Hold the values of a file. `torn` is the size in bytes of a last line cut off by a kill."""

    values: tuple[Any, ...]
    torn: int = 0


def as_it_is(value: Any) -> Any:
    """Return a value that is JSON already."""
    return value


class LineWriter(Generic[T]):
    """Append values to a file; use it as a context manager.

    `what` names the file in messages, and `to_json` makes JSON of a value.
    """

    def __init__(
        self, path: str | Path, *, what: str, to_json: Callable[[T], Any] = as_it_is
    ) -> None:
        self._to_json = to_json
        self._what = f"{what} {str(path)!r}"
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        with system_errors(self._what, "written"):
            self._file = os.open(path, flags, 0o600)
            if lock(self._file, wait=False):
                _cut_torn(self._file)
            lock(self._file, shared=True)

    def append(self, value: T) -> None:
        """Write one value in one call; raise `DataError` if the system did not take it whole."""
        line = canonical_json(plain(self._to_json(value), self._what)) + b"\n"
        with system_errors(self._what, "written"):
            written = os.write(self._file, line)
        if written != len(line):
            raise DataError(
                f"{self._what}: {written} of {len(line)} bytes of a line were written",
                hint="make room on the disk; the torn line is removed when the file is next opened",
            )

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


def read_lines(path: str | Path, *, what: str) -> Lines:
    """Read a file of JSON lines; a last line without its end is left out.

    Raises `DataError`, naming the line, for any other line that is no JSON.
    """
    what = f"{what} {str(path)!r}"
    with system_errors(what, "read"):
        size = os.stat(path).st_size
        if size > MAX_BYTES:
            raise DataError(f"{what} has {size} bytes, expected {MAX_BYTES} at most")
        data = Path(path).read_bytes()
    *lines, rest = data.split(b"\n")
    values = tuple(parse_json(line, what=f"{what}, line {n}") for n, line in enumerate(lines, 1))
    return Lines(values=values, torn=len(rest))


def _cut_torn(file: int) -> None:
    """Cut off what follows the last end of line."""
    size = os.fstat(file).st_size
    end = size
    while end:
        start = max(0, end - _BLOCK)
        place = os.pread(file, end - start, start).rfind(b"\n")
        if place >= 0:
            end = start + place + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)
