"""List what no measurement can settle: open findings, and the questions that always stand."""

from __future__ import annotations

from collections.abc import Iterator

from verticals_compliance.report.finding_text import about, by_rule, ranked, rule_name
from verticals_compliance.report.record import Json, Record
from verticals_compliance.report.tree import (
    Block,
    Bullets,
    Section,
    Span,
    Spans,
    paragraph,
    say,
    strong,
)

_TASKS = {
    "fail": (
        "Failed: decide what happens",
        "Change the model, change its use, or not use it. If a limit is to be set aside, who "
        "decides that, on what ground, and where is it written down?",
    ),
    "inconclusive": (
        "Inconclusive: decide with too little evidence",
        "Collect more data and audit again, or decide under this uncertainty and say why. "
        "Inconclusive is no pass.",
    ),
    "not-measurable": (
        "Not measurable: find another way",
        "The data needed are not there. Can they be had, or must the point be shown otherwise?",
    ),
}

_STANDING = (
    (
        "Lawful basis",
        "On which legal ground are these data processed, the protected ones among "
        "them, and is each field allowed for this purpose?",
    ),
    (
        "Purpose",
        "Is a score needed at all here, is it used for nothing else, and would something "
        "less intrusive do?",
    ),
    (
        "Representative data",
        "Are the people in the data those on whom the model will be used: "
        "place, time, product, groups that are absent? Were past labels themselves fair?",
    ),
    (
        "Which fairness",
        "The measures of fairness can contradict each other. Which of them fits "
        "this decision, and who was asked?",
    ),
    (
        "Human oversight",
        "Who may overrule the score, do they have time, training and authority, "
        "and does anyone count how often they do?",
    ),
    (
        "Contestation",
        "How does a person learn of the decision and its reasons, contest it, and "
        "reach someone who can change it?",
    ),
    (
        "Change over time",
        "Who watches for drift, how often is the audit repeated, and what stops "
        "the use of the model?",
    ),
)


def section(record: Record) -> Section:
    """Return the open findings as tasks, then the standing questions."""
    parts = [part for status in _TASKS if (part := _open(record, status)) is not None]
    standing = tuple(say(strong(f"{name}. "), text) for name, text in _STANDING)
    last = Section(
        id="standing", title="Questions that always stand", blocks=(Bullets(items=standing),)
    )
    said = paragraph("A measurement cannot settle these. Someone with a name has to.")
    return Section(
        id="judgement",
        title="What a person must still judge",
        blocks=(said,),
        sections=(*parts, last),
    )


def _open(record: Record, status: str) -> Section | None:
    mine = [pair for pair in ranked(record) if pair[1]["status"] == status]
    if not mine:
        return None
    title, task = _TASKS[status]
    blocks: tuple[Block, ...] = (paragraph(task), Bullets(items=tuple(_items(record, mine))))
    return Section(id=f"judge-{status}", title=title, blocks=blocks)


def _items(record: Record, mine: list[tuple[int, Json]]) -> Iterator[Spans]:
    for group in by_rule(mine):
        parts: list[str | Span] = [rule_name(record, group[0][1])]
        for at, (index, finding) in enumerate(group):
            told = about(record, finding)
            joint = ("; " if at else ": ") if told else ""
            parts += [joint, Span(text=told or " ", source=f"/findings/{index}")]
        yield say(*parts)
