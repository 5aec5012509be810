"""A small contract, random tables, and the definition of every derived field in plain Python."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import strategies as st

from verticals.contract import (
    MISSING_AMOUNT,
    Amount,
    DataContract,
    Decision,
    Entity,
    History,
    Target,
    microseconds,
)
from verticals.table import Table

WINDOWS = ("1h", "10min", "1d")
EVERY = ("count", "sum", "mean", "max", "since", "ratio", "risk")
MINUTE = 60_000_000


def make_contract(*, cap=3, terminal_cap=4, measures=EVERY, recent=3, **changes):
    values = {
        "solution": "test",
        "name": "test",
        "fields": (),
        "targets": (
            Target(name="fraud", column="fraud", kind="binary", positive="1", favourable="0"),
        ),
        "decision": Decision(target="fraud", rate=0.1),
        "time": "at",
        "group": "customer",
        "entities": (
            Entity(
                name="card",
                column="card",
                label="Card",
                owned=True,
                history=History(
                    windows=WINDOWS, measures=measures, distinct=("shop",), cap=cap, recent=recent
                ),
            ),
            Entity(
                name="shop",
                column="shop",
                label="Shop",
                history=History(
                    windows=("30min", "2d"),
                    measures=("count", "mean", "risk"),
                    distinct=("card", "device"),
                    cap=terminal_cap,
                ),
            ),
            Entity(name="device", column="device"),
        ),
        "amount": Amount(column="amount", currency="EUR", bounds=(0.01, 1000.0)),
        "label_delay": "1h",
    }
    return DataContract(**{**values, **changes})


def make_table(rows, *, label_times=True):
    """Make a bound table of (minute, card, shop, device, amount, label, label delay in minutes)."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    minutes, cards, shops, devices, amounts, labels, delays = columns
    time = np.array([int(m * MINUTE) for m in minutes], dtype=np.int64)
    known = [None if d is None else int(t + d * MINUTE) for t, d in zip(time, delays, strict=True)]
    table = {
        "@row": np.arange(len(rows)),
        "@time": time.view("datetime64[us]"),
        "@card": np.array([*cards, None], dtype=object)[:-1],
        "@shop": np.array([*shops, None], dtype=object)[:-1],
        "@device": np.array([*devices, None], dtype=object)[:-1],
        "@amount": np.array([MISSING_AMOUNT if a is None else a for a in amounts], dtype=np.int64),
        "fraud": np.array([np.nan if v is None else v for v in labels], dtype=np.float64),
    }
    if label_times:
        table["@label_time"] = np.array(
            ["NaT" if k is None else k for k in known], dtype="datetime64[us]"
        )
    return Table(table)


def some_rows(max_size=24):
    """Return a strategy of rows: few values, so that ties, repeats and gaps come often."""
    minute = st.one_of(
        st.sampled_from([0, 5, 10, 20, 30, 60, 61.5, 70, 1440, 1445, 1500]),
        st.sampled_from([2880, 2885, 8000, 8005, 20000, 20000 + 1 / MINUTE]),
    )
    return st.lists(
        st.tuples(
            minute,
            st.sampled_from(["a", "a", "a", "b", "é", None]),
            st.sampled_from(["x", "x", "y", "z", None]),
            st.sampled_from(["m", "n", None]),
            st.sampled_from([None, 0, 1, 1, 250, 333, -700, 2**62, -(2**62)]),
            st.sampled_from([None, 0.0, 1.0, 1.0]),
            st.sampled_from([None, 0, 1 / MINUTE, 5, 10, 60, 1440, 9000]),
        ),
        max_size=max_size,
    )


def by_definition(contract, table):
    """Derive every field in plain Python, O(rows²), from the words of the definition."""
    time = table["@time"].astype(np.int64).tolist()
    amount = [None if a == MISSING_AMOUNT else a for a in table["@amount"].tolist()]
    label = table["fraud"].tolist()
    if "@label_time" in table:
        known = [None if np.isnat(k) else int(k.astype(np.int64)) for k in table["@label_time"]]
    else:
        known = [t + microseconds(contract.label_delay) for t in time]
    told = [j for j in range(table.rows) if known[j] is not None and not math.isnan(label[j])]
    result = {"amount": [math.nan if a is None else float(a) / 100.0 for a in amount]}
    for entity in contract.entities:
        if entity.history is None:
            continue
        who = table[f"@{entity.name}"].tolist()
        others = {other: table[f"@{other}"].tolist() for other in entity.history.distinct}
        for i in range(table.rows):
            mine = [j for j in range(table.rows) if who[j] == who[i] and who[i] is not None]
            seen = sorted((j for j in mine if time[j] < time[i]), key=lambda j: time[j])
            labels = sorted(
                (j for j in told if j in mine and known[j] < time[i]), key=lambda j: known[j]
            )
            values = one_row(entity, time, amount, known, label, others, i, seen, labels)
            for name, value in values.items():
                result.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in result.items()}


def one_row(entity, time, amount, known, label, others, i, seen, labels):
    history, values = entity.history, {}
    seen, labels = seen[-history.cap :], labels[-history.cap :]
    for window in history.windows:
        start = time[i] - microseconds(window)
        inside = [j for j in seen if time[j] >= start]
        money = [amount[j] for j in inside if amount[j] is not None]
        total = float(sum(money)) / 100.0
        mean = total / len(money) if money else math.nan
        own = math.nan if amount[i] is None else float(amount[i]) / 100.0
        risks = [label[j] for j in labels if known[j] >= start]
        made = {
            "count": float(len(inside)),
            "sum": total,
            "mean": mean,
            "max": float(max(money)) / 100.0 if money else math.nan,
            "ratio": own / mean if mean else math.nan,
            "risk": sum(risks) / len(risks) if risks else math.nan,
        }
        for measure, value in made.items():
            if measure in history.measures:
                values[f"{entity.name}_{measure}_{window}"] = value
        for other, column in others.items():
            different = {column[j] for j in inside} - {None}
            values[f"{entity.name}_distinct_{other}_{window}"] = float(len(different))
    longest = max(map(microseconds, history.windows))
    seen = [j for j in seen if time[j] >= time[i] - longest]
    if "since" in history.measures:
        gap = (time[i] - time[seen[-1]]) / 1e6 if seen else math.nan
        values[f"{entity.name}_since"] = gap
    if history.recent:
        latest = seen[-history.recent :]
        column = next(iter(others.values()))
        cells = [[0.0] * 4] * (history.recent - len(latest)) + [
            [
                math.nan if amount[j] is None else math.log1p(max(amount[j] / 100.0, 0.0)),
                math.log1p((time[i] - time[j]) / 1e6),
                1.0,
                float(column[j] is not None and column[j] == column[i]),
            ]
            for j in latest
        ]
        values[f"{entity.name}_recent"] = cells
    return values


def replay(features, table, stream=None, *, labels_at_once=False, each=None):
    """Push the rows in order of time, each label once it is known; return (columns, stream)."""
    stream = stream or features.stream()
    order = np.argsort(table["@time"], kind="stable")
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    told = []
    if "@label_time" in table:
        known = ~np.isnat(table["@label_time"]) & ~np.isnan(table["fraud"])
        told = [(rows[n]["@label_time"], n) for n in np.flatnonzero(known)]
    waiting = sorted(told)
    result: dict[str, list[object]] = {item.name: [None] * table.rows for item in features.fields}
    for n in order:
        while not labels_at_once and waiting and waiting[0][0] < rows[n]["@time"]:
            when, row = waiting.pop(0)
            stream.label(rows[row], rows[row]["fraud"], when)
        for name, value in stream.push(rows[n]).items():
            result[name][n] = value
        if labels_at_once and any(row == n for _, row in told):
            stream.label(rows[n], rows[n]["fraud"], rows[n]["@label_time"])
        if each is not None:
            stream = each(stream)
    columns = {}
    for item in features.fields:
        shape = (table.rows, *item.size)
        columns[item.name] = np.array(result[item.name], dtype=np.float64).reshape(shape)
    return columns, stream


def assert_same(left, right, *, rows=slice(None), close=()):
    assert set(left) == set(right)
    for name in left:
        ours, theirs = np.asarray(left[name])[rows], np.asarray(right[name])[rows]
        if name in close:
            np.testing.assert_allclose(ours, theirs, rtol=1e-14, err_msg=name)
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=name, strict=True)


def derived(features, table):
    made = features.batch(table)
    return {item.name: made[item.name] for item in features.fields}


@pytest.fixture(scope="session")
def kit():
    return SimpleNamespace(
        EVERY=EVERY,
        MINUTE=MINUTE,
        assert_same=assert_same,
        by_definition=by_definition,
        contract=make_contract,
        derived=derived,
        replay=replay,
        rows=some_rows,
        table=make_table,
    )
