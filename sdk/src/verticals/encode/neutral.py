"""The middle of a field, by its declaration: where attributions begin, and where the missing are.

A missing or undeclared value stands at the mean encoding of the values that the declaration
spreads the field over, and a flag of its own says how far it lies from there. Where training held
no such value the flag says nothing, so the value adds what the background adds: no more, no less.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verticals.contract.model import Field
from verticals.errors import ContractError
from verticals.table import Array


def declared_values(item: Field, edges: Sequence[float]) -> tuple[Array, Array]:
    """Return bound values and weights (sum 1) over which the declaration spreads a tabular field.

    A field's `background` (value: weight) where the contract has one. Else a numeric field is
    spread evenly over its bins (their middles), any other over its declared values.

    Raises `ContractError` where a declared background names no value of the field, or weights
    that are negative or all zero.
    """
    if item.background:
        weight = np.array([float(value) for value in item.background.values()])
        if not np.all(np.isfinite(weight)) or weight.min() < 0 or weight.sum() <= 0:
            raise ContractError(
                f"field {item.name!r}: background weights must be finite, not negative and not "
                "all zero",
                hint="verticals contract check CONTRACT --data DATA",
            )
        codes = [_bound_value(item, text) for text in item.background]
        return np.array(codes, dtype=_dtype(item)), weight / weight.sum()
    if item.kind == "numeric":
        points = np.asarray(edges if len(edges) > 1 else (item.bounds or (0.0, 1.0)), dtype=float)
        values = (points[:-1] + points[1:]) / 2.0
    else:
        count = 2 if item.kind == "boolean" else len(item.values)
        values = np.arange(count).astype(_dtype(item))
    return values, np.full(len(values), 1.0 / len(values))


def _dtype(item: Field) -> type:
    return np.int32 if item.kind in ("categorical", "ordinal") else np.float64


def _bound_value(item: Field, text: str) -> float:
    """Turn a declared background value into its bound form."""
    if item.kind in ("categorical", "ordinal"):
        if text not in item.values:
            raise ContractError(
                f"field {item.name!r}: background value {text!r} is not among {list(item.values)}",
                hint="verticals contract check CONTRACT --data DATA",
            )
        return item.values.index(text)
    named = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
    try:
        return named[text] if text in named else float(text)
    except ValueError:
        raise ContractError(
            f"field {item.name!r}: background value {text!r} is not a number",
            hint="verticals contract check CONTRACT --data DATA",
        ) from None
