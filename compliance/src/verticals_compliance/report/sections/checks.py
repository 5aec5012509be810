"""Show the measurements that plugins add, and say whether they were recomputed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from verticals_compliance.report.numerals import count, interval, show, significant
from verticals_compliance.report.phrases import level, row
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Block,
    Column,
    Definitions,
    Note,
    Row,
    Section,
    Table,
    below,
    cell,
    columns,
    paragraph,
    say,
)
from verticals_compliance.report.words import plain, sentence, style_of

_FOLD = 12


def section(record: Record) -> Section | None:
    """Return which checks ran, then one part for each measure; None where there is none."""
    items = list(enumerate(record.many("checks")))
    tables = tuple(_plugin_tables(record))
    if not items and not record.listed("checks") and not tables:
        return None
    names = dict.fromkeys(word(item, "check") for _, item in items)
    parts = []
    for at, name in enumerate(names):
        mine = [pair for pair in items if word(pair[1], "check") == name]
        title = plain(name.rpartition(".")[2])
        title = title[:1].upper() + title[1:]
        blocks = tuple(_measure(record, name, mine, at))
        parts.append(Section(id=f"check-{at}", title=title, blocks=blocks))
    if tables:
        told = paragraph(
            "Tables that the solution recorded beside its scores, shown as they are; nobody has "
            "recomputed them.",
        )
        parts.append(
            Section(id="plugin-tables", title="Tables of the plugin", blocks=(told, *tables))
        )
    return Section(
        id="checks", title="Checks of the domain", blocks=tuple(_ran(record)), sections=tuple(parts)
    )


def _plugin_tables(record: Record) -> Iterator[Table]:
    for at, (name, table) in enumerate(record.detail("producer_tables").items()):
        rows = tuple(
            Row(
                cells=tuple(cell(_plain(value)) for value in values),
                source=f"details:/producer_tables/{name}/rows/{index}",
            )
            for index, values in enumerate(table.get("rows") or ())
        )
        heads = tuple(Column(label=str(label)) for label in table.get("columns") or ())
        yield Table(
            id=f"plugin-table-{at}", caption=f"Table {name}", columns=heads, rows=rows, folded=True
        )


def _plain(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value)
    return "–" if value is None else significant(value, 4)


def _ran(record: Record) -> Iterator[Block]:
    if record.listed("checks"):
        yield paragraph("Plugins measure what only their domain knows.")
    for item in record.listed("checks"):
        if item.get("problem"):
            title = f"Check {word(item, 'name')} could not run"
            yield Note(title=title, blocks=(paragraph(sentence(item["problem"])),), kind="warning")
    entries = tuple(
        (word(item, "name"), say(sentence(item.get("summary")), f" {sentence(item.get('origin'))}"))
        for item in record.listed("checks")
    )
    if entries:
        yield Definitions(entries=entries)


def _measure(
    record: Record, name: str, mine: Sequence[tuple[int, Json]], index: int
) -> Iterator[Block]:
    rules = record.detail("policy").get("rules") or ()
    for rule in rules:
        if (rule.get("section"), rule.get("metric")) == ("checks", name):
            clause = f": {sentence(rule['clause'])}" if rule.get("clause") else "."
            yield paragraph(f"Rule “{word(rule, 'title')}”{clause}")
    rows = []
    for at, item in mine:
        style = style_of(item.get("estimate"))
        rows.append(
            row(
                f"/checks/{at}",
                cell(_subject(record, item), below(word(item, "method"))),
                cell(show(item.get("estimate"), style)),
                cell(interval(item.get("lower"), item.get("upper"), style)),
                cell(count(item.get("n"))),
                cell(word(item, "origin")),
            )
        )
    yield Table(
        id=f"check-table-{index}",
        caption=f"Measured by {name}",
        columns=columns(
            "What", "#Estimate", f"#{level(record)} interval", "#n", "Origin", "Record"
        ),
        rows=tuple(rows),
        folded=len(rows) > _FOLD,
    )


def _subject(record: Record, item: Json) -> str:
    subject = word(item, "subject")
    parts = [record.label(subject) if subject else ""]
    if item.get("attribute"):
        parts.append(f"{record.label(str(item['attribute']))}: {item.get('group') or 'all groups'}")
    if item.get("output"):
        parts.append(f"output {item['output']}")
    return ", ".join(part for part in parts if part) or "everybody"
