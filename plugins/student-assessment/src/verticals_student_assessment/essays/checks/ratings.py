"""Read human and machine scores, in points, from the evidence tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.evidence.groups import audited_groups, measurement
from verticals.intervals import Interval
from verticals.table import Array, Table

ROOM = "essays"


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """Hold one trait's scores in points, of rows with both scores: (rows,) each.

    `machine` is the expected score, `given` the declared level that is given out, `place` the
    rows' places in the table `scores`.
    """

    trait: str
    human: Array
    machine: Array
    given: Array
    lower: Array
    upper: Array
    unit: Array
    place: Array
    step: float  # points between neighbouring levels, the smallest

    def at(self, mask: Array) -> Ratings:
        """Return the rows of a mask over the table `scores`."""
        here = mask[self.place]
        columns = ("human", "machine", "given", "lower", "upper", "unit", "place")
        return Ratings(
            trait=self.trait,
            step=self.step,
            **{name: getattr(self, name)[here] for name in columns},
        )


def ratings(tables: Mapping[str, Table]) -> Iterator[Ratings]:
    """Yield each trait whose human and machine scores are in the evidence."""
    scores, scale = tables["scores"], tables["essays.scale"]
    for trait in dict.fromkeys(scale["trait"].tolist()):
        own = scale["trait"] == trait
        points = np.asarray(scale["points"][own], dtype=float)
        names = [f"{trait}{what}" for what in ("", "_level", "_lower", "_upper")]
        if f"target:{trait}" not in scores or any(name not in scores for name in names):
            continue
        code = np.asarray(scores[f"target:{trait}"], dtype=float)
        scored = ~np.isnan(np.asarray(scores[names[0]], dtype=float))  # an empty essay is not
        place = np.flatnonzero(~np.isnan(code) & scored)
        machine, given, lower, upper = (
            np.asarray(scores[name], dtype=float)[place] for name in names
        )
        yield Ratings(
            trait=str(trait),
            human=points[code[place].astype(np.int64)],
            machine=machine,
            given=given,
            lower=lower,
            upper=upper,
            unit=np.asarray(scores["unit"])[place],
            place=place,
            step=float(np.diff(points).min()),
        )


def groups(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterator[tuple[str, str, Array]]:
    """Yield attribute, group and the mask of its rows in the table `scores`."""
    for attribute, group, mask in audited_groups(tables["scores"], info):
        yield attribute.name, group, mask


def measured(name: str, found: Interval, **where: object) -> Measurement:
    """Return an interval as the measurement `essays.NAME`."""
    return measurement(f"{ROOM}.{name}", found, **where)  # type: ignore[arg-type]
