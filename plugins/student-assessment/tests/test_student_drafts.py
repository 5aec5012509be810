"""Drafts of contracts for item-response and essay-scoring, from a stranger's columns."""

import numpy as np
import pytest

from verticals.cli.main import run
from verticals.contract import bind, draft_contract, parse_contract, resolve, unreviewed
from verticals.data import write_table
from verticals.table import Table
from verticals_student_assessment.essays.draft import refine as refine_essays
from verticals_student_assessment.items.draft import refine as refine_items

HALVES = ("2", "2.5", "3", "3.5", "4")


def objects(values):
    return np.array(list(values), dtype=object)


def answers(rows=300):
    """Return a test of 6 questions and 2 tasks, as a school might keep it."""
    random = np.random.default_rng(3)
    ability = random.normal(size=rows)
    right = (random.normal(size=(rows, 6)) < ability[:, None]).astype(np.int64)
    right[random.random(right.shape) < 0.03] = 9
    steps = np.clip(np.rint(ability[:, None] + 1.5 + random.normal(size=(rows, 2))), 0, 3)
    return Table(
        {
            "Pupil": objects(f"P{n:03d}" for n in range(rows)),
            "Gender": objects(random.choice(["f", "m"], rows)),
            "School": objects(random.choice(["north", "south"], rows)),
            **{f"item_{n + 1}": right[:, n] for n in range(6)},
            **{f"Task{n + 1}": steps[:, n] for n in range(2)},
            "total": right.sum(axis=1) * 10,
        }
    )


def essays(rows=60):
    random = np.random.default_rng(4)
    texts = [f"I think that schools should begin later {n}. " * (n % 5 + 3) for n in range(rows)]
    return Table(
        {
            "student_id": objects(f"s{n % 40}" for n in range(rows)),
            "response": objects(texts),
            "comment": objects("ok" if n % 2 else "see me" for n in range(rows)),
            "holistic_score": random.integers(1, 7, rows),
            "grammar_rating": random.choice([1.0, 1.5, 2.0, 3.5], rows),
            "style_rating": random.choice([2.0, 2.5, 4.0], rows),
            "grammar_rating_second": random.choice([1.0, 2.0, 3.5], rows),
            "prompt": objects(random.choice(["school", "library"], rows)),
            "SES": objects(random.choice(["low", "high"], rows)),
            "words": random.integers(100, 900, rows),
        }
    )


def drafted(raw, refine, **names):
    draft = draft_contract(raw, refine=refine, **names)
    return draft, parse_contract(draft.text)


def test_items_are_found_by_their_numbered_names():
    draft, contract = drafted(answers(), refine_items)
    item, task, *others = contract.fields
    assert (item.columns, item.levels, item.missing) == (("item_*",), ("0", "1"), ("9",))
    assert (task.columns, task.levels, task.missing) == (("Task*",), ("0", "1", "2", "3"), ())
    assert {item.role, task.role} == {"item"}
    assert (contract.id, contract.targets, contract.decision) == ("Pupil", (), None)
    roles = {other.column: other.role for other in others}
    assert roles == {"Gender": "protected", "School": "ignore", "total": "ignore"}
    assert "levels: [0, 1]  # read from the data" in draft.text
    assert "missing: [9]  # a guess: check it" in draft.text
    assert any("8 columns are taken as items" in finding for finding in draft.findings)
    assert not any("declare it under targets" in finding for finding in draft.findings)


def test_a_pattern_that_takes_too_much_gives_way_to_names():
    raw = answers().with_columns({"item_count": answers()["total"]})
    _, contract = drafted(raw, refine_items)
    assert contract.fields[0].columns == tuple(f"item_{n}" for n in range(1, 7))


@pytest.mark.parametrize(
    ("seen", "levels", "missing"),
    [
        (range(1, 11), range(1, 11), ()),
        (range(9), range(9), ()),
        ((*range(1, 8), 99), range(1, 8), (99,)),
        ((0, 1, 8, 9), range(2), (8, 9)),
        ((-9, 0, 2), range(3), (-9,)),
    ],
)
def test_codes_of_no_answer_lie_behind_a_gap(seen, levels, missing):
    column = np.array(list(seen) * 9)
    _, contract = drafted(Table({f"q{n}": column for n in range(4)}), refine_items)
    assert contract.fields[0].levels == tuple(map(str, levels))
    assert sorted(map(int, contract.fields[0].missing)) == sorted(missing)


def test_numbered_columns_that_are_no_questions_are_left_out():
    raw = answers().with_columns({f"rooms_{n}": np.arange(300) % 2 + 3 for n in (1, 2)})
    raw = raw.with_columns({f"visit_{n}": np.arange(300) % 2 for n in (1, 2)})
    _, contract = drafted(raw, refine_items)
    assert [item.columns for item in contract.fields if item.role == "item"] == [
        ("item_*",),
        ("Task*",),
    ]


def test_without_numbers_columns_of_0_and_1_are_the_items():
    raw = answers()
    names = ("addition", "area", "ratios", "angles")
    right = {name: (raw["item_1"] == n % 2).astype(np.int64) for n, name in enumerate(names)}
    _, contract = drafted(Table({"Pupil": raw["Pupil"], **right}), refine_items)
    assert contract.fields[0].columns == names
    assert contract.fields[0].role == "item"


@pytest.mark.parametrize(
    "raw",
    [
        Table({"a": objects(["x", "y"]), "b": objects(["y", "z"])}),
        Table({"Q1": np.array([1]), "Q2": np.array([0])}),
        Table({"Q1": np.array([1e9, 2.5]), "Q2": np.array([np.nan, np.nan])}),
    ],
)
def test_where_there_are_no_items_the_draft_says_what_to_declare(raw):
    draft, contract = drafted(raw, refine_items)
    assert any("declare them under fields" in finding for finding in draft.findings)
    assert not any(item.role == "item" for item in contract.fields)
    draft, contract = drafted(raw, refine_essays)
    assert sum("declare" in finding for finding in draft.findings) >= 2
    assert contract.targets == ()


def test_a_drafted_test_trains_as_it_is(tmp_path, capsys):
    write_table(tmp_path / "answers.csv", answers())
    call = ["contract", "draft", tmp_path / "answers.csv", "--solution", "item-response"]
    assert run([*map(str, call), "--out", str(tmp_path / "c.yaml")]) == 0
    call = ["train", "item-response", "--contract", tmp_path / "c.yaml", "--no-privacy"]
    call += ["--data", tmp_path / "answers.csv", "--out", tmp_path / "bundle"]
    assert run([str(part) for part in call]) == 0
    assert (tmp_path / "bundle" / "bundle.json").is_file()
    capsys.readouterr()


def test_essays_have_text_traits_raters_and_topics():
    raw = essays()
    draft, contract = drafted(raw, refine_essays)
    assert contract.group == "student_id"
    text = next(item for item in contract.fields if item.kind == "text" and item.is_input)
    assert (text.column, text.settings["windows"]) == ("response", 8)
    targets = {item.column: item.values for item in contract.targets}
    halves = ("1", "1.5", "2", "2.5", "3", "3.5", "4")
    assert targets == {
        "holistic_score": ("1", "2", "3", "4", "5", "6"),
        "grammar_rating": halves,
        "style_rating": halves,  # of one scale with the other half points
    }
    second = next(item for item in contract.fields if item.column == "grammar_rating_second")
    assert (second.role, dict(second.settings)) == ("ignore", {"second_rater_of": "grammar_rating"})
    roles = {item.column: item.role for item in contract.fields}
    assert (roles["prompt"], roles["SES"], roles["words"]) == ("stratum", "protected", "ignore")
    assert contract.decision is None
    bound = bind(resolve(contract, list(raw)), raw).table
    assert bound.rows == raw.rows
    assert any("declare the prompts" in finding for finding in draft.findings)


def test_scales_of_unlike_length_and_large_scores_stay_apart():
    random = np.random.default_rng(1)
    raw = essays().with_columns(
        {
            "score1": random.integers(1, 6, 60),
            "score2": np.append(random.integers(1, 6, 59), 6),
            "total_score": np.append(random.integers(2, 12, 58), [2, 12]),
            "points": random.integers(0, 10**9, 60),
            "content_second": random.integers(1, 5, 60),
        }
    )
    draft, contract = drafted(raw, refine_essays)
    targets = {item.column: item.values for item in contract.targets}
    assert targets["score1"] == ("1", "2", "3", "4", "5", "6")  # the second rater gave a 6
    assert targets["total_score"] == tuple(map(str, range(2, 13)))
    assert "points" not in targets
    second = next(item for item in contract.fields if item.column == "score2")
    assert dict(second.settings) == {"second_rater_of": "score1"}
    said = "'content_second' looks like a second rating of no trait: left out of the model"
    assert said in draft.findings
    marks = unreviewed(contract)
    assert {"score1.values", "score2.levels"} <= set(marks)


def test_a_draft_for_a_solution_that_is_not_installed_is_refused(tmp_path, capsys):
    write_table(tmp_path / "answers.csv", answers(20))
    assert run(["contract", "draft", str(tmp_path / "answers.csv"), "--solution", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err
