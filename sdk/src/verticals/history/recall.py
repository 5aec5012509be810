"""Derive one event's fields from what a stream remembers; the same values as in a batch."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.contract.model import MISSING_AMOUNT
from verticals.history.amounts import log_amounts, log_seconds
from verticals.history.define import RECENT_WIDTH, EntityPlan
from verticals.history.memory import ABSENT, Record
from verticals.table import Array


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Say what is seen: events from `lows[window]` to `high`, labels likewise, and cap bites."""

    high: int
    lows: tuple[int, ...]
    label_high: int
    label_lows: tuple[int, ...]
    bites: int


class Recall:
    """Derive the fields of one kind of entity."""

    def __init__(self, plan: EntityPlan, scale: float) -> None:
        self.plan = plan
        self._scale = scale
        self._names = {
            measure: plan.names(measure)
            for measure in ("count", "sum", "mean", "max", "ratio", "risk")
        }
        self._distinct = [plan.distinct_names(other) for other in plan.distinct]

    def nothing(self) -> dict[str, Any]:
        """Return the fields of an event whose entity is missing or has no history."""
        values: dict[str, Any] = {}
        for measure, names in self._names.items():
            values.update(dict.fromkeys(names, 0.0 if measure in ("count", "sum") else math.nan))
        for names in self._distinct:
            values.update(dict.fromkeys(names, 0.0))
        if self.plan.since_name:
            values[self.plan.since_name] = math.nan
        if self.plan.recent_name:
            values[self.plan.recent_name] = np.zeros((self.plan.recent, RECENT_WIDTH))
        return values

    def look(self, record: Record, time: int) -> Moment:
        """Find the bounds of every window at a time that is no earlier than the record's."""
        high = bisect_left(record.times, time)
        label_high = bisect_left(record.label_times, time)
        cap, bites, lows, label_lows = self.plan.cap, 0, [], []
        for span in self.plan.spans:
            low = bisect_left(record.times, time - span, 0, high)
            label_low = bisect_left(record.label_times, time - span, 0, label_high)
            bites += high - low > cap or label_high - label_low > cap
            lows.append(max(low, high - cap))
            label_lows.append(max(label_low, label_high - cap))
        return Moment(
            high=high,
            lows=tuple(lows),
            label_high=label_high,
            label_lows=tuple(label_lows),
            bites=bites,
        )

    def values(
        self, record: Record, seen: Moment, time: int, amount: int, other: int
    ) -> dict[str, Any]:
        """Return the fields of an event; `other` is the code of its first distinct entity."""
        values: dict[str, Any] = {}
        for name, low in zip(self._names["count"], seen.lows, strict=False):
            values[name] = float(seen.high - low)
        if self.plan.reads_amount:
            self._add_amounts(values, record.amounts, seen, amount)
        for names, column in zip(self._distinct, record.others, strict=True):
            _add_distinct(values, names, column, seen)
        if self._names["risk"]:
            self._add_risk(values, record, seen)
        some = seen.lows[-1] < seen.high
        if self.plan.since_name:
            gap = float(time - record.times[seen.high - 1]) / 1e6 if some else math.nan
            values[self.plan.since_name] = gap
        if self.plan.recent_name:
            values[self.plan.recent_name] = self._recent(record, seen, time, other)
        return values

    def _add_amounts(
        self, values: dict[str, Any], amounts: array[int], seen: Moment, amount: int
    ) -> None:
        """Go from the shortest window to the longest, each adding what the one before lacks."""
        names, scale = self._names, self._scale
        own = math.nan if amount == MISSING_AMOUNT else float(amount) / scale
        total, known, largest, upper = 0, 0, MISSING_AMOUNT, seen.high
        for place, low in enumerate(seen.lows):
            if low < upper:
                part = amounts[low:upper]
                lacking = part.count(MISSING_AMOUNT)
                total += sum(part) - lacking * MISSING_AMOUNT
                known += upper - low - lacking
                if names["max"]:
                    largest = max(largest, max(part))  # a missing one is below every other
                upper = low
            money = float(total) / scale
            mean = money / known if known else math.nan
            if names["sum"]:
                values[names["sum"][place]] = money
            if names["mean"]:
                values[names["mean"][place]] = mean
            if names["max"]:
                values[names["max"][place]] = float(largest) / scale if known else math.nan
            if names["ratio"]:
                values[names["ratio"][place]] = own / mean if mean else math.nan

    def _add_risk(self, values: dict[str, Any], record: Record, seen: Moment) -> None:
        positives, upper = 0, seen.label_high
        for name, low in zip(self._names["risk"], seen.label_lows, strict=True):
            positives += sum(record.labels[low:upper])
            upper = low
            known = seen.label_high - low
            values[name] = positives / known if known else math.nan

    def _recent(self, record: Record, seen: Moment, time: int, other: int) -> Array:
        cells = np.zeros((self.plan.recent, RECENT_WIDTH))
        count = min(self.plan.recent, seen.high - seen.lows[-1])
        if not count:
            return cells
        here = slice(seen.high - count, seen.high)
        latest = cells[-count:]
        if self.plan.reads_amount:
            amounts = np.array(record.amounts[here], dtype=np.int64)
            latest[:, 0] = log_amounts(amounts, self._scale)
        latest[:, 1] = log_seconds(time - np.array(record.times[here], dtype=np.int64))
        latest[:, 2] = 1.0
        if record.others and other != ABSENT:
            latest[:, 3] = np.array(record.others[0][here]) == other
        return cells


def _add_distinct(
    values: dict[str, Any], names: Sequence[str], column: array[int], seen: Moment
) -> None:
    found: set[int] = {ABSENT}
    upper = seen.high
    for name, low in zip(names, seen.lows, strict=True):
        if low < upper:
            found.update(column[low:upper])
            upper = low
        values[name] = float(len(found) - 1)
