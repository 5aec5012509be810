"""Intervals for one rate, from independent rows or from rows that come in units.

Rows of one person are not independent. All intervals here take a *design effect* (Kish 1965):
the factor by which that inflates the variance. They then use n / design effect rows.
"""

from __future__ import annotations

import math

import numpy as np

from verticals.intervals.base import Interval, one_sided_error, t_value, unmeasurable, z_value
from verticals.table import Array


def wilson(
    successes: float,
    n: float,
    *,
    level: float = 0.95,
    z: float | None = None,
    design_effect: float = 1.0,
) -> Interval:
    """Compute the score interval of a rate (Wilson, JASA 22, 1927), within 0..1.

    `z` replaces the normal quantile of `level`. An empty denominator gives no estimate.

    >>> interval = wilson(81, 263)
    >>> round(interval.lower, 4), round(interval.upper, 4)
    (0.2553, 0.3662)
    """
    method = "Wilson score" + _clustered(design_effect)
    if n <= 0:
        return unmeasurable(method)
    z = z_value(level) if z is None else z
    size = n / design_effect
    rate = successes / n
    centre = (rate + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * math.sqrt(rate * (1 - rate) / size + (z / (2 * size)) ** 2)
    return Interval(
        estimate=rate,
        lower=0.0 if successes <= 0 else max(0.0, centre - half),
        upper=1.0 if successes >= n else min(1.0, centre + half),
        n=round(n),
        method=method,
    )


def exact(
    successes: float,
    n: float,
    *,
    level: float = 0.95,
    z: float | None = None,
    design_effect: float = 1.0,
) -> Interval:
    """Compute the exact interval of a rate (Clopper and Pearson, Biometrika 26, 1934).

    >>> round(exact(0, 30).upper, 4)
    0.1157
    """
    method = "Clopper–Pearson exact" + _clustered(design_effect)
    if n <= 0:
        return unmeasurable(method)
    z = z_value(level) if z is None else z
    lower, upper = exact_limits(np.asarray(successes), np.asarray(n), z, design_effect)
    return Interval(
        estimate=successes / n, lower=float(lower), upper=float(upper), n=round(n), method=method
    )


def exact_limits(
    successes: Array, totals: Array, z: float, design_effects: Array | float = 1.0
) -> tuple[Array, Array]:
    """Return Clopper–Pearson limits, one-sided error as of `z` in each tail; shapes broadcast.

    The limits are quantiles of beta distributions, which also holds for the fractional counts
    that a design effect leaves (Korn and Graubard, Survey Methodology 24, 1998).
    """
    from scipy import special

    x, n = np.broadcast_arrays(
        np.asarray(successes, dtype=float) / design_effects,
        np.asarray(totals, dtype=float) / design_effects,
    )
    error = one_sided_error(z)
    none, every = x <= 0, x >= n
    lower = special.betaincinv(np.where(none, 1.0, x), np.maximum(n - x, 0) + 1, error)
    upper = special.betaincinv(np.maximum(x, 0) + 1, np.where(every, 1.0, n - x), 1 - error)
    return np.where(none, 0.0, lower), np.where(every, 1.0, upper)


def design_effect(values: Array, units: Array, *, level: float = 0.95) -> float:
    """Estimate the design effect of a rate from 0/1 `values` whose rows come in `units`.

    The variance between units (linearised ratio, U − 1 degrees of freedom) over the binomial one,
    times the squared ratio of the t to the normal quantile (Korn and Graubard 1998). Never below
    1. Where all values agree nothing can be estimated, and units count as single observations.
    """
    values = np.asarray(values, dtype=float)
    n = values.size
    codes = np.unique(units, return_inverse=True)[1]
    sizes = np.bincount(codes).astype(float)  # (units,)
    if n == 0 or sizes.size == n:
        return 1.0
    if sizes.size == 1:
        return float(n)
    rate = float(values.mean())
    if rate in (0.0, 1.0):
        return float((sizes**2).sum() / n)
    deviations = np.bincount(codes, weights=values) - rate * sizes
    between = sizes.size / (sizes.size - 1) * float((deviations**2).sum()) / n**2
    effect = max(1.0, between * n / (rate * (1 - rate)))
    return float(effect * (t_value(level, sizes.size - 1) / z_value(level)) ** 2)


def _clustered(design_effect: float) -> str:
    return "" if design_effect == 1.0 else f", design effect {design_effect:.2f}"
