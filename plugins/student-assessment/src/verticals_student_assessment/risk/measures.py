"""What evidence and checks of student-risk share: minimum counts, bins, one view of each output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from verticals.evidence import EvidenceInfo
from verticals.intervals import Interval
from verticals.table import Array, Table

FEWEST = 10  # persons with the outcome, and without it, of whom something is said


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Hold the labelled rows of one binary output."""

    output: str
    score: Array  # (rows,) probability
    label: Array  # (rows,) 1 where the outcome was there, else 0
    unit: Array  # (rows,) person
    week: Array  # (rows,) week, NaN where none is declared
    known: Array  # (all rows,) True where a row is among these


def scored_outputs(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterator[Scored]:
    """Yield the rows of each output that is the probability of a binary target."""
    scores, own = tables["scores"], tables["risk.rows"]
    for output in info.outputs:
        label = scores.get(f"target:{output.target}")
        if output.kind != "probability" or output.target_kind != "binary" or label is None:
            continue
        score = np.asarray(scores[output.name], dtype=np.float64)
        known = ~np.isnan(label) & ~np.isnan(score)
        yield Scored(
            output=output.name,
            score=score[known],
            label=np.asarray(label[known], dtype=np.float64),
            unit=scores["unit"][known],
            week=np.asarray(own["week"][known], dtype=np.float64),
            known=known,
        )


def none(method: str, n: int = 0, estimate: float | None = None) -> Interval:
    """Return an interval without limits; `method` says why."""
    return Interval(estimate=estimate, lower=None, upper=None, n=n, method=method)


def persons(unit: Array) -> int:
    """Return how many persons the rows are of."""
    return int(np.unique(unit).size)


def fewest_persons(label: Array, unit: Array) -> int:
    """Return the persons in the rarer class: with the outcome, or without it."""
    return min(persons(unit[label == side]) for side in (0, 1))


def too_few(label: Array, unit: Array) -> Interval | None:
    """Return the interval that says so where a class has fewer than ten persons, else None."""
    if fewest_persons(label, unit) >= FEWEST:
        return None
    return none(f"fewer than {FEWEST} persons with or without the outcome", label.size)


def bins_of_persons(score: Array, unit: Array, most: int, least: int = FEWEST) -> Array:
    """Return (rows,) bins from 0, lowest score first, of about equal counts.

    No more than `most`, and so few that each has about `least` persons or more; equal scores
    share a bin.
    """
    count = max(1, min(most, persons(unit) // least))
    values, place, size = np.unique(score, return_inverse=True, return_counts=True)
    before = np.cumsum(size) - size  # rows below each distinct score
    bins = (before * count // max(score.size, 1))[place] if values.size else place
    return np.asarray(np.unique(bins, return_inverse=True)[1])
