"""Read a bound log: which rows are one interaction, what is known of it, and what may be seen.

A log tells an interaction that needs several skills in one of two ways: one row whose skills stand
side by side ("a;b"), or one row for each skill, with the same interaction id. Either way it is one
answer here, with all its skills. Rows of one interaction see what was known before it, and never
one another: an answer that stands in the next row would give itself away (pyKT, Liu et al.,
NeurIPS 2022 datasets and benchmarks, calls that label leakage).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verticals.contract.model import LABEL_TIME, ROW, TIME
from verticals.errors import DataError
from verticals.table import Array, Table
from verticals_student_assessment.tracing.looking_back import Answers, Questions
from verticals_student_assessment.tracing.roles import MOST_SKILLS, Roles, skill_table

NEVER = np.iinfo(np.int64).max  # when an answer is known that is not
NOBODY = -1  # the student of a row without one
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Log:
    """Hold what is read of a bound table. Row by row, but for what is named per interaction."""

    student: Array  # (rows,) int64 code, NOBODY where missing
    interaction: Array  # (rows,) int64 code
    time: Array  # (rows,) int64, µs
    item: Array  # (rows,) int64
    skills: Array  # (rows, MOST_SKILLS) of the row itself
    first: Array  # (interactions,) a row of each
    right: Array  # (interactions,) float64, NaN where the answer is not known
    known: Array  # (interactions,) int64 µs when the answer was known, NEVER where it is not
    all_skills: Array  # (interactions, MOST_SKILLS), of all rows of it
    order: Array  # (interactions,) place of its id among all ids as text: breaks ties
    too_many: int  # interactions with more skills than are told apart


def read_log(roles: Roles, table: Table) -> Log:
    """Return a bound table as a log.

    Raises `DataError` for a column that is not there, a missing time or interaction, and rows of
    one interaction that differ in student, item, time or answer.
    """
    for key, declare in (
        (TIME, "time: COLUMN"),
        (roles.student, "entities: {student: {column: …}}"),
        (roles.interaction, "entities: {interaction: {column: …}}"),
    ):
        if key not in table:
            raise DataError(
                f"the table has no column {key}, which the derived fields need",
                hint=f"declare {declare} in the contract, and bind the data with it",
            )
    time = _times(table)
    student = _codes(table[roles.student])[0]
    interaction, names = _codes(table[roles.interaction])
    lost = interaction < 0
    if lost.any():
        raise DataError(
            f"column {roles.interaction} is missing in {int(lost.sum())} row(s) "
            f"({_rows(table, lost)}), expected an interaction in each",
            hint="give each answer an id; the rows of one answer share it",
        )
    item = np.asarray(table[roles.item], dtype=np.int64)
    first = np.unique(interaction, return_index=True)[1]
    for what, column in (("student", student), ("item", item), ("time", time)):
        _same(table, interaction, first, column, what)
    right, known = _answers(roles, table, interaction, first, time)
    texts = table[roles.skills_field]
    skills, joined, too_many = _skills(roles, texts, interaction, len(first))
    return Log(
        student=student,
        interaction=interaction,
        time=time,
        item=item,
        skills=skills,
        first=first,
        right=right,
        known=known,
        all_skills=joined,
        order=np.argsort(np.argsort(np.array(names, dtype=str), kind="stable"), kind="stable"),
        too_many=too_many,
    )


def seen(log: Log, cap: int) -> tuple[Answers, Questions]:
    """Return the known answers in order, and of each row those that it may see.

    That is: of its own student, known strictly before the row's time, the `cap` latest. An answer
    is never known before its question was put, so no row sees an answer of its own interaction;
    answers of one moment do not see one another, in whatever order the log has them. Among the
    answers that became known at one moment the id decides which counts as the later one.
    """
    place = np.flatnonzero((log.known != NEVER) & (log.student[log.first] != NOBODY))
    owner = log.student[log.first[place]]
    order = np.lexsort((log.order[place], log.known[place], owner))
    place, owner = place[order], owner[order]
    answers = Answers(
        known=log.known[place],
        right=log.right[place].astype(np.int64),
        item=log.item[log.first[place]],
        skills=log.all_skills[place],
    )
    moments, rank = np.unique(np.concatenate([answers.known, log.time]), return_inverse=True)
    size = len(moments) + 1
    keys = owner * size + rank[: len(place)]
    high = strictly_before(keys, log.student * size + rank[len(place) :])
    start = np.searchsorted(owner, log.student)
    high = np.where(log.student == NOBODY, start, high)
    low = np.maximum(start, high - cap)
    asked = Questions(time=log.time, item=log.item, skills=log.skills, low=low, high=high)
    return answers, asked


def strictly_before(keys: Array, moments: Array) -> Array:
    """Return how many of the ordered keys are below each moment: those equal to it are not seen."""
    return np.searchsorted(keys, moments, side="left")


def _times(table: Table) -> Array:
    stamps = table[TIME].astype("datetime64[us]")
    unknown = np.isnat(stamps)
    if unknown.any():
        raise DataError(
            f"column {TIME} is missing in {int(unknown.sum())} row(s) ({_rows(table, unknown)}), "
            "expected a time in each",
            hint="what came before an answer follows from the times; drop or repair these rows",
        )
    return np.asarray(stamps.view(np.int64))


def _codes(column: Array) -> tuple[Array, list[str]]:
    """Number the different texts in the order in which they come, -1 for None."""
    values = column.tolist()
    names = dict.fromkeys(values)
    names.pop(None, None)
    numbers = {None: -1, **{name: code for code, name in enumerate(names)}}
    codes = np.fromiter(map(numbers.__getitem__, values), dtype=np.int64, count=len(values))
    return codes, [str(name) for name in names]


def _same(table: Table, interaction: Array, first: Array, column: Array, what: str) -> None:
    other = column != column[first][interaction]
    if other.any():
        raise DataError(
            f"{int(other.sum())} row(s) ({_rows(table, other)}) have another {what} than an "
            f"earlier row of the same interaction, expected one {what} for each interaction",
            hint="an interaction is one answer of one student to one item at one time: give its "
            "rows, one a skill, the same values, and other answers another id",
        )


def _answers(
    roles: Roles, table: Table, interaction: Array, first: Array, time: Array
) -> tuple[Array, Array]:
    """Return of each interaction whether the answer was right, and when that was known."""
    count = len(first)
    right, known = np.full(count, np.nan), np.full(count, NEVER)
    if roles.target not in table:
        return right, known
    label = np.asarray(table[roles.target], dtype=np.float64)
    when = time + roles.delay
    told = ~np.isnan(label)
    if LABEL_TIME in table:
        stamps = table[LABEL_TIME].astype("datetime64[us]")
        told &= ~np.isnat(stamps)
        when = np.where(np.isnat(stamps), 0, stamps.view(np.int64))
    early = told & (when < time)
    if early.any():
        raise DataError(
            f"future label: {int(early.sum())} answer(s) ({_rows(table, early)}) are known before "
            "their own question, expected a later time",
            hint="label_time is when the answer was marked, not when the question was put",
        )
    rows = np.flatnonzero(told)[::-1]  # the first row of an interaction is written last
    right[interaction[rows]] = label[rows]
    unlike = told & (label != right[interaction])
    if unlike.any():
        raise DataError(
            f"{int(unlike.sum())} row(s) ({_rows(table, unlike)}) have another answer than an "
            "earlier row of the same interaction, expected one answer for each interaction",
            hint="give another answer another interaction id",
        )
    latest = np.full(count, np.iinfo(np.int64).min)
    np.maximum.at(latest, interaction[rows], when[rows])
    has = ~np.isnan(right)
    known[has] = latest[has]
    return right, known


def _skills(roles: Roles, texts: Array, interaction: Array, count: int) -> tuple[Array, Array, int]:
    """Return the skills of each row, of each interaction, and how many of these have too many."""
    values = texts.tolist()
    found = {text: roles.skill_codes(text) for text in dict.fromkeys(values)}
    own = [found[text] for text in values]
    joined: list[tuple[int, ...]] = [()] * count
    for code, skills in zip(interaction.tolist(), own, strict=True):
        before = joined[code]
        if before != skills:
            joined[code] = tuple(sorted({*before, *skills})) if before else skills
    many = sum(len(skills) > MOST_SKILLS for skills in joined)
    return skill_table(own), skill_table(joined), many


def _rows(table: Table, where: Array) -> str:
    """Name the first rows of a mask by their number: "row 3, 4, …"."""
    index = np.flatnonzero(where)[:_SHOWN]
    numbers = table[ROW][index] if ROW in table else index + 1
    more = ", …" if int(where.sum()) > _SHOWN else ""
    return f"row {', '.join(str(int(number)) for number in numbers)}{more}"
