"""What each kind of field turns into: widths, encodings, and counts of what did not fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from verticals.contract.model import MISSING, Field
from verticals.encode.neutral import declared_values
from verticals.encode.scales import piecewise_linear
from verticals.errors import ContractError, DataError
from verticals.plugin import FieldEncoder
from verticals.table import Array

TABULAR = ("numeric", "categorical", "boolean", "ordinal")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Count the values of a field, and those that the declaration did not foresee."""

    rows: int  # values looked at: rows, or cells of a block, an image or a sequence
    missing: int = 0
    below: int = 0
    above: int = 0
    other: int = 0


def cell_width(field: Field, edges: tuple[float, ...]) -> int:
    """Return how many columns one value takes, the missing column included.

    numeric: a column a bin; categorical: a column a category, and one for "other"; boolean: one;
    ordinal: a column a level above the lowest (thermometer). Each has one more for missing,
    beside which the other columns are those of `neutral_cell`.
    """
    if field.kind == "numeric":
        return len(edges)
    if field.kind == "categorical":
        return len(field.values) + 2
    return 2 if field.kind == "boolean" else len(field.values)


def encode_cells(field: Field, column: Array, edges: tuple[float, ...]) -> Array:
    """Encode a tabular column (rows,) or block (rows, columns) as (rows, width)."""
    cells = _cells(field, column, edges)
    unknown = ~known_values(field, column)
    if unknown.any():
        cells[unknown] += neutral_cell(field, edges)
    return cells.reshape(len(column), math.prod(cells.shape[1:]))  # (rows, columns * cell width)


def known_values(field: Field, column: Array) -> Array:
    """Tell which values of a bound tabular column are there, and declared: bool, its shape."""
    if field.kind in ("numeric", "boolean"):
        return np.asarray(~np.isnan(column))
    return np.asarray((column >= 0) & (column < len(field.values)))


def neutral_cell(field: Field, edges: tuple[float, ...]) -> Array:
    """Return the mean encoding of the field's declared values, its flags 0: (cell width,).

    A missing value, or one that was never declared, is encoded as this and a flag. It follows
    from the declaration and the edges alone.
    """
    values, weights = declared_values(field, edges)
    return np.asarray(weights @ _cells(field, values, edges))


def _cells(field: Field, column: Array, edges: tuple[float, ...]) -> Array:
    """Encode each value as (..., cell width); of one that is not known, only the flag is set."""
    if field.kind == "categorical":
        places = np.where(column == MISSING, len(field.values) + 1, column)
        return np.asarray(np.eye(len(field.values) + 2)[places])
    known = known_values(field, column)  # an undeclared level has no place in the order
    if field.kind == "numeric":
        filled = piecewise_linear(field, column, edges)
    elif field.kind == "boolean":
        filled = np.where(known, column, 0.0)[..., None]
    else:
        filled = (column[..., None] > np.arange(len(field.values) - 1)) & known[..., None]
    return np.concatenate([filled, ~known[..., None]], axis=-1, dtype=np.float64)


def count_cells(field: Field, column: Array, edges: tuple[float, ...]) -> Counts:
    """Count the values of a tabular column or block that are missing, clipped or undeclared."""
    if field.kind in ("categorical", "ordinal"):
        return Counts(
            rows=column.size,
            missing=int((column == MISSING).sum()),
            other=int((column == len(field.values)).sum()),
        )
    lower, upper = (edges[0], edges[-1]) if edges else (0.0, 1.0)
    return _count_numbers(column, lower, upper)


def count_missing(field: Field, column: Array) -> int:
    """Count the values of a bound tabular column or block that are missing."""
    if field.kind in ("categorical", "ordinal"):
        return int(np.count_nonzero(column == MISSING))
    return int(np.count_nonzero(column != column))  # NaN; on one row a third of the time of isnan


def _count_numbers(column: Array, lower: float, upper: float) -> Counts:
    return Counts(
        rows=column.size,
        missing=int(np.isnan(column).sum()),
        below=int((column < lower).sum()),
        above=int((column > upper).sum()),
    )


def check_cells(field: Field, column: Array) -> Array:
    """Return a tabular column as it was bound: float64 numbers, or int codes.

    Raises `DataError` where shape, dtype or codes are not those of a bound table.
    """
    shape = (len(column), len(field.columns)) if field.columns else (len(column),)
    if column.shape != shape:
        raise DataError(f"field {field.name!r} has shape {column.shape}, expected {shape}")
    if field.kind in ("numeric", "boolean"):
        if column.dtype.kind not in "fiub":
            raise DataError(f"field {field.name!r} has dtype {column.dtype}, expected numbers")
        return column.astype(np.float64)
    if column.dtype.kind not in "iu":
        raise DataError(f"field {field.name!r} has dtype {column.dtype}, expected integer codes")
    if column.size and not (column.min() >= MISSING and column.max() <= len(field.values)):
        raise DataError(
            f"field {field.name!r} has codes {column.min()} to {column.max()}, "
            f"expected {MISSING} to {len(field.values)}"
        )
    return column


@dataclass(frozen=True, kw_only=True)
class ArrayEncoder:
    """Encode images and sequences that are numeric arrays of the declared size.

    An image (rows, h, w) or (rows, h, w, c) becomes (rows, c, h, w), a sequence keeps its shape
    (rows, steps) or (rows, steps, width). Numbers are clipped to the declared bounds (an image
    without bounds: 0 to 255) and scaled to 0..1. A missing number becomes the middle, 0.5, in a
    sequence, and black, 0, in an image.
    """

    def shape(self, field: Field) -> tuple[int, ...]:
        """Return the shape of one encoded row; raise `ContractError` if it is not declared."""
        dims = (2, 3) if field.kind == "image" else (1, 2)
        if len(field.size) not in dims:
            raise ContractError(
                f"field {field.name!r} declares size {list(field.size)}, "
                f"expected {dims[0]} or {dims[1]} numbers",
                hint=f"declare size under {field.name}, or give the solution a FieldEncoder for it",
            )
        if field.kind == "image":
            return (*field.size[2:], *field.size[:2]) if field.size[2:] else (1, *field.size)
        if self._bounds(field) is None:
            raise ContractError(
                f"field {field.name!r} is a sequence without bounds",
                hint=f"declare bounds: [lowest, highest] under {field.name}",
            )
        return field.size

    def encode(self, field: Field, column: Array) -> Array:
        """Return float32 of (rows, *shape), 0 to 1."""
        numbers = self.numbers(field, column)
        if field.kind == "image":
            colours = math.prod(numbers.shape[3:])  # not -1: there may be no row
            numbers = numbers.reshape(*numbers.shape[:3], colours).transpose(0, 3, 1, 2)
        lower, upper = self._bounds(field) or (0.0, 1.0)
        scaled = (np.clip(numbers, lower, upper) - lower) / (upper - lower)
        missing = 0.0 if field.kind == "image" else 0.5
        return np.nan_to_num(scaled, nan=missing).astype(np.float32)

    def numbers(self, field: Field, column: Array) -> Array:
        """Return the column as one array (rows, *size); raise `DataError` if it is not one."""
        wanted = (len(column), *field.size)
        if column.dtype == object and all(isinstance(item, np.ndarray) for item in column):
            shapes = {item.shape for item in column}
            if shapes <= {tuple(field.size)}:
                column = np.stack(list(column)) if len(column) else np.empty(wanted)
        if column.dtype.kind not in "fiub" or column.shape != wanted:
            raise DataError(
                f"field {field.name!r} is a column of {column.dtype} {column.shape[1:]}, "
                f"expected a numeric array of {tuple(field.size)} in each row",
                hint="give the solution a FieldEncoder that reads files or uneven lengths",
            )
        return column.astype(np.float32 if column.dtype.itemsize <= 4 else np.float64)

    def counts(self, field: Field, column: Array) -> Counts:
        """Count the numbers that are missing or clipped."""
        return _count_numbers(self.numbers(field, column), *(self._bounds(field) or (0.0, 1.0)))

    def _bounds(self, field: Field) -> tuple[float, float] | None:
        return field.bounds or ((0.0, 255.0) if field.kind == "image" else None)


def encode_outside(field: Field, encoder: FieldEncoder, column: Array) -> Array:
    """Encode through a FieldEncoder, and hold it to its own promise of shape and finiteness."""
    encoded = np.asarray(encoder.encode(field, column), dtype=np.float32)
    wanted = (len(column), *encoder.shape(field))
    if encoded.shape != wanted:
        raise DataError(
            f"the encoder of field {field.name!r} gave shape {encoded.shape}, expected {wanted}"
        )
    if not np.isfinite(encoded).all():
        raise DataError(f"the encoder of field {field.name!r} gave numbers that are not finite")
    return encoded


def count_outside(field: Field, column: Array) -> Counts:
    """Count the rows of a column of another kind that hold nothing."""
    if column.dtype == object:
        missing = sum(item is None for item in column)
    elif column.dtype.kind in "fMm" and len(column):
        missing = int(np.isnat(column).sum() if column.dtype.kind in "Mm" else _empty(column).sum())
    else:
        missing = 0
    return Counts(rows=len(column), missing=missing)


def _empty(column: Array) -> Array:
    """Tell which rows hold nothing but NaN: (rows,)."""
    return np.asarray(np.isnan(column.reshape(len(column), -1)).all(axis=1))
