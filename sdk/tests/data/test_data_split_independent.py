"""A split for private training: a unit's part depends on that unit alone, and on no label."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import DataContract, Field, Target
from verticals.contract.model import GROUP, ID
from verticals.data import PARTS, Shares, split_rows
from verticals.table import Table

CONTRACT = DataContract(
    solution="s",
    name="n",
    fields=(Field(name="x", kind="numeric", bounds=(0.0, 1.0)),),
    targets=(Target(name="y", column="y", kind="binary", positive="1"),),
)
GROUPED = DataContract(
    solution="s", name="n", fields=CONTRACT.fields, targets=CONTRACT.targets, group="person"
)


def table_of(rows, **columns):
    return Table({"x": np.zeros(rows), "y": np.arange(rows) % 2.0, **columns})


def part_of(table, contract=CONTRACT, seed=0):
    rows = split_rows(table, contract, seed=seed, independent=True)
    part = np.full(table.rows, -1)
    for place, name in enumerate(PARTS):
        part[rows[name]] = place
    return part


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 300), st.integers(0, 5))
def test_one_more_row_moves_no_other(rows, seed):
    before, after = (part_of(table_of(count), seed=seed) for count in (rows, rows + 1))
    np.testing.assert_array_equal(before, after[:rows])


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 200), st.data())
def test_removing_a_named_row_or_person_moves_no_other(rows, data):
    gone = data.draw(st.integers(0, rows - 1))
    kept = np.arange(rows) != gone
    names = np.array([f"n{i % 40}" for i in range(rows)], dtype=object)
    ids = np.array([f"i{i}" for i in range(rows)], dtype=object)
    by_id = table_of(rows, **{ID: ids})
    np.testing.assert_array_equal(part_of(by_id)[kept], part_of(by_id.take(kept)))
    by_group = table_of(rows, **{GROUP: names})
    others = names != names[gone]
    np.testing.assert_array_equal(
        part_of(by_group, GROUPED)[others], part_of(by_group.take(others), GROUPED)
    )


def test_labels_are_not_read():
    table = table_of(200)
    changed = table.with_columns({"y": np.ones(200)})
    np.testing.assert_array_equal(part_of(table), part_of(changed))


def test_a_stratified_split_does_move_others():
    """The reason why the independent one exists: one row's label can move other rows."""
    table = table_of(300)
    before = set(split_rows(table, CONTRACT, seed=0)["train"])
    moved = []
    for row in range(40):
        label = np.where(np.arange(300) == row, 1.0 - table["y"], table["y"])
        after = set(split_rows(table.with_columns({"y": label}), CONTRACT, seed=0)["train"])
        moved.append(len((before ^ after) - {row}))
    assert max(moved) > 0


def test_groups_stay_whole_and_shares_hold_on_average():
    names = np.array([f"p{i // 3}" for i in range(6000)], dtype=object)
    part = part_of(table_of(6000, **{GROUP: names}), GROUPED)
    assert all(len(set(part[i : i + 3])) == 1 for i in range(0, 6000, 3))
    shares = np.bincount(part, minlength=4) / 6000
    np.testing.assert_allclose(shares, [0.6, 0.1, 0.1, 0.2], atol=0.03)


def test_a_part_without_a_share_stays_empty():
    rows = split_rows(
        table_of(500),
        CONTRACT,
        shares=Shares(train=0.5, validate=0.0, calibrate=0.0, test=0.5),
        independent=True,
    )
    assert len(rows["validate"]) == len(rows["calibrate"]) == 0
    assert len(rows["train"]) + len(rows["test"]) == 500


def test_seeds_differ():
    assert (part_of(table_of(200), seed=0) != part_of(table_of(200), seed=1)).any()
