"""Mantel–Haenszel statistics of differential item functioning, for all items at once.

Dichotomous items: Holland & Thayer 1988, with the standard error of Phillips & Holland
(Biometrics 43, 1987; Robins, Breslow & Greenland, Biometrics 42, 1986). Polytomous items: Mantel
(JASA 58, 1963) and the standardised mean difference (Dorans & Schmitt 1991) with its
hypergeometric standard error (Zwick & Thayer, Journal of Educational and Behavioral Statistics 21,
1996). Below 0 is harder for the focal group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from verticals.intervals import z_value
from verticals.table import Array
from verticals_student_assessment.items.dif.cells import FOCAL, REFERENCE, Cells

DELTA = -2.35  # ETS's delta scale: 4 / 1.7, a logit on the scale of the normal deviate
ALPHA = 0.05
SMALL, LARGE = 1.0, 1.5  # limits of |MH D-DIF|, in delta
SMALL_POLYTOMOUS, LARGE_POLYTOMOUS = 0.17, 0.25  # limits of |SMD / SD|
MIN_PERSONS = 10  # in each group, with an answer to the item

_ONE_SIDED = 1.6448536269514722  # normal quantile of 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class DifStatistics:
    """Hold the statistics of one comparison, each (items,); what cannot be measured is NaN.

    `effect` is MH D-DIF for dichotomous items and SMD / SD for polytomous ones, and `error` its
    standard error. `ets` is "A", "B" or "C", "" where not measured.
    """

    polytomous: Array
    reference: Array  # persons with an answer
    focal: Array
    alpha: Array  # common odds ratio of the reference group; NaN for polytomous items
    chi2: Array  # one degree of freedom
    p_value: Array
    effect: Array
    error: Array
    ets: Array

    def limits(self, level: float = 0.95) -> tuple[Array, Array]:
        """Return the lower and upper normal limits of `effect`, each (items,)."""
        half = z_value(level) * self.error
        return self.effect - half, self.effect + half


def dif_statistics(cells: Cells, *, correct: bool = True) -> DifStatistics:
    """Compute Mantel–Haenszel or Mantel statistics of every item, and its ETS class.

    `correct` takes 0.5 off the absolute difference of dichotomous items (Yates), never below 0.
    Items with fewer than 10 persons in a group are not measured.
    """
    answered = cells.answered
    polytomous = np.asarray(cells.maximum > 1)
    measured = (answered >= MIN_PERSONS).all(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha, chi2, effect, error = _dichotomous(cells.persons, correct)
        poly_chi2, poly_effect, poly_error = _polytomous(cells.persons)
    kept = [
        np.where(measured, np.where(polytomous, many, two), np.nan)
        for two, many in (
            (alpha, np.full_like(alpha, np.nan)),
            (chi2, poly_chi2),
            (effect, poly_effect),
            (error, poly_error),
        )
    ]
    alpha, chi2, effect, error = (np.where(np.isfinite(item), item, np.nan) for item in kept)
    p_value = special.chdtrc(1, chi2)
    return DifStatistics(
        polytomous=polytomous,
        reference=answered[:, REFERENCE],
        focal=answered[:, FOCAL],
        alpha=alpha,
        chi2=chi2,
        p_value=p_value,
        effect=effect,
        error=error,
        ets=ets_classes(effect, error, p_value, polytomous),
    )


def ets_classes(effect: Array, error: Array, p_value: Array, polytomous: Array) -> Array:
    """Return the ETS class of each item, (items,) text.

    A: p ≥ .05, or |D| < 1. C: |D| ≥ 1.5 and significantly above 1 (one-sided at .05). Else B
    (Dorans & Holland 1993; Zwick, ETS RR-12-08, 2012). Polytomous, of |SMD / SD|: A: p ≥ .05, or
    at most .17; C: above .25; else B (Zwick, Thayer & Mazzeo 1997, as in NAEP, AA to CC there).
    """
    size = np.abs(effect)
    known = np.isfinite(effect) & np.isfinite(error) & np.isfinite(p_value)
    with np.errstate(invalid="ignore"):
        small = np.where(polytomous, size <= SMALL_POLYTOMOUS, size < SMALL)
        beyond = (size >= LARGE) & (size - _ONE_SIDED * error > SMALL)
        large = np.where(polytomous, size > LARGE_POLYTOMOUS, beyond)
        found = np.where((p_value >= ALPHA) | small, "A", np.where(large, "C", "B"))
    return np.where(known, found, "").astype(object)


def _dichotomous(persons: Array, correct: bool) -> tuple[Array, Array, Array, Array]:
    """Return common odds ratio, chi-square, MH D-DIF and its standard error, each (items,)."""
    counts = persons.astype(float)
    wrong, right = counts[..., 0], counts[..., 1]  # (items, strata, 2)
    a, b = right[..., REFERENCE], wrong[..., REFERENCE]
    c, d = right[..., FOCAL], wrong[..., FOCAL]
    total = a + b + c + d
    per = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    expected = (a + b) * (a + c) * per
    spread = (a + b) * (c + d) * (a + c) * (b + d) * per**2
    variance = np.divide(spread, total - 1, out=np.zeros_like(total), where=total > 1)
    gap = np.abs((a - expected).sum(-1))
    if correct:
        gap = np.maximum(gap - 0.5, 0.0)
    chi2 = gap**2 / variance.sum(-1)
    cross = (a * d * per).sum(-1)
    alpha = cross / (b * c * per).sum(-1)
    odds = alpha[:, None]
    # An odds ratio of 0 has no logarithm; 0 · ∞ is not a number, and neither is measured.
    terms = (a * d + odds * b * c) * (a + d + odds * (b + c)) * per**2
    error = np.sqrt(terms.sum(-1) / 2) / cross
    return alpha, chi2, DELTA * np.log(alpha), abs(DELTA) * error


def _polytomous(persons: Array) -> tuple[Array, Array, Array]:
    """Return Mantel's chi-square, SMD / SD and its standard error, each (items,)."""
    counts = persons.astype(float)
    level = np.arange(counts.shape[-1], dtype=float)
    size = counts.sum(-1)  # (items, strata, 2)
    points = counts @ level
    squares = (counts @ level**2).sum(-1)  # (items, strata)
    total, whole = size.sum(-1), points.sum(-1)
    n_ref, n_foc = size[..., REFERENCE], size[..., FOCAL]
    per = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    expected = n_foc * whole * per
    spread = n_ref * n_foc * (total * squares - whole**2) * per**2
    variance = np.divide(spread, total - 1, out=np.zeros_like(total), where=total > 1)
    chi2 = (points[..., FOCAL] - expected).sum(-1) ** 2 / variance.sum(-1)
    both = (n_ref > 0) & (n_foc > 0)
    weight = np.where(both, n_foc, 0.0)
    weight = weight / weight.sum(-1, keepdims=True)
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    means = points * inverse
    gap = (weight * (means[..., FOCAL] - means[..., REFERENCE])).sum(-1)
    error = np.sqrt((weight**2 * inverse.sum(-1) ** 2 * variance).sum(-1))
    mean = whole.sum(-1) / total.sum(-1)
    deviation = np.sqrt(squares.sum(-1) / total.sum(-1) - mean**2)
    return chi2, gap / deviation, error / deviation
