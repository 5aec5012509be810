"""Intervals for the gap between groups that cover, the case of no gap included.

The largest difference between k groups, max − min, is never negative and sits above its true
value, so a percentile bootstrap of it never reaches zero. Here every pair of groups gets an
interval, all pairs holding at once, and the largest difference inherits its limits from them:
where all pairs are covered, max over pairs of the lower limits ≤ max − min ≤ max over pairs of the
upper limits. When every pair's interval holds zero, the lower limit is zero.

A pair's interval is MOVER (Newcombe, Statistics in Medicine 17, 1998; Zou and Donner 2008), the
ratio's too (Donner and Zou 2012), built from Clopper–Pearson limits of both rates: with Wilson
limits coverage falls to 93 % at small or very unequal groups. The measurements are in
`docs/decisions/0003-intervals-for-disparities.md`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from verticals.intervals.base import Interval, simultaneous_z, t_value, tidy, unmeasurable
from verticals.intervals.rates import exact_limits
from verticals.table import Array

DIFFERENCE_METHOD = "MOVER from Clopper–Pearson limits"
RATIO_METHOD = "MOVER-R from Clopper–Pearson limits"
MEAN_METHOD = "Welch t"


def difference(
    first: tuple[float, float],
    second: tuple[float, float],
    *,
    level: float = 0.95,
    design_effects: tuple[float, float] = (1.0, 1.0),
) -> Interval:
    """Compute rate(first) − rate(second), each given as (successes, total); range −1..1."""
    x, n = np.array([first, second], dtype=float).T
    if n.min() <= 0:
        return unmeasurable(DIFFERENCE_METHOD, n=round(n.sum()))
    limits = exact_limits(x, n, simultaneous_z(level, 2), np.asarray(design_effects))
    centre, lower, upper = _pair_differences(x / n, *limits)
    return Interval(
        estimate=float(centre[0, 1]),
        lower=float(lower[0, 1]),
        upper=float(upper[0, 1]),
        n=round(n.sum()),
        method=DIFFERENCE_METHOD,
    )


def ratio(
    first: tuple[float, float],
    second: tuple[float, float],
    *,
    level: float = 0.95,
    design_effects: tuple[float, float] = (1.0, 1.0),
) -> Interval:
    """Compute rate(first) / rate(second), each given as (successes, total).

    The upper limit is None where it is unbounded: the second rate may be zero.
    """
    x, n = np.array([first, second], dtype=float).T
    if n.min() <= 0 or x[1] <= 0:
        return unmeasurable(RATIO_METHOD, n=round(n.sum()))
    limits = exact_limits(x, n, simultaneous_z(level, 2), np.asarray(design_effects))
    lower, upper = _pair_ratios(x / n, *limits)
    return Interval(
        estimate=float((x[0] / n[0]) / (x[1] / n[1])),
        lower=float(lower[0, 1]),
        upper=tidy(upper[0, 1]),
        n=round(n.sum()),
        method=RATIO_METHOD,
    )


def disparity_difference(
    successes: Sequence[float] | Array,
    totals: Sequence[float] | Array,
    *,
    level: float = 0.95,
    design_effects: Sequence[float] | Array | None = None,
    offsets: Sequence[float] | Array | None = None,
) -> Interval:
    """Compute max − min of the rates of k groups, with an interval that covers; range 0..1.

    `offsets` are known numbers taken from each rate first: with a group's mean predicted
    probability, the disparity is that of the calibration gap, given the scores (a sum of unequal
    Bernoulli draws varies less than a binomial one; Hoeffding 1956).

    >>> even = disparity_difference([10, 12], [100, 100])
    >>> round(even.estimate, 3), even.lower, round(even.upper, 3)
    (0.02, 0.0, 0.115)
    """
    x, n, effects, method = _groups(successes, totals, design_effects, DIFFERENCE_METHOD)
    if x.size < 2 or n.min() <= 0:
        return unmeasurable(method, n=round(n.sum()))
    shift = np.zeros(x.size) if offsets is None else np.asarray(offsets, dtype=float)
    z = simultaneous_z(level, x.size)
    estimate, lower, upper = difference_bounds(x, n, z, effects, shift)
    return Interval(
        estimate=float(estimate),
        lower=float(lower),
        upper=float(upper),
        n=round(n.sum()),
        method=method,
    )


def disparity_ratio(
    successes: Sequence[float] | Array,
    totals: Sequence[float] | Array,
    *,
    level: float = 0.95,
    design_effects: Sequence[float] | Array | None = None,
) -> Interval:
    """Compute min / max of the rates of k groups, with an interval that covers; range 0..1.

    1 means equal rates; below .8 is what the four-fifths rule calls evidence of adverse impact
    (29 CFR 1607.4 D). No estimate where every rate is zero.

    >>> even = disparity_ratio([80, 78], [100, 100])
    >>> round(even.estimate, 3), round(even.lower, 3), even.upper
    (0.975, 0.835, 1.0)
    """
    x, n, effects, method = _groups(successes, totals, design_effects, RATIO_METHOD)
    if x.size < 2 or n.min() <= 0 or x.max() <= 0:
        return unmeasurable(method, n=round(n.sum()))
    estimate, lower, upper = ratio_bounds(x, n, simultaneous_z(level, x.size), effects)
    return Interval(
        estimate=float(estimate),
        lower=float(lower),
        upper=float(upper),
        n=round(n.sum()),
        method=method,
    )


def mean_disparity(
    means: Sequence[float] | Array,
    standard_errors: Sequence[float] | Array,
    sizes: Sequence[int] | Array,
    *,
    level: float = 0.95,
) -> Interval:
    """Compute max − min of k means, from their standard errors and numbers of units.

    Every pair has Welch's degrees of freedom and Bonferroni's share of the error.
    """
    m = np.asarray(means, dtype=float)
    v = np.asarray(standard_errors, dtype=float) ** 2
    n = np.asarray(sizes, dtype=float)
    method = _named(MEAN_METHOD, m.size)
    if m.size < 2 or n.min() < 2 or not np.all(v > 0):
        return unmeasurable(method, n=round(n.sum()))
    each = 1 - (1 - level) / (m.size * (m.size - 1) / 2)
    lower, upper = 0.0, 0.0
    for i in range(m.size):
        for j in range(i):
            df = (v[i] + v[j]) ** 2 / (v[i] ** 2 / (n[i] - 1) + v[j] ** 2 / (n[j] - 1))
            half = t_value(each, df) * math.sqrt(v[i] + v[j])
            lower = max(lower, abs(m[i] - m[j]) - half)
            upper = max(upper, abs(m[i] - m[j]) + half)
    return Interval(
        estimate=float(m.max() - m.min()),
        lower=float(lower),
        upper=float(upper),
        n=round(n.sum()),
        method=method,
    )


def difference_bounds(
    successes: Array,
    totals: Array,
    z: float,
    design_effects: Array | float = 1.0,
    offsets: Array | float = 0.0,
) -> tuple[Array, Array, Array]:
    """Return estimate, lower and upper of max − min over the last axis, at a given quantile."""
    lower, upper = exact_limits(successes, totals, z, design_effects)
    rates = np.asarray(successes) / totals
    centre, low, high = _pair_differences(rates, lower, upper, np.asarray(offsets, dtype=float))
    # The diagonal of a pair with itself is zero, so the maximum is never negative.
    return centre.max((-1, -2)), np.maximum(low.max((-1, -2)), 0), high.max((-1, -2))


def ratio_bounds(
    successes: Array, totals: Array, z: float, design_effects: Array | float = 1.0
) -> tuple[Array, Array, Array]:
    """Return estimate, lower and upper of min / max over the last axis, at a given quantile.

    The estimate is NaN where every rate is zero; the limits are then 0 and 1.
    """
    lower, upper = exact_limits(successes, totals, z, design_effects)
    rates = np.asarray(successes) / totals
    low, high = _pair_ratios(rates, lower, upper)
    largest = rates.max(-1)
    estimate = np.where(largest > 0, rates.min(-1) / np.where(largest > 0, largest, 1), np.nan)
    diagonal = np.eye(rates.shape[-1], dtype=bool)
    low = np.where(diagonal, 1.0, low).min((-1, -2))
    high = np.where(diagonal, 1.0, high).min((-1, -2))
    return estimate, np.clip(low, 0, 1), np.clip(high, 0, 1)


def _pair_differences(
    rates: Array, lower: Array, upper: Array, offsets: Array | float = 0.0
) -> tuple[Array, Array, Array]:
    """Return rate i − rate j with MOVER limits, for all pairs: three arrays (..., k, k)."""
    shifted = rates - offsets
    centre = shifted[..., :, None] - shifted[..., None, :]
    below, above = rates - lower, upper - rates  # (..., k)
    low = centre - np.hypot(below[..., :, None], above[..., None, :])
    high = centre + np.hypot(above[..., :, None], below[..., None, :])
    return centre, low, high


def _pair_ratios(rates: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Return MOVER-R limits of rate i / rate j, for all pairs: two arrays (..., k, k).

    A limit r solves (a − r b)² = (a's distance to its limit)² + r² (b's distance to its other
    limit)². Both roots are written so that nothing cancels; the upper one is infinite where
    b's lower limit is zero.
    """
    product = rates[..., :, None] * rates[..., None, :]
    head = (lower * (2 * rates - lower))[..., :, None]
    foot = (upper * (2 * rates - upper))[..., None, :]
    base = product + np.sqrt(np.maximum(product**2 - head * foot, 0))
    low = np.where(base > 0, head / np.where(base > 0, base, 1), 0.0)
    head = (upper * (2 * rates - upper))[..., :, None]
    foot = (lower * (2 * rates - lower))[..., None, :]
    top = product + np.sqrt(np.maximum(product**2 - head * foot, 0))
    with np.errstate(over="ignore"):  # a rate that is all but zero bounds nothing
        high = np.where(foot > 0, top / np.where(foot > 0, foot, 1), np.inf)
    return low, high


def _groups(
    successes: Sequence[float] | Array,
    totals: Sequence[float] | Array,
    design_effects: Sequence[float] | Array | None,
    method: str,
) -> tuple[Array, Array, Array, str]:
    x, n = np.asarray(successes, dtype=float), np.asarray(totals, dtype=float)
    effects = np.ones(x.size) if design_effects is None else np.asarray(design_effects, dtype=float)
    clustered = ", design effects by unit" if np.any(effects != 1) else ""
    return x, n, effects, _named(method, x.size) + clustered


def _named(method: str, groups: int) -> str:
    return method + (f", simultaneous over {groups} groups" if groups > 2 else "")
