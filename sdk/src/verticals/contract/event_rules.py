"""What must hold of the parts of a contract that speak of events: entities, amount, labels."""

from __future__ import annotations

import re
from collections.abc import Iterator

from verticals.contract.durations import is_duration, microseconds
from verticals.contract.model import (
    LATE,
    MEASURES,
    Amount,
    DataContract,
    Entity,
    History,
)

Broken = tuple[tuple[str, ...], str]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_TAKEN = ("amount", "group", "id", "label_time", "row", "time")  # other "@" columns
_OF_AMOUNTS = frozenset({"sum", "mean", "max", "ratio"})
_WINDOWED = frozenset(MEASURES) - {"since"}
MOST_CAP = 100_000
MOST_RECENT = 256
MOST_DIGITS = 4


def broken_event_rules(contract: DataContract) -> Iterator[Broken]:
    """Yield every rule on entities, amount and labels that the contract breaks."""
    for entity in contract.entities:
        for key, message in _entity(entity, contract):
            yield ("entities", entity.name, *key), message
    columns = [entity.column for entity in contract.entities]
    for entity in contract.entities:
        if entity.column and columns.count(entity.column) > 1:
            yield ("entities", entity.name, "column"), "is the column of another entity too"
    if contract.amount is not None:
        for name, message in _amount(contract.amount):
            yield ("amount", name), message
    yield from _labels(contract)


def _entity(entity: Entity, contract: DataContract) -> Iterator[Broken]:
    if not _NAME.fullmatch(entity.name):
        yield (), "is no name, expected [a-z][a-z0-9_]*, at most 32 characters"
    elif entity.name in _TAKEN:
        yield (), f"is a reserved name, as are {', '.join(_TAKEN)}"
    if not entity.column:
        yield ("column",), "is missing, expected the name of a source column"
    if entity.owned and not contract.group:
        yield ("owned",), "is true, which needs `group:`, the owner"
    if entity.retired and not (contract.targets and contract.time):
        yield ("retired",), "is true, which needs a target and `time:`"
    targets = {target.column for target in contract.targets}
    if entity.column in targets:
        yield ("column",), f"is {entity.column!r}, which is the column of a target"
    inputs = {field.column for field in contract.inputs if field.column}
    if entity.column in inputs:
        message = f"is {entity.column!r}, which a field reads too: an entity's name is no input"
        yield ("column",), message
    if entity.history is not None:
        for key, message in _history(entity, entity.history, contract):
            yield ("history", key), message


def _history(entity: Entity, history: History, contract: DataContract) -> Iterator[tuple[str, str]]:
    if not contract.time:
        yield "windows", "needs `time:`, the column that orders the events"
    needs_windows = bool(set(history.measures) & _WINDOWED or history.distinct)
    if needs_windows and not history.windows:
        yield "windows", "is missing, expected such as [10min, 1h, 7d]"
    lengths = [microseconds(text) for text in history.windows if is_duration(text)]
    if len(lengths) < len(history.windows):
        yield "windows", f"is {list(history.windows)}, expected durations such as 10min or 7d"
    elif len(set(lengths)) < len(lengths) or sorted(lengths) != lengths:
        yield "windows", f"is {', '.join(history.windows)}, expected each once, shortest first"
    for measure in history.measures:
        if measure not in MEASURES:
            yield "measures", f"names {measure!r}, expected some of {', '.join(MEASURES)}"
    for key in ("measures", "distinct"):
        named = getattr(history, key)
        if len(set(named)) < len(named):
            yield key, "names one twice"
    if set(history.measures) & _OF_AMOUNTS and contract.amount is None:
        named = ", ".join(sorted(set(history.measures) & _OF_AMOUNTS))
        yield "measures", f"names {named}, which needs `amount:`"
    if "risk" in history.measures and not (contract.label_time or contract.label_delay):
        yield "measures", "names risk, which needs `label_time:` or `label_delay:`"
    if "risk" in history.measures and not any(t.kind == "binary" for t in contract.targets):
        yield "measures", "names risk, which needs a binary target"
    others = [item.name for item in contract.entities if item.name != entity.name]
    for name in history.distinct:
        if name not in others:
            known = ", ".join(others) or "none is declared"
            yield "distinct", f"names {name!r}, expected another entity: {known}"
    if not 1 <= history.cap <= MOST_CAP:
        yield "cap", f"is {history.cap}, expected 1 to {MOST_CAP:,}"
    if not 0 <= history.recent <= min(history.cap, MOST_RECENT):
        yield "recent", f"is {history.recent}, expected 0 to {min(history.cap, MOST_RECENT)}"


def _amount(amount: Amount) -> Iterator[tuple[str, str]]:
    if not amount.column:
        yield "column", "is missing, expected the name of a source column"
    if not _CURRENCY.fullmatch(amount.currency):
        yield "currency", f"is {amount.currency!r}, expected an ISO 4217 code such as EUR"
    if not 0 <= amount.digits <= MOST_DIGITS:
        yield "digits", f"is {amount.digits}, expected 0 to {MOST_DIGITS}"
    if amount.bounds is not None and not 0 < amount.bounds[0] < amount.bounds[1]:
        yield "bounds", f"is {list(amount.bounds)}, expected 0 < lower < upper"
    if bool(amount.currency_column) != bool(amount.rates):
        yield "rates", "and currency_column stand together, or neither does"
    for code, rate in amount.rates.items():
        if not _CURRENCY.fullmatch(code) or not rate > 0:
            yield "rates", f"holds {code}: {rate:g}, expected codes with rates above 0"
    if amount.rates and amount.rates.get(amount.currency) != 1:
        yield "rates", f"gives {amount.currency} no rate of 1, the base currency"
    if set(amount.drafted) - {"bounds", "digits"}:
        yield "drafted", f"is {list(amount.drafted)}, expected some of bounds, digits"
    if amount.unknown not in ("refuse", "missing"):
        yield "unknown", f"is {amount.unknown!r}, expected refuse or missing"


def _labels(contract: DataContract) -> Iterator[Broken]:
    if contract.label_time and contract.label_delay:
        yield ("label_delay",), "stands beside label_time, expected one of the two"
    if (contract.label_time or contract.label_delay) and not contract.time:
        key = "label_time" if contract.label_time else "label_delay"
        yield (key,), "needs `time:`, the time of the event"
    if contract.label_delay and not is_duration(contract.label_delay):
        yield ("label_delay",), f"is {contract.label_delay!r}, expected such as 24h or 7d"
    if contract.late_events not in LATE:
        yield ("late_events",), f"is {contract.late_events!r}, expected one of {', '.join(LATE)}"
