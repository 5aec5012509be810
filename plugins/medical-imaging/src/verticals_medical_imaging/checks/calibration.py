"""Does a probability of 0.2 mean two in ten: on the whole, over bins, and in the worst bin?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval
from verticals.table import Array, Table
from verticals_medical_imaging.checks import images, intervals

_Error = Callable[[Array, Array, Array, float], Interval]  # score, label, unit, level


def calibration(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure how far each probability is off, over all and by group, in three ways.

    `imaging.ece` averages the distance over bins; `imaging.calibration_in_the_large` is the mean
    probability less the share of images with the finding; `imaging.worst_bin` is the largest
    distance of a bin, over all only.
    """
    for scored in images.scored_outputs(tables, info):
        everybody = np.ones(scored.score.size, dtype=bool)
        for name, error in (
            ("ece", intervals.calibration_error),
            ("calibration_in_the_large", intervals.mean_error),
        ):
            measure = _held(scored, error)
            whole = measure(everybody, intervals.LEVEL)
            yield images.measured(name, whole, output=scored.output)
            yield from images.by_group(name, measure, scored.output, tables["scores"], info)
        worst = _held(scored, intervals.worst_bin)(everybody, intervals.LEVEL)
        yield images.measured("worst_bin", worst, output=scored.output)


def _held(scored: images.Scored, error: _Error) -> images.Measure:
    """Return the error of some rows, held to the minimum counts."""

    def measure(rows: Array, level: float) -> Interval:
        here = rows & scored.known
        score, label, unit = scored.score[here], scored.label[here], scored.unit[here]
        found = error(score, label, unit, level)
        fewest = min(intervals.persons(unit[label == side]) for side in (0, 1))
        return intervals.held_to_minimum(
            found, intervals.persons(unit), fewest, "persons in the rarer class"
        )

    return measure
