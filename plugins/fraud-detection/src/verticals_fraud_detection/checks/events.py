"""The audited events as every check reads them: one view for each score of fraud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement, measurement
from verticals.intervals import Interval
from verticals.table import Array, Table


@dataclass(frozen=True, kw_only=True)
class Events:
    """Hold the scored events of one output; what the evidence lacks is None.

    `clusters` are persons or cards, whichever are fewer: what is taken to be independent.
    """

    output: str
    score: Array
    label: Array  # 1 fraud, 0 genuine, NaN unknown
    clusters: Array
    decision: Array | None  # 1 where an alert was raised
    card: Array | None = None
    day: Array | None = None
    minute: Array | None = None
    amount: Array | None = None

    def take(self, rows: Array) -> Events:
        """Return the events that a mask selects."""
        kept: dict[str, Any] = {
            name: None if (column := getattr(self, name)) is None else column[rows]
            for name in ("score", "label", "clusters", *_OPTIONAL)
        }
        return replace(self, **kept)

    @property
    def labelled(self) -> Events:
        """Return the events whose label is known."""
        return self.take(~np.isnan(self.label))

    @property
    def genuine(self) -> Array:
        """Return (rows,) True for the events that are known to be genuine."""
        return np.asarray(self.label == 0)

    @property
    def fraud(self) -> Array:
        """Return (rows,) True for the events that are known to be fraud."""
        return np.asarray(self.label == 1)

    def lacks(self, *names: str) -> str:
        """Say which of the named columns the evidence lacks, "" where it has them all."""
        absent = [name for name in names if getattr(self, name) is None]
        return f"the evidence has no {_WORDS[absent[0]]}" if absent else ""

    def measured(
        self, check: str, found: Interval, *, subject: str = "", group: tuple[str, str] = ("", "")
    ) -> Measurement:
        """Return a measurement of this output; `group` is (attribute, group)."""
        return measurement(
            f"fraud.{check}", found, output=self.output, subject=subject, group=group
        )

    def unmeasured(self, check: str, why: str, *, subject: str = "") -> Measurement:
        """Return the measurement that could not be made, with the reason."""
        empty = Interval(estimate=None, lower=None, upper=None, n=0, method=f"not measured: {why}")
        return self.measured(check, empty, subject=subject)


_OPTIONAL = ("decision", "card", "day", "minute", "amount")
_WORDS = {
    "decision": "decision on this output",
    "card": "cards (table fraud.events)",
    "day": "days: the contract names no time",
    "minute": "minutes: the contract names no time",
    "amount": "amounts: the contract names none",
}


def outputs(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterator[Events]:
    """Yield the events of each output that is the probability of a binary target."""
    scores, further = tables["scores"], tables.get("fraud.events")
    found: dict[str, Array | None] = dict.fromkeys(_OPTIONAL)
    if further is not None and further.rows == scores.rows:
        found.update({name: further[name] for name in _OPTIONAL if name in further})
    for output in info.outputs:
        if (output.kind, output.target_kind) != ("probability", "binary"):
            continue
        if f"target:{output.target}" not in scores or output.name not in scores:
            continue
        decided = info.decision.get("target", output.target) == output.target
        yield Events(
            output=output.name,
            score=np.asarray(scores[output.name], dtype=float),
            label=np.asarray(scores[f"target:{output.target}"], dtype=float),
            clusters=_coarser(scores["unit"], found["card"]),
            **{**found, "decision": scores.get("decision") if decided else None},
        )


def days(events: Events) -> int:
    """Return how many days the audited part spans, days without events included."""
    day = events.day
    return 0 if day is None or not day.size else int(day.max() - day.min()) + 1


def daily_sums(values: Array, day: Array) -> Array:
    """Return (days,) the sum of each day from the first to the last, 0 for days without events."""
    return np.bincount(day - day.min(), values) if day.size else np.zeros(0)


def _coarser(unit: Array, card: Array | None) -> Array:
    if card is None or np.unique(unit).size <= np.unique(card).size:
        return unit
    return card
