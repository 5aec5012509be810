"""Show how many persons were given a human decision, and what became of appeals."""

from __future__ import annotations

from collections.abc import Iterator

from verticals_compliance.report.numerals import count, finite, significant
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Block,
    Cell,
    Row,
    Section,
    Table,
    cell,
    code,
    columns,
    mark,
    number,
    paragraph,
)

_WORDS = {
    "to-favourable": "to the favourable decision",
    "from-favourable": "away from the favourable decision",
    "raised": "to a higher value",
    "lowered": "to a lower value",
    "other-change": "to another value",
    "unchanged": "the machine's decision confirmed",
    "open": "open",
    "upheld": "answered: the decision stayed",
    "changed": "answered: the decision was changed",
}


def section(record: Record) -> Section | None:
    """Return the counts of human decisions; None where the audit was given no record of them."""
    found = record.detail("oversight")
    if not found:
        return None
    blocks: list[Block] = [*_told(found)]
    for at, item in enumerate(found.get("targets") or ()):
        blocks += _target(item, at)
    blocks.append(
        paragraph(
            "Where a decision is based solely on automated processing and has legal or similarly "
            "significant effects, Article 22(3) GDPR asks for the right to obtain human "
            "intervention, to express one's point of view and to contest the decision. These "
            "counts say how often a record of it was used. Whether everyone who should could use "
            "it, and whether somebody with time and authority looked, they cannot say.",
            style="small",
        )
    )
    return Section(id="oversight", title="Human decisions", blocks=tuple(blocks))


def _told(found: Json) -> Iterator[Block]:
    head = word(found, "head")
    yield paragraph(
        "Whom this model scored, a person can give a human decision, with a reason. The record of "
        "these decisions was read ",
        "up to its line " if head else "and is empty.",
        code(head) if head else None,
        "." if head else None,
        " Reasons, names and persons stand in the record and nowhere here.",
    )
    yield paragraph(
        "A person counts once: by the human decision that stands, and by the latest appeal. "
        "Counts of fewer than ",
        number(count(found.get("min_cell")), "details:/oversight/min_cell"),
        " persons are suppressed, and so is what would give them away by subtraction; where a "
        "person may have several ids, all are. What is shown is exact: no promise of differential "
        "privacy covers it.",
        style="small",
    )


def _target(item: Json, at: int) -> Iterator[Block]:
    place = f"details:/oversight/targets/{at}"
    label = word(item, "label") or word(item, "target")
    for kind, total, title in (
        ("directions", "decided", "Persons with a human decision"),
        ("appeals", "appealed", "Persons who appealed"),
    ):
        rows = [
            _row(f"{place}/{kind}/{index}/persons", _WORDS.get(word(one, "name"), ""), one)
            for index, one in enumerate(item.get(kind) or ())
        ]
        rows.append(_row(f"{place}/{total}", "all", {"persons": item.get(total)}))
        yield Table(
            id=f"oversight-{kind}-{at}",
            caption=f"{title}: {label}",
            columns=columns("Which", "#Persons", "Record"),
            rows=tuple(rows),
        )
    days = item.get("median_days")
    if finite(days) is not None:
        yield paragraph(
            "From an appeal to its answer, the median was ",
            number(significant(days), f"{place}/median_days"),
            " days.",
        )


def _row(source: str, name: str, item: Json) -> Row:
    return Row(cells=(cell(name), _persons(item), cell(mark(source))), source=source)


def _persons(item: Json) -> Cell:
    known = item.get("persons")
    return cell("suppressed" if known is None else count(known))
