"""Show the measurements that plugins add, and say whether they were recomputed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from verticals.evidence import RECOMPUTED
from verticals_compliance.report.numerals import count, finite, interval, show, significant
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
from verticals_compliance.report.words import joined, plain, sentence, style_of

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
        title = _title(name)
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


def beyond_audited(record: Record) -> list[str]:
    """Return the checks that state a larger n than there are audited rows, in their order."""
    rows = finite(record.one("evidence").get("rows"))
    items = record.many("checks") if rows is not None else ()
    found = (word(item, "check") for item in items if (finite(item.get("n")) or 0.0) > (rows or 0))
    return list(dict.fromkeys(found))


def _beyond(record: Record) -> Iterator[Note]:
    names = beyond_audited(record)
    if not names:
        return
    most = max(finite(i.get("n")) or 0.0 for i in record.many("checks") if i["check"] in names)
    told = (
        f"The n of {joined([_title(name) for name in names])} goes up to {count(most)}, beyond the "
        f"{count(record.one('evidence')['rows'])} audited rows: they were measured on other rows, "
        "too, such as those that trained the model. The solution's documentation says on which "
        "(of items that work differently between groups: docs/reference/dif.md)."
    )
    yield Note(title="Measured on more than the audited rows", blocks=(paragraph(told),))


def _title(name: str) -> str:
    return plain(name.rpartition(".")[2])


def _plugin_tables(record: Record) -> Iterator[Block]:
    for at, (name, table) in enumerate(record.detail("producer_tables").items()):
        rows = tuple(
            Row(
                cells=tuple(cell(_plain(value)) for value in values),
                source=f"details:/producer_tables/{name}/rows/{index}",
            )
            for index, values in enumerate(table.get("rows") or ())
        )
        numbers = [v for values in table.get("rows") or () for v in values if not _is_text(v)]
        if rows and numbers and all(value is None for value in numbers):
            yield paragraph(f"Table {name}: every number in it is withheld or missing.")
            continue
        heads = tuple(Column(label=str(label)) for label in table.get("columns") or ())
        yield Table(
            id=f"plugin-table-{at}", caption=f"Table {name}", columns=heads, rows=rows, folded=True
        )


def _is_text(value: Any) -> bool:
    return isinstance(value, bool | str)


def _plain(value: Any) -> str:
    if _is_text(value):
        return str(value)
    return "–" if value is None else significant(value, 4)


def _ran(record: Record) -> Iterator[Block]:
    if record.listed("checks"):
        yield paragraph("Plugins measure what only their domain knows.")
    for item in record.listed("checks"):
        if item.get("problem"):
            ran = word(item, "origin") == RECOMPUTED
            what = "gave what cannot be used" if ran else "could not run"
            title = f"Check {word(item, 'name')} {what}"
            yield Note(title=title, blocks=(paragraph(sentence(item["problem"])),), kind="warning")
    entries = tuple(
        (word(item, "name"), say(sentence(item.get("summary")), f" {sentence(item.get('origin'))}"))
        for item in record.listed("checks")
    )
    if entries:
        yield Definitions(entries=entries)
    yield from _beyond(record)


def _measure(
    record: Record, name: str, mine: Sequence[tuple[int, Json]], index: int
) -> Iterator[Block]:
    rules = record.detail("policy").get("rules") or ()
    for rule in rules:
        if (rule.get("section"), rule.get("metric")) == ("checks", name):
            clause = f": {sentence(rule['clause'])}" if rule.get("clause") else "."
            yield paragraph(f"Rule “{word(rule, 'title')}”{clause}")
    methods = {word(item, "method") for _, item in mine}
    if len(mine) > 1 and len(methods) == 1 and min(methods).startswith("withheld"):
        yield paragraph(f"All {count(len(mine))} numbers are {min(methods)} persons.")
        return
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
