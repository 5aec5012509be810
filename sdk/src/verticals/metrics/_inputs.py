"""Check and align the arrays that every metric takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from verticals.errors import DataError
from verticals.table import Array

UNDEFINED = float("nan")


def aligned(
    target: Any, other: Any, weights: Any = None, *, name: str = "score"
) -> tuple[Array, Array, Array]:
    """Return float64 target, other and weights, without rows that have no target or no weight.

    All are (rows,). NaN in the other array stays, so that a missing score makes a metric undefined
    and is not passed over. Raises `DataError` for arrays of other shapes or negative weights.
    """
    first, second = _flat(target, "target"), _flat(other, name)
    weight = np.ones(len(first)) if weights is None else _flat(weights, "weights")
    for array, called in ((second, name), (weight, "weights")):
        if len(array) != len(first):
            raise DataError(f"{called} has {len(array)} rows, expected {len(first)} as in target")
    if not ((weight >= 0) & np.isfinite(weight)).all():
        raise DataError("weights hold a negative or non-finite number, expected 0 or more")
    known = ~np.isnan(first) & (weight > 0)
    return first[known], second[known], weight[known]


def binary(target: Any, other: Any, weights: Any = None, *, name: str = "score") -> Any:
    """Do as `aligned`, and raise `DataError` for a target other than 0, 1 and NaN."""
    found = aligned(target, other, weights, name=name)
    zero_or_one(found[0], "target")
    return found


def probabilities(target: Any, score: Any, weights: Any = None) -> tuple[Array, Array, Array]:
    """Do as `binary`, and raise `DataError` for a score outside 0..1."""
    first, second, weight = binary(target, score, weights)
    if second.size and (np.nanmin(second, initial=0) < 0 or np.nanmax(second, initial=1) > 1):
        raise DataError(
            f"score runs from {np.nanmin(second):g} to {np.nanmax(second):g}, expected 0..1"
        )
    return first, second, weight


def zero_or_one(array: Array, name: str) -> None:
    """Raise `DataError` for a number other than 0, 1 and NaN."""
    if not (np.isin(array, (0.0, 1.0)) | np.isnan(array)).all():
        raise DataError(f"{name} holds a value other than 0 and 1, expected 0, 1 or NaN")


def mean(values: Array, weight: Array) -> float:
    """Return the weighted mean, NaN where nothing is weighed."""
    total = weight.sum()
    return float((values * weight).sum() / total) if total > 0 else UNDEFINED


def _flat(values: Any, name: str) -> Array:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} holds what is no number, expected one number a row") from None
    if array.ndim != 1:
        raise DataError(f"{name} has {array.ndim} axes, expected one number a row")
    return array
