"""Fraud's audit checks, against evidence made by hand and planted cases."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from verticals.evidence import AttributeInfo, EvidenceInfo, OutputInfo
from verticals.metrics import psi
from verticals.registry import load_target
from verticals.table import Table
from verticals_compliance.checks import run_checks
from verticals_compliance.findings import Measured, status
from verticals_compliance.policy import parse_rule
from verticals_fraud_detection.check_infos import CHECKS
from verticals_fraud_detection.checks.alerts import (
    card_precision,
    time_to_detection,
    value,
    workload,
)
from verticals_fraud_detection.checks.drift import drift
from verticals_fraud_detection.checks.groups import alert_burden, false_positive_parity
from verticals_fraud_detection.checks.ranking import calibration, ranking

AGE = AttributeInfo(name="age", role="protected", label="Age", groups=("young", "old"))
RULES = {rule["check"]: parse_rule(rule, "t", check="t") for c in CHECKS for rule in c.rules}


def info_of(rows=0, decision=None, attributes=(AGE,)):
    return EvidenceInfo(
        form="rows",
        bundle="sha256:0",
        origin="recorded by the producer",
        part="test",
        rows=rows,
        units=rows,
        outputs=(
            OutputInfo(name="score", kind="probability", target="fraud", target_kind="binary"),
            OutputInfo(name="novelty", kind="real"),
        ),
        attributes=attributes,
        decision={"target": "fraud", "rate": 0.02} if decision is None else decision,
    )


def text(values):
    return np.array(list(values), dtype=object)


def simulated(n=6000, seed=0, fraud=0.02, **changed):
    """Return evidence of a useful score: 600 cards over 14 days, every card a person."""
    random = np.random.default_rng(seed)
    card = random.integers(0, 600, n)
    label = (random.random(n) < fraud).astype(float)
    odds = random.normal(-5, 1, n) + 5 * label
    score = 1 / (1 + np.exp(-odds))
    minute = np.sort(random.integers(0, 14 * 1440, n))
    columns = {
        "unit": card,
        "score": score,
        "novelty": random.normal(size=n),
        "decision": (score > 0.05).astype(float),
        "target:fraud": label,
        "attr:age": text(np.where(card % 2 == 0, "young", "old")),
    }
    further = {
        "day": minute // 1440,
        "week": minute // 1440 // 7,
        "minute": minute,
        "amount": np.exp(random.normal(3, 1, n)),
        "card": card,
    }
    for name, column in changed.items():
        place = further if name in further else columns
        if column is None:
            del place[name]
        else:
            place[name] = column
    return {"scores": Table(columns), "fraud.events": Table(further)}


def by_name(found):
    """Return {(check, subject, attribute, group): measurement}, shortened where a part is empty."""
    keyed = {}
    for item in found:
        parts = (item.check.removeprefix("fraud."), item.subject, item.attribute, item.group)
        key = tuple(part for part in parts if part)
        assert key not in keyed
        keyed[key if len(key) > 1 else key[0]] = item
    return keyed


def decided(item):
    """Return the status that the check's own rule gives this measurement."""
    measured = Measured(
        value=item.estimate,
        lower=item.lower,
        upper=item.upper,
        evidence="",
        measurable=item.estimate is not None,
    )
    return status(RULES[item.check], measured)


# ---- golden values ---------------------------------------------------------------------------


def golden():
    """Twelve frauds on cards 0 to 11 in three days, and 228 genuine events on cards 100 to 327."""
    label = np.append(np.ones(12), np.zeros(228))
    card = np.append(np.arange(12), np.arange(100, 328))
    day = np.append(np.arange(12) % 3, np.arange(228) % 3)
    score = np.append(np.linspace(0.95, 0.4, 12), np.linspace(0.62, 0.0, 228))
    scores = Table(
        {
            "unit": card,
            "score": score,
            "decision": (score >= 0.55).astype(float),
            "target:fraud": label,
            "attr:age": text(["young", "old"] * 120),
        }
    )
    further = Table(
        {
            "day": day,
            "week": day // 7,
            "minute": day * 1440 + np.append(np.zeros(12, dtype=int), np.arange(228)),
            "amount": np.append(np.arange(1.0, 13.0), np.full(228, 5.0)),
            "card": card,
        }
    )
    return {"scores": scores, "fraud.events": further}


def test_ranking_stands_beside_chance():
    found = by_name(ranking(golden(), info_of()))
    # Scores fall by 0.05 and 0.62 / 227: the genuine ones above the cuts of frauds 8 to 12 are
    # those above 0.6, 0.55, 0.5, 0.45 and 0.4, which is 8, 26, 44, 63 and 81 of them.
    above = np.append(np.zeros(7), [8, 26, 44, 63, 81])
    precision = (np.arange(1, 13) / (np.arange(1, 13) + above)).mean()
    assert found["average_precision"].estimate == pytest.approx(precision)
    assert found["base_rate"].estimate == 0.05
    assert found["lift"].estimate == pytest.approx(precision / 0.05)
    assert found["tpr_at_1_percent_fpr"].estimate == pytest.approx(7 / 12)
    assert found["tpr_at_5_percent_fpr"].estimate == pytest.approx(8 / 12)
    assert decided(found["lift"]) == "pass"


def test_alerts_of_the_golden_evidence():
    found = by_name(workload(golden(), info_of()))
    # Nine frauds and 26 genuine events score 0.55 or more.
    assert found["alerts_a_day"].estimate == pytest.approx(35 / 3)
    assert found["alert_precision"].estimate == pytest.approx(9 / 35)
    assert found["alerts_over_planned"].estimate == pytest.approx(35 / 240 / 0.02)
    assert decided(found["alerts_over_planned"]) == "fail"
    # 90 % of twelve frauds are eleven, above which stand 63 genuine events.
    assert found["alerts_for_90_percent_recall"].estimate == 74
    assert found["alerts_for_90_percent_recall"].upper is None
    assert found["alerts_a_day_for_90_percent_recall"].estimate == pytest.approx(74 / 3)


def test_cards_values_and_times_of_the_golden_evidence():
    tables, info = golden(), info_of()
    cards = by_name(card_precision(tables, info))
    # Each day has four defrauded cards; three of them are among the ten highest of each day.
    assert cards["card_precision_at_10", "10 cards a day"].estimate == pytest.approx(0.3, abs=0.04)
    assert cards["card_precision_best", "10 cards a day"].estimate == pytest.approx(0.4)
    hundred = cards["card_precision_at_100", "100 cards a day"]
    assert hundred.estimate is None
    assert "at most 80 cards" in hundred.method
    values = by_name(value(tables, info))
    assert values["value_at_decision"].estimate == pytest.approx(45 / 78)
    assert values["value_lift"].estimate == pytest.approx(45 / 78 / (35 / 240))
    assert values["value_at_100"].estimate == 1.0
    times = by_name(time_to_detection(tables, info))
    assert times["minutes_to_detection"].estimate == 0.0
    assert times["never_detected"].estimate == 0.25


def test_false_alarms_of_the_golden_evidence():
    tables, info = golden(), info_of()
    found = by_name(false_positive_parity(tables, info))
    assert found["false_positive_rate", "age", "young"].estimate == pytest.approx(13 / 114)
    assert found["false_positive_ratio", "age"].estimate == pytest.approx(1.0)
    assert found["false_positive_ratio", "age"].attribute == "age"
    burden = by_name(alert_burden(tables, info))
    assert burden["alerts_per_1000_genuine"].estimate == pytest.approx(26 / 228 * 1000)
    assert burden["cards_disturbed"].estimate == pytest.approx(26 / 228)
    assert burden["cards_disturbed_ratio", "age"].estimate == pytest.approx(1.0)


def test_calibration_is_expected_over_observed():
    tables = golden()
    found = by_name(calibration(tables, info_of()))
    score = tables["scores"]["score"]
    assert found["expected_over_observed"].estimate == pytest.approx(score.sum() / 12)
    assert decided(found["expected_over_observed"]) == "fail"
    assert found["slope"].lower < found["slope"].estimate < found["slope"].upper


# ---- planted cases ---------------------------------------------------------------------------

OF_SCORES = (ranking, calibration, card_precision, value, workload, time_to_detection)
ALL = (*OF_SCORES, false_positive_parity, alert_burden)


def every(tables, info=None):
    return [item for check in ALL for item in check(tables, info or info_of())]


def test_a_useful_score_passes_its_rules_and_all_estimates_lie_in_their_limits():
    found = every(simulated())
    for item in found:
        assert item.output == "score"
        assert item.estimate is not None
        if item.lower is not None and item.upper is not None:
            assert item.lower <= item.estimate <= item.upper, item
    passed = {item.check for item in found if item.check in RULES and decided(item) == "pass"}
    assert {"fraud.lift", "fraud.card_precision_lift", "fraud.value_lift"} <= passed
    assert {"fraud.never_detected"} <= passed


def test_a_random_score_does_not_pass_as_better_than_chance():
    score = np.random.default_rng(1).random(6000)
    found = by_name(every(simulated(score=score, decision=(score > 0.98).astype(float))))
    for name in ("lift", "value_lift"):
        assert decided(found[name]) != "pass"
    assert found["tpr_at_5_percent_fpr"].upper < 0.2


def test_without_fraud_no_measure_is_zero_and_nothing_passes():
    found = by_name(every(simulated(**{"target:fraud": np.zeros(6000)})))
    for name in ("average_precision", "lift", "tpr_at_1_percent_fpr", "value_at_decision"):
        assert found[name].estimate is None
    for name in ("expected_over_observed", "slope", "alerts_for_90_percent_recall"):
        assert found[name].estimate is None
    assert found["minutes_to_detection"].estimate is None
    assert found["base_rate"].estimate == 0.0
    assert found["never_detected"].estimate is None
    lifts = [item for key, item in found.items() if "lift" in key[0] or key == "lift"]
    assert all(decided(item) == "not-measurable" for item in lifts)


def test_fraud_only_and_unlabelled_only_are_not_measured():
    for label in (np.ones(6000), np.full(6000, np.nan)):
        found = by_name(every(simulated(**{"target:fraud": label})))
        assert found["tpr_at_5_percent_fpr"].estimate is None
        assert found["slope"].estimate is None
        assert found["false_positive_rate", "age", "old"].estimate is None
        assert found["cards_disturbed"].estimate is None


def test_few_frauds_are_inconclusive():
    label = np.zeros(6000)
    label[[5, 4000]] = 1
    found = by_name(every(simulated(**{"target:fraud": label})))
    for name in ("average_precision", "lift", "expected_over_observed", "value_at_decision"):
        assert found[name].estimate is not None
        assert found[name].lower is None
    assert decided(found["lift"]) == "inconclusive"
    assert "2 frauds" in found["average_precision"].method


def test_what_the_evidence_lacks_is_named_and_not_measured():
    missing = {
        "day": ("value_at_100", "alerts_a_day", "alerts_a_day_for_90_percent_recall"),
        "minute": ("minutes_to_detection", "never_detected"),
        "amount": ("value_at_decision", "value_lift", "value_at_100"),
        "card": ("minutes_to_detection", "cards_disturbed"),
        "decision": ("value_at_decision", "alerts_a_day", "never_detected", "cards_disturbed"),
    }
    for column, names in missing.items():
        found = by_name(every(simulated(**{column: None})))
        for name in names:
            assert found[name].estimate is None, (column, name)
            assert found[name].method.startswith("not measured: the evidence has no")
    for column in ("day", "card"):
        found = by_name(card_precision(simulated(**{column: None}), info_of()))
        assert all(item.estimate is None for item in found.values())


def test_a_cut_has_no_planned_share_and_a_decision_on_another_target_is_no_alert():
    tables = simulated()
    cut = by_name(workload(tables, info_of(decision={"target": "fraud", "cut": 0.3})))
    assert cut["alerts_over_planned"].estimate is None
    other = by_name(workload(tables, info_of(decision={"target": "chargeback", "cut": 0.3})))
    assert other["alerts_a_day"].estimate is None


def test_events_of_another_length_are_not_used():
    tables = simulated()
    tables["fraud.events"] = tables["fraud.events"].take(slice(0, 10))
    found = by_name(workload(tables, info_of()))
    assert found["alerts_a_day"].estimate is None


def test_planted_false_alarms_in_one_group_fail():
    tables = simulated()
    old = tables["scores"]["attr:age"] == "old"
    random = np.random.default_rng(2)
    alert = random.random(6000) < np.where(old, 0.10, 0.02)
    found = by_name(every(simulated(decision=alert.astype(float))))
    assert decided(found["false_positive_ratio", "age"]) == "fail"
    assert decided(found["cards_disturbed_ratio", "age"]) == "fail"


def test_an_empty_group_is_left_out_and_a_small_one_can_not_pass():
    tables = simulated(**{"attr:age": text(["young"] * 5990 + [""] * 10)})
    found = by_name(false_positive_parity(tables, info_of()))
    assert ("false_positive_rate", "age", "old") not in found
    assert found["false_positive_ratio", "age"].estimate is None
    assert "no two groups" in found["false_positive_ratio", "age"].method
    three = text(["young"] * 2990 + ["old"] * 3000 + ["other"] * 10)
    alert = np.random.default_rng(0).random(6000) < 0.5
    tables = simulated(**{"attr:age": three}, decision=alert.astype(float))
    ratio = by_name(false_positive_parity(tables, info_of()))["false_positive_ratio", "age"]
    assert (ratio.estimate > 0.9, ratio.lower) == (True, 0.0)
    assert "1 group too small" in ratio.method
    assert decided(ratio) == "inconclusive"


def test_a_stratum_has_no_rule_and_no_attribute_is_said():
    tables = simulated()
    stratum = AttributeInfo(name="age", role="stratum", label="", groups=("young", "old"))
    found = by_name(false_positive_parity(tables, info_of(attributes=(stratum,))))
    assert "fraud.false_positive_ratio_of_strata" not in RULES
    assert found["false_positive_ratio_of_strata", "age"].estimate > 0
    none = by_name(false_positive_parity(tables, info_of(attributes=())))
    assert none["false_positive_ratio"].estimate is None
    assert "no protected attribute" in none["false_positive_ratio"].method


def test_a_card_with_fraud_is_not_a_genuine_card():
    label, alert = np.zeros(60), np.zeros(60)
    card = np.repeat(np.arange(30), 2)
    label[0] = alert[1] = alert[2] = 1
    columns = {"day": 0 * card, "week": 0 * card, "minute": 0 * card, "card": card}
    tables = {
        "scores": Table({"unit": card, "score": alert, "decision": alert, "target:fraud": label}),
        "fraud.events": Table(columns),
    }
    found = by_name(alert_burden(tables, info_of()))
    assert found["cards_disturbed"].estimate == pytest.approx(1 / 29)


# ---- drift -----------------------------------------------------------------------------------


def weekly(train, *weeks, field="amount", effect=1.0):
    parts = [(-1, train), *enumerate(weeks)]
    rows = [(place, week, count) for week, c in parts for place, count in enumerate(c)]
    place, week, count = np.array(rows).T
    table = {
        "field": text([field] * len(rows)),
        "bin": place,
        "label": text(map(str, place)),
        "week": week,
        "count": count,
        "effect": np.full(len(rows), effect),
    }
    return {"fraud.weekly": Table(table)}


def test_each_week_is_held_against_the_training_part():
    tables = weekly([5000, 5000], [500, 500], [250, 750], field="score")
    found = list(drift(tables, info_of()))
    assert [item.check for item in found] == ["fraud.psi_score"] * 2
    assert [item.subject for item in found] == ["week 1", "week 2"]
    assert found[0].estimate == pytest.approx(0, abs=1e-3)
    assert found[1].estimate == pytest.approx(0.25 * np.log(3), rel=0.01)
    assert decided(found[0]) == "pass"
    assert all(item.lower <= item.estimate <= item.upper for item in found)


def test_a_field_is_called_by_its_title_where_the_evidence_has_one():
    table = weekly([5000, 5000], [500, 500])["fraud.weekly"]
    titled = table.with_columns({"title": text(["Card: mean amount in 24 hours"] * table.rows)})
    (found,) = drift({"fraud.weekly": titled}, info_of())
    assert found.subject == "Card: mean amount in 24 hours, week 1"


def test_the_index_of_a_week_is_that_of_the_metrics_also_with_an_empty_bin():
    (found,) = drift(weekly([500, 500, 0], [400, 590, 10]), info_of())
    assert found.estimate == psi([500, 500, 0], [400, 590, 10])


def test_alike_events_of_a_card_widen_the_limits_of_drift():
    (one,) = drift(weekly([5000, 5000], [400, 600]), info_of())
    (other,) = drift(weekly([5000, 5000], [400, 600], effect=10.0), info_of())
    assert one.check == "fraud.psi_field"
    assert one.subject == "amount, week 1"
    assert one.estimate == other.estimate
    assert other.lower < one.lower < one.upper < other.upper


def test_an_empty_week_or_training_part_has_no_index():
    for tables in (weekly([0, 0], [5, 5]), weekly([5, 5], [0, 0]), weekly([5], [5])):
        (found,) = drift(tables, info_of())
        assert (found.estimate, found.lower) == (None, None)


# ---- as an audit runs them -------------------------------------------------------------------


def test_every_check_runs_in_an_audit_and_every_rule_meets_a_measurement():
    tables = {**simulated(), **weekly([5000, 5000], [500, 500], field="score")}
    found = run_checks(CHECKS, tables, info_of(rows=6000))
    assert {item.name: item.problem for item in found.outcomes} == {c.name: "" for c in CHECKS}
    measured = {row.check for row in found.rows}
    assert {rule.metric for rule in found.rules} <= measured
    assert all(rule.source and not rule.required for rule in found.rules)
    ids = [rule.id for rule in found.rules]
    assert len(set(ids)) == len(ids)
    again = run_checks(CHECKS, tables, info_of(rows=6000))
    assert again == found


def test_targets_can_be_loaded_and_need_no_torch():
    for check in CHECKS:
        assert callable(load_target(check.target))
    targets = {check.target.partition(":")[0] for check in CHECKS}
    code = (
        f"import sys, {', '.join(sorted(targets))}\n"
        "assert not {'torch', 'pandas', 'sklearn', 'polars'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
