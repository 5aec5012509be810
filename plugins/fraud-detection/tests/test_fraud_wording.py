"""Reasons in words: the entity's own numbers, what is missing, and never an id."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from verticals.contract.model import Amount, DataContract, Entity, Field, History, Target
from verticals.history import history_features
from verticals_fraud_detection.wording import wording

WINDOWS = ("10min", "1h", "24h", "7d", "30d")
CONTRACT = DataContract(
    solution="fraud-detection",
    name="payments",
    time="at",
    entities=(
        Entity(
            name="card",
            column="card_id",
            label="Card",
            history=History(
                windows=WINDOWS,
                measures=("count", "sum", "mean", "max", "since", "ratio"),
                distinct=("terminal",),
                recent=8,
            ),
        ),
        Entity(
            name="terminal",
            column="terminal_id",
            label="Terminal",
            history=History(windows=("24h", "7d"), measures=("count", "risk")),
        ),
    ),
    amount=Amount(column="amount", currency="EUR"),
    label_delay="7d",
    targets=(Target(name="fraud", column="fraud", kind="binary", positive="1", label="Fraud"),),
    fields=(Field(name="channel", kind="categorical", column="c", categories=("chip",)),),
)
FIELDS = {item.name: item for item in history_features(CONTRACT).fields}
ROW = {
    "@card": "C-SECRET",
    "@terminal": "T-SECRET",
    "amount": 412.0,
    "card_count_10min": 4.0,
    "card_count_30d": 1296.0,
    "card_sum_24h": 1234.5,
    "card_sum_30d": 3000.0,
    "card_mean_30d": 66.1,
    "card_max_7d": 99.0,
    "card_ratio_30d": 412 / 66.1,
    "card_since": 13.2,
    "card_distinct_terminal_1h": 6.0,
    "card_distinct_terminal_30d": 72.0,
    "card_recent": np.zeros((8, 4)),
    "terminal_risk_7d": 0.12,
    "terminal_count_7d": 0.0,
}


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("card_count_10min", {}, "5th payment of this card in 10 min, usual 0.3"),
        (
            "card_count_10min",
            {"card_count_30d": 5},
            "5th payment of this card in 10 min, usual below 0.1",
        ),
        (
            "card_count_10min",
            {"card_count_10min": 0, "card_count_30d": 0},
            "first payment of this card in 30 d",
        ),
        ("card_count_10min", {"card_count_30d": None}, "5th payment of this card in 10 min"),
        # None earlier is not more than usual, whatever is usual.
        ("card_count_10min", {"card_count_10min": 0}, "no earlier payment of this card in 10 min"),
        (
            "card_count_10min",
            {"card_count_10min": 0, "card_count_30d": 12960},
            "no earlier payment of this card in 10 min, usual 3.0",
        ),
        (
            "card_count_10min",
            {"card_count_10min": 2, "card_count_30d": 12960},
            "2 earlier payments of this card in 10 min, usual 3.0",
        ),
        (
            "card_count_10min",
            {"card_count_10min": 20},
            "21st payment of this card in 10 min, usual 0.3",
        ),
        (
            "card_count_10min",
            {"card_count_10min": 10},
            "11th payment of this card in 10 min, usual 0.3",
        ),
        ("card_count_30d", {}, "1297th payment of this card in 30 d"),
        ("card_count_10min", {"@card": None}, "no card is given"),
        ("card_sum_24h", {}, "1,234.50 EUR by this card in the 24 h before, usual 100.00"),
        ("card_mean_30d", {}, "mean amount of this card in the 30 d before was 66.10 EUR"),
        ("card_mean_30d", {"card_mean_30d": np.nan}, "no earlier amount of this card in 30 d"),
        ("card_max_7d", {}, "highest amount of this card in the 7 d before was 99.00 EUR"),
        (
            "card_ratio_30d",
            {},
            "amount 412.00 EUR is 6.2 times this card's own mean of 30 d (66.10)",
        ),
        (
            "card_ratio_30d",
            {"card_mean_30d": np.nan},
            "amount 412.00 EUR is 6.2 times this card's own mean of 30 d",
        ),
        (
            "card_ratio_30d",
            {"amount": np.nan},
            "amount is 6.2 times this card's own mean of 30 d (66.10)",
        ),
        (
            "card_ratio_30d",
            {"card_ratio_30d": np.nan},
            "no earlier amount of this card in 30 d to compare with",
        ),
        ("card_since", {}, "13 s after the card's previous payment"),
        ("card_since", {"card_since": 7200.0}, "2 h after the card's previous payment"),
        ("card_since", {"card_since": 600_000.0}, "7 d after the card's previous payment"),
        ("card_since", {"card_since": np.nan}, "no earlier payment of this card"),
        ("card_distinct_terminal_1h", {}, "6 different terminals of this card in 1 h, usual 0.1"),
        (
            "card_distinct_terminal_1h",
            {"card_distinct_terminal_1h": 1},
            "1 different terminal of this card in 1 h, usual 0.1",
        ),
        (
            "card_distinct_terminal_1h",
            {"card_distinct_terminal_1h": 0},
            "no earlier terminal of this card in 1 h",
        ),
        (
            "card_distinct_terminal_1h",
            {"card_distinct_terminal_1h": 0, "card_distinct_terminal_30d": 7200},
            "no earlier terminal of this card in 1 h, usual 10",
        ),
        ("card_recent", {}, "the card's last 8 payments"),
        (
            "terminal_risk_7d",
            {},
            "12 % of the labels known in the last 7 d at this terminal were fraud",
        ),
        (
            "terminal_risk_7d",
            {"terminal_risk_7d": 0.0},
            "0 % of the labels known in the last 7 d at this terminal were fraud",
        ),
        (
            "terminal_risk_7d",
            {"terminal_risk_7d": np.nan},
            "no label of this terminal became known in the last 7 d",
        ),
        ("amount", {}, "amount of 412.00 EUR"),
        ("amount", {"amount": np.nan}, "no amount is given"),
    ],
)
def test_words_of_each_measure(name, row, said):
    assert wording(FIELDS[name], {**ROW, **row}, CONTRACT) == said


def test_fields_of_the_contract_keep_their_label():
    assert wording(CONTRACT.fields[0], ROW, CONTRACT) is None
    assert wording(Field(name="card_unheard_of", kind="numeric"), ROW, CONTRACT) is None
    assert wording(Field(name="other", kind="numeric"), ROW, CONTRACT) is None


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("row", [ROW, {}, dict.fromkeys(FIELDS, np.nan)])
def test_every_derived_field_has_words_without_an_id(name, row):
    found = wording(FIELDS[name], row, CONTRACT)
    assert found
    assert "SECRET" not in found
    assert "nan" not in found.lower()


def test_without_an_amount_a_row_is_an_event_and_acronyms_stay():
    contract = dataclasses.replace(
        CONTRACT,
        amount=None,
        entities=(
            Entity(
                name="iban",
                column="i",
                label="IBAN",
                history=History(windows=("1h",), measures=("count",)),
            ),
        ),
    )
    [field] = history_features(contract).fields
    assert wording(field, {"iban_count_1h": 1}, contract) == "2nd event of this IBAN in 1 h"
