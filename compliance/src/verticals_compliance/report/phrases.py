"""Phrases that recur: a number with its interval, a finding as a sentence, names of outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from verticals_compliance.comparisons import NOT_RECORDED
from verticals_compliance.report.numerals import (
    NO_INTERVAL,
    NOT_MEASURABLE,
    beside,
    count,
    finite,
    interval,
    percent,
    show,
)
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import Cell, Row, Span, Spans, cell, mark, number, say, strong
from verticals_compliance.report.tree import status as tree_status
from verticals_compliance.report.words import (
    coded,
    group_metric,
    performance_metric,
    plain,
    sentence,
    style_of,
)

ORDER = ("fail", "inconclusive", "not-measurable", "pass")


def level(record: Record) -> str:
    """Return how sure the intervals are, as the policy sets it: "95%"."""
    value = finite(record.detail("policy").get("level"))
    return percent(0.95 if value is None else value, 0)


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


def pointer(record: Record, place: str) -> Any:
    """Follow a JSON pointer into audit.json; None where it leads nowhere."""
    value: Any = record.audit
    for part in place.strip("/").split("/"):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, Sequence) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def evidence_of(record: Record, finding: Json) -> Json:
    """Return the measurement that a finding rests on, empty where nothing was measured."""
    place = word(finding, "evidence")
    found = pointer(record, place) if place.startswith("/") else None
    return found if isinstance(found, Mapping) else {}


def style_for(record: Record, finding: Json) -> str:
    """Return how the numbers of a finding are written: ratios and differences as decimals."""
    evidence, rule = evidence_of(record, finding), record.rule(finding["rule"])
    if "disparity" in evidence or rule.get("kind"):
        return "decimal"
    value = finding.get("value")
    if (word(finding, "evidence")).startswith("/privacy"):
        return "significant"
    return style_of(
        value, evidence.get("metric") or record.rule(finding["rule"]).get("metric") or ""
    )


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


def rows_of(record: Record, finding: Json) -> float | None:
    """Return the number of rows that a finding was measured on, None where it is not known."""
    item = evidence_of(record, finding)
    if "groups" in item:
        sizes = [finite(group.get("n")) or 0.0 for group in compared(record, item)]
        return sum(sizes) if ends(record, item) is not None else None
    return finite(item.get("n"))


def rule_name(record: Record, finding: Json) -> str:
    """Return the title of a finding's rule, in quotes.

    The quotes keep a failed rule from reading as a claim: a title says what a rule asks for.
    """
    name = str(finding["rule"])
    title = record.rule(name).get("title") or plain(name.removeprefix("check:")).capitalize()
    return f"“{title}”"


def rule_title(record: Record, finding: Json) -> str:
    """Return the title of a finding's rule, with the attribute that it speaks of."""
    attribute = word(finding, "attribute")
    name = rule_name(record, finding)
    return f"{name}, {record.label(attribute)}" if attribute else name


def bounds(limit: Json | None) -> tuple[float | None, float | None]:
    """Return the least and the greatest value that a rule allows."""
    limit = limit or {}
    return finite(limit.get("min")), finite(limit.get("max"))


def limit_text(limit: Json | None, style: str) -> str:
    """Write a limit as the policy does: "at least 0.8", "at most 0.1", "0.8 to 1.25", "none"."""
    low, high = bounds(limit)
    style = style if style == "percent" else "significant"
    if low is not None and high is not None:
        return f"{show(low, style)} to {show(high, style)}"
    if low is not None:
        return f"at least {show(low, style)}"
    return f"at most {show(high, style)}" if high is not None else "none"


def value_text(finding: Json, style: str) -> str:
    """Write a finding's value so that its side of the limit stays visible."""
    low, high = bounds(finding.get("limit"))
    return beside(finding.get("value"), low if low is not None else high, style)


def why(record: Record, finding: Json) -> str:
    """Say why a finding has its status, from its numbers alone."""
    status = finding["status"]
    if status == "not-measurable":
        reason = word(finding, "evidence")
        told = "" if reason.startswith("/") else reason
        return sentence(told) or "Nothing was measured."
    limit = finding.get("limit")
    value, lower, upper = (finite(finding.get(key)) for key in ("value", "lower", "upper"))
    exact = lower is None or upper is None or lower == upper
    if status in ("pass", "fail"):
        on_estimate = record.rule(finding["rule"]).get("decide") == "estimate"
        what = "The value" if exact else "The whole interval"
        if on_estimate and not exact:
            what = "The estimate, on which alone this rule decides,"
        seen = value if exact or on_estimate else lower
        return f"{what} lies {_side(seen, limit) if status == 'fail' else 'within the limit'}."
    low, high = bounds(limit)
    if lower is None or upper is None:
        return "The evidence is too little to decide."
    if (low is None or lower >= low) and (high is None or upper <= high):
        return "A group too small to compare was left out and may hide a gap, so this is no pass."
    return "The interval includes the limit, so these data cannot decide."


def _side(seen: float | None, limit: Json | None) -> str:
    low, high = bounds(limit)
    if seen is not None and low is not None and seen < low:
        return "below the limit"
    return "above the limit" if seen is not None and high is not None else "beyond the limit"


def finding_sentence(record: Record, placed: Sequence[tuple[int, Json]]) -> Spans:
    """Say the findings of one rule and status: each number, its interval, n, and its place."""
    first = placed[0][1]
    parts: list[str | Span] = [tree_status(str(first["status"])), " "]
    reasons = [why(record, finding) for _, finding in placed]
    alike = len(set(reasons)) == 1
    if len(placed) == 1:
        lead = " measured " if finite(first.get("value")) is not None else " "
        parts += [strong(f"{rule_title(record, first)}:"), lead, *_measured(record, *placed[0])]
    else:
        parts.append(strong(f"{rule_name(record, first)}:"))
        for at, (index, finding) in enumerate(placed):
            label = record.label(word(finding, "attribute")) or word(finding, "rule")
            parts += [f"{';' if at else ''} {label} ", *_measured(record, index, finding)]
            parts.append("" if alike else f": {reasons[at][:1].lower()}{reasons[at][1:-1]}")
    allowed = limit_text(first.get("limit"), style_for(record, first))
    if finite(first.get("value")) is not None and allowed != "none":
        parts.append(f"; the limit is {allowed}")
    return say(*parts, f". {reasons[0]}" if alike else ".")


def _measured(record: Record, index: int, finding: Json) -> Iterator[str | Span]:
    if finite(finding.get("value")) is None:
        yield NOT_MEASURABLE
        return
    style = style_for(record, finding)
    yield number(value_text(finding, style), f"/findings/{index}")
    spread = interval(finding.get("lower"), finding.get("upper"), style)
    known = [f"{level(record)} interval {spread}"] if spread != NO_INTERVAL else []
    rows = rows_of(record, finding)
    known += [f"n = {count(rows)}"] if rows is not None else []
    if known:
        yield f" ({', '.join(known)})"


def by_rule(placed: Sequence[tuple[int, Json]]) -> list[list[tuple[int, Json]]]:
    """Group findings by status and rule, in the order in which they come."""
    groups: dict[tuple[Any, Any], list[tuple[int, Json]]] = {}
    for index, finding in placed:
        groups.setdefault((finding["status"], finding["rule"]), []).append((index, finding))
    return list(groups.values())


def ranked(record: Record) -> list[tuple[int, Json]]:
    """Return findings with their place: failures first, then what is required, then passes."""
    known = {status: at for at, status in enumerate(ORDER)}
    pairs = list(enumerate(record.many("findings")))
    return sorted(
        pairs,
        key=lambda p: (known.get(p[1]["status"], 9), not p[1].get("required", False), p[0]),
    )


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
