"""Logistic regression DIF (Swaminathan & Rogers, Journal of Educational Measurement 27, 1990).

Three nested models of the item score: the matching score s; s and group (uniform DIF); s, group
and their product (non-uniform). A polytomous item has cumulative logits with parallel slopes
(Zumbo 1999; French & Miller, Journal of Educational Measurement 33, 1996), which for a
dichotomous one is plain logistic regression. The models are fitted to counts by stratum and
group, all items of as many categories at once, which gives the same likelihoods as persons one
by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from verticals.table import Array
from verticals_student_assessment.items.dif.cells import Cells
from verticals_student_assessment.items.dif.mantel import MIN_PERSONS

# Effect sizes: change in Nagelkerke's R².
JODOIN_GIERL = (0.035, 0.07)  # Applied Measurement in Education 14, 2001
ZUMBO_THOMAS = (0.13, 0.26)  # working paper, University of Northern British Columbia, 1997

_MOST_STEPS = 60
_CLOSE = 1e-10  # of the log-likelihood, relative
_LONGEST_STEP = 5.0  # logits: scores that separate answers drive coefficients without end
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class LogisticDif:
    """Hold likelihood-ratio tests, each (items,); NaN where not measured.

    Chi-squares have 1 (`uniform`, `non_uniform`) and 2 degrees of freedom (`both`). `effect` is
    the change in Nagelkerke's R² from the model without group to that with both terms.
    """

    uniform: Array
    non_uniform: Array
    both: Array
    uniform_p: Array
    non_uniform_p: Array
    both_p: Array
    effect: Array


def logistic_dif(cells: Cells) -> LogisticDif:
    """Test every item for uniform and non-uniform DIF by likelihood ratios.

    Not measured is an item with fewer than 10 persons in a group, with one score only, or without
    two strata that hold both groups.
    """
    items, strata = cells.maximum.size, cells.persons.shape[1]
    n = cells.persons.sum(axis=-1)  # (items, strata, 2)
    used = cells.persons.sum(axis=(1, 2)) > 0  # (items, scores)
    measured = (n.sum(axis=1) >= MIN_PERSONS).all(axis=1) & (used.sum(axis=1) > 1)
    measured &= (n > 0).all(axis=2).sum(axis=1) > 1
    design = _design(strata)
    likelihood = np.full((4, items), np.nan)  # none, s, s + group, s + group + product
    for categories in np.unique(used[measured].sum(axis=1)):
        batch = np.flatnonzero(measured & (used.sum(axis=1) == categories))
        # Scores that nobody has add nothing to a likelihood, and have no threshold.
        counts = np.stack([cells.persons[item][..., used[item]] for item in batch])
        counts = counts.reshape(batch.size, strata * 2, categories).astype(float)
        for terms in range(4):
            likelihood[terms, batch] = _fit(design[:, :terms], counts)
    empty, score, uniform, full = likelihood
    one, product, two = (
        np.maximum(2 * (large - small), 0.0)
        for small, large in ((score, uniform), (uniform, full), (score, full))
    )
    persons = n.sum(axis=(1, 2))
    return LogisticDif(
        uniform=one,
        non_uniform=product,
        both=two,
        uniform_p=special.chdtrc(1, one),
        non_uniform_p=special.chdtrc(1, product),
        both_p=special.chdtrc(2, two),
        effect=nagelkerke(full, empty, persons) - nagelkerke(score, empty, persons),
    )


def nagelkerke(likelihood: Array, empty: Array, n: Array) -> Array:
    """Return Nagelkerke's R² (Biometrika 78, 1991) from log-likelihoods; 0 to 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = -np.expm1(2 * (empty - likelihood) / n)
        return np.asarray(gain / -np.expm1(2 * empty / n))


def effect_class(effect: float, limits: tuple[float, float]) -> str:
    """Return "A", "B" or "C" for a change in R², "" where it is NaN."""
    if np.isnan(effect):
        return ""
    return "ABC"[int(np.searchsorted(limits, effect, side="right"))]


def _design(strata: int) -> Array:
    """Return (strata · 2, 3): score, group, score × group; the score runs from −1 to 1."""
    score = np.repeat(np.linspace(-1.0, 1.0, strata), 2)
    group = np.tile([0.0, 1.0], strata)
    return np.column_stack([score, group, score * group])


def _fit(design: Array, counts: Array) -> Array:
    """Return the maximal log-likelihood of each item, (items,), by Fisher scoring.

    `counts` is (items, cells, categories), each category with persons. Where a score separates
    the answers the coefficients grow without end, and the likelihood still comes to rest at its
    least upper bound, which is what is compared.
    """
    items = counts.shape[0]
    share = counts.sum(axis=1)[:, ::-1].cumsum(axis=1)[:, ::-1] / counts.sum(axis=(1, 2))[:, None]
    theta = np.concatenate([special.logit(share[:, 1:]), np.zeros((items, design.shape[1]))], 1)
    best = _likelihood(design, theta, counts)
    running = np.arange(items) if design.shape[1] else np.arange(0)
    for _ in range(_MOST_STEPS):
        if not running.size:
            break
        step = _step(design, theta[running], counts[running])
        tried, value = _search(design, theta[running], step, counts[running], best[running])
        gained = value - best[running]
        theta[running], best[running] = tried, value
        running = running[gained > _CLOSE * (1 + np.abs(value))]
    return best


def _chances(design: Array, theta: Array, categories: int) -> tuple[Array, Array]:
    """Return P(score ≥ k), (items, cells, categories − 1), and of each score, (…, categories)."""
    cut = categories - 1
    reach = special.expit(theta[:, None, :cut] + (theta[:, cut:] @ design.T)[..., None])
    edge = np.ones((*reach.shape[:2], 1))
    return reach, -np.diff(np.concatenate([edge, reach, 0 * edge], axis=2), axis=2)


def _step(design: Array, theta: Array, counts: Array) -> Array:
    """Return the step of Fisher scoring, (items, thresholds + terms)."""
    reach, chance = _chances(design, theta, counts.shape[2])
    chance = np.maximum(chance, _TINY)
    slope = reach * (1 - reach)
    ratio = counts / chance
    score = slope * (ratio[..., 1:] - ratio[..., :-1])  # (items, cells, cut)
    n = counts.sum(axis=2)[..., None]
    own = n * slope**2 * (1 / chance[..., 1:] + 1 / chance[..., :-1])
    next_to = -n[..., 0:1] * slope[..., :-1] * slope[..., 1:] / chance[..., 1:-1]
    total = own.copy()  # sums over the other thresholds
    total[..., :-1] += next_to
    total[..., 1:] += next_to
    cut, terms = slope.shape[2], design.shape[1]
    information = np.zeros((theta.shape[0], cut + terms, cut + terms))
    place = np.arange(cut)
    information[:, place, place] = own.sum(axis=1)
    information[:, place[:-1], place[1:]] = next_to.sum(axis=1)
    information[:, place[1:], place[:-1]] = next_to.sum(axis=1)
    cross = np.einsum("ick,cp->ikp", total, design)
    information[:, :cut, cut:] = cross
    information[:, cut:, :cut] = cross.swapaxes(1, 2)
    information[:, cut:, cut:] = np.einsum(
        "ic,cp,cq->ipq", total.sum(axis=2), design, design, optimize=True
    )
    gradient = np.concatenate([score.sum(axis=1), score.sum(axis=2) @ design], axis=1)
    scale = np.maximum(np.trace(information, axis1=1, axis2=2), _TINY)[:, None, None]
    information += 1e-10 * scale * np.eye(cut + terms)
    step = np.linalg.solve(information, gradient[..., None])[..., 0]
    longest = np.abs(step).max(axis=1, keepdims=True)
    return np.asarray(step / np.maximum(longest / _LONGEST_STEP, 1.0))


def _search(
    design: Array, theta: Array, step: Array, counts: Array, best: Array
) -> tuple[Array, Array]:
    """Halve each item's step until its likelihood does not fall, at most ten times."""
    length = np.ones((theta.shape[0], 1))
    value = _likelihood(design, theta + step, counts)
    for _ in range(10):
        worse = ~(value >= best)
        if not worse.any():
            break
        length[worse] /= 2
        value = _likelihood(design, theta + length * step, counts)
    kept = value >= best
    return np.where(kept[:, None], theta + length * step, theta), np.where(kept, value, best)


def _likelihood(design: Array, theta: Array, counts: Array) -> Array:
    """Return (items,); −∞ where thresholds are out of order, which give chances below 0."""
    chance = _chances(design, theta, counts.shape[2])[1]
    terms = special.xlogy(counts, np.maximum(chance, 1e-300)).sum(axis=(1, 2))
    return np.where((chance < 0).any(axis=(1, 2)), -np.inf, terms)
