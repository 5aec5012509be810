"""List every finding: the rule, what was measured, the limit, the status, the legal source."""

from __future__ import annotations

from collections.abc import Iterator

from verticals_compliance.report.finding_text import (
    limit_text,
    ranked,
    rule_name,
    rule_title,
    style_for,
    value_text,
    why,
)
from verticals_compliance.report.numerals import NO_INTERVAL, interval
from verticals_compliance.report.phrases import level, row
from verticals_compliance.report.record import Record, word
from verticals_compliance.report.tree import (
    Block,
    Bullets,
    Row,
    Section,
    Table,
    below,
    cell,
    columns,
    paragraph,
    say,
    strong,
)
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
        must = "required" if item.get("required") else "not required"
        spread = interval(item.get("lower"), item.get("upper"), style)
        rows.append(
            row(
                f"/findings/{at}",
                cell(rule_title(record, item), below(f"{item['rule']}, {must}")),
                cell(below(why(record, item)), status=str(item["status"])),
                cell(value_text(item, style), below("" if spread == NO_INTERVAL else spread)),
                cell(limit_text(item.get("limit"), style)),
            )
        )
    table = Table(
        id="findings-table",
        caption="All findings, failures first",
        columns=columns(
            "Rule", "Status", f"#Value and {level(record)} interval", "#Limit", "Record"
        ),
        rows=tuple(rows),
    )
    blocks: tuple[Block, ...] = (paragraph(said.strip()), table, *_set_aside(record))
    return Section(id="findings", title="Findings", blocks=(*blocks, _sources(record)))


def _set_aside(record: Record) -> Iterator[Block]:
    items = tuple(
        say(strong(f"“{word(item, 'title') or word(item, 'rule')}”"), f": {word(item, 'reason')}.")
        for item in record.listed("set_aside")
    )
    if items:
        yield paragraph(
            "Rules of the policy that cannot speak of this model, and so found nothing:"
        )
        yield Bullets(items=items)


def _sources(record: Record) -> Table:
    """Return each rule once, with what it asks for and where its limit comes from."""
    findings = {str(item["rule"]): item for item in record.many("findings")}
    rows = []
    for name, item in findings.items():
        rule = record.rule(name)
        decides = "the estimate decides" if rule.get("decide") == "estimate" else ""
        cells = (
            cell(rule_name(record, item), below(name), below(decides)),
            cell(sentence(word(rule, "clause"))),
            cell(word(item, "source") or word(rule, "source")),
        )
        rows.append(Row(cells=cells))
    return Table(
        id="rule-sources",
        caption="What each rule asks for, and where its limit comes from",
        columns=columns("Rule", "Asks for", "Source"),
        rows=tuple(rows),
    )
