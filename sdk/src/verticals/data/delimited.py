"""Read CSV text: the header, the delimiter, and rows of text in Arrow batches."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from verticals.contract import Note
from verticals.data.encoding import BLOCK, TextFile, decoded, whole_lines
from verticals.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_DELIMITERS = MappingProxyType({",": "comma", ";": "semicolon", "\t": "tab"})
_UNQUOTE = 'close every quote, and write a quote inside a quoted value twice ("")'


@dataclass(frozen=True, kw_only=True)
class Header:
    """Hold the names of the columns as written, and where the rows begin."""

    names: tuple[str, ...]
    delimiter: str
    rows_to_skip: int  # the header, and blank lines before it
    notes: tuple[Note, ...] = ()


def read_header(file: TextFile) -> Header:
    """Read the first line that is not blank; the delimiter is the one that splits it most.

    Raises `DataError` if the file is empty, holds nothing but a header, or the header's quotes
    are out of order.
    """
    if file.last_line == 0:
        raise DataError(
            f"{file.path} is empty, expected a header and rows",
            hint="check how it was exported",
        )
    text = next(decoded(file.path, file.encoding, file.start))
    found = [(delimiter, _first_record(text, delimiter)) for delimiter in _DELIMITERS]
    delimiter, (names, skip, line) = max(found, key=lambda item: len(item[1][0]))
    if not names:
        raise DataError(
            f"{file.path}, line {line}: a header that cannot be read, expected names with "
            "commas between them",
            hint=_UNQUOTE,
        )
    if file.last_line <= line:
        raise DataError(
            f"{file.path} has a header (line {line}) but no rows, expected at least one",
            hint="check how it was exported",
        )
    notes: tuple[Note, ...] = ()
    if delimiter != ",":
        message = f"{file.path} was read with {_DELIMITERS[delimiter]} as the delimiter"
        notes = (Note(kind="delimiter", column="", count=1, message=message, rows=()),)
    return Header(names=names, delimiter=delimiter, rows_to_skip=skip, notes=notes)


def text_batches(file: TextFile, header: Header) -> Iterator[pa.RecordBatch]:
    """Yield the rows as batches of text columns, named "0", "1", and so on.

    Raises `DataError` that names row and line if a row has too few or too many values, or if a
    quoted value is not closed or goes on after its closing quote.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(place) for place in range(len(header.names))]
    ragged: list[Any] = []

    def remember(row: Any) -> str:
        ragged.append(row)
        return "skip"

    parse = arrow_csv.ParseOptions(
        delimiter=header.delimiter, newlines_in_values=True, invalid_row_handler=remember
    )
    read = arrow_csv.ReadOptions(
        block_size=BLOCK,
        column_names=names,
        skip_rows_after_names=header.rows_to_skip,
        encoding="utf8" if file.encoding == "utf-8" else file.encoding,
    )
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )
    if not file.regular_quotes:
        for _ in _records(file, header.delimiter):
            pass  # raises where a quote is out of order
    with file.path.open("rb") as stream:
        stream.seek(file.start)
        try:
            with arrow_csv.open_csv(stream, read, parse, convert) as reader:
                for batch in reader:
                    if ragged:
                        break
                    yield batch
        except pa.ArrowInvalid:
            raise DataError(
                f"{file.path}: a row is longer than {BLOCK >> 20} MiB, expected shorter rows",
                hint=_UNQUOTE,
            ) from None
    if ragged:
        _refuse_ragged(file, header)


def _first_record(text: str, delimiter: str) -> tuple[tuple[str, ...], int, int]:
    """Return the first record that is not blank, the records up to it, and its last line.

    The record is empty if its quotes do not fit this delimiter.
    """
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    records, line = 0, 1
    try:
        for record in reader:
            records += 1
            if len(record) > 1 or (record and record[0].strip()):
                return tuple(record), records, reader.line_num
            line = reader.line_num + 1
    except csv.Error:
        pass
    return (), records, line


def _records(file: TextFile, delimiter: str) -> Iterator[tuple[int, int]]:
    """Yield the first line and the number of values of every record that is not blank.

    Plain Python, so slow: it runs only where a fast look has found something out of order.
    """
    first = values = opened = 0  # `opened` is the line on which an open quote began
    for number, line in enumerate(_lines(file), start=1):
        if not opened:
            if not line:
                continue
            first, values = number, 1
        delimiters, inside = _walk(file, number, line, delimiter, bool(opened))
        values += delimiters
        if not inside:
            opened = 0
            yield first, values
        elif not opened or delimiters:
            opened = number
    if opened:
        raise DataError(
            f"{file.path}, line {opened}: a quote that is never closed, expected another one",
            hint=_UNQUOTE,
        )


def _walk(file: TextFile, number: int, line: str, delimiter: str, inside: bool) -> tuple[int, bool]:
    """Return the delimiters outside quotes, and whether the line ends within quotes."""
    at = delimiters = 0
    while True:
        if inside:
            end = line.find('"', at)
            if end < 0:
                return delimiters, True
            at = end + 1
            if line.startswith('"', at):
                at += 1
                continue
            if at < len(line) and line[at] != delimiter:
                raise DataError(
                    f"{file.path}, line {number}: text after a closing quote, expected a "
                    f"{_DELIMITERS[delimiter]} or the end of the line",
                    hint=_UNQUOTE,
                )
            inside = False
        elif line.startswith('"', at):
            at, inside = at + 1, True
            continue
        at = line.find(delimiter, at) + 1
        if at == 0:
            return delimiters, False
        delimiters += 1


def _lines(file: TextFile) -> Iterator[str]:
    for text in whole_lines(file.path, file.encoding, file.start):
        yield from text[:-1].split("\n")


def _refuse_ragged(file: TextFile, header: Header) -> None:
    expected = len(header.names)
    for record, (line, values) in enumerate(_records(file, header.delimiter), start=1):
        if values != expected:
            raise DataError(
                f"{file.path}, row {record - 1} (line {line}): {values} value(s), expected "
                f"{expected}, as in the header",
                hint="a value that holds the delimiter or a line end must stand in quotes",
            )
    raise DataError(
        f"{file.path}: rows that do not have {expected} values, as the header has", hint=_UNQUOTE
    )
