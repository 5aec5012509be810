"""List every finding: the rule, what was measured, the limit, the status, the legal source."""

from __future__ import annotations

from verticals_compliance.report.numbers import NO_INTERVAL, interval
from verticals_compliance.report.phrases import (
    level,
    limit_text,
    ranked,
    row,
    rule_title,
    style_for,
    value_text,
    why,
)
from verticals_compliance.report.record import Record, word
from verticals_compliance.report.tree import Section, Table, below, cell, columns, paragraph
from verticals_compliance.report.words import sentence


def section(record: Record) -> Section:
    """Return the table of all findings, failures first."""
    policy = record.detail("policy")
    name = policy.get("name") or word(record.one("policy"), "name")
    version = f" {policy['version']}" if policy.get("version") else ""
    said = f"The policy is {name}{version}. {sentence(word(policy, 'description'))}"
    rows = []
    for at, item in ranked(record):
        style = style_for(record, item)
        source = str(item.get("source") or record.rule(item["rule"]).get("source") or "")
        must = "required" if item.get("required") else "not required"
        spread = interval(item.get("lower"), item.get("upper"), style)
        spread = "" if spread == NO_INTERVAL else spread
        rows.append(
            row(
                f"/findings/{at}",
                cell(rule_title(record, item), below(f"{item['rule']}, {must}"), below(source)),
                cell(value_text(item, style), below(spread)),
                cell(limit_text(item.get("limit"), style)),
                cell(below(why(record, item)), status=str(item["status"])),
            )
        )
    table = Table(
        id="findings-table",
        caption="All findings, failures first",
        columns=columns(
            "Rule and its source",
            f"#Value and {level(record)} interval",
            "Limit",
            "Status",
            "Record",
        ),
        rows=tuple(rows),
    )
    return Section(id="findings", title="Findings", blocks=(paragraph(said.strip()), table))
