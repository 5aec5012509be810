"""The plugin's evidence tables: from bound rows by hand, and through the checks that read them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from verticals.contract.model import (
    MISSING_AMOUNT,
    Amount,
    DataContract,
    Entity,
    Field,
    History,
    Target,
)
from verticals.encode import build_encoder
from verticals.evidence import EvidenceInfo, OutputInfo, open_evidence, write_evidence
from verticals.history import history_features
from verticals.table import Table
from verticals_fraud_detection import evidence as made
from verticals_fraud_detection.checks.drift import drift

FIELDS = (
    Field(name="amount", kind="numeric", column="a", bounds=(0.0, 1000.0)),
    Field(name="night", kind="boolean", column="n"),
    Field(
        name="channel",
        kind="categorical",
        column="c",
        categories=("1", "2"),
        category_labels=("web", "shop"),
    ),
)
CONTRACT = DataContract(
    solution="fraud-detection",
    name="t",
    fields=FIELDS,
    targets=(Target(name="fraud", column="f", kind="binary", positive="1"),),
    group="customer",
    time="at",
    entities=(Entity(name="card", column="card", owned=True, retired=True),),
    amount=Amount(column="a", currency="EUR"),
)


@dataclass
class Model:
    """Stand for a trained model: what `evidence` reads of one."""

    contract: DataContract | None = CONTRACT
    encoder: object = field(default=None)

    def predict(self, table):
        return {"score": np.clip(table["amount"] / 1000, 0, 1), "novelty": table["amount"]}

    def state(self):
        raise NotImplementedError


def times(*texts):
    return np.array(texts, dtype="datetime64[us]")


def bound(n=400, seed=0, shift=0.0):
    random = np.random.default_rng(seed)
    card = random.integers(0, 40, n)
    minutes = np.sort(random.integers(0, 14 * 1440, n)).astype("timedelta64[m]")
    amount = np.clip(random.exponential(100, n) + shift, 0, 2000)
    return Table(
        {
            "@time": np.datetime64("2024-03-01T00:00", "us") + minutes,
            "@card": np.array([f"c{code}" for code in card], dtype=object),
            "@group": np.array([f"p{code // 2}" for code in card], dtype=object),
            "@amount": np.round(amount * 100).astype(np.int64),
            "amount": amount,
            "night": (random.random(n) < 0.2).astype(float),
            "channel": random.integers(-1, 3, n).astype(np.int32),
        }
    )


def test_events_are_counted_from_the_first_midnight():
    table = Table(
        {
            "@time": times("2024-03-02T00:01", "2024-03-01T23:00", "2024-03-09T12:00"),
            "@amount": np.array([1050, MISSING_AMOUNT, 0]),
            "@card": np.array(["b", "a", "b"], dtype=object),
            "@group": np.array(["p", "p", "p"], dtype=object),
        }
    )
    found = made.events_table(table, CONTRACT)
    assert found["day"].tolist() == [1, 0, 8]
    assert found["week"].tolist() == [0, 0, 1]
    assert found["minute"].tolist() == [1441, 1380, 8 * 1440 + 720]
    np.testing.assert_array_equal(found["amount"], [10.5, np.nan, 0.0])
    assert found["card"].tolist() == [1, 0, 1]


def test_an_amount_is_read_in_the_digits_of_its_currency():
    yen = DataContract(
        solution="s", name="t", fields=(), amount=Amount(column="a", currency="JPY", digits=0)
    )
    found = made.events_table(Table({"@amount": np.array([500])}), yen)
    assert found["amount"].tolist() == [500.0]


def test_a_card_is_the_retired_entity_else_the_group_else_the_row():
    table = bound(50)
    by_card = made.card_codes(table, CONTRACT)
    assert len(np.unique(by_card)) == len(np.unique(table["@card"].astype(str)))
    by_group = made.card_codes(table, None)
    assert len(np.unique(by_group)) == len(np.unique(table["@group"].astype(str)))
    plain = Table({"x": np.zeros(4)})
    assert made.card_codes(plain, CONTRACT).tolist() == [0, 1, 2, 3]


def test_an_event_without_a_card_stands_for_itself():
    cards = np.array([None, "a", None, "a", "row 0"], dtype=object)
    found = made.card_codes(Table({"@card": cards}), CONTRACT)
    assert found[1] == found[3]
    assert len(set(found.tolist())) == 4


def test_what_the_contract_gives_no_ground_for_is_absent():
    audited = Table({"amount": np.arange(5.0)})
    found = made.evidence(Model(contract=None), {"test": audited, "train": audited})
    assert set(found) == {"fraud.events"}
    assert set(found["fraud.events"]) == {"card"}
    untimed = Table({"@time": times("2024-01-01", "NaT")})
    assert set(made.events_table(untimed, None)) == {"card"}


def test_weeks_add_up_to_the_rows_of_both_parts():
    train, audited = bound(900, seed=1), bound(400)
    found = made.evidence(Model(), {"train": train, "test": audited})["fraud.weekly"]
    assert set(found["field"]) == {"amount", "night", "channel", "score"}
    for name in set(found["field"]):
        rows = found["field"] == name
        assert found["count"][rows & (found["week"] == -1)].sum() == 900
        assert found["count"][rows & (found["week"] >= 0)].sum() == 400
    assert set(found["week"]) == {-1, 0, 1}
    channel = (found["field"] == "channel") & (found["week"] == -1)
    assert found["label"][channel].tolist() == ["web", "shop", "other", "missing"]
    values = train["channel"]
    assert found["count"][channel].tolist() == [(values == v).sum() for v in (0, 1, 2, -1)]
    assert (found["effect"] >= 1).all()


def test_a_derived_field_brings_the_words_that_people_read():
    labelled = tuple(
        replace(item, label="Card: mean amount in 24 hours") if item.name == "amount" else item
        for item in FIELDS
    )
    model = Model(encoder=build_encoder(labelled, bins=32))
    parts = {"train": bound(300, seed=1), "test": bound(300)}
    found = made.evidence(model, parts)["fraud.weekly"]
    titles = dict(zip(found["field"], found["title"], strict=True))
    assert titles["amount"] == "Card: mean amount in 24 hours"
    assert titles["score"] == "score"


def test_the_bins_of_the_encoder_are_used_and_thinned():
    encoder = build_encoder(FIELDS, bins=32)
    parts = {"train": bound(300, seed=1), "test": bound(300)}
    found = made.evidence(Model(encoder=encoder), parts)["fraud.weekly"]
    rows = (found["field"] == "amount") & (found["week"] == -1)
    assert 5 <= rows.sum() <= 11
    assert found["label"][rows][-1] == "missing"
    assert found["count"][rows].sum() == 300


def test_a_large_training_part_is_thinned(monkeypatch):
    monkeypatch.setattr(made, "MOST_TRAINING_ROWS", 100)
    parts = {"train": bound(950, seed=1), "test": bound(300)}
    found = made.evidence(Model(), parts)["fraud.weekly"]
    rows = (found["field"] == "night") & (found["week"] == -1)
    assert found["count"][rows].sum() == 95


def test_the_design_effect_is_that_of_its_definition():
    random = np.random.default_rng(0)
    owner = np.repeat(np.arange(200), 5)
    alone = random.integers(0, 4, 1000)
    alike = np.repeat(random.integers(0, 4, 200), 5)
    assert made.mean_design_effect(alone, np.arange(1000)) == 1.0
    assert made.mean_design_effect(alone, owner) < 1.3
    assert made.mean_design_effect(alike, owner) == pytest.approx(5, rel=0.05)
    assert made.mean_design_effect(np.zeros(4, dtype=int), np.array([0, 0, 1, 1])) == 1.0
    assert made.mean_design_effect(np.zeros(0, dtype=int), np.zeros(0, dtype=int)) == 1.0


def test_fields_left_out_are_named_with_their_reason():
    history = History(windows=("7d",), measures=("risk", "count"))
    terminal = Entity(name="terminal", column="t", history=history)
    contract = replace(CONTRACT, entities=(*CONTRACT.entities, terminal), label_delay="7d")
    names = [item.name for item in history_features(contract).fields]
    assert names == ["terminal_count_7d", "terminal_risk_7d"]
    kept = Field(name="terminal_count_7d", kind="numeric", bounds=(0.0, 9.0))
    model = Model(contract=replace(contract, fields=(*FIELDS, kept)))
    found = made.evidence(model, {"test": bound(20)})["fraud.left_out"]
    assert found["field"].tolist() == ["terminal_risk_7d"]
    assert "with the customer as unit" in found["reason"][0]
    assert "fraud.left_out" not in made.evidence(Model(), {"test": bound(20)})
    told = made.left_out_table(["x"], unit="customer", cost="average precision .70 to .62")
    assert "customer" in told["reason"][0]
    assert told["reference_cost"].tolist() == ["average precision .70 to .62"]


def test_tables_survive_the_disk_and_drift_reads_them(tmp_path):
    parts = {"train": bound(3000, seed=1), "test": bound(2000, shift=80.0)}
    tables = made.evidence(Model(), parts)
    info = EvidenceInfo(
        form="rows",
        bundle="sha256:0",
        origin="recorded by the producer",
        part="test",
        rows=2000,
        units=20,
        outputs=(
            OutputInfo(name="score", kind="probability", target="fraud", target_kind="binary"),
        ),
        attributes=(),
    )
    write_evidence(tmp_path / "e", info, tables)
    found = {
        (item.check, item.subject): item
        for item in drift(open_evidence(tmp_path / "e").tables, info)
    }
    assert found["fraud.psi_score", "week 1"].lower > 0.25
    assert found["fraud.psi_field", "night, week 2"].lower == 0.0
    text = [str(value) for table in tables.values() for value in table.get("label", ())]
    assert not [value for value in text if value.startswith(("c1", "p1"))]
