"""Summarise: how many rules fail, what they are, and how to read the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from verticals_compliance.accounting import CONTRADICTS
from verticals_compliance.report.finding_text import by_rule, finding_blocks, ranked
from verticals_compliance.report.numerals import at_most, count, finite
from verticals_compliance.report.phrases import ORDER, level, measured, outcome
from verticals_compliance.report.record import Record, word
from verticals_compliance.report.sections.checks import beyond_audited
from verticals_compliance.report.sections.parts import seen_in_training
from verticals_compliance.report.sections.performance import level_of_scores
from verticals_compliance.report.sections.privacy import uncovered
from verticals_compliance.report.tree import (
    Block,
    Bullets,
    Count,
    Note,
    Paragraph,
    Section,
    Span,
    Spans,
    Tally,
    code,
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
    blocks: list[Block] = [_headline(record, counts), tally, *seen_in_training(record)]
    open_ones = by_rule([p for p in ranked(record) if p[1]["status"] != "pass"])
    if open_ones:
        blocks += [paragraph("What needs a person's attention, most pressing first:")]
        blocks += [block for group in open_ones for block in finding_blocks(record, group)]
    glance = tuple(item for item in _at_a_glance(record) if item)
    if glance:
        blocks += [paragraph("At a glance:"), Bullets(items=glance)]
    return Section(
        id="summary",
        title="Summary",
        blocks=(*blocks, *_for_the_house(record), _how_to_read(record)),
    )


def _at_a_glance(record: Record) -> tuple[Spans, ...]:
    return (_ranking(record), *_levels(record), _privacy(record), _people(record))


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


def _ranking(record: Record) -> Spans:
    for at, item in enumerate(record.many("performance")):
        if item.get("metric") == "roc_auc" and finite(item.get("estimate")) is not None:
            known = measured(item, f"/performance/{at}", "decimal", level(record))
            what = outcome(record, word(item, "output"))
            return say(f"Performance: the ranking by “{what}” has an AUC of ", *known, ".")
    return ()


def _levels(record: Record) -> Iterator[Spans]:
    """Say where scores are too low or too high on average, beyond what chance explains."""
    for at, item in enumerate(record.many("performance")):
        lower, upper = finite(item.get("lower")), finite(item.get("upper"))
        if item.get("metric") != "calibration_intercept" or lower is None or upper is None:
            continue
        if lower > 0 or upper < 0:
            known = measured(item, f"/performance/{at}", "decimal", level(record))
            what = outcome(record, word(item, "output"))
            yield say(f"Calibration of “{what}”: intercept ", *known, f". {level_of_scores(item)}")


def _privacy(record: Record) -> Spans:
    privacy = record.one("privacy")
    epsilon = finite(privacy.get("epsilon"))
    if epsilon is None:
        return say("Privacy: the record states no privacy budget (ε) for this model.")
    delta = at_most(privacy.get("delta"), 2)
    told = number(f"ε = {at_most(epsilon)}, δ = {delta}", "/privacy")
    outside = uncovered(record)
    tail = f"; not covered by it: {joined(outside)}." if outside else "."
    if record.detail("accounting").get("status") == CONTRADICTS:
        return say("Privacy: the bundle states ", told, ", which its own numbers contradict", tail)
    return say("Privacy: trained under differential privacy with ", told, tail)


def _people(record: Record) -> Spans:
    evidence = record.one("evidence")
    if finite(evidence.get("rows")) is None:
        return ()
    rows = number(plural(int(evidence["rows"]), "row"), "/evidence")
    form = "single rows" if evidence.get("form") == "rows" else "counts without single rows"
    more = " Some checks rest on more rows than these." if beyond_audited(record) else ""
    return say(
        "Basis: ", rows, f" of audited data, held as {form}, {word(evidence, 'origin')}.{more}"
    )


def _for_the_house(record: Record) -> Iterator[Note]:
    """Warn where counts below the least that is shown can be reckoned from rates and their n."""
    if record.one("evidence").get("form") != "rows":
        return
    told = (
        "It was made from single rows. Small counts are not printed, but a rate together with its "
        "n lets some of them be reckoned. What is to be published should be made from counts: ",
        code("verticals evidence BUNDLE --data DATA --out DIR --counts"),
        ", then audit and report of that.",
    )
    yield Note(title="This report is for use in the house", blocks=(paragraph(*told),))


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
