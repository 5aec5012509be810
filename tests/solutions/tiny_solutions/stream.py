"""A stream of card payments: a derived field with online state, split by time, unit = card."""

import numpy as np

from verticals.contract import Field, parse_contract
from verticals.networks import additive
from verticals.plugin import State, TorchSolution
from verticals.table import Table

CONTRACT = """
solution: tiny-stream
name: tiny-payments
id: payment
group: card
time: at
targets:
  fraud: {column: fraud, kind: binary, positive: 1, negative: 0, favourable: 0}
decision: {target: fraud, rate: 0.1}
fields:
  amount: {column: amount, kind: numeric, bounds: [1, 1000], scale: log}
"""


class Stream:
    """Count a card's earlier payments, one event at a time."""

    def __init__(self):
        self.seen = {}

    def push(self, event):
        """Return the count before this event, then count it."""
        before = self.seen.get(event["@group"], 0)
        self.seen[event["@group"]] = before + 1
        return {"earlier": float(before)}

    def save(self):
        """Return the counts."""
        return State(tensors={}, settings=dict(self.seen))

    def restore(self, state):
        """Take saved counts up again."""
        self.seen = dict(state.settings)


class Earlier:
    """Derive the number of earlier payments of the same card: reads rows of the card only."""

    fields = (Field(name="earlier", kind="numeric", bounds=(0.0, 50.0), reads=("@group",)),)

    def batch(self, table):
        """Run the stream over the table, in its order."""
        push = self.stream().push
        counts = np.array([push({"@group": card})["earlier"] for card in table["@group"]])
        return table.with_columns({"earlier": counts})

    def stream(self):
        """Return an empty stream."""
        return Stream()


def demo():
    """Simulate 900 payments of 150 cards; large amounts are fraud more often."""
    random = np.random.default_rng(2)
    rows = 900
    amount = np.exp(random.uniform(0, 6.9, rows))
    fraud = random.random(rows) < 1 / (1 + np.exp(3.0 - amount / 200))
    card = np.array([f"c{i}" for i in random.integers(0, 150, rows)], dtype=object)
    at = np.datetime64("2026-01-01", "us") + np.arange(rows) * np.timedelta64(60, "s")
    columns = {"payment": np.arange(rows), "card": card, "at": at, "amount": amount}
    return parse_contract(CONTRACT), Table({**columns, "fraud": fraud.astype(np.int64)})


SOLUTION = TorchSolution(demo=demo, network=additive, features=Earlier())
