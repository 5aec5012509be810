"""What each student has got the hang of by now, for the teacher: private data, not evidence."""

from __future__ import annotations

from typing import Any

import numpy as np

from verticals.api import Scorer
from verticals.contract import bind
from verticals.contract.model import GROUP, LABEL_TIME, MISSING, TIME
from verticals.errors import ContractError
from verticals.table import Array, Table, concatenate
from verticals_student_assessment.tracing.roles import roles_of

_SECOND = np.timedelta64(1, "s")


def current_mastery(scorer: Scorer, data: Any) -> Table:
    """Return, for each student and each skill practised, what a next answer would be like.

    Columns: student, skill, right and wrong (so far), mastery (0 to 1): the probability of a right
    answer, a second after the student's latest, to an unknown item that needs this skill alone.
    Unknown means that no item's difficulty is taken into account, so it is no forecast for an easy
    or a hard item. Only declared skills are told. Other inputs of the model are missing in that
    question, as nobody knows them before it is put.

    Raises `ContractError` or `DataError` for a log that does not fit the contract, and
    `ContractError` where the model reads a block or a media field, of which none is missing.
    """
    contract = scorer.bundle.contract
    roles = roles_of(contract)
    bound = bind(contract, scorer.raw(data).table, targets=False, audited=False).table
    own = [roles.student, roles.interaction, TIME, roles.item, roles.skills_field]
    others = [item.name for item in contract.inputs if item.name not in own]
    known = [name for name in (roles.target, LABEL_TIME) if name in bound]
    table = bound.select([*own, *others, *known])
    latest: dict[str, np.datetime64] = {}
    tried: dict[tuple[str, int], None] = {}
    columns = (table[name].tolist() for name in (roles.student, roles.skills_field))
    for student, text, time in zip(*columns, table[TIME], strict=True):
        if student is None:
            continue
        latest[student] = max(latest.get(student, time), time)
        tried |= {(student, code): None for code in roles.skill_codes(text)}
    asked = [(who, code) for who, code in tried if code < len(roles.skills)]
    questions = {
        roles.student: np.array([who for who, _ in asked], dtype=object),
        roles.interaction: np.array([f"\0{place}" for place in range(len(asked))], dtype=object),
        TIME: np.array([latest[who] + _SECOND for who, _ in asked], dtype="datetime64[us]"),
        roles.item: np.full(len(asked), MISSING, dtype=table[roles.item].dtype),
        roles.skills_field: np.array([roles.skills[code] for _, code in asked], dtype=object),
        roles.target: np.full(len(asked), np.nan),
        LABEL_TIME: np.full(len(asked), np.datetime64("NaT"), dtype="datetime64[us]"),
        **{name: _missing(name, table[name], len(asked)) for name in others},
    }
    whole = concatenate([table, Table(questions).select(list(table))])
    whole = whole.with_columns({GROUP: whole[roles.student]})
    derived = scorer.vertical.derive(whole).take(np.arange(table.rows, whole.rows))
    return Table(
        {
            "student": derived[roles.student],
            "skill": derived[roles.skills_field],
            "right": derived["skill_right"].astype(np.int64),
            "wrong": derived["skill_wrong"].astype(np.int64),
            "mastery": scorer.columns(derived)["score"],
        }
    )


def _missing(name: str, column: Array, rows: int) -> Array:
    """Return a column of missing values like another one."""
    values = {"f": np.nan, "i": MISSING, "O": None}
    if column.ndim != 1 or column.dtype.kind not in values:
        raise ContractError(
            f"input {name!r} has no missing value, expected one column of numbers or categories "
            "beside item and skills: the next question has none of it yet",
            hint="mastery is told of models that read single columns only; train one without it",
        )
    return np.full(rows, values[column.dtype.kind], dtype=column.dtype)
