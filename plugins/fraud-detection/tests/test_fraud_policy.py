"""Policies: strict reading, cuts from budgets, actions from cuts and from expected costs."""

from __future__ import annotations

import math
import re
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract.model import MISSING_AMOUNT
from verticals.errors import CallError, DataError
from verticals_fraud_detection.decide import (
    Stream,
    by_cuts,
    cuts_for,
    daily_cuts,
    decide,
    decide_stream,
    expected_costs,
    highest,
    resolve,
    warm_up,
)
from verticals_fraud_detection.policy import (
    ACTIONS,
    Bands,
    Cuts,
    dump_policy,
    parse_policy,
    read_policy,
)

SHIPPED = sorted(files("verticals_fraud_detection").joinpath("policies").iterdir(), key=str)
BUDGET = '[policy]\nname = "p"\n[budget]\nalerts_per_day = 10\n'
COSTS = """
[policy]
name = "c"
[costs]
currency = "EUR"
handling = { step_up = 0.1, review = 4.0 }
genuine = { step_up = 0.5, review = 2.0, decline = 12.0 }
stopped = { step_up = 0.8, review = 0.95, decline = 1.0 }
churn = 1.5
"""
scores_of = st.lists(st.integers(0, 30).map(lambda n: n / 30), min_size=1, max_size=60).map(
    lambda found: np.sort(np.array(found))[::-1]
)


def stream_of(day, score, label=None, delay=0, amount=None):
    day = np.asarray(day)
    order = np.argsort(day, kind="stable")
    start = np.datetime64("2026-01-01", "D")
    time = start + day[order].astype("timedelta64[D]") + np.timedelta64(12, "h")
    label = np.zeros(day.size) if label is None else np.asarray(label, dtype=float)
    return Stream(
        day=day[order],
        score=np.asarray(score, dtype=float)[order],
        amount=np.full(day.size, 1000) if amount is None else np.asarray(amount)[order],
        label=label[order],
        known=time.astype("datetime64[us]") + np.timedelta64(delay, "D"),
        start=start,
    )


# ---- the file --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_policies_are_read_and_written_back(path):
    policy = read_policy(str(path))
    again = parse_policy(dump_policy(policy))
    assert again == policy
    assert again.digest == policy.digest


def test_the_dump_is_plain_toml():
    policy = parse_policy(
        '[policy]\nname = "é \\u007f"\n[cuts]\nstep_up = 9e-7\nreview = 0.25\n', source="x"
    )
    assert dump_policy(policy) == (
        '[policy]\nname = "é \\u007f"\n\n[cuts]\nstep_up = 9e-07\nreview = 0.25\n'
    )
    assert parse_policy(dump_policy(policy)) == policy


def test_digest_is_of_the_meaning_not_of_the_layout():
    assert parse_policy(BUDGET).digest == parse_policy(BUDGET + "# a comment\n").digest
    assert parse_policy(BUDGET).digest != parse_policy(BUDGET.replace("10", "11")).digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "no TOML"),
        ('[policy]\nname = "p"\n', "sets no bands"),
        (BUDGET + "[cuts]\nreview = 0.5\n", "both [budget] and [cuts]"),
        (BUDGET.replace("alerts_per_day", "alert_per_day"), "did you mean 'alerts_per_day'?"),
        (BUDGET.replace("10", "-1"), "expected a number from 0"),
        (BUDGET.replace("10", "true"), "alerts_per_day is True, expected a number"),
        (BUDGET.replace("10", "nan"), "expected a number"),
        (BUDGET.replace('name = "p"', ""), "lacks 'name'"),
        (BUDGET + "reference_days = 0\n", "reference_days is 0, expected whole days"),
        (BUDGET + "reference_days = 2.0\n", "expected whole days"),
        (BUDGET + "minutes_per_alert = 3\n", "minutes_per_alert stands under [policy]"),
        (BUDGET.replace("alerts", "analyst_hours"), "needs minutes_per_alert"),
        (BUDGET.replace("alerts_per_day = 10", ""), "is empty, expected alerts_per_day"),
        (BUDGET + "[bands]\ndecline_share = 1.5\n", "expected a number from 0 to 1"),
        (BUDGET.replace("budget", "bugdet"), "unknown key 'bugdet'; did you mean 'budget'?"),
        ("policy = 3\n", "policy is 3, expected a table"),
        ('[policy]\nname = "p"\n[cuts]\nreview = 0.5\ndecline = 0.4\n', "above decline at 0.4"),
        ('[policy]\nname="p"\n[cuts]\nreview=0.5\n[bands]\n', "there is no [budget]"),
        (COSTS.replace("EUR", "euro"), "expected a code such as EUR"),
        (COSTS.replace("0.95", "1.95"), "stopped: review is 1.95, expected a number from 0 to 1"),
        (COSTS.replace("stopped", "handled"), "unknown key 'handled'"),
        (re.sub("stopped.*", "", COSTS), "lacks 'stopped'"),
    ],
)
def test_what_is_wrong_is_named(text, said):
    with pytest.raises(CallError) as caught:
        parse_policy(text, source="p.toml")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(CallError, match="no such file"):
        read_policy(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'[policy]\nname = "\xe9"')
    with pytest.raises(CallError, match="no UTF-8 at byte 17"):
        read_policy(tmp_path / "latin.toml")


# ---- actions ---------------------------------------------------------------------------------


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=3, max_size=3),
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
)
def test_with_cuts_a_higher_score_never_has_a_milder_action(cuts, scores):
    known = iter(sorted(cut for cut in cuts if cut is not None))
    ordered = [None if cut is None else next(known) for cut in cuts]
    policy = Cuts(step_up=ordered[0], review=ordered[1], decline=ordered[2])
    found = by_cuts(policy, np.sort(np.array(scores)))
    assert (np.diff(found) >= 0).all()


@given(scores_of, st.floats(0, 20), st.floats(0, 20), st.floats(0, 1), st.floats(0, 2))
def test_a_larger_budget_never_has_a_higher_cut(scores, one, other, decline, step_up):
    bands = Bands(decline_share=decline, step_up_per_alert=step_up)
    small, large = (cuts_for(alerts, bands, scores, 3) for alerts in sorted((one, other)))
    for name in ("step_up", "review", "decline"):
        low, high = (
            math.inf if getattr(cuts, name) is None else getattr(cuts, name)
            for cuts in (large, small)
        )
        assert low <= high


@given(scores_of, st.floats(0, 80))
def test_a_cut_never_gives_more_than_its_count(scores, count):
    cut = highest(scores, count)
    met = np.count_nonzero(scores >= cut)
    assert met <= count + 1e-9
    below = scores[scores < cut]
    if below.size and math.isfinite(cut):  # the next lower cut would give too many
        assert np.count_nonzero(scores >= below.max()) > count


def test_a_share_that_is_a_hair_below_a_whole_number_counts_as_one():
    assert highest(np.array([0.9, 0.8, 0.7]), 0.1 * 3 * 10) == 0.7


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 10**7)), min_size=1, max_size=20),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.lists(st.floats(0, 50), min_size=7, max_size=7),
)
def test_costs_take_the_cheapest_action_as_brute_force_does(events, stopped, prices):
    h, g = prices[:3], prices[3:6]
    text = f"""
    [policy]
    name = "c"
    [costs]
    currency = "EUR"
    handling = {{ step_up = {h[0]}, review = {h[1]}, decline = {h[2]} }}
    genuine = {{ step_up = {g[0]}, review = {g[1]}, decline = {g[2]} }}
    stopped = {{ step_up = {stopped[0]}, review = {stopped[1]}, decline = {stopped[2]} }}
    churn = {prices[6]}
    """
    policy = parse_policy(text)
    score, amount = (np.array(column) for column in zip(*events, strict=True))
    found = decide(policy, score, amount)
    for (p, a), action in zip(events, found, strict=True):
        costs = [p * a]
        for n in range(3):
            costs.append(p * (1 - stopped[n]) * a + 100 * (h[n] + (1 - p) * (g[n] + prices[6])))
        assert costs[action] == pytest.approx(min(costs), rel=1e-9, abs=1e-6)


def test_of_equal_costs_the_mildest_action_is_taken():
    policy = parse_policy(re.sub("(?m)^(handling|genuine|churn).*$", "", COSTS))
    assert ACTIONS[decide(policy, np.array([0.0]), np.array([500]))[0]] == "approve"
    assert ACTIONS[decide(policy, np.array([0.5]), np.array([0]))[0]] == "approve"
    assert ACTIONS[decide(policy, np.array([0.5]), np.array([500]))[0]] == "decline"


def test_costs_review_an_event_without_an_amount_unless_one_is_declared():
    missing = np.array([MISSING_AMOUNT])
    policy = parse_policy(COSTS)
    assert ACTIONS[decide(policy, np.array([0.0]), missing)[0]] == "review"
    policy = parse_policy(COSTS + "missing_amount = 50.0\n")
    assert ACTIONS[decide(policy, np.array([0.0]), missing)[0]] == "approve"
    assert decide(policy, np.array([0.7]), missing) == decide(
        policy, np.array([0.7]), np.array([5000])
    )


def test_expected_costs_by_hand():
    policy = parse_policy(COSTS)
    [row] = expected_costs(policy.costs, np.array([0.2]), np.array([10_000]), 2)
    assert row == pytest.approx([2000, 400 + 10 + 0.8 * 200, 100 + 400 + 0.8 * 350, 0.8 * 1350])


def test_costs_need_probabilities_and_scores_must_be_finite():
    with pytest.raises(DataError, match=r"reach from 0\.5 to 3, expected probabilities"):
        decide(parse_policy(COSTS), np.array([0.5, 3.0]), np.array([1, 1]))
    cuts = parse_policy('[policy]\nname = "p"\n[cuts]\nreview = 0.5\n')
    with pytest.raises(DataError, match="1 of 2 scores are not finite"):
        decide(cuts, np.array([0.5, np.nan]), np.array([1, 1]))


def test_a_budget_without_cuts_decides_no_single_event():
    with pytest.raises(CallError) as caught:
        decide(parse_policy(BUDGET), np.array([0.5]), np.array([1]))
    assert "--write-cuts" in caught.value.hint


# ---- budgets, day by day ---------------------------------------------------------------------


def test_the_strictest_of_alerts_and_hours_holds():
    text = '[policy]\nname = "p"\nminutes_per_alert = 6\n[budget]\nanalyst_hours_per_day = 1\n'
    assert parse_policy(text).alerts_per_day == 10
    assert parse_policy(text + "alerts_per_day = 4\n").alerts_per_day == 4
    assert parse_policy(text + "alerts_per_day = 40\n").alerts_per_day == 10


def test_cuts_of_a_day_rest_on_the_days_before_only():
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(12), 100)
    score = rng.random(day.size)
    policy = parse_policy(BUDGET)
    known = dict(daily_cuts(policy, stream_of(day, score), range(7, 12)))
    changed = score.copy()
    changed[day >= 9] = 1.0
    found = dict(daily_cuts(policy, stream_of(day, changed), range(7, 12)))
    assert [known[n] == found[n] for n in range(7, 12)] == [True, True, True, False, False]
    window = np.sort(score[(day >= 0) & (day < 7)])[::-1]
    assert known[7].review == window[69]
    assert known[7].step_up is None
    assert known[7].decline is None


def test_bands_divide_the_budget():
    rng = np.random.default_rng(1)
    day = np.repeat(np.arange(8), 1000)
    stream = stream_of(day, rng.random(day.size))
    text = BUDGET.replace("10", "40") + "[bands]\ndecline_share = 0.1\nstep_up_per_alert = 0.5\n"
    [(_, cuts)] = daily_cuts(parse_policy(text), stream, range(7, 8))
    past = stream.score[stream.day < 7]
    assert np.count_nonzero(past >= cuts.decline) == 28
    assert np.count_nonzero(past >= cuts.review) == 280
    assert np.count_nonzero(past >= cuts.step_up) == 420


def test_the_ceiling_uses_labels_that_were_known_and_counts_everything_disturbed():
    rng = np.random.default_rng(2)
    day = np.repeat(np.arange(20), 500)
    label = (rng.random(day.size) < 0.02).astype(float)
    score = np.clip(rng.random(day.size) * 0.5 + 0.5 * label, 0, 1)
    text = (
        '[policy]\nname = "p"\n[budget]\nfalse_positive_ceiling = 0.01\nreference_days = 5\n'
        "[bands]\nstep_up_per_alert = 1.0\n"
    )
    policy = parse_policy(text)
    stream = stream_of(day, score, label, delay=6)
    assert warm_up(policy, stream) == 11  # noon of the fifth day, and 6 days later
    actions = decide_stream(policy, stream, range(11, 20))
    counted = stream.day >= 11
    genuine = counted & (stream.label == 0)
    share = np.count_nonzero(actions[genuine]) / np.count_nonzero(genuine)
    assert 0.006 < share < 0.0145
    assert np.count_nonzero(actions == 1) == pytest.approx(np.count_nonzero(actions >= 2), rel=0.4)
    # Labels that were not known when day 11 began change nothing on it.
    late = label.copy()
    late[day >= 5] = 1.0
    known = dict(daily_cuts(policy, stream, range(11, 12)))
    assert dict(daily_cuts(policy, stream_of(day, score, late, delay=6), range(11, 12))) == known


def test_too_few_days_are_refused():
    stream = stream_of(np.arange(7), np.ones(7))
    with pytest.raises(CallError, match="span 7 days, expected more than the 7"):
        warm_up(parse_policy(BUDGET), stream)
    text = '[policy]\nname = "p"\n[budget]\nfalse_positive_ceiling = 0.01\n'
    never = stream_of(np.arange(30), np.ones(30), delay=400)
    with pytest.raises(CallError, match="span 30 days"):
        warm_up(parse_policy(text), never)
    unlabelled = stream_of(np.arange(30), np.ones(30), label=np.full(30, np.nan))
    with pytest.raises(CallError, match="span 30 days"):
        warm_up(parse_policy(text), unlabelled)


def test_resolve_gives_the_cuts_of_the_day_after_the_data():
    rng = np.random.default_rng(3)
    day = np.repeat(np.arange(10), 100)
    stream = stream_of(day, rng.random(day.size))
    policy = parse_policy(BUDGET)
    fixed = resolve(policy, stream)
    assert fixed.by == "cuts"
    last = np.sort(stream.score[stream.day >= 3])[::-1]
    assert fixed.cuts.review == last[69]
    assert policy.digest[:19] in fixed.description
    assert parse_policy(dump_policy(fixed)) == fixed
    with pytest.raises(CallError, match="decides by costs"):
        resolve(parse_policy(COSTS), stream)
