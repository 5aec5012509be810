"""Does a probability of 0.2 mean two in ten?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval
from verticals.table import Array, Table
from verticals_medical_imaging.checks import images, intervals


def calibration(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the expected calibration error of each probability, over all and by group."""
    for scored in images.scored_outputs(tables, info):

        def measure(rows: Array, level: float, scored: images.Scored = scored) -> Interval:
            here = rows & scored.known
            score, label, unit = scored.score[here], scored.label[here], scored.unit[here]
            found = intervals.calibration_error(score, label, unit, level)
            fewest = min(intervals.persons(unit[label == side]) for side in (0, 1))
            return intervals.held_to_minimum(
                found, intervals.persons(unit), fewest, "persons in the rarer class"
            )

        whole = measure(np.ones(scored.score.size, dtype=bool), intervals.LEVEL)
        yield images.measured("ece", whole, output=scored.output)
        yield from images.by_group("ece", measure, scored.output, tables["scores"], info)
