"""The interval of a population stability index, which chance alone lifts above 0."""

from __future__ import annotations

import math

import numpy as np

from verticals.intervals.base import Interval, unmeasurable
from verticals.metrics import psi
from verticals.table import Array


def stability(
    expected_counts: Array,
    actual_counts: Array,
    *,
    design_effects: tuple[float, float] = (1.0, 1.0),
    level: float = 0.95,
) -> Interval:
    """Compute the population stability index of two sets of counts (`verticals.metrics.psi`).

    Where both come from one population, index × n m / (n + m) is close to chi-square with
    bins − 1 degrees of freedom (Yurdakul & Naranjo, J. Risk Model Validation 14, 2020); the
    non-central chi-square is inverted. Chance alone gives an index of (bins − 1) (n + m) / (n m); a
    smaller one is luck and no proof of stability, so that it has the upper limit of that index.
    With many bins even that limit lies below the index, and what chance gives is added to it.
    Design effects divide n and m (Rao & Scott 1981). No estimate where a side is empty, fewer than
    two bins are used, or a count is withheld (below 0).

    >>> found = stability(np.array([500, 500]), np.array([250, 750]))
    >>> round(found.estimate, 3), round(found.lower, 3), round(found.upper, 3)
    (0.275, 0.19, 0.374)
    """
    first, second = (np.asarray(side, dtype=float) for side in (expected_counts, actual_counts))
    n = int(np.maximum(second, 0).sum())
    if min(first.min(initial=0), second.min(initial=0)) < 0:
        return unmeasurable("not measured: small counts are withheld")
    bins = int((first + second > 0).sum())
    if first.sum() <= 0 or second.sum() <= 0 or bins < 2:
        return unmeasurable("not measured: an empty part, or a single bin", n=n)
    index = psi(first, second)
    sizes = [
        float(side.sum()) / by for side, by in zip((first, second), design_effects, strict=True)
    ]
    scale, freedom = sizes[0] * sizes[1] / (sizes[0] + sizes[1]), bins - 1
    beyond = (1 - level) / 2
    lower = _shift(index * scale, freedom, 1 - beyond) / scale
    upper = _shift(max(index * scale, freedom), freedom, beyond) / scale
    upper += freedom / scale if upper <= index else 0.0
    return Interval(
        estimate=index,
        lower=min(lower, index),
        upper=upper,
        n=n,
        method=f"inverted chi-square; chance alone gives about {freedom / scale:.2g}",
    )


def _shift(seen: float, freedom: int, below: float) -> float:
    """Return the non-centrality at which a share `below` of chi-square lies under `seen`, or 0."""
    from scipy.optimize import brentq
    from scipy.stats import chi2, ncx2

    if chi2.cdf(seen, freedom) <= below:
        return 0.0
    high = seen + 40 * math.sqrt(seen) + 400
    return float(brentq(lambda at: ncx2.cdf(seen, freedom, at) - below, 1e-12, high))
