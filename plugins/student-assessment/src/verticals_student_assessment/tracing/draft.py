"""Give the draft of a contract the parts that knowledge tracing asks for (see `roles`)."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from verticals.contract.draft import GUESS, LEAK, Refined
from verticals.contract.guess import ignored, in_order
from verticals.contract.hints import field_name
from verticals.contract.model import DataContract, Decision, Entity, Field, History
from verticals.contract.profile import Profile
from verticals.contract.suspects import fixed_by, strongest
from verticals.errors import ContractError
from verticals.table import Array, Table
from verticals_student_assessment.tracing.draft_skills import (
    distinct_texts,
    separated,
)
from verticals_student_assessment.tracing.features import derived_fields
from verticals_student_assessment.tracing.log_columns import (
    Columns,
    find_columns,
    fits_within,
    is_known_after,
    is_named_right,
    is_numbered_time,
    names_interactions,
    names_items,
    names_skills,
    names_students,
    orders_answers,
    shared_places,
)
from verticals_student_assessment.tracing.roles import CAP, RECENT, roles_of

MOST_ITEMS = 3000  # that a draft lists, the most frequent ones; another counts as "other"
MOST_SKILLS_LISTED = 1000

_HISTORY = f"history: {{cap: {CAP}, recent: {RECENT}}}"


def refine(draft: DataContract, raw: Table, columns: Mapping[str, Profile]) -> Refined:
    """Return a draft for a log of answers: student, interaction, item, skills and target.

    What names and values do not tell stays out, and a finding says what to declare.
    """
    found = find_columns(draft, raw, columns)
    item = _item(columns[found.item], raw[found.item]) if found.item else None
    skills = _skills(columns[found.skills], raw[found.skills]) if found.skills else None
    if skills is None and found.skills:
        found = dataclasses.replace(found, skills="")
    fields, remarks = _fields(draft, found, columns, [part for part in (item, skills) if part])
    if not fields:  # a contract has at least one
        return Refined(contract=draft, findings=tuple(_lacking(draft, found, raw, columns)))
    contract = _renamed(_contract(draft, raw, found, fields), found)
    findings = (*_told(contract, found, raw), *remarks, *_lacking(draft, found, raw, columns))
    return Refined(contract=contract, comments=_comments(contract, found), findings=findings)


def _item(column: Profile, values: Array) -> Field:
    listed = distinct_texts(values, column.missing)[:MOST_ITEMS]
    return Field(
        name="item",
        column=column.column,
        kind="categorical",
        categories=in_order(listed),
        missing=column.missing,
        label="Item",
        drafted=("categories", *(("missing",) if column.missing else ())),
    )


def _skills(column: Profile, values: Array) -> Field | None:
    """Return the field of skills, None where there are none to list, or too many."""
    separator, names = separated(distinct_texts(values, column.missing))
    if not 0 < len(names) <= MOST_SKILLS_LISTED:
        return None
    return Field(
        name="skills",
        column=column.column,
        kind="text",
        missing=column.missing,
        label="Skills that the item needs",
        drafted=("settings", *(("missing",) if column.missing else ())),
        settings={"separator": separator, "skills": list(names)},
    )


def _fields(
    draft: DataContract, found: Columns, columns: Mapping[str, Profile], parts: Sequence[Field]
) -> tuple[tuple[Field, ...], list[str]]:
    """Return the fields of a contract, and what was left out of the model and why."""
    given = {part.column: part for part in parts}
    fields, remarks = [], []
    known = {target.column for target in draft.targets}  # the draft has looked for its leaks
    target = found.target
    new_truth = columns[target.column].codes if target and target.column not in known else None
    for field in draft.fields:
        why = _why_not(found, columns[field.column])
        if not why and new_truth is not None and field.is_input:
            why = _leak(columns[field.column], new_truth)
        if field.column in given:
            fields.append(given.pop(field.column))
        elif field.column in found.taken:
            continue
        elif why and field.is_input:
            fields.append(ignored(field.name, field.column))
            remarks.append(f"{field.column!r} {why}: left out of the model")
        else:
            fields.append(field)
    for other in draft.targets if target else ():
        if other.column not in found.taken:
            fields.append(ignored(other.name, other.column))
            remarks.append(
                f"{other.column!r} is not the target of a log: left out of the model; declare it "
                "as a feature where it is known before the answer"
            )
    return (*fields, *given.values()), remarks


def _leak(column: Profile, truth: Array) -> str:
    auc = strongest(column, truth)
    told = fixed_by(column, truth) or (auc is not None and auc > LEAK)
    return "looks like a leak: it alone tells the target" if told else ""


def _why_not(found: Columns, column: Profile) -> str:
    """Say why the model must not read a column of a log, or nothing."""
    if is_known_after(column):
        return "is known only with the answer"
    if is_numbered_time(column):
        return "is a time, which needs a derived field"
    if found.skills and names_skills(column):
        return f"names skills, as {found.skills!r} does"
    if found.item and names_items(column):
        return f"names the item, as {found.item!r} does"
    if names_students(column):
        return "names the student"
    return ""


def _contract(
    draft: DataContract, raw: Table, found: Columns, fields: tuple[Field, ...]
) -> DataContract:
    used = {found.item, found.skills, found.target.column if found.target else ""}
    own_id = "" if draft.id in used or draft.id == found.student else draft.id
    if found.interaction and not own_id and not shared_places(raw, [found.interaction]):
        own_id = found.interaction
    target = found.target
    return dataclasses.replace(
        draft,
        id=own_id,
        group=found.student,
        time=found.time,
        entities=tuple(_entities(found)),
        targets=(target,) if target else draft.targets,
        decision=Decision(target=target.name, cut=0.5) if target else draft.decision,
        fields=fields,
    )


def _entities(found: Columns) -> Iterator[Entity]:
    history = History(cap=CAP, recent=RECENT) if found.time else None  # it needs an order
    if found.student:
        yield Entity(
            name="student", column=found.student, label="Student", owned=True, history=history
        )
    if found.interaction:
        yield Entity(
            name="interaction",
            column=found.interaction,
            label="Interaction",
            owned=bool(found.student),
        )


def _renamed(contract: DataContract, found: Columns) -> DataContract:
    """Return the contract with other names for fields named like a part or a derived field."""
    taken = {target.name for target in contract.targets} | {"item", "skills"}
    # Where something is still to be declared, nothing is derived yet.
    with contextlib.suppress(ContractError):
        taken |= {field.name for field in derived_fields(roles_of(contract))}
    fields: list[Field] = []
    for number, field in enumerate(contract.fields, 1):
        name = field.name
        if not _is_part(field, found) and name in taken:
            name = field_name(name, number, taken | {other.name for other in contract.fields})
        taken.add(name)
        fields.append(dataclasses.replace(field, name=name))
    return dataclasses.replace(contract, fields=tuple(fields))


def _is_part(field: Field, found: Columns) -> bool:
    return field.column in (found.item, found.skills)


def _comments(contract: DataContract, found: Columns) -> dict[tuple[str, ...], str]:
    comments: dict[tuple[str, ...], str] = {
        ("entities", entity.name): GUESS for entity in contract.entities
    }
    for field in contract.fields:
        if _is_part(field, found):
            comments["fields", field.name] = GUESS
    return comments


def _told(contract: DataContract, found: Columns, raw: Table) -> Iterator[str]:
    """Say which column was taken for what."""
    if found.student:
        yield (
            f"{found.student!r} is taken as the group and as an entity, the student: what comes "
            "next is told from the student's earlier answers"
        )
    if found.interaction:
        yield (
            f"{found.interaction!r} is taken as the entity interaction: rows that share a value "
            "are one answer"
        )
    if found.item:
        count = len(contract.field("item").categories)
        every = len(distinct_texts(raw[found.item], contract.field("item").missing))
        rest = f", the most frequent of {every:,}: the others count as 'other'"
        yield (
            f"{found.item!r} is taken as the item: {count:,} categories were read from the data"
            f"{rest if every > count else ''}"
        )
    if found.skills:
        names = contract.field("skills").settings["skills"]
        sign = contract.field("skills").settings["separator"]
        several = any(sign in text for text in distinct_texts(raw[found.skills]))
        parted = f"several in one value are parted by {sign!r}" if several else "one in each value"
        yield (
            f"{found.skills!r} is taken as the skills: {len(names):,} were read from the data, "
            f"{parted}"
        )


def _lacking(
    draft: DataContract, found: Columns, raw: Table, columns: Mapping[str, Profile]
) -> Iterator[str]:
    """Say what is still to be declared, and how."""
    every = list(columns.values())
    if not found.student:
        yield _no_student(every, raw.rows)
    if not found.time:
        yield _no_time(every, raw.rows)
    if not found.interaction:
        yield _no_interaction(found, raw, every)
    elif found.student and found.time and found.item:
        parts = [found.student, found.time, found.item]
        shared = shared_places(raw, parts) if not _several(raw, found) else 0
        if shared:
            yield (
                f"{shared:,} row(s) share student, time and item with an earlier row: if they are "
                f"one answer, one row a skill, give them one value of {found.interaction!r}"
            )
    if not found.item:
        odd = _first(column for column in every if names_items(column))
        seen = f"{odd!r} has no values that a contract can list" if odd else _unnamed("an item")
        yield (
            f"{seen}: declare fields: {{item: {{column: COLUMN, kind: categorical, categories: "
            "[q1, q2]}}"
        )
    if not found.skills:
        yield _no_skills(found, raw, every)
    if not found.target:
        odd = _first(column for column in every if is_named_right(column))
        seen = f"{odd!r} has not two values, right and wrong" if odd else _unnamed("a right answer")
        yield (
            f"{seen}: declare targets: {{right: {{column: COLUMN, kind: binary, positive: 1, "
            "negative: 0, favourable: 1}}, the only target, and decision: {target: right, cut: 0.5}"
        )


def _no_student(columns: Sequence[Profile], rows: int) -> str:
    odd = _first(column for column in columns if names_students(column))
    gaps = any(column.column == odd and column.present < rows for column in columns)
    seen = f"{odd!r} {'has gaps' if gaps else 'never repeats'}" if odd else _unnamed("a student")
    return (
        f"{seen}: declare group: COLUMN and entities: {{student: {{column: COLUMN, owned: true, "
        f"{_HISTORY}}}}}"
    )


def _no_time(columns: Sequence[Profile], rows: int) -> str:
    times = [column for column in columns if column.kind == "time"]
    gaps = [column.column for column in times if column.present < rows]
    if len(times) > 1:
        names = ", ".join(repr(column.column) for column in times)
        return f"{names} are times: declare as time: COLUMN the one when the question was put"
    if gaps:
        return (
            f"{gaps[0]!r} has no time in some rows: drop or repair them, then declare time: "
            f"{gaps[0]}"
        )
    odd = _first(column for column in columns if is_numbered_time(column))
    if odd:
        return (
            f"{odd!r} holds no ISO 8601 times: rewrite them, as 2024-05-01 10:00:00, then declare "
            f"time: {odd}"
        )
    order = _first(column for column in columns if orders_answers(column))
    seen = f"{order!r} may order the answers, but is no time" if order else "no column holds times"
    return (
        f"{seen}: add when each question was put, as 2024-05-01 10:00:00, and declare time: COLUMN"
    )


def _no_interaction(found: Columns, raw: Table, columns: Sequence[Profile]) -> str:
    odd = _first(column for column in columns if names_interactions(column))
    seen = _unnamed("the id of an answer")
    if odd:
        seen = f"{odd!r} has gaps, or stands with several students, items, times or answers"
    parts = [name for name in (found.student, found.time, found.item) if name]
    told = ""
    if len(parts) > 1 and not shared_places(raw, parts):
        told = f" ({', '.join(map(repr, parts))} together tell the rows apart)"
    return (
        f"{seen}: add a number for each answer{told}, the same in its rows where they are one a "
        "skill, and declare entities: {interaction: {column: COLUMN, owned: true}}"
    )


def _no_skills(found: Columns, raw: Table, columns: Sequence[Profile]) -> str:
    odd = _first(column for column in columns if names_skills(column))
    seen = f"{odd!r} has no skills that a contract can list" if odd else _unnamed("skills")
    may = ""
    if found.item:
        # Nothing is read twice, so the item's own column cannot be the skills as well.
        fits = [
            column.column
            for column in columns
            if column.kind == "categorical"
            and column.column not in found.taken
            and not is_known_after(column)
            and fits_within(raw, column.column, found.item)
        ]
        may = "; where none are known, a copy of the item's column will do"
        if fits:
            may = f"; {fits[0]!r} has one value for each item, and may be the skill"
    return (
        f"{seen}{may}: declare fields: {{skills: {{column: COLUMN, kind: text, settings: "
        '{separator: ";", skills: [fractions, ratios]}}}'
    )


def _several(raw: Table, found: Columns) -> bool:
    """Tell whether some interaction stands in several rows."""
    return shared_places(raw, [found.interaction]) > 0


def _first(columns: Iterator[Profile]) -> str:
    return next((column.column for column in columns), "")


def _unnamed(what: str) -> str:
    return f"no column is named like {what}"
