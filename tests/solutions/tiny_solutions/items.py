"""Item responses without a label: a Rasch model behind the escape hatch, no torch at all."""

import numpy as np

from verticals.contract import parse_contract
from verticals.errors import TrainingError
from verticals.plugin import Output, State
from verticals.table import Table

CONTRACT = """
solution: tiny-items
name: tiny-test
fields:
  answers: {columns: "Q*", role: item, kind: ordinal, levels: [0, 1]}
  sex: {column: sex, role: protected, kind: categorical, categories: [f, m]}
"""


class Rasch:
    """Score persons by maximum a posteriori ability under fixed item difficulties."""

    def __init__(self, difficulty):
        self.difficulty = np.asarray(difficulty, dtype=float)

    def predict(self, table):
        """Return the ability of each person; Newton steps with a standard normal prior."""
        answers = np.asarray(table["answers"], dtype=float)
        seen = answers >= 0
        ability = np.zeros(table.rows)
        for _ in range(25):
            chance = 1 / (1 + np.exp(self.difficulty[None, :] - ability[:, None]))
            slope = np.where(seen, answers - chance, 0).sum(axis=1) - ability
            ability += slope / (np.where(seen, chance * (1 - chance), 0).sum(axis=1) + 1)
        return {"ability": ability}

    def state(self):
        """Hand the difficulties over."""
        return State(tensors={"difficulty": self.difficulty}, settings={})


class Items:
    """Fit item difficulties by the log-odds of being wrong, centred on zero."""

    def outputs(self, contract):
        """Name the one output."""
        return (Output(name="ability", kind="real"),)

    def demo(self):
        """Simulate 400 persons and 6 items."""
        random = np.random.default_rng(4)
        ability, hard = random.normal(size=(400, 1)), np.linspace(-1, 1, 6)[None, :]
        right = (random.random((400, 6)) < 1 / (1 + np.exp(hard - ability))).astype(np.int64)
        columns = {f"Q{i + 1}": right[:, i] for i in range(6)}
        sex = random.choice(np.array(["f", "m"], dtype=object), 400)
        return parse_contract(CONTRACT), Table({**columns, "sex": sex})

    def fit(self, parts, setup):
        """Estimate the difficulties from the training part."""
        answers = parts["train"]["answers"]
        if len(answers) < 2:
            raise TrainingError(f"{len(answers)} persons are too few, expected 2 or more")
        wrong = np.clip((answers == 0).mean(axis=0), 0.01, 0.99)
        hard = np.log(wrong / (1 - wrong))
        return Rasch(hard - hard.mean())

    def load(self, state, setup):
        """Bring the model back."""
        return Rasch(state.tensors["difficulty"])

    def evidence(self, model, parts):
        """Count right answers by item and sex, from all persons."""
        everyone = np.concatenate([part["answers"] for part in parts.values()])
        sex = np.concatenate([part["sex"] for part in parts.values()])
        cells = [(i, s, (everyone[sex == s, i] == 1).sum()) for i in range(6) for s in (0, 1)]
        item, group, right = np.array(cells).T
        return {"tiny.items": Table({"item": item, "sex": group, "right": right})}


SOLUTION = Items()
