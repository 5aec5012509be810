"""Rules: strict reading, one definition for batch and single events, precedence, overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract.model import MISSING_AMOUNT, Amount, DataContract, Entity, Field, Target
from verticals.errors import CallError
from verticals.intervals import wilson
from verticals.table import Table
from verticals_fraud_detection.actions import actions
from verticals_fraud_detection.overlap import overlap
from verticals_fraud_detection.policy import ACTIONS
from verticals_fraud_detection.rules import apply_rules, fire, fit_rules, parse_rules

CONTRACT = DataContract(
    solution="fraud-detection",
    name="payments",
    group="customer",
    entities=(Entity(name="card", column="card_id"),),
    amount=Amount(column="amount", currency="EUR"),
    targets=(Target(name="fraud", column="fraud", kind="binary", positive="1"),),
    fields=(
        Field(name="card_count_10min", kind="numeric"),
        Field(name="channel", kind="categorical", column="c", categories=("chip", "online")),
        Field(name="tier", kind="ordinal", column="t", levels=("basic", "gold", "black")),
        Field(name="night", kind="boolean", column="n"),
        Field(name="note", kind="text", column="x"),
        Field(name="age", kind="numeric", column="age", role="protected"),
        Field(name="recent", kind="sequence", size=(2, 2)),
    ),
)
FILE = """
[rules]
name = "house"

[[rule]]
id = "velocity"
title = "Five payments in 10 minutes"
action = "review"
when = [{ field = "card_count_10min", min = 4 }]

[[rule]]
id = "online-night"
action = "step-up"
when = [{ field = "channel", in = ["online"] }, { field = "night", equals = true }]

[[rule]]
id = "small-gold"
action = "approve"
when = [{ field = "amount", max = 4.2 }, { field = "tier", min = "gold" }]

[[rule]]
id = "stolen"
action = "decline"
when = [{ field = "card", in = ["C7", 9] }]

[[rule]]
id = "no-note"
action = "review"
when = [{ field = "note", missing = true }, { field = "amount", missing = false }]
"""


def table_of(rows):
    columns = {
        "card_count_10min": [row[0] for row in rows],
        "channel": np.array([row[1] for row in rows], dtype=np.int32),
        "tier": np.array([row[2] for row in rows], dtype=np.int32),
        "night": [row[3] for row in rows],
        "note": np.array([row[4] for row in rows], dtype=object),
        "@amount": np.array([row[5] for row in rows], dtype=np.int64),
        "@card": np.array([row[6] for row in rows], dtype=object),
    }
    return Table(columns)


def one_rule(when, action="review"):
    return f'[[rule]]\nid = "r"\naction = "{action}"\nwhen = [{when}]\n'


rows_of = st.lists(
    st.tuples(
        st.sampled_from([0.0, 3.0, 4.0, np.nan]),
        st.sampled_from([-1, 0, 1, 2]),
        st.sampled_from([-1, 0, 1, 2, 3]),
        st.sampled_from([0.0, 1.0, np.nan]),
        st.sampled_from([None, "text"]),
        st.sampled_from([MISSING_AMOUNT, 100, 420, 421]),
        st.sampled_from([None, "C7", "9", "C8"]),
    ),
    min_size=1,
    max_size=12,
)


# ---- firing ----------------------------------------------------------------------------------


def test_each_test_of_a_condition_by_hand():
    table = table_of(
        [
            (4.0, 1, 2, 1.0, None, 420, "C7"),
            (3.9, 1, 3, 1.0, "x", 421, "9"),  # tier undeclared
            (np.nan, -1, -1, np.nan, None, MISSING_AMOUNT, None),
            (9.0, 0, 1, 0.0, "x", 1, "C8"),
        ]
    )
    found = fire(parse_rules(FILE), table, CONTRACT)
    assert found.astype(int).tolist() == [
        [1, 1, 1, 1, 1],
        [0, 1, 0, 1, 0],
        [0, 0, 0, 0, 0],
        [1, 0, 1, 0, 0],
    ]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ('{field="tier", max="gold"}', [1, 1, 0, 0, 0]),
        ('{field="tier", min="black"}', [0, 0, 1, 0, 0]),  # and not the undeclared one
        ('{field="tier", missing=true}', [0, 0, 0, 0, 1]),
        ('{field="channel", equals="chip"}', [1, 0, 0, 0, 0]),
        ('{field="channel", missing=false}', [1, 1, 1, 1, 0]),
        ('{field="card_count_10min", min=1, max=2}', [0, 1, 1, 0, 0]),
        ('{field="card_count_10min", in=[0, 3]}', [1, 0, 0, 1, 0]),
        ('{field="card", missing=true}', [0, 0, 0, 0, 1]),
        ('{field="card", equals=2}', [0, 0, 1, 0, 0]),
        ('{field="note", in=["b"]}', [0, 1, 0, 0, 0]),
        ('{field="night", in=[true, false]}', [1, 1, 1, 1, 0]),
    ],
)
def test_tests_on_each_kind_of_field(when, expected):
    rows = [
        (0.0, 0, 0, 0.0, "a", 1, "0"),
        (1.0, 1, 1, 1.0, "b", 2, "1"),
        (2.0, 1, 2, 0.0, "c", 3, "2"),
        (3.0, 2, 3, 1.0, "d", 4, "3"),
        (np.nan, -1, -1, np.nan, None, MISSING_AMOUNT, None),
    ]
    found = fire(parse_rules(one_rule(when)), table_of(rows), CONTRACT)
    assert found[:, 0].astype(int).tolist() == expected


@settings(max_examples=60)
@given(rows_of)
def test_a_batch_fires_as_each_row_alone_and_online(rows):
    rules = parse_rules(FILE)
    table = table_of(rows)
    batch = fire(rules, table, CONTRACT)
    final = apply_rules(rules, batch, np.zeros(table.rows, dtype=np.int8))
    online = actions(CONTRACT, {"rules": rules})
    for n in range(table.rows):
        assert (fire(rules, table.take([n]), CONTRACT)[0] == batch[n]).all()
        told = online.decide({"score": 0.1, "decision": "0"}, {k: table[k][n] for k in table})
        assert told["action"] == ACTIONS[final[n]]
        assert told["rules"] == [
            rule.id for rule, hit in zip(rules.rules, batch[n], strict=True) if hit
        ]


def test_precedence_deny_then_allow_then_the_strictest():
    rules = parse_rules(FILE)  # review, step-up, approve, decline, review
    cases = [
        ([0, 0, 0, 0, 0], "step-up", "step-up"),
        ([1, 0, 0, 0, 0], "approve", "review"),
        ([1, 0, 0, 0, 0], "decline", "decline"),
        ([0, 1, 0, 0, 1], "approve", "review"),
        ([1, 0, 1, 0, 0], "decline", "approve"),
        ([0, 0, 1, 1, 0], "approve", "decline"),
    ]
    fired = np.array([case[0] for case in cases], dtype=bool)
    model = np.array([ACTIONS.index(case[1]) for case in cases], dtype=np.int8)
    found = [ACTIONS[code] for code in apply_rules(rules, fired, model)]
    assert found == [case[2] for case in cases]


# ---- what does not fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ('{field="card_count_10m", min=1}', "did you mean 'card_count_10min'?"),
        ('{field="score", min=1}', "rule 'r': field 'score' is unknown"),
        ('{field="channel", in=["onlin"]}', "no value 'onlin'; did you mean 'online'?"),
        ('{field="channel", min="chip"}', "is categorical, which has no order"),
        ('{field="tier", min="silver"}', "no value 'silver'"),
        ('{field="card", max=3}', "is an entity, which has no order"),
        ('{field="age", max=30}', "is protected, so no rule may decide on it"),
        ('{field="recent", missing=true}', "is a sequence, which rules cannot read"),
        ('{field="night", in=["yes"]}', "holds numbers, the list has text"),
        ('{field="card_count_10min", min="3"}', "its limit is text"),
        ('{field="card_count_10min", min=3, max=2}', "min 3 of 'card_count_10min' is above"),
        ('{field="note", in=[3]}', "holds text, the list has other values"),
    ],
)
def test_rules_that_do_not_fit_the_contract_are_named(when, said):
    rules = parse_rules(one_rule(when))
    with pytest.raises(CallError) as caught:
        fit_rules(rules, CONTRACT)
    assert said in caught.value.message
    assert "rule 'r'" in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no [[rule]]"),
        ("rule = 3\n", "has no [[rule]]"),
        (one_rule('{field="a", min=1}', "block"), "action 'block' is unknown; known are approve"),
        (one_rule('{field="a", min=1}', "reviev"), "did you mean 'review'?"),
        (one_rule('{field="a"}'), "has the tests none, expected one of"),
        (one_rule('{field="a", min=1, in=[2]}'), "has the tests in, min"),
        (one_rule('{field="a", in=[]}'), "expected a list of texts, numbers"),
        (one_rule('{field="a", missing=1}'), "missing is no truth value"),
        (one_rule('{field="a", min=[1]}'), "min is no number"),
        (one_rule('{field="a", mim=1}'), "unknown key 'mim'; did you mean 'min'?"),
        (one_rule("3"), "condition 1 is no table"),
        (one_rule(""), "lacks conditions"),
        (one_rule('{field="a", min=1}') * 2, "rule id 'r' stands twice"),
        (one_rule('{field="a", min=1}') + "wen = 2\n", "unknown key 'wen'"),
        (one_rule('{field="a", min=1}').replace('id = "r"\n', ""), "rule 1 lacks 'id'"),
    ],
)
def test_files_that_say_something_unknown_are_refused(text, said):
    with pytest.raises(CallError) as caught:
        parse_rules(text, source="r.toml")
    assert said in caught.value.message
    assert caught.value.message.startswith("r.toml")


def test_errors_never_name_an_id():
    rules = parse_rules(one_rule('{field="card", in=["C-SECRET"]}'))
    with pytest.raises(CallError) as caught:
        fire(rules, Table({"card_count_10min": [1.0]}), CONTRACT)
    assert "reads 'card', which the data lack" in caught.value.message
    assert "SECRET" not in caught.value.message + caught.value.hint


def test_the_digest_is_of_the_meaning():
    assert parse_rules(FILE).digest == parse_rules(FILE + "# a comment\n").digest
    assert parse_rules(FILE).digest != parse_rules(FILE.replace("4.2", "4.3")).digest


# ---- online ----------------------------------------------------------------------------------


def test_actions_online(tmp_path):
    (tmp_path / "p.toml").write_text(
        '[policy]\nname = "p"\n[cuts]\nstep_up = 0.2\nreview = 0.5\ndecline = 0.9\n'
    )
    online = actions(CONTRACT, {"policy": str(tmp_path / "p.toml")})
    found = [online.decide({"score": score}, {}) for score in (0.1, 0.2, 0.6, 0.95)]
    assert [item["action"] for item in found] == ["approve", "step-up", "review", "decline"]
    assert [item["cut"] for item in found] == [None, 0.2, 0.5, 0.9]
    assert found[0]["rules"] == []


def test_without_a_policy_the_bundles_decision_is_a_review():
    online = actions(CONTRACT, {})
    assert online.decide({"score": 0.5, "decision": "1"}, {})["action"] == "review"
    assert online.decide({"score": 0.5, "decision": "0"}, {})["action"] == "approve"


def test_costs_online_read_the_amount(tmp_path):
    (tmp_path / "c.toml").write_text(
        '[policy]\nname = "c"\n[costs]\ncurrency = "EUR"\nhandling = { review = 4.0 }\n'
        "stopped = { review = 1.0 }\ngenuine = { step_up = 1.0, decline = 9.0 }\n"
    )
    online = actions(CONTRACT, {"policy": tmp_path / "c.toml"})
    for minor, action in ((1000, "approve"), (5000, "review"), (MISSING_AMOUNT, "review")):
        told = online.decide({"score": 0.1}, {"@amount": np.int64(minor)})
        assert (told["action"], told["cut"]) == (action, None)


def test_online_refuses_budgets_other_currencies_and_options(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text('[policy]\nname = "p"\n[budget]\nalerts_per_day = 3\n')
    with pytest.raises(CallError) as caught:
        actions(CONTRACT, {"policy": path})
    assert "--write-cuts" in caught.value.hint
    path.write_text('[policy]\nname = "p"\n[costs]\ncurrency = "USD"\nstopped = {}\n')
    with pytest.raises(CallError, match="counts in 'USD', the contract in 'EUR'"):
        actions(CONTRACT, {"policy": path})
    with pytest.raises(CallError, match="did you mean 'policy'"):
        actions(CONTRACT, {"polcy": path})


# ---- overlap ---------------------------------------------------------------------------------


def test_overlap_by_hand():
    rules = parse_rules(one_rule('{field="card_count_10min", min=1}'))
    fired = np.array([[1], [1], [1], [0], [0], [0]], dtype=bool)
    alerted = np.array([1, 1, 0, 1, 0, 0], dtype=bool)
    label = np.array([1, 0, 1, 1, 0, np.nan])
    rule, either, model, neither = overlap(rules, fired, alerted, label, np.arange(6))
    assert (rule["fired"]["events"], rule["fired"]["frauds"]) == (3, 2)
    assert (rule["also_model"]["events"], rule["also_model"]["frauds"]) == (2, 1)
    assert (rule["only_here"]["events"], rule["only_here"]["frauds"]) == (1, 1)
    assert either["fired"] == rule["fired"]
    assert (model["fired"]["events"], model["only_here"]["events"]) == (3, 1)
    assert neither["fired"] == {
        "events": 2,
        "frauds": 0,
        "precision": {"estimate": 0.0, "lower": 0.0, "upper": wilson(0, 1).upper, "n": 1},
    }
    precision = rule["fired"]["precision"]
    assert precision["estimate"] == pytest.approx(2 / 3)
    assert precision["lower"] == pytest.approx(wilson(2, 3).lower)


def test_a_rule_that_never_fires_has_no_precision():
    rules = parse_rules(one_rule('{field="card_count_10min", min=1}'))
    none = np.zeros((4, 1), dtype=bool)
    rule = overlap(rules, none, none[:, 0], np.zeros(4), np.zeros(4, dtype=int))[0]
    assert rule["fired"]["precision"]["estimate"] is None
