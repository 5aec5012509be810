"""Phrases that recur: a number with its interval, a finding as a sentence, names of outcomes."""

from __future__ import annotations

from verticals_compliance.cells import NOT_RECORDED
from verticals_compliance.report.numerals import (
    NO_INTERVAL,
    NOT_MEASURABLE,
    count,
    finite,
    interval,
    percent,
    show,
)
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import Cell, Row, Span, cell, mark, number
from verticals_compliance.report.words import (
    coded,
    group_metric,
    performance_metric,
)

ORDER = ("fail", "inconclusive", "not-measurable", "pass")


def level(record: Record) -> str:
    """Return how sure the intervals are, as the policy sets it: "95%"."""
    return percent(_level(record), 0)


def beyond_chance(record: Record, item: Json) -> float | None:
    """Return the adjusted p-value of a fairness row, None where it shows no difference."""
    p_adjusted = finite(item.get("p_adjusted"))
    return p_adjusted if p_adjusted is not None and p_adjusted < chance(record) else None


def chance(record: Record) -> float:
    """Return the p-value below which groups are said to differ: what the level leaves."""
    return 1 - _level(record)


def _level(record: Record) -> float:
    value = finite(record.detail("policy").get("level"))
    return 0.95 if value is None else value


def measured(item: Json, source: str, style: str, sure: str) -> tuple[Span, ...]:
    """Write an estimate with its interval and n, and where it stands in the record."""
    if finite(item.get("estimate")) is None:
        return (number(NOT_MEASURABLE, source),)
    parts = []
    spread = interval(item.get("lower"), item.get("upper"), style)
    if spread != NO_INTERVAL:
        parts.append(f"{sure} interval {spread}")
    if finite(item.get("n")) is not None:
        parts.append(f"n = {count(item['n'])}")
    tail = f" ({', '.join(parts)})" if parts else ""
    return (number(show(item["estimate"], style), source), Span(text=tail))


def outcome(record: Record, name: str) -> str:
    """Say what an output is the probability of, or its name where the record does not say."""
    for item in record.listed("outputs"):
        if item.get("name") == name:
            value = str(item.get("value") or word(item, "positive"))
            if not value:
                return str(item.get("meaning") or item.get("target") or name)
            return coded(record.target_label(item) or name, value)
    return name


def large_enough(record: Record, item: Json, group: Json) -> bool:
    """Tell whether the audit compared a group of a fairness row with others.

    Where the details list what was compared, they decide. Else the policy does: a group must be
    recorded, have `min_group` rows and, for this measure, `min_events` cases.
    """
    name, policy = group.get("group"), record.detail("policy")
    if not name or name == NOT_RECORDED or finite(group.get("estimate")) is None:
        return False
    if finite((item.get("disparity") or {}).get("estimate")) is None:
        return False  # nothing was compared
    place = tuple(item.get(key) for key in ("output", "attribute", "metric"))
    for known in record.listed("compared"):
        if tuple(known.get(key) for key in ("output", "attribute", "metric")) == place:
            return name in (known.get("groups") or ())
    sizes = (
        finite(known.get("rows"))
        for known in record.listed("groups")
        if (known.get("output"), known.get("attribute"), known.get("group")) == (*place[:2], name)
    )
    trials = finite(group.get("n")) or 0.0
    rows = next(sizes, None)
    least_rows, least = (finite(policy.get(key)) or 0.0 for key in ("min_group", "min_events"))
    return (trials if rows is None else rows) >= least_rows and trials >= least


def compared(record: Record, item: Json) -> list[Json]:
    """Return the groups of a fairness row that are large enough to be compared."""
    return [group for group in item.get("groups") or () if large_enough(record, item, group)]


def ends(record: Record, item: Json) -> tuple[Json, Json] | None:
    """Return the lowest and highest group, if they do give the recorded disparity."""
    groups = compared(record, item)
    gap = item.get("disparity") or {}
    stated = finite(gap.get("estimate"))
    if len(groups) < 2 or stated is None:
        return None
    low = min(groups, key=lambda group: float(group["estimate"]))
    high = max(groups, key=lambda group: float(group["estimate"]))
    first, last = float(low["estimate"]), float(high["estimate"])
    ratio = gap.get("kind") == "ratio"
    if ratio and last == 0:
        return None
    found = first / last if ratio else last - first
    return (low, high) if abs(found - stated) < 1e-9 else None


def row(source: str, *cells: Cell) -> Row:
    """Make a table row that ends with where it stands in the record."""
    return Row(cells=(*cells, cell(mark(source))), source=source)


def estimate_cells(item: Json, style: str) -> tuple[Cell, Cell, Cell]:
    """Make the three cells estimate, interval, n."""
    estimate = cell(show(item.get("estimate"), style))
    spread = cell(interval(item.get("lower"), item.get("upper"), style))
    return estimate, spread, cell(count(item.get("n")))


def metric_title(name: str) -> str:
    """Return the title of a performance or group metric."""
    known = performance_metric(name)
    return known.title if known.meaning else group_metric(name).title
