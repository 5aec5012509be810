"""The batch holds to the definition, and no row sees what came at its own time or later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verticals.contract import MISSING_AMOUNT, Entity, History
from verticals.errors import DataError
from verticals.history import events as events_module
from verticals.history import history_counts, history_features
from verticals.table import Table

property_test = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@property_test
@given(
    data=st.data(),
    cap=st.integers(1, 4),
    block=st.sampled_from([1, 3, 2**15]),
    label_times=st.booleans(),
)
def test_every_value_is_that_of_the_definition(kit, monkeypatch, data, cap, block, label_times):
    monkeypatch.setattr(events_module, "BLOCK_ROWS", block)
    contract = kit.contract(cap=cap, terminal_cap=5 - cap)
    table = kit.table(data.draw(kit.rows()), label_times=label_times)
    features = history_features(contract)
    if not table.rows:
        assert {item.name: (0, *item.size) for item in features.fields} == {
            name: column.shape for name, column in kit.derived(features, table).items()
        }
        return
    reference = kit.by_definition(contract, table)
    # The logarithms of the standard library and of numpy differ in the last digit.
    kit.assert_same(kit.derived(features, table), reference, close=("card_recent",))


@property_test
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_is_of_no_matter_where_no_cap_bites(kit, data, seed):
    features = history_features(kit.contract(cap=50, terminal_cap=50, recent=0))
    table = kit.table(data.draw(kit.rows()))
    order = np.random.default_rng(seed).permutation(table.rows)
    shuffled = kit.derived(features, table.take(order))
    original = {name: column[order] for name, column in kit.derived(features, table).items()}
    kit.assert_same(shuffled, original)


def test_a_tie_at_the_cut_of_the_cap_is_decided_by_the_order_of_rows(kit):
    rows = [(0, "a", None, None, amount, None, None) for amount in (100, 200, 300)]
    rows.append((5, "a", None, None, None, None, None))
    features = history_features(kit.contract(cap=2))
    made = features.batch(kit.table(rows))
    assert made["card_sum_10min"].tolist() == [0, 0, 0, 5.0]
    again = features.batch(kit.table(rows).take([2, 1, 0, 3]))
    assert again["card_sum_10min"].tolist() == [0, 0, 0, 3.0]


def changed_after(table, cut, rng):
    """Change, move and drop everything that happens, or becomes known, at `cut` or later."""
    later = table["@time"] > cut
    kept = np.flatnonzero(~later | (rng.random(table.rows) < 0.5))
    columns = {name: column.copy() for name, column in table.items()}
    for name in ("@card", "@shop", "@device", "@amount", "fraud"):
        columns[name][later] = rng.permutation(columns[name][later])
    columns["@time"][later] += rng.integers(0, 10**9, int(later.sum())).astype("timedelta64[us]")
    columns["@label_time"][later] = columns["@time"][later] + np.timedelta64(1, "us")
    untold = columns["@label_time"] >= cut
    columns["fraud"][untold & ~later] = rng.integers(0, 2, int((untold & ~later).sum()))
    other = Table(columns).take(kept)
    return other, np.flatnonzero(~later), np.flatnonzero(~later[kept])


def future_matters(derive, table, seed):
    """Tell whether any row changes when what comes after it does."""
    rng = np.random.default_rng(seed)
    before = derive(table)
    for cut in np.unique(table["@time"]):
        other, rows, other_rows = changed_after(table, cut, rng)
        after = derive(other)
        for name, column in before.items():
            if not np.array_equal(column[rows], after[name][other_rows], equal_nan=True):
                return True
    return False


def random_table(kit, seed, rows=60):
    rng = np.random.default_rng(seed)
    return kit.table(
        [
            (
                int(rng.integers(0, 200)),
                rng.choice(["a", "b"]),
                rng.choice(["x", "y", "z"]),
                "m",
                int(rng.integers(1, 1000)),
                float(rng.integers(0, 2)),
                int(rng.integers(1, 100)),
            )
            for _ in range(rows)
        ]
    )


@pytest.mark.parametrize("seed", range(5))
def test_no_row_sees_what_comes_later(kit, seed):
    features = history_features(kit.contract())
    assert not future_matters(
        lambda table: kit.derived(features, table), random_table(kit, seed), seed
    )


def leak_labels(kit, features, table):
    """Plant a leak: labels count from their event on, not from when they became known."""
    return kit.derived(features, table.with_columns({"@label_time": table["@time"]}))


def leak_windows(kit, features, table):
    """Plant a leak: the windows end an hour after the event."""
    columns = {name: column.copy() for name, column in kit.derived(features, table).items()}
    for row in range(table.rows):
        time, known = table["@time"].copy(), table["@label_time"].copy()
        time[row] += np.timedelta64(1, "h")
        known[row] = max(known[row], time[row])
        moved = table.with_columns({"@time": time, "@label_time": known})
        for name, column in kit.derived(features, moved).items():
            columns[name][row] = column[row]
    return columns


def leak_totals(kit, features, table):
    """Plant a leak: an amount is held against the mean of the whole table."""
    mean = np.ma.masked_equal(table["@amount"], MISSING_AMOUNT).mean()
    return {"ratio": table["@amount"] / mean}


@pytest.mark.parametrize("leak", [leak_labels, leak_windows, leak_totals])
def test_a_planted_leak_is_found(kit, leak):
    features = history_features(kit.contract())
    table = random_table(kit, 0, rows=30)
    assert future_matters(lambda table: leak(kit, features, table), table, 0)


def test_a_planted_leak_between_events_of_one_time_depends_on_the_order_of_rows(kit):
    features = history_features(kit.contract(cap=50))
    table = kit.table([(0, "a", "x", None, 100, None, None)] * 3)
    assert features.batch(table)["card_count_1h"].tolist() == [0, 0, 0]
    leaky = table["@time"] + np.arange(3).astype("timedelta64[us]")
    assert features.batch(table.with_columns({"@time": leaky}))["card_count_1h"].max() == 2


def test_amounts_beyond_53_bits_are_added_exactly(kit):
    largest = 2**63 - 1
    rows = [(n, "a", None, None, amount, None, None) for n, amount in enumerate([largest] * 4)]
    rows += [(4, "a", None, None, -largest, None, None), (5, "a", None, None, 1, None, None)]
    made = history_features(kit.contract(cap=50)).batch(kit.table(rows))
    assert made["card_sum_1h"].tolist() == [
        float(total) / 100.0
        for total in (0, largest, 2 * largest, 3 * largest, 4 * largest, 3 * largest)
    ]


def test_more_entities_than_16_bits_number_stay_apart(kit):
    cards = 2**16 + 10
    time = np.tile(np.arange(2), cards) * kit.MINUTE  # two events of each, a minute apart
    card = np.repeat(np.arange(cards), 2).astype(str).astype(object)
    nothing = np.full(2 * cards, None)
    table = Table(
        {
            "@time": time.view("datetime64[us]"),
            "@card": card,
            "@shop": nothing,
            "@device": nothing,
            "@amount": np.repeat(np.arange(cards), 2),
        }
    )
    made = history_features(kit.contract(recent=0)).batch(table)
    assert made["card_count_1h"].tolist() == [0, 1] * cards
    np.testing.assert_array_equal(made["card_max_1h"][1::2], np.arange(cards) / 100)


def test_a_history_of_thousands_of_years_does_not_wrap_around(kit):
    cards = "abcdefghijklmnopqrstuvwx"
    rows = [(n, card, None, None, 1, None, None) for card in cards for n in (0, 1)]
    ages = np.arange(48) // 2 * np.timedelta64(10**9, "m") * (-1) ** (np.arange(48) % 2)
    table = kit.table(rows)
    old = table.with_columns({"@time": table["@time"] + ages})
    made = history_features(kit.contract()).batch(old)
    assert made["card_count_1h"].tolist() == [0, 1] + [0] * 46


def test_bites_and_events_without_a_history_are_counted(kit):
    rows = [(n, "a", "x", "m", 100, None, None) for n in range(6)]
    rows += [(0, None, "x", "m", 100, None, None), (9000, "a", None, "m", 1, None, None)]
    counts = history_counts(history_features(kit.contract(cap=3)), kit.table(rows))
    found = {
        (row["entity"], row["window"]): tuple(
            int(row[name]) for name in ("events", "cap_bites", "unknown", "missing")
        )
        for row in (dict(zip(counts, v, strict=True)) for v in zip(*counts.values(), strict=True))
    }
    # The fifth and sixth event have more than three before them. The last comes too long after.
    assert found["card", "10min"] == (7, 2, 3, 1)
    assert found["card", "1d"] == (7, 2, 3, 1)
    # The first two are at one time, so the sixth has six before it.
    assert found["shop", "30min"] == (7, 2, 3, 1)
    assert list(counts["window"]) == ["10min", "1h", "1d", "30min", "2d"]


def test_labels_beyond_the_cap_are_counted_as_a_bite(kit):
    rows = [(n, None, "x", "m", 100, 1.0, 200 - n) for n in range(3)]
    rows += [(230, None, "x", "m", 100, None, None)]
    contract = kit.contract(terminal_cap=2)
    counts = history_counts(history_features(contract), kit.table(rows))
    shop = np.flatnonzero(counts["entity"] == "shop")
    # Three labels become known at one time, half an hour before the last event; three events
    # stand in its two days.
    assert counts["cap_bites"][shop].tolist() == [1, 1]


@pytest.mark.parametrize("column", ["@time", "@amount", "@card", "@shop", "@device"])
def test_a_missing_column_is_named(kit, column):
    features = history_features(kit.contract())
    table = kit.table([(0, "a", "x", "m", 1, 0.0, 5)])
    with pytest.raises(DataError, match=column) as caught:
        features.batch(table.without([column]))
    assert "contract" in caught.value.hint


def test_a_missing_time_is_refused(kit):
    features = history_features(kit.contract())
    table = kit.table([(0, "a", "x", "m", 1, 0.0, 5)] * 2)
    time = np.array(["NaT", "2020-01-01"], dtype="datetime64[us]")
    with pytest.raises(DataError, match="missing in 1 rows"):
        features.batch(table.with_columns({"@time": time}))


def test_a_label_known_before_its_event_is_refused(kit):
    features = history_features(kit.contract())
    table = kit.table([(0, "a", "x", "m", 1, 0.0, -1), (1, "a", "x", "m", 1, None, -5)])
    with pytest.raises(DataError, match="future label: 1 rows"):
        features.batch(table)


def test_scoring_without_labels_knows_no_risk(kit):
    features = history_features(kit.contract())
    table = kit.table([(n * 100, "a", "x", "m", 1, 1.0, 5) for n in range(3)])
    assert features.batch(table)["card_risk_1d"][1:].tolist() == [1.0, 1.0]
    unlabelled = table.without(["fraud", "@label_time"])
    assert np.isnan(features.batch(unlabelled)["card_risk_1d"]).all()
    undated = history_features(kit.contract(label_delay="")).batch(table.without(["@label_time"]))
    assert np.isnan(undated["card_risk_1d"]).all()


def test_without_amounts_the_amount_is_not_read(kit):
    history = History(windows=("1h",), measures=("count",), recent=2)
    entity = Entity(name="card", column="card", history=history)
    contract = kit.contract(entities=(entity,), amount=None)
    table = kit.table([(n, "a", "x", "m", 1, 0.0, 5) for n in range(2)]).without(["@amount"])
    made = kit.derived(history_features(contract), table)
    assert made["card_count_1h"].tolist() == [0, 1]
    assert made["card_recent"][1, 1].tolist() == [0, np.log1p(60.0), 1, 0]


def test_without_windows_since_looks_back_thirty_days(kit):
    entity = Entity(name="card", column="card", history=History(measures=("since",), recent=1))
    features = history_features(kit.contract(entities=(entity,)))
    minutes = (0, 30 * 1440, 60 * 1440 + 1)
    made = features.batch(kit.table([(n, "a", "x", "m", 1, 0.0, 5) for n in minutes]))
    np.testing.assert_array_equal(made["card_since"], [np.nan, 30 * 86400.0, np.nan])
    assert made["card_recent"][:, 0, 2].tolist() == [0, 1, 0]


def test_the_table_keeps_its_columns_and_order(kit):
    features = history_features(kit.contract())
    table = kit.table([(5, "a", "x", "m", 1, 0.0, 5), (0, "b", "x", "m", 1, 0.0, 5)])
    made = features.batch(table)
    assert made["@row"].tolist() == [0, 1]
    assert set(made) == set(table) | {item.name for item in features.fields}
