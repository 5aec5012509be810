"""What a contract says of a log of answers: who, on what, with which skills, and how far back.

    group, and an entity of the same column    the student
    entity `interaction`                       one question put to one student at one time
    field `item` (categorical)                 the question
    field `skills` (text)                      what it needs: settings {skills: […], separator: ";"}
    one binary target                          whether the answer was right
    time                                       when the question was put

`history: {cap, recent}` of the student's entity says at how many of the latest answers the derived
fields look, and how many of them the network reads in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verticals.contract import canonical, microseconds
from verticals.contract.model import DataContract, Entity, Field
from verticals.errors import ContractError
from verticals.strictjson import canonical_json, sha256
from verticals.table import Array

RECENT = 50  # answers that the network reads in order, where the contract does not say
CAP = 500
MOST_SKILLS = 4  # of one item that derived fields tell apart
NOTHING = -1  # the code of a missing item, and of a place without a skill


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Hold what the derived fields are made from; `delay` in µs, 0 where answers are known at once.

    `items` and `skills` are the declared values; an undeclared skill has the code `len(skills)`.
    """

    student: str  # key of a bound table, as are the next three
    interaction: str
    item: str
    skills_field: str
    target: str
    items: tuple[str, ...]
    skills: tuple[str, ...]
    separator: str
    cap: int
    recent: int
    delay: int
    late: str  # what a stream does with a question older than its student's latest

    @property
    def digest(self) -> str:
        """Return a digest of the definitions: a saved state serves no others."""
        parts = {
            "items": list(self.items),
            "skills": list(self.skills),
            "separator": self.separator,
            "cap": self.cap,
            "recent": self.recent,
            "delay": self.delay,
        }
        return sha256(canonical_json(parts))

    def skill_codes(self, text: object) -> tuple[int, ...]:
        """Return the codes of the skills in one text, ascending, each once; empty for None."""
        if text is None:
            return ()
        place = {name: code for code, name in enumerate(self.skills)}
        names = (canonical(part) for part in str(text).split(self.separator))
        return tuple(sorted({place.get(name, len(self.skills)) for name in names if name}))


def roles_of(contract: DataContract) -> Roles:
    """Return the roles that a contract declares.

    Raises `ContractError` that names what is missing.
    """
    if not contract.group or not contract.time:
        lacking = "group" if not contract.group else "time"
        raise _lacking(f"`{lacking}:`", f"{lacking}: COLUMN")
    student = next((e for e in contract.entities if e.column == contract.group), None)
    if student is None:
        hint = f"entities: {{student: {{column: {contract.group}, history: {{recent: {RECENT}}}}}}}"
        raise _lacking(f"an entity of the group's column {contract.group!r}", hint)
    interaction = next((e for e in contract.entities if e.name == "interaction"), None)
    if interaction is None:
        raise _lacking("an entity `interaction`", "entities: {interaction: {column: …}}")
    item, skills = _field(contract, "item", "categorical"), _field(contract, "skills", "text")
    targets = [target for target in contract.targets if target.kind == "binary"]
    if len(targets) != 1:
        raise _lacking(f"exactly one binary target (it has {len(targets)})", "targets: {right: …}")
    names, separator = _declared_skills(skills)
    return Roles(
        student=student.key,
        interaction=interaction.key,
        item=item.name,
        skills_field=skills.name,
        target=targets[0].name,
        items=item.values,
        skills=names,
        separator=separator,
        cap=student.history.cap if student.history else CAP,
        recent=_recent(student),
        delay=microseconds(contract.label_delay) if contract.label_delay else 0,
        late=contract.late_events,
    )


def declared_skills(field: Field) -> tuple[str, ...]:
    """Return the skills that a field declares; raise `ContractError` if it declares none."""
    return _declared_skills(field)[0]


def skill_table(codes: Sequence[tuple[int, ...]]) -> Array:
    """Return (rows, MOST_SKILLS) int64 codes, `NOTHING` where there is none; more are left out."""
    padded = [(*row[:MOST_SKILLS], *(NOTHING,) * (MOST_SKILLS - len(row))) for row in codes]
    return np.array(padded, dtype=np.int64).reshape(len(codes), MOST_SKILLS)


def _recent(student: Entity) -> int:
    if student.history is None or not student.history.recent:
        return RECENT
    return student.history.recent


def _field(contract: DataContract, name: str, kind: str) -> Field:
    found = next((item for item in contract.inputs if item.name == name), None)
    if found is None or found.kind != kind:
        seen = "none" if found is None else f"one of kind {found.kind}"
        hint = f"fields: {{{name}: {{column: …, kind: {kind}, …}}}}"
        raise _lacking(f"a field `{name}` of kind {kind} (it has {seen})", hint)
    return found


def _declared_skills(field: Field) -> tuple[tuple[str, ...], str]:
    names, separator = field.settings.get("skills"), field.settings.get("separator", ";")
    if not isinstance(names, list) or not names:
        raise _lacking(
            f"the skills of field {field.name!r}",
            f'{field.name}: {{…, settings: {{separator: ";", skills: [fractions, ratios]}}}}',
        )
    if not isinstance(separator, str) or not separator.strip():
        raise ContractError(
            f"field {field.name!r} has settings.separator {separator!r}, expected a text such as ;"
        )
    skills = tuple(canonical(name) for name in names)
    if "" in skills or len(set(skills)) < len(skills):
        raise ContractError(
            f"field {field.name!r} declares an empty skill or one twice in settings.skills"
        )
    holding = [name for name in skills if separator in name]
    if holding:
        raise ContractError(
            f"field {field.name!r} declares the skill {holding[0]!r}, which holds the separator "
            f"{separator!r}"
        )
    return skills, separator


def _lacking(what: str, hint: str) -> ContractError:
    return ContractError(f"the contract lacks {what}, which knowledge-tracing needs", hint=hint)
