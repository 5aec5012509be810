"""Does a probability of a right answer mean what it says, over all, along a history, by group?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval, calibration_slope, mean
from verticals.table import Array, Table
from verticals_student_assessment.tracing.checks import answers
from verticals_student_assessment.tracing.fusion import stretch_name, stretches


def calibration(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure mean score − share right, and the slope of outcome on log-odds (1 is perfect)."""
    scored = answers.scored_answers(tables, info)
    if scored is None:
        return
    excess = scored.score - scored.label

    def gap(rows: Array) -> Interval:
        found = mean(excess[rows], units=scored.unit[rows])
        return answers.held_to_minimum(found, scored.unit[rows])

    yield answers.measured(scored, "calibration_gap", gap(scored.all))
    yield from answers.by_group(scored, "calibration_gap", gap)
    where = stretches(scored.position)
    for place in np.unique(where).tolist():
        found = gap(where == place)
        name = "calibration_gap_by_position"
        yield answers.measured(scored, name, found, subject=stretch_name(place))
    slope = calibration_slope(scored.score, scored.label, units=scored.unit)
    yield answers.measured(scored, "calibration_slope", answers.held_to_minimum(slope, scored.unit))
