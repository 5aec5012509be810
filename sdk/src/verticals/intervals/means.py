"""Intervals for means, and for what is estimated like one: log loss, RMSE, calibration, kappa.

All allow `units`: the variance is then that between units (a linearised ratio, U − 1 degrees of
freedom), so that many rows of one person do not pass for many persons.
"""

from __future__ import annotations

import math

import numpy as np

from verticals.intervals.base import Interval, t_value, unmeasurable
from verticals.table import Array

LARGEST_SCORE = 1 - 1e-7  # probabilities are clipped to 1e-7 … here before a log-odds is taken
NEWTON_STEPS = 50


def mean(values: Array, *, units: Array | None = None, level: float = 0.95) -> Interval:
    """Compute a mean with its t-interval. Without any variation there are no limits."""
    values = np.asarray(values, dtype=float)
    method = "t, unit means" if units is not None else "t"
    if values.size == 0:
        return unmeasurable(method)
    centre = float(values.mean())
    error, count = standard_error((values - centre) / values.size, units)
    if not error > 0:
        return unmeasurable(method, n=values.size, estimate=centre)
    half = t_value(level, count - 1) * error
    return Interval(
        estimate=centre, lower=centre - half, upper=centre + half, n=values.size, method=method
    )


def mean_from_sums(total: float, squares: float, n: int, *, level: float = 0.95) -> Interval:
    """Compute a mean with its t-interval from n, the sum, and the sum of squares."""
    if n < 1:
        return unmeasurable("t")
    centre = total / n
    if n < 2:
        return unmeasurable("t", n=n, estimate=centre)
    variance = max(0.0, squares / n - centre**2) * n / (n - 1)
    half = t_value(level, n - 1) * math.sqrt(variance / n)
    return Interval(estimate=centre, lower=centre - half, upper=centre + half, n=n, method="t")


def root_mean(values: Array, *, units: Array | None = None, level: float = 0.95) -> Interval:
    """Compute the root of a mean of squares (RMSE from squared errors), limits likewise."""
    inner = mean(values, units=units, level=level)
    return inner.mapped(lambda value: math.sqrt(max(0.0, value)), f"root of: {inner.method}")


def standard_error(influence: Array, units: Array | None = None) -> tuple[float, int]:
    """Return the standard error from influence values (rows,) that sum to 0, and the units."""
    if units is not None:
        influence = np.bincount(np.unique(units, return_inverse=True)[1], influence)
    count = influence.size
    if count < 2:
        return 0.0, count
    return math.sqrt(count / (count - 1) * float((influence**2).sum())), count


def calibration_slope(
    scores: Array, labels: Array, *, units: Array | None = None, level: float = 0.95
) -> Interval:
    """Compute the slope of outcome on log-odds of the score; 1 is right, below 1 overconfident.

    Logistic regression with slope and intercept (Cox 1958), sandwich variance (Huber, White).
    """
    return _logistic(scores, labels, units, level, free_slope=True)


def calibration_intercept(
    scores: Array, labels: Array, *, units: Array | None = None, level: float = 0.95
) -> Interval:
    """Compute calibration in the large: the log-odds to add at slope 1; 0 is right.

    Above 0 the score is too low on average (Van Calster et al., BMC Medicine 17, 2019).
    """
    return _logistic(scores, labels, units, level, free_slope=False)


def weighted_kappa(
    first: Array,
    second: Array,
    *,
    levels: int,
    units: Array | None = None,
    level: float = 0.95,
) -> Interval:
    """Compute quadratic weighted kappa of two codings (rows,) of 0 … levels − 1; range −1..1.

    1 is perfect agreement, 0 is chance (Cohen 1968). Influence variance, on Fisher's z scale.
    """
    method = "influence variance, Fisher z" + (", clustered by unit" if units is not None else "")
    a, b = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    if a.size == 0:
        return unmeasurable(method)
    steps = np.arange(levels, dtype=float)
    weights = (steps[:, None] - steps[None, :]) ** 2  # (levels, levels)
    row, column = (np.bincount(code, minlength=levels) / code.size for code in (a, b))
    seen, chance = float(weights[a, b].mean()), float(row @ weights @ column)
    if chance <= 0:
        return unmeasurable(method, n=a.size)
    kappa = 1 - seen / chance
    drift = weights[a] @ column + weights[:, b].T @ row - 2 * chance
    influence = -((weights[a, b] - seen) * chance - seen * drift) / chance**2 / a.size
    error, count = standard_error(influence, units)
    if not error > 0 or not -1 < kappa < 1:
        return unmeasurable(method, n=a.size, estimate=kappa)
    half = t_value(level, count - 1) * error / (1 - kappa**2)
    return Interval(
        estimate=kappa,
        lower=math.tanh(math.atanh(kappa) - half),
        upper=math.tanh(math.atanh(kappa) + half),
        n=a.size,
        method=method,
    )


def _logistic(
    scores: Array, labels: Array, units: Array | None, level: float, *, free_slope: bool
) -> Interval:
    method = "logistic regression, sandwich" + (" by unit" if units is not None else "")
    clipped = np.clip(np.asarray(scores, dtype=float), 1 - LARGEST_SCORE, LARGEST_SCORE)
    logit = np.log(clipped / (1 - clipped))
    outcome = np.asarray(labels, dtype=float)
    lines = [np.ones(logit.size), logit] if free_slope else [np.ones(logit.size)]
    design = np.stack(lines, axis=1)  # (rows, 1 or 2)
    fitted = _newton(design, outcome, np.zeros(logit.size) if free_slope else logit)
    if fitted is None:
        return unmeasurable(method, n=outcome.size)
    coefficients, bread, residual = fitted
    influence = (design * residual[:, None]) @ bread  # (rows, 1 or 2)
    error, count = standard_error(influence[:, -1], units)
    estimate = float(coefficients[-1])
    if not error > 0:
        return unmeasurable(method, n=outcome.size, estimate=estimate)
    half = t_value(level, count - 1) * error
    return Interval(
        estimate=estimate,
        lower=estimate - half,
        upper=estimate + half,
        n=outcome.size,
        method=method,
    )


def _newton(design: Array, outcome: Array, offset: Array) -> tuple[Array, Array, Array] | None:
    """Return coefficients, inverse information and residuals, or None if there is no maximum.

    There is none for a single class or perfect separation, nor a slope for a constant score.
    """
    coefficients = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        # 30 log-odds differ from certainty by less than a rounding error can show.
        chance = 1 / (1 + np.exp(-np.clip(offset + design @ coefficients, -30, 30)))
        weight = chance * (1 - chance)
        information = (design * weight[:, None]).T @ design
        if not np.all(np.isfinite(information)) or np.linalg.cond(information) > 1e12:
            return None
        bread = np.linalg.inv(information)
        step = bread @ (design.T @ (outcome - chance))
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-10:
            return coefficients, bread, outcome - chance
    return None
