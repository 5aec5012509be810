"""Do intervals hold the human score as declared, and how many essays go to a person?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval, exact, mean
from verticals.table import Array, Table
from verticals_student_assessment.essays.checks import moments
from verticals_student_assessment.essays.checks.agreement import shares
from verticals_student_assessment.essays.checks.ratings import Ratings, groups, measured, ratings


def coverage(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure how often intervals hold the human score, by trait and group, and their width.

    `essays.coverage_shortfall` is the declared coverage less the measured one, each person
    weighing 1, as split conformal intervals promise it over new persons.
    """
    promised = float(tables["essays.declared"]["coverage"][0])
    for item in ratings(tables):
        whole = _covered(item)
        yield measured("coverage", whole, output=item.trait)
        yield measured("coverage_shortfall", _lacking(whole, promised), output=item.trait)
        yield measured("interval_width", _width(item), output=item.trait)
        for attribute, group, mask in groups(tables, info):
            found = _covered(item.at(mask))
            yield measured("coverage", found, output=item.trait, group=(attribute, group))


def routing(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the share of essays that go to a person: in total, by reason, and by group."""
    scores = tables["scores"]
    if "review" not in scores:
        yield measured("routed", moments.none("the evidence has no column review"))
        return
    review, unit = np.asarray(scores["review"], dtype=float) > 0, np.asarray(scores["unit"])
    yield measured("routed", shares(review, unit))
    for reason, here in _reasons(scores):
        few = np.unique(unit[here]).size < moments.FEWEST_PERSONS  # nobody is to be singled out
        found = moments.none("fewer than 10 persons", here.size) if few else shares(here, unit)
        yield measured("routed_for", found, subject=reason)
    for attribute, group, mask in groups(tables, info):
        yield measured("routed", shares(review[mask], unit[mask]), group=(attribute, group))
    yield from _left(tables, review)


def _left(tables: Mapping[str, Table], review: Array) -> Iterator[Measurement]:
    """Measure kappa of the essays that the machine scores alone."""
    for item in ratings(tables):
        alone = item.at(~review)
        sums = moments.sums_by_person(alone.human, alone.given, alone.unit)
        yield measured("unrouted_qwk", moments.resampled(sums, moments.kappa), output=item.trait)


def _reasons(scores: Table) -> Iterator[tuple[str, Array]]:
    told = [str(value).split("; ") if value else [] for value in scores["review_reason"]]
    for reason in sorted({reason for row in told for reason in row}):
        yield reason, np.array([reason in row for row in told], dtype=bool)


def _covered(item: Ratings) -> Interval:
    """Return the mean over persons of each person's share of scores inside: Clopper–Pearson."""
    inside = (item.human >= item.lower - 1e-9) & (item.human <= item.upper + 1e-9)
    person = np.unique(item.unit, return_inverse=True)[1]
    many = int(person.max(initial=-1)) + 1
    if many < moments.FEWEST_PERSONS:
        return moments.none("fewer than 10 persons", inside.size)
    each = np.bincount(person, inside.astype(float)) / np.bincount(person)
    found = exact(float(each.sum()), many)
    return replace(found, n=inside.size, method=f"each person weighs 1, {found.method}")


def _lacking(found: Interval, promised: float) -> Interval:
    def less(value: float | None) -> float | None:
        return None if value is None else promised - value

    return Interval(
        estimate=less(found.estimate),
        lower=less(found.upper),
        upper=less(found.lower),
        n=found.n,
        method=f"{promised:g} declared less measured; {found.method}",
    )


def _width(item: Ratings) -> Interval:
    if np.unique(item.unit).size < moments.FEWEST_PERSONS:
        return moments.none("fewer than 10 persons", item.human.size)
    return mean(item.upper - item.lower, units=item.unit)
