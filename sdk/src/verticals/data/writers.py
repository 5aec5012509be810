"""Write columns to CSV, Parquet or Arrow: in chunks, and so that a reader sees all or nothing."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import numpy as np

from verticals.data.columns import native, to_arrow
from verticals.data.sources import ENDINGS
from verticals.errors import CallError, DataError
from verticals.table import Array, Table

_SPECIAL = re.compile(r'[",\r\n]')


class _Sink(Protocol):
    def write(self, table: Table) -> None: ...

    def close(self) -> None: ...


class TableWriter:
    """Write tables, one after the other, to one .csv, .parquet, .arrow or .feather file.

    Use it as a context manager. Rows go to a temporary file in the same folder, which takes the
    file's name when the block ends well; after an exception the file is as it was before, and the
    temporary one is gone. The first table fixes names and types.

        with TableWriter("scored.csv") as writer:
            for table in iter_tables("new.csv"):
                writer.write(score(table))

    In CSV a float is written by `repr`, so that it comes back exactly; a missing value is an empty
    cell; a time is ISO 8601 in UTC. Raises `DataError` if the folder is missing, the file cannot
    be written, a later table has other columns or types, or nothing was written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.tmp")
        self._stream: IO[bytes] | None = None
        self._sink: _Sink | None = None
        self._names: tuple[str, ...] = ()
        if self.path.suffix.lower() not in ENDINGS:
            raise CallError(
                f"cannot write {self.path}, expected a name that ends in {', '.join(ENDINGS)}",
                hint="choose one of these endings",
            )
        if self.path.is_dir():
            raise DataError(f"{self.path} is a folder, expected a file to write", hint="")

    def __enter__(self) -> TableWriter:
        """Open the temporary file."""
        try:
            self._stream = self._temporary.open("xb")
        except OSError as error:
            raise self._failed(error) from None
        return self

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows; the columns may come in another order than in the first table."""
        if self._stream is None:
            raise CallError(
                f"the writer of {self.path} is not open, expected it in a with statement",
                hint=f'with TableWriter("{self.path}") as writer: writer.write(columns)',
            )
        table = columns if isinstance(columns, Table) else Table(columns)
        if self._sink is None:
            self._names = tuple(table)
            self._sink = self._new_sink(self._stream)
        if set(table) != set(self._names):
            raise DataError(
                f"{self.path}: a table with columns {sorted(table)}, expected "
                f"{sorted(self._names)} as in the first one",
                hint="give every table the same columns",
            )
        try:
            self._sink.write(table.select(self._names))
        except OSError as error:
            raise self._failed(error) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the file in place, or drop it after an exception."""
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise self._failed(failure) from None
        finally:
            self._drop()

    def _finish(self) -> None:
        if self._sink is None or self._stream is None:
            raise DataError(
                f"nothing was written to {self.path}, expected at least one table",
                hint="write a table of 0 rows to get a file that names its columns",
            )
        self._sink.close()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        os.replace(self._temporary, self.path)

    def _drop(self) -> None:
        """Close what is open, and remove the temporary file if it has not taken its place."""
        for open_one in (self._sink, self._stream):
            if open_one is not None:
                with suppress(Exception):  # if this fails, a first error is on its way
                    open_one.close()
        self._temporary.unlink(missing_ok=True)

    def _new_sink(self, stream: IO[bytes]) -> _Sink:
        ending = self.path.suffix.lower()
        if ending == ".csv":
            return _CsvSink(stream, self.path)
        return _ArrowSink(stream, self.path, parquet=ending == ".parquet")

    def _failed(self, error: OSError) -> DataError:
        reason = (error.strerror or type(error).__name__).lower()
        return DataError(
            f"{self.path} cannot be written: {reason}, expected a folder with room for it",
            hint=f"mkdir -p {self.path.parent}",
        )


def write_table(path: str | os.PathLike[str], columns: Mapping[str, Any]) -> None:
    """Write a table or a mapping of arrays to a .csv, .parquet, .arrow or .feather file.

    The file is either as it was or complete. Raises `DataError` as `TableWriter` does.
    """
    with TableWriter(path) as writer:
        writer.write(columns)


class _CsvSink:
    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path
        self._named = False

    def write(self, table: Table) -> None:
        cells = [_cells(table[name], f"{self._path}: column {name!r}") for name in table]
        lines = [] if self._named else [",".join(map(_quoted, table))]
        self._named = True
        lines += map(",".join, zip(*cells, strict=True))
        if len(cells) == 1:  # a blank line would be no row
            lines = [line or '""' for line in lines]
        self._stream.write(_encoded("".join(f"{line}\n" for line in lines), self._path))

    def close(self) -> None:
        """Do nothing: every row is in the stream."""


class _ArrowSink:
    """Write Parquet or Arrow; the file is opened with the types of the first table."""

    def __init__(self, stream: IO[bytes], path: Path, *, parquet: bool) -> None:
        self._stream = stream
        self._path = path
        self._parquet = parquet
        self._schema: Any = None
        self._writer: Any = None

    def write(self, table: Table) -> None:
        import pyarrow as pa

        arrays = {name: to_arrow(table[name], f"{self._path}: column {name!r}") for name in table}
        found = pa.table(arrays)
        if self._writer is None:
            self._schema = found.schema
            self._writer = self._open()
        self._writer.write_table(self._cast(found))

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        finally:
            if self._parquet:
                writer.is_open = False  # or it would try again when it is collected

    def _open(self) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        if self._parquet:
            return parquet.ParquetWriter(self._stream, self._schema, compression="zstd")
        return pa.ipc.new_file(self._stream, self._schema)

    def _cast(self, table: Any) -> Any:
        import pyarrow as pa

        with suppress(pa.ArrowException):
            return table.cast(self._schema)
        raise DataError(
            f"{self._path}: a later table has other types than the first one",
            hint="give each column one type in all tables",
        )


def _cells(column: Array, where: str) -> list[str]:
    """Return the CSV text of each value; raise `DataError` for what CSV cannot hold."""
    plain = native(column, where)
    if plain.ndim > 1 or any(isinstance(item, np.ndarray) for item in _objects(plain)):
        raise DataError(
            f"{where} holds arrays, expected single values in CSV",
            hint="write a .parquet or .arrow file",
        )
    if plain.dtype.kind == "M":
        whole = (plain == plain.astype("datetime64[s]")) | np.isnat(plain)
        unit: Any = "s" if whole.all() else "us"
        texts = np.datetime_as_string(plain, unit=unit).tolist()
        return ["" if text == "NaT" else text for text in texts]
    if plain.dtype.kind == "f":
        return ["" if value != value else repr(value) for value in plain.tolist()]
    if plain.dtype.kind == "i":
        return list(map(str, plain.tolist()))
    words = {None: "", True: "true", False: "false"}
    return [words[value] if value in words else _quoted(value) for value in plain.tolist()]


def _objects(column: Array) -> Array:
    return column if column.dtype.kind == "O" else column[:0]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


def _encoded(text: str, path: Path) -> bytes:
    try:
        if "\0" not in text:
            return text.encode()
    except UnicodeEncodeError:
        pass
    raise DataError(
        f"{path}: a NUL or a lone surrogate in a name or value, expected text that UTF-8 CSV holds",
        hint="clean the text, or write a .parquet file",
    )
