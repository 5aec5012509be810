"""The audit checks of student-risk, against hand-made evidence."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from verticals.evidence import AttributeInfo, EvidenceInfo, OutputInfo
from verticals.intervals import disparity_difference
from verticals.metrics import roc_auc
from verticals.table import Table
from verticals_student_assessment.risk import checks
from verticals_student_assessment.risk.demographics import paired_gain
from verticals_student_assessment.risk.evidence import (
    calibration_points,
    roc_points_of,
    week_points,
)
from verticals_student_assessment.risk.info import CHECKS, SOLUTION
from verticals_student_assessment.risk.measures import bins_of_persons

INFO = EvidenceInfo(
    form="rows",
    bundle="sha256:0",
    origin="recorded by the producer",
    part="test",
    rows=600,
    units=600,
    outputs=(
        OutputInfo(name="risk", kind="probability", target="y", target_kind="binary"),
        OutputInfo(name="grade", kind="ordinal", target="g", target_kind="ordinal"),
    ),
    attributes=(
        AttributeInfo(name="sex", role="protected", label="Sex", groups=("f", "m")),
        AttributeInfo(name="campus", role="stratum", label="Campus", groups=("n", "s")),
    ),
)


def evidence(n=600, *, seed=0, worse=0.0, lifted=0.0, few=0, week=np.nan):
    """Return tables; the score is calibrated but for what is asked for of the first sex.

    `worse` blurs its score, `lifted` adds to its risk, `few` leaves only so many of them.
    """
    random = np.random.default_rng(seed)
    first = random.random(n) < 0.5
    if few:
        first = np.arange(n) < few
    odds = random.normal(size=n) * 1.5
    label = (random.random(n) < 1 / (1 + np.exp(-odds))).astype(float)
    seen = np.where(first, odds * (1 - worse) + random.normal(size=n) * 3 * worse, odds)
    score = np.clip(1 / (1 + np.exp(-seen)) + lifted * first, 0.001, 0.999)
    return {
        "scores": Table(
            {
                "unit": np.arange(n),
                "risk": score,
                "target:y": label,
                "attr:sex": np.where(first, "f", "m").astype(object),
                "attr:campus": np.where(random.random(n) < 0.5, "n", "s").astype(object),
            }
        ),
        "risk.rows": Table({"week": np.broadcast_to(np.asarray(week, dtype=float), n).copy()}),
    }


def found(check, tables, name):
    return [item for item in check(tables, INFO) if item.check == name]


def test_auc_of_all_rows_and_of_each_week():
    tables = evidence(week=np.repeat([3.0, 5.0], 300))
    (whole,) = found(checks.auc_by_week, tables, "risk.auc")
    scores = tables["scores"]
    assert whole.estimate == pytest.approx(roc_auc(scores["target:y"], scores["risk"]))
    assert whole.lower < whole.estimate < whole.upper
    weekly = found(checks.auc_by_week, tables, "risk.week_auc")
    assert [item.subject for item in weekly] == ["week 3", "week 5"]
    assert weekly[0].estimate == pytest.approx(
        roc_auc(scores["target:y"][:300], scores["risk"][:300])
    )


def test_a_week_of_few_persons_is_not_measured():
    tables = evidence(week=np.where(np.arange(600) < 12, 1.0, 2.0))
    first, second = found(checks.auc_by_week, tables, "risk.week_auc")
    assert first.estimate is None
    assert "fewer than 10 persons" in first.method
    assert second.estimate is not None


def test_groups_alike_pass_and_a_blurred_one_is_found():
    (alike,) = found(checks.group_curves, evidence(), "risk.abroca_p")
    assert alike.estimate > 0.05
    assert alike.group in ("f against m", "m against f")
    (p,) = found(checks.group_curves, evidence(worse=0.9), "risk.abroca_p")
    (area,) = found(checks.group_curves, evidence(worse=0.9), "risk.abroca")
    assert p.estimate < 0.01
    assert 0.0 < area.lower < area.estimate < area.upper


def test_strata_have_names_of_their_own():
    tables = evidence()
    assert found(checks.group_curves, tables, "risk.abroca_of_strata_p")
    assert found(checks.group_calibration, tables, "risk.calibration_gap_of_strata")
    ruled = {rule["check"] for check in CHECKS for rule in check.rules}
    assert not any("strata" in name for name in ruled)


def test_p_values_are_adjusted_over_all_protected_attributes():
    tables = evidence(worse=0.35, seed=1)
    (alone,) = found(checks.group_curves, tables, "risk.abroca_p")
    both = dataclasses.replace(
        INFO,
        attributes=(INFO.attributes[0], dataclasses.replace(INFO.attributes[1], role="protected")),
    )
    pair = [item for item in checks.group_curves(tables, both) if item.check == "risk.abroca_p"]
    assert pair[0].estimate == pytest.approx(2 * alone.estimate)


def test_a_group_of_few_persons_is_not_measured():
    tables = evidence(few=15)
    for name in ("risk.abroca", "risk.abroca_p"):
        (item,) = found(checks.group_curves, tables, name)
        assert item.estimate is None
        assert "fewer than 10 persons" in item.method
    (gap,) = [
        item
        for item in found(checks.group_calibration, tables, "risk.calibration_gap")
        if item.attribute == "sex"
    ]
    assert gap.estimate is None


def test_calibration_holds_where_it_does_and_a_lifted_group_is_found():
    def by_group(tables, name):
        return {item.group: item for item in found(checks.group_calibration, tables, name)}

    fine = by_group(evidence(2_000), "risk.calibration_intercept")
    assert fine["f"].lower < 0 < fine["f"].upper
    slope = by_group(evidence(2_000), "risk.calibration_slope")
    assert slope["m"].lower < 1 < slope["m"].upper
    lifted = evidence(2_000, lifted=0.15)
    assert by_group(lifted, "risk.calibration_intercept")["f"].upper < 0
    (gap,) = [
        item
        for item in found(checks.group_calibration, lifted, "risk.calibration_gap")
        if item.attribute == "sex"
    ]
    assert 0.1 < gap.estimate < 0.2
    assert gap.lower > 0.05


def test_the_gap_is_the_one_that_the_audit_shows_under_fairness():
    tables = evidence(900, lifted=0.1)
    (gap,) = [
        item
        for item in found(checks.group_calibration, tables, "risk.calibration_gap")
        if item.attribute == "sex"
    ]
    scores = tables["scores"]
    sides = [scores["attr:sex"] == name for name in ("f", "m")]
    by_hand = disparity_difference(
        [scores["target:y"][side].sum() for side in sides],
        [side.sum() for side in sides],
        offsets=[scores["risk"][side].mean() for side in sides],
    )
    assert (gap.estimate, gap.lower, gap.upper) == pytest.approx(
        (by_hand.estimate, by_hand.lower, by_hand.upper)
    )


def test_calibration_in_the_large_is_the_mean_less_the_rate():
    tables = evidence(2_000, lifted=0.15)
    scores = tables["scores"]
    (whole,) = found(checks.group_calibration, tables, "risk.calibration_in_the_large")
    assert whole.estimate == pytest.approx(scores["risk"].mean() - scores["target:y"].mean())
    assert 0.03 < whole.lower < whole.upper < 0.12
    groups = found(checks.group_calibration, tables, "risk.group_calibration_in_the_large")
    by_group = {item.group: item.estimate for item in groups}
    assert by_group["f"] > 0.1 > abs(by_group["m"])


def test_p_stands_beside_abroca_and_no_rule_reads_it():
    (area,) = found(checks.group_curves, evidence(), "risk.abroca")
    (p,) = found(checks.group_curves, evidence(), "risk.abroca_p")
    assert area.method.endswith(f"p = {p.estimate:.3g} after Holm")
    limited = {rule["check"] for check in CHECKS for rule in check.rules}
    assert "risk.abroca" in limited
    assert "risk.abroca_p" not in limited


def test_rows_without_a_label_count_nowhere():
    tables = evidence()
    scores = tables["scores"]
    label = scores["target:y"].copy()
    label[:100] = np.nan
    cut = {**tables, "scores": scores.with_columns({"target:y": label})}
    (whole,) = found(checks.auc_by_week, cut, "risk.auc")
    assert whole.n == 500
    assert whole.estimate == pytest.approx(roc_auc(label[100:], scores["risk"][100:]))
    assert found(checks.group_curves, cut, "risk.abroca")[0].n == 500


def test_no_binary_output_is_said():
    info = dataclasses.replace(INFO, outputs=INFO.outputs[1:])
    (only,) = checks.auc_by_week(evidence(), info)
    assert only.estimate is None
    assert "no binary target" in only.method


def test_the_gain_of_demographics_is_handed_on():
    table = Table(
        {
            "output": np.array(["risk", "other"], dtype=object),
            "fields": np.array(["sex", "sex"], dtype=object),
            "gain": np.array([0.02, np.nan]),
            "lower": np.array([0.01, np.nan]),
            "upper": np.array([0.03, np.nan]),
            "method": np.array(["paired", "not measured: private"], dtype=object),
            "persons": np.array([600, 600]),
        }
    )
    first, second = checks.demographics({"risk.demographics": table}, INFO)
    assert (first.estimate, first.lower, first.upper) == (0.02, 0.01, 0.03)
    assert second.estimate is None
    assert second.method == "not measured: private"


def test_the_paired_gain_is_the_difference_and_covers():
    covered = 0
    for seed in range(150):
        random = np.random.default_rng(seed)
        label = (random.random(300) < 0.4).astype(float)
        base = label + random.normal(size=300)
        more = base + 0.5 * random.normal(size=300)
        gain = paired_gain(base, more, label, np.arange(300))
        if seed == 0:
            assert gain.estimate == pytest.approx(roc_auc(label, more) - roc_auc(label, base))
        # Areas of normal scores: Phi(1 / sqrt(2)) and Phi(1 / sqrt(2.5)).
        covered += gain.lower <= 0.73645 - 0.76025 <= gain.upper
    assert covered >= 133  # 95 % of 150 are 142; 133 is three standard errors less


def test_rows_of_one_person_do_not_pass_for_many():
    random = np.random.default_rng(0)
    label = (random.random(100) < 0.4).astype(float)
    base, more = label + random.normal(size=100), label + random.normal(size=100)
    once = paired_gain(base, more, label, np.arange(100))
    rows = [np.repeat(part, 5) for part in (base, more, label, np.arange(100))]
    again = paired_gain(*rows)
    assert again.estimate == pytest.approx(once.estimate)
    assert again.upper - again.lower == pytest.approx(once.upper - once.lower, rel=1e-6)


def test_points_of_plots_rest_on_ten_persons_or_more():
    scores = evidence()["scores"]
    facts = scores["risk"], scores["target:y"], scores["unit"]
    for points in (
        list(roc_points_of(*facts, scores["attr:sex"])),
        list(calibration_points(*facts, scores["attr:sex"])),
        list(week_points(*facts, np.repeat([1.0, 2.0], 300))),
    ):
        assert points
        assert all(point[-1] == 0 or point[-1] >= 10 for point in points)
    roc = [point for point in roc_points_of(*facts, scores["attr:sex"]) if point[0] == "f"]
    assert roc[0][2:4] == (0.0, 0.0)
    assert roc[-1][2:4] == (1.0, 1.0)
    assert list(roc_points_of(*facts, np.where(scores["unit"] < 5, "f", ""))) == []


def test_limits_of_calibration_rest_on_persons_not_rows():
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 60).astype(float)

    def width(rows):
        unit = np.repeat(np.arange(60), rows)
        facts = np.full(unit.size, 0.5), label[unit], unit
        group = np.full(unit.size, "g", dtype=object)
        (point,) = [p for p in calibration_points(*facts, group) if p[1] == "points"]
        return point[5] - point[4]

    assert width(15) == pytest.approx(width(1), rel=0.1)


def test_equal_scores_share_a_bin():
    place = bins_of_persons(np.repeat([0.1, 0.2, 0.3], 50), np.arange(150), 10)
    assert [len(set(part)) for part in np.split(place, 3)] == [1, 1, 1]
    assert place[0] < place[60] < place[-1]


def test_every_check_speaks_of_this_solution_only_and_names_its_source():
    for check in CHECKS:
        assert check.solutions == (SOLUTION.name,)
        assert any(name.startswith("risk.") for name in check.needs)
        assert all(rule["source"] for rule in check.rules)


def test_the_checks_import_no_torch():
    code = (
        "import sys, verticals_student_assessment.risk.checks\n"
        "import verticals_student_assessment.risk.info\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
