"""The measures of fraud: against scikit-learn, by hand, and by what must always hold."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_curve

from verticals_fraud_detection import measures
from verticals_fraud_detection.checks import intervals

SMALL = settings(max_examples=60, deadline=None)


@st.composite
def events(draw):
    """Draw up to 60 events with ties in the score, cards, days and amounts."""
    n = draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 5, 1000]))
    return {
        "score": random.integers(0, levels, n) / levels,
        "label": (random.random(n) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))).astype(float),
        "card": random.integers(0, 8, n),
        "day": random.integers(3, 6, n),
        "amount": np.where(random.random(n) < 0.1, np.nan, random.integers(1, 100, n)),
    }


def handbook_card_precision(score, label, card, day, k, retire=True):
    """Follow the handbook's definition day by day and card by card, with plain dictionaries."""
    blocked, found = set(), []
    for today in sorted(set(day.tolist())):
        cards = {}
        for s, y, c, d in zip(score, label, card, day, strict=True):
            if d == today and c not in blocked:
                best = cards.get(c, (-1.0, 0.0))
                cards[c] = (max(best[0], s), max(best[1], y))
        # Ties go to the genuine card, then to the one of the lower number.
        top = sorted(cards.items(), key=lambda item: (-item[1][0], item[1][1], item[0]))[:k]
        hits = [c for c, (_, y) in top if y == 1]
        found.append(len(hits) / k)
        if retire:
            blocked.update(hits)
    return float(np.mean(found))


def test_docstrings_hold():
    assert doctest.testmod(measures).failed == 0


@SMALL
@given(events())
def test_average_precision_is_that_of_scikit_learn(drawn):
    score, label = drawn["score"], drawn["label"]
    found = measures.average_precision(score, label)
    if label.any():
        assert found == pytest.approx(average_precision_score(label, score))
    else:
        assert found is None


@SMALL
@given(events(), st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0]))
def test_tpr_at_fpr_lies_on_the_roc_curve_of_scikit_learn(drawn, rate):
    score, label = drawn["score"], drawn["label"]
    found = measures.tpr_at_fpr(score, label, rate)
    if label.all() or not label.any():
        assert found is None
        return
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    assert found == pytest.approx(tpr[fpr <= rate + 1e-12].max())


@SMALL
@given(events(), st.sampled_from([1, 3, 20]), st.booleans())
def test_card_precision_is_that_of_the_handbook(drawn, k, retire):
    names = ("score", "label", "card", "day")
    columns = [drawn[name] for name in names]
    found = measures.card_precision_at(*columns, k, retire=retire)
    assert found == pytest.approx(handbook_card_precision(*columns, k, retire=retire))
    days = measures.card_days(*columns, k, retire=retire)
    assert (days.precision <= days.best).all()
    assert (days.chance <= days.best + 1e-12).all()


@SMALL
@given(events(), st.integers(1, 10))
def test_no_measure_depends_on_the_order_of_the_rows(drawn, k):
    order = np.random.default_rng(k).permutation(drawn["score"].size)
    moved = {name: column[order] for name, column in drawn.items()}

    def all_of(e):
        return (
            measures.tpr_at_fpr(e["score"], e["label"], 0.1),
            measures.alerts_for_recall(e["score"], e["label"], 0.9),
            measures.card_precision_at(e["score"], e["label"], e["card"], e["day"], k),
            measures.value_detected(e["score"], e["label"], e["amount"], e["day"], k),
            measures.time_to_detection(
                e["card"], e["day"], e["label"], e["score"] > 0.5
            ).minutes.tolist(),
        )

    for one, other in zip(all_of(drawn), all_of(moved), strict=True):
        assert one == other or one == pytest.approx(other)


@SMALL
@given(events(), st.floats(0.01, 1.0))
def test_alerts_for_recall_are_enough_and_no_more(drawn, recall):
    score, label = drawn["score"], drawn["label"]
    found = measures.alerts_for_recall(score, label, recall)
    if not label.any():
        assert found is None
        return
    reached = {
        int((score >= cut).sum()): label[score >= cut].sum() / label.sum() for cut in set(score)
    }
    assert reached[found] >= recall - 1e-12
    assert all(share < recall + 1e-12 for alerts, share in reached.items() if alerts < found)


def test_a_card_that_was_found_is_blocked_on_later_days():
    score, label = np.array([0.9, 0.1, 0.9, 0.1]), np.array([1, 0, 1, 0])
    card, day = np.array([7, 8, 7, 8]), np.array([0, 0, 1, 1])
    found = measures.card_days(score, label, card, day, 1)
    assert found.hits.tolist() == [1, 0]
    assert found.cards.tolist() == [2, 1]
    assert measures.card_precision_at(score, label, card, day, 1, retire=False) == 1.0


def test_ties_go_to_the_genuine_event():
    score, label = np.full(3, 0.5), np.array([1.0, 0.0, 1.0])
    amount, day, card = np.array([10.0, 99.0, 30.0]), np.zeros(3, dtype=int), np.arange(3)
    assert measures.card_precision_at(score, label, card, day, 1) == 0.0
    assert measures.value_detected(score, label, amount, day, 1) == 0.0
    assert measures.value_detected(score, label, amount, day, 2) == 0.25


def test_value_leaves_out_frauds_of_unknown_amount():
    score, label = np.array([0.9, 0.8, 0.7]), np.ones(3)
    amount, day = np.array([np.nan, 25.0, 75.0]), np.zeros(3, dtype=int)
    assert measures.value_detected(score, label, amount, day, 2) == 0.25
    assert measures.value_detected(score, label, np.full(3, np.nan), day, 2) is None


def test_time_to_detection_by_hand():
    card = np.array([1, 1, 1, 2, 2, 3, 3, 4])
    minute = np.array([0, 10, 40, 5, 6, 0, 9, 3])
    label = np.array([0, 1, 0, 1, 1, 0, 1, 0])
    alert = np.array([1, 0, 1, 0, 1, 1, 0, 1])
    found = measures.time_to_detection(card, minute, label, alert)
    # Card 1: fraud at 10, looked at at 40. Card 2: one minute. Card 3: alert before the fraud only.
    assert found.card.tolist() == [1, 2, 3]
    assert found.minutes.tolist() == [30.0, 1.0, np.inf]
    assert (found.median, found.never) == (30.0, pytest.approx(1 / 3))


def test_without_fraud_nothing_is_zero():
    score, label = np.array([0.1, 0.2]), np.zeros(2)
    day = np.zeros(2, dtype=int)
    assert measures.average_precision(score, label) is None
    assert measures.alerts_for_recall(score, label, 0.9) is None
    assert measures.calibration_ratio(score, label) is None
    assert measures.calibration_slope(score, label) is None
    assert measures.value_detected(score, label, np.ones(2), day, 1) is None
    none = measures.time_to_detection(day, day, label, label)
    assert (none.median, none.never) == (None, None)
    empty = np.zeros(0)
    assert measures.card_precision_at(empty, empty, empty, empty, 10) is None
    assert measures.psi(np.zeros(3), np.array([1, 2, 3])) is None


def test_psi_by_week_compares_each_week_with_the_training_part():
    week = np.array([-1, -1, 0, 0, 2, 2])
    place = np.array([0, 1, 0, 1, 0, 1])
    count = np.array([500, 500, 50, 50, 25, 75])
    found = measures.psi_by_week(week, place, count)
    assert set(found) == {0, 2}
    assert found[0] == pytest.approx(0.0, abs=1e-12)
    assert found[2] == pytest.approx(measures.psi(np.array([500, 500]), np.array([25, 75])))
    only = measures.psi_by_week(np.array([0]), np.array([0]), np.array([5]))
    assert only == {0: None}


# ---- intervals -------------------------------------------------------------------------------


def draw(random, cards, compromised=0.04):
    """Draw events of cards whose frauds come together and whose scores are alike."""
    card = np.repeat(np.arange(cards), random.poisson(8, cards) + 1)
    bad = random.random(cards) < compromised
    label = (bad[card] & (random.random(card.size) < 0.3)).astype(float)
    own = random.normal(0, 0.7, cards) + bad * random.normal(0, 1, cards)
    odds = own[card] + random.normal(0, 1, card.size) + 3 * label - 6
    amount = np.exp(3 + random.normal(0, 1, card.size) + random.normal(0, 0.5, cards)[card])
    return 1 / (1 + np.exp(-odds)), label, card, amount


def test_intervals_cover_what_is_true_of_clustered_cards():
    random = np.random.default_rng(5)
    score, label, card, amount = draw(random, 150_000)
    cut = float(np.quantile(score, 0.99))
    worth = measures.fraud_value(label, amount)
    truth = {
        "precision": measures.average_precision(score, label),
        "tpr": measures.tpr_at_fpr(score, label, 0.05),
        "alerts": measures.alerts_for_recall(score, label, 0.9) / label.size,
        "ratio": measures.calibration_ratio(score, label),
        "value": worth[score >= cut].sum() / worth.sum(),
    }
    held = dict.fromkeys(truth, 0)
    rounds = 200
    for _ in range(rounds):
        score, label, card, amount = draw(random, 900)
        worth = measures.fraud_value(label, amount)
        needed = intervals.alerts(score, label, card, 0.9)
        found = {
            "precision": intervals.precision(score, label, card),
            "tpr": intervals.tpr(score, label, card, 0.05),
            "alerts": intervals.scaled(needed, 1 / label.size, ""),
            "ratio": intervals.expected_over_observed(score, label, card),
            "value": intervals.share(np.where(score >= cut, worth, 0), worth, card),
        }
        for name, its in found.items():
            upper = np.inf if its.upper is None else its.upper
            held[name] += its.lower <= truth[name] <= upper
    # Three standard errors below 95 % of 200.
    assert min(held.values()) / rounds > 0.904, held


def test_an_interval_by_rows_would_not_cover():
    random = np.random.default_rng(6)
    truth = measures.average_precision(*draw(random, 100_000)[:2])
    held = 0
    for _ in range(100):
        score, label, _, _ = draw(random, 900)
        found = intervals.precision(score, label, np.arange(score.size))
        held += found.lower <= truth <= found.upper
    assert held < 93


def test_few_frauds_have_an_estimate_and_no_limits():
    score, label = np.linspace(0, 1, 100), np.zeros(100)
    label[[40, 98]] = 1
    for found in (
        intervals.precision(score, label, np.arange(100)),
        intervals.tpr(score, label, np.arange(100), 0.05),
        intervals.alerts(score, label, np.arange(100), 0.9),
        intervals.expected_over_observed(score, label, np.arange(100)),
    ):
        assert found.estimate is not None
        assert (found.lower, found.upper) == (None, None)
        if "frauds" in found.method:
            assert "2 frauds" in found.method


def test_limits_of_a_share_at_its_ends_have_width():
    none = intervals.share(np.zeros(50), np.ones(50), np.arange(50))
    every = intervals.share(np.ones(50), np.ones(50), np.arange(50) // 2)
    assert (none.estimate, none.lower) == (0.0, 0.0)
    assert none.upper == pytest.approx(1 - 0.025 ** (1 / 50))
    assert (every.estimate, every.upper) == (1.0, 1.0)
    assert every.lower == pytest.approx(0.025 ** (1 / 25))
    assert intervals.share(np.ones(3), np.ones(3), np.zeros(3)).lower is None
    assert intervals.share(np.zeros(2), np.zeros(2), np.arange(2)).estimate is None


def test_order_limits_are_binomial():
    assert intervals.order_limits(10, 0.5) == (2, 8)
    assert intervals.order_limits(20, 0.9)[1] == 20  # no upper limit for so few


def test_the_median_counts_what_never_came():
    waited = np.append(np.arange(1.0, 12.0), [np.inf] * 4)
    found = intervals.median(waited, np.arange(15))
    assert found.estimate == 8.0
    assert found.lower < 8.0
    assert found.upper is None
    assert intervals.median(waited[:5], np.arange(5)).lower is None
