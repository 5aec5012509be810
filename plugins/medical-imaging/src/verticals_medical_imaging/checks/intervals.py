"""Intervals for the measures of imaging; images come in clusters, the persons.

Areas and rates are the SDK's (DeLong's variance in a score interval; Clopper–Pearson with a design
effect). Here are the expected calibration error, the gap between groups, and the minimum counts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from verticals.intervals import Interval, design_effect, exact, mean, simultaneous_z, z_value
from verticals.intervals.base import t_value
from verticals.table import Array
from verticals_medical_imaging import measures

LEVEL = 0.95
MIN_PERSONS = 30  # as the default policy's min_group: fewer get an estimate without limits
MIN_EVENTS = 10  # persons in each denominator, as its min_events

_DRAWS = 4000


def none(method: str, n: int = 0, estimate: float | None = None) -> Interval:
    """Return an interval without limits; `method` says why."""
    return Interval(estimate=estimate, lower=None, upper=None, n=n, method=method)


def persons(unit: Array) -> int:
    """Return how many persons the rows are of."""
    return int(np.unique(unit).size)


def held_to_minimum(found: Interval, everybody: int, events: int, of: str) -> Interval:
    """Return the interval, without its limits where it rests on too few persons.

    `events` are the persons in the smallest denominator, and `of` says what they are.
    """
    few = "persons" if everybody < MIN_PERSONS else of
    count, needed = (everybody, MIN_PERSONS) if few == "persons" else (events, MIN_EVENTS)
    if found.estimate is None or count >= needed:
        return found
    why = f"insufficient: {count} {few}, {needed} needed for limits"
    return none(why, found.n, found.estimate)


def share(hit: Array, unit: Array, level: float = LEVEL) -> Interval:
    """Compute a share of images: Clopper–Pearson with the design effect of persons."""
    if not hit.size:
        return none("no image to take a share of")
    values = np.asarray(hit, dtype=float)
    effect = design_effect(values, unit)
    return exact(float(values.sum()), values.size, level=level, design_effect=effect)


def person_share(hit: Array, unit: Array, level: float = LEVEL) -> Interval:
    """Compute the mean over persons of each person's share of images, as conformal sets promise.

    Clopper–Pearson with persons as trials: a person's share varies no more than a 0 or 1 does.
    """
    if not hit.size:
        return none("no image to take a share of")
    person = np.unique(unit, return_inverse=True)[1]
    shares = np.bincount(person, np.asarray(hit, dtype=float)) / np.bincount(person)
    found = exact(float(shares.sum()), shares.size, level=level)
    return replace(found, n=hit.size, method=f"each person weighs 1, {found.method}")


def calibration_error(
    score: Array, label: Array, unit: Array, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Compute the expected calibration error, with limits that cover although it is biased.

    Let d be the true gaps of the bins and d̂ the measured ones, close to normal. Σ|d| exceeds
    Σ|d̂| by no more than s·(d − d̂) with s = sign(d), one fixed sum of signs: so the upper limit
    adds the t quantile × the largest standard error over all signs. Σ|d̂| exceeds Σ|d| by no more
    than Σ|d̂ − d|: so the lower limit takes the quantile of that sum (seeded draws) off, and is 0
    for a score that is right. A resampled error does not cover: it is biased twice.
    """
    method = "signs of the bins' gaps, clustered by person"
    n, many = score.size, persons(unit)
    if n == 0 or many < 2:
        return none("no image" if n == 0 else "one person only", n)
    place = measures.score_bins(score)
    gaps = measures.bin_gaps(score, label, place)
    estimate = float(np.abs(gaps).sum())
    covariance = _gap_covariance(score, label, unit, place, gaps)
    t = t_value(level, many - 1)
    signs = np.array([(1, *rest) for rest in itertools.product((1, -1), repeat=gaps.size - 1)])
    widest = float(np.einsum("sb,bc,sc->s", signs, covariance, signs).max())
    drawn = np.random.default_rng(seed).multivariate_normal(
        np.zeros(gaps.size), covariance, _DRAWS, method="eigh"
    )
    noise = float(np.quantile(np.abs(drawn).sum(axis=1), 0.5 + level / 2)) * t / z_value(level)
    return Interval(
        estimate=estimate,
        lower=max(0.0, estimate - noise),
        upper=min(1.0, estimate + t * math.sqrt(widest)),
        n=n,
        method=f"{gaps.size} bins of equal counts, {method}",
    )


def mean_error(score: Array, label: Array, unit: Array, level: float = LEVEL) -> Interval:
    """Compute mean score − share of positives by Student's t over persons; 0 is good, −1..1.

    Calibration in the large (Van Calster et al., BMC Medicine 17, 2019), on the scale of the
    probability.
    """
    found = mean(score - label, units=unit, level=level)
    return replace(found, method=f"mean probability less share of positives, {found.method}")


def worst_bin(score: Array, label: Array, unit: Array, level: float = LEVEL) -> Interval:
    """Compute the largest |mean score − share of positives| of the bins; range 0..1.

    The limits of all bins hold at once (Bonferroni), each Clopper–Pearson's of its share, widened
    by the design effect of persons: the true maximum lies between the largest of the bins' least
    distances and the largest of their greatest ones. A bin of fewer than ten persons is not told.
    """
    if not score.size:
        return none("no image")
    place = measures.score_bins(score)
    bins = int(place.max()) + 1
    sizes, least, most = [], [], []
    for number in range(bins):
        here = place == number
        if persons(unit[here]) < MIN_EVENTS:
            return none(f"insufficient: a bin of fewer than {MIN_EVENTS} persons", score.size)
        found = share(label[here] == 1, unit[here], 1 - (1 - level) / bins)
        if found.estimate is None or found.lower is None or found.upper is None:
            return none("no image in a bin", score.size)
        centre = float(score[here].mean())
        ends = (found.lower - centre, found.upper - centre)
        sizes.append(abs(found.estimate - centre))
        least.append(max(0.0, ends[0], -ends[1]))
        most.append(max(map(abs, ends)))
    worst = int(np.argmax(sizes))
    here = place == worst
    return Interval(
        estimate=sizes[worst],
        lower=max(least),
        upper=max(most),
        n=score.size,
        method=f"worst of {bins} bins of equal counts: {score[here].mean():.1%} predicted, "
        f"{label[here].mean():.1%} observed; Clopper–Pearson, all bins at once",
    )


def _gap_covariance(score: Array, label: Array, unit: Array, place: Array, gaps: Array) -> Array:
    """Return (bins, bins): between persons, and never less than a binomial of each bin's rate.

    A bin without any positive shows no spread at all, so that rates are drawn towards one half by
    one image of each class before.
    """
    n, count = score.size, np.bincount(place)
    person = np.unique(unit, return_inverse=True)[1]
    off = (score - label) / n - (gaps / count)[place]
    cells = np.bincount(person * gaps.size + place, off, (int(person.max()) + 1) * gaps.size)
    by_person = cells.reshape(-1, gaps.size)
    many = by_person.shape[0]
    found = by_person.T @ by_person * many / (many - 1)
    rate = (np.bincount(place, label) + 1) / (count + 2)
    lacking = count * rate * (1 - rate) / n**2 - np.diag(found)
    return np.asarray(found + np.diag(np.maximum(lacking, 0)))


def level_for(groups: int) -> float:
    """Return the level of each group's interval at which all pairs of groups hold at once."""
    return 2 * NormalDist().cdf(simultaneous_z(LEVEL, groups)) - 1


def largest_gap(found: Sequence[Interval], left_out: int = 0) -> Interval:
    """Compute the largest less the smallest estimate; each interval is of `level_for(groups)`.

    Limits of every pair by MOVER (Zou & Donner 2008), which takes groups as independent: where one
    person is in two groups (two views, say), that is conservative. A group that is too small to
    compare can only widen the gap, so that with one the limits reach up to 1: such a gap can fail
    a rule, and never pass it.
    """
    n = sum(item.n for item in found)
    if len(found) < 2:
        return none("insufficient: no two groups to compare", n)
    value, low, high = (
        np.array([getattr(item, name) for item in found], dtype=float)
        for name in ("estimate", "lower", "upper")
    )
    centre = value[:, None] - value[None, :]
    below = centre - np.hypot((value - low)[:, None], (high - value)[None, :])
    above = centre + np.hypot((high - value)[:, None], (value - low)[None, :])
    gap = Interval(
        estimate=float(centre.max()),
        lower=max(0.0, float(below.max())),
        upper=min(1.0, float(above.max())),
        n=n,
        method=f"highest less lowest of {len(found)} groups, MOVER; {found[0].method}",
    )
    if not left_out:
        return gap
    words = f"{left_out} group{'s' if left_out > 1 else ''} too small to compare"
    return replace(gap, upper=1.0, method=f"{gap.method}; {words}")


def shortfall(found: Interval, declared: float) -> Interval:
    """Return declared − measured, with the limits of what was measured; below 0 is more."""

    def less(value: float | None) -> float | None:
        return None if value is None else declared - value

    return Interval(
        estimate=less(found.estimate),
        lower=less(found.upper),
        upper=less(found.lower),
        n=found.n,
        method=f"{declared:g} declared less measured; {found.method}",
    )
