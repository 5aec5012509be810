"""The stream gives the values of the batch, forgets what none can see, refuses what is wrong."""

from __future__ import annotations

import copy
import datetime
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verticals.contract import Entity, History
from verticals.errors import CallError, DataError
from verticals.history import HistoryStream, history_counts, history_features
from verticals.plugin import BoundedFeatures, LabelledStream, State

property_test = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
START = np.datetime64("2026-01-01T00:00:00", "us")


def event(minute=0, card="a", shop="x", device="m", amount=100):
    return {
        "@time": START + np.timedelta64(int(minute * 60_000_000), "us"),
        "@card": card,
        "@shop": shop,
        "@device": device,
        "@amount": amount,
    }


@property_test
@given(data=st.data(), cap=st.integers(1, 4), at_once=st.booleans())
def test_the_stream_equals_the_batch_bit_for_bit(kit, data, cap, at_once):
    features = history_features(kit.contract(cap=cap, terminal_cap=5 - cap))
    rows = sorted(data.draw(kit.rows()), key=lambda row: row[0])
    if not rows:
        return
    table = kit.table(rows)
    streamed, stream = kit.replay(features, table, labels_at_once=at_once)
    kit.assert_same(streamed, kit.derived(features, table))
    counts = history_counts(features, table)
    assert stream.counters["cap_bites"] == counts["cap_bites"].sum()
    for name in ("card", "shop"):
        first = np.flatnonzero(counts["entity"] == name)[0]
        assert stream.counters[f"unknown_{name}"] == counts["unknown"][first]
        assert stream.counters[f"missing_{name}"] == counts["missing"][first]
    assert stream.counters["events"] == len(rows)
    assert stream.counters["late_events"] == 0


@property_test
@given(data=st.data(), stop=st.integers(1, 8))
def test_a_state_saved_and_restored_goes_on_as_if_nothing_had_happened(kit, data, stop):
    features = history_features(kit.contract())
    rows = sorted(data.draw(kit.rows()), key=lambda row: row[0])
    if not rows:
        return
    table = kit.table(rows)
    seen = 0

    def reload(stream):
        nonlocal seen
        seen += 1
        if seen % stop:
            return stream
        fresh = features.stream()
        fresh.push(event())  # what was remembered goes
        fresh.restore(stream.save())
        assert_equal_states(fresh.save(), stream.save())
        return fresh

    streamed, stream = kit.replay(features, table, each=reload)
    whole, uninterrupted = kit.replay(features, table)
    kit.assert_same(streamed, whole)
    assert stream.counters == uninterrupted.counters


def assert_equal_states(left, right):
    assert left.settings == right.settings
    assert set(left.tensors) == set(right.tensors)
    for name, tensor in left.tensors.items():
        assert tensor.dtype == right.tensors[name].dtype
        assert tensor.tolist() == right.tensors[name].tolist()


def test_it_satisfies_the_interface(kit):
    features = history_features(kit.contract())
    assert isinstance(features, BoundedFeatures)
    assert isinstance(features.stream(), LabelledStream)
    assert set(features.stream().push(event())) == {item.name for item in features.fields}


def test_a_late_event_is_refused_and_nothing_changes(kit):
    stream = history_features(kit.contract()).stream()
    stream.push(event(10))
    before, counters = stream.save(), stream.counters
    with pytest.raises(DataError, match=r"clock: an event is 60 s older .* its card") as caught:
        stream.push(event(9, shop="y"))
    assert "late_events: now" in caught.value.hint
    assert_equal_states(stream.save(), before)
    assert stream.counters == counters
    assert stream.push(event(9, card="b", shop="y"))["card_count_1h"] == 0  # late for none of its


def test_a_late_event_is_taken_as_of_its_entitys_latest_time(kit):
    features = history_features(kit.contract(late_events="now", cap=9))
    stream = features.stream()
    for minute in (0, 10, 20):
        stream.push(event(minute, shop=None))
    late = stream.push(event(5, shop=None))
    assert (late["card_count_1h"], late["card_since"]) == (2, 600.0)
    assert stream.push(event(20, shop=None))["card_count_1h"] == 2  # at the late one's time
    assert stream.push(event(21, shop=None))["card_count_1h"] == 5
    assert stream.counters["late_events"] == 1
    # For another entity the same event may be in time.
    stream.push(event(30, card="b", shop="y"))
    taken = stream.push(event(25, card="a", shop="y"))
    assert (taken["card_since"], taken["shop_count_2d"]) == (240.0, 0)
    assert stream.counters["late_events"] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"@time": np.datetime64("NaT")}, "@time is missing"),
        ({"@time": "2026-01-01"}, "@time is a str"),
        ({"@time": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}, "with a zone"),
        ({"@card": 7}, "@card is a int, expected text or None"),
        ({"@shop": float("nan")}, "@shop is a float"),
        ({"@amount": 1.5}, "@amount is a float"),
        ({"@amount": True}, "@amount is a bool"),
        ({"@amount": 2**63}, "64 bits"),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_changes(kit, change, message):
    stream = history_features(kit.contract()).stream()
    stream.push(event())
    before = stream.save()
    with pytest.raises(DataError, match=message):
        stream.push({**event(1), **change})
    name = next(iter(change))
    with pytest.raises(DataError, match=f"no {name}"):
        stream.push({key: value for key, value in event(1).items() if key != name})
    assert_equal_states(stream.save(), before)


def test_times_come_as_people_hold_them(kit):
    stream = history_features(kit.contract()).stream()
    stream.push({**event(), "@time": datetime.datetime(2026, 1, 1)})
    later = {**event(), "@time": np.datetime64("2026-01-01T00:01", "m")}
    assert stream.push(later)["card_since"] == 60.0


def test_amounts_may_be_missing(kit):
    stream = history_features(kit.contract()).stream()
    first = stream.push(event(0, amount=None))
    assert math.isnan(first["amount"])
    second = stream.push(event(1, amount=np.int64(250)))
    assert (second["card_count_1h"], second["card_sum_1h"]) == (1, 0)
    assert math.isnan(second["card_mean_1h"])
    assert stream.counters["missing_amounts"] == 1


def test_a_label_counts_after_the_time_at_which_it_became_known(kit):
    stream = history_features(kit.contract()).stream()
    first = event(0)
    stream.push(first)
    stream.label(first, 1, first["@time"] + np.timedelta64(600, "s"))
    assert math.isnan(stream.push(event(10))["shop_risk_30min"])  # known at that very time
    assert stream.push(event(10.5))["shop_risk_30min"] == 1.0
    stream.label(event(0, card=None), np.float64(0), first["@time"] + np.timedelta64(300, "s"))
    assert stream.push(event(11))["shop_risk_30min"] == 0.5
    assert math.isnan(stream.push(event(60))["shop_risk_30min"])
    assert stream.counters["labels"] == 2


@pytest.mark.parametrize("value", [2, None, math.nan, "1", b"1"])
def test_a_label_is_0_or_1(kit, value):
    stream = history_features(kit.contract()).stream()
    with pytest.raises(DataError, match="neither 0 nor 1"):
        stream.label(event(0), value, START + np.timedelta64(1, "D"))


def test_a_label_from_before_its_event_is_refused(kit):
    stream = history_features(kit.contract()).stream()
    before = stream.save()
    with pytest.raises(DataError, match=r"future label: .* 60 s before its own event"):
        stream.label(event(1), 1, START)
    with pytest.raises(DataError, match="no @shop"):
        stream.label({"@time": START, "@card": "a"}, 1, START)
    assert_equal_states(stream.save(), before)


def test_a_state_of_other_definitions_or_another_version_is_refused(kit):
    stream = history_features(kit.contract()).stream()
    stream.push(event())
    state = stream.save()
    other = history_features(kit.contract(cap=7)).stream()
    with pytest.raises(DataError, match="other definitions"):
        other.restore(state)
    older = State(tensors=state.tensors, settings={**state.settings, "format": 0})
    with pytest.raises(DataError, match="format 0, expected 2"):
        stream.restore(older)
    assert_equal_states(stream.save(), state)
    history_features(kit.contract(late_events="now")).stream().restore(state)


def test_a_damaged_state_is_refused_and_nothing_changes(kit):
    stream = history_features(kit.contract()).stream()
    for minute in range(4):
        stream.push(event(minute, card=f"card{minute % 2}"))
        stream.label(event(minute), minute % 2, START + np.timedelta64(1, "h"))
    state = stream.save()
    for name, tensor in state.tensors.items():
        damaged = [np.append(tensor, tensor[:1]), tensor[:-1], tensor.astype(np.float32)]
        damaged += [tensor * 0 + 99, tensor * 0 - 2] if tensor.dtype in (np.int8, np.int32) else []
        damaged += [tensor[::-1]] if name.endswith("time") else []
        damaged += [np.full_like(tensor, -1)] if name.endswith(("s", "latest")) else []
        for bad in damaged:
            tensors = {**state.tensors, name: bad}
            if bad.dtype == tensor.dtype and bad.tolist() == tensor.tolist():
                continue
            with pytest.raises(DataError, match="damaged"):
                stream.restore(State(tensors=tensors, settings=state.settings))
        left = {key: value for key, value in state.tensors.items() if key != name}
        with pytest.raises(DataError, match="damaged"):
            stream.restore(State(tensors=left, settings=state.settings))
    for name in ("counters", "forgotten", "clock", "ahead"):
        with pytest.raises(DataError, match="damaged"):
            stream.restore(State(tensors=state.tensors, settings={**state.settings, name: {}}))
    assert_equal_states(stream.save(), state)


def test_a_state_holds_what_json_and_safetensors_can(kit):
    from verticals.bundle.tensors import pack_tensors, unpack_tensors
    from verticals.strictjson import canonical_json, parse_json

    features = history_features(kit.contract())
    stream = features.stream()
    for state in (stream.save(), stream.push(event()) and stream.save()):
        settings_ = parse_json(canonical_json(dict(state.settings)), what="state")
        tensors = unpack_tensors(pack_tensors(state.tensors, what="state"), what="state")
        fresh = features.stream()
        fresh.restore(State(tensors=tensors, settings=settings_))
        assert_equal_states(fresh.save(), state)


def one_entity(**changes):
    values = {"windows": ("1h",), "measures": ("count", "sum"), "cap": 5, "recent": 2}
    history = History(**{**values, **changes})
    return (Entity(name="card", column="card", history=history), Entity(name="shop", column="shop"))


def stored(stream, name):
    return {key: len(value) for key, value in stream.save().tensors.items()}[name]


def test_what_no_window_can_see_is_forgotten(kit):
    features = history_features(kit.contract(entities=one_entity(distinct=("shop",))))
    stream = features.stream()
    for minute in range(200):
        stream.push(event(minute, card=f"card{minute}", shop=f"shop{minute}"))
    # Two windows and a little more: an hour in which it can be seen, another as events of
    # different entities need not come in order.
    assert stored(stream, "card.latest") == 121
    assert stored(stream, "other.shop.bytes") == 121
    for _ in range(63):
        stream.push(event(10_000, card="other"))
    assert stored(stream, "card.latest") == 121 + 1  # it is not yet known to be that late
    stream.push(event(10_001, card="other"))
    stream.push(event(10_001, card="other"))
    assert stored(stream, "card.latest") == 121 + 1 - 2 * 2  # no push takes long
    for minute in range(60):
        stream.push(event(10_002 + minute, card="other"))
    assert stored(stream, "card.latest") == 1
    assert stored(stream, "card.time") == 5 + 1 + 1  # the cap, one to tell that it bites, and now


def test_an_entity_that_was_forgotten_is_known_to_be_so(kit):
    stream = history_features(kit.contract(entities=one_entity())).stream()
    stream.push(event(0, card="old"))
    for _ in range(64):
        stream.push(event(500, card="new"))
    assert stored(stream, "card.latest") == 1
    # Nobody can say what the old card did in the hour before: only from minute 60 on.
    with pytest.raises(DataError, match="clock"):
        stream.push(event(59, card="old"))
    assert stream.push(event(60.1, card="old"))["card_count_1h"] == 0


@pytest.mark.parametrize("first", [True, False])
def test_a_few_events_from_years_ahead_stop_nobody_else(kit, first):
    stream = history_features(kit.contract(entities=one_entity())).stream()
    wrong = [event(10_000_000, card=f"wrong{number}", shop="new") for number in range(30)]
    right = [event(minute, card=f"card{minute % 7}") for minute in range(100)]
    for one in [*wrong, *right] if first else [*right, *wrong]:
        stream.push(one)
    for minute in range(100, 110):
        seen = stream.push(event(minute, card=f"card{minute % 7}"))
        assert seen["card_count_1h"] == 5  # the cap
    stream.push(event(111, card="nobody knew it"))


def test_labels_yet_to_come_keep_an_entity(kit):
    entities = one_entity(measures=("count", "risk"))
    stream = history_features(kit.contract(entities=entities)).stream()
    first = event(0, card="old")
    stream.push(first)
    stream.label(first, 1, START + np.timedelta64(1000, "m"))
    for minute in range(900, 1002):
        stream.push(event(minute, card="new"))
    assert stream.push(event(1001, card="old"))["card_risk_1h"] == 1.0


@pytest.mark.parametrize("minutes", [0, 1 / 60])
def test_one_busy_entity_takes_bounded_memory(kit, minutes):
    entities = one_entity(measures=("count", "risk"), distinct=("shop",))
    stream = history_features(kit.contract(entities=entities)).stream()
    for number in range(500):
        now = event(number * minutes, shop=str(number))
        stream.push(now)
        stream.label(now, 1, now["@time"])
    assert stored(stream, "card.time") <= 12
    assert stored(stream, "other.shop.bytes") <= 12
    if minutes:
        assert stored(stream, "card.label_time") <= 7


def test_an_event_takes_little_memory(kit):
    contract = kit.contract(entities=one_entity(cap=100, distinct=("shop",), windows=("30d",)))
    stream = history_features(contract).stream()
    tracemalloc.start()
    for number in range(10):
        for card in range(300):
            stream.push(event(number, card=f"card-number-{card:08d}", shop=f"s{card % 97}"))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # About 700 bytes an entity, and 20 an event with room to grow.
    assert size < 300 * (1_000 + 10 * 40)
    assert stored(stream, "card.time") == 3_000


def test_a_stream_can_be_copied(kit):
    stream = history_features(kit.contract()).stream()
    stream.push(event())
    other = copy.deepcopy(stream)
    other.push(event(1))
    assert stream.counters["events"] == 1


def test_an_unknown_way_with_late_events_is_refused(kit):
    plan = history_features(kit.contract()).plan
    with pytest.raises(CallError, match="late is 'drop'"):
        HistoryStream(plan, late="drop")
