"""Read rows from files, dataframes and mappings into raw tables."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verticals.contract import Note
from verticals.data import columns as kinds
from verticals.data.sources import Source, column_names, file_source, frame_source
from verticals.errors import CallError, DataError
from verticals.table import Array, Table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Hold a raw table, and what a person should know of how it was read."""

    table: Table
    notes: tuple[Note, ...] = ()


class TableStream(Iterator[Table]):
    """Yield the tables of a stream; `names` and `notes` are known from the start."""

    def __init__(
        self, tables: Iterator[Table], names: Sequence[str], notes: Sequence[Note]
    ) -> None:
        self._tables = tables
        self.names = tuple(names)
        self.notes = tuple(notes)

    def __next__(self) -> Table:
        """Return the next table."""
        return next(self._tables)


def read_table(
    source: Any, *, text_columns: Collection[str] = (), encoding: str | None = None
) -> Loaded:
    """Read rows into a raw table: source column names, plain numpy types.

    `source` is the path of a .csv, .tsv, .parquet, .arrow or .feather file, a `Table` or another
    mapping of arrays, or any dataframe that narwhals knows (pandas, polars, pyarrow). Its columns
    become

    * integers: int64, or float64 with NaN where some are missing; integers of 16 digits and more
      beside missing values or fractions become text, so that no identifier is rounded;
    * floats and decimals: float64, NaN where missing; a column with nothing in it too;
    * booleans: bool, or objects True, False, None where some are missing;
    * text and dictionaries: str objects, None where missing or empty;
    * dates and times: datetime64[us] in UTC (a time without a zone is taken as UTC), NaT;
    * lists: objects, each None or a float64 array of one or more axes.

    In CSV a cell may say NA, N/A, NaN, nan, null or NULL for a missing number, time or boolean; in
    a text column these stay text, and only an empty cell is missing. `text_columns` are read as
    text whatever they hold, so leading zeros stay; names that do not occur are passed over. The
    delimiter is comma, semicolon or tab, whichever splits the header most. `encoding` names the
    encoding of a CSV file; without it UTF-8, UTF-16 with a byte-order mark and GB18030 are found.

    Raises `DataError` that says what, where and what was expected, for anything that cannot be
    read or has no rows, and `CallError` for an unknown encoding.
    """
    if isinstance(source, Mapping):
        return _read_mapping(source, text_columns, encoding)
    found = _source(source, encoding)
    batches = list(found.batches())
    seen = _look(found, batches, text_columns)
    columns = {
        name: kinds.concatenated(
            kinds.to_numpy(batch.column(place), seen[place], _where(found, place))
            for batch in batches
        )
        for place, name in enumerate(found.names)
    }
    return Loaded(table=Table(columns), notes=found.notes)


def iter_tables(
    source: Any,
    *,
    rows: int = 65_536,
    text_columns: Collection[str] = (),
    encoding: str | None = None,
) -> TableStream:
    """Read a file as raw tables of `rows` rows (the last one may be shorter), in bounded memory.

    Each column has one type in all tables, the one that `read_table` would give: the file is gone
    through once to find the types and a second time to convert, so a column that begins with
    integers and ends in text is text from the first table on. All that `read_table` refuses is
    refused here at the call, before the first table. Anything but a path is read at once.
    """
    if rows < 1:
        raise CallError(f"rows is {rows}, expected 1 or more", hint="leave it out for 65536")
    if not isinstance(source, (str, os.PathLike)):
        loaded = read_table(source, text_columns=text_columns, encoding=encoding)
        whole = loaded.table
        pieces = (whole.take(slice(at, at + rows)) for at in range(0, whole.rows, rows))
        return TableStream(pieces, list(whole), loaded.notes)
    found = _source(source, encoding)
    seen = _look(found, found.batches(), text_columns)
    tables = (_table(found, batch, seen) for batch in _in_steps(found.batches(), rows))
    return TableStream(tables, found.names, found.notes)


def _source(source: Any, encoding: str | None) -> Source:
    if isinstance(source, (str, os.PathLike)):
        return file_source(Path(source), encoding)
    _refuse_encoding(encoding)
    return frame_source(source)


def _refuse_encoding(encoding: str | None) -> None:
    if encoding is not None:
        raise CallError(
            f"an encoding ({encoding!r}) is given for data in memory, expected one for a .csv file",
            hint="leave it out",
        )


def _read_mapping(
    source: Mapping[str, Any], text_columns: Collection[str], encoding: str | None
) -> Loaded:
    _refuse_encoding(encoding)
    names, notes = column_names([str(name) for name in source], "the table")
    columns: dict[str, Array] = {}
    for name, given in zip(names, source.values(), strict=True):
        where = f"the table: column {name!r}"
        column = _as_array(given, where)
        if name in text_columns:
            columns[name] = kinds.to_numpy(kinds.to_arrow(column, where), kinds.TEXT, where)
        else:
            columns[name] = kinds.native(column, where)
    table = Table(columns)
    if table.rows == 0:
        raise _no_rows("the table")
    return Loaded(table=table, notes=notes)


def _as_array(given: Any, where: str) -> Array:
    try:
        array = np.asarray(given)
        if array.dtype.kind in "US" and not isinstance(given, np.ndarray):
            # numpy has turned [1, "a"] into text; Arrow will tell such mixtures apart.
            array = np.asarray(given, dtype=object)
        if array.ndim == 0:
            raise DataError(
                f"{where} is a single value, expected an array of rows", hint="pass a list of one"
            )
        return array
    except ValueError:
        raise DataError(
            f"{where} holds lists of different lengths, expected an array",
            hint="pass an object array that holds one array a row",
        ) from None


def _look(
    source: Source, batches: Iterable[pa.RecordBatch], text_columns: Collection[str]
) -> list[kinds.Seen]:
    """Find the kind of every column from all of its chunks; refuse a source without rows."""
    rows = 0
    seen = [
        kinds.TEXT if name in text_columns else kinds.Seen(kind="missing") for name in source.names
    ]
    for batch in batches:
        rows += batch.num_rows
        for place, so_far in enumerate(seen):
            if so_far != kinds.TEXT:  # nothing turns text into something else
                seen[place] = kinds.join(so_far, _look_at(source, place, batch.column(place)))
    if rows == 0:
        raise _no_rows(source.where)
    return seen


def _look_at(source: Source, place: int, array: pa.Array) -> kinds.Seen:
    if source.textual:
        return kinds.look_at_text(array)
    return kinds.look(array, _where(source, place))


def _table(source: Source, batch: pa.Table, seen: Sequence[kinds.Seen]) -> Table:
    columns = {
        name: kinds.to_numpy(
            batch.column(place).combine_chunks(), seen[place], _where(source, place)
        )
        for place, name in enumerate(source.names)
    }
    return Table(columns)


def _in_steps(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Cut batches of any size into tables of `rows` rows; the last one may be shorter."""
    import pyarrow as pa

    rest: pa.Table | None = None
    for batch in batches:
        fresh = pa.Table.from_batches([batch])
        rest = fresh if rest is None else pa.concat_tables([rest, fresh])
        while rest.num_rows >= rows:
            yield rest.slice(0, rows)
            rest = rest.slice(rows)
    if rest is not None and rest.num_rows:
        yield rest


def _where(source: Source, place: int) -> str:
    return f"{source.where}: column {source.names[place]!r}"


def _no_rows(where: str) -> DataError:
    return DataError(
        f"{where} has no rows, expected at least one", hint="check how the data were exported"
    )
