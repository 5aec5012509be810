"""The derived fields follow from the contract alone, and an encoder takes them as they are."""

from __future__ import annotations

import numpy as np
import pytest

from verticals.contract import Amount, Entity, Field, History, parse_contract
from verticals.encode import build_encoder
from verticals.errors import ContractError
from verticals.history import history_features
from verticals.plugin import Features

CONTRACT = """
solution: fraud-detection
name: payments
group: customer
time: at
entities:
  card:
    column: card
    label: Card
    owned: true
    history: {windows: [10min, 1h], measures: [count, sum, mean, max, since, ratio], recent: 2}
  terminal:
    column: terminal
    label: Terminal
    history: {windows: [7d], measures: [count, risk], distinct: [card], cap: 2000}
amount: {column: sum, currency: EUR, bounds: [0.01, 10000]}
label_delay: 7d
targets:
  fraud:
    {column: fraud, kind: binary, positive: 1, negative: 0, favourable: 0, label: Fraud}
fields:
  channel: {column: channel, kind: categorical, categories: [chip, online]}
"""


@pytest.fixture
def features():
    return history_features(parse_contract(CONTRACT))


def test_the_fields_are_named_and_described_in_words(features):
    assert isinstance(features, Features)
    assert [(item.name, item.title, item.unit) for item in features.fields] == [
        ("amount", "Amount", "EUR"),
        ("card_count_10min", "Card: payments in 10 min", ""),
        ("card_sum_10min", "Card: sum of amounts in 10 min", "EUR"),
        ("card_mean_10min", "Card: mean amount in 10 min", "EUR"),
        ("card_max_10min", "Card: largest amount in 10 min", "EUR"),
        ("card_ratio_10min", "Card: amount against the mean in 10 min", ""),
        ("card_count_1h", "Card: payments in 1 h", ""),
        ("card_sum_1h", "Card: sum of amounts in 1 h", "EUR"),
        ("card_mean_1h", "Card: mean amount in 1 h", "EUR"),
        ("card_max_1h", "Card: largest amount in 1 h", "EUR"),
        ("card_ratio_1h", "Card: amount against the mean in 1 h", ""),
        ("card_since", "Card: time since the previous payment", "s"),
        ("card_recent", "Card: the latest 2 payments", ""),
        ("terminal_count_7d", "Terminal: payments in 7 d", ""),
        ("terminal_risk_7d", "Terminal: share of Fraud among labels known in 7 d", ""),
        ("terminal_distinct_card_7d", "Terminal: different values of Card in 7 d", ""),
    ]


def test_bounds_scales_and_what_is_read_follow_from_the_declaration(features):
    found = {
        item.name: (item.bounds, item.scale, item.reads)
        for item in features.fields
        if "_10min" not in item.name
    }
    assert found.pop("card_recent")[0] == (0.0, pytest.approx(np.log1p(10_000)))
    assert found == {
        "amount": ((0.01, 10_000.0), "log", ()),
        "card_count_1h": ((0.0, 500.0), "signed-log", ("@card",)),
        "card_sum_1h": ((0.0, 1_000_000.0), "signed-log", ("@card",)),
        "card_mean_1h": ((0.01, 10_000.0), "log", ("@card",)),
        "card_max_1h": ((0.01, 10_000.0), "log", ("@card",)),
        "card_ratio_1h": ((0.01, 100.0), "log", ("@card",)),
        "card_since": ((1.0, 3600.0), "log", ("@card",)),
        "terminal_count_7d": ((0.0, 2000.0), "signed-log", ("@terminal",)),
        "terminal_risk_7d": ((0.0, 1.0), "linear", ("@terminal",)),
        "terminal_distinct_card_7d": ((0.0, 2000.0), "signed-log", ("@terminal",)),
    }


def test_an_encoder_takes_every_field(kit):
    features = history_features(kit.contract())
    rows = [(n, "a", "x", "m", 100 * n, 1.0, 30) for n in range(0, 90, 5)]
    made = features.batch(kit.table(rows))
    encoder = build_encoder(features.fields)
    blocks = encoder.encode(made)
    assert blocks["card_recent"].shape == (18, 3, 4)
    assert all(np.isfinite(block).all() for block in blocks.values())
    counts = encoder.counts(made)
    shape = dict(zip(counts["field"], counts["rows"], strict=True))
    assert shape["card_recent"] == 18 * 12
    assert shape["card_count_1h"] == 18


def test_within_leaves_out_what_reads_other_persons_rows(features, kit):
    contract = parse_contract(CONTRACT)
    assert contract.unit_keys == {"@group", "@card"}
    within = features.within(contract.unit_keys)
    names = [item.name for item in within.fields]
    assert names == [item.name for item in features.fields if item.name[:4] != "term"]
    assert within.left_out == ("terminal_count_7d", "terminal_risk_7d", "terminal_distinct_card_7d")
    alone = features.within(frozenset())
    assert [item.name for item in alone.fields] == ["amount"]
    table = kit.table([(0, "a", "x", "m", 250, None, None)]).without(["@card", "@shop", "@device"])
    assert alone.batch(table)["amount"].tolist() == [2.5]
    assert alone.stream().push({"@time": table["@time"][0], "@amount": 250}) == {"amount": 2.5}


def test_a_contract_without_histories_and_amounts_derives_nothing(kit):
    entities = (Entity(name="card", column="card"),)
    assert history_features(kit.contract(entities=entities, amount=None)) is None
    only_amount = history_features(kit.contract(entities=entities))
    assert [item.name for item in only_amount.fields] == ["amount"]


def test_a_declared_field_amount_stays_what_it_is(kit):
    own = Field(name="amount", kind="numeric", column="amount", bounds=(0.0, 1.0))
    features = history_features(kit.contract(fields=(own,)))
    assert "amount" not in [item.name for item in features.fields]


def test_windows_stand_shortest_first_and_an_hour_may_be_sixty_minutes(kit):
    history = History(windows=("1h", "60min", "30s"), measures=("count",))
    features = history_features(
        kit.contract(entities=(Entity(name="card", column="card", history=history),))
    )
    assert [item.name for item in features.fields[1:]] == [
        "card_count_30s",
        "card_count_1h",
        "card_count_60min",
    ]


def test_bounds_of_amounts_that_can_be_0_or_are_not_declared(kit):
    amount = Amount(column="amount", currency="EUR", bounds=(-10.0, 1000.0))
    fields = {f.name: f for f in history_features(kit.contract(amount=amount, cap=5)).fields}
    assert fields["amount"].scale == "signed-log"
    assert fields["card_sum_1h"].bounds == (-50.0, 5000.0)
    undeclared = history_features(kit.contract(amount=Amount(column="amount", currency="EUR")))
    assert undeclared.fields[0].bounds == (0.01, 1e6)


def test_the_digest_is_that_of_the_definitions(kit):
    digests = {
        history_features(contract).plan.digest
        for contract in (
            kit.contract(),
            kit.contract(cap=4),
            kit.contract(recent=0),
            kit.contract(measures=("count",)),
            kit.contract(amount=Amount(column="amount", currency="JPY", digits=0)),
        )
    }
    assert len(digests) == 5
    same = kit.contract(late_events="now", name="other", label_delay="2d")
    assert history_features(same).plan.digest in digests


def history_of(**changes):
    values = {"windows": ("1h",), "measures": ("count",)}
    return (Entity(name="card", column="card", history=History(**{**values, **changes})),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entities": history_of(cap=0)}, "cap 0"),
        ({"entities": history_of(windows=())}, "measures and no windows"),
        ({"entities": history_of(measures=("median",))}, "'median'"),
        ({"entities": history_of(distinct=("shop",))}, "distinct 'shop'"),
        ({"entities": history_of(distinct=("card",))}, "distinct 'card'"),
        ({"entities": history_of(windows=("1 hour",))}, "no duration"),
        ({"entities": history_of(measures=("sum",)), "amount": None}, "asks for amounts"),
        ({"entities": history_of(measures=("risk",)), "targets": ()}, "no binary target"),
        (
            {"fields": (Field(name="card_count_1h", kind="numeric"),)},
            "two fields have the name 'card_count_1h'",
        ),
    ],
)
def test_what_cannot_be_derived_is_refused(kit, changes, message):
    with pytest.raises(ContractError, match=message):
        history_features(kit.contract(**changes))


def test_the_risk_is_of_the_target_that_is_decided_on(kit):
    from verticals.contract import Decision, Target

    targets = tuple(
        Target(name=name, column=name, kind="binary", positive="1") for name in ("other", "fraud")
    )
    decided = kit.contract(targets=targets, decision=Decision(target="fraud", rate=0.1))
    assert history_features(decided).plan.target == "fraud"
    undecided = kit.contract(targets=targets, decision=None)
    assert history_features(undecided).plan.target == "other"
