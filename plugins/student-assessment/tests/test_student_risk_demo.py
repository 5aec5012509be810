"""The demo: a contract that a university could defend, both kinds of target, honest evidence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import verticals
from verticals.contract import Decision, Field, bind, resolve, unreviewed
from verticals.evidence import open_evidence
from verticals.metrics import roc_auc
from verticals.table import Table
from verticals_student_assessment.risk.demo import BAND_NAMES, demo, derived_columns

# Known only with the outcome, or the outcome itself.
LEAKS = {"colgpa", "tothrs", "risk", "band"}
UCI = Path(__file__).resolve().parents[4] / "shared" / "data" / "edu_uci_student"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    out = tmp_path_factory.mktemp("risk") / "plain"
    return verticals.train("student-risk", out=out, no_privacy=True, device="cpu")


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    out = tmp_path_factory.mktemp("risk") / "private"
    return verticals.train("student-risk", out=out, epsilon=3.0, device="cpu")


def test_the_data_are_the_whole_set():
    contract, raw = demo()
    assert raw.rows == 4137
    counts = dict(zip(*np.unique(raw["race"].astype(str), return_counts=True), strict=True))
    assert counts == {"white": 3829, "black": 229, "other": 79}
    bound = bind(resolve(contract, list(raw)), raw).table
    assert bound["at_risk"].sum() == (raw["colgpa"] < 2).sum() == 592


def test_both_targets_agree_on_the_limit():
    found = derived_columns(
        np.array([1.99, 2.0, 2.49, 3.5, 4.0]), np.array([1, 0, 0, 0, 1]), np.array([0, 1, 0, 0, 0])
    )
    assert found["risk"].tolist() == [1, 0, 0, 0, 0]
    assert found["band"].tolist() == [BAND_NAMES[i] for i in (0, 1, 1, 4, 4)]
    assert found["race"].tolist() == ["white", "black", "other", "other", "white"]


def test_no_protected_column_and_no_leak_is_an_input():
    contract, _ = demo()
    used = {item.column for item in contract.inputs}
    assert not used & LEAKS
    assert not used & {item.column for item in contract.audited}
    assert not any(item.also_feature for item in contract.fields)


def test_every_field_has_a_label_every_input_a_purpose_and_a_reason():
    contract, _ = demo()
    assert not unreviewed(contract)
    for item in contract.fields:
        assert item.label, item.name
    for item in contract.inputs:
        assert item.reason, item.name
        assert item.purpose, item.name


def test_the_model_ranks_and_grades(plain):
    scores = open_evidence(plain.evidence).tables["scores"]
    assert roc_auc(scores["target:at_risk"], scores["at_risk"]) > 0.68
    chances = np.stack([scores[f"grade_{name}"] for name in BAND_NAMES], axis=1)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    order = np.corrcoef(scores["grade_step"], scores["target:grade"])[0, 1]
    assert order > 0.4
    # The two heads speak of one grade: who is at risk is likely in the lowest band.
    assert np.corrcoef(chances[:, 0], scores["at_risk"])[0, 1] > 0.95


def test_the_private_model_ranks_too(private):
    scores = open_evidence(private.evidence).tables["scores"]
    assert private.privacy["epsilon"] <= 3.0
    assert roc_auc(scores["target:at_risk"], scores["at_risk"]) > 0.65


def test_leaving_demographics_out_has_a_price_tag(plain):
    (gain,) = open_evidence(plain.evidence).tables["risk.demographics"]["gain"]
    assert -0.02 < gain < 0.06


def test_a_private_model_is_not_trained_twice(private):
    table = open_evidence(private.evidence).tables["risk.demographics"]
    assert np.isnan(table["gain"]).all()
    assert "second release" in table["method"][0]


def test_evidence_of_new_data_says_that_the_training_part_is_not_there(plain, tmp_path):
    _, raw = demo()
    verticals.open(plain.bundle).evidence(raw.take(slice(0, 800)), out=tmp_path / "new")
    tables = open_evidence(tmp_path / "new").tables
    assert "training part" in tables["risk.demographics"]["method"][0]
    assert tables["risk.rows"].rows == 800


def test_plots_are_there_and_small(plain):
    tables = open_evidence(plain.evidence).tables
    for name in ("weeks", "roc", "calibration"):
        table = tables[f"risk.plot_{name}"]
        assert 0 < table.rows <= 4_000
        assert len(set(table["figure"])) <= 12
        assert set(table["style"]) <= {"line", "points"}
        assert not ((table["persons"] > 0) & (table["persons"] < 10)).any()
    assert set(tables["risk.plot_roc"]["series"]) >= {"female", "male", "white", "black"}


def test_students_that_are_flagged_have_reasons_and_others_none(plain):
    _, raw = demo()
    scored = verticals.open(plain.bundle).predict(raw, reasons=3)
    flagged = scored["decision"] == "1"
    assert 0.1 < flagged.mean() < 0.3  # the contract decides a fifth
    given = np.array([text is not None for text in scored["reason_1"]])
    assert (given == flagged).all()


def test_what_is_missing_or_unknown_is_scored_and_counted(plain):
    _, raw = demo()
    few = raw.take(slice(0, 30))
    odd = few.with_columns({"sat": np.full(30, np.nan), "hsperc": np.full(30, 500.0)})
    scorer = verticals.open(plain.bundle)
    scored = scorer.predict(odd)
    assert np.isfinite(scored["at_risk"]).all()
    counts = scorer.model.encoding_counts(scorer.bound(odd))
    row = dict(zip(counts["field"], range(counts.rows), strict=True))
    assert counts["missing"][row["sat"]] == 30
    assert counts["above"][row["school_percentile"]] == 30


@pytest.mark.parametrize("network", ["mlp", "residual"])
def test_other_networks_score_both_targets(tmp_path, network):
    contract, raw = demo()
    coded = raw.with_columns({"level": np.where(raw["sat"] > 1000, "high", "low").astype(object)})
    level = Field(name="level", column="level", kind="categorical", categories=("high", "low"))
    decision = Decision(target="at_risk", cut=0.3)
    changed = dataclasses.replace(contract, fields=(*contract.fields, level), decision=decision)
    result = verticals.train(
        "student-risk",
        out=tmp_path / network,
        contract=changed,
        data=coded.take(slice(0, 900)),
        no_privacy=True,
        device="cpu",
        options={"network": network, "least_steps": 40, "epochs": 3},
    )
    unseen = coded.take(slice(900, 920)).with_columns(
        {"level": np.array(["middle", ""] * 10, dtype=object)}
    )
    scored = verticals.open(result.bundle).predict(unseen)
    assert np.isfinite(scored["at_risk"]).all()
    assert np.isfinite(scored["grade_step"]).all()


def test_an_ordinal_grade_alone_trains_and_says_what_is_not_measured(tmp_path):
    contract, raw = demo()
    alone = dataclasses.replace(contract, targets=contract.targets[1:], decision=None)
    result = verticals.train(
        "student-risk",
        out=tmp_path / "grade",
        contract=alone,
        data=raw.take(slice(0, 900)),
        no_privacy=True,
        device="cpu",
        options={"least_steps": 60, "epochs": 3},
    )
    tables = open_evidence(result.evidence).tables
    assert "grade_step" in tables["scores"]
    assert not [name for name in tables if name.startswith("risk.plot_")]
    checks = tables["checks"]
    assert checks["method"].tolist() == ["not measured: no binary target with a label"]


@pytest.mark.skipif(not UCI.is_dir(), reason="edu_uci_student is absent")
def test_the_rule_of_the_paper_has_the_accuracy_of_the_paper():
    from verticals.data import read_table

    for course, published in (("mat", 91.9), ("por", 89.7)):
        table: Table = read_table(UCI / f"student-{course}.csv").table
        second, final = (np.asarray(table[name], dtype=float) for name in ("G2", "G3"))
        accuracy = 100 * np.mean((second >= 10) == (final >= 10))
        assert accuracy == pytest.approx(published, abs=0.05)
