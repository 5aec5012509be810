"""What a check says of data that fit the contract, and are still not what anybody means."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from verticals.api.acceptance import Held
from verticals.contract import MISSING, DataContract, Field, Note
from verticals.contract.guess_target import thin_target
from verticals.contract.notation import notation_of
from verticals.table import Array, Table

_MOST = 0.5  # share of rows with an undeclared value, from which the declaration is likely wrong


def remarks(held: Held) -> tuple[Note, ...]:
    """Return notes on fields without any value, on undeclared values throughout, and thin targets.

    Texts of columns that the contract leaves out are looked at, too: numbers in another notation
    may be meant to be read.
    """
    return (
        *_fields(held.contract, held.bound.table),
        *_targets(held.contract, held.bound.table),
        *_left_out(held),
    )


def _fields(contract: DataContract, table: Table) -> Iterator[Note]:
    for field in contract.fields:
        if field.role == "ignore" or field.name not in table or not table.rows:
            continue
        column = table[field.name]
        column = column.reshape(len(column), -1) if column.dtype.kind in "if" else column
        where = field.column or ", ".join(field.columns)
        if bool(_missing(field, column).all()):
            message = f"WARNING: {field.name} has no value in any row, so nothing is read from it"
            yield Note(kind="empty", column=where, count=0, message=message)
        elif field.kind in ("categorical", "ordinal"):
            odd = (column == len(field.values)).mean()
            if odd > _MOST:
                shown = ", ".join(field.values[:5])
                message = (
                    f"WARNING: {odd:.0%} of the values are not declared, and count as one unknown "
                    f"value; declared are {shown}: are they written in another way (upper case, "
                    "codes)?"
                )
                yield Note(kind="undeclared", column=where, count=0, message=message)


def _missing(field: Field, column: Array) -> Array:
    if field.kind in ("categorical", "ordinal"):
        return np.asarray(column == MISSING)
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind == "M":
        return np.isnat(column)
    if column.dtype.kind == "O":
        return np.array([cell is None for cell in column], dtype=bool)
    return np.zeros(len(column), dtype=bool)


def _targets(contract: DataContract, table: Table) -> Iterator[Note]:
    for target in contract.targets:
        if target.name not in table:
            continue
        numbers = np.asarray(table[target.name], dtype=np.float64)
        binary = target.kind == "binary"
        values = (target.negative or "another", target.positive) if binary else target.values
        codes = np.where(np.isnan(numbers), -1, 0 if target.kind == "numeric" else numbers)
        if thin := thin_target(values, codes, target.column, target.kind):
            yield Note(kind="thin", column="", count=0, message=thin)


def _left_out(held: Held) -> Iterator[Note]:
    for field in held.contract.fields:
        column = held.raw.get(field.column) if field.column else None
        if field.role != "ignore" or column is None or column.dtype.kind != "O":
            continue
        texts = dict.fromkeys(cell for cell in column[:2_000].tolist() if isinstance(cell, str))
        if notation := notation_of(texts):
            message = f"is left out of the model, and {notation.text}"
            yield Note(kind="notation", column=field.column, count=0, message=message)
