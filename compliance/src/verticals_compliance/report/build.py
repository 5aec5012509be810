"""Turn a record into a document: the sections in their order, numbered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from verticals_compliance.report.numerals import count, finite
from verticals_compliance.report.profiles import Profile
from verticals_compliance.report.record import Record, word
from verticals_compliance.report.sections import (
    checks,
    clauses,
    data,
    explanations,
    fairness,
    findings,
    judgement,
    maps,
    oversight,
    performance,
    plots,
    privacy,
    purpose,
    recompute,
    summary,
    training,
)
from verticals_compliance.report.tree import Document, Section, Spans, code, say, walk

_FIRST: tuple[Callable[[Record], Section | None], ...] = (
    summary.section,
    purpose.section,
    data.section,
    training.section,
    privacy.section,
    performance.section,
    fairness.section,
    explanations.section,
    maps.section,
    plots.section,
    checks.section,
    findings.section,
    oversight.section,
    judgement.section,
)


def build(record: Record, profiles: Sequence[Profile] = ()) -> Document:
    """Return the report of a record, with a section for each profile.

    The document depends on its arguments alone: no clock, no host, no file name.
    """
    body = [part for make in _FIRST if (part := make(record)) is not None]
    last = recompute.section(record)
    numbered = _numbered([*body, last], after=len(body), shift=len(profiles))
    titles = {part.id: part.title for part in walk(numbered)}
    mapped = [
        replace(part, title=f"{len(body) + at + 1}. {part.title}")
        for at, part in enumerate(clauses.section(profile, record, titles) for profile in profiles)
    ]
    name = word(record.detail("contract"), "name")
    solution = word(record.one("bundle"), "solution")
    return Document(
        title=" · ".join(part for part in (solution, name) if part) or "Audit",
        subtitle="Audit report",
        facts=tuple(_facts(record)),
        sections=(*numbered[:-1], *mapped, numbered[-1]),
    )


def _numbered(parts: Sequence[Section], *, after: int, shift: int) -> list[Section]:
    """Number sections from 1; those that stand after the profiles count them in."""
    return [
        replace(part, title=f"{at + 1 + (shift if at >= after else 0)}. {part.title}")
        for at, part in enumerate(parts)
    ]


def _facts(record: Record) -> Iterator[tuple[str, Spans]]:
    bundle, evidence = record.one("bundle"), record.one("evidence")
    maker = f"{word(bundle, 'distribution')} {word(bundle, 'version')}".strip()
    yield "Model bundle", say(code(_short(word(bundle, "digest"))))
    yield "Trained", say(_trained(record))
    yield "Made with", say(maker or "not recorded")
    if finite(evidence.get("rows")) is not None:
        part = record.detail("evidence").get("part")
        where = f", part “{part}”" if part else ""
        more = "; some checks rest on more" if checks.beyond_audited(record) else ""
        yield "Audited", say(f"{count(evidence['rows'])} rows{where}{more}")
    if evidence.get("form") == "rows":
        yield "Use", say("in the house: made from single rows (see the Summary)")
    yield "Policy", say(word(record.one("policy"), "name"))
    yield "Record", say(code(_short(record.digest)))


def _trained(record: Record) -> str:
    """Say when the model was trained: the digest leaves it out, only a signature covers it."""
    when = str(record.one("bundle").get("trained_at") or "")
    if not when:
        return "not recorded"
    signed = record.detail("bundle").get("signed_by")
    return when if signed else f"{when}, as stated: the bundle is unsigned"


def _short(digest: str) -> str:
    """Keep the first 12 digits: enough to compare by eye; the whole stands with the digests."""
    head, _, tail = digest.rpartition(":")
    return f"{head}:{tail[:12]}…" if len(tail) > 12 and head else digest
