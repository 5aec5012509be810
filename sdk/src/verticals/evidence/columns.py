"""Tables of evidence as Parquet: five kinds of columns, and the same bytes for the same table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from verticals.errors import DataError
from verticals.table import Array, Table

if TYPE_CHECKING:
    import pyarrow as pa

# Kinds of columns: integer (int64), number (float64; NaN is not measurable), flag (bool),
# text (object, str or None), time (datetime64[us], NaT).
_KINDS = {"i": "integer", "u": "integer", "f": "number", "b": "flag", "M": "time"}


def pack_table(table: Table, *, what: str) -> tuple[bytes, list[tuple[str, str]]]:
    """Return a table as Parquet bytes, and name and kind of each column.

    The bytes depend on the content and on the version of pyarrow.

    Raises `DataError` for a table without columns, and for a column that has more than one
    dimension or holds anything else than numbers, flags, times, text and None.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if not len(table):
        raise DataError(f"{what} has no columns, expected at least one")
    columns: list[tuple[str, str]] = []
    arrays: list[Any] = []
    for name, column in table.items():
        kind, array = _packed(column, f"{what}: column {name!r}")
        columns.append((name, kind))
        arrays.append(array)
    sink = io.BytesIO()
    parquet.write_table(
        pa.table(arrays, names=[name for name, _ in columns]),
        sink,
        version="2.6",
        compression="zstd",
        compression_level=3,
        write_statistics=False,
        store_schema=False,  # no metadata beside the columns
    )
    return sink.getvalue(), columns


def unpack_table(data: bytes, columns: Sequence[tuple[str, str]], rows: int, *, what: str) -> Table:
    """Return the table in some Parquet bytes, if it has these columns and as many rows.

    Raises `DataError` otherwise, and for bytes that are no Parquet.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        found = (file.metadata.num_rows, file.schema_arrow.names)
        expected = (rows, [name for name, _ in columns])
        if found != expected:
            raise DataError(
                f"{what} has {found[0]} rows of {found[1]}, expected {rows} of {expected[1]}"
            )
        table = file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{what} cannot be read as Parquet: {reason}") from error
    return Table(
        {
            name: _unpacked(table.column(place), kind, f"{what}: column {name!r}")
            for place, (name, kind) in enumerate(columns)
        },
        rows=rows,
    )


def _packed(column: Array, where: str) -> tuple[str, pa.Array]:
    import pyarrow as pa

    if column.ndim != 1:
        raise DataError(f"{where} has {column.ndim} dimensions, expected 1")
    if column.dtype.kind in "OUT":
        values = column.tolist()
        for place, value in enumerate(values):
            if value is not None and not isinstance(value, str):
                raise DataError(
                    f"{where} holds a {type(value).__name__} at row {place}, expected text or None"
                )
        try:
            return "text", pa.array(values, pa.string())
        except (UnicodeEncodeError, pa.ArrowException) as error:
            raise DataError(f"{where} holds text that is no Unicode") from error
    kind = _KINDS.get(column.dtype.kind)
    if kind is None:
        raise DataError(f"{where} is of type {column.dtype}, expected numbers, times or text")
    dtype, arrow = _types()[kind]
    if column.dtype.kind == "u" and column.size and int(column.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{where} holds {int(column.max())}, expected 64-bit integers")
    return kind, pa.array(column.astype(dtype), arrow, from_pandas=False)


def _unpacked(column: pa.ChunkedArray, kind: str, where: str) -> Array:
    import pyarrow as pa

    if kind == "text":
        if column.type != pa.string():
            raise DataError(f"{where} is of type {column.type}, expected text")
        found = np.empty(len(column), dtype=object)
        found[:] = column.to_pylist()
        return found
    if kind not in _types():
        raise DataError(f"{where} is of kind {kind!r}, expected one of text, {', '.join(_types())}")
    dtype, arrow = _types()[kind]
    if column.type != arrow or (column.null_count and kind != "time"):
        raise DataError(f"{where} is of type {column.type}, expected {arrow} without nulls")
    return np.asarray(column.to_numpy(), dtype=dtype)


def _types() -> dict[str, tuple[str, pa.DataType]]:
    import pyarrow as pa

    return {
        "integer": ("int64", pa.int64()),
        "number": ("float64", pa.float64()),
        "flag": ("bool", pa.bool_()),
        "time": ("datetime64[us]", pa.timestamp("us")),
    }
