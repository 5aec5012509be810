"""A table: one numeric, one ordinal and one categorical field, a protected attribute, a label."""

import numpy as np

from verticals.contract import parse_contract
from verticals.networks import additive
from verticals.plugin import TorchSolution
from verticals.table import Table

CONTRACT = """
solution: tiny-table
name: tiny-table-demo
id: key
targets:
  default: {column: default, kind: binary, positive: 1, negative: 0, favourable: 0}
decision: {target: default, cut: 0.5}
fields:
  income: {column: income, kind: numeric, bounds: [0, 10], monotone: decreasing, label: Income}
  grade: {column: grade, kind: ordinal, levels: [a, b, c], label: Grade}
  colour: {column: colour, kind: categorical, categories: [red, green, blue], label: Colour}
  sex: {column: sex, role: protected, kind: categorical, categories: {1: male, 2: female}}
  age: {column: age, role: protected, kind: numeric, bounds: [18, 90], bands: [30, 60]}
  site: {column: site, role: stratum, kind: categorical, categories: [north, south]}
"""


def demo():
    """Simulate 900 rows with a known signal and a few missing values."""
    random = np.random.default_rng(1)
    rows = 900
    income = random.uniform(0, 10, rows)
    grade = random.integers(0, 3, rows)
    log_odds = 2.0 - 0.6 * income + 0.7 * grade
    default = random.random(rows) < 1 / (1 + np.exp(-log_odds))
    income[::50] = np.nan
    return parse_contract(CONTRACT), Table(
        {
            "key": np.array([f"k{i}" for i in range(rows)], dtype=object),
            "income": income,
            "grade": np.array(["a", "b", "c"], dtype=object)[grade],
            "colour": random.choice(np.array(["red", "green", "blue"], dtype=object), rows),
            "sex": random.integers(1, 3, rows),
            "age": random.integers(18, 90, rows).astype(float),
            "site": random.choice(np.array(["north", "south"], dtype=object), rows),
            "default": default.astype(np.int64),
        }
    )


SOLUTION = TorchSolution(demo=demo, network=additive)
