"""Splits by time where labels come late: nothing is learnt that was not known by then."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import DataContract, Entity, Field, Target
from verticals.data import (
    PARTS,
    Shares,
    label_known,
    prequential_folds,
    retired_rows,
    split_notes,
    split_rows,
)
from verticals.errors import CallError, DataError
from verticals.table import Table

DAY = np.timedelta64(1, "D")
START = np.datetime64("2026-01-01", "us")


def contract(**changes):
    settings_ = {"time": "at", "label_delay": "7d", "group": "who"} | changes
    return DataContract(
        solution="s",
        name="n",
        fields=(Field(name="x", kind="numeric", bounds=(0.0, 1.0)),),
        targets=(Target(name="fraud", column="fraud", kind="binary", positive="1"),),
        **settings_,
    )


def table(days, *, seed=0, rows=None, **columns):
    rows = rows or days * 5
    random = np.random.default_rng(seed)
    time = START + np.sort(random.integers(0, days * 24, rows)) * np.timedelta64(1, "h")
    return Table(
        {
            "x": random.random(rows),
            "fraud": (random.random(rows) < 0.2).astype(float),
            "@time": time,
            "@group": np.array([f"g{n}" for n in random.integers(0, rows // 4 + 1, rows)], object),
            **columns,
        }
    )


@given(st.integers(30, 90), st.integers(0, 5), st.integers(1, 10))
@settings(max_examples=30, deadline=None)
def test_no_part_that_fits_holds_a_label_unknown_when_the_test_begins(days, seed, delay):
    rows, of = table(days, seed=seed), contract(label_delay=f"{delay}d")
    parts = split_rows(rows, of)
    begin = rows["@time"][parts["test"]].min()
    known = label_known(rows, of)
    for name in ("train", "validate", "calibrate"):
        assert (known[parts[name]] <= begin).all()
    held = np.concatenate([parts[name] for name in PARTS])
    assert len(held) == len(set(held.tolist()))
    # What is left out is exactly what was not known: nothing is lost without reason.
    left = np.setdiff1d(np.arange(rows.rows), held)
    assert ((known[left] > begin) & (rows["@time"][left] < begin)).all()
    ends = [rows["@time"][parts[name]] for name in PARTS]
    assert all(a.max() < b.min() for a, b in itertools.pairwise(ends))


def test_without_a_delay_every_row_is_in_a_part():
    rows = table(40)
    parts = split_rows(rows, contract(label_delay=""))
    assert sum(map(len, parts.values())) == rows.rows


def test_a_label_time_of_each_row_counts_and_never_means_never():
    rows = table(40)
    known = rows["@time"] + 2 * DAY
    known[:10] = np.datetime64("NaT")
    known[10:20] = rows["@time"].max() + DAY
    of = contract(label_delay="", label_time="known")
    parts = split_rows(rows.with_columns({"@label_time": known}), of)
    fitted = np.concatenate([parts[name] for name in ("train", "validate", "calibrate")])
    assert fitted.min() == 20


def test_a_delay_that_leaves_nothing_says_so():
    with pytest.raises(DataError, match="0 row\\(s\\) have a label that was known"):
        split_rows(table(6), contract())


def cards(*, retired=True):
    return (Entity(name="card", column="card", retired=retired),)


def test_a_retired_entity_leaves_the_test_once_its_fraud_is_known():
    time = START + np.arange(20) * DAY
    card = np.array(["a", "b"] * 10, object)
    fraud = np.zeros(20)
    fraud[2] = 1  # of card a, known on day 9
    rows = Table({"fraud": fraud, "@time": time, "@card": card, "x": fraud})
    gone = retired_rows(rows, contract(entities=cards(), group=""))
    assert np.flatnonzero(gone).tolist() == [10, 12, 14, 16, 18]
    assert not retired_rows(rows, contract(entities=cards(retired=False), group="")).any()
    after = retired_rows(rows, contract(entities=cards(), group=""), since=START + 3 * DAY)
    assert not after.any()


def test_an_event_without_an_entity_is_never_retired():
    time = START + np.arange(20) * DAY
    rows = Table(
        {
            "fraud": np.ones(20),
            "@time": time,
            "@card": np.array([None] * 20, object),
        }
    )
    assert not retired_rows(rows, contract(entities=cards(), group="")).any()


def test_what_no_part_holds_is_counted_and_shared_groups_too():
    rows = table(60, rows=400)
    card = np.array([f"c{n % 40}" for n in range(400)], object)
    of = contract(entities=cards())
    rows = rows.with_columns({"@card": card})
    parts = split_rows(rows, of)
    notes = {note.kind: note for note in split_notes(rows, of, parts)}
    held = sum(map(len, parts.values()))
    assert notes["late-label"].count + notes["retired"].count == 400 - held
    shared = np.isin(rows["@group"][parts["test"]], rows["@group"][parts["train"]]).mean()
    assert f"{shared:.1%} of the test rows are of groups that also train" in (
        notes["shared-group"].message
    )


def test_folds_walk_forward_with_the_delay_between():
    rows, of = table(60), contract()
    folds = prequential_folds(rows, of, train="7d", test="7d", folds=4)
    assert len(folds) == 4
    for earlier, later in itertools.pairwise(folds):
        assert later.train_from - earlier.train_from == 7 * DAY
    for fold in folds:
        train, test = rows["@time"][fold.train], rows["@time"][fold.test]
        assert fold.test_from - fold.train_from == 14 * DAY
        assert train.min() >= fold.train_from
        assert train.max() < fold.train_from + 7 * DAY
        assert test.min() >= fold.test_from
        assert test.max() < fold.test_from + 7 * DAY
        assert (label_known(rows, of)[fold.train] <= fold.test_from).all()
    assert rows["@time"][folds[-1].test].max() == rows["@time"].max()


def test_a_fold_counts_only_compromises_since_its_training_began():
    time = START + np.arange(60) * DAY
    fraud = np.zeros(60)
    fraud[[0, 45]] = 1
    card = np.array(["a" if n in (0, 58) else "b" if n in (45, 59) else "c" for n in range(60)])
    rows = Table({"fraud": fraud, "@time": time, "@card": card.astype(object)})
    of = contract(entities=cards(), group="")
    (fold,) = prequential_folds(rows, of, train="20d", test="7d", folds=1)
    assert fold.retired.tolist() == [
        59
    ]  # b is known since day 52; a's fraud is older than the fold
    assert 58 in fold.test


def test_impossible_folds_are_refused():
    with pytest.raises(CallError, match="folds is 0"):
        prequential_folds(table(30), contract(), train="7d", test="7d", folds=0)
    with pytest.raises(DataError, match="fold 1 of 9 has no row to train"):
        prequential_folds(table(30), contract(), train="7d", test="7d", folds=9)


def test_shares_hold_among_the_rows_whose_labels_were_known():
    rows = table(200, rows=4000)
    parts = split_rows(
        rows, contract(), shares=Shares(train=0.6, validate=0.2, test=0.2, calibrate=0)
    )
    assert len(parts["train"]) / len(parts["validate"]) == pytest.approx(3.0, rel=0.05)
