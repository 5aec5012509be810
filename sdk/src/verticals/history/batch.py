"""Derive the histories of all rows of a table at once, without a loop over rows."""

from __future__ import annotations

import numpy as np

from verticals.contract.model import MISSING_AMOUNT, DataContract
from verticals.history.amounts import known_amounts, log_amounts, log_seconds, major, quotient
from verticals.history.define import RECENT_WIDTH, EntityPlan, Plan
from verticals.history.events import Block, Events, blocks, read_events
from verticals.history.ranges import RangeSums, distinct_counts, prefix_sums, range_maxima
from verticals.table import Array, Table


def derive(contract: DataContract, plan: Plan, table: Table) -> dict[str, Array]:
    """Return the derived columns of a bound table, in the table's order.

    Raises `DataError` as `read_events`.
    """
    events = read_events(contract, plan, table)
    columns: dict[str, Array] = {}
    if plan.amount_field:
        columns["amount"] = major(events.amount, plan.scale)
    for item in plan.entities:
        # Made in the order of the blocks, then fetched from there: that reads in leaps, which
        # takes half as long as to write in leaps. The last place is for rows without an entity.
        made = _nothing(item, table.rows + 1)
        places, stop = np.full(table.rows, table.rows), 0
        for block in blocks(item, events, risk="risk" in item.measures):
            start, stop = stop, stop + len(block.rows)
            places[block.rows] = np.arange(start, stop)
            for name, values in _block_columns(item, plan.scale, events, block).items():
                made[name][start:stop] = values
        for name in list(made):
            # Every place is inside; "clip" saves the copy by which "raise" would check them first.
            columns[name] = made.pop(name).take(places, axis=0, mode="clip")
    return columns


def count_bites(contract: DataContract, plan: Plan, table: Table) -> Table:
    """Count events, cap bites and events without a history, by entity and window.

    Columns: entity, window, events (with a known entity), cap_bites (events from which the cap
    hid something inside the window), unknown (events whose entity is missing or has no earlier
    event in its longest window) and missing (events whose entity is missing).
    """
    events = read_events(contract, plan, table)
    found: dict[str, list[object]] = {
        name: [] for name in ("entity", "window", "events", "cap_bites", "unknown", "missing")
    }
    for item in plan.entities:
        bites, fresh = np.zeros(len(item.spans), dtype=np.int64), 0
        for block in blocks(item, events, risk="risk" in item.measures):
            bites += [int(bitten.sum()) for bitten in block.bites]
            fresh += int((block.lows[-1] == block.high).sum())
        missing = int((events.codes[item.entity] < 0).sum())
        for window, bitten in zip(item.windows, bites, strict=True):
            row = (item.entity, window, table.rows - missing, int(bitten), fresh + missing, missing)
            for column, value in zip(found.values(), row, strict=True):
                column.append(value)
    words = {name: np.array(found.pop(name), dtype=object) for name in ("entity", "window")}
    return Table({**words, **{name: np.array(v, dtype=np.int64) for name, v in found.items()}})


def _nothing(plan: EntityPlan, rows: int) -> dict[str, Array]:
    """Return the columns of events whose entity is missing: none counted, nothing known."""
    zero = [*plan.names("count"), *plan.names("sum")]
    zero += [name for other in plan.distinct for name in plan.distinct_names(other)]
    unknown = [name for measure in ("mean", "max", "ratio", "risk") for name in plan.names(measure)]
    unknown += [plan.since_name] if plan.since_name else []
    columns = {name: np.zeros(rows) for name in zero}
    columns.update({name: np.full(rows, np.nan) for name in unknown})
    if plan.recent_name:
        columns[plan.recent_name] = np.zeros((rows, plan.recent, RECENT_WIDTH))
    return columns


def _block_columns(
    plan: EntityPlan, scale: float, events: Events, block: Block
) -> dict[str, Array]:
    columns: dict[str, Array] = {}
    for name, low in zip(plan.names("count"), block.lows, strict=False):
        columns[name] = (block.high - low).astype(np.float64)
    if plan.reads_amount:
        columns.update(_amounts(plan, scale, events.amount[block.rows], block))
    for other in plan.distinct:
        counts = distinct_counts(
            block.owner, events.codes[other][block.rows], block.lows, block.high
        )
        columns.update(zip(plan.distinct_names(other), counts, strict=True))
    if plan.since_name:
        seen = block.lows[-1] < block.high
        gap = np.where(seen, block.time - block.time[block.high - 1], 0)
        columns[plan.since_name] = np.where(seen, gap.astype(np.float64) / 1e6, np.nan)
    if "risk" in plan.measures:
        positives = prefix_sums(block.labels)
        for name, low in zip(plan.names("risk"), block.label_lows, strict=True):
            part = (positives[block.label_high] - positives[low]).astype(np.float64)
            columns[name] = quotient(part, (block.label_high - low).astype(np.float64))
    if plan.recent_name:
        columns[plan.recent_name] = _recent(plan, scale, events, block)
    return columns


def _amounts(plan: EntityPlan, scale: float, amount: Array, block: Block) -> dict[str, Array]:
    columns: dict[str, Array] = {}
    values, known = known_amounts(amount)
    sums, numbers = RangeSums(values), prefix_sums(known)
    own = major(amount, scale)
    for place, low in enumerate(block.lows):
        total = sums.between(low, block.high) / scale
        mean = quotient(total, (numbers[block.high] - numbers[low]).astype(np.float64))
        made = {"sum": total, "mean": mean}
        if "ratio" in plan.measures:
            made["ratio"] = quotient(own, mean)
        for measure, column in made.items():
            for name in plan.names(measure)[place : place + 1]:
                columns[name] = column
    if "max" in plan.measures:
        largest = range_maxima(amount, block.lows, block.high, MISSING_AMOUNT)
        for name, column in zip(plan.names("max"), largest, strict=True):
            columns[name] = major(column, scale)
    return columns


def _recent(plan: EntityPlan, scale: float, events: Events, block: Block) -> Array:
    """Return the latest events, newest last: (rows, recent, 4)."""
    result = np.zeros((len(block.rows), plan.recent, RECENT_WIDTH))
    amount = np.zeros(len(block.rows))
    if plan.reads_amount:
        amount = log_amounts(events.amount[block.rows], scale)
    other = events.codes[plan.distinct[0]][block.rows] if plan.distinct else None
    for back in range(1, plan.recent + 1):
        at = block.high - back
        here = np.flatnonzero(at >= block.lows[-1])
        at = at[here]
        cells = result[:, -back]
        cells[here, 0] = amount[at]
        cells[here, 1] = log_seconds(block.time[here] - block.time[at])
        cells[here, 2] = 1.0
        if other is not None:
            cells[here, 3] = (other[here] == other[at]) & (other[here] >= 0)
    return result
