"""The bound columns that histories are derived from, checked and sorted by entity and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from verticals.contract.durations import microseconds
from verticals.contract.model import AMOUNT, LABEL_TIME, TIME, DataContract
from verticals.errors import DataError
from verticals.history.define import EntityPlan, Plan
from verticals.table import Array, Table

BLOCK_ROWS = 2**13  # rows derived together: what they need stays in the processor's cache
_BLOCK_SPAN = 2.0**60  # µs that the keys of a block may take, well inside int64


@dataclass(frozen=True, kw_only=True)
class Events:
    """Hold what is read of a bound table, in its order. Times in µs; an entity code -1: missing."""

    time: Array
    amount: Array  # MISSING_AMOUNT where missing; empty without amounts
    codes: dict[str, Array]
    label_rows: Array  # rows whose label becomes known, (labels,)
    label_time: Array  # when, (labels,)
    label: Array  # 1 positive, 0 negative, (labels,)


def read_events(contract: DataContract, plan: Plan, table: Table) -> Events:
    """Return the events of a bound table.

    Raises `DataError` for a missing column, a missing time, and a label known before its event.
    """
    if TIME not in table:
        raise _lacking(TIME, "time: COLUMN")
    stamps = table[TIME].astype("datetime64[us]")
    unknown = np.isnat(stamps)
    if unknown.any():
        raise DataError(
            f"column {TIME} is missing in {int(unknown.sum())} rows, expected a time in each",
            hint="a history needs the time of every event; drop or repair these rows",
        )
    if plan.scale and AMOUNT not in table:
        raise _lacking(AMOUNT, "amount: {column: …, currency: …}")
    codes = {}
    for name in plan.columns:
        if f"@{name}" not in table:
            raise _lacking(f"@{name}", f"entities: {{{name}: {{column: …}}}}")
        codes[name] = _codes(table[f"@{name}"])
    time = stamps.view(np.int64)
    amount = table[AMOUNT].astype(np.int64) if plan.scale else np.empty(0, dtype=np.int64)
    rows, known, label = _labels(contract, plan, table, time)
    return Events(
        time=time, amount=amount, codes=codes, label_rows=rows, label_time=known, label=label
    )


def _lacking(column: str, declare: str) -> DataError:
    return DataError(
        f"the table has no column {column}, which the derived fields need",
        hint=f"declare {declare} in the contract, and bind the data with it",
    )


def _codes(column: Array) -> Array:
    """Number the different values in the order in which they come, -1 for None."""
    values = column.tolist()
    seen = dict.fromkeys(values)
    seen.pop(None, None)
    numbers = {None: -1, **{value: number for number, value in enumerate(seen)}}
    return np.fromiter(map(numbers.__getitem__, values), dtype=np.int64, count=len(values))


def _labels(
    contract: DataContract, plan: Plan, table: Table, time: Array
) -> tuple[Array, Array, Array]:
    none = np.empty(0, dtype=np.int64)
    if not plan.target or plan.target not in table:  # scoring: no label is known
        return none, none, none
    label = table[plan.target].astype(np.float64)
    if LABEL_TIME in table:
        stamps = table[LABEL_TIME].astype("datetime64[us]")
        rows = np.flatnonzero(~np.isnan(label) & ~np.isnat(stamps))
        known = stamps.view(np.int64)[rows]
    elif contract.label_delay:
        rows = np.flatnonzero(~np.isnan(label))
        known = time[rows] + microseconds(contract.label_delay)
    else:
        return none, none, none
    early = int((known < time[rows]).sum())
    if early:
        raise DataError(
            f"future label: {early} rows have a label known before their own event, expected a "
            f"later time in {LABEL_TIME}",
            hint="label_time is when the outcome became known, not when the event took place",
        )
    return rows, known, (label[rows] == 1).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Block:
    """Hold the events of some entities, sorted by entity and time, and what each one sees.

    Positions are within the block. An event sees the events from `lows[window]` to `high`, which
    excludes those of its own time, and the labels from `label_lows[window]` to `label_high`.
    `bites` tells where the cap hid something inside the window.
    """

    rows: Array  # in the table
    owner: Array
    time: Array
    high: Array
    lows: list[Array]
    labels: Array
    label_high: Array
    label_lows: list[Array]
    bites: list[Array]


def blocks(plan: EntityPlan, events: Events, *, risk: bool) -> Iterator[Block]:
    """Cut one entity's events into blocks of whole entities and find the bounds of each window."""
    codes = events.codes[plan.entity]
    order = _by_entity(codes, events.time)
    labels = np.empty(0, dtype=np.int64)
    if risk:
        labels = _by_entity(codes[events.label_rows], events.label_time)
    owner, told = codes[order], codes[events.label_rows[labels]]
    time, known = events.time[order], events.label_time[labels]
    entities = np.arange(int(codes.max(initial=-1)) + 2)
    starts, label_starts = np.searchsorted(owner, entities), np.searchsorted(told, entities)
    place, base, cuts = _keys(plan, time, starts, known, label_starts)
    for first, last in pairwise(cuts):
        own = slice(starts[first], starts[last])
        late = slice(label_starts[first], label_starts[last])
        # One rising number for entity and time, so that one search serves all entities.
        shift = place[first:last] - place[first] - base[first:last]
        key = time[own] + shift[owner[own] - first]
        label_key = known[late] + shift[told[late] - first]
        block = (order[own], owner[own], time[own], events.label[labels[late]])
        yield _bounds(plan, block, key, label_key)


def _by_entity(codes: Array, time: Array) -> Array:
    """Return the places with an entity, by entity, then time, then place: a stable sort.

    Sorts 16 bits of the codes at a time, for which numpy has a radix sort; times that are in order
    already take one pass.
    """
    order = np.argsort(time, kind="stable")
    order = order[codes[order] >= 0]
    for bits in range(0, max(1, int(codes.max(initial=0)).bit_length()), 16):
        part = (codes[order] >> bits).astype(np.uint16)
        order = order[np.argsort(part, kind="stable")]
    return order


def _keys(
    plan: EntityPlan, time: Array, starts: Array, known: Array, label_starts: Array
) -> tuple[Array, Array, Array]:
    """Return each entity's place on the axis of keys, its first moment, and the blocks.

    An entity has a stretch as long as its history, one longest window before it included. All of
    them may be more than int64 holds and wrap around; those of a block do not.
    """
    if not len(time):
        return time, time, np.zeros(1, dtype=np.int64)
    base, end = time[starts[:-1]] - plan.longest, time[starts[1:] - 1]
    told = np.flatnonzero(label_starts[1:] > label_starts[:-1])
    end[told] = np.maximum(end[told], known[label_starts[1:][told] - 1])
    span = end - base + 1
    place = np.zeros(len(span), dtype=np.int64)
    np.cumsum(span[:-1], out=place[1:])
    block = np.cumsum(np.diff(starts) / BLOCK_ROWS + span / _BLOCK_SPAN).astype(np.int64)
    inner = np.flatnonzero(block[1:] > block[:-1]) + 1
    return place, base, np.concatenate([[0], inner, [len(span)]])


def _bounds(
    plan: EntityPlan, block: tuple[Array, Array, Array, Array], key: Array, label_key: Array
) -> Block:
    rows, owner, time, labels = block
    place = np.arange(len(key))
    new = np.ones(len(key), dtype=bool)
    new[1:] = key[1:] > key[:-1]
    high = np.maximum.accumulate(np.where(new, place, 0))  # events of one time: not one another
    label_high = np.searchsorted(label_key, key)
    lows, label_lows, bites = [], [], []
    for span in plan.spans:
        since = key - span
        low = np.searchsorted(key, since)
        lows.append(np.maximum(low, high - plan.cap))
        bitten = high - low > plan.cap
        if label_key.size:
            label_low = np.searchsorted(label_key, since)
            label_lows.append(np.maximum(label_low, label_high - plan.cap))
            bitten |= label_high - label_low > plan.cap
        else:
            label_lows.append(label_high)  # all 0
        bites.append(bitten)
    return Block(
        rows=rows,
        owner=owner,
        time=time,
        high=high,
        lows=lows,
        labels=labels,
        label_high=label_high,
        label_lows=label_lows,
        bites=bites,
    )
