"""The absolute between-ROC area: how differently a score ranks two groups.

ABROCA = integral over t of |ROC of one group at t − ROC of the other at t| (Gardner, Brooks and
Baker 2019, "Evaluating the fairness of predictive student models through slicing analysis", LAK).
0 is the same curve, 1 the most there can be; two groups may have the same area under the curve
and still different curves. Curves are empirical, ties are joined by a straight line, and the
integral is exact. Everything is computed for many draws at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from verticals.table import Array

PERMUTATIONS = 999
RESAMPLES = 300
MOST_LEVELS = 200  # distinct scores in permutations and resamples; more are joined
_CELLS = 1_000_000  # numbers in memory at once, about
_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Hold ROC curves of several draws: rates (draws, points), from (0, 0) up to (1, 1)."""

    false: Array
    true: Array


def abroca(score: Array, label: Array, first: Array) -> float | None:
    """Return the area between the ROC curve of the rows `first` and that of the others.

    `score`, `label` (0 and 1) and `first` (bool) are (rows,). None where one of the two groups
    lacks one of the classes.
    """
    counts = _counts(_levels(score), label, np.stack([first, ~first]).astype(np.float64))
    if not _both_classes(counts):
        return None
    both = _curves(counts)
    pair = [Curves(false=both.false[at][None], true=both.true[at][None]) for at in (0, 1)]
    return float(area_between(pair, (1.0, -1.0))[0])


def permutation_p(
    score: Array,
    label: Array,
    first: Array,
    unit: Array,
    *,
    seed: int = 0,
    draws: int = PERMUTATIONS,
) -> float | None:
    """Return the p-value of "the score ranks both groups alike".

    Group labels change places among persons (`unit`) with the same outcome, so that each group
    keeps its base rate. (b + 1) / (B + 1) with B draws (Phipson and Smyth 2010). More than 200
    distinct scores are joined to 200 levels, in what is observed as in the draws. None where
    `abroca` is, and where a person has rows in both groups, which no label of a person can tell.
    """
    level = _joined(score)
    both = np.stack([first, ~first]).astype(np.float64)
    if not _both_classes(_counts(level, label, both)):
        return None
    person = np.unique(unit, return_inverse=True)[1]
    rows_of = np.bincount(person)
    rows_in_first = np.bincount(person, first)
    if ((rows_in_first > 0) & (rows_in_first < rows_of)).any():
        return None
    in_first = rows_in_first > 0
    share = np.bincount(person, label) / rows_of
    kinds = np.unique(np.stack([share, rows_of]), axis=1, return_inverse=True)[1].reshape(-1)
    kinds = kinds if np.bincount(kinds).min() > 1 else (share > 0).astype(int) + (share == 1)
    random = np.random.default_rng(seed)

    def draw(count: int) -> tuple[Array, ...]:
        groups = np.tile(in_first, (count, 1))  # (draws, persons)
        for kind in range(int(kinds.max()) + 1):
            here = np.flatnonzero(kinds == kind)
            groups[:, here] = random.permuted(groups[:, here], axis=1)
        rows = groups[:, person].astype(np.float64)
        return rows, 1.0 - rows

    observed = _between(level, label, (in_first[person][None] * 1.0, ~in_first[person][None] * 1.0))
    drawn = _drawn(draw, lambda pair: _between(level, label, pair), draws, score.size)
    beyond = int((drawn >= observed[0] - _LEAST).sum())
    return (beyond + 1) / (draws + 1)


def resampled_distance(
    score: Array,
    label: Array,
    first: Array,
    unit: Array,
    *,
    level: float = 0.95,
    seed: int = 0,
    draws: int = RESAMPLES,
) -> float | None:
    """Return how far the measured difference of two curves may lie from the true one.

    That is the quantile of the area between the difference of the curves of resampled persons
    and the measured difference. By the triangle inequality ABROCA misses its true value by no
    more, wherever that lies; a resampled ABROCA itself would be biased upwards twice.
    """
    joined = _joined(score)
    pair = (first[None] * 1.0, ~first[None] * 1.0)
    if not _both_classes(_counts(joined, label, np.concatenate(pair))):
        return None
    person = np.unique(unit, return_inverse=True)[1]
    persons = int(person.max()) + 1
    stratum = 2 * (np.bincount(person, first) > 0) + (np.bincount(person, label) > 0)
    random = np.random.default_rng(seed)

    def draw(count: int) -> tuple[Array, ...]:
        weight = np.zeros((count, persons))
        for kind in np.unique(stratum):
            here = np.flatnonzero(stratum == kind)
            even = np.full(here.size, 1 / here.size)
            weight[:, here] = random.multinomial(here.size, even, size=count)
        rows = weight[:, person]
        return rows * first, rows * ~first

    measured = [_curves(_counts(joined, label, mask)) for mask in pair]

    def distance(masks: Sequence[Array]) -> Array:
        again = [_curves(_counts(joined, label, mask)) for mask in masks]
        many = len(masks[0])
        fixed = [
            Curves(false=np.repeat(c.false, many, axis=0), true=np.repeat(c.true, many, axis=0))
            for c in measured
        ]
        return area_between([*again, *fixed], (1.0, -1.0, -1.0, 1.0))

    return float(np.quantile(_drawn(draw, distance, draws, score.size), level))


def area_between(curves: Sequence[Curves], signs: Sequence[float]) -> Array:
    """Return (draws,) the integral over 0..1 of |sum of sign × curve|, exactly.

    Between the false positive rates of all curves each curve is a straight line; where it rises
    upright, its value to the right is the upper end.
    """
    draws = len(curves[0].false)
    points = np.sort(np.concatenate([c.false for c in curves], axis=1), axis=1)
    left, right = points[:, :-1], points[:, 1:]
    offset = 3.0 * np.arange(draws)[:, None]  # each draw has a stretch of its own
    at_left, at_right = np.zeros(left.shape), np.zeros(left.shape)
    for curve, sign in zip(curves, signs, strict=True):
        flat = (curve.false + offset).reshape(-1)
        above = np.searchsorted(flat, (left + offset).reshape(-1), side="right")
        size = curve.false.shape[1]
        last = (np.arange(draws)[:, None] + 1) * size - 1
        above = np.minimum(above.reshape(left.shape), last)  # the point after x
        x = curve.false.reshape(-1)
        y = curve.true.reshape(-1)
        start, run = above - 1, x[above] - x[above - 1]
        slope = np.where(run > 0, (y[above] - y[start]) / np.where(run > 0, run, 1.0), 0.0)
        at_left += sign * (y[start] + slope * (left - x[start]))
        at_right += sign * (y[start] + slope * (right - x[start]))
    total = np.abs(at_left) + np.abs(at_right)
    crossing = at_left * at_right < 0
    halves = np.where(crossing, (at_left**2 + at_right**2) / np.where(total > 0, total, 1.0), total)
    return np.asarray(((right - left) * halves / 2).sum(axis=1))


def roc_points(score: Array, label: Array) -> tuple[Array, Array]:
    """Return false and true positive rates (points,) of one empirical ROC curve."""
    curve = _curves(_counts(_levels(score), label, np.ones((1, score.size))))
    return curve.false[0], curve.true[0]


def _between(level: Array, label: Array, masks: Sequence[Array]) -> Array:
    pair = [_curves(_counts(level, label, mask)) for mask in masks]
    return area_between(pair, (1.0, -1.0))


def _drawn(
    draw: Callable[[int], tuple[Array, ...]],
    measure: Callable[[Sequence[Array]], Array],
    draws: int,
    rows: int,
) -> Array:
    """Return (draws,) of a measure, as many draws at once as memory allows."""
    at_once = max(1, min(draws, _CELLS // max(rows, 1)))
    found = [measure(draw(min(at_once, draws - done))) for done in range(0, draws, at_once)]
    return np.concatenate(found)


def _levels(score: Array) -> Array:
    """Return (rows,) codes of distinct scores, 0 for the highest."""
    return np.asarray(np.unique(-np.asarray(score, dtype=np.float64), return_inverse=True)[1])


def _joined(score: Array) -> Array:
    """Return codes as `_levels`, neighbours joined where there are more than `MOST_LEVELS`."""
    level = _levels(score)
    if int(level.max(initial=0)) < MOST_LEVELS:
        return level
    below = np.cumsum(np.bincount(level)) - 1  # rows at or above each level, from 0
    return np.unique(below[level] * MOST_LEVELS // level.size, return_inverse=True)[1]


def _counts(level: Array, label: Array, weight: Array) -> tuple[Array, Array]:
    """Return weighted counts of positives and of negatives at each level: (draws, levels) each."""
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    sorted_weight, positive = weight[:, order], np.asarray(label, dtype=np.float64)[order]
    above = np.add.reduceat(sorted_weight * positive, starts, axis=1)
    return above, np.add.reduceat(sorted_weight * (1.0 - positive), starts, axis=1)


def _both_classes(counts: tuple[Array, Array]) -> bool:
    return bool(all((side.sum(axis=1) > 0).all() for side in counts))


def _curves(counts: tuple[Array, Array]) -> Curves:
    rates = [
        np.pad(np.cumsum(side, axis=1) / side.sum(axis=1, keepdims=True), ((0, 0), (1, 0)))
        for side in counts
    ]
    return Curves(true=rates[0], false=rates[1])
