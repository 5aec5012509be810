"""Map the clauses of a regulation to the sections that hold evidence. It concludes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from verticals_compliance.report.profiles import Clause, Profile
from verticals_compliance.report.tree import (
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


def section(profile: Profile, titles: Mapping[str, str]) -> Section:
    """Return the profile's clauses; `titles` maps the ids of this report's sections to titles."""
    rows = tuple(
        Row(
            cells=(
                cell(clause.reference, below(clause.title)),
                cell(clause.asks, *_evidence(clause, titles)),
                cell(clause.person),
            )
        )
        for clause in profile.clauses
    )
    table = Table(
        id=f"clauses-{profile.name}",
        caption=f"Clauses of {profile.title}, and where this report holds evidence",
        columns=columns(
            "Clause",
            "What it asks, in our words, and the evidence here",
            "What only a person can answer",
        ),
        rows=rows,
    )
    lines: list[Spans] = [
        say(f"Text: {profile.regulation}, {profile.version}."),
        say(f"Read for this profile on {profile.as_of}; what came later is not in it."),
        say(
            "This maps questions to evidence. It draws no legal conclusion, it is no legal "
            "advice, and a clause without evidence here may still apply."
        ),
        *(say(line) for line in profile.notes),
    ]
    note = Note(title="What this mapping is", blocks=(Bullets(items=tuple(lines)),), kind="warning")
    return Section(
        id=f"profile-{profile.name}",
        title=f"Clauses: {profile.title}",
        blocks=(paragraph(profile.scope), note, table) if profile.scope else (note, table),
    )


def _evidence(clause: Clause, titles: Mapping[str, str]) -> Spans:
    known = [name for name in clause.answered_by if name in titles]
    if not known:
        return (below("Evidence here: none in this record."),)
    spans: list[Span] = [below("Evidence here: ")]
    for at, name in enumerate(known):
        spans += [Span(text=titles[name], link=name)]
        spans.append(Span(text=", " if at < len(known) - 1 else "."))
    return tuple(spans)
