"""Summarise: how many rules fail, what they are, and how to read the rest."""

from __future__ import annotations

from collections import Counter

from verticals_compliance.report.finding_text import by_rule, finding_blocks, ranked
from verticals_compliance.report.numerals import at_most, count, finite
from verticals_compliance.report.phrases import ORDER, level, measured, outcome
from verticals_compliance.report.record import Record, word
from verticals_compliance.report.sections.privacy import uncovered
from verticals_compliance.report.tree import (
    Block,
    Bullets,
    Count,
    Note,
    Paragraph,
    Section,
    Span,
    Tally,
    number,
    paragraph,
    say,
)
from verticals_compliance.report.words import joined, plural

_ENDS = {
    "fail": ("fails", "fail"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
    "not-measurable": ("could not be measured", "could not be measured"),
    "pass": ("passes", "pass"),
}


def section(record: Record) -> Section:
    """Return the summary: a sentence, the counts, what needs a look, how to read the report."""
    findings = record.many("findings")
    counts = Counter(finding["status"] for finding in findings)
    tally = Tally(
        label="Findings by status",
        counts=tuple(Count(status=name, count=counts.get(name, 0)) for name in ORDER),
    )
    blocks: list[Block] = [_headline(record, counts), tally]
    open_ones = by_rule([p for p in ranked(record) if p[1]["status"] != "pass"])
    if open_ones:
        blocks += [paragraph("What needs a person's attention, most pressing first:")]
        blocks += [block for group in open_ones for block in finding_blocks(record, group)]
    glance = tuple(item for item in (_ranking(record), _privacy(record), _people(record)) if item)
    if glance:
        blocks += [paragraph("At a glance:"), Bullets(items=glance)]
    return Section(id="summary", title="Summary", blocks=(*blocks, _how_to_read(record)))


def _headline(record: Record, counts: Counter[str]) -> Paragraph:
    total = sum(counts.values())
    if not total:
        return paragraph("The policy held no rule, so nothing was judged.", style="lead")
    said = [
        f"{count(counts[name])} {_ENDS[name][counts[name] != 1]}" for name in ORDER if counts[name]
    ]
    rules = plural(total, "finding")
    required = [item for item in record.many("findings") if item.get("required")]
    unmet = sum(item["status"] != "pass" for item in required)
    tail = f" {count(len(required))} of them are required by the policy" if required else ""
    tail = f"{tail}; {count(unmet)} of those did not pass." if required else ""
    return paragraph(f"Of {rules}, {joined(said)}.{tail}", style="lead")


def _ranking(record: Record) -> tuple[Span, ...]:
    for at, item in enumerate(record.many("performance")):
        if item.get("metric") == "roc_auc" and finite(item.get("estimate")) is not None:
            known = measured(item, f"/performance/{at}", "decimal", level(record))
            what = outcome(record, word(item, "output"))
            return say(f"Performance: the ranking by “{what}” has an AUC of ", *known, ".")
    return ()


def _privacy(record: Record) -> tuple[Span, ...]:
    privacy = record.one("privacy")
    epsilon = finite(privacy.get("epsilon"))
    if epsilon is None:
        return say("Privacy: the record states no privacy budget (ε) for this model.")
    delta = at_most(privacy.get("delta"), 2)
    told = number(f"ε = {at_most(epsilon)}, δ = {delta}", "/privacy")
    outside = uncovered(record)
    tail = f"; not covered by it: {joined(outside)}." if outside else "."
    return say("Privacy: trained under differential privacy with ", told, tail)


def _people(record: Record) -> tuple[Span, ...]:
    evidence = record.one("evidence")
    if finite(evidence.get("rows")) is None:
        return ()
    rows = number(plural(int(evidence["rows"]), "row"), "/evidence")
    form = "single rows" if evidence.get("form") == "rows" else "counts without single rows"
    return say("Basis: ", rows, f" of audited data, held as {form}, {word(evidence, 'origin')}.")


def _how_to_read(record: Record) -> Note:
    sure = level(record)
    link = Span(text="the list of places", link="recompute")
    lines = (
        say(
            f"A number stands with its {sure} interval: the range of values that the data are "
            "consistent with. n is the number of rows that it was measured on."
        ),
        say(
            "A rule passes or fails only if the whole interval lies on one side of its limit, "
            "unless the policy says that the estimate decides. Otherwise it is inconclusive: "
            "not a pass."
        ),
        say(
            "A small raised sign such as P0 says where in the record (audit.json) a number "
            "stands; see ",
            link,
            ".",
        ),
        say(
            "The report says what was measured and against which limit. What follows from that, "
            "in law and otherwise, it does not decide: ",
            Span(text="a person must", link="judgement"),
            ".",
        ),
    )
    return Note(title="How to read this report", blocks=(Bullets(items=lines),))
