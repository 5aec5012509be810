"""Simulate a log of practice: who answered which item when, and whether rightly. No person's data.

A student s has an ability in each skill that grows with practice and fades with days of rest:

    ability[s, k] = general[s] + own[s, k] + gain[s] * (rights + 0.4 * wrongs on k) - fading
    P(right) = guess + (1 - guess - slip) * logistic(mean over the item's skills of ability - b)

which is an additive-factors model (Cen et al., ITS 2006) with guessing, slipping and forgetting.
About a quarter of the items need two skills. Students whose home language is another start a
little lower, so that the audit has a difference of base rates to look at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verticals.table import Array, Table

SKILLS = (
    "counting",
    "place value",
    "addition",
    "subtraction",
    "multiplication",
    "division",
    "fractions",
    "decimals",
    "percentages",
    "ratios",
    "angles",
    "area",
    "graphs",
    "averages",
    "equations",
)
GUESS, SLIP = 0.12, 0.06
_PRACTICE = 0.16  # log-odds for each right answer
_FROM_WRONG = 0.4  # of that for each wrong one
_FADING = 0.08  # log-odds for each doubling of the days of rest
_START = np.datetime64("2024-09-02T08:00:00", "us")


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """Hold a log and the probability with which each of its answers was right."""

    log: Table
    chance: Array  # (rows,)


def simulate(
    *, students: int = 400, items: int = 90, answers: int = 60, seed: int = 7
) -> Simulated:
    """Return a log of about `answers` answers of each student, in order of time.

    Columns: answer_id, student, item, skills ("a" or "a;b"), right (0, 1), at, sex,
    home_language.
    """
    random = np.random.default_rng(seed)
    needs = _needs(random, items)
    difficulty = random.normal(0.0, 0.9, items)
    other = random.random(students) < 0.3
    sex = np.where(random.random(students) < 0.5, "female", "male")
    histories = []
    for student in range(students):
        general = random.normal(-0.35 if other[student] else 0.0, 0.9)
        count = max(1, int(random.gamma(4.0, answers / 4.0)))
        histories.append(_practise(random, needs, difficulty, general, count))
    owner = np.repeat(np.arange(students), [len(found[0]) for found in histories])
    item, right, chance, at = (np.concatenate(parts) for parts in zip(*histories, strict=True))
    order = np.lexsort((owner, at))
    owner, item = owner[order], item[order]
    texts = np.array([";".join(SKILLS[k] for k in np.flatnonzero(row)) for row in needs], object)
    log = {
        "answer_id": _names("a", np.arange(len(order)), 6),
        "student": _names("s", owner, 4),
        "item": _names("q", item, 3),
        "skills": texts[item],
        "right": right[order],
        "at": at[order],
        "sex": sex[owner].astype(object),
        "home_language": np.where(other[owner], "another", "language of schooling").astype(object),
    }
    return Simulated(log=Table(log), chance=chance[order])


def _needs(random: np.random.Generator, items: int) -> Array:
    """Return which skills each item needs: (items, skills) bool; about a quarter need two."""
    needs = np.zeros((items, len(SKILLS)), dtype=bool)
    first = np.arange(items) % len(SKILLS)
    needs[np.arange(items), first] = True
    both = random.random(items) < 0.25
    needs[both, (first[both] + random.integers(1, 4, int(both.sum()))) % len(SKILLS)] = True
    return needs


def _practise(
    random: np.random.Generator, needs: Array, difficulty: Array, general: float, count: int
) -> tuple[Array, Array, Array, Array]:
    """Return items, answers, their chances and their times of one student: (count,) each.

    A session holds about twelve answers on a few skills; sessions are days apart.
    """
    ability = np.asarray(random.normal(general, 0.7, len(SKILLS)))
    gain = _PRACTICE * random.gamma(4.0, 0.25)
    last = np.full(needs.shape[1], np.nan)  # day of the latest practice
    item, right = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    chance, second = np.empty(count), np.empty(count)
    now, pool = float(random.integers(0, 90)) * 86_400 + random.random() * 3_600, np.arange(0)
    for place in range(count):
        if place == 0 or random.random() < 1 / 12:
            now += float(1 + random.geometric(0.4)) * 86_400 * (place > 0)
            topics = random.choice(needs.shape[1], 3, replace=False)
            pool = np.flatnonzero(needs[:, topics].any(axis=1))
        now += 20 + random.exponential(40.0)
        chosen = int(random.choice(pool))
        skills = np.flatnonzero(needs[chosen])
        rest = np.nan_to_num((now - last[skills]) / 86_400, nan=0.0)
        known = ability[skills] - _FADING * np.log2(1.0 + rest)
        odds = float(known.mean() - difficulty[chosen])
        chance[place] = GUESS + (1 - GUESS - SLIP) / (1 + np.exp(-odds))
        item[place], second[place] = chosen, now
        right[place] = random.random() < chance[place]
        ability[skills] = known + gain * (1.0 if right[place] else _FROM_WRONG)
        last[skills] = now
    return item, right, chance, _START + (second * 1e6).astype("timedelta64[us]")


def _names(letter: str, codes: Array, width: int) -> Array:
    return np.array([f"{letter}{code + 1:0{width}d}" for code in codes.tolist()], dtype=object)
