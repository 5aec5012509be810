"""Intervals for how well a score ranks: area under the ROC curve, Gini, average precision, KS.

All take `scores` (rows,) and `labels` (rows,) of 0 and 1. Rows of one person come with `units`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from verticals.intervals.base import Interval, t_value, unmeasurable, z_value
from verticals.intervals.rates import wilson
from verticals.table import Array


def auc(
    scores: Array, labels: Array, *, units: Array | None = None, level: float = 0.95
) -> Interval:
    """Compute the area under the ROC curve; range 0..1, .5 is chance.

    A score interval, (area − θ)² ≤ t² variance(θ). The variance is that of Newcombe (Statistics in
    Medicine 25, 2006, method 5) at θ, plus by how much DeLong's (Biometrics 44, 1988) exceeds it
    at the estimate. A sum, not a ratio: towards 0 and 1 both variances vanish, and their ratio says
    nothing there. With `units` both are multiplied by the design effect of the clustered form
    (Obuchowski, Biometrics 53, 1997).

    DeLong's variance knows only the misplacements that were seen, and is zero at a perfect
    separation. So each class gets one more row, placed as badly as can be, at the weight of a row
    of the smaller class (of a unit, where the rows of a unit are alike), as Agresti and Coull
    (American Statistician 52, 1998) add events to a rate. With no pair misplaced, the limit is then
    near that of a rate with as many trials as the smaller class has rows; more is never needed, as
    no area varies more than such a rate (Birnbaum and Klose, Annals of Mathematical Statistics 28,
    1957). Figures in `docs/decisions/0003-intervals-for-disparities.md`.
    """
    positive = np.asarray(labels, dtype=float) == 1
    method = "score interval, DeLong variance" + _by_unit(units)
    if positive.all() or not positive.any():
        return unmeasurable(method, n=positive.size)
    codes = _codes(positive.size, units)
    above, below = _placements(np.asarray(scores, dtype=float), positive)
    area = float(above.mean())
    smaller = min(np.unique(codes[positive]).size, np.unique(codes[~positive]).size)
    if smaller < 2:
        return unmeasurable(method, n=positive.size, estimate=area)
    m, n = above.size, below.size
    worst = max(area, 1 - area)
    influence = np.empty(positive.size)
    influence[positive], influence[~positive] = (above - area) / m, (below - area) / n
    misplaced = [(positive, worst / m), (~positive, worst / n)]
    effect = _design_effect(influence, codes, misplaced)

    def modelled(value: float) -> float:
        factor = (1 - value) / (2 - value) + value / (1 + value)
        return effect * value * (1 - value) / (m * n) * (1 + ((m + n) / 2 - 1) * factor)

    seen = effect * (above.var(ddof=1) / m + below.var(ddof=1) / n)
    fewest = min(
        rows.sum() / _design_effect(np.where(rows, influence, 0.0), codes, [(rows, each)])
        for rows, each in misplaced
    )
    excess = max(0.0, seen + 2 * (worst / (fewest + 1)) ** 2 - modelled(area))
    reach = t_value(level, smaller - 1) ** 2
    lower, upper = _score_limits(area, lambda value: modelled(value) + excess, reach)
    return Interval(estimate=area, lower=lower, upper=upper, n=positive.size, method=method)


def gini(
    scores: Array, labels: Array, *, units: Array | None = None, level: float = 0.95
) -> Interval:
    """Compute Gini (Somers' D, the accuracy ratio) = 2 AUC − 1; range −1..1, 0 is chance."""
    area = auc(scores, labels, units=units, level=level)
    return area.mapped(lambda value: 2 * value - 1, f"2 AUC − 1: {area.method}")


def average_precision(
    scores: Array, labels: Array, *, units: Array | None = None, level: float = 0.95
) -> Interval:
    """Compute average precision (area under precision and recall by steps); range 0..1.

    Chance is the share of positives. Wilson's score interval with the number of positives as its
    n (after Boyd, Eng and Page, ECML 2013), inflated to the variance of the influence function
    wherever that is larger, and with `units` by their design effect.
    """
    positive = np.asarray(labels, dtype=float) == 1
    method = "score interval, influence variance" + _by_unit(units)
    if not positive.any():
        return unmeasurable(method, n=positive.size)
    codes = _codes(positive.size, units)
    estimate, influence = _precision_influence(np.asarray(scores, dtype=float), positive)
    in_units = np.unique(codes[positive]).size
    if in_units < 2:
        return unmeasurable(method, n=positive.size, estimate=estimate)
    many = int(positive.sum())
    model = estimate * (1 - estimate) / many
    effect = _design_effect(influence, codes, [(positive, estimate / many)])
    effect *= max(1.0, _unbiased(influence) / model) if model > 0 else 1.0
    inflation = effect * (t_value(level, in_units - 1) / z_value(level)) ** 2
    limits = wilson(estimate * many, many, level=level, design_effect=inflation)
    return Interval(
        estimate=estimate,
        lower=limits.lower,
        upper=limits.upper,
        n=positive.size,
        method=method,
    )


def ks(
    scores: Array, labels: Array, *, units: Array | None = None, level: float = 0.95
) -> Interval:
    """Compute KS, the largest gap between the score distributions of both classes; range 0..1.

    The statistic is biased upwards, so its own percentile bootstrap does not cover. The interval
    is KS ± c √(1/m + 1/n) with Smirnov's c (1.36 for 95 %): a band around the whole curve of the
    gap, and so around its maximum. It is widest where the distributions agree, and conservative
    elsewhere. Units weigh as if all rows of one were alike: n² / Σ size² rows.
    """
    positive = np.asarray(labels, dtype=float) == 1
    method = "KS ± Smirnov band" + _by_unit(units)
    if positive.all() or not positive.any():
        return unmeasurable(method, n=positive.size)
    values = np.asarray(scores, dtype=float)
    codes = _codes(positive.size, units)
    grid = np.unique(values)
    gap = _distribution(values[positive], grid) - _distribution(values[~positive], grid)
    estimate = float(np.abs(gap).max())
    share = sum(1 / _effective_units(codes[rows]) for rows in (positive, ~positive))
    band = _smirnov(level) * math.sqrt(share)
    return Interval(
        estimate=estimate,
        lower=max(0.0, estimate - band),
        upper=min(1.0, estimate + band),
        n=positive.size,
        method=method,
    )


def _smirnov(level: float) -> float:
    from scipy import special

    return float(special.kolmogi(1 - level))


def _by_unit(units: Array | None) -> str:
    return "" if units is None else ", clustered by unit"


def _codes(rows: int, units: Array | None) -> Array:
    """Return the unit of each row as 0 … units − 1; each row is its own without `units`."""
    return np.arange(rows) if units is None else np.unique(units, return_inverse=True)[1]


def _placements(scores: Array, positive: Array) -> tuple[Array, Array]:
    """Return for each positive the share of negatives below it, for each negative the reverse."""
    high, low = np.sort(scores[positive]), np.sort(scores[~positive])
    above = np.searchsorted(low, scores[positive]) + np.searchsorted(
        low, scores[positive], side="right"
    )
    under = np.searchsorted(high, scores[~positive]) + np.searchsorted(
        high, scores[~positive], side="right"
    )
    return above / 2 / low.size, 1 - under / 2 / high.size


def _unbiased(influence: Array) -> float:
    """Return the variance of a sum of influence values, corrected for their estimated mean."""
    count = influence.size
    return float((influence**2).sum()) * count / (count - 1) if count > 1 else 0.0


def _effective_units(codes: Array) -> float:
    """Return how many units of equal size weigh as these do: n² / Σ size² (Kish 1965)."""
    sizes = np.bincount(codes).astype(float)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def _design_effect(
    influence: Array, codes: Array, misplaced: Sequence[tuple[Array, float]]
) -> float:
    """Return by how much the variance by unit exceeds that by row, never below 1.

    While few rows are misplaced, nobody can tell how alike the rows of a unit are. So for each of
    `misplaced` (a mask of rows, and what a misplaced one adds) comes one row to what was seen, that
    weighs as if the rows of a unit were all alike: with none misplaced, a unit counts as one row.
    """
    by_unit, by_row = _unbiased(np.bincount(codes, influence)), _unbiased(influence)
    for rows, each in misplaced:
        by_unit += each**2 * int(rows.sum()) / _effective_units(codes[rows])
        by_row += each**2
    return max(1.0, by_unit / by_row) if by_row > 0 else 1.0


def _score_limits(
    estimate: float, variance: Callable[[float], float], reach: float
) -> tuple[float, float]:
    """Return the values θ within 0..1 with (estimate − θ)² ≤ reach · variance(θ)."""

    def limit(outside: float, inside: float) -> float:
        if (estimate - outside) ** 2 <= reach * variance(outside):
            return outside
        for _ in range(60):
            middle = (outside + inside) / 2
            if (estimate - middle) ** 2 > reach * variance(middle):
                outside = middle
            else:
                inside = middle
        return inside

    lower = 0.0 if estimate <= 0 else limit(0.0, estimate)
    upper = 1.0 if estimate >= 1 else limit(1.0, estimate)
    return lower, upper


def _precision_influence(scores: Array, positive: Array) -> tuple[float, Array]:
    """Return average precision and each row's influence on it, in the order of the rows."""
    order = np.argsort(-scores, kind="stable")
    hits = positive[order].astype(float)
    # Rows with one score share a threshold: what counts is the end of their run.
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf) != 0)
    ends = np.append(starts[1:], hits.size) - 1
    run = np.searchsorted(starts, np.arange(hits.size), side="right") - 1
    rank = (ends + 1.0)[run]
    precision = np.cumsum(hits)[ends][run] / rank
    total = hits.sum()
    estimate = float((hits * precision).sum() / total)
    gain = np.cumsum((hits / rank)[::-1])[::-1][starts][run]
    loss = np.cumsum((hits * precision / rank)[::-1])[::-1][starts][run]
    influence = np.empty(hits.size)
    influence[order] = (hits * (precision - estimate) + hits * gain - loss) / total
    return estimate, influence - influence.mean()


def _distribution(values: Array, grid: Array) -> Array:
    """Return the share of values at or below each point of the grid."""
    return np.searchsorted(np.sort(values), grid, side="right") / values.size
