"""Purification: items that show DIF are taken out of the score on which persons are matched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from verticals.table import Array
from verticals_student_assessment.items.dif.cells import Cells, Responses, count_cells
from verticals_student_assessment.items.dif.mantel import ALPHA, DifStatistics, dif_statistics

MOST_STEPS = 10
FEWEST_ITEMS = 4  # that match persons; with fewer the sum says too little about a person

CONVERGED, LOOP, CAP, TOO_FEW = "converged", "loop", "not converged", "too few items"

Flag = Callable[[DifStatistics], Array]  # (items,) True: leave the item out


@dataclass(frozen=True, kw_only=True, eq=False)
class Purified:
    """Hold the last step: which items match persons, the counts by their sum, and how it ended."""

    matching: Array  # (items,) bool
    cells: Cells
    statistics: DifStatistics
    steps: int
    outcome: str


def beyond_class_a(found: DifStatistics) -> Array:
    """Flag items of ETS class B or C.

    Not significance alone: among 100,000 persons every difference is significant, and the score
    would be left without items.
    """
    return np.isin(found.ets, ("B", "C"))


def significant(found: DifStatistics) -> Array:
    """Flag items with p < .05, as the R package difR does."""
    with np.errstate(invalid="ignore"):
        return np.asarray(found.p_value < ALPHA)


def purify(
    responses: Responses,
    focal: Array,
    *,
    flag: Flag = beyond_class_a,
    most_steps: int = MOST_STEPS,
) -> Purified:
    """Take flagged items out of the matching score until the flagged ones stay the same.

    Each step flags anew, so that an item can come back, and the studied item is always in its
    own score (as `purify = TRUE` of difR). It ends without convergence where the flags repeat
    earlier ones (a loop), after `most_steps`, or before fewer than 4 items are left to match on;
    the last step then stands, and `outcome` says so.
    """
    matching = np.ones(responses.maximum.size, dtype=bool)
    cells = count_cells(responses, focal, matching)
    found = dif_statistics(cells)
    seen = [matching]
    outcome, steps = CAP, 0
    while steps < most_steps:
        kept = ~flag(found)
        if np.array_equal(kept, matching):
            outcome = CONVERGED
            break
        if any(np.array_equal(kept, earlier) for earlier in seen):
            outcome = LOOP
            break
        if int(kept.sum()) < FEWEST_ITEMS:
            outcome = TOO_FEW
            break
        steps += 1
        matching = kept
        seen.append(matching)
        cells = count_cells(responses, focal, matching)
        found = dif_statistics(cells)
    return Purified(matching=matching, cells=cells, statistics=found, steps=steps, outcome=outcome)
