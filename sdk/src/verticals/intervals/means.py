"""Intervals for means, and for what is estimated like one: log loss, RMSE, calibration, kappa.

All allow `units`: the variance is then that between units (a linearised ratio, U − 1 degrees of
freedom), so that many rows of one person do not pass for many persons.
"""

from __future__ import annotations

import math

import numpy as np

from verticals.intervals.base import Interval, t_value, unmeasurable
from verticals.metrics import calibration_slope_intercept
from verticals.table import Array


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

    Logistic regression with slope and intercept (Cox 1958; the estimate is that of
    `verticals.metrics.calibration_slope_intercept`), sandwich variance (Huber, White).
    """
    method = "logistic regression, sandwich" + (" by unit" if units is not None else "")
    outcome = np.asarray(labels, dtype=float)
    slope, intercept = calibration_slope_intercept(outcome, scores)
    if not math.isfinite(slope):
        return unmeasurable(method, n=outcome.size)
    odds = _log_odds(scores)
    chance = _logistic(intercept + slope * odds)
    design = np.stack([np.ones(odds.size), odds], axis=1)  # (rows, 2)
    information = (design * (chance * (1 - chance))[:, None]).T @ design
    influence = (design * (outcome - chance)[:, None]) @ np.linalg.inv(information)  # (rows, 2)
    return _around(slope, influence[:, 1], units, level, method)


def calibration_intercept(
    scores: Array, labels: Array, *, units: Array | None = None, level: float = 0.95
) -> Interval:
    """Compute calibration in the large: the log-odds to add at slope 1; 0 is right.

    Above 0 the score is too low on average (Van Calster et al., BMC Medicine 17, 2019). Sandwich
    variance. There is no estimate where all outcomes agree.
    """
    method = "logistic regression at slope 1, sandwich" + (" by unit" if units is not None else "")
    outcome = np.asarray(labels, dtype=float)
    if outcome.size == 0 or outcome.min() == outcome.max():
        return unmeasurable(method, n=outcome.size)
    odds = _log_odds(scores)
    low, high = -100.0, 100.0  # beyond what the log-odds of a double can differ by
    for _ in range(100):
        middle = (low + high) / 2
        if _logistic(middle + odds).sum() < outcome.sum():
            low = middle
        else:
            high = middle
    chance = _logistic(high + odds)
    influence = (outcome - chance) / float((chance * (1 - chance)).sum())
    return _around(high, influence, units, level, method)


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


def _around(
    estimate: float, influence: Array, units: Array | None, level: float, method: str
) -> Interval:
    """Return estimate ± t standard errors, from influence values that sum to zero."""
    error, count = standard_error(influence, units)
    if not error > 0 or not math.isfinite(error):
        return unmeasurable(method, n=influence.size, estimate=estimate)
    half = t_value(level, count - 1) * error
    return Interval(
        estimate=estimate,
        lower=estimate - half,
        upper=estimate + half,
        n=influence.size,
        method=method,
    )


def _log_odds(scores: Array) -> Array:
    smallest = float(np.finfo(np.float64).eps)
    inside = np.clip(np.asarray(scores, dtype=float), smallest, 1 - smallest)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _logistic(odds: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0, -odds)))
