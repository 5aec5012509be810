"""The text by which values are compared, whatever type a file or a frame gave them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from verticals.table import Array

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_WORDS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false", "-0": "0"}


def canonical(value: object) -> str:
    """Return the text of one value; empty text means missing.

    `1`, `1.0`, `"1"` and `"1.0"` give `"1"`, `True` gives `"true"`, text is stripped, and None,
    NaN and blank text give `""`. Text with a leading zero stays as it is: it is a code.

    >>> [canonical(value) for value in (1, 1.0, " 1.0", "01", True, 0.50, None)]
    ['1', '1', '1', '01', 'true', '0.5', '']
    """
    if value is None:
        return ""
    if isinstance(value, np.generic):
        # `str` of a narrow float is its shortest text: 0.1, and not 0.10000000149.
        value = float(str(value)) if isinstance(value, np.floating) else value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _of_float(value)
    return _of_text(str(value))


def _of_float(value: float) -> str:
    if value != value:
        return ""
    if value in (float("inf"), float("-inf")):
        return str(value)
    if value.is_integer():
        return str(int(value))
    return format(Decimal(repr(value)), "f")  # 0.00001, and not 1e-05


def _of_text(text: str) -> str:
    text = text.strip()
    if "." in text and _DECIMAL.fullmatch(text):
        text = text.rstrip("0").rstrip(".")
    return _WORDS.get(text, text)


def factorise(column: Array) -> tuple[Array, list[Any]]:
    """Return (rows,) integer codes and the distinct values that they stand for, as Python values.

    Work on the distinct values is what keeps a check of a million rows within seconds.
    """
    if column.dtype.kind in "biuf":
        unique, codes = np.unique(column, return_inverse=True)
        if column.dtype.kind == "f" and column.dtype.itemsize < 8:
            return codes.reshape(-1), [float(str(value)) for value in unique]
        return codes.reshape(-1), unique.tolist()
    if column.dtype.kind == "M":
        column = column.astype("datetime64[us]")
    cells = column.tolist()
    if {bool, int} <= (kinds := set(map(type, cells))) or {bool, float} <= kinds:
        # Python holds True == 1, and a dictionary would merge the two.
        cells = [canonical(cell) if isinstance(cell, bool) else cell for cell in cells]
    try:
        return _number(cells)
    except TypeError:  # lists and arrays have no hash
        return _number([str(cell) for cell in cells])


def _number(cells: Sequence[Any]) -> tuple[Array, list[Any]]:
    order: dict[Any, int] = {}
    codes = np.fromiter((order.setdefault(cell, len(order)) for cell in cells), np.intp, len(cells))
    return codes, list(order)


def coded(column: Array) -> tuple[Array, list[str]]:
    """Return (rows,) integer codes and the canonical text of each code; texts may repeat."""
    codes, values = factorise(column)
    write = str if column.dtype.kind in "iu" else canonical
    return codes, list(map(write, values))
