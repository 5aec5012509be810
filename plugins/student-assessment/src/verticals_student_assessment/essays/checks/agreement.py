"""Do machine and human agree, as far as humans agree, and alike in every group?

Acceptance of Williamson, Xi & Breyer 2012 ("A framework for evaluation and use of automated
scoring", Educational Measurement: Issues and Practice 31): quadratic weighted kappa, its
degradation from that of two humans, and the standardised mean difference, also within groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval, design_effect, exact
from verticals.table import Array, Table
from verticals_student_assessment.essays.checks import moments
from verticals_student_assessment.essays.checks.ratings import Ratings, groups, measured, ratings

_SUMS = 6


def agreement(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure kappa, RMSE, mean difference, exact and adjacent agreement; MCRMSE over traits.

    Kappa and agreement are of the scores given out, on the declared levels; RMSE and mean
    difference of the points.
    """
    found = list(ratings(tables))
    for item in found:
        given = moments.sums_by_person(item.human, item.given, item.unit)
        points = moments.sums_by_person(item.human, item.machine, item.unit)
        yield measured("qwk", moments.resampled(given, moments.kappa), output=item.trait)
        yield measured("rmse", moments.resampled(points, moments.root_error), output=item.trait)
        shift = moments.resampled(points, moments.mean_difference)
        yield measured("smd", shift, output=item.trait)
        yield measured("smd_size", moments.absolute(shift), output=item.trait)
        apart = np.abs(item.given - item.human)
        for name, most in (("exact_agreement", 0.0), ("adjacent_agreement", item.step)):
            share = shares(apart <= most + 1e-9, item.unit)
            yield measured(name, share, output=item.trait)
    if len(found) > 1:
        yield measured("mcrmse", _mean_error(found))


def ceiling(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the agreement of two humans, and how far the machine falls short of it.

    Degradation is kappa of the two humans less that of machine and first human, on the same rows.
    """
    second = tables["essays.second_rater"]
    for item in ratings(tables):
        if item.trait not in second:
            continue
        other = np.asarray(second[item.trait], dtype=float)[item.place]
        both = ~np.isnan(other)
        humans = moments.sums_by_person(item.human[both], other[both], item.unit[both])
        machine = moments.sums_by_person(item.human[both], item.given[both], item.unit[both])
        yield measured("human_qwk", moments.resampled(humans, moments.kappa), output=item.trait)
        together = np.concatenate([humans, machine], axis=1)
        found = moments.resampled(together, _degradation)
        yield measured("qwk_degradation", found, output=item.trait)


def fairness(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure within each group how far machine scores lie above human ones.

    In units of the spread over all rows, so that groups are held to one measure: (mean machine −
    mean human in the group) / sqrt((s²_h + s²_m) / 2).
    """
    for item in ratings(tables):
        whole = moments.sums_by_person(item.human, item.machine, item.unit)
        for attribute, group, mask in groups(tables, info):
            own = item.at(mask)
            found = _group_difference(item, own, whole)
            place = {"output": item.trait, "group": (attribute, group)}
            yield measured("subgroup_smd", found, **place)
            yield measured("subgroup_smd_size", moments.absolute(found), **place)
            rooted = moments.sums_by_person(own.human, own.machine, own.unit)
            yield measured("rmse", moments.resampled(rooted, moments.root_error), **place)


def _degradation(sums: Array) -> Array:
    return moments.kappa(sums[..., :_SUMS]) - moments.kappa(sums[..., _SUMS:])


def _mean_error(found: list[Ratings]) -> Interval:
    """Return the mean over traits of the root mean squared error, persons resampled together."""
    persons = np.unique(np.concatenate([item.unit for item in found]))
    parts = []
    for item in found:
        sums = np.zeros((persons.size, _SUMS))
        own = moments.sums_by_person(item.human, item.machine, item.unit)
        sums[np.searchsorted(persons, np.unique(item.unit))] = own
        parts.append(sums)

    def statistic(sums: Array) -> Array:
        split = np.split(sums, len(found), axis=-1)
        return np.asarray(np.mean([moments.root_error(part) for part in split], axis=0))

    return moments.resampled(np.concatenate(parts, axis=1), statistic)


def _group_difference(item: Ratings, own: Ratings, whole: Array) -> Interval:
    """Return the group's mean difference over the spread of all; both are resampled together."""
    persons = np.unique(item.unit)
    inside = np.unique(own.unit)
    if inside.size < moments.MIN_PERSONS:
        return moments.resampled(
            moments.sums_by_person(own.human, own.machine, own.unit), _over(whole)
        )
    sums = np.zeros((persons.size, _SUMS))
    sums[np.searchsorted(persons, inside)] = moments.sums_by_person(
        own.human, own.machine, own.unit
    )

    def statistic(both: Array) -> Array:
        part = both[..., _SUMS:]
        with np.errstate(invalid="ignore", divide="ignore"):
            gap = (part[..., 2] - part[..., 1]) / part[..., 0]
        return np.asarray(gap / _spread(both[..., :_SUMS]))

    return moments.resampled(np.concatenate([whole, sums], axis=1), statistic)


def _over(whole: Array) -> moments.Statistic:
    """Return the mean difference of some sums over the spread of all rows."""
    spread = _spread(whole.sum(axis=0))

    def statistic(sums: Array) -> Array:
        return np.asarray((sums[..., 2] - sums[..., 1]) / sums[..., 0] / spread)

    return statistic


def _spread(sums: Array) -> Array:
    n, h, m, hh, mm = (sums[..., place] for place in range(5))
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (hh / n - (h / n) ** 2 + mm / n - (m / n) ** 2) / 2
        return np.asarray(np.sqrt(np.maximum(variance, 0)))


def shares(hit: Array, unit: Array) -> Interval:
    """Return a share of rows with Clopper–Pearson limits, widened for persons with several."""
    if np.unique(unit).size < moments.FEWEST_PERSONS:
        return moments.none("fewer than 10 persons", hit.size)
    values = hit.astype(float)
    return exact(float(values.sum()), values.size, design_effect=design_effect(values, unit))
