"""Findings in words: the rule, what it speaks of, its numbers, and why it stands as it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from verticals_compliance.records import measurement
from verticals_compliance.report.numerals import (
    NO_INTERVAL,
    NOT_MEASURABLE,
    beside,
    count,
    finite,
    interval,
    p_value,
    show,
)
from verticals_compliance.report.phrases import ORDER, beyond_chance, compared, ends, level
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Block,
    Bullets,
    Span,
    Spans,
    number,
    paragraph,
    say,
    strong,
)
from verticals_compliance.report.tree import status as tree_status
from verticals_compliance.report.words import coded, plain, sentence, style_of

_SHOWN = 5  # findings of one rule and status; all of them stand in the table of findings


def style_for(record: Record, finding: Json) -> str:
    """Return how the numbers of a finding are written: ratios and differences as decimals."""
    evidence, rule = measurement(record.audit, finding), record.rule(finding["rule"])
    if rule.get("section") == "evidence":
        return "count"
    if "disparity" in evidence or rule.get("kind"):
        return "decimal"
    value = finding.get("value")
    if (word(finding, "evidence")).startswith("/privacy"):
        return "significant"
    return style_of(
        value, evidence.get("metric") or record.rule(finding["rule"]).get("metric") or ""
    )


def rows_of(record: Record, finding: Json) -> float | None:
    """Return the number of rows that a finding was measured on, None where it is not known."""
    item = measurement(record.audit, finding)
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


def about(record: Record, finding: Json) -> str:
    """Say what a finding speaks of: attribute with group, output where there are several, subject.

    Empty where the rule has nothing that would tell its findings apart.
    """
    item = measurement(record.audit, finding)
    attribute = word(finding, "attribute")
    label, group = record.label(attribute) if attribute else "", word(item, "group")
    subject, output = word(item, "subject"), word(item, "output")
    parts = (
        f"{label}: {group}" if label and group else label or group,
        output_name(record, output) if output and _several(record) else "",
        record.label(subject) if subject else "",
    )
    return ", ".join(part for part in parts if part)


def output_name(record: Record, name: str) -> str:
    """Return a short name that tells an output from every other: its target's, or its own."""
    listed = record.listed("outputs")
    item = next((item for item in listed if item.get("name") == name), {})
    target, value = record.target_label(item), str(item.get("value") or "")
    if target and value:
        return coded(target, value)
    return target if target and name == item.get("target") else plain(name)


def _several(record: Record) -> bool:
    sections = ("performance", "fairness", "explanations", "checks")
    found = {word(item, "output") for name in sections for item in record.many(name)}
    return len(found - {""}) > 1


def rule_title(record: Record, finding: Json) -> str:
    """Return the title of a finding's rule, with what the finding speaks of."""
    name, told = rule_name(record, finding), about(record, finding)
    return f"{name}, {told}" if told else name


def bounds(limit: Json | None) -> tuple[float | None, float | None]:
    """Return the least and the greatest value that a rule allows."""
    limit = limit or {}
    return finite(limit.get("min")), finite(limit.get("max"))


def limit_text(limit: Json | None, style: str) -> str:
    """Write a limit as the policy does: "at least 0.8", "at most 0.1", "0.8 to 1.25", "none"."""
    low, high = bounds(limit)
    style = style if style in ("percent", "count") else "significant"
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
    known = beyond_chance(record, measurement(record.audit, finding))
    if known is not None:
        return (
            f"The groups do differ (adjusted {p_value(known)}). Whether by more than the "
            "limit, these data cannot decide: the interval includes it."
        )
    return "The interval includes the limit, so these data cannot decide."


def _side(seen: float | None, limit: Json | None) -> str:
    low, high = bounds(limit)
    if seen is not None and low is not None and seen < low:
        return "below the limit"
    return "above the limit" if seen is not None and high is not None else "beyond the limit"


def finding_blocks(record: Record, placed: Sequence[tuple[int, Json]]) -> Iterator[Block]:
    """Say the findings of one rule and status: each number, its interval, n, and its place.

    Several become a list, those farthest out first; past the fifth they are only counted.
    """
    first = placed[0][1]
    known = finite(first.get("value")) is not None
    allowed = limit_text(first.get("limit"), style_for(record, first))
    limit = f"; the limit is {allowed}" if known and allowed != "none" else ""
    reasons = {index: why(record, finding) for index, finding in placed}
    alike = next(iter(reasons.values())) if len(set(reasons.values())) == 1 else ""
    lead: list[str | Span] = [tree_status(str(first["status"])), " "]
    if len(placed) == 1:
        name = strong(f"{rule_title(record, first)}:")
        told = (" measured " if known else " ", *_measured(record, *placed[0]))
        yield paragraph(*lead, name, *told, f"{limit}. {alike}")
        return
    ordered = sorted(placed, key=lambda pair: -_excess(pair[1]))
    rest = len(ordered) - _SHOWN
    many = f" {count(len(placed))} findings{limit}."
    head = (strong(f"{rule_name(record, first)}:"), many, f" {alike}" if alike else "")
    yield paragraph(*lead, *head, " Those farthest out:" if rest > 0 else "")
    items = [
        _line(record, index, finding, "" if alike else reasons[index])
        for index, finding in ordered[:_SHOWN]
    ]
    if rest > 0:
        link = Span(text="table of findings", link="findings")
        items.append(say(f"and {count(rest)} more, in the ", link, "."))
    yield Bullets(items=tuple(items))


def _line(record: Record, index: int, finding: Json, reason: str) -> Spans:
    told = about(record, finding)
    tail = f": {reason[:1].lower()}{reason[1:]}" if reason else "."
    return say(f"{told}: " if told else "", *_measured(record, index, finding), tail)


def _excess(finding: Json) -> float:
    """Return by how much a value is beyond its limit, negative within it, 0 where unknown."""
    value, (low, high) = finite(finding.get("value")), bounds(finding.get("limit"))
    if value is None or (low is None and high is None):
        return 0.0
    beyond = [low - value] if low is not None else []
    return max(beyond + ([value - high] if high is not None else []))


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
