"""Tell from names and values which columns of a stranger's log play which part."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from verticals.contract.events import keyed
from verticals.contract.guess import times_of_events
from verticals.contract.hints import is_protected, word_set, words
from verticals.contract.model import DataContract, Target
from verticals.contract.profile import Profile
from verticals.contract.rules import MAX_VALUE
from verticals.table import Array, Table

_STUDENT = word_set("student user learner pupil child person")
_ITEM = word_set("item problem question exercise task")
_SKILL = word_set("skill skills kc kcs concept concepts topic topics tag tags standard standards")
_INTERACTION = word_set("interaction attempt answer log order response")
_RIGHT = word_set("correct correctly correctness right outcome score")

_KEY = word_set("id guid uuid key identifier ref code hash")
_NUMBER = word_set("no nr number index")
_BESIDE_STUDENT = _KEY | _NUMBER | word_set("anon anonymous name")
_BESIDE_ITEM = _KEY | _NUMBER | word_set("name")
_BESIDE_SKILL = _KEY | word_set("name names ids codes list default")
_BESIDE_RIGHT = (
    word_set("is was got first answer answered attempt response step try") | _ITEM | _STUDENT
)
_TRUE = word_set("1 true yes y t correct right")
_FALSE = word_set("0 false no n f incorrect wrong")

_TIME = word_set("time timestamp date datetime at ts epoch unixtime")
_START = word_set("start started begin began asked shown presented opened")
_BESIDE_TIME = (
    _START
    | _ITEM
    | _INTERACTION
    | word_set(
        "answered end ended finish finished submitted created first last unix utc server ms s"
    )
)
_ORDER = word_set("order sequence position opportunity index row attempt step")

# What stands in a log because an answer was given; `_BEFORE` are names of what was known earlier.
_AFTER = word_set("hint hints elapsed duration latency overlap attempts")
_GIVEN = word_set("answer answers answered response responses choice action")
_SPENT = word_set("taken took spent first on needed done") | _GIVEN
_LENGTH = word_set("time seconds secs minutes ms")
_LENGTH_ALONE = word_set("seconds secs ms rt")
_OF_GIVEN = (
    _STUDENT | _KEY | _GIVEN | word_set("given selected chosen first text value option ms s")
)
_BEFORE = word_set("prior previous past limit expected")

_FEW_ROWS = 10  # below which it says nothing that a value recurs, or does not


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Name the columns of a log by their part; empty where none was found."""

    student: str
    time: str
    target: Target | None
    item: str
    skills: str
    interaction: str

    @property
    def taken(self) -> frozenset[str]:
        """Return the columns that play a part."""
        target = self.target.column if self.target else ""
        names = {self.student, self.time, self.item, self.skills, self.interaction, target}
        return frozenset(names - {""})


def find_columns(draft: DataContract, raw: Table, columns: Mapping[str, Profile]) -> Columns:
    """Return which columns of a table play which part in a log of answers."""
    every = list(columns.values())
    time, student = _time(draft, every, raw.rows), _student(draft, every, raw.rows)
    item, skills = _item(every, raw.rows), _skills(every, raw.rows)
    target = _target(draft, every)
    found = Columns(
        student=student, time=time, target=target, item=item, skills=skills, interaction=""
    )
    return dataclasses.replace(found, interaction=_interaction(draft, raw, every, found))


def is_numbered_time(column: Profile) -> bool:
    """Tell whether a column is named like a time, and holds numbers or other text."""
    odd = column.kind in ("numeric", "many", "categorical")
    return odd and _named(column.column, _TIME, _BESIDE_TIME) and not is_known_after(column)


def orders_answers(column: Profile) -> bool:
    """Tell whether a column is named like a place in an order, and holds whole numbers."""
    return bool(set(_words(column.column)) & _ORDER) and column.whole and column.distinct > 1


def is_known_after(column: Profile) -> bool:
    """Tell by its name whether a column is known only with the answer of its row."""
    found = set(_words(column.column))
    if found & _BEFORE or is_protected(column.column) or column.kind == "time":
        return False
    if found & _AFTER or {"attempt", "count"} <= found or _is_outcome(column.column):
        return True
    if (found & _LENGTH and found & _SPENT) or found <= _LENGTH_ALONE:
        return True
    return bool(found & _GIVEN) and found <= _OF_GIVEN


def is_named_right(column: Profile) -> bool:
    """Tell whether a column is named like the answer's being right."""
    return _is_outcome(column.column)


def names_skills(column: Profile) -> bool:
    """Tell whether a column is named like the skills of an item."""
    return _named(column.column, _SKILL, _BESIDE_SKILL)


def names_items(column: Profile) -> bool:
    """Tell whether a column is named like the item."""
    return _named(column.column, _ITEM, _BESIDE_ITEM)


def names_interactions(column: Profile) -> bool:
    """Tell whether a column is named like the id of one answer."""
    found = set(_words(column.column))
    # "answer" alone is what was answered; "answer_id" may be the number of the answer.
    bare = not found & _KEY and bool(found & {"answer", "response"})
    return not bare and _named(column.column, _INTERACTION, _KEY | _NUMBER | _ITEM | _STUDENT)


def names_students(column: Profile) -> bool:
    """Tell whether a column is named like the student."""
    return _named(column.column, _STUDENT, _BESIDE_STUDENT)


def shared_places(raw: Table, names: Sequence[str]) -> int:
    """Return the number of rows that have the values of an earlier row in all these columns."""
    codes = np.column_stack([keyed(raw[name])[1] for name in names])
    return raw.rows - len(np.unique(codes, axis=0))


def fits_within(raw: Table, name: str, item: str) -> bool:
    """Tell whether a column has one value for each item."""
    return _one_each(keyed(raw[item])[1], [raw[name]])


def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name, "studentid" as two of them."""
    found: list[str] = []
    for word in words(name):
        rest = word.removesuffix("id")
        fused = rest != word and rest in _STUDENT | _ITEM | _SKILL | _INTERACTION
        found += [rest, "id"] if fused else [word]
    return tuple(found)


def _named(name: str, meant: Collection[str], beside: Collection[str]) -> bool:
    """Tell whether a name says one of the words, and nothing but them and those beside."""
    # In lower case, too: the words of "KCs" would be "K" and "Cs".
    ways = (set(_words(name)), set(_words(name.lower())))
    return any(bool(way & set(meant)) and way <= {*meant, *beside} for way in ways)


def _student(draft: DataContract, columns: Sequence[Profile], rows: int) -> str:
    """Return the column of students: one so named goes before another group."""
    found = [column for column in columns if names_students(column) and _recurs(column, rows)]
    names = [column.column for column in found if column.present == rows]
    return draft.group if draft.group in names or not names else names[0]


def _recurs(column: Profile, rows: int) -> bool:
    if column.kind not in ("boolean", "categorical", "constant", "many", "numeric"):
        return False
    return column.distinct < rows and (column.numbers is None or column.whole)


def _time(draft: DataContract, columns: Sequence[Profile], rows: int) -> str:
    """Return the time of the question: of several times, the only one named like a start."""
    if draft.time:
        return draft.time
    times = [column.column for column in times_of_events(columns) if column.present == rows]
    starts = [name for name in times if set(words(name)) & _START]
    found = times if len(times) == 1 else starts
    return found[0] if len(found) == 1 else ""


def _is_outcome(name: str) -> bool:
    if words(name)[-1:] in (("answer",), ("response",)):
        return False  # "correct_answer" is what the right one would be
    return _named(name, _RIGHT, _BESIDE_RIGHT)


def _target(draft: DataContract, columns: Sequence[Profile]) -> Target | None:
    """Return the target: the plainest name of a column with two values, one right, one wrong."""
    told = [column for column in columns if _sides(column)]
    named = [column for column in told if _is_outcome(column.column)]
    guessed = {target.column for target in draft.targets}
    named = named or [column for column in told if column.column in guessed]
    if not named:
        return None
    column = min(named, key=_plainness)
    right, wrong = _sides(column)
    return Target(
        name="right",
        column=column.column,
        kind="binary",
        positive=right,
        negative=wrong,
        favourable=right,
        label="Right answer",
        meaning="the next answer of this student on this item is right",
    )


def _plainness(column: Profile) -> tuple[int, int]:
    """Return what orders names of an outcome: the surest word, then the fewest words."""
    order = ("correct", "correctly", "correctness", "right", "outcome", "score")
    found = words(column.column)
    place = min((n for n, word in enumerate(order) if word in found), default=len(order))
    return place, len(found)


def _sides(column: Profile) -> tuple[str, ...]:
    """Return the values that mean right and wrong; nothing where they are not these two."""
    if column.kind not in ("boolean", "categorical") or column.distinct != 2:
        return ()
    if column.missing:  # a target has no word, such as NA, for what is missing
        return ()
    right = [value for value in column.values if value.lower() in _TRUE]
    wrong = [value for value in column.values if value.lower() in _FALSE]
    return (right[0], wrong[0]) if right and wrong else ()


def _item(columns: Sequence[Profile], rows: int) -> str:
    """Return the column of items: an id goes before a name, and a name before a number."""

    def rank(column: Profile) -> tuple[bool, bool]:
        found = set(_words(column.column))
        return bool(found & _NUMBER), "name" in found

    named = [column for column in columns if names_items(column) and _is_listed(column, rows)]
    return min(named, key=rank).column if named else ""


def _is_listed(column: Profile, rows: int) -> bool:
    """Tell whether the values are ones that a contract can list, and come again in later rows."""
    if column.kind not in ("boolean", "categorical", "constant", "many", "numeric"):
        return False
    if column.numbers is not None and not column.whole:
        return False
    if any(len(value) > MAX_VALUE for value in column.values):
        return False
    return rows < _FEW_ROWS or column.distinct < rows


def _skills(columns: Sequence[Profile], rows: int) -> str:
    """Return the column of skills: names go before ids."""
    named = [
        column
        for column in columns
        if names_skills(column) and (column.kind == "text" or _is_listed(column, rows))
    ]

    def rank(column: Profile) -> tuple[int, bool, bool]:
        order = ("skill", "kc", "concept", "topic", "tag", "standard")
        found = {word.removesuffix("s") for word in _words(column.column.lower())}
        place = min((n for n, word in enumerate(order) if word in found), default=len(order))
        return place, "name" not in found, "id" in found

    return min(named, key=rank).column if named else ""


def _interaction(
    draft: DataContract, raw: Table, columns: Sequence[Profile], found: Columns
) -> str:
    """Return the column that tells answers apart, each with one student, item, time and outcome.

    One that repeats goes first: where an answer stands in several rows, no id of rows tells them.
    """
    parts = [name for name in (found.student, found.item, found.time) if name]
    tied = [raw[name] for name in parts]
    tied += [raw[found.target.column]] if found.target else []
    several, once = [], []
    for column in columns:
        name = column.column
        if name in found.taken or (column.numbers is not None and not column.whole):
            continue
        if name == draft.id:
            once += [] if names_students(column) else [name]
        elif names_interactions(column) and _is_key(column, raw.rows):
            codes = keyed(raw[name])[1]
            if int(codes.max()) + 1 == raw.rows:
                once.append(name)
            elif found.student and len(parts) > 1 and _one_each(codes, tied):
                several.append(name)
    once.sort(key=lambda name: name != draft.id)
    return next(iter(several + once), "")


def _is_key(column: Profile, rows: int) -> bool:
    kinds = ("boolean", "categorical", "constant", "many", "numeric")
    return column.kind in kinds and column.present == rows


def _one_each(codes: Array, columns: Sequence[Array]) -> bool:
    """Tell whether rows of one code have one value in each column; codes have no gap."""
    first = np.unique(codes, return_index=True)[1]
    others = (keyed(column)[1] for column in columns)
    return all(bool((other == other[first][codes]).all()) for other in others)
