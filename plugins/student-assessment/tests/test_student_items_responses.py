"""Answers as codes: omitted, not reached, undeclared, degenerate items."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import parse_contract
from verticals.errors import CallError, ContractError, DataError
from verticals.table import Table
from verticals_student_assessment.items.answers import item_codes, item_fields
from verticals_student_assessment.items.irt import (
    Handling,
    collapse_categories,
    handle_missing,
    to_responses,
)

CODES = np.array(
    [
        [1, 0, -1, 1, -1],  # one omitted, one not reached
        [-1, -1, -1, -1, -1],  # no answer at all
        [1, 1, 1, 1, 1],
        [0, 2, -1, -1, -1],  # 2 is undeclared, and shows how far the student came
        [-1, -1, -1, -1, 1],  # four omitted
    ],
    dtype=np.int8,
)
TWO = np.full(5, 2)


def test_omitted_and_not_reached_are_told_apart():
    found, counted = handle_missing(CODES, TWO, Handling())
    assert counted.omitted.tolist() == [1, 1, 2, 1, 0]
    assert counted.not_reached.tolist() == [1, 1, 2, 2, 3]
    assert counted.undeclared.tolist() == [0, 1, 0, 0, 0]
    assert counted.answered.tolist() == [3, 2, 1, 2, 2]
    assert counted.persons == 5
    assert counted.without_answers == 1
    assert found.tolist() == [
        [1, 0, -1, 1, -1],
        [-1, -1, -1, -1, -1],
        [1, 1, 1, 1, 1],
        [0, -1, -1, -1, -1],
        [-1, -1, -1, -1, 1],
    ]
    assert CODES[3, 1] == 2  # the input stays


def test_omitted_as_wrong_leaves_what_was_not_reached():
    found, _ = handle_missing(CODES, TWO, Handling(omitted="wrong"))
    assert found[0].tolist() == [1, 0, 0, 1, -1]
    assert found[1].tolist() == [-1] * 5
    assert found[4].tolist() == [0, 0, 0, 0, 1]


def test_not_reached_as_wrong_spares_a_student_without_any_answer():
    found, _ = handle_missing(CODES, TWO, Handling(not_reached="wrong"))
    assert found[0].tolist() == [1, 0, -1, 1, 0]
    assert found[1].tolist() == [-1] * 5
    assert found[3].tolist() == [0, -1, 0, 0, 0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 2), min_size=4, max_size=4), min_size=1, max_size=6))
def test_every_cell_is_counted_once(rows):
    codes = np.array(rows, dtype=np.int8)
    found, counted = handle_missing(codes, np.full(4, 2), Handling())
    four = counted.answered + counted.omitted + counted.not_reached + counted.undeclared
    assert four.tolist() == [len(codes)] * 4
    assert ((found >= 0).sum(axis=0) == counted.answered).all()


def test_refuses_another_word():
    with pytest.raises(CallError, match="option omitted is 'zero', expected missing or wrong"):
        Handling(omitted="zero")


def test_degenerate_items_are_dropped_with_the_reason():
    codes = np.array([[1, -1, 0, 0, 1], [1, -1, 1, 0, 0], [1, -1, 0, 0, -1]], dtype=np.int8)
    found = to_responses(codes, list("abcde"), 2)
    assert found.names == ("c", "e")
    assert dict(found.dropped) == {
        "a": "all answers are right",
        "b": "nobody answered it",
        "d": "all answers are wrong",
    }
    assert "item 'b' is dropped: nobody answered it" in found.notes


def test_nothing_left_names_an_item():
    with pytest.raises(DataError, match="0 of 2 items can be learnt from \\('a' nobody answered"):
        to_responses(np.full((4, 2), -1, dtype=np.int8), ["a", "b"], 2)


def test_unused_categories_merge_downwards():
    codes = np.array([[1], [3], [3], [-1], [1]], dtype=np.int8)
    codes = np.column_stack([codes, [0, 1, 1, 0, 0]]).astype(np.int8)
    found = to_responses(codes, ["task", "x"], np.array([5, 2]))
    # 0 and 1 are the lowest, 2 joins them, 4 joins 3.
    assert found.merged[0] == (0, 0, 0, 1, 1)
    assert found.categories.tolist() == [2, 2]
    assert "nobody is in category 0, 2, 4" in found.notes[0]
    new = np.array([[4, 1], [2, 0], [-1, -1]], dtype=np.int8)
    assert collapse_categories(new, found.merged).tolist() == [[1, 1], [0, 0], [-1, -1]]


def test_persons_without_answers_are_left_out_and_patterns_are_counted():
    codes = np.array([[1, 0], [-1, -1], [1, 0], [0, 1]], dtype=np.int8)
    found = to_responses(codes, ["a", "b"], 2)
    assert found.codes.tolist() == [[1, 0], [0, 1]]
    assert found.weights.tolist() == [2.0, 1.0]


CONTRACT = """
solution: item-response
name: t
fields:
  first:
    columns: [Q1, Q2]
    role: item
    kind: ordinal
    levels: [0, 1]
    settings: {cuts: {basic: -0.5, good: 1}}
  last: {column: T, role: item, kind: ordinal, levels: [0, 1, 2]}
  age: {column: age, kind: numeric, bounds: [0, 99], role: ignore}
"""


def test_items_of_several_fields_stand_side_by_side():
    found = item_fields(parse_contract(CONTRACT))
    assert found.names == ("Q1", "Q2", "T")
    assert found.categories.tolist() == [2, 2, 3]
    assert found.levels == ("below basic", "basic", "good")
    table = Table({"first": np.array([[0, 1], [2, -1]]), "last": np.array([2, 3])})
    assert item_codes(table, found).tolist() == [[0, 1, 2], [2, -1, 3]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{basic: -0.5, good: 1}", "{basic: 1, good: 0}", "cuts are .*expected names with rising"),
        ("{basic: -0.5, good: 1}", "[1, 2]", "cuts are"),
        ("{basic: -0.5, good: 1}", "{basic: much}", "cuts are"),
        ("levels: [0, 1, 2]", "levels: [0, 1, 2], settings: {cuts: {b: 1}}", "declared twice"),
    ],
)
def test_refuses_cuts_that_are_none(old, new, message):
    with pytest.raises(ContractError, match=message):
        item_fields(parse_contract(CONTRACT.replace(old, new)))


def test_refuses_a_contract_without_items():
    text = CONTRACT.replace("role: item", "role: ignore")
    with pytest.raises(ContractError, match="no field is an item"):
        item_fields(parse_contract(text))


def test_refuses_a_table_with_another_number_of_items():
    found = item_fields(parse_contract(CONTRACT))
    table = Table({"first": np.zeros((2, 3)), "last": np.zeros(2)})
    with pytest.raises(ContractError, match="the data have 4 items, the contract 3"):
        item_codes(table, found)
