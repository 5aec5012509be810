"""Say what the model is for: its use, its outcome, and the rule that turns scores to decisions."""

from __future__ import annotations

from collections.abc import Iterator

from verticals_compliance.report.numbers import decimal, finite, percent
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
from verticals_compliance.report.words import sentence


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
        word
        for key, word in (("intended_use", "an intended use"), ("not_for", "what it is not for"))
        if not solution.get(key)
    ]
    if absent:
        told = (
            f"The solution declares neither {' nor '.join(absent)}."
            if len(absent) > 1
            else (f"The solution does not declare {absent[0]}.")
        )
        yield Note(title="Not declared", blocks=(paragraph(told),), kind="warning")


def _targets(record: Record) -> Iterator[tuple[str, Spans]]:
    for target in record.detail("contract").get("targets") or ():
        name = target.get("label") or word(target, "name")
        said = sentence(target.get("meaning") or name)
        if target.get("positive"):
            said += f" The score is the probability of “{target['positive']}”."
        if target.get("favourable"):
            said += f" Favourable to the person: “{target['favourable']}”."
        yield f"Outcome: {name}", say(said)


def _decision(record: Record) -> Iterator[tuple[str, Spans]]:
    decision = record.detail("contract").get("decision")
    if not decision:
        yield "Decision rule", say("None is declared: the model gives scores, and no decision.")
        return
    target = _target(record, word(decision, "target"))
    value = target.get("positive") or "the positive value"
    cut = finite(decision.get("cut"))
    if cut is not None:
        said = f"“{value}” is decided where the score is {decimal(cut)} or more."
    else:
        share = percent(decision.get("rate"))
        said = f"“{value}” is decided for the {share} of cases with the highest scores"
        fitted = _fitted(record)
        said += (
            f"; on the calibration part this was a score of {decimal(fitted)} or more."
            if (fitted is not None)
            else "."
        )
    yield "Decision rule", say(said)
    favourable = target.get("favourable")
    if favourable:
        yield "Favourable decision", say(_favourable(target, value))


def _favourable(target: Json, value: str) -> str:
    if target.get("favourable") == target.get("positive"):
        return f"The person is decided “{value}”."
    return f"The person is not decided “{value}”."


def _target(record: Record, name: str) -> Json:
    targets = record.detail("contract").get("targets") or ()
    return next((item for item in targets if item.get("name") == name), {})


def _fitted(record: Record) -> float | None:
    for curve in record.listed("curves"):
        known = finite(curve.get("decision_cut"))
        if known is not None:
            return known
    return None
