"""Knowledge tracing on simulated logs: both networks beside best-LR, BKT, the item's mean, a limit.

    .venv/bin/python benchmarks/student_tracing.py [--seeds 7 8 9] [--students 400]

Each seed is another simulated log (SIMULATED: see the plugin's `simulate.py`), split by student, 60
to train, 10 to calibrate, 30 to test; area under the ROC curve over the answers of the test
students. Nothing was chosen on the seeds 8 and 9.

* features, attention: the solution's networks through the real path (contract, derived fields,
  encoder, training).
* best-LR: the logistic regression of Gervet et al. 2020, the baseline of the solution's evidence.
* BKT: Bayesian knowledge tracing (Corbett & Anderson 1995), one four-parameter model a skill fitted
  by expectation maximisation; an item of two skills takes the mean of its skills' predictions.
* item mean: the share of right answers to the item in training.
* limit: the probability by which the answer was drawn, which no model can beat but by chance.

Exits with 1 if the default network does not beat the item's mean, or loses more than 0.01 to
best-LR, in the mean over the seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable

import numpy as np

from verticals.contract import DataContract, bind
from verticals.data import Shares, split
from verticals.metrics import roc_auc
from verticals.plugin import Setup
from verticals.table import Array, Table
from verticals.torch_adapter import TorchAdapter
from verticals_student_assessment.tracing.baseline import fit_best_regression, fit_item_mean
from verticals_student_assessment.tracing.demo import demo
from verticals_student_assessment.tracing.features import tracing_features
from verticals_student_assessment.tracing.info import SOLUTION as INFO
from verticals_student_assessment.tracing.roles import roles_of
from verticals_student_assessment.tracing.simulate import simulate
from verticals_student_assessment.tracing.solution import SOLUTION

SHARES = Shares(train=0.6, validate=0.0, calibrate=0.1, test=0.3)
ROUNDS = 20  # of expectation maximisation
START = (0.4, 0.1, 0.25, 0.15)  # known at first, learnt, guessed, slipped


def main() -> int:
    """Print a line for each seed and method; return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--students", type=int, default=400)
    given = parser.parse_args()
    areas: dict[str, list[float]] = {}
    for seed in given.seeds:
        contract, parts, chance = prepare(seed, given.students)
        test = parts["test"]
        methods: dict[str, Callable[[], Array]] = {
            "features": lambda c=contract, p=parts: network(c, p, "features"),
            "attention": lambda c=contract, p=parts: network(c, p, "attention"),
            "best-LR": lambda c=contract, p=parts: fit_best_regression(
                c, p["train"], "right"
            ).predict(p["test"]),
            "BKT": lambda c=contract, p=parts: knowledge(c, p["train"], p["test"]),
            "item mean": lambda c=contract, p=parts: fit_item_mean(c, p["train"], "right").predict(
                p["test"]["item"]
            ),
            "limit": lambda known=chance: known,
        }
        for name, method in methods.items():
            start = time.process_time()
            area = roc_auc(test["right"], method())
            areas.setdefault(name, []).append(area)
            seconds = time.process_time() - start
            print(
                f"seed {seed}  {name:10} AUC {area:.4f}  {seconds:6.1f} s of processor", flush=True
            )
    means = {name: float(np.mean(found)) for name, found in areas.items()}
    print("mean over seeds: " + ", ".join(f"{name} {area:.4f}" for name, area in means.items()))
    default = next(option.default for option in INFO.options if option.name == "network")
    reached = means[default] > means["item mean"] and means[default] > means["best-LR"] - 0.01
    print(f"default network {default}: {'goals reached' if reached else 'A GOAL IS MISSED'}")
    return 0 if reached else 1


def prepare(seed: int, students: int) -> tuple[DataContract, dict[str, Table], Array]:
    """Return the full contract, the parts, and the chances of the test part's answers."""
    contract, _ = demo()
    features = tracing_features(contract)
    made = simulate(students=students, seed=seed)
    bound = bind(contract, made.log).table
    table = features.batch(bound).with_columns({"chance": made.chance})
    full = dataclasses.replace(contract, fields=(*contract.fields, *features.fields))
    parts = split(table, dataclasses.replace(full, time=""), seed=0, shares=SHARES)
    chance = parts["test"]["chance"]
    return full, {name: part.without(["chance"]) for name, part in parts.items()}, chance


def network(contract: DataContract, parts: dict[str, Table], name: str) -> Array:
    """Return the test part's scores of one of the solution's networks, at its defaults."""
    options = {**{option.name: option.default for option in INFO.options}, "network": name}
    setup = Setup(contract=contract, options=options, device="cpu")
    return np.asarray(TorchAdapter(SOLUTION).fit(parts, setup).predict(parts["test"])["score"])


def knowledge(contract: DataContract, train: Table, test: Table) -> Array:
    """Return BKT's predictions of the test part, fitted on the training part."""
    roles = roles_of(contract)
    total, count = np.zeros(test.rows), np.zeros(test.rows)
    for code in range(len(roles.skills)):
        learnt = fit_skill([right for _, right in sequences(roles, train, code)])
        for rows, right in sequences(roles, test, code):
            total[rows] += predicted(learnt, right)
            count[rows] += 1
    return total / np.maximum(count, 1)


def sequences(roles: object, table: Table, code: int) -> list[tuple[Array, Array]]:
    """Return rows and answers of each student on a skill, in order of time."""
    has = np.array([code in roles.skill_codes(text) for text in table["skills"].tolist()])
    rows = np.flatnonzero(has)
    rows = rows[np.lexsort((table["@time"][rows], table["@group"][rows].astype(str)))]
    owner = table["@group"][rows].astype(str)
    cuts = np.flatnonzero(owner[1:] != owner[:-1]) + 1
    right = table["right"]
    return [(part, right[part]) for part in np.split(rows, cuts) if part.size]


def predicted(learnt: tuple[float, float, float, float], right: Array) -> Array:
    """Return the chance of each answer before it was seen."""
    known, learn, guess, slip = learnt
    found = np.empty(len(right))
    for place, answer in enumerate(right):
        found[place] = known * (1 - slip) + (1 - known) * guess
        hit = (1 - slip, guess) if answer else (slip, 1 - guess)
        after = known * hit[0] / (known * hit[0] + (1 - known) * hit[1])
        known = after + (1 - after) * learn
    return found


def fit_skill(answers: list[Array]) -> tuple[float, float, float, float]:
    """Fit (known at first, learnt, guessed, slipped) by expectation maximisation."""
    known, learn, guess, slip = START
    for _ in range(ROUNDS):
        totals = np.zeros(8)
        for right in answers:
            totals += expected((known, learn, guess, slip), right)
        first, sequences_seen, learnt, could, guessed, unknown, slipped, mastered = totals
        known, learn = first / sequences_seen, learnt / max(could, 1e-9)
        guess = min(guessed / max(unknown, 1e-9), 0.5)
        slip = min(slipped / max(mastered, 1e-9), 0.5)
    return known, learn, guess, slip


def expected(at: tuple[float, float, float, float], right: Array) -> Array:
    """Return the expected counts of one sequence: forward and backward over two states."""
    known, learn, guess, slip = at
    size = len(right)
    hit = np.where(right[:, None] == 1, [guess, 1 - slip], [1 - guess, slip])  # (answers, 2)
    move = np.array([[1 - learn, learn], [0.0, 1.0]])
    forward, backward = np.empty((size, 2)), np.ones((size, 2))
    forward[0] = np.array([1 - known, known]) * hit[0]
    forward[0] /= forward[0].sum()
    for place in range(1, size):
        forward[place] = forward[place - 1] @ move * hit[place]
        forward[place] /= forward[place].sum()
    for place in range(size - 2, -1, -1):
        backward[place] = move @ (hit[place + 1] * backward[place + 1])
        backward[place] /= backward[place].sum()
    state = forward * backward
    state /= state.sum(axis=1, keepdims=True)
    both = forward[:-1, :, None] * move * (hit[1:] * backward[1:])[:, None, :]
    both /= both.sum(axis=(1, 2), keepdims=True)
    return np.array(
        [
            state[0, 1],
            1.0,
            both[:, 0, 1].sum(),
            both[:, 0].sum(),
            (state[:, 0] * right).sum(),
            state[:, 0].sum(),
            (state[:, 1] * (1 - right)).sum(),
            state[:, 1].sum(),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
