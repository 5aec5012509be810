"""The demo: a simulated bank of items with known parameters and known DIF. No student is in it.

Answers of 2,000 made-up students to 36 questions (2PL) and 4 tasks scored from 0 to 3 (graded
response). Students with another language at home are half a standard deviation lower on average:
impact, which is no DIF. In three questions DIF is planted: for students of the same ability they
are harder for one group, by 0.9 to 1.1 in log-odds (2.1 to 2.6 on the ETS delta scale, class C).
Students omit one answer in two hundred, and six in a hundred run out of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from verticals.contract import DataContract, parse_contract
from verticals.table import Array, Table

STUDENTS, QUESTIONS, TASKS, STEPS = 2_000, 36, 4, 3
IMPACT = -0.5  # of the other language, in standard deviations
#: Question, field, its focal group, and how much harder the question is for it, in log-odds.
PLANTED = (
    ("Q08", "sex", "male", 1.0),
    ("Q17", "language", "other", 1.1),
    ("Q29", "sex", "female", 0.9),
)
_OMITTED, _SLOW, _SEED = 0.005, 0.06, 11


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Hold what the answers were drawn from: item parameters, and each student's ability.

    `intercepts` is (items, 3), −inf beyond an item's last.
    """

    names: tuple[str, ...]
    slopes: Array
    intercepts: Array
    ability: Array


def demo() -> tuple[DataContract, Table]:
    """Return the contract and the raw table of the simulated test (2,000 rows, 40 items)."""
    text = files(__package__).joinpath("bank.yaml").read_text(encoding="utf-8")
    return parse_contract(text, source="bank.yaml"), simulate()[0]


def simulate(students: int = STUDENTS, seed: int = _SEED) -> tuple[Table, Truth]:
    """Return raw answers and the truth behind them. The items do not depend on `students`."""
    names, slopes, intercepts = _items()
    random = np.random.default_rng(seed)
    sex = np.where(random.random(students) < 0.5, "female", "male").astype(object)
    language = np.where(random.random(students) < 0.3, "other", "same").astype(object)
    ability = random.normal(size=students) + IMPACT * (language == "other")
    groups = {"sex": sex, "language": language}
    harder = np.zeros((students, len(names)))
    for name, field, group, size in PLANTED:
        harder[:, names.index(name)] += size * (groups[field] == group)
    reached = ability[:, None] * slopes - harder - random.logistic(size=harder.shape)
    answers = (reached[:, :, None] + intercepts[None] > 0).sum(axis=2).astype(np.int64)
    answers = _with_gaps(answers, random)
    columns = {name: answers[:, place] for place, name in enumerate(names)}
    ids = np.array([f"S{place:05d}" for place in range(students)], dtype=object)
    table = Table({"student_id": ids, **columns, "sex": sex, "language": language})
    truth = Truth(names=names, slopes=slopes, intercepts=intercepts, ability=ability)
    return table, truth


def _items() -> tuple[tuple[str, ...], Array, Array]:
    """Return names, slopes and intercepts: of questions spread over the scale, then of tasks."""
    random = np.random.default_rng(_SEED + 1)
    names = [f"Q{n + 1:02d}" for n in range(QUESTIONS)] + [f"T{n + 1}" for n in range(TASKS)]
    slopes = np.exp(random.normal(0.2, 0.25, len(names)))
    middle = random.permutation(np.linspace(-1.8, 1.8, QUESTIONS))
    intercepts = np.full((len(names), STEPS), -np.inf)
    intercepts[:QUESTIONS, 0] = -slopes[:QUESTIONS] * middle
    for task in range(TASKS):
        place = QUESTIONS + task
        thresholds = np.array([-1.0, 0.0, 1.0]) + 0.3 * task - 0.45
        intercepts[place] = -slopes[place] * thresholds
    return tuple(names), slopes, intercepts


def _with_gaps(answers: Array, random: np.random.Generator) -> Array:
    """Return answers with 9 where one was omitted, or the time had run out."""
    found = np.where(random.random(answers.shape) < _OMITTED, 9, answers)
    slow = np.flatnonzero(random.random(len(answers)) < _SLOW)
    last = random.integers(answers.shape[1] - 8, answers.shape[1], len(slow))
    for student, place in zip(slow, last, strict=True):
        found[student, place:] = 9
    return found
