"""What earlier answers say of the next one: one definition, for whole logs and for one question.

`look_back` reads a student's answers known strictly before each question and nothing else. Batch
and stream both call it, so that they agree bit by bit: sums are of whole numbers, and the few
fractions are added in one fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verticals.table import Array
from verticals_student_assessment.tracing.roles import MOST_SKILLS, NOTHING

RECENT_WIDTH = 6 + MOST_SKILLS  # numbers that the sequence field holds of one answer
# Which of them says what; item and skill codes are 1 more, so that 0 is "none".
PRESENT, RIGHT, LAG, SAME_ITEM, SHARED, ITEM, SKILLS = range(7)
# A share of recent answers, as Galyardt & Goldin (Journal of Educational Data Mining 7, 2015) have
# it: the answer before weighs 0.8 of the latest. The number is set by hand.
DECAY = 0.8
_ROWS_AT_ONCE = 4_096  # of the sequence field: bounds what is held beside the result
DECAYED = 10  # answers that a decayed share looks at: the eleventh would weigh 0.8^10 = 0.1


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Hold known answers, each student's side by side and in order of when they became known."""

    known: Array  # (answers,) int64, µs
    right: Array  # (answers,) int64, 0 or 1
    item: Array  # (answers,) int64 code, NOTHING where missing
    skills: Array  # (answers, MOST_SKILLS) int64 codes, NOTHING where there is none


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Hold questions; each sees the answers from `low` to `high`, which excludes `high`."""

    time: Array  # (questions,) int64, µs
    item: Array
    skills: Array  # (questions, MOST_SKILLS)
    low: Array
    high: Array


def look_back(answers: Answers, asked: Questions, *, items: int, recent: int) -> dict[str, Array]:
    """Return the derived columns, one value a question; `items` is the number of declared items.

    What is undefined (a share of no answers, a time since none) is NaN. An undeclared item cannot
    be told from others, so what was answered on it is NaN.
    """
    low, high = asked.low, asked.high
    rights = _prefix(answers.right)
    right = rights[high] - rights[low]
    last = np.where(high > low, answers.known[high - 1], 0) if answers.known.size else low * 0
    columns = {
        "student_right": right.astype(np.float64),
        "student_wrong": (high - low - right).astype(np.float64),
        "student_recent": _decayed(answers.right, low, high),
        "since_answer": np.where(high > low, (asked.time - last) / 1e6, np.nan),
    }
    columns |= _of_skills(answers, asked)
    columns |= _of_item(answers, asked, items)
    columns["recent_answers"] = _sequence(answers, asked, items, recent)
    return columns


def _of_skills(answers: Answers, asked: Questions) -> dict[str, Array]:
    """Return counts of right and wrong answers on the question's skills, means over these."""
    index = _Index(answers.skills, answers)
    rows = len(asked.time)
    known = asked.skills != NOTHING  # (questions, MOST_SKILLS)
    total = {name: np.zeros(rows) for name in ("right", "wrong", "recent", "tried")}
    lowest, since = np.full(rows, np.inf), np.full(rows, np.inf)
    for place in range(MOST_SKILLS):
        here = known[:, place]
        if not here.any():
            continue
        low, high = index.range_of(asked.skills[:, place], asked)
        right = index.rights[high] - index.rights[low]
        wrong = high - low - right
        recent = _decayed(index.right, low, high)
        tried = here & (high > low)
        total["right"] += np.where(here, right, 0)
        total["wrong"] += np.where(here, wrong, 0)
        total["recent"] += np.where(tried, recent, 0.0)
        total["tried"] += tried
        lowest = np.where(here, np.minimum(lowest, (right + 1.0) / (high - low + 2.0)), lowest)
        since = np.where(tried, np.minimum(since, index.since(asked.time, high)), since)
    count = known.sum(axis=1).astype(np.float64)
    return {
        "skill_right": _quotient(total["right"], count),
        "skill_wrong": _quotient(total["wrong"], count),
        "skill_lowest": np.where(np.isfinite(lowest), lowest, np.nan),
        "skill_recent": _quotient(total["recent"], total["tried"]),
        "since_skill": np.where(np.isfinite(since), since, np.nan),
    }


def _of_item(answers: Answers, asked: Questions, items: int) -> dict[str, Array]:
    """Return how often the item itself was answered before, and how often rightly."""
    index = _Index(answers.item[:, None], answers)
    low, high = index.range_of(asked.item, asked)
    right = index.rights[high] - index.rights[low]
    told = (asked.item >= 0) & (asked.item < items)
    return {
        "item_right": np.where(told, right, np.nan),
        "item_wrong": np.where(told, high - low - right, np.nan),
    }


class _Index:
    """Find, for a code and a stretch of answers, those that bear the code: a sorted list."""

    def __init__(self, codes: Array, answers: Answers) -> None:
        position, place = np.nonzero(codes != NOTHING)
        self._size = len(answers.known) + 1
        key = codes[position, place] * self._size + position
        order = np.argsort(key, kind="stable")
        self._key = key[order]
        found = position[order]
        self._known = answers.known[found]
        self.right = answers.right[found]
        self.rights = _prefix(self.right)

    def range_of(self, code: Array, asked: Questions) -> tuple[Array, Array]:
        """Return where the answers of a code begin and end; NOTHING has none."""
        first = np.searchsorted(self._key, code * self._size + asked.low)
        last = np.searchsorted(self._key, code * self._size + asked.high)
        return first, last

    def since(self, time: Array, high: Array) -> Array:
        """Return seconds since the latest of them; meaningless where there is none."""
        if not self._known.size:
            return np.zeros(len(time))
        return np.asarray((time - self._known[high - 1]) / 1e6)


def _decayed(right: Array, low: Array, high: Array) -> Array:
    """Return the share of right answers, each weighing DECAY as much as the one after it."""
    if not right.size:
        return np.full(len(low), np.nan)
    at = high[:, None] - np.arange(1, DECAYED + 1)  # (questions, DECAYED), latest first
    weight = np.where(at >= low[:, None], DECAY ** np.arange(DECAYED), 0.0)
    hits = weight * (right[np.maximum(at, 0)] == 1)
    # Accumulating adds one term after the other: the same digits however many rows there are.
    top, bottom = (np.add.accumulate(terms, axis=1)[:, -1] for terms in (hits, weight))
    return _quotient(top, bottom)


def _sequence(answers: Answers, asked: Questions, items: int, recent: int) -> Array:
    """Return the latest answers, newest last: float32 of (questions, recent, RECENT_WIDTH)."""
    result = np.zeros((len(asked.time), recent, RECENT_WIDTH), dtype=np.float32)
    if not answers.known.size:
        return result
    back = np.arange(recent, 0, -1)
    for start in range(0, len(result), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        at = asked.high[rows, None] - back  # (block, recent)
        here = at >= asked.low[rows, None]
        at = np.where(here, at, 0)
        own, skills = asked.skills[rows, None, :, None], answers.skills[at]
        needed = np.maximum((own != NOTHING).sum(axis=(1, 2, 3)), 1)[:, None]
        both = (own == skills[:, :, None, :]) & (own != NOTHING)
        item = answers.item[at]
        told = (item >= 0) & (item < items)
        lag = np.maximum((asked.time[rows, None] - answers.known[at]) / 1e6, 0.0)
        cells = result[rows]
        cells[..., PRESENT] = 1.0
        cells[..., RIGHT] = answers.right[at]
        cells[..., LAG] = np.log1p(lag)
        cells[..., SAME_ITEM] = told & (asked.item[rows, None] == item)
        cells[..., SHARED] = both.sum(axis=(2, 3)) / needed
        cells[..., ITEM] = item + 1
        cells[..., SKILLS:] = skills + 1
        cells *= here[..., None]
    return result


def _prefix(values: Array) -> Array:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(values, dtype=np.int64)])


def _quotient(part: Array, whole: Array) -> Array:
    """Divide, NaN where the whole is 0: undefined is not zero."""
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole != 0))
