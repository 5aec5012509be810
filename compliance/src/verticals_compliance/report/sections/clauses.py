"""Map the clauses of a regulation to evidence, and to what is open. It concludes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from verticals_compliance.report.held import DomainCheck, domain_checks, held
from verticals_compliance.report.phrases import ORDER
from verticals_compliance.report.profiles import GROUP_CHECKS, Clause, Profile
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Block,
    Bullets,
    Note,
    Row,
    Section,
    Span,
    Spans,
    Table,
    below,
    cell,
    columns,
    paragraph,
    say,
)
from verticals_compliance.report.words import joined, plural

_MOST = 4  # checks that a clause names one by one

#: What a record lacks where a section holds nothing. Sections that not every model can have
#: (curves of fields, maps, plots, checks of a domain) are not missed.
_LACKS = {
    "summary": "finding",
    "purpose": "declared use",
    "data": "contract",
    "split": "sizes of a split",
    "audited": "counts of groups",
    "outside": "counts of values outside the declarations",
    "shift": "comparison with the training data",
    "training": "settings of the training",
    "privacy": "valid privacy budget (ε)",
    "files": "list of files",
    "attack": "attack on the model",
    "performance": "measurement of performance",
    "fairness": "comparison of groups by outcome or decision",
    "explanations": "explanation of the model",
    "reasons": "reasons of decisions",
    "findings": "finding that could be measured",
    "oversight": "human decisions",
}
_STATUS = {
    "fail": ("finding fails", "findings fail"),
    "inconclusive": ("finding is inconclusive", "findings are inconclusive"),
    "not-measurable": ("finding could not be measured", "findings could not be measured"),
}


def section(profile: Profile, record: Record, titles: Mapping[str, str]) -> Section:
    """Return the profile's scope and clauses, as far as they speak of the audited model.

    `titles` maps the ids of this report's sections to titles.
    """
    model = _model(record)
    shown = [clause for clause in profile.clauses if clause.audience.includes(*model)]
    content, checks = held(record), domain_checks(record)
    rows = []
    for clause in shown:
        cited = _cited(clause, checks)
        evidence = _evidence(record, clause, cited, content, titles)
        still = _open(record, clause, cited, content, titles)
        asks = cell(clause.asks, *evidence, *still)
        head = cell(clause.reference, below(clause.title))
        rows.append(Row(cells=(head, asks, cell(clause.person))))
    table = Table(
        id=f"clauses-{profile.name}",
        caption=f"Clauses of {profile.title}, where this report holds evidence, and what is open",
        columns=columns(
            "Clause",
            "What it asks, in our words, the evidence here, and what is open",
            "What only a person can answer",
        ),
        rows=tuple(rows),
    )
    blocks: tuple[Block, ...] = (
        *_misfit(profile, *model),
        paragraph(profile.scope),
        *(paragraph(item.text) for item in profile.scopes if item.audience.includes(*model)),
        _about(profile, left_out=len(profile.clauses) - len(shown)),
        table,
    )
    return Section(id=f"profile-{profile.name}", title=f"Clauses: {profile.title}", blocks=blocks)


def _model(record: Record) -> tuple[str, str]:
    """Return solution and domain of the audited model, as the record names them."""
    return word(record.one("bundle"), "solution"), word(record.detail("solution"), "domain")


def _misfit(profile: Profile, solution: str, domain: str) -> Iterator[Note]:
    if profile.audience.includes(solution, domain):
        return
    known = list(profile.audience.domains) or list(profile.audience.solutions)
    named = f"names the domain “{domain}”" if domain else "names no domain"
    told = (
        f"The profile was written for {joined(known)}; the record {named} (solution "
        f"{solution or 'not recorded'}). Whether any clause speaks of this model is for a person "
        "to say."
    )
    yield Note(title="This profile may not fit", blocks=(paragraph(told),), kind="warning")


def _about(profile: Profile, *, left_out: int) -> Note:
    lines: list[Spans] = [
        say(f"Text: {profile.regulation}, {profile.version}."),
        say(f"Read for this profile on {profile.as_of}; what came later is not in it."),
        say(
            "This maps questions to evidence. It draws no legal conclusion, it is no legal "
            "advice, and a clause without evidence here may still apply."
        ),
    ]
    if left_out:
        told = f"{plural(left_out, 'clause')} of the profile, on other domains or solutions, "
        lines.append(say(told, "is" if left_out == 1 else "are", " left out."))
    lines += [say(line) for line in profile.notes]
    return Note(title="What this mapping is", blocks=(Bullets(items=tuple(lines)),), kind="warning")


def _cited(clause: Clause, checks: Sequence[DomainCheck]) -> list[DomainCheck]:
    """Return the checks of the domain that a clause asks for by name, or as comparing groups."""
    groups = GROUP_CHECKS in clause.answered_by
    return [
        check
        for check in checks
        if (groups and check.attributes)
        or any(fnmatchcase(check.name, pattern) for pattern in clause.checks)
    ]


def _evidence(
    record: Record,
    clause: Clause,
    cited: Sequence[DomainCheck],
    content: frozenset[str],
    titles: Mapping[str, str],
) -> Spans:
    named = [
        (Span(text=titles[name], link=name),)
        for name in clause.answered_by
        if name in content and name in titles
    ]
    parts = [*named, *_checks(record, cited, titles)]
    if not parts:
        return (below("Evidence here: none in this record."),)
    return _listed("Evidence here: ", parts)


def _checks(
    record: Record, cited: Sequence[DomainCheck], titles: Mapping[str, str]
) -> Iterator[Spans]:
    found = [check for check in cited if check.section in titles]
    if not found:
        return
    attributes = dict.fromkeys(name for check in found for name in check.attributes)
    by = joined([record.label(name) for name in attributes])
    spans: list[Span] = [Span(text=f"checks of the domain by {by} (" if by else "checks (")]
    for at, check in enumerate(found[:_MOST]):
        spans += [Span(text=", ")] if at else []
        spans.append(Span(text=titles[check.section], link=check.section))
    more = len(found) - _MOST
    yield (*spans, Span(text=f" and {more} more)" if more > 0 else ")"))


def _open(
    record: Record,
    clause: Clause,
    cited: Sequence[DomainCheck],
    content: frozenset[str],
    titles: Mapping[str, str],
) -> Spans:
    lacks = [
        f"no {_LACKS[name]}"
        for name in clause.answered_by
        if name in _LACKS and name not in content
    ]
    parts: list[Spans] = [say(f"the record holds {joined(lacks, 'and')}")] if lacks else []
    parts += [(span,) for span in _findings(record, clause, cited, titles)]
    weak = [r for r in record.many("fairness") if r.get("verdict") == "insufficient-evidence"]
    if weak and "fairness" in clause.answered_by:
        told = plural(len(weak), "comparison of groups", "comparisons of groups")
        parts.append((Span(text=f"{told} with too little evidence", link="fairness"),))
    if "judgement" in clause.answered_by and "judgement" in titles:
        parts.append((Span(text=titles["judgement"], link="judgement"),))
    return _listed("Open here: ", parts, between="; ") if parts else ()


def _findings(
    record: Record, clause: Clause, cited: Sequence[DomainCheck], titles: Mapping[str, str]
) -> Iterator[Span]:
    """Count the findings on what a clause names that did not pass, by how they stand."""
    names = {check.name for check in cited}
    counts = Counter(
        str(finding["status"])
        for finding in record.many("findings")
        if "findings" in clause.answered_by or _concerns(record, finding, clause, names)
    )
    for status in ORDER:
        if counts[status] and status in _STATUS:
            place = f"judge-{status}"
            text = f"{counts[status]:,} {_STATUS[status][counts[status] != 1]}"
            yield Span(text=text, link=place if place in titles else "")


def _concerns(record: Record, finding: Json, clause: Clause, checks: set[str]) -> bool:
    rule = record.rule(str(finding.get("rule")))
    return rule.get("section") in clause.answered_by or (
        rule.get("section") == "checks" and rule.get("metric") in checks
    )


def _listed(head: str, parts: Sequence[Spans], *, between: str = ", ") -> Spans:
    spans: list[Span] = [below(head)]
    for at, part in enumerate(parts):
        spans += [Span(text=between), *part] if at else part
    return (*spans, Span(text="."))
