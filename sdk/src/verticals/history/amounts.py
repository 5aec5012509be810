"""Amounts in minor and major units: the float operations that batch and stream share."""

from __future__ import annotations

import numpy as np

from verticals.contract.model import MISSING_AMOUNT
from verticals.table import Array


def known_amounts(amount: Array) -> tuple[Array, Array]:
    """Return amounts with 0 for the missing ones, and which are known."""
    known = amount != MISSING_AMOUNT
    return np.where(known, amount, 0), known


def major(amount: Array, scale: float) -> Array:
    """Return amounts in major units, NaN where missing."""
    return np.where(amount == MISSING_AMOUNT, np.nan, amount.astype(np.float64) / scale)


def quotient(part: Array, whole: Array) -> Array:
    """Divide, NaN where the whole is 0: undefined is not zero."""
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole != 0))


def log_amounts(amount: Array, scale: float) -> Array:
    """Return log(1 + amount in major units), NaN where missing; money back counts as none."""
    return np.asarray(np.log1p(np.maximum(major(amount, scale), 0.0)))


def log_seconds(span: Array) -> Array:
    """Return log(1 + seconds) of spans in µs."""
    return np.asarray(np.log1p(span.astype(np.float64) / 1e6))
