"""Derive histories event by event, for online scoring."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from verticals.contract.model import AMOUNT, MISSING_AMOUNT, TIME
from verticals.errors import CallError, DataError
from verticals.history.define import Plan
from verticals.history.memory import ABSENT, Codes, EntityMemory
from verticals.history.recall import Moment, Recall
from verticals.history.state import pack, unpack
from verticals.history.values import micros_of, text_of, value_of
from verticals.plugin import State

LATE = ("refuse", "now")


class HistoryStream:
    """Remember events and derive the fields of each new one; equal to `HistoryFeatures.batch`.

    The events of one entity come in order of time. What comes too late is refused (`late` =
    "refuse"), or taken as if it came at its entity's latest time ("now"), and counted. A push or a
    label that raises leaves everything as it was. Labels may come in any order, and are seen by
    events of a later time than the one at which they became known.
    """

    def __init__(self, plan: Plan, *, late: str = "refuse") -> None:
        if late not in LATE:
            raise CallError(f"late is {late!r}, expected one of {', '.join(LATE)}")
        self._plan = plan
        self._late = late
        self._recalls = [Recall(item, plan.scale) for item in plan.entities]
        self._codes: dict[str, Codes] = {}
        self._memories: list[EntityMemory] = []
        self._counters: dict[str, int] = {}
        self._reset()

    @property
    def counters(self) -> Mapping[str, int]:
        """Return what has been counted since the stream began.

        events; cap_bites: pairs of event and window of which the cap hid something; unknown_E:
        events whose entity E is missing or has no earlier event in its longest window; missing_E:
        those whose entity is missing; missing_amounts; late_events; labels.
        """
        return dict(self._counters)

    def push(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the derived fields of an event, then remember it.

        The event has the names of a bound table: `@time`, `@<entity>` (text or None) and, with
        amounts, `@amount` (whole minor units; None or MISSING_AMOUNT where missing).

        Raises `DataError` for a missing or unreadable value, and for an event that comes too late.
        """
        time = micros_of(event, TIME)
        amount = _amount(event) if self._plan.scale else MISSING_AMOUNT
        texts = {name: text_of(event, f"@{name}") for name in self._plan.columns}
        times = self._times(texts, time)
        missing = amount == MISSING_AMOUNT
        counted = {
            "events": 1,
            "cap_bites": 0,
            "late_events": int(any(moved > time for moved in times.values())),
            "missing_amounts": int(missing and self._plan.scale > 0),
        }
        values: dict[str, Any] = {}
        if self._plan.amount_field:
            values["amount"] = math.nan if missing else float(amount) / self._plan.scale
        for recall, memory in zip(self._recalls, self._memories, strict=True):
            name = memory.plan.entity
            found, seen = _derive(recall, memory, texts, times[name], amount)
            values.update(found)
            _count(counted, name, texts[name], seen)
        for memory in self._memories:  # nothing raises from here on
            key = texts[memory.plan.entity]
            if key is not None:
                others = [texts[other] for other in memory.plan.distinct]
                memory.take(key, times[memory.plan.entity], amount, others)
        for name, number in counted.items():
            self._counters[name] += number
        return values

    def label(self, event: Mapping[str, Any], value: Any, time: Any) -> None:
        """Remember that an event's label became known at a time: 1 positive, 0 negative.

        The event needs its `@time` and the entities whose risk is derived.

        Raises `DataError` for another value, and for a label known before its event.
        """
        taken, known = micros_of(event, TIME), micros_of({"time": time}, "time")
        if known < taken:
            raise DataError(
                f"future label: a label is said to be known {(taken - known) / 1e6:g} s before its "
                "own event, expected a later time",
                hint="give the time at which the outcome became known",
            )
        if isinstance(value, (str, bytes)) or value is None or value not in (0, 1):
            raise DataError("a label is neither 0 nor 1, expected 1 for the positive value")
        told = [memory for memory in self._memories if "risk" in memory.plan.measures]
        keys = [text_of(event, f"@{memory.plan.entity}") for memory in told]
        for memory, key in zip(told, keys, strict=True):
            if key is not None:
                memory.tell(key, known, int(value))
        self._counters["labels"] += 1

    def save(self) -> State:
        """Return the state, which is private data: a file of its own, never in a bundle."""
        return pack(self._plan, self._memories, self._codes, self._counters)

    def restore(self, state: State) -> None:
        """Take a saved state up again, in place of what is remembered.

        Raises `DataError`, with nothing changed, for a state of another version or of other
        definitions, or one that is damaged.
        """
        fresh = HistoryStream(self._plan, late=self._late)
        unpack(self._plan, state, fresh._memories, fresh._codes, fresh._counters)
        self._memories, self._codes = fresh._memories, fresh._codes
        self._counters = fresh._counters

    def _reset(self) -> None:
        others = {other for item in self._plan.entities for other in item.distinct}
        self._codes = {other: Codes() for other in sorted(others)}
        self._memories = [
            EntityMemory(item, [self._codes[other] for other in item.distinct])
            for item in self._plan.entities
        ]
        names = ["events", "cap_bites", "missing_amounts", "late_events", "labels"]
        for item in self._plan.entities:
            names += [f"unknown_{item.entity}", f"missing_{item.entity}"]
        self._counters = dict.fromkeys(names, 0)

    def _times(self, texts: Mapping[str, str | None], time: int) -> dict[str, int]:
        """Return the time at which each entity takes the event; refuse what comes too late."""
        times = {}
        for memory in self._memories:
            name = memory.plan.entity
            key = texts[name]
            latest = time if key is None else memory.latest(key)
            if latest > time and self._late == "refuse":
                known = key in memory.records
                than = f"what is known of its {name}" if known else "all that is remembered"
                raise DataError(
                    f"clock: an event is {(latest - time) / 1e6:g} s older than {than}, "
                    f"expected the events of one {name} in order of time",
                    hint="send events in order, or declare late_events: now in the contract",
                )
            times[name] = max(time, latest)
        return times


def _derive(
    recall: Recall, memory: EntityMemory, texts: Mapping[str, str | None], time: int, amount: int
) -> tuple[dict[str, Any], Moment | None]:
    """Return the fields of one entity, and what was seen of it, None where it is not known."""
    key = texts[memory.plan.entity]
    record = memory.records.get(key) if key is not None else None
    if record is None:
        return recall.nothing(), None
    seen = recall.look(record, time)
    other = memory.codes[0].find(texts[memory.plan.distinct[0]]) if memory.codes else ABSENT
    return recall.values(record, seen, time, amount, other), seen


def _count(counted: dict[str, int], name: str, key: str | None, seen: Moment | None) -> None:
    counted[f"missing_{name}"] = int(key is None)
    counted[f"unknown_{name}"] = int(seen is None or seen.lows[-1] == seen.high)
    counted["cap_bites"] += seen.bites if seen else 0


def _amount(event: Mapping[str, Any]) -> int:
    value = value_of(event, AMOUNT)
    if value is None:
        return MISSING_AMOUNT
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise DataError(f"{AMOUNT} is a {type(value).__name__}, expected whole minor units or None")
    if not -(2**63) <= value < 2**63:
        raise DataError(f"{AMOUNT} does not fit 64 bits, expected whole minor units")
    return int(value)
