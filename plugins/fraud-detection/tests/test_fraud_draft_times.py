"""The draft of a contract for payments: the time of the event, and of its label."""

from __future__ import annotations

import numpy as np
import pytest

from verticals.contract import draft_contract, parse_contract
from verticals.table import Table
from verticals_fraud_detection.draft import refine

DRAWS = np.random.default_rng(2)
ROWS = 300


def payments(unit=None, amounts=None) -> Table:
    booked = 1_717_201_241 + np.sort(DRAWS.integers(0, 9_000_000, ROWS))
    known = booked + DRAWS.integers(86_400, 900_000, ROWS)
    if unit is None:
        booked, known = (part.astype("datetime64[s]") for part in (booked, known))
    else:
        booked, known = booked * unit, known * unit
    return Table(
        {
            "BookedAt": booked,
            "confirmed_at": known,
            "Kunde": np.array([f"K{n}" for n in DRAWS.integers(0, 90, ROWS)], dtype=object),
            "amount": DRAWS.exponential(50, ROWS).round(2) if amounts is None else amounts,
            "isFraud": (DRAWS.random(ROWS) < 0.2).astype(np.int64),
        }
    )


def drafted(raw, solution="fraud-detection"):
    draft = draft_contract(raw, solution=solution, refine=refine)
    return parse_contract(draft.text), " | ".join(draft.findings)


def test_the_time_that_is_never_before_the_other_is_that_of_the_label():
    contract, said = drafted(payments())
    assert (contract.time, contract.label_time) == ("BookedAt", "confirmed_at")
    assert "'confirmed_at' is never before 'BookedAt', and taken as the time of the label" in said
    assert "label_delay" not in said
    assert contract.entities[0].history is not None
    assert {item.column for item in contract.fields} & {"BookedAt", "confirmed_at"} == set()


def test_novelty_takes_no_time_of_labels():
    contract, _ = drafted(payments(), "fraud-novelty")
    assert (contract.time, contract.label_time) == ("BookedAt", "")
    assert contract.targets == ()


@pytest.mark.parametrize("unit", [1, 1000])
def test_seconds_since_1970_are_no_inputs_and_both_times_are_proposed(unit):
    contract, said = drafted(payments(unit))
    roles = {item.column: item.role for item in contract.fields}
    assert roles["BookedAt"] == roles["confirmed_at"] == "ignore"
    assert "declare time: BookedAt and label_time: confirmed_at" in said


def test_an_amount_of_texts_is_named_with_what_is_wrong():
    amounts = np.array([f"{n * 37.5:,.2f}" for n in range(1, ROWS + 1)], dtype=object)
    contract, said = drafted(payments(amounts=amounts))
    assert contract.amount is None
    assert (
        "'amount' is named like an amount, and holds numbers with commas between thousands" in said
    )
