"""Turn one raw column into one bound column, and say in counts and row numbers what was odd."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from verticals.contract.canonical import canonical, coded, factorise
from verticals.contract.model import MISSING, Field, Target
from verticals.contract.nodes import short
from verticals.contract.notation import notation_of
from verticals.contract.rules import plain_number
from verticals.table import Array

SHOWN_ROWS = 5
SHOWN_VALUES = 3

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_TRUE = frozenset({"true", "yes", "1", "y", "t"})
_FALSE = frozenset({"false", "no", "0", "n", "f"})
_INFINITE = float("inf")


@dataclass(frozen=True, kw_only=True)
class Note:
    """Count rows that are odd, yet usable.

    Kinds: undeclared (a value outside the declared ones), outside (a number beyond the bounds),
    missing-label (a row without target), unseen (a declared value of a target that no row has),
    naive-time (times without zone, read as UTC), mixed-zones (converted to UTC), unused (a column
    that this call does not need and that does not fit). `rows` are the first few row numbers,
    from 1; `seen` are a few of the values, for the eyes of whoever owns the data.
    """

    kind: str
    column: str
    count: int
    message: str
    rows: tuple[int, ...] = ()
    seen: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return the note as one line: where, how often, what, and the first rows."""
        where = f"column {self.column!r}: " if self.column else ""
        count = f"{self.count:,} × " if self.count else ""
        rows = f" (row {', '.join(map(str, self.rows[:3]))}{', …' * (self.count > 3)})"
        return f"{where}{count}{self.message}{rows if self.rows else ''}"


def merged_notes(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Return the notes of several parts of a table as one each, their counts summed."""
    found: dict[tuple[str, str, str], Note] = {}
    for note in notes:
        key = (note.kind, note.column, note.message)
        held = found.get(key)
        found[key] = note
        if held is not None:
            found[key] = dataclasses.replace(
                held,
                count=held.count + note.count,
                rows=(*held.rows, *note.rows)[:SHOWN_ROWS],
                seen=tuple(dict.fromkeys((*held.seen, *note.seen)))[:SHOWN_VALUES],
            )
    return tuple(found.values())


class Log:
    """Collect violations and notes while columns are read. `rows` are source row numbers."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows
        self.violations: list[str] = []
        self.notes: list[Note] = []

    def refuse(self, column: str, message: str) -> None:
        """Record a violation that concerns a whole column."""
        self.violations.append(f"column {column!r} {message}")

    def refuse_rows(
        self, column: str, where: Array, expected: str, *, seen: Sequence[str] = ()
    ) -> None:
        """Record a violation of the rows that a mask selects, if there are any."""
        rows = self._first(where)
        if not rows:
            return
        more = int(np.count_nonzero(where)) - len(rows)
        numbers = ", ".join(map(str, rows)) + (f" and {more} more" if more else "")
        values = ", ".join(repr(short(value, 40)) for value in seen[:SHOWN_VALUES])
        what = f"{values}, " if values else ""
        word = "rows" if len(rows) > 1 else "row"
        self.violations.append(f"column {column!r}, {word} {numbers}: {what}{expected}")

    def note_rows(
        self, kind: str, column: str, where: Array, message: str, *, seen: Sequence[str] = ()
    ) -> None:
        """Record a note on the rows that a mask selects, if there are any."""
        rows = self._first(where)
        if rows:
            values = tuple(short(value, 40) for value in seen[:SHOWN_VALUES])
            count = int(np.count_nonzero(where))
            self.notes.append(
                Note(kind=kind, column=column, count=count, message=message, rows=rows, seen=values)
            )

    def _first(self, where: Array) -> tuple[int, ...]:
        if not where.any():  # as for nearly every event
            return ()
        return tuple(int(row) for row in self.rows[np.flatnonzero(where)[:SHOWN_ROWS]])


def is_flat(column: Array, name: str, log: Log) -> bool:
    """Tell whether the column has one plain value a row; record a violation if it has not."""
    if column.ndim != 1:
        shape = (column.shape[0], *column.shape[1:])
        log.refuse(name, f"has the shape {shape}, expected one value a row")
        return False
    if column.dtype.kind not in "biufOUSM":
        log.refuse(name, f"has the type {column.dtype}, expected numbers, text or times")
        return False
    return True


def read_numbers(column: Array, name: str, missing: Sequence[str], log: Log) -> Array:
    """Return float64 of (rows,), NaN where missing; text and infinite numbers are violations."""
    tokens = {text for text in missing if not _NUMBER.fullmatch(text)}
    numbers = [float(text) for text in missing if _NUMBER.fullmatch(text)]
    if column.dtype.kind in "biuf":
        values: Array = column.astype(np.float64)
    elif column.dtype.kind == "M":
        log.refuse(name, "holds times, expected numbers")
        return np.full(column.shape[0], np.nan)
    else:
        codes, cells = factorise(column)
        parsed = [_as_number(cell, tokens) for cell in cells]
        bad = np.array([number is None for number in parsed], dtype=bool)
        texts = [canonical(cells[n]) for n in np.flatnonzero(bad)]
        expected = "expected a number; a value that means missing is listed under missing"
        if notation := notation_of(texts):
            expected = f"expected a number; the column {notation.text}"
        log.refuse_rows(name, bad[codes], expected, seen=texts)
        values = np.array([np.nan if number is None else number for number in parsed])[codes]
    if numbers:
        values = np.where(np.isin(values, numbers), np.nan, values)
    infinite = np.isinf(values)
    if infinite.any():
        log.refuse_rows(name, infinite, "expected a finite number", seen=["infinite"])
    return values


def _as_number(cell: Any, tokens: set[str]) -> float | None:
    """Return the number, NaN for a missing one, None for what is no number."""
    if isinstance(cell, int | float):
        try:
            return float(cell)
        except OverflowError:
            return _INFINITE
    text = canonical(cell)
    if text in tokens or text in {"", "nan", "NaN"}:
        return float("nan")
    if _NUMBER.fullmatch(text):
        return float(text)
    return _INFINITE if _NOT_FINITE.fullmatch(text) else None


def bind_numeric(field: Field, column: Array, name: str, log: Log) -> Array:
    """Return float64, NaN where missing, unclipped; numbers beyond the bounds are noted."""
    values = read_numbers(column, name, field.missing, log)
    edges = field.bounds or field.bins
    if edges:
        lower, upper = edges[0], edges[-1]
        outside = (values < lower) | (values > upper)
        limits = f"[{plain_number(lower)}, {plain_number(upper)}]"
        log.note_rows("outside", name, outside, f"outside the bounds {limits}, clipped")
    return values


def bind_coded(field: Field, column: Array, name: str, log: Log) -> Array:
    """Return int32 codes into `field.values`; -1 missing, `len(values)` undeclared (noted)."""
    codes, texts = coded(column)
    other = len(field.values)
    place = {value: n for n, value in enumerate(field.values)}
    place |= dict.fromkeys(("", *field.missing), MISSING)
    table = np.array([place.get(text, other) for text in texts], dtype=np.int32)
    seen = [texts[n] for n in np.flatnonzero(table == other)]
    bound: Array = table[codes] if texts else np.empty(0, dtype=np.int32)
    log.note_rows("undeclared", name, bound == other, "not among the declared values", seen=seen)
    return bound


def bind_boolean(field: Field, column: Array, name: str, log: Log) -> Array:
    """Return float64 of 0 and 1, NaN where missing; anything else is a violation."""
    codes, texts = coded(column)
    table = np.full(len(texts), np.inf)
    for n, text in enumerate(texts):
        if text == "" or text in field.missing:
            table[n] = np.nan
        elif text.lower() in _TRUE | _FALSE:
            table[n] = text.lower() in _TRUE
    seen = [texts[n] for n in np.flatnonzero(np.isinf(table))]
    bound: Array = table[codes]
    log.refuse_rows(name, np.isinf(bound), "expected true or false, yes or no, 1 or 0", seen=seen)
    return bound


def bind_time(field: Field, column: Array, name: str, log: Log) -> Array:
    """Return datetime64[us] in UTC, NaT where missing (see `read_times`)."""
    return read_times(column, name, field.missing, log)


def read_times(column: Array, name: str, missing: Sequence[str], log: Log) -> Array:
    """Return datetime64[us] in UTC, NaT where missing. Text is ISO 8601; naive means UTC."""
    if column.dtype.kind == "M":
        return column.astype("datetime64[us]")
    codes, cells = factorise(column)
    times = [_as_time(cell, missing) for cell in cells]
    bad = np.array([time is None for time in times], dtype=bool)
    seen = [canonical(cells[n]) for n in np.flatnonzero(bad)]
    notation = notation_of(seen)
    hint = f"; the column {notation.text}" if notation else ""
    log.refuse_rows(name, bad[codes], f"expected an ISO 8601 date or time{hint}", seen=seen)
    stamps = [time[0] if time else None for time in times]
    zones = {time[1] for time in times if time and time[0] is not None}
    naive = np.array([bool(time and time[0] and time[1] is None) for time in times], dtype=bool)
    log.note_rows("naive-time", name, naive[codes], "without a time zone, read as UTC")
    if len(zones) > 1:
        known = np.array([stamp is not None for stamp in stamps], dtype=bool)
        message = f"in {len(zones)} different time zones, converted to UTC"
        log.note_rows("mixed-zones", name, known[codes], message)
    return np.array(stamps, dtype="datetime64[us]")[codes]


def _as_time(cell: Any, missing: Sequence[str]) -> tuple[datetime | None, timedelta | None] | None:
    """Return (time in UTC or None where missing, its zone's offset); None for what is no time."""
    if isinstance(cell, date) and not isinstance(cell, datetime):
        cell = datetime(cell.year, cell.month, cell.day)
    if not isinstance(cell, datetime):
        text = canonical(cell)
        if text == "" or text in missing:
            return None, None
        if not isinstance(cell, str) or text.isdigit():  # a bare number may count anything
            return None
        try:
            cell = datetime.fromisoformat(text)
        except ValueError:
            return None
    try:
        offset = cell.utcoffset()
        return (cell if offset is None else cell.astimezone(UTC).replace(tzinfo=None)), offset
    except OverflowError:
        return None


def bind_text(field: Field, column: Array, name: str, log: Log) -> Array:
    """Return an object array of the text as it came, None where blank or missing."""
    return read_texts(column, field.missing)


def read_texts(column: Array, missing: Sequence[str] = ()) -> Array:
    """Return an object array of the text as it came, None where blank or missing."""
    codes, cells = factorise(column)
    texts = [
        None if canonical(cell) in ("", *missing) else cell if isinstance(cell, str) else str(cell)
        for cell in cells
    ]
    return np.array([*texts, None], dtype=object)[codes]


def bind_image(field: Field, column: Array, name: str, log: Log) -> Array:
    """Return path texts (None where missing), or the pixels of (rows, height, width[, colours])."""
    if column.dtype.kind in "biuf":
        if column.ndim not in (3, 4):
            log.refuse(name, f"has the shape {column.shape}, expected (rows, h, w[, c]) or paths")
        elif column.dtype.kind == "f":
            odd = np.asarray(~np.isfinite(column).reshape(column.shape[0], -1).all(axis=1))
            log.refuse_rows(name, odd, "expected finite pixels")
        return column
    if not is_flat(column, name, log):
        return column
    odd = np.array([canonical(cell) != "" and not isinstance(cell, str) for cell in column])
    log.refuse_rows(name, odd, "expected the path of an image")
    return read_texts(column, field.missing)


def bind_sequence(field: Field, column: Array, name: str, log: Log) -> Array:
    """Return (rows, steps[, width]) numbers, or an object array of (steps[, width]) arrays."""
    if column.dtype.kind in "biuf":
        if column.ndim not in (2, 3):
            log.refuse(name, f"has the shape {column.shape}, expected (rows, steps[, width])")
            return column
        values = column.astype(np.float64)
        odd = np.asarray(np.isinf(values).reshape(column.shape[0], -1).any(axis=1))
        log.refuse_rows(name, odd, "expected finite numbers")
        return values
    if column.dtype.kind != "O" or column.ndim != 1:
        log.refuse(name, f"has the type {column.dtype}, expected a list of numbers a row")
        return column
    cells = [_as_sequence(cell) for cell in column]
    bound = np.empty(len(cells), dtype=object)
    for n, cell in enumerate(cells):
        bound[n] = cell
    wrong = np.array([cell is not None and cell.size == 0 for cell in cells], dtype=bool)
    odd = np.array([cell is not None and bool(np.isinf(cell).any()) for cell in cells], dtype=bool)
    log.refuse_rows(name, wrong, "expected numbers of (steps,) or (steps, width)")
    log.refuse_rows(name, odd, "expected finite numbers")
    return bound


def _as_sequence(cell: Any) -> Array | None:
    """Return the numbers of one row, None where missing, an empty array for what is neither."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    try:
        numbers: Array = np.asarray(cell, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)
    return numbers if numbers.ndim in (1, 2) else np.empty(0)


def bind_target(target: Target, column: Array, name: str, log: Log) -> Array:
    """Return float64: 1 for the positive value and 0 for others, or codes, or the number."""
    if target.kind == "numeric":
        bound = read_numbers(column, name, (), log)
        if target.bounds:
            lower, upper = target.bounds
            limits = f"[{plain_number(lower)}, {plain_number(upper)}]"
            outside = (bound < lower) | (bound > upper)
            log.note_rows("outside", name, outside, f"outside the bounds {limits}")
    else:
        bound = _classes(target, column, name, log)
    log.note_rows("missing-label", name, np.isnan(bound), "without a label, kept")
    return bound


def _classes(target: Target, column: Array, name: str, log: Log) -> Array:
    codes, texts = coded(column)
    values = target.values
    if target.kind == "binary":
        values = (target.negative, target.positive)
        if not target.negative:
            others = [text for text in texts if text not in ("", target.positive)]
            table = dict.fromkeys(others, 0.0) | {target.positive: 1.0}
            _unseen_positive(target, texts, others, name, log)
        else:
            table = {target.negative: 0.0, target.positive: 1.0}
    else:
        table = {value: float(n) for n, value in enumerate(values)}
    numbers = np.array([np.nan if text == "" else table.get(text, np.inf) for text in texts])
    bound: Array = numbers[codes] if texts else np.empty(0)
    seen = [texts[n] for n in np.flatnonzero(np.isinf(numbers))]
    expected = f"expected {' or '.join(repr(short(value, 40)) for value in values[:8])}"
    log.refuse_rows(name, np.isinf(bound), expected, seen=seen)
    return np.where(np.isinf(bound), np.nan, bound)


def _unseen_positive(
    target: Target, texts: Sequence[str], others: Sequence[str], name: str, log: Log
) -> None:
    """Refuse a positive value that no row has among several others: it is likely misspelt."""
    if target.positive in texts or not others:
        return
    if len(set(others)) > 1:
        seen = ", ".join(repr(short(text, 40)) for text in others[:SHOWN_VALUES])
        log.refuse(name, f"never holds the positive value {target.positive!r}, but {seen}")
    else:
        message = f"no row has the positive value {target.positive!r}"
        log.notes.append(Note(kind="unseen", column=name, count=0, message=message))
