"""Do prediction sets hold the truth as often as declared, and what does abstaining buy?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval, mean
from verticals.table import Array, Table
from verticals_medical_imaging.checks import images, intervals
from verticals_medical_imaging.checks.discrimination import rate_measure
from verticals_medical_imaging.checks.images import Measure, Sets

_NO_SETS = "the evidence has no prediction sets"


def prediction_sets(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure how often sets hold the truth (in total, by class and by group), and their size.

    `imaging.coverage_shortfall` is the declared coverage less the measured one, in total and for
    each class: class-conditional sets promise it for each (Vovk, ACML 2012), over new persons, so
    that each person weighs 1 however many images there are.
    """
    found = list(images.prediction_sets(tables, info))
    if not found:
        yield images.unmeasured("coverage", _NO_SETS)
    promised = images.declared(tables, info, "coverage")
    for sets in found:
        yield from _coverage(sets, promised)
        measure = _covered(sets, sets.known, "persons")
        yield from images.by_group("coverage", measure, sets.output, tables["scores"], info)
        yield images.measured("set_size", _size(sets), output=sets.output)
        empty = intervals.share(sets.size == 0, sets.unit)
        yield images.measured("empty_sets", empty, output=sets.output)


def abstention(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the share of images on which the model abstains, and its accuracy on the others.

    Selective accuracy is the share of images with one value in their set where it is the truth
    (El-Yaniv & Wiener, JMLR 11, 2010), among those on which the model does not abstain.
    """
    found = list(images.prediction_sets(tables, info))
    if not found:
        yield images.unmeasured("abstained", _NO_SETS)
    for sets in found:
        rows = np.ones(sets.size.size, dtype=bool)
        given = sets.known & ~sets.abstained
        left = "persons with a finding given out"
        for name, measure in (
            ("abstained", rate_measure(sets.abstained, rows, rows, sets.unit, "persons")),
            ("selective_accuracy", rate_measure(sets.right, given, sets.known, sets.unit, left)),
        ):
            whole = measure(rows, intervals.LEVEL)
            yield images.measured(name, whole, output=sets.output)
            yield from images.by_group(name, measure, sets.output, tables["scores"], info)


def _coverage(sets: Sets, promised: float | None) -> Iterator[Measurement]:
    parts: list[tuple[str, Array, str]] = [("", sets.known, "persons")]
    parts += [
        (name, sets.truth == place, "persons of the class")
        for place, name in enumerate(sets.classes)
    ]
    for name, trial, of in parts:
        measure = _covered(sets, trial, of)
        found = measure(sets.known, intervals.LEVEL)
        check = "class_coverage" if name else "coverage"
        yield images.measured(check, found, output=sets.output, subject=name)
        if promised is not None:
            lacking = intervals.shortfall(found, promised)
            yield images.measured("coverage_shortfall", lacking, output=sets.output, subject=name)
        elif not name:
            why = "the evidence has no declared coverage"
            yield images.unmeasured("coverage_shortfall", why, output=sets.output)


def _covered(sets: Sets, trial: Array, of: str) -> Measure:
    """Return the coverage of some rows: what is promised is that of a new person's image."""
    share = intervals.person_share
    return rate_measure(sets.covered, trial, sets.known, sets.unit, of, share)


def _size(sets: Sets) -> Interval:
    found = mean(sets.size, units=sets.unit)
    many = intervals.persons(sets.unit)
    return intervals.held_to_minimum(found, many, many, "persons")
