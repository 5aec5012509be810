"""Say what the model is for: its use, its outcome, and the rule that turns scores to decisions."""

from __future__ import annotations

import math
from collections.abc import Iterator

from verticals_compliance.report.numerals import finite, percent, significant
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Block,
    Definitions,
    Note,
    Section,
    Spans,
    paragraph,
    say,
)
from verticals_compliance.report.words import coded, sentence


def section(record: Record) -> Section:
    """Return what the solution and the contract declare about use and decisions."""
    solution = record.detail("solution")
    entries = [
        ("Solution", say(f"{word(solution, 'name')}. ", sentence(word(solution, "summary")))),
        ("Domain", say(word(solution, "domain"))),
        ("Intended use", say(sentence(word(solution, "intended_use")))),
        ("Not for", say(sentence(word(solution, "not_for")))),
        *_targets(record),
        *_decision(record),
    ]
    shown = Definitions(entries=tuple((term, spans) for term, spans in entries if spans))
    blocks: tuple[Block, ...] = (shown, *_undeclared(solution))
    return Section(id="purpose", title="What the model is for", blocks=blocks)


def _undeclared(solution: Json) -> Iterator[Note]:
    absent = [
        what
        for key, what in (("intended_use", "an intended use"), ("not_for", "what it is not for"))
        if not solution.get(key)
    ]
    if absent:
        told = (
            f"The solution declares neither {' nor '.join(absent)}."
            if len(absent) > 1
            else f"The solution does not declare {absent[0]}."
        )
        yield Note(title="Not declared", blocks=(paragraph(told),), kind="warning")


def _targets(record: Record) -> Iterator[tuple[str, Spans]]:
    for target in record.detail("contract").get("targets") or ():
        said = sentence(target.get("meaning") or _label(target))
        if target.get("positive"):
            said += f" The score is the probability of “{_value(target, 'positive')}”."
        if target.get("favourable"):
            said += f" Favourable to the person: “{_value(target, 'favourable')}”."
        yield f"Outcome: {_label(target)}", say(said)


def _label(target: Json) -> str:
    return word(target, "label") or word(target, "name")


def _value(target: Json, key: str) -> str:
    return coded(_label(target), word(target, key))


def _decision(record: Record) -> Iterator[tuple[str, Spans]]:
    decision = record.detail("contract").get("decision")
    if not decision:
        yield "Decision rule", say("None is declared: the model gives scores, and no decision.")
        return
    target = _target(record, word(decision, "target"))
    value, share = _value(target, "positive"), finite(decision.get("rate"))
    declared, applied = finite(decision.get("cut")), _applied(record)
    cut = declared if applied is None else applied
    shown = _cut(cut) if cut is not None else "a cut that the record does not state"
    said = f"“{value}” is decided where the score is {shown} or more."
    if share is not None:
        said = (
            f"“{value}” is to be decided for {percent(share)} of the cases, those with the highest "
            f"scores. Fitted on the calibration part, that is a score of {shown} or more."
        )
    elif cut is not None and declared is not None and not math.isclose(cut, declared):
        said += (
            " That is the cut which was applied, and on which the audit rests. The contract "
            f"declares another one, {_cut(declared)}: the training fitted its own."
        )
    yield "Decision rule", say(said)
    if target.get("favourable"):
        same = target["favourable"] == target.get("positive")
        where = f"{shown} or more" if same else f"below {shown}"
        said = f"“{_value(target, 'favourable')}”, where the score is {where}."
        yield "Favourable decision", say(said)


def _target(record: Record, name: str) -> Json:
    targets = record.detail("contract").get("targets") or ()
    return next((item for item in targets if item.get("name") == name), {})


def _applied(record: Record) -> float | None:
    """Return the cut that turned the audited scores into decisions, None if it is not recorded."""
    places = (
        (record.detail("evidence").get("decision") or {}).get("cut"),
        *(curve.get("decision_cut") for curve in record.listed("curves")),
    )
    return next((cut for place in places if (cut := finite(place)) is not None), None)


def _cut(value: float) -> str:
    return significant(value, 6)
