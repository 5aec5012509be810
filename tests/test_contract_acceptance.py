"""`contract check` says what `train` would: the solution's own rules, before anything is fitted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from verticals.api import train
from verticals.api.acceptance import hold
from verticals.api.check_notes import remarks
from verticals.api.vertical import load_vertical
from verticals.cli.main import run
from verticals.contract import parse_contract
from verticals.data import write_table
from verticals.errors import ContractError, DataError
from verticals.table import Table

ROWS = 240
DRAWS = np.random.default_rng(5)


def texts(values) -> np.ndarray:
    return np.array(list(values), dtype=object)


def rows(**more) -> Table:
    return Table(
        {
            "student": texts(f"s{n // 2}" for n in range(ROWS)),
            "essay": texts("My school helps every student to learn." for _ in range(ROWS)),
            "income": DRAWS.normal(50, 9, ROWS).round(2),
            "job": DRAWS.choice(["a", "b"], ROWS).astype(object),
            "sex": DRAWS.choice(["F", "M"], ROWS).astype(object),
            "at": np.arange(ROWS).astype("datetime64[D]"),
            "left": np.where(np.arange(ROWS) % 5, np.nan, 3.0),
            "grade": texts("ABCD"[n % 4] for n in range(ROWS)),
            "half": np.arange(ROWS) % 4 / 2 + 1,
            "score2": np.arange(ROWS) % 3 + 1,
            "bad": np.arange(ROWS) % 3 % 2,
            "file": texts(f"i{n}.png" for n in range(ROWS)),
            **more,
        }
    )


ESSAY = "  essay: {column: essay, kind: text, settings: {windows: 2, length: 64, language: en}}\n"
BAD = "targets: {bad: {column: bad, kind: binary, positive: 1, negative: 0, favourable: 0}}\n"
CASES = {
    "letters as levels": (
        "essay-scoring",
        "targets: {grade: {column: grade, kind: ordinal, values: [D, C, B, A]}}\n"
        f"fields:\n{ESSAY}",
        "whose levels are rising numbers",
        "",
    ),
    "a second rater with other levels": (
        "essay-scoring",
        "targets: {half: {column: half, kind: ordinal, values: [1, 1.5, 2, 2.5]}}\n"
        f"fields:\n{ESSAY}"
        "  rater: {column: score2, kind: ordinal, role: ignore, levels: [1, 2, 3], settings: "
        "{second_rater_of: half}}\n",
        "expected those of the trait",
        "levels: [1, 1.5, 2, 2.5]",
    ),
    "the week of leaving as an input": (
        "student-risk",
        BAD + "fields:\n  left: {column: left, kind: numeric, bounds: [1, 9], settings: "
        "{left_week: true}}\n",
        "left_week is true of an input",
        "",
    ),
    "a time as an input": (
        "credit-scoring",
        BAD + "fields:\n  at: {column: at, kind: time}\n",
        "is an input of kind time, which this solution cannot read",
        "set role: ignore under at",
    ),
    "a numeric target": (
        "credit-scoring",
        "targets: {income: {column: income, kind: numeric, bounds: [0, 100]}}\n"
        "fields:\n  job: {column: job, kind: categorical, categories: [a, b]}\n",
        "target 'income' is numeric: solution 'credit-scoring' takes a binary target",
        "kind: binary",
    ),
    "no target": (
        "credit-scoring",
        "fields:\n  job: {column: job, kind: categorical, categories: [a, b]}\n",
        "has no target: solution 'credit-scoring' takes a binary target",
        "kind: binary",
    ),
    "a target of items": (
        "item-response",
        BAD + "fields:\n  items: {columns: [bad2], role: item, kind: ordinal, levels: [0, 1]}\n",
        "solution 'item-response' takes no target",
        "leave `targets:`",
    ),
}


def declared(case):
    solution, text, *_ = CASES[case]
    head = f"solution: {solution}\nname: mine\n"
    head += "group: student\n" if solution in ("essay-scoring", "student-risk") else ""
    return parse_contract(head + text)


@pytest.mark.parametrize("case", CASES)
def test_check_and_training_refuse_with_the_same_words(case, tmp_path):
    solution, _, says, hint = CASES[case]
    data = tmp_path / "rows.csv"
    write_table(data, rows(bad2=np.arange(ROWS) % 2))
    contract = declared(case)
    with pytest.raises(ContractError) as checked:
        hold(contract, data, vertical=load_vertical(solution))
    with pytest.raises(ContractError) as trained:
        train(solution, out=tmp_path / "m", contract=contract, data=data, no_privacy=True)
    assert says in str(checked.value)
    assert str(trained.value) == str(checked.value)
    assert hint in checked.value.hint
    assert "TorchSolution" not in checked.value.hint


GOOD = (
    "solution: credit-scoring\nname: mine\n" + BAD + "decision: {target: bad, cut: 0.5}\nfields:\n"
    "  income: {column: income, kind: numeric, bounds: [0, 100]}\n"
    "  job: {column: job, kind: categorical, categories: [a, b]}\n"
    "  sex: {column: sex, role: protected, kind: categorical, categories: [F, M]}\n"
)


def told(tmp_path, table, text=GOOD) -> str:
    data = tmp_path / "rows.csv"
    write_table(data, table)
    held = hold(parse_contract(text), data, vertical=load_vertical("credit-scoring"))
    return " | ".join(note.text for note in remarks(held))


def test_data_that_fit_are_passed_over_in_silence(tmp_path):
    assert told(tmp_path, rows()) == ""


def test_a_field_without_any_value_and_values_that_nobody_declared_are_warned_of(tmp_path):
    upper = texts("AB"[n % 2] for n in range(ROWS))
    said = told(tmp_path, rows(job=upper, income=np.full(ROWS, np.nan)))
    assert "column 'job': WARNING: 100% of the values are not declared" in said
    assert "column 'income': WARNING: income has no value in any row" in said


def test_a_thin_target_and_numbers_in_a_column_that_is_left_out_are_noted(tmp_path):
    few = np.zeros(ROWS, dtype=np.int64)
    few[:2] = 1
    text = GOOD + "  essay: {column: essay, role: ignore, kind: text}\n"
    commas = texts(f"{n},5" for n in range(ROWS))
    said = told(tmp_path, rows(bad=few, essay=commas), text)
    assert "2 of 240 rows have the value '1' of the target 'bad'" in said
    assert "column 'essay': is left out of the model, and holds numbers with a decimal" in said


def test_numbers_in_another_notation_are_refused_with_how_to_write_them(tmp_path):
    with pytest.raises(ContractError, match=r"holds numbers with a decimal comma \('0,5'\)"):
        told(tmp_path, rows(income=texts(f"{n},5" for n in range(ROWS))))


def test_a_column_that_differs_in_case_only_is_proposed(tmp_path):
    table = rows().without(["income"]).with_columns({"INCOME": np.arange(ROWS) / 2})
    with pytest.raises(ContractError, match="did you mean 'INCOME'"):
        told(tmp_path, table)


def test_files_that_are_not_there_are_found_before_training(tmp_path):
    data = tmp_path / "rows.csv"
    write_table(data, rows())
    text = (
        "solution: medical-imaging\nname: mine\n" + BAD + "fields:\n  image: {column: file, kind: "
        "image, size: [8, 8], bounds: [0, 255]}\n"
    )
    with pytest.raises(DataError, match=r"240 of 240 files are not there \(row 1: i0\.png"):
        hold(parse_contract(text), data, vertical=load_vertical("medical-imaging"))
    for n in range(ROWS):
        (tmp_path / f"i{n}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"i0\.png"):
        hold(parse_contract(text), data, vertical=load_vertical("medical-imaging"))


def test_the_hint_of_a_check_is_not_to_check(tmp_path, capsys):
    write_table(tmp_path / "rows.csv", rows().without(["income"]))
    (tmp_path / "c.yaml").write_text(GOOD, encoding="utf-8")
    call = ["contract", "check", tmp_path / "c.yaml", "--data", tmp_path / "rows.csv"]
    assert run([str(part) for part in call]) == 2
    assert "contract check" not in capsys.readouterr().err


def test_a_solution_that_is_not_installed_is_no_reason_to_stop(tmp_path, capsys):
    write_table(tmp_path / "rows.csv", rows())
    (tmp_path / "c.yaml").write_text(GOOD.replace("credit-scoring", "acme"), encoding="utf-8")
    call = ["contract", "check", tmp_path / "c.yaml", "--data", tmp_path / "rows.csv"]
    assert run([str(part) for part in call]) == 0
    assert "what the solution itself asks of a contract was not checked" in capsys.readouterr().err


def test_every_shipped_solution_takes_its_own_demo():
    for name in ("credit-scoring", "student-risk", "essay-scoring", "item-response"):
        vertical = load_vertical(name)
        contract = vertical.solution.demo()[0]
        kinds = {target.kind for target in contract.targets} or {"none"}
        assert kinds <= vertical.info.target_kinds
        assert dataclasses.replace(vertical.info).target_kinds
