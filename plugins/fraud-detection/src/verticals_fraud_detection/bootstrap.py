"""Intervals by resampling customers: their events are not independent of one another.

All policies of a replay share the same resamples, so that their differences have intervals too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verticals.intervals import wilson
from verticals.table import Array

REPLICATES = 1000
LEVEL = 0.95

_CHUNK = 2_000_000  # weights that are held at once


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """Hold resampled sums of one policy by name, and the resampled denominators.

    `usable` is False where the data hold too few frauds: then there are estimates and no limits.
    """

    sums: dict[str, Array]  # name -> (replicates,)
    frauds: Array  # (replicates,)
    customers: Array
    value: Array
    usable: bool

    def total(self, name: str, estimate: int) -> dict[str, int | None]:
        """Return a sum with its limits, in whole units."""
        lower, upper = limits(self.sums[name]) if self.usable else (None, None)
        return {"estimate": estimate, "lower": _whole(lower), "upper": _whole(upper)}

    def share(self, name: str, part: int, whole: int) -> dict[str, float | None]:
        """Return a share with its limits; `name` is "caught" (of frauds) or "disturbed"."""
        estimate = part / whole if whole else None
        lower = upper = None
        if estimate in (0.0, 1.0) and self.usable:
            # Every resample agrees then, which is no certainty: fall back on Wilson's interval.
            found = wilson(part, whole, level=LEVEL)
            lower, upper = found.lower, found.upper
        elif estimate is not None and self.usable:
            below = self.frauds if name == "caught" else self.customers
            lower, upper = limits(_ratio(self.sums[name], below))
        return {"estimate": estimate, "lower": lower, "upper": upper}

    def value_share(self, estimate: float | None) -> dict[str, float | None]:
        """Return the share of the frauds' value that was stopped, with its limits."""
        lower = upper = None
        if estimate is not None and self.usable:
            lower, upper = limits(_ratio(self.sums["value"], self.value))
        return {"estimate": estimate, "lower": lower, "upper": upper}


def resample(sums: Array, *, seed: int, replicates: int = REPLICATES) -> Array:
    """Return sums over customers drawn with replacement: (replicates, columns).

    `sums` is (customers, columns). Customers with equal sums are drawn together (the multinomial
    over distinct rows is that over customers, summed), which makes most of them one cell.
    """
    cells, counts = np.unique(sums, axis=0, return_counts=True)
    total = int(counts.sum())
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // counts.size)
    pieces = []
    for first in range(0, replicates, step):
        size = min(step, replicates - first)
        pieces.append(rng.multinomial(total, counts / total, size=size) @ cells)
    return np.concatenate(pieces)


def limits(values: Array) -> tuple[float | None, float | None]:
    """Return the percentile limits of resampled values; None where they do not vary."""
    known = values[np.isfinite(values)]
    if known.size == 0 or known.min() == known.max():
        return None, None
    edge = (1.0 - LEVEL) / 2
    lower, upper = np.quantile(known, [edge, 1.0 - edge])
    return float(lower), float(upper)


def stack(columns: Sequence[Array]) -> Array:
    """Return columns and blocks side by side as float64: (customers, columns)."""
    return np.column_stack(columns).astype(np.float64)


def _ratio(part: Array, whole: Array) -> Array:
    safe = np.where(whole > 0, whole, 1.0)
    return np.where(whole > 0, part / safe, np.nan)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
