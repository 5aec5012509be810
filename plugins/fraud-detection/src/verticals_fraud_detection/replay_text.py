"""A replay in lines of text for a terminal; "–" stands for what cannot be measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from verticals.cli.output import table_lines

NONE = "–"

_HEADER = ("policy", "alerts/day", "hours/day", "step-ups", "declines", "frauds caught")


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines of a replay: the data, a table of policies, rules beside the model, notes."""
    data, money = document["data"], document["money"]
    yield (
        f"{data['events']:,} events on {data['days']} days, {data['from']} to {data['to']}, after "
        f"{data['warm_up_days']} days of warm-up; {data['frauds']:,} frauds, "
        f"{data['units']:,} × {data['unit']}"
    )
    yield ""
    header = [*_HEADER, "value stopped", "saved", "customers disturbed"]
    yield from table_lines(header, [_row(entry, money) for entry in document["policies"]])
    yield ""
    yield _priced(document)
    for entry in document["policies"][1:]:
        difference = _difference(entry["against_first"], document["policies"][0]["name"], money)
        if difference:
            yield f"{entry['name']}: {difference}"
    if document["rules"] is not None:
        yield ""
        yield from _rules(document)
    yield ""
    for note in document["notes"]:
        yield f"note: {note}"


def _row(entry: Mapping[str, Any], money: Mapping[str, Any] | None) -> list[str]:
    hours, frauds, customers = entry["analyst_hours"], entry["frauds"], entry["customers"]
    value = entry["value"]
    return [
        entry["name"],
        f"{entry['alerts']['per_day']:,.1f}",
        NONE if hours["per_day"] is None else f"{hours['per_day']:,.1f}",
        f"{entry['actions']['step-up']:,}",
        f"{entry['actions']['decline']:,}",
        f"{frauds['caught']:,} of {frauds['count']:,}: {share_text(frauds['share'])}",
        NONE if value is None else share_text(value["share"]),
        _money_text(entry["saved"], money),
        f"{customers['disturbed']:,}: {share_text(customers['share'])}",
    ]


def _priced(document: Mapping[str, Any]) -> str:
    level = f"in brackets: {100 * document['intervals']['level']:.0f} % intervals"
    costs = document["costs"]
    if costs is None:
        return f"{level}; no cost table"
    return f"{level}; saved = fraud stopped less the costs of {costs['of']}"


def _difference(found: Mapping[str, Any], first: str, money: Mapping[str, Any] | None) -> str:
    for key, verb in (("saved", "saves"), ("stopped", "stops")):
        if found[key] is not None:
            return f"{verb} {_money_text(found[key], money, signed=True)} against {first}"
    return ""


def _rules(document: Mapping[str, Any]) -> Iterator[str]:
    entry = next(item for item in document["policies"] if item["digest"] is not None)
    yield f"rules beside the model of {entry['name']} (frauds among events):"
    rows = [
        [
            item["rule"],
            item["action"] or NONE,
            *(_cell(item[key]) for key in ("fired", "also_model", "only_here")),
            NONE if item["fired"] is None else share_text(item["fired"]["precision"]),
        ]
        for item in entry["overlap"]
    ]
    header = ("rule", "action", "fired", "also model", "only here", "precision")
    yield from table_lines(header, rows)


def _cell(cell: Mapping[str, Any] | None) -> str:
    return NONE if cell is None else f"{cell['frauds']:,} of {cell['events']:,}"


def share_text(share: Mapping[str, Any]) -> str:
    """Return a share with its limits in per cent."""
    if share["estimate"] is None:
        return NONE
    text = f"{100 * share['estimate']:.1f} %"
    if share["lower"] is None:
        return text
    return f"{text} ({100 * share['lower']:.1f}–{100 * share['upper']:.1f})"


def major(minor: int, money: Mapping[str, Any]) -> str:
    """Return whole minor units as people write money, exactly: no float is involved."""
    digits = money["digits"]
    whole, rest = divmod(abs(minor), 10**digits)
    cents = f".{rest:0{digits}d}" if digits else ""
    return f"{'-' if minor < 0 else ''}{whole:,}{cents}"


def _money_text(
    found: Mapping[str, Any] | None, money: Mapping[str, Any] | None, *, signed: bool = False
) -> str:
    if found is None or money is None:
        return NONE
    sign = "+" if signed and found["estimate"] > 0 else ""
    text = f"{sign}{major(found['estimate'], money)} {money['currency']}"
    if found["lower"] is None:
        return text
    return f"{text} ({major(found['lower'], money)} to {major(found['upper'], money)})"
