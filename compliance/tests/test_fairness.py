"""Group measures: equal to fairlearn's, honest about small groups, and covering intervals."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_score

from verticals.contract.model import Target
from verticals.evidence import AttributeInfo
from verticals_compliance.comparisons import Comparison, GroupMean, GroupRate, comparisons
from verticals_compliance.fairness import compared, fairness, verdict
from verticals_compliance.policy import parse_policy
from verticals_compliance.predictions import Predictions

GROUPS = AttributeInfo(name="race", role="protected", label="Race", groups=("a", "b", "c"))
POLICY = parse_policy("[policy]\nname = 'p'\nmin_group = 30\nmin_events = 10")
FRAME = {
    "selection_rate": partial(selection_rate, pos_label=1),
    "tpr": partial(true_positive_rate, pos_label=1),
    "fpr": partial(false_positive_rate, pos_label=1),
    "ppv": partial(precision_score, zero_division=np.nan),
    "accuracy": accuracy_score,
}


def _target(favourable: str = "0") -> Target:
    return Target(
        name="default",
        column="d",
        kind="binary",
        positive="1",
        negative="0",
        favourable=favourable,
    )


def _predictions(score, outcome, *, favourable: str = "0", units=None) -> Predictions:
    return Predictions(
        output="score",
        target=_target(favourable),
        score=score,
        outcome=outcome,
        choice=(score >= 0.5).astype(float),
        probabilities=None,
        units=units,
        favourable=0.0 if favourable == "0" else 1.0,
        favourable_words="default = " + favourable,
        decision_words="default = 1 if score ≥ 0.5",
    )


def _sample(rows: int = 400, seed: int = 0):
    rng = np.random.default_rng(seed)
    score = rng.beta(1, 1.5, rows)
    outcome = (rng.random(rows) < score).astype(float)
    labels = rng.choice(["a", "b", "c"], p=[0.5, 0.3, 0.2], size=rows)
    return score, outcome, labels


def _rows(item: Predictions, labels, policy=POLICY):
    found = tuple(comparisons(item, GROUPS, labels))
    return {(row.metric, row.disparity.kind): row for row in fairness(found, policy)}


@pytest.mark.parametrize("favourable", ["0", "1"])
def test_point_estimates_are_those_of_fairlearn(favourable: str) -> None:
    """With y_true = "the outcome was favourable" and y_pred = "the decision was"."""
    score, outcome, labels = _sample()
    rows = _rows(_predictions(score, outcome, favourable=favourable), labels)
    good = float(favourable)
    frame = MetricFrame(
        metrics=FRAME,
        y_true=(outcome == good).astype(int),
        y_pred=((score >= 0.5) == good).astype(int),
        sensitive_features=labels,
    )
    for metric in FRAME:
        theirs = frame.by_group[metric]
        row = rows[metric, "difference"]
        for group in row.groups:
            assert group.estimate == pytest.approx(theirs[group.group]), (metric, group.group)
            assert group.lower <= group.estimate <= group.upper
        assert row.disparity.estimate == pytest.approx(frame.difference()[metric])
        assert rows[metric, "ratio"].disparity.estimate == pytest.approx(frame.ratio()[metric])
        assert row.favourable == f"default = {favourable}"
        assert row.decision == "default = 1 if score ≥ 0.5"


def test_the_calibration_gap_is_of_the_favourable_outcome() -> None:
    score, outcome, labels = _sample()
    row = _rows(_predictions(score, outcome), labels)["calibration_gap", "difference"]
    for group in row.groups:
        part = labels == group.group
        expected = (1 - score[part]).mean() - (1 - outcome[part]).mean()
        assert group.estimate == pytest.approx(expected)
        assert group.lower <= expected <= group.upper
    gaps = [group.estimate for group in row.groups]
    assert row.disparity.estimate == pytest.approx(max(gaps) - min(gaps))
    assert "score" in row.decision


def test_who_is_not_recorded_is_shown_and_never_compared() -> None:
    score, outcome, labels = _sample()
    labels = np.where(np.arange(400) < 60, "", labels)
    score = np.where(labels == "", 0.99, score)
    row = _rows(_predictions(score, outcome), labels)["selection_rate", "difference"]
    assert [group.group for group in row.groups] == ["a", "b", "c", "not recorded"]
    assert row.groups[-1].estimate == 0
    assert row.groups[-1].n == 60
    rates = [group.estimate for group in row.groups[:-1]]
    assert row.disparity.estimate == pytest.approx(max(rates) - min(rates))


def test_a_small_group_is_shown_left_out_and_never_passes() -> None:
    rng = np.random.default_rng(0)
    rows = 20_000
    score = rng.beta(1, 1.5, rows)
    outcome = (rng.random(rows) < score).astype(float)
    labels = np.where(np.arange(rows) % 2 == 0, "a", "b")
    whole = _rows(_predictions(score, outcome), labels)["selection_rate", "difference"]
    assert whole.verdict == "no-material-gap"
    labels[:29] = "c"
    found = _rows(_predictions(score, outcome), labels)["selection_rate", "difference"]
    assert found.groups[2].n == 29
    assert found.groups[2].estimate is not None
    assert found.verdict == "insufficient-evidence"
    assert found.disparity.upper < 0.05  # of the groups that were compared
    labels[29] = "c"
    again = _rows(_predictions(score, outcome), labels)["selection_rate", "difference"]
    assert again.disparity.upper > 0.05  # thirty are compared


def test_a_gap_is_a_gap_also_beside_a_small_group() -> None:
    score = np.concatenate([np.full(200, 0.1), np.full(200, 0.9), np.full(5, 0.5)])
    outcome = np.tile([0.0, 1.0], 203)[:405]
    labels = np.repeat(["a", "b", "c"], [200, 200, 5])
    assert _rows(_predictions(score, outcome), labels)["selection_rate", "ratio"].verdict == "gap"


def test_few_events_leave_a_group_out_of_that_measure_only() -> None:
    score, outcome, labels = _sample(300)
    outcome = outcome.copy()
    inside = np.flatnonzero(labels == "b")
    outcome[inside] = 0.0
    outcome[inside[:9]] = 1.0
    found = {
        item.metric: compared(item, POLICY)
        for item in comparisons(_predictions(score, outcome), GROUPS, labels)
    }
    assert [group.group for group in found["fpr"][0]] == ["a", "c"]
    assert found["fpr"][1] is True
    assert [group.group for group in found["tpr"][0]] == ["a", "b", "c"]
    assert found["tpr"][1] is False


def test_a_minimum_counts_persons_and_not_rows() -> None:
    score, outcome, _ = _sample(400)
    labels = np.repeat(["a", "b"], 200)
    item = _predictions(score, outcome)
    for units, left_out in ((np.arange(400), False), (np.arange(400) // 10, True)):
        found = next(comparisons(replace(item, units=units), GROUPS, labels))
        assert compared(found, POLICY)[1] is left_out


def test_an_empty_denominator_is_not_zero() -> None:
    score, outcome, labels = _sample(300)
    outcome = np.where(labels == "b", 0.0, outcome)
    row = _rows(_predictions(score, outcome), labels)["fpr", "difference"]
    assert (row.groups[1].n, row.groups[1].estimate, row.groups[1].lower) == (0, None, None)


def test_declared_groups_without_rows_are_shown_and_do_not_matter() -> None:
    score, outcome, labels = _sample(20_000)
    labels = np.where(labels == "c", "a", labels)
    row = _rows(_predictions(score, outcome), labels)["selection_rate", "difference"]
    assert (row.groups[2].group, row.groups[2].n, row.groups[2].estimate) == ("c", 0, None)
    assert row.verdict == "no-material-gap"


def test_one_group_alone_cannot_be_compared() -> None:
    score, outcome, _ = _sample(100)
    row = _rows(_predictions(score, outcome), np.full(100, "a"))["selection_rate", "ratio"]
    assert row.disparity.estimate is None
    assert row.p_value is None
    assert row.p_adjusted is None
    assert row.verdict == "insufficient-evidence"


def test_without_a_decision_only_the_score_is_measured() -> None:
    score, outcome, labels = _sample()
    item = replace(
        _predictions(score, outcome), choice=None, decision_words="no decision is declared"
    )
    assert set(_rows(item, labels)) == {("calibration_gap", "difference")}


def test_p_values_are_adjusted_over_tests_and_not_over_rows() -> None:
    score, outcome, labels = _sample()
    rows = _rows(_predictions(score, outcome), labels)
    assert len(rows) == 11
    tests = {metric: (row.p_value, row.p_adjusted) for (metric, _), row in rows.items()}
    assert len(tests) == 6
    smallest = min(tests.values())
    assert smallest[1] == pytest.approx(min(1.0, 6 * smallest[0]))
    for metric, pair in tests.items():
        assert rows[metric, "difference"].p_value == pair[0]
        assert pair[0] <= pair[1] <= 1


def test_repeated_persons_are_not_many_persons() -> None:
    score, outcome, labels = _sample(300)
    item = _predictions(score, outcome)
    every = np.repeat(np.arange(300), 5)
    single = _rows(item, labels)
    copied = _rows(replace(item.take(every), units=every), labels[every])
    careless = _rows(item.take(every), labels[every])
    for key in single:
        one, many, wrong = (rows[key].disparity for rows in (single, copied, careless))
        assert many.estimate == pytest.approx(one.estimate)
        assert many.upper - many.lower > 0.9 * (one.upper - one.lower), key
        assert wrong.upper - wrong.lower < 0.8 * (one.upper - one.lower), key


@settings(deadline=None, max_examples=100)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_a_verdict_needs_the_whole_interval_on_one_side(a, b, limit, left_out) -> None:
    lower, upper = min(a, b), max(a, b)
    difference = verdict("difference", lower, upper, limit, left_out=left_out)
    assert (difference == "gap") == (lower > limit)
    assert (difference == "no-material-gap") == (upper <= limit and not left_out)
    ratio = verdict("ratio", lower, upper, limit, left_out=left_out)
    assert (ratio == "gap") == (upper < limit)
    assert (ratio == "no-material-gap") == (lower >= limit and not left_out)


def test_a_verdict_without_limits_is_open() -> None:
    assert verdict("difference", None, None, 0.1, left_out=False) == "insufficient-evidence"
    assert verdict("difference", 5.0, 6.0, None, left_out=False) == "insufficient-evidence"


def test_a_rule_of_the_policy_sets_the_limit_of_the_verdict() -> None:
    score, outcome, labels = _sample(4000)
    rule = "[[rule]]\nid='r'\nsection='fairness'\nmetric='tpr'\nkind='difference'\nsource='s'\n"
    strict = parse_policy(f"[policy]\nname='p'\n{rule}max = 0.0001")
    loose = parse_policy(f"[policy]\nname='p'\n{rule}max = 0.9\n")
    item = _predictions(score, outcome)
    assert _rows(item, labels, strict)["tpr", "difference"].verdict != "no-material-gap"
    assert _rows(item, labels, loose)["tpr", "difference"].verdict == "no-material-gap"
    assert _rows(item, labels, loose)["fpr", "difference"].verdict == "no-material-gap"


def test_without_a_true_gap_few_audits_claim_one() -> None:
    """The default tolerances never turn noise into a gap more often than the level allows."""
    claims, tests = 0, 0
    for seed in range(40):
        score, outcome, labels = _sample(200, seed)
        for row in _rows(_predictions(score, outcome), labels).values():
            claims += row.verdict == "gap"
            tests += 1
    assert claims <= 0.01 * tests


def test_means_are_compared_with_their_own_spread() -> None:
    groups = tuple(
        GroupMean(group=name, persons=n, events=n, mean=mean, error=error, trials=n)
        for name, n, mean, error in (("a", 40, 1.0, 0.1), ("b", 50, 2.0, 0.2))
    )
    item = Comparison(
        output="v", attribute=GROUPS, metric="mean_error", favourable="", decision="", groups=groups
    )
    row = fairness([item], POLICY)[0]
    half = 1.99 * math.hypot(0.1, 0.2)
    assert row.disparity.lower == pytest.approx(1 - half, abs=0.01)
    assert row.groups[0].lower == pytest.approx(1 - 2.02 * 0.1, abs=0.01)


def test_a_group_without_variation_has_no_limits() -> None:
    empty = GroupMean(group="a", persons=40, events=40, mean=0.0, error=0.0, trials=40)
    item = Comparison(
        output="v",
        attribute=GROUPS,
        metric="mean_error",
        favourable="",
        decision="",
        groups=(empty, replace(empty, group="b", trials=0, mean=float("nan"))),
    )
    row = fairness([item], POLICY)[0]
    assert (row.groups[0].estimate, row.groups[0].lower) == (0.0, None)
    assert row.groups[1].estimate is None
    assert row.disparity.estimate is None


def test_rates_carry_their_design_effect_into_the_method() -> None:
    groups = tuple(
        GroupRate(group=name, persons=100, events=100, successes=50, trials=100, effect=effect)
        for name, effect in (("a", 1.0), ("b", 3.0))
    )
    item = Comparison(
        output="s", attribute=GROUPS, metric="tpr", favourable="", decision="", groups=groups
    )
    assert "design effect" in fairness([item], POLICY)[0].disparity.method
