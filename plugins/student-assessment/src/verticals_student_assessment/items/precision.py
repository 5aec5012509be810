"""How precise scores are: reliability, and how often a decision at a cut score would stand.

    marginal     ∫ I σ² / (I σ² + 1) under the trait's distribution, from the items alone
                 (Green et al. 1984, J. Educ. Meas. 21; `marginal_rxx` of R's mirt)
    empirical    from the scored persons. EAP and MAP are drawn towards the mean:
                 var(θ̂) / (var(θ̂) + mean se²) (`empirical_rxx`). WLE is not, its error adds to the
                 spread: 1 − mean se² / var(θ̂) (Adams 2005, Stud. Educ. Eval. 31; `WLErel` of R's
                 TAM), which falls below 0 where scores tell nothing
    alpha        Cronbach's, from persons who answered every item, with the interval of Feldt (1965)

Classification at a cut is Rudner's (2001, 2005; Pract. Assess. Res. Eval. 7 and 10): an estimate is
taken as normal about a true value with its standard error. Accuracy is the chance that the true
value lies on the decided side, consistency that two administrations decide alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special  # scipy.stats has the same, and takes a second to import

from verticals.table import Array
from verticals_student_assessment.items.irt import ItemBank, test_information

LEAST_PERSONS = 10
_Z = float(special.ndtri(0.975))


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Hold a coefficient with its 95 % interval; NaN where it cannot be measured."""

    value: float = float("nan")
    lower: float = float("nan")
    upper: float = float("nan")
    persons: int = 0


def marginal_reliability(bank: ItemBank, points: int = 61) -> Estimate:
    """Return the reliability that the items promise for their own population; no interval."""
    grid = bank.grid(points)
    information = test_information(bank, grid.nodes) * bank.sd**2
    return Estimate(value=float(grid.weights @ (information / (information + 1.0))))


def empirical_reliability(
    ability: Array, error: Array, unit: Array, *, scoring: str = "EAP"
) -> Estimate:
    """Return the reliability of the persons whose score is not NaN, by how they were scored.

    The interval is by the delta method, with influences summed by `unit` (persons,), so that rows
    of one person count once. None is measured from fewer than 10 units.
    """
    known = ~np.isnan(ability)
    score, squared = ability[known], error[known] ** 2
    units, count = _units(unit[known])
    if count < LEAST_PERSONS:
        return Estimate(persons=count)
    variance, noise = float(score.var()), float(squared.mean())
    whole = variance if scoring == "WLE" else variance + noise
    if whole <= 0:
        return Estimate(persons=count)
    influence = noise * ((score - score.mean()) ** 2 - variance) - variance * (squared - noise)
    value = 1.0 - noise / whole
    width = _Z * _clustered(influence / whole**2, units, count)
    return Estimate(value=value, lower=value - width, upper=min(1.0, value + width), persons=count)


def cronbach_alpha(scores: Array) -> Estimate:
    """Return Cronbach's alpha of (persons, items) scores, from the rows without NaN.

    Undefined for fewer than 10 persons, fewer than 2 items, or sums that do not vary.
    """
    whole = scores[~np.isnan(scores).any(axis=1)]
    persons, items = whole.shape
    if persons < LEAST_PERSONS or items < 2 or whole.sum(axis=1).var(ddof=1) == 0:
        return Estimate(persons=persons)
    share = whole.var(axis=0, ddof=1).sum() / whole.sum(axis=1).var(ddof=1)
    value = float(items / (items - 1) * (1.0 - share))
    freedom = (persons - 1, (persons - 1) * (items - 1))
    low, high = (special.fdtri(*freedom, rank) for rank in (0.975, 0.025))
    return Estimate(
        value=value,
        lower=float(1.0 - (1.0 - value) * low),
        upper=float(1.0 - (1.0 - value) * high),
        persons=persons,
    )


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Hold how decisions at one cut would stand."""

    accuracy: Estimate
    consistency: Estimate


def classification(ability: Array, error: Array, unit: Array, cut: float) -> Classification:
    """Return accuracy and consistency of "ability ≥ cut" over persons whose score is defined.

    A mean over persons, with an interval by the normal approximation and rows of one `unit` taken
    together. None is measured from fewer than 10 units.
    """
    known = ~np.isnan(ability)
    units, count = _units(unit[known])
    if count < LEAST_PERSONS:
        none = Estimate(persons=count)
        return Classification(accuracy=none, consistency=none)
    above = special.ndtr((ability[known] - cut) / np.maximum(error[known], 1e-12))
    right = np.where(ability[known] >= cut, above, 1.0 - above)
    twice = above**2 + (1.0 - above) ** 2
    return Classification(
        accuracy=_mean(right, units, count), consistency=_mean(twice, units, count)
    )


def _mean(values: Array, units: Array, count: int) -> Estimate:
    value = float(values.mean())
    width = _Z * _clustered(values - value, units, count)
    return Estimate(
        value=value, lower=max(0.0, value - width), upper=min(1.0, value + width), persons=count
    )


def _units(unit: Array) -> tuple[Array, int]:
    """Return running numbers of units, and how many there are."""
    names, places = np.unique(unit, return_inverse=True)
    return places, len(names)


def _clustered(influence: Array, units: Array, count: int) -> float:
    """Return the standard error of a mean whose influences sum to 0, units independent."""
    sums = np.bincount(units, weights=influence, minlength=count)
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()) / len(influence))
