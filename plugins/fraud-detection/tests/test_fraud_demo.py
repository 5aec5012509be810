"""The demo from one command to scores, actions and reports; online as in batch; a state file."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import verticals
from verticals.cli.main import run
from verticals.errors import BundleError, CallError, ContractError, DataError, PrivacyError
from verticals.evidence import open_evidence
from verticals_fraud_detection.demo import demo
from verticals_fraud_detection.simulate import simulate

QUICK = {"epochs": 2, "least_steps": 1}
EVENTS = 400


@pytest.fixture(scope="module")
def data():
    contract, _ = demo()
    return contract, simulate(300, 80, 70, 3, rate=0.5).without(["pattern"])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, data):
    contract, raw = data
    out = tmp_path_factory.mktemp("fraud") / "bundle"
    # Long enough to decline some: without a decline there is no reason to give.
    options = {"epochs": 8, "least_steps": 300}
    result = verticals.train(
        "fraud-detection", out=out, contract=contract, data=raw, no_privacy=True, options=options
    )
    return out, result


def event(raw, row):
    return {name: raw[name][row] for name in raw if name != "fraud"}


def test_a_private_training_leaves_out_what_reads_beyond_the_customer(tmp_path, data):
    contract, raw = data
    options = {"steps": 5, "batch_size": 64}
    kept = {"contract": contract, "data": raw, "epsilon": 3.0, "options": options}
    result = verticals.train("fraud-detection", out=tmp_path / "b", **kept)
    assert any("terminal_risk_7d" in note and "left out" in note for note in result.notes)
    assert any("of the test rows are of groups that also train" in note for note in result.notes)
    scorer = verticals.open(tmp_path / "b")
    inputs = [item.name for item in scorer.contract.inputs]
    assert not [name for name in inputs if name.startswith("terminal_")]
    assert "card_count_24h" in inputs
    said = " ".join(result.privacy["statement"])
    assert "their ε add up" in said
    left = open_evidence(tmp_path / "b.evidence").tables["fraud.left_out"]
    assert "terminal_risk_7d" in left["field"].tolist()
    strict = {**kept, "options": {**options, "beyond_unit": "refuse"}}
    with pytest.raises(PrivacyError, match="terminal_count_24h' reads other rows of @terminal"):
        verticals.train("fraud-detection", out=tmp_path / "c", **strict)
    assert not (tmp_path / "c").exists()


def test_a_random_split_has_to_be_asked_for_twice(tmp_path, data):
    contract, raw = data
    few = raw.take(slice(0, 4000))
    kept = {"contract": contract, "data": few, "no_privacy": True, "options": QUICK}
    with pytest.raises(CallError, match="events later than those it is tested on"):
        verticals.train("fraud-detection", out=tmp_path / "b", random_split=1, **kept)
    verticals.train("fraud-detection", out=tmp_path / "b", random_split=2, **kept)
    split = verticals.open(tmp_path / "b").bundle.manifest.split
    assert split["by"] == "group, although there is a time"


def test_a_cap_that_bites_is_counted_in_training_and_in_the_evidence(tmp_path, data):
    contract, raw = data
    card, terminal = contract.entities
    history = dataclasses.replace(card.history, cap=2, recent=0)
    of = dataclasses.replace(
        contract, entities=(dataclasses.replace(card, history=history), terminal)
    )
    kept = {"contract": of, "data": raw.take(slice(0, 6000)), "options": QUICK}
    result = verticals.train("fraud-detection", out=tmp_path / "b", no_privacy=True, **kept)
    (note,) = [text for text in result.notes if "in the 30d window of card" in text]
    assert note.startswith("the cap of 2 events hid some from ")
    told = open_evidence(tmp_path / "b.evidence").tables["split"]["note"].tolist()
    assert note in told


def test_online_scores_are_those_of_the_batch(bundle, data):
    _, raw = data
    scorer = verticals.open(bundle[0])
    few = raw.take(slice(0, EVENTS))
    batch = scorer.predict(few.without(["fraud"]))
    online = scorer.online()
    for row in range(EVENTS):
        told = online.push(event(raw, row))
        assert told["score"] == pytest.approx(batch["score"][row], abs=1e-6)
        assert told["decision"] == batch["decision"][row]
    assert online.counters["events"] == EVENTS
    assert online.counters["unknown_card"] > 0


def test_reasons_speak_of_the_card_s_own_numbers(bundle, data):
    _, raw = data
    scored = verticals.open(bundle[0]).predict(raw, reasons=3)
    texts = [text for place in (1, 2, 3) for text in scored[f"reason_{place}"] if text]
    assert texts
    assert any("this card" in text and any(c.isdigit() for c in text) for text in texts)
    ids = set(raw["card_id"]) | set(raw["customer_id"]) | set(raw["terminal_id"])
    assert not [text for text in texts if any(str(name) in text for name in list(ids)[:50])]


def test_a_state_goes_on_where_it_stopped(bundle, data, tmp_path):
    _, raw = data
    scorer = verticals.open(bundle[0])
    whole, first, second = scorer.online(), scorer.online(), scorer.online()
    for row in range(200):
        whole.push(event(raw, row))
        first.push(event(raw, row))
    fraud = event(raw, 3)
    for online in (whole, first):
        online.label(fraud, 1, raw["at"][199])
    first.save_to(tmp_path / "state")
    second.restore_from(tmp_path / "state")
    for row in range(200, 300):
        assert second.push(event(raw, row)) == whole.push(event(raw, row))
    assert second.counters == whole.counters
    assert second.counters["labels"] == 1


def test_a_stream_warmed_up_with_the_past_goes_on_as_one_that_saw_it(bundle, data):
    contract, raw = data
    scorer = verticals.open(bundle[0])
    past = 3_000
    warmed = scorer.online()
    assert warmed.warm_up(raw.take(slice(0, past))) == past
    batch = scorer.predict(raw.take(slice(0, past + 50)))
    for row in range(past, past + 50):
        seen = warmed.push(event(raw, row))["score"]
        assert seen == pytest.approx(batch["score"][row], abs=1e-6)
    assert warmed.counters["labels"] > 0
    assert contract.label_delay == "7d"


def test_a_label_moves_the_risk_of_its_terminal_and_only_later(bundle, data):
    _, raw = data
    online = verticals.open(bundle[0]).online()
    day = np.timedelta64(1, "D")
    first = event(raw, 0)
    online.push(first)
    online.label(first, 1, first["at"] + day)
    at = first["at"] + day
    for moment, risk in ((at, None), (at + np.timedelta64(1, "s"), 1.0)):
        online.push({**first, "payment_id": f"x{moment}", "at": moment})
        seen = online.row["terminal_risk_7d"]
        assert (np.isnan(seen) and risk is None) or seen == risk
    with pytest.raises(ContractError, match="a label known before its event"):
        online.label(first, 1, first["at"] - day)


def test_bad_events_are_refused_and_change_nothing(bundle, data):
    _, raw = data
    online = verticals.open(bundle[0]).online()
    for row in range(20):
        online.push(event(raw, row))
    before = online.save()
    latest = event(raw, 19)
    back = {**latest, "payment_id": "back", "at": latest["at"] - np.timedelta64(9, "D")}
    with pytest.raises(DataError, match="clock"):
        online.push(back)
    for change in ({"at": None}, {"at": "soon"}, {"amount": "much"}):
        with pytest.raises(ContractError):
            online.push({**latest, **change})
    with pytest.raises(ContractError, match="column 'card_id'"):
        online.push({name: value for name, value in latest.items() if name != "card_id"})
    after = online.save()
    assert after.settings == before.settings
    assert all((after.tensors[name] == before.tensors[name]).all() for name in before.tensors)
    known = online.counters["missing_amounts"]
    later = {**latest, "payment_id": "late", "at": latest["at"] + np.timedelta64(1, "s")}
    online.push({**later, "amount": None})  # a declared fallback, counted
    assert online.counters["missing_amounts"] == known + 1


def test_a_currency_never_seen_is_refused_online(tmp_path, data):
    contract, raw = data
    amount = dataclasses.replace(
        contract.amount, currency_column="cur", rates={"EUR": 1.0, "USD": 0.9}
    )
    of = dataclasses.replace(contract, amount=amount)
    money = np.where(np.arange(raw.rows) % 2 == 0, "EUR", "USD").astype(object)
    kept = {"contract": of, "data": raw.with_columns({"cur": money}), "options": QUICK}
    verticals.train("fraud-detection", out=tmp_path / "b", no_privacy=True, **kept)
    online = verticals.open(tmp_path / "b").online()
    online.push({**event(raw, 0), "cur": "USD"})
    with pytest.raises(ContractError, match="'XXX', expected one of EUR, USD"):
        online.push({**event(raw, 1), "cur": "XXX"})


def test_a_state_of_other_windows_is_refused(bundle, data, tmp_path):
    contract, raw = data
    online = verticals.open(bundle[0]).online()
    online.push(event(raw, 0))
    online.save_to(tmp_path / "state")
    card, terminal = contract.entities
    history = dataclasses.replace(card.history, windows=("1h", "24h"))
    of = dataclasses.replace(
        contract, entities=(dataclasses.replace(card, history=history), terminal)
    )
    kept = {"contract": of, "data": raw, "options": QUICK}
    verticals.train("fraud-detection", out=tmp_path / "b", no_privacy=True, **kept)
    with pytest.raises(DataError, match="other"):
        verticals.open(tmp_path / "b").online().restore_from(tmp_path / "state")


def test_a_bundle_with_other_derived_fields_is_refused(bundle, monkeypatch):
    changed = [{"name": "card_count_1h", "unit": "?"}]
    monkeypatch.setattr("verticals.api.vertical.Vertical.derived_facts", lambda self: changed)
    with pytest.raises(BundleError, match="trained on other derived fields"):
        verticals.open(bundle[0])


def test_audit_and_report_hold_the_domain_s_checks(bundle, tmp_path, capsys):
    out, _ = bundle
    code = run(["audit", str(out), "--out", str(tmp_path / "a"), "--json"])
    record = json.loads(capsys.readouterr().out)
    assert code in (0, 1, 3)
    seen = {item["check"] for item in record["checks"]}
    assert {"fraud.average_precision", "fraud.tpr_at_1_percent_fpr"} <= seen
    assert {item["origin"] for item in record["checks"]} == {"recomputed"}
    assert run(["report", str(tmp_path / "a"), "--out", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for words in ("Average precision", "Labels", "Known 7d after their event", "derived; reads"):
        assert words in page, words
    assert "fraud.events" not in page  # rows of persons stay in the house
    assert run(["verify", str(tmp_path / "a"), "--bundle", str(out)]) == 0
