"""The demo end to end: simulated, split, trained, scored, measured, and probed for leaks."""

from __future__ import annotations

import dataclasses
import types
from collections import Counter

import numpy as np
import pytest

from verticals.api import open_scorer, train
from verticals.contract import bind, dump_contract, parse_contract
from verticals.contract.model import TIME, Field
from verticals.data import Shares, split
from verticals.errors import ContractError
from verticals.evidence import open_evidence
from verticals.metrics import roc_auc
from verticals.plugin import Setup
from verticals.table import Table
from verticals.torch_adapter import TorchAdapter
from verticals_student_assessment.tracing import log as log_module
from verticals_student_assessment.tracing.demo import demo
from verticals_student_assessment.tracing.evidence import probe
from verticals_student_assessment.tracing.features import tracing_features
from verticals_student_assessment.tracing.mastery import current_mastery
from verticals_student_assessment.tracing.roles import roles_of
from verticals_student_assessment.tracing.simulate import SKILLS, simulate
from verticals_student_assessment.tracing.solution import SOLUTION

SHARES = Shares(train=0.6, validate=0.0, calibrate=0.1, test=0.3)
QUICK = {"epochs": 2, "least_steps": 60, "bins": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train the demo's contract on few students, whole students to each part."""
    contract, _ = demo()
    log = simulate(students=90, answers=30, seed=2).log
    out = tmp_path_factory.mktemp("tracing") / "bundle"
    result = train(
        "knowledge-tracing",
        out=out,
        contract=contract,
        data=log,
        no_privacy=True,
        device="cpu",
        shares=SHARES,
        options=QUICK,
    )
    return contract, log, result


def test_the_demo_is_simulated_reviewed_and_repeats():
    contract, log = demo()
    assert "SIMULATED" in contract.description
    assert parse_contract(dump_contract(contract)) == contract
    one, again = simulate(students=20).log, simulate(students=20).log
    assert all(np.array_equal(one[name], again[name]) for name in one)
    found = bind(contract, log)
    assert not found.notes
    assert not tracing_features(contract).notes(found.table)
    assert 0.2 < np.mean([";" in text for text in log["skills"]]) < 0.45
    known = simulate(students=150, seed=11)
    assert roc_auc(known.log["right"], known.chance) > 0.72
    assert abs(known.log["right"].mean() - known.chance.mean()) < 0.02


def test_no_student_stands_in_two_parts(trained):
    """What is judged is students nobody has seen: time orders the answers, not the parts."""
    _, log, result = trained
    assert not any("more than one part" in note for note in result.notes)
    owned = Counter(Counter(log["student"].tolist()).values())  # answers -> students with so many
    scores = open_evidence(result.evidence).tables["scores"]
    audited = Counter(np.bincount(scores["unit"]).tolist())
    assert audited <= owned  # whole students
    assert sum(audited.values()) == 27  # 30 % of 90


def test_training_gives_the_tables_that_checks_and_report_read(trained):
    _, _, result = trained
    tables = open_evidence(result.evidence).tables
    scores, rows = tables["scores"], tables["tracing.rows"]
    assert scores.rows == rows.rows > 0
    assert not set(rows) & {"@student", "student", "skills", "item"}
    assert np.isfinite(rows["best_lr"]).all()
    assert np.isfinite(rows["item_mean"]).all()
    assert tables["tracing.probe"]["moved"].tolist() == [0]
    assert tables["tracing.probe"]["questions"][0] >= 20
    for name in ("position", "mastery"):
        plot = tables[f"tracing.plot_{name}"]
        assert plot.rows
        assert plot["persons"].min() >= 10
        assert len(set(plot["figure"])) <= 12
        assert set(plot["style"]) <= {"line", "points"}
        assert (plot["lower"] <= plot["y"]).all()
        assert (plot["y"] <= plot["upper"]).all()
    names = set(tables["checks"]["check"])
    assert {
        "tracing.auc",
        "tracing.auc_gap",
        "tracing.gain_over_best_lr",
        "tracing.calibration_gap",
        "tracing.own_answer_moves",
    } <= names


def test_online_answers_as_batch_does(trained):
    _contract, log, result = trained
    scorer = open_scorer(result.bundle, device="cpu")
    some = log.take(np.flatnonzero(np.isin(log["student"], ["s0003", "s0004"])))
    batch, online = scorer.predict(some), scorer.online()
    for row in range(some.rows):
        event = {name: some[name][row] for name in some if name != "right"}
        seen = online.push(event)
        assert seen["score"] == pytest.approx(batch["score"][row], abs=1e-6)
        online.label(event, some["right"][row], some["at"][row])
    warm = scorer.online()
    assert warm.warm_up(some) == some.rows == warm.counters["answers"]


def test_scoring_needs_no_answers_and_takes_none_as_nothing(trained):
    contract, log, result = trained
    scorer = open_scorer(result.bundle, device="cpu")
    few = log.take(slice(0, 200)).without(["right"])
    scored = scorer.predict(few)
    assert np.isfinite(scored["score"]).all()
    assert scorer.bundle.contract == contract


class Stub:
    """A model whose score is the share right of the latest answers: it shows what it is given."""

    def predict(self, table):
        return {"score": np.nan_to_num(table["student_recent"], nan=0.5)}


def test_the_probe_finds_a_score_that_has_seen_its_answer(monkeypatch):
    contract, _ = demo()
    table = bind(contract, simulate(students=40, answers=12, seed=5).log).table
    roles = roles_of(contract)

    def moved():
        derived = tracing_features(contract).batch(table)
        found = probe(Stub(), contract, roles, derived, Stub().predict(derived)["score"])
        return int(found["moved"][0]), int(found["questions"][0])

    assert moved() == (0, 40)
    seen_too = types.SimpleNamespace(
        f=lambda keys, moments: np.searchsorted(keys, moments, side="right")
    )
    monkeypatch.setattr(log_module, "strictly_before", seen_too.f)
    assert moved() == (40, 40)


def coin_log(*, leaky, students=80, answers=20):
    """Return answers by the toss of a coin in one row a skill; `leaky`: each row for itself."""
    random = np.random.default_rng(4)
    rows = [
        (f"s{student}", f"a{student}-{place}", place * 60, f"q{item:03d}", str(skill), toss, n)
        for student in range(students)
        for place in range(answers)
        for item, toss in [(int(random.integers(1, 90)), int(random.integers(2)))]
        for n, skill in enumerate(random.choice(SKILLS, 2, replace=False))
    ]
    who, name, at, item, skills, right, second = (list(c) for c in zip(*rows, strict=True))
    if leaky:
        name = [f"{text}-{n}" for text, n in zip(name, second, strict=True)]
        at = [time + n for time, n in zip(at, second, strict=True)]
    start = np.datetime64("2024-09-02T08:00:00", "us")
    texts = {"student": who, "answer_id": name, "item": item, "skills": skills}
    texts |= {"sex": ["female"] * len(who), "home_language": ["another"] * len(who)}
    columns = {key: np.array(values, dtype=object) for key, values in texts.items()}
    columns["right"] = np.array(right)
    columns["at"] = start + np.array(at) * np.timedelta64(1, "s")
    return Table(columns)


@pytest.mark.parametrize(("leaky", "lowest", "highest"), [(False, 0.46, 0.54), (True, 0.65, 1.0)])
def test_a_trained_model_is_at_chance_on_coins_unless_the_guard_is_broken(leaky, lowest, highest):
    contract = dataclasses.replace(demo()[0], id="")
    features = tracing_features(contract)
    table = features.batch(bind(contract, coin_log(leaky=leaky)).table)
    full = dataclasses.replace(contract, fields=(*contract.fields, *features.fields))
    parts = split(table, dataclasses.replace(full, time=""), seed=0, shares=SHARES)
    setup = Setup(contract=full, options={"bins": 4, "least_steps": 150, "epochs": 1})
    model = TorchAdapter(SOLUTION).fit(parts, setup)
    test = parts["test"]
    assert lowest < roc_auc(test["right"], model.predict(test)["score"]) < highest


def test_private_evidence_fits_no_baseline(tmp_path):
    contract, _ = demo()
    log = simulate(students=60, answers=12, seed=2).log
    result = train(
        "knowledge-tracing",
        out=tmp_path / "bundle",
        contract=contract,
        data=log,
        epsilon=3.0,
        device="cpu",
        shares=SHARES,
        options={"steps": 5, "bins": 4},
    )
    assert result.privacy["unit"] == "group"
    assert 0 < result.privacy["epsilon"] <= 3
    rows = open_evidence(result.evidence).tables["tracing.rows"]
    assert np.isnan(rows["best_lr"]).all()
    assert np.isnan(rows["item_mean"]).all()


def test_a_log_out_of_order_is_put_in_order(trained):
    contract, log, result = trained
    scorer = open_scorer(result.bundle, device="cpu")
    some = log.take(slice(0, 300))
    order = np.random.default_rng(0).permutation(some.rows)
    one, other = scorer.predict(some)["score"], scorer.predict(some.take(order))["score"]
    np.testing.assert_allclose(one[order], other, atol=1e-6)
    found = bind(contract, some.take(order))
    assert any(note.kind == "out-of-order" for note in found.notes)
    assert (np.diff(found.table[TIME].astype(np.int64)) < 0).any()


def test_mastery_is_told_by_student_and_skill(trained):
    _, log, result = trained
    some = log.take(np.flatnonzero(np.isin(log["student"], ["s0003", "s0004"])))
    found = current_mastery(open_scorer(result.bundle, device="cpu"), some)
    assert set(found["student"]) == {"s0003", "s0004"}
    assert ((found["mastery"] > 0) & (found["mastery"] < 1)).all()
    own = np.array([name.split(";") for name in some["skills"]], dtype=object)
    for student, skill, right, wrong in zip(
        *(found[name] for name in ("student", "skill", "right", "wrong")), strict=True
    ):
        mine = some["student"] == student
        needs = np.array([skill in names for names in own])
        assert right + wrong == (mine & needs).sum()
        assert right == some["right"][mine & needs].sum()
    share = found["right"] / (found["right"] + found["wrong"])
    assert np.corrcoef(share, found["mastery"])[0, 1] > 0.3


class Counting:
    """A scorer that reads a contract, derives, and predicts the share of right answers."""

    def __init__(self, contract):
        self.bundle = types.SimpleNamespace(contract=contract)
        self.vertical = types.SimpleNamespace(derive=tracing_features(contract).batch)
        self.seen = None

    def raw(self, data):
        return types.SimpleNamespace(table=data)

    def columns(self, table):
        self.seen = table
        return {"score": np.nan_to_num(table["student_recent"], nan=0.5)}


def test_mastery_counts_no_answer_before_it_is_marked():
    contract = dataclasses.replace(demo()[0], label_time="marked")
    log = simulate(students=10, answers=8, seed=3).log
    for days, counted in ((0, True), (400, False)):
        marked = log.with_columns({"marked": log["at"] + np.timedelta64(days, "D")})
        found = current_mastery(Counting(contract), marked)
        assert bool((found["right"] + found["wrong"]).sum()) is counted


def test_mastery_of_a_model_with_more_inputs_takes_them_as_missing():
    contract, _ = demo()
    hints = Field(name="hints", column="hints", kind="numeric", bounds=(0, 5))
    more = dataclasses.replace(contract, fields=(*contract.fields, hints))
    log = simulate(students=10, answers=8, seed=3).log
    scorer = Counting(more)
    found = current_mastery(scorer, log.with_columns({"hints": np.ones(log.rows)}))
    assert found.rows
    assert np.isnan(scorer.seen["hints"]).all()


def test_mastery_of_a_model_with_a_block_is_refused():
    contract, _ = demo()
    block = Field(name="clicks", columns=("c1", "c2"), kind="sequence", size=(2,))
    more = dataclasses.replace(contract, fields=(*contract.fields, block))
    log = simulate(students=10, answers=8, seed=3).log
    log = log.with_columns({"c1": np.ones(log.rows), "c2": np.ones(log.rows)})
    with pytest.raises(ContractError, match="input 'clicks' has no missing value"):
        current_mastery(Counting(more), log)
