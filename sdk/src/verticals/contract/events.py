"""Bind what speaks of events: entities, the amount in minor units, and when labels became known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verticals.contract.canonical import coded
from verticals.contract.columns import Log, read_numbers, read_times
from verticals.contract.model import MISSING_AMOUNT, Amount
from verticals.table import Array

_LARGEST = 2.0**53  # a float beyond it no longer holds every whole number


def keyed(column: Array) -> tuple[Array, Array]:
    """Return the canonical text of each row (None where missing) and a code for each text."""
    codes, texts = coded(column)
    order: dict[str, int] = {}
    merged = np.array([order.setdefault(text, len(order)) for text in texts], dtype=np.intp)
    names = np.array([text or None for text in order], dtype=object)
    return names[merged[codes]], merged[codes]


def absent(values: Array) -> Array:
    """Return which of the texts are missing."""
    return np.array([value is None for value in values], dtype=bool)


def bind_entity(column: Array, name: str, log: Log) -> Array:
    """Return the canonical text of each row, None where missing (noted: it has no history)."""
    names, _ = keyed(column)
    log.note_rows("missing-entity", name, absent(names), "without a value: it has no history")
    return names


def bind_amount(
    amount: Amount, currencies: Array | None, column: Array, name: str, log: Log
) -> Array:
    """Return int64 minor units of the base currency, `MISSING_AMOUNT` where missing.

    An undeclared currency is a violation, or a missing amount where the contract says so (noted).
    Digits beyond the minor unit are rounded, half to even, and noted unless a rate made them.
    """
    major = read_numbers(column, name, (), log)
    if currencies is not None:
        major = major * _rates(amount, currencies, log)
    exact = major * 10.0**amount.digits
    minor = np.rint(exact)
    if currencies is None:
        off = np.abs(exact - minor) > 1e-6 * np.maximum(1.0, np.abs(exact))
        message = f"with more than {amount.digits} decimal places, rounded"
        log.note_rows("rounded", name, off, message)
    huge = np.abs(minor) > _LARGEST
    log.refuse_rows(name, huge, f"expected an amount below {_LARGEST / 10**amount.digits:.3g}")
    missing = np.isnan(minor)
    log.note_rows("missing-amount", name, missing, "without an amount: it counts in no sum")
    if amount.bounds is not None:
        lower, upper = amount.bounds
        outside = (major < lower) | (major > upper)
        limits = f"[{lower:g}, {upper:g}] {amount.currency}"
        log.note_rows("outside", name, outside, f"outside the bounds {limits}, clipped")
    return np.where(missing | huge, MISSING_AMOUNT, np.where(missing, 0, minor)).astype(np.int64)


def _rates(amount: Amount, currencies: Array, log: Log) -> Array:
    """Return the value of one unit of each row's currency, NaN where it is not declared."""
    codes, texts = coded(currencies)
    rate = np.array([amount.rates.get(text, np.nan) for text in texts], dtype=np.float64)
    found: Array = rate[codes]
    unknown = np.isnan(found)
    seen = [texts[n] for n in np.flatnonzero(np.isnan(rate))]
    if amount.unknown == "refuse":
        expected = f"expected one of {', '.join(amount.rates)}"
        log.refuse_rows(amount.currency_column, unknown, expected, seen=seen)
    else:
        message = "in a currency without a declared rate: the amount counts as missing"
        log.note_rows("unknown-currency", amount.currency_column, unknown, message, seen=seen)
    return found


def bind_label_time(column: Array, name: str, log: Log) -> Array:
    """Return datetime64[us] in UTC, NaT where the label never became known."""
    return read_times(column, name, (), log)


def check_order(time: Array, label_time: Array | None, names: Sequence[str], log: Log) -> None:
    """Note events out of order, and refuse labels that were known before their event.

    `names` are the source columns of the two times.
    """
    known = ~np.isnat(time)
    latest = np.maximum.accumulate(np.where(known, time, np.datetime64(0, "us")))
    behind = known & (time < latest)
    message = "earlier than a row above; events are put in order of time"
    log.note_rows("out-of-order", names[0], behind, message)
    if label_time is None:
        return
    early = label_time < time  # False where either is missing
    log.refuse_rows(
        names[1], early, f"a label known before its event, expected {names[0]} or later"
    )
    if known.any():
        later = label_time > time[known].max()
        message = "known only after the last event: no event here could see these labels"
        log.note_rows("future-label", names[1], later, message)


def check_owned(entity: Array, group: Array, name: str, owner: str, log: Log) -> None:
    """Refuse an entity that is declared to belong to one group and stands in several."""
    _, codes = keyed(entity)
    _, groups = keyed(group)
    first = np.full(int(codes.max(initial=-1)) + 1, -1, dtype=np.int64)
    places, starts = np.unique(codes, return_index=True)
    first[places] = groups[starts]
    stray = (groups != first[codes]) & ~absent(entity)
    expected = f"a value that stands with another {owner} too, expected one owner (owned: true)"
    log.refuse_rows(name, stray, expected)


def unlabelled_times(labels: Array, label_time: Array, name: str, log: Log) -> None:
    """Note labels without the time at which they became known: no history sees them."""
    lost = ~np.isnan(labels) & np.isnat(label_time)
    message = "with a label but no time at which it became known: no history sees it"
    log.note_rows("unknown-label-time", name, lost, message)
