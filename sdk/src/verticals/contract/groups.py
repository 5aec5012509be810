"""The groups of an audited field: their names, their order, and who is in which."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from verticals.contract.model import Field
from verticals.contract.rules import plain_number
from verticals.errors import ContractError
from verticals.table import Array

OTHER = "other"


def value_labels(field: Field) -> tuple[str, ...]:
    """Return what people read for each of `field.values`, in the same order."""
    return (field.kind == "categorical" and field.category_labels) or field.values


def group_labels(field: Field) -> tuple[str, ...]:
    """Return the groups of an audited field in the order in which they are shown.

    Bands [25, 40] give "<25", "25–39", ">=40"; bands that are not whole numbers give
    "[0.5, 1.5)". Categories give their labels, then "other" for values that nobody declared;
    levels likewise; boolean gives "no", "yes".

    Raises `ContractError` for a kind that has no groups, and for a number without bands.
    """
    if field.kind == "boolean":
        return ("no", "yes")
    if field.kind == "numeric" and field.bands:
        return _bands(field.bands)
    if field.kind in ("categorical", "ordinal"):
        labels = value_labels(field)
        return labels if OTHER in labels else (*labels, OTHER)
    missing = "numeric without bands" if field.kind == "numeric" else field.kind
    raise ContractError(
        f"field {field.name!r} is {missing}, which has no groups",
        hint="declare bands, or audit a categorical, boolean or ordinal field",
    )


def group_of(field: Field, column: Array) -> Array:
    """Return (rows,) group labels of a bound column as an object array; "" where missing.

    `column` is the field's column of the table that `bind` returns.
    """
    labels = group_labels(field)
    if field.kind == "numeric":
        codes = np.searchsorted(np.asarray(field.bands), column, side="right")
        codes = np.where(np.isnan(column), -1, codes)
    elif field.kind == "boolean":
        codes = np.where(np.isnan(column), -1, column == 1)
    else:
        other = labels.index(OTHER)
        codes = np.where(column >= len(field.values), other, column)
    names = np.array([*labels, ""], dtype=object)  # code -1 is the last one
    groups: Array = names[codes.astype(np.intp)]
    return groups


def _bands(bands: Sequence[float]) -> tuple[str, ...]:
    edges = [plain_number(edge) for edge in bands]
    if all(float(edge).is_integer() for edge in bands):
        inner = [_whole(int(left), int(right) - 1) for left, right in pairwise(bands)]
    else:
        inner = [f"[{left}, {right})" for left, right in pairwise(edges)]
    return (f"<{edges[0]}", *inner, f">={edges[-1]}")


def _whole(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"
