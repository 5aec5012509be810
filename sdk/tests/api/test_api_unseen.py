from __future__ import annotations

import numpy as np

from verticals.api.unseen import missing_unseen, unseen_notes
from verticals.contract import parse_contract
from verticals.table import Table

CONTRACT = parse_contract("""
solution: any
name: loans
fields:
  amount: {column: a, kind: numeric, bounds: [0, 9], label: Loan amount}
""")


class Knows:
    def predict(self, table):
        return {}

    def state(self):
        raise NotImplementedError

    def missing_unseen(self, table):
        return {"amount": int(np.isnan(table["amount"]).sum())}


class KnowsNothing:
    def predict(self, table):
        return {}

    def state(self):
        raise NotImplementedError


def test_what_was_never_missing_in_training_is_counted_and_named():
    table = Table({"amount": np.array([1.0, np.nan, np.nan])})
    (note,) = unseen_notes(CONTRACT, missing_unseen(Knows(), table))
    assert note.startswith("Loan amount (amount): 2 missing, and none was missing in training")


def test_a_model_that_does_not_count_says_nothing():
    assert unseen_notes(CONTRACT, missing_unseen(KnowsNothing(), Table({}))) == ()
