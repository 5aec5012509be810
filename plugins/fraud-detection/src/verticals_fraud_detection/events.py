"""Scored events as a replay reads them: by time, with labels, amounts and customers as codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verticals.contract.model import (
    AMOUNT,
    GROUP,
    MISSING_AMOUNT,
    TIME,
    DataContract,
    Target,
)
from verticals.data import label_known
from verticals.errors import CallError, DataError
from verticals.table import Array, Table
from verticals_fraud_detection.decide import Stream

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, kw_only=True)
class Events:
    """Hold scored events in the order of their time.

    `unit` are codes of the persons (or cards) that intervals resample, named by `unit_name`;
    `order` gives for each event its row in the table that it came from.
    """

    stream: Stream
    unit: Array  # (rows,) int64
    unit_name: str
    order: Array  # (rows,) int64
    currency: str = ""  # empty where the contract declares no amount
    digits: int = 2


def events_of(table: Table, score: Array, contract: DataContract) -> Events:
    """Return the scored rows of a bound table as events.

    Raises `CallError` if the contract declares no time or no binary target, and `DataError` if no
    row has a label.
    """
    if TIME not in table:
        raise CallError(
            f"contract {contract.name!r} declares no time, so there are no days to replay",
            hint="add `time:` to the contract, and train again",
        )
    target = target_of(contract)
    if not np.isfinite(table[target.name]).any():
        raise DataError(
            f"no row has a label in column {target.column!r}, expected some to count frauds by",
            hint="give data whose outcome is known",
        )
    order = np.argsort(table[TIME], kind="stable")
    time = table[TIME][order]
    start = time[0].astype("datetime64[D]")
    amount = table[AMOUNT] if AMOUNT in table else np.full(table.rows, MISSING_AMOUNT)
    unit, unit_name = _units(table, contract)
    declared = contract.amount
    return Events(
        stream=Stream(
            day=((time - start) // _DAY).astype(np.int64),
            score=np.asarray(score, dtype=np.float64)[order],
            amount=amount[order],
            label=np.asarray(table[target.name], dtype=np.float64)[order],
            known=label_known(table, contract)[order],
            start=start,
        ),
        unit=unit[order],
        unit_name=unit_name,
        order=order,
        currency=declared.currency if declared is not None else "",
        digits=declared.digits if declared is not None else 2,
    )


def target_of(contract: DataContract) -> Target:
    """Return the binary target that the decision is about; raise `CallError` if there is none."""
    named = contract.decision.target if contract.decision is not None else ""
    found = [
        item
        for item in contract.targets
        if item.kind == "binary" and (item.name == named or not named)
    ]
    if len(found) != 1:
        raise CallError(
            f"contract {contract.name!r} has {len(found)} binary targets to decide on, expected 1",
            hint="name one in `decision: {target: …}`",
        )
    return found[0]


def _units(table: Table, contract: DataContract) -> tuple[Array, str]:
    """Return a code for each row's customer, else its card, else the row itself."""
    if GROUP in table:
        return _codes(table[GROUP]), contract.group
    for entity in sorted(contract.entities, key=lambda item: not item.retired):
        if entity.key in table:
            return _codes(table[entity.key]), entity.name
    return np.arange(table.rows), "event"


def _codes(values: Array) -> Array:
    """Return a code for each distinct text; each missing one is a unit of its own."""
    place: dict[object, int] = {}
    codes = [
        place.setdefault(row if value is None else (value,), len(place))
        for row, value in enumerate(values.tolist())
    ]
    return np.asarray(codes, dtype=np.int64)
