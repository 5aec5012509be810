"""Agreement of two raters from six sums a person, so that resampling persons is a product.

Quadratic weighted kappa, the standardised mean difference and the mean squared error all follow
from n, Σh, Σm, Σh², Σm² and Σhm of human scores h and machine scores m.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from verticals.intervals import Interval
from verticals.table import Array

FEWEST_PERSONS = 10
MIN_PERSONS = 30  # fewer get an estimate without limits, as the default policy's min_group
_DRAWS = 2000
_LEVEL = 0.95

Statistic = Callable[[Array], Array]  # (…, sums) -> (…,)


def sums_by_person(human: Array, machine: Array, unit: Array) -> Array:
    """Return (persons, 6): n, Σh, Σm, Σh², Σm², Σhm of each person's rows."""
    person = np.unique(unit, return_inverse=True)[1]
    many = int(person.max(initial=-1)) + 1
    parts = (np.ones(len(human)), human, machine, human**2, machine**2, human * machine)
    return np.stack([np.bincount(person, part, many) for part in parts], axis=1)


def kappa(sums: Array) -> Array:
    """Return quadratic weighted kappa, 1 − E(h − m)² / E of independent raters (Cohen 1968)."""
    mean_h, mean_m, var_h, var_m, error = _moments(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - error / (var_h + var_m + (mean_h - mean_m) ** 2))


def mean_difference(sums: Array) -> Array:
    """Return (mean machine − mean human) / sqrt((s²_h + s²_m) / 2): Williamson et al. 2012."""
    mean_h, mean_m, var_h, var_m, _ = _moments(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((mean_m - mean_h) / np.sqrt((var_h + var_m) / 2))


def root_error(sums: Array) -> Array:
    """Return the root mean squared difference of machine and human."""
    return np.asarray(np.sqrt(_moments(sums)[4]))


def resampled(by_person: Array, statistic: Statistic, *, seed: int = 0) -> Interval:
    """Compute a statistic of sums (persons, sums), with percentile limits over resampled persons.

    Fewer than ten persons give no estimate, fewer than thirty no limits.
    """
    persons = len(by_person)
    n = int(by_person[:, 0].sum()) if persons else 0
    if persons < FEWEST_PERSONS:
        return none("fewer than 10 persons", n)
    estimate = float(statistic(by_person.sum(axis=0)))
    if not np.isfinite(estimate):
        return none("undefined: the scores do not vary", n)
    if persons < MIN_PERSONS:
        return none(
            f"insufficient: {persons} persons, {MIN_PERSONS} needed for limits", n, estimate
        )
    random = np.random.default_rng(seed)
    weights = random.multinomial(persons, np.full(persons, 1 / persons), _DRAWS)
    drawn = np.asarray(statistic(weights @ by_person))
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(
        estimate=estimate,
        lower=float(low),
        upper=float(high),
        n=n,
        method=f"percentiles of {_DRAWS} resamples of {persons} persons",
    )


def absolute(found: Interval) -> Interval:
    """Return the size of a signed measure, with limits that cover it."""
    low, high = found.lower, found.upper
    if found.estimate is None:
        return found
    size = abs(found.estimate)
    if low is None or high is None:
        return none(found.method, found.n, size)
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return Interval(
        estimate=size,
        lower=least,
        upper=max(abs(low), abs(high)),
        n=found.n,
        method=f"size of a signed difference; {found.method}",
    )


def none(method: str, n: int = 0, estimate: float | None = None) -> Interval:
    """Return an interval without limits; `method` says why."""
    return Interval(estimate=estimate, lower=None, upper=None, n=n, method=method)


def _moments(sums: Array) -> tuple[Array, Array, Array, Array, Array]:
    n, h, m, hh, mm, hm = np.moveaxis(np.asarray(sums, dtype=float), -1, 0)[:6]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_h, mean_m = h / n, m / n
        var_h = np.maximum(hh / n - mean_h**2, 0)
        var_m = np.maximum(mm / n - mean_m**2, 0)
        error = np.maximum((hh - 2 * hm + mm) / n, 0)
    return mean_h, mean_m, var_h, var_m, error
