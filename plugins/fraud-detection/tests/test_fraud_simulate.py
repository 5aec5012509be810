"""The simulator: seeded, fast, and planting what it says it plants."""

from __future__ import annotations

import time

import numpy as np
import pytest

from verticals.contract import bind, resolve, unreviewed
from verticals.errors import CallError
from verticals_fraud_detection.demo import demo
from verticals_fraud_detection.simulate import CHANNELS, PATTERNS, simulate

DAY = np.timedelta64(1, "D")


@pytest.fixture(scope="module")
def payments():
    return simulate(customers=2000, terminals=800, days=90, seed=3, rate=1.0)


def by(table, column):
    """Yield (value, rows) for each value of a column, rows in the order of the table."""
    order = np.argsort(table[column].astype(str), kind="stable")
    names = table[column][order].astype(str)
    cuts = np.flatnonzero(names[1:] != names[:-1]) + 1
    for rows in np.split(order, cuts):
        yield table[column][rows[0]], rows


def test_the_seed_decides_everything():
    first, again, other = (simulate(50, 40, 20, seed) for seed in (1, 1, 2))
    assert list(first) == list(again)
    for name in first:
        assert (first[name] == again[name]).all(), name
    assert first.rows != other.rows or (first["amount"] != other["amount"]).any()


def test_a_million_payments_take_seconds():
    start = time.perf_counter()
    table = simulate(customers=5000, terminals=10_000, days=110, seed=0)
    seconds = time.perf_counter() - start
    assert table.rows > 1_000_000
    assert seconds < 10


def test_columns_are_what_a_bank_would_send(payments):
    assert len(np.unique(payments["payment_id"].astype(str))) == payments.rows
    assert payments["at"].dtype == np.dtype("datetime64[us]")
    assert (np.diff(payments["at"]) >= np.timedelta64(0)).all()
    assert payments["at"][-1] < payments["at"][0].astype("datetime64[D]") + 90 * DAY
    cents = payments["amount"] * 100
    assert np.abs(cents - np.round(cents)).max() < 1e-6
    assert payments["amount"].min() >= 0.01
    assert set(payments["channel"]) == set(CHANNELS)
    assert payments["age"].min() >= 18
    assert set(payments["sex"]) == {"female", "male"}
    assert payments["hour"].min() == 0
    assert payments["hour"].max() == 23


def test_about_one_payment_in_a_hundred_is_fraud(payments):
    assert 0.008 < payments["fraud"].mean() < 0.015
    assert ((payments["pattern"] != "") == (payments["fraud"] == 1)).all()
    for pattern in PATTERNS[1:]:
        assert (payments["pattern"] == pattern).mean() > 0.001, pattern


def test_a_card_belongs_to_one_customer_who_has_one_or_two(payments):
    owners = {card: set(payments["customer_id"][rows]) for card, rows in by(payments, "card_id")}
    assert all(len(found) == 1 for found in owners.values())
    held = [len(set(payments["card_id"][rows])) for _, rows in by(payments, "customer_id")]
    assert set(held) == {1, 2}
    assert 0.05 < np.mean(np.array(held) == 2) < 0.25


def test_some_customers_and_cards_start_late(payments):
    start = payments["at"][0]
    first = [payments["at"][rows[0]] - start for _, rows in by(payments, "customer_id")]
    assert 0.1 < np.mean(np.array(first) > 14 * DAY) < 0.3
    for _, rows in by(payments, "customer_id"):
        cards = payments["card_id"][rows]
        newer = cards.max()  # second cards have higher numbers than first ones
        if newer != cards.min():
            assert payments["at"][rows[cards == newer][0]] > start
            assert (cards != newer).any()


def test_large_amounts_are_large_for_their_customer(payments):
    times = {pattern: [] for pattern in PATTERNS}
    for _, rows in by(payments, "customer_id"):
        usual = np.mean(payments["amount"][rows[payments["fraud"][rows] == 0]] if len(rows) else 0)
        for pattern in PATTERNS:
            here = rows[payments["pattern"][rows] == pattern]
            times[pattern] += list(payments["amount"][here] / usual)
    assert 0.95 < np.nanmean(times[""]) < 1.05
    assert np.nanmedian(times["large amount"]) > 5
    assert 0.6 < np.nanmedian(times["compromised terminal"]) < 1.2  # nothing to see in the amount
    assert 1.8 < np.nanmedian(times["compromised card"]) < 3.5


def test_a_compromised_terminal_defrauds_for_weeks(payments):
    shares, spans = [], []
    for _, rows in by(payments, "terminal_id"):
        hit = rows[payments["pattern"][rows] == "compromised terminal"]
        if len(hit) >= 10:
            meanwhile = rows[(rows >= hit[0]) & (rows <= hit[-1])]
            shares.append(np.mean(payments["pattern"][meanwhile] == "compromised terminal"))
            spans.append((payments["at"][hit[-1]] - payments["at"][hit[0]]) / DAY)
    assert len(shares) >= 5
    assert np.median(shares) > 0.5
    assert 2 < np.median(spans) < 28


def test_a_stolen_card_pays_many_times_within_minutes(payments):
    stolen = payments["pattern"] == "compromised card"
    genuine = payments["fraud"] == 0
    quick = {}
    for name, mask in (("stolen", stolen), ("genuine", genuine)):
        part = payments.take(mask)
        gaps = [np.diff(part["at"][rows]) for _, rows in by(part, "card_id")]
        quick[name] = np.mean(np.concatenate(gaps) < np.timedelta64(10, "m"))
    assert quick["stolen"] > 0.6
    assert quick["genuine"] < 0.05


def test_age_shows_in_the_channel_and_sex_nowhere(payments):
    online = payments["channel"] == "online"
    young, old = payments["age"] < 30, payments["age"] >= 60
    assert online[young].mean() > online[old].mean() + 0.15
    female = payments["sex"] == "female"
    assert abs(payments["fraud"][female].mean() - payments["fraud"][~female].mean()) < 0.004


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ({"customers": 0}, "customers"),
        ({"terminals": 3}, "terminals"),
        ({"days": 0}, "days"),
        ({"rate": 0.0}, "rate"),
        ({"rate": float("nan")}, "rate"),
    ],
)
def test_impossible_sizes_are_named(sizes, named):
    with pytest.raises(CallError, match=named):
        simulate(**sizes)


def test_one_customer_on_one_day_is_enough():
    assert simulate(customers=1, terminals=10, days=1, seed=0, rate=5.0).rows > 0


def test_the_demo_binds_and_keeps_the_pattern_out():
    contract, raw = demo()
    assert 25_000 < raw.rows < 50_000
    assert "pattern" not in raw
    assert not unreviewed(contract)
    used = {item.column for item in contract.inputs}
    assert not used & {item.column for item in contract.audited}
    bound = bind(resolve(contract, list(raw)), raw).table
    assert bound.rows == raw.rows
    assert 0.008 < bound["fraud"].mean() < 0.015
