"""Does the score rank images with the finding above others, and how well does its cut do?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval, auc
from verticals.table import Array, Table
from verticals_medical_imaging.checks import images, intervals
from verticals_medical_imaging.checks.images import Measure, Scored


def discrimination(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the area under the ROC curve over all and by group, and the gap of the groups."""
    for scored in images.scored_outputs(tables, info):
        measure = area_measure(scored)
        whole = measure(np.ones(scored.score.size, dtype=bool), intervals.LEVEL)
        yield images.measured("auc", whole, output=scored.output)
        yield from images.by_group("auc", measure, scored.output, tables["scores"], info)


def operating_point(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure sensitivity and specificity of the decision, over all and by group.

    Images on which the model abstains count by the decision that they would have had.
    """
    for scored in images.scored_outputs(tables, info):
        if scored.decision is None:
            for name in ("sensitivity", "specificity"):
                why = "the evidence has no decision on this output"
                yield images.unmeasured(name, why, output=scored.output)
            continue
        yield from _rates(scored, tables, info)


def area_measure(scored: Scored) -> Measure:
    """Return the area of some rows, held to the minimum counts."""

    def measure(rows: Array, level: float) -> Interval:
        here = rows & scored.known
        score, label, unit = scored.score[here], scored.label[here], scored.unit[here]
        found = auc(score, label, units=unit, level=level)
        if found.estimate is None:
            return intervals.none("one class only", found.n)
        fewest = min(intervals.persons(unit[label == side]) for side in (0, 1))
        return intervals.held_to_minimum(
            found, intervals.persons(unit), fewest, "persons in the rarer class"
        )

    return measure


def rate_measure(
    hit: Array,
    trial: Array,
    everybody: Array,
    unit: Array,
    of: str,
    share: Callable[[Array, Array, float], Interval] = intervals.share,
) -> Measure:
    """Return the share of `hit` among the `trial` rows of some rows, held to the minimum counts."""

    def measure(rows: Array, level: float) -> Interval:
        here = rows & trial
        found = share(hit[here], unit[here], level)
        people = intervals.persons(unit[rows & everybody])
        return intervals.held_to_minimum(found, people, intervals.persons(unit[here]), of)

    return measure


def _rates(
    scored: Scored, tables: Mapping[str, Table], info: EvidenceInfo
) -> Iterator[Measurement]:
    assert scored.decision is not None
    known = scored.known & ~np.isnan(scored.decision)
    rows = np.ones(scored.score.size, dtype=bool)
    for name, side, of in (
        ("sensitivity", 1, "persons with the finding"),
        ("specificity", 0, "persons without the finding"),
    ):
        trial = known & (scored.label == side)
        measure = rate_measure(scored.decision == side, trial, known, scored.unit, of)
        whole = measure(rows, intervals.LEVEL)
        yield images.measured(name, whole, output=scored.output)
        promised = images.declared(tables, info, name)
        if promised is not None:
            lacking = intervals.shortfall(whole, promised)
            yield images.measured(f"{name}_shortfall", lacking, output=scored.output)
        yield from images.by_group(name, measure, scored.output, tables["scores"], info)
