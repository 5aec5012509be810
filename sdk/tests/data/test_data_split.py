"""Splits: every row once, no group and no moment in two parts, every stratum in its share."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract.model import GROUP, ID, ROW, TIME, DataContract, Field, Target
from verticals.data import PARTS, Shares, split, split_notes, split_rows
from verticals.errors import CallError, DataError
from verticals.table import Table

SEEDS = st.integers(0, 2**32)


def contract(*, group="", time="", targets=("binary",)):
    return DataContract(
        solution="test",
        name="test",
        fields=(Field(name="x", kind="numeric", column="x"),),
        targets=tuple(
            Target(name=f"y{place}", column="y", kind=kind) for place, kind in enumerate(targets)
        ),
        group=group,
        time=time,
    )


def table(count, **columns):
    return Table(
        {"x": np.arange(count, dtype=float), ROW: np.arange(1, count + 1), **columns}, rows=count
    )


@st.composite
def shares(draw):
    weights = draw(st.lists(st.integers(0, 6), min_size=4, max_size=4).filter(any))
    return Shares(**dict(zip(PARTS, (np.array(weights) / sum(weights)).tolist(), strict=True)))


def assert_partition(rows, count):
    assert list(rows) == list(PARTS)
    for index in rows.values():
        assert index.dtype == np.int64
        assert (np.diff(index) > 0).all()
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(count))


def assert_empty_only_without_share(rows, wanted):
    for part, index in rows.items():
        assert (len(index) == 0) == (getattr(wanted, part) == 0)


def split_or_none(source, declared, seed, wanted):
    try:
        return split_rows(source, declared, seed=seed, shares=wanted)
    except DataError:
        return None


def may_be_too_few(units, wanted):
    return units * min(share for share in dataclasses.astuple(wanted) if share) < 1 - 1e-9


# Rows


@settings(deadline=None, max_examples=150)
@given(
    labels=st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan]), min_size=1, max_size=120),
    wanted=shares(),
    seed=SEEDS,
)
def test_each_stratum_is_dealt_in_its_share(labels, wanted, seed):
    labels = np.array(labels)
    source = table(len(labels), y0=labels)
    rows = split_or_none(source, contract(), seed, wanted)
    if rows is None:
        assert may_be_too_few(len(labels), wanted)
        return
    assert_partition(rows, len(labels))
    assert_empty_only_without_share(rows, wanted)
    for value in np.unique(labels):
        of_value = np.isnan(labels) if np.isnan(value) else labels == value
        for part, index in rows.items():
            exact = getattr(wanted, part) * of_value.sum()
            assert abs(of_value[index].sum() - exact) < 1 + 1e-6
    for part, index in rows.items():
        assert abs(len(index) - getattr(wanted, part) * len(labels)) < 2


@pytest.mark.parametrize("targets", [(), ("numeric",), ("ordinal",)])
def test_without_a_class_the_split_is_by_share_alone(targets):
    source = table(1000, y0=np.arange(1000.0))
    rows = split_rows(source, contract(targets=targets), seed=3)
    assert [len(index) for index in rows.values()] == [600, 100, 100, 200]


def test_the_first_class_target_gives_the_strata():
    values = np.repeat([0.0, 1.0], [900, 100])
    source = table(1000, y0=np.arange(1000.0), y1=values)
    rows = split_rows(source, contract(targets=("numeric", "categorical")), seed=0)
    assert [values[index].sum() for index in rows.values()] == [60, 10, 10, 20]


def test_rows_are_mixed_and_the_seed_decides():
    source = table(1000, y0=np.zeros(1000))
    first = split_rows(source, contract(), seed=1)
    again = split_rows(source, contract(), seed=1)
    other = split_rows(source, contract(), seed=2)
    assert all(np.array_equal(first[part], again[part]) for part in PARTS)
    assert not np.array_equal(first["test"], other["test"])
    assert abs(first["test"].mean() - 499.5) < 100
    # by chance 20 % of the rows are in both test parts
    assert 10 < len(np.intersect1d(first["test"], other["test"])) < 80


def test_the_split_of_a_seed_stays_as_it_is():
    """A new version of numpy or of this module must not move rows between parts."""
    rows = split_rows(table(20, y0=np.tile([0.0, 1.0], 10)), contract(), seed=7)
    assert {part: index.tolist() for part, index in rows.items()} == {
        "train": [3, 4, 6, 9, 10, 11, 12, 13, 14, 15, 17, 18],
        "validate": [0, 7],
        "calibrate": [2, 5],
        "test": [1, 8, 16, 19],
    }


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, order=st.permutations(range(30)))
def test_rows_with_an_id_go_to_the_same_part_in_any_order(seed, order):
    ids = np.array([f"c{n}" for n in range(30)], dtype=object)
    labels = np.tile([0.0, 1.0, np.nan], 10)
    first = split_rows(table(30, y0=labels, **{ID: ids}), contract(), seed=seed)
    second = split_rows(table(30, y0=labels[order], **{ID: ids[order]}), contract(), seed=seed)
    for part in PARTS:
        assert set(ids[first[part]]) == set(ids[order][second[part]])


def test_the_content_of_other_columns_moves_no_row():
    first = table(50, y0=np.tile([0.0, 1.0], 25))
    second = first.with_columns({"x": first["x"] * -3})
    one, two = (split_rows(source, contract(), seed=5) for source in (first, second))
    assert all(np.array_equal(one[part], two[part]) for part in PARTS)


def test_split_takes_the_rows_and_keeps_empty_parts_with_their_columns():
    source = table(100, y0=np.zeros(100), t=np.array(["x"] * 100, dtype=object))
    parts = split(source, contract(), shares=Shares(train=0.5, validate=0, calibrate=0, test=0.5))
    assert list(parts) == list(PARTS)
    assert [part.rows for part in parts.values()] == [50, 0, 0, 50]
    for part in parts.values():
        assert list(part) == list(source)
        assert {n: part[n].dtype for n in part} == {n: source[n].dtype for n in source}
    assert sorted([*parts["train"]["x"], *parts["test"]["x"]]) == list(range(100))


# Groups


@settings(deadline=None, max_examples=150)
@given(
    members=st.lists(
        st.tuples(
            st.sampled_from(["", "a", "b", "None", None]) | st.integers(0, 40).map(str),
            st.sampled_from([0.0, 1.0, np.nan]),
        ),
        min_size=1,
        max_size=100,
    ),
    wanted=shares(),
    seed=SEEDS,
)
def test_no_group_is_in_two_parts(members, wanted, seed):
    groups = np.array([group for group, _ in members], dtype=object)
    labels = np.array([label for _, label in members])
    source = table(len(members), y0=labels, **{GROUP: groups})
    found = set(groups.tolist())
    rows = split_or_none(source, contract(group="g"), seed, wanted)
    if rows is None:
        assert may_be_too_few(len(found), wanted)
        return
    assert_partition(rows, len(members))
    assert_empty_only_without_share(rows, wanted)
    held = [set(groups[index].tolist()) for index in rows.values()]
    assert sum(map(len, held)) == len(found)
    for part, names in zip(PARTS, held, strict=True):
        assert abs(len(names) - getattr(wanted, part) * len(found)) < 2
    notes = split_notes(source, contract(group="g"), rows)
    assert [note.kind for note in notes] == (["missing-group"] if None in found else [])
    if notes:
        assert notes[0].count == sum(group is None for group in groups)


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, order=st.permutations(range(40)))
def test_groups_go_to_the_same_part_in_any_order_of_rows(seed, order):
    groups = np.array([f"g{n // 3}" for n in range(40)], dtype=object)
    labels = np.array([float(n % 2) for n in range(40)])
    first = table(40, y0=labels, **{GROUP: groups})
    one = split_rows(first, contract(group="g"), seed=seed)
    two = split_rows(first.take(order), contract(group="g"), seed=seed)
    for part in PARTS:
        assert set(groups[one[part]]) == set(groups[order][two[part]])


def test_groups_are_stratified_by_the_label_of_most_rows():
    count = 200
    majority = np.repeat([0.0, 1.0], [160, 40])
    labels = np.column_stack([majority, majority, 1 - majority]).reshape(-1)
    groups = np.repeat([f"g{n}" for n in range(count)], 3).astype(object)
    rows = split_rows(table(600, y0=labels, **{GROUP: groups}), contract(group="g"), seed=0)
    for part, share in dataclasses.asdict(Shares()).items():
        names = np.unique(groups[rows[part]].astype(str))
        assert len(names) == count * share
        assert sum(int(name[1:]) >= 160 for name in names) == 40 * share


# Independent draws, as private training asks for


def names_for(kind, count):
    if kind == "group":
        return {GROUP: np.array([f"g{n // 2}" for n in range(count)], dtype=object)}
    return {ID: np.array([f"c{n}" for n in range(count)], dtype=object)}


@settings(deadline=None, max_examples=50)
@given(seed=SEEDS, kind=st.sampled_from(["group", "id"]), dropped=st.integers(0, 39))
def test_an_independent_draw_moves_no_other_unit(seed, kind, dropped):
    """Taking one person out, or changing every label, leaves each other person where it was."""
    declared = contract(group="g" if kind == "group" else "")
    names = names_for(kind, 40)
    column = next(iter(names.values()))
    source = table(40, y0=np.arange(40.0) % 2, **names)
    rows = split_rows(source, declared, seed=seed, independent=True)
    assert_partition(rows, 40)
    part_of = {column[n]: part for part, index in rows.items() for n in index}
    neighbour = source.take(column != column[dropped]).with_columns(
        {"y0": np.zeros(int((column != column[dropped]).sum()))}
    )
    kept = column[column != column[dropped]]
    for part, index in split_rows(neighbour, declared, seed=seed, independent=True).items():
        assert all(part_of[kept[n]] == part for n in index)
    if kind == "group":
        held = [set(column[index]) for index in rows.values()]
        assert sum(map(len, held)) == len(set(column))


def test_the_stratified_split_is_not_independent():
    """Without this the test above would pass for any split."""
    source = table(40, y0=np.arange(40.0) % 2, **names_for("id", 40))
    first, second = (
        split_rows(source.take(np.arange(start, 40)), contract(), seed=0) for start in (0, 1)
    )
    assert set(first["train"]) - {0} != {n + 1 for n in second["train"]}


def test_independent_draws_hold_the_shares_on_average_and_follow_the_seed():
    source = table(20_000, y0=np.zeros(20_000))
    wanted = Shares(train=0.5, validate=0, calibrate=0.2, test=0.3)
    first = split_rows(source, contract(), seed=1, shares=wanted, independent=True)
    sizes = np.array([len(index) for index in first.values()]) / 20_000
    np.testing.assert_allclose(sizes, [0.5, 0, 0.2, 0.3], atol=0.02)
    again = split_rows(source, contract(), seed=1, shares=wanted, independent=True)
    other = split_rows(source, contract(), seed=2, shares=wanted, independent=True)
    assert all(np.array_equal(first[part], again[part]) for part in PARTS)
    assert len(np.intersect1d(first["test"], other["test"])) / 20_000 == pytest.approx(
        0.09, abs=0.02
    )


# Time


@settings(deadline=None, max_examples=150)
@given(
    days=st.lists(st.integers(0, 30), min_size=1, max_size=80),
    wanted=shares(),
    seed=SEEDS,
)
def test_time_orders_the_parts_and_equal_times_stay_together(days, wanted, seed):
    days = np.array(days)
    times = np.datetime64("2020-01-01", "us") + days * np.timedelta64(1, "D")
    source = table(len(days), y0=np.zeros(len(days)), **{TIME: times})
    used = sum(share > 0 for share in dataclasses.astuple(wanted))
    if len(set(days)) < used:
        with pytest.raises(DataError, match=rf"{len(set(days))} different time\(s\)"):
            split_rows(source, contract(time="t"), seed=seed, shares=wanted)
        return
    rows = split_rows(source, contract(time="t"), seed=seed, shares=wanted)
    assert_partition(rows, len(days))
    assert_empty_only_without_share(rows, wanted)
    filled = [days[index] for index in rows.values() if len(index)]
    for older, newer in itertools.pairwise(filled):
        assert older.max() < newer.min()


def test_without_ties_time_gives_the_shares_to_the_row_whatever_the_order():
    order = np.random.default_rng(0).permutation(1000)
    times = np.datetime64("2020-01-01", "us") + order * np.timedelta64(1, "h")
    rows = split_rows(table(1000, **{TIME: times}), contract(time="t"), seed=0)
    assert [len(index) for index in rows.values()] == [600, 100, 100, 200]
    assert order[rows["train"]].max() == 599
    assert order[rows["test"]].min() == 800


def test_a_boundary_falls_beside_a_tie_where_the_share_is_met_best():
    days = np.repeat([0, 1, 2, 3], [50, 30, 10, 10])
    times = np.datetime64("2020-01-01", "us") + days * np.timedelta64(1, "D")
    wanted = Shares(train=0.6, validate=0, calibrate=0, test=0.4)
    rows = split_rows(table(100, **{TIME: times}), contract(time="t"), seed=0, shares=wanted)
    assert [len(index) for index in rows.values()] == [50, 0, 0, 50]


def test_time_and_group_together_go_by_time_and_count_the_shared_groups():
    times = np.datetime64("2020-01-01", "us") + np.arange(100) * np.timedelta64(1, "D")
    groups = np.array([f"g{n}" for n in range(97)] + ["g0", "g1", None], dtype=object)
    source = table(100, **{TIME: times, GROUP: groups})
    both = contract(time="t", group="customer")
    rows = split_rows(source, both, seed=0)
    assert rows["test"].min() == 80
    shared, missing = split_notes(source, both, rows)
    assert (shared.kind, shared.count, shared.column) == ("shared-group", 2, "customer")
    assert "2 of 98 groups" in shared.message
    assert (missing.kind, missing.count, missing.rows) == ("missing-group", 1, (100,))
    assert split_notes(source, contract(time="t"), rows) == ()


def test_a_split_by_time_is_the_same_when_independence_is_asked_for():
    times = np.datetime64("2020-01-01", "us") + np.arange(50) * np.timedelta64(1, "D")
    source = table(50, **{TIME: times})
    one, two = (
        split_rows(source, contract(time="t"), seed=0, independent=asked) for asked in (0, 1)
    )
    assert all(np.array_equal(one[part], two[part]) for part in PARTS)


def test_rows_without_a_time_are_named():
    times = np.array(["2020-01-01", "NaT", "2020-01-02", "NaT"], "datetime64[us]")
    with pytest.raises(DataError, match=r"2 row\(s\) have no time \(first: 2, 4\)"):
        split_rows(table(4, **{TIME: times}), contract(time="t"), seed=0)


# What cannot be split


def test_too_few_rows_name_the_numbers():
    with pytest.raises(DataError, match=r"5 row\(s\) are too few .* expected 10 or more"):
        split_rows(table(5, y0=np.zeros(5)), contract(), seed=0)
    assert split_rows(table(10, y0=np.zeros(10)), contract(), seed=0)["validate"].size == 1
    with pytest.raises(DataError, match=r"0 row\(s\)"):
        split_rows(table(0, y0=np.zeros(0)), contract(), seed=0)
    groups = np.array(["a", "b"] * 50, dtype=object)
    with pytest.raises(DataError, match=r"2 group\(s\)"):
        split_rows(table(100, **{GROUP: groups}), contract(group="g"), seed=0)
    times = np.full(100, np.datetime64("2020-01-01", "us"))
    with pytest.raises(DataError, match=r"1 different time\(s\) .* expected 4"):
        split_rows(table(100, **{TIME: times}), contract(time="t"), seed=0)


def test_a_table_that_is_not_bound_is_refused():
    for declared in (contract(time="t"), contract(group="g")):
        with pytest.raises(DataError, match="lacks '@"):
            split_rows(table(20), declared, seed=0)


@pytest.mark.parametrize(
    "given",
    [
        {"train": 0.7},
        {"train": -0.1, "test": 0.9},
        {"train": float("nan")},
        {"train": 1.6, "test": -0.8},
        {"train": float("inf")},
    ],
)
def test_shares_that_do_not_add_up_are_refused(given):
    with pytest.raises(CallError, match="add up to 1"):
        Shares(**given)


def test_a_seed_below_zero_is_refused():
    with pytest.raises(CallError, match="seed is -1"):
        split_rows(table(20), contract(), seed=-1)
