"""Named columns of equal length: the one shape in which rows travel through the SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from verticals.errors import DataError

Array = npt.NDArray[Any]


class Table(Mapping[str, Array]):
    """Hold named arrays that share their first axis; never changed after it is made.

    A column has shape (rows,) or, for images, sequences and item blocks, (rows, ...).
    Iteration and `len` go by column, as for any mapping; `rows` is the number of rows.
    Columns are read-only views, so that no reader can change what another one sees.

    Raises `DataError` if the columns differ in their number of rows.
    """

    __slots__ = ("_columns", "rows")

    def __init__(self, columns: Mapping[str, Any], *, rows: int | None = None) -> None:
        arrays: dict[str, Array] = {}
        for name, column in columns.items():
            view = np.asarray(column).view()
            view.flags.writeable = False
            if view.ndim == 0:
                raise DataError(f"column {name!r} is a single value, expected an array of rows")
            if rows is None:
                rows = view.shape[0]
            if view.shape[0] != rows:
                raise DataError(f"column {name!r} has {view.shape[0]} rows, expected {rows}")
            arrays[name] = view
        self._columns = arrays
        self.rows: int = rows or 0

    def __getitem__(self, name: str) -> Array:
        """Return the column of that name; raise `KeyError` if there is none."""
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the columns, in order."""
        return iter(self._columns)

    def __len__(self) -> int:
        """Return the number of columns (see `rows` for the number of rows)."""
        return len(self._columns)

    def __repr__(self) -> str:
        """Show the shape only: rows may be private."""
        return f"Table(rows={self.rows}, columns={list(self._columns)})"

    def take(self, index: Array | slice | Sequence[int]) -> Table:
        """Return the rows that a boolean mask, an integer index or a slice selects."""
        where = index if isinstance(index, slice) else np.asarray(index)
        if not isinstance(where, slice) and where.size == 0:
            where = where.astype(np.int64)
        rows = np.arange(self.rows)[where].shape[0]
        return Table({name: column[where] for name, column in self._columns.items()}, rows=rows)

    def select(self, names: Sequence[str]) -> Table:
        """Return the named columns, in that order."""
        return Table({name: self._columns[name] for name in names}, rows=self.rows)

    def with_columns(self, columns: Mapping[str, Any]) -> Table:
        """Return a table with further or replaced columns."""
        return Table({**self._columns, **columns}, rows=self.rows if self._columns else None)

    def without(self, names: Sequence[str]) -> Table:
        """Return a table that lacks the named columns."""
        return Table({k: v for k, v in self._columns.items() if k not in names}, rows=self.rows)


def concatenate(tables: Sequence[Table]) -> Table:
    """Stack tables that have the same columns, first to last."""
    if not tables:
        return Table({})
    names = list(tables[0])
    for table in tables[1:]:
        if set(table) != set(names):
            raise DataError(f"tables differ in columns: {sorted(table)} and {sorted(names)}")
    return Table({name: np.concatenate([table[name] for table in tables]) for name in names})
