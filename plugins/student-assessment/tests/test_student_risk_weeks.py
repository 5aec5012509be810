"""Temporal honesty: nothing from later weeks is read, and who has left is not scored."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import verticals
from verticals.contract import DataContract, Decision, Field, Target, bind
from verticals.errors import CallError, ContractError, DataError
from verticals.evidence import open_evidence
from verticals.metrics import roc_auc
from verticals.table import Table
from verticals_student_assessment.risk import weeks

OPTIONS = {"least_steps": 60, "epochs": 5}


def contract(**changes):
    """Return a contract with fields of weeks 0, 2 and 10, and the week in which a student left."""
    fields = (
        Field(name="entry", column="entry", kind="numeric", bounds=(-4, 4)),
        Field(name="quiz", column="quiz", kind="numeric", bounds=(-4, 4), settings={"week": 2}),
        # Planted: it equals the label, and is known at the end of week 10.
        Field(name="exam", column="exam", kind="boolean", settings={"week": 10}),
        Field(
            name="gone", column="gone", kind="numeric", role="ignore", settings={"left_week": True}
        ),
        Field(
            name="sex", column="sex", kind="categorical", categories=("f", "m"), role="protected"
        ),
    )
    made = DataContract(
        solution="student-risk",
        name="weekly",
        id="id",
        fields=fields,
        targets=(
            Target(name="fails", column="fails", kind="binary", positive="1", favourable="0"),
        ),
        decision=Decision(target="fails", cut=0.5),
    )
    return dataclasses.replace(made, **changes)


def students(n=500, seed=0):
    """Return raw rows; about a tenth left in week 3, a tenth in week 8."""
    random = np.random.default_rng(seed)
    entry = random.normal(size=n)
    fails = (random.random(n) < 1 / (1 + np.exp(-entry))).astype(int)
    left = random.random(n)
    return Table(
        {
            "id": np.array([f"s{i}" for i in range(n)], dtype=object),
            "entry": entry,
            "quiz": entry + random.normal(size=n),
            "exam": fails,
            "gone": np.where(left < 0.1, 3.0, np.where(left < 0.2, 8.0, np.nan)),
            "sex": np.where(random.random(n) < 0.5, "f", "m").astype(object),
            "fails": fails,
        }
    )


def trained(path, *, raw=None, given=None, week="all"):
    return verticals.train(
        "student-risk",
        out=path,
        contract=given or contract(),
        data=raw if raw is not None else students(),
        no_privacy=True,
        device="cpu",
        options={"week": week, **OPTIONS},
    )


@pytest.fixture(scope="module")
def at_week_4(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("weeks") / "four", week=4)


def heldout_auc(result):
    scores = open_evidence(result.evidence).tables["scores"]
    return roc_auc(scores["target:fails"], scores["score"])


def test_a_planted_future_field_is_not_read_at_week_4(at_week_4, tmp_path):
    assert heldout_auc(trained(tmp_path / "ten", week=10)) > 0.98  # else this test shows nothing
    assert heldout_auc(at_week_4) < 0.9
    scorer = verticals.open(at_week_4.bundle)
    raw = students()
    turned = raw.with_columns({"exam": 1 - raw["exam"]})
    np.testing.assert_array_equal(scorer.predict(raw)["score"], scorer.predict(turned)["score"])


def test_scoring_at_week_4_needs_no_later_column(at_week_4):
    scorer = verticals.open(at_week_4.bundle)
    raw = students()
    few = raw.without(["exam", "fails", "sex"])
    np.testing.assert_array_equal(scorer.predict(few)["score"], scorer.predict(raw)["score"])
    assert set(scorer.explain(few)["field"]) == {"base", "entry", "quiz"}


def test_the_bundle_and_the_evidence_say_what_is_not_read(at_week_4):
    kept = verticals.open(at_week_4.bundle).contract
    assert {item.name for item in kept.inputs} == {"entry", "quiz"}
    notes = " ".join(open_evidence(at_week_4.evidence).tables["split"]["note"])
    assert "end of week 4" in notes
    assert "exam (week 10)" in notes


def test_students_who_left_get_no_number(at_week_4):
    raw = students()
    scored = verticals.open(at_week_4.bundle).predict(raw, reasons=2)
    left = raw["gone"] <= 4
    assert left.sum() > 20
    assert np.isnan(scored["score"][left]).all()
    assert np.isfinite(scored["score"][~left]).all()  # those who left in week 8 are still there
    assert all(value is None for value in scored["decision"][left])
    assert all(value is not None for value in scored["decision"][~left])
    assert all(text is None for text in scored["reason_1"][left])


def test_students_who_left_are_not_trained_on(at_week_4, tmp_path):
    raw = students()
    left = raw["gone"] <= 4
    assert sum(at_week_4.rows.values()) == raw.rows - left.sum()
    other = raw.with_columns(
        {
            "fails": np.where(left, 1 - raw["fails"], raw["fails"]),
            "quiz": np.where(left, 3.0, raw["quiz"]),
        }
    )
    assert trained(tmp_path / "other", raw=other, week=4).digest == at_week_4.digest
    notes = " ".join(open_evidence(at_week_4.evidence).tables["split"]["note"])
    assert f"{left.sum()} of {raw.rows} rows are neither trained on nor scored" in notes


def test_evidence_from_new_data_leaves_them_out_too(at_week_4, tmp_path):
    raw = students(seed=1)
    verticals.open(at_week_4.bundle).evidence(raw, out=tmp_path / "new")
    scores = open_evidence(tmp_path / "new").tables["scores"]
    assert scores.rows == raw.rows - (raw["gone"] <= 4).sum()
    assert np.isfinite(scores["score"]).all()


def test_who_left_must_be_told(at_week_4):
    with pytest.raises(DataError, match="'gone'"):
        verticals.open(at_week_4.bundle).predict(students().without(["gone"]))


def test_without_an_option_the_latest_week_counts():
    found, notes = weeks.contract_for(contract(), {"week": "all"})
    assert found == contract()
    assert notes == ()
    assert weeks.prediction_week(found) == 10
    table = bind(found, students()).table
    out, why = weeks.left_out(table, found)
    np.testing.assert_array_equal(out, students()["gone"] <= 10)
    assert why == f"{out.sum()} of students who had left by then"


def test_a_protected_input_of_a_later_week_is_audited_and_not_read():
    late = Field(
        name="aid",
        column="aid",
        kind="boolean",
        role="protected",
        also_feature=True,
        settings={"week": 6},
    )
    given = contract(fields=(*contract().fields, late))
    narrowed, _ = weeks.contract_for(given, {"week": 4})
    assert "aid" not in {item.name for item in narrowed.inputs}
    assert "aid" in {item.name for item in narrowed.audited}


@pytest.mark.parametrize("week", [-1, 2.5, "four", True, 521, 10**30])
def test_a_week_that_is_none_is_refused(week):
    with pytest.raises(CallError, match="option week"):
        weeks.contract_for(contract(), {"week": week})


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"week": -2}, "numeric", "week is -2"),
        ({"week": "two"}, "numeric", "week is 'two'"),
        ({"week": 521}, "numeric", "week is 521"),
        ({"week": 1, "by": 9}, "numeric", "by is what training itself writes"),
        ({"left_week": True}, "numeric", "of an input"),
        ({"left_week": 3}, "numeric", "true or false"),
        ({"panel_week": True}, "boolean", "one numeric column"),
        ({"panel_week": True}, "numeric", "group is missing"),
    ],
)
def test_weeks_that_mean_nothing_are_refused(settings, kind, words):
    bounds = (0, 1) if kind == "numeric" else None
    odd = Field(name="odd", column="odd", kind=kind, bounds=bounds, settings=settings)
    with pytest.raises(ContractError, match=words):
        weeks.contract_for(contract(fields=(*contract().fields[:3], odd)), {})


def test_a_week_where_no_field_declares_one_is_refused():
    given = contract(fields=(contract().field("entry"), contract().field("sex")))
    with pytest.raises(CallError, match="no field declares a week") as caught:
        weeks.contract_for(given, {"week": 2})
    assert "settings: {week: 4}" in caught.value.hint
    only_left = contract(fields=(contract().field("entry"), contract().field("gone")))
    assert weeks.prediction_week(weeks.contract_for(only_left, {"week": 2})[0]) == 2


def test_no_input_left_is_refused():
    given = contract(fields=contract().fields[1:])
    with pytest.raises(ContractError, match="no input is known by week 1"):
        weeks.contract_for(given, {"week": 1})


def panel_contract():
    week = Field(
        name="at",
        column="at",
        kind="numeric",
        role="stratum",
        bands=(2, 4),
        settings={"panel_week": True},
    )
    gone = contract().field("gone")
    quiz = contract().field("quiz")
    fields = (contract().field("entry"), quiz, week, gone, contract().field("sex"))
    return contract(fields=fields, group="student", id="")


def panel(n=150, last=6):
    """Return a row for each student and week; the quiz is known from week 2 on."""
    one = students(n)
    rows = np.repeat(np.arange(n), last)
    at = np.tile(np.arange(1, last + 1), n)
    table = one.take(rows).without(["id", "exam"])
    quiz = np.where(at < 2, np.nan, table["quiz"] * at / last)
    return table.with_columns({"student": one["id"][rows], "at": at, "quiz": quiz})


def test_a_panel_is_scored_row_by_row(tmp_path):
    raw = panel()
    result = trained(tmp_path / "panel", raw=raw, given=panel_contract(), week=4)
    scored = verticals.open(result.bundle).predict(raw)
    expected = (raw["at"] <= 4) & ~(raw["gone"] <= raw["at"])
    np.testing.assert_array_equal(np.isfinite(scored["score"]), expected)
    tables = open_evidence(result.evidence).tables
    assert set(tables["risk.rows"]["week"]) == {1.0, 2.0, 3.0, 4.0}
    checks = tables["checks"]
    weekly = checks["subject"][checks["check"] == "risk.week_auc"]
    assert set(weekly) == {"week 1", "week 2", "week 3", "week 4"}
    assert set(tables["risk.plot_weeks"]["x"]) == {1.0, 2.0, 3.0, 4.0}


def test_a_panel_with_a_value_of_the_future_is_refused(tmp_path):
    raw = panel()
    early = raw.with_columns({"quiz": np.where(raw["at"] == 1, 0.5, raw["quiz"])})
    with pytest.raises(DataError, match="rows of weeks before 2") as caught:
        trained(tmp_path / "panel", raw=early, given=panel_contract())
    assert "s0" not in str(caught.value)


def test_a_panel_with_a_time_puts_no_student_in_two_parts(tmp_path):
    raw = panel(n=60)
    start = np.datetime64("2024-01-01T00:00:00", "us")
    dated = raw.with_columns({"when": start + raw["at"] * np.timedelta64(7, "D")})
    given = dataclasses.replace(panel_contract(), time="when")
    result = trained(tmp_path / "panel", raw=dated, given=given)
    assert not any("more than one part" in note for note in result.notes)
    counts = np.bincount(open_evidence(result.evidence).tables["scores"]["unit"])
    # Whole students: six weeks of each, or the two before the third, in which some left.
    assert set(counts.tolist()) == {2, 6}
