"""Derive the fields of one question after the other, for online scoring.

Of each student are kept the `cap` latest answers that are known, those that are known later, the
`cap` latest questions without an answer yet, and what is of the latest time: what no later question
could see is forgotten. A question without an answer that is forgotten is counted; in a batch, where
all answers are at hand, an answer that comes after so many others is still seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.contract.model import LABEL_TIME, TIME
from verticals.errors import DataError
from verticals.history.values import micros_of, text_of, value_of
from verticals.plugin import State
from verticals.table import Array
from verticals_student_assessment.tracing.log import NEVER
from verticals_student_assessment.tracing.looking_back import Answers, Questions, look_back
from verticals_student_assessment.tracing.roles import NOTHING, Roles, skill_table

_FORMAT = 1
_COUNTERS = (
    "questions",
    "answers",
    "repeated_answers",
    "late_events",
    "without_student",
    "forgotten_questions",  # never answered, beyond the cap: an answer that comes yet is refused
)
_UNKNOWN = -1  # whether an answer was right, while it is not known


@dataclass
class _Interaction:
    """Hold what is remembered of one interaction."""

    time: int
    item: int
    skills: tuple[int, ...]
    right: int = _UNKNOWN
    known: int = NEVER


_Memory = dict[str, _Interaction]  # of one student, by interaction id


class TracingStream:
    """Remember answers and derive the fields of each next question; equal to the batch.

    A question comes with `push`, its answer with `label`, or with the question where the log of
    past answers is replayed. The questions of one student come in order of time: what comes late
    is refused, or taken at the student's latest time where the contract says `late_events: now`.
    A call that raises leaves everything as it was.
    """

    def __init__(self, roles: Roles, names: tuple[str, ...]) -> None:
        self._roles = roles
        self._names = names
        self._students: dict[str, _Memory] = {}
        self._counters = dict.fromkeys(_COUNTERS, 0)

    @property
    def counters(self) -> Mapping[str, int]:
        """Return what has been counted since the stream began."""
        return dict(self._counters)

    def push(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the derived fields of a question, then remember it, and its answer if it is there.

        Raises `DataError` for a missing value, a question that comes too late, and a row that does
        not fit earlier rows of its interaction.
        """
        roles, time = self._roles, micros_of(event, TIME)
        student, name = text_of(event, roles.student), text_of(event, roles.interaction)
        if name is None:
            raise DataError(
                f"{roles.interaction} is missing, expected the id of the interaction",
                hint="give each answer an id; the rows of one answer share it",
            )
        item, skills = int(value_of(event, roles.item)), self._codes(event)
        memory = self._students.get(student, {}) if student is not None else {}
        latest = max((held.time for held in memory.values()), default=time)
        late = time < latest
        if late and roles.late == "refuse":
            raise DataError(
                f"clock: a question is {(latest - time) / 1e6:g} s older than what is known of its "
                "student, expected the questions of one student in order of time",
                hint="send events in order, or declare late_events: now in the contract",
            )
        time = max(time, latest)
        held = memory.get(name)
        if held is not None and (held.item != item or (held.time != time and not late)):
            raise DataError(
                "a row has another item or time than an earlier row of the same interaction",
                hint="give another answer another interaction id",
            )
        answer = self._answer_of(event, time)
        merged = _merged(held, _Interaction(time, item, skills), answer)
        values = self._derive(memory, time, item, skills)
        self._counters["questions"] += 1  # nothing raises from here on
        self._counters["late_events"] += int(late)
        if student is None:
            self._counters["without_student"] += 1
            return values
        self._counters["answers"] += int(answer is not None and (held is None or held.right < 0))
        memory[name] = merged
        kept = _trimmed(memory, time, roles.cap)
        self._counters["forgotten_questions"] += _unanswered(memory) - _unanswered(kept)
        self._students[student] = kept
        return values

    def label(self, event: Mapping[str, Any], value: Any, time: Any) -> None:
        """Remember that an answer became known: 1 right, 0 wrong.

        The event names its student and interaction, which must have been pushed. The same answer
        given twice counts once.

        Raises `DataError` for another value, another answer than is known, an interaction that is
        not, and an answer known before its question.
        """
        student, name = text_of(event, self._roles.student), text_of(event, self._roles.interaction)
        if isinstance(value, (str, bytes)) or value is None or value not in (0, 1):
            raise DataError("an answer is neither 0 nor 1, expected 1 for the right one")
        if student is None:
            return
        held = self._students.get(student, {}).get(name or "")
        if held is None:
            raise DataError(
                "an answer is of an interaction that is not remembered, expected one whose "
                "question was pushed",
                hint="push the question first; only the latest interactions are remembered",
            )
        known = micros_of({"time": time}, "time")
        if known < held.time:
            raise DataError(
                f"future label: an answer is said to be known {(held.time - known) / 1e6:g} s "
                "before its question, expected a later time"
            )
        if held.right >= 0:
            _refuse_other(held, int(value))
            self._counters["repeated_answers"] += 1
            return
        held.right, held.known = int(value), known
        self._counters["answers"] += 1

    def save(self) -> State:
        """Return the state, which is private data: a file of its own, never in a bundle."""
        rows = [
            (student, name, held)
            for student, memory in self._students.items()
            for name, held in memory.items()
        ]
        tensors: dict[str, Array] = {
            "student": _packed([row[0] for row in rows]),
            "interaction": _packed([row[1] for row in rows]),
            "skills": _packed([" ".join(map(str, row[2].skills)) for row in rows]),
        }
        for key in ("time", "item", "right", "known"):
            tensors[key] = np.array([getattr(row[2], key) for row in rows], dtype=np.int64)
        settings = {
            "format": _FORMAT,
            "definitions": self._roles.digest,
            "counters": dict(self._counters),
        }
        return State(tensors=tensors, settings=settings)

    def restore(self, state: State) -> None:
        """Take a saved state up again, in place of what is remembered.

        Raises `DataError`, with nothing changed, for a state of other definitions or a damaged one.
        """
        if state.settings.get("format") != _FORMAT:
            raise DataError("the saved stream has another format", hint="begin an empty stream")
        if state.settings.get("definitions") != self._roles.digest:
            raise DataError(
                "the saved stream was made by other definitions of the derived fields",
                hint="restore it with the bundle that it was saved with, or begin an empty stream",
            )
        students, counters = _unpacked_state(state, self._roles)
        self._students, self._counters = students, counters

    def _codes(self, event: Mapping[str, Any]) -> tuple[int, ...]:
        return self._roles.skill_codes(value_of(event, self._roles.skills_field))

    def _answer_of(self, event: Mapping[str, Any], time: int) -> tuple[int, int] | None:
        """Return the answer that comes with its question, and when it is known; else None."""
        label = event.get(self._roles.target)
        if label is None or math.isnan(label):
            return None
        known = time + self._roles.delay
        if LABEL_TIME in event:
            if np.isnat(np.asarray(event[LABEL_TIME], dtype="datetime64[us]")):
                return None
            known = micros_of(event, LABEL_TIME)
        return int(label == 1), known

    def _derive(
        self, memory: _Memory, time: int, item: int, skills: tuple[int, ...]
    ) -> dict[str, Any]:
        told = [(held.known, name) for name, held in memory.items() if held.known < time]
        before = [memory[name] for _, name in sorted(told)][-self._roles.cap :]
        answers = Answers(
            known=np.array([held.known for held in before], dtype=np.int64),
            right=np.array([held.right for held in before], dtype=np.int64),
            item=np.array([held.item for held in before], dtype=np.int64),
            skills=skill_table([held.skills for held in before]),
        )
        asked = Questions(
            time=np.array([time]),
            item=np.array([item]),
            skills=skill_table([skills]),
            low=np.array([0]),
            high=np.array([len(before)]),
        )
        roles = self._roles
        found = look_back(answers, asked, items=len(roles.items), recent=roles.recent)
        return {name: found[name][0] for name in self._names}


def _merged(
    held: _Interaction | None, fresh: _Interaction, answer: tuple[int, int] | None
) -> _Interaction:
    """Return an interaction with what a further row says of it."""
    if held is not None:
        skills = tuple(sorted({*held.skills, *fresh.skills}))
        fresh = _Interaction(held.time, held.item, skills, held.right, held.known)
    if answer is None:
        return fresh
    if fresh.right >= 0:
        _refuse_other(fresh, answer[0])
        fresh.known = max(fresh.known, answer[1])
    else:
        fresh.right, fresh.known = answer
    return fresh


def _refuse_other(held: _Interaction, value: int) -> None:
    if held.right != value:
        raise DataError(
            "another answer is known of this interaction, expected one answer for each",
            hint="give another answer another interaction id",
        )


def _trimmed(memory: _Memory, time: int, cap: int) -> _Memory:
    """Return what a later question may see, or what may still be answered."""
    before = [name for name, held in memory.items() if held.time < time]
    if len(before) <= cap:
        return memory
    told = sorted((held.known, name) for name, held in memory.items() if held.known < time)
    unanswered = [name for name in before if memory[name].right == _UNKNOWN]
    kept = {name for _, name in told[-cap:]} | set(unanswered[-cap:])
    kept |= {name for name, held in memory.items() if time <= held.known < NEVER}
    kept |= {name for name, held in memory.items() if held.time >= time}
    return {name: held for name, held in memory.items() if name in kept}


def _unanswered(memory: _Memory) -> int:
    return sum(held.right == _UNKNOWN for held in memory.values())


def _packed(texts: Sequence[str]) -> Array:
    """Return texts as UTF-8 bytes, each closed by a zero byte (a zero in a text is left out)."""
    joined = "".join(f"{text.replace(chr(0), '')}\0" for text in texts)
    return np.frombuffer(joined.encode("utf-8", "surrogatepass"), dtype=np.uint8)


def _unpacked(packed: Array) -> list[str]:
    return packed.tobytes().decode("utf-8", "surrogatepass").split("\0")[:-1]


def _unpacked_state(state: State, roles: Roles) -> tuple[dict[str, _Memory], dict[str, int]]:
    """Return what a saved state holds; raise `DataError` where it does not hold together."""
    damaged = DataError(
        "the saved stream is damaged", hint="restore an undamaged copy, or begin an empty stream"
    )
    students: dict[str, _Memory] = {}
    try:
        texts = [_unpacked(state.tensors[key]) for key in ("student", "interaction", "skills")]
        numbers = [state.tensors[key].tolist() for key in ("time", "item", "right", "known")]
        counters = {name: int(state.settings["counters"][name]) for name in _COUNTERS}
        for student, name, skills, time, item, right, known in zip(*texts, *numbers, strict=True):
            codes = tuple(int(code) for code in skills.split())
            fits = NOTHING <= item <= len(roles.items) and right in (_UNKNOWN, 0, 1)
            if not fits or not all(0 <= code <= len(roles.skills) for code in codes):
                raise damaged
            if (known == NEVER) != (right == _UNKNOWN) or known < time:
                raise damaged
            held = _Interaction(time, item, codes, right, known)
            students.setdefault(student, {})[name] = held
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged from error
    return students, counters
