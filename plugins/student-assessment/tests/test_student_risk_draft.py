"""The draft of a contract for student-risk: weeks by names, and by the rows of a panel."""

from __future__ import annotations

import numpy as np

from verticals.contract import draft_contract, parse_contract
from verticals.table import Table
from verticals_student_assessment.essays.draft import refine as refine_essays
from verticals_student_assessment.items.draft import refine as refine_items
from verticals_student_assessment.risk.draft import refine
from verticals_student_assessment.risk.weeks import check_weeks

DRAWS = np.random.default_rng(2)


def texts(values) -> np.ndarray:
    return np.array(list(values), dtype=object)


def panel() -> Table:
    student, week = np.repeat(np.arange(60), 6), np.tile(np.arange(1, 7), 60)
    return Table(
        {
            "matric": texts(f"S{n}" for n in student),
            "week": week,
            "quiz": DRAWS.normal(60, 9, 360),
            "midterm": np.where(week >= 4, DRAWS.normal(60, 9, 360), np.nan),
            "withdrew_week": np.where(student % 9, np.nan, 5.0),
            "dropout_reason": texts("ab"[n % 2] for n in range(360)),
            "outcome": texts(("pass", "fail")[int(n % 3 == 0)] for n in student),
        }
    )


def drafted(raw, solution, how):
    draft = draft_contract(raw, solution=solution, refine=how)
    return parse_contract(draft.text), " | ".join(draft.findings)


def test_weeks_are_declared_by_names_and_by_the_rows_of_a_panel():
    contract, said = drafted(panel(), "student-risk", refine)
    assert contract.group == "matric"
    settings = {item.name: dict(item.settings) for item in contract.fields}
    assert settings["week"] == {"panel_week": True}
    assert settings["midterm"] == {"week": 4}
    assert settings["quiz"] == {}
    assert settings["withdrew_week"] == {"left_week": True}
    assert [item.name for item in contract.inputs] == ["week", "quiz", "midterm"]
    assert "'dropout_reason' tells who left: left out of the model" in said
    check_weeks(contract)


def test_a_week_in_a_name_says_when_a_field_is_known():
    rows = panel().without(["week", "matric"]).with_columns({"quiz_week3": np.arange(360) / 7})
    contract, _ = drafted(rows, "student-risk", refine)
    assert dict(contract.field("quiz_week3").settings) == {"week": 3}


def test_a_second_score_is_a_second_rater_and_no_trait():
    rows = Table(
        {
            "essay": texts(
                f"My school helps every student to learn number {n}." for n in range(60)
            ),
            "score": np.arange(60) % 4 + 1,
            "score2": np.arange(60) % 3 + 1,
        }
    )
    contract, said = drafted(rows, "essay-scoring", refine_essays)
    assert [item.column for item in contract.targets] == ["score"]
    field = next(item for item in contract.fields if item.column == "score2")
    assert dict(field.settings) == {"second_rater_of": "score"}
    assert "'score2' is taken as a second rating of score" in said


def test_the_language_of_a_test_is_compared_and_what_is_not_read_is_said():
    items = {f"q{n}": DRAWS.integers(0, 2, 300) for n in range(6)}
    rows = Table(
        {
            **items,
            "language": DRAWS.choice(["de", "fr", "it"], 300).astype(object),
            "room": DRAWS.choice(["a", "b"], 300).astype(object),
        }
    )
    contract, said = drafted(rows, "item-response", refine_items)
    assert contract.field("language").role == "protected"
    assert "'room': no item and no group, so not read" in said


def test_letters_are_answers_that_a_key_must_score():
    rows = Table({f"q{n}": DRAWS.choice(list("ABCD"), 300).astype(object) for n in range(5)})
    _, said = drafted(rows, "item-response", refine_items)
    assert "score them by the key of the test" in said
