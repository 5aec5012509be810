"""Show the measurements that plugins add, and say whether they were recomputed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from verticals_compliance.report.numbers import count, interval, show
from verticals_compliance.report.phrases import level, row
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Block,
    Note,
    Section,
    Table,
    cell,
    columns,
    paragraph,
)
from verticals_compliance.report.words import plain, sentence, style_of

_FOLD = 12


def section(record: Record) -> Section | None:
    """Return one part for each check; None where there is none."""
    items = list(enumerate(record.many("checks")))
    described = {str(item.get("name")): item for item in record.listed("checks")}
    names = list(dict.fromkeys([*described, *(word(i, "check") for _, i in items)]))
    if not names:
        return None
    parts = []
    for at, name in enumerate(names):
        mine = [pair for pair in items if word(pair[1], "check") == name]
        blocks = tuple(_check(record, described.get(name, {}), mine, at))
        parts.append(Section(id=f"check-{at}", title=plain(name).capitalize(), blocks=blocks))
    told = paragraph("Plugins measure what only their domain knows.")
    return Section(id="checks", title="Checks of the domain", blocks=(told,), sections=tuple(parts))


def _check(
    record: Record, about: Json, mine: Sequence[tuple[int, Json]], index: int
) -> Iterator[Block]:
    if about.get("summary"):
        yield paragraph(sentence(str(about["summary"])))
    if about.get("problem"):
        text = sentence(str(about["problem"]))
        yield Note(title="This check could not run", blocks=(paragraph(text),), kind="warning")
    if not mine:
        return
    rows = []
    for at, item in mine:
        style = style_of(item.get("estimate"))
        rows.append(
            row(
                f"/checks/{at}",
                cell(_subject(record, item)),
                cell(show(item.get("estimate"), style)),
                cell(interval(item.get("lower"), item.get("upper"), style)),
                cell(count(item.get("n"))),
                cell(word(item, "method")),
                cell(word(item, "origin")),
            )
        )
    yield Table(
        id=f"check-table-{index}",
        caption=f"Check {about.get('name') or mine[0][1].get('check')}",
        columns=columns(
            "What", "#Estimate", f"#{level(record)} interval", "#n", "Method", "Origin", "Record"
        ),
        rows=tuple(rows),
        folded=len(rows) > _FOLD,
    )


def _subject(record: Record, item: Json) -> str:
    parts = [word(item, "subject")]
    if item.get("attribute"):
        parts.append(f"{record.label(str(item['attribute']))}: {item.get('group') or 'all groups'}")
    if item.get("output"):
        parts.append(f"output {item['output']}")
    return ", ".join(part for part in parts if part) or "everybody"
