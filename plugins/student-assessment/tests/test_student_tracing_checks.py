"""What the audit measures of predicted answers, on evidence made by hand."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from verticals.evidence import AttributeInfo, EvidenceInfo, OutputInfo
from verticals.metrics import roc_auc
from verticals.table import Table
from verticals_student_assessment.tracing.checks.calibration import calibration
from verticals_student_assessment.tracing.checks.probe import probe
from verticals_student_assessment.tracing.checks.ranking import (
    auc_difference,
    comparison,
    ranking,
)
from verticals_student_assessment.tracing.fusion import fuse, stretch_name, stretches
from verticals_student_assessment.tracing.info import CHECKS, SOLUTION

INFO = EvidenceInfo(
    form="rows",
    bundle="b",
    origin="recorded by the producer",
    part="test",
    rows=0,
    units=0,
    outputs=(
        OutputInfo(name="decision", kind="flag", target="right"),
        OutputInfo(name="score", kind="probability", target="right", target_kind="binary"),
    ),
    attributes=(AttributeInfo(name="sex", role="protected", label="Sex", groups=("f", "m", "x")),),
)


def tables(seed=0, students=60, answers=20, **columns):
    """Return evidence of a score that knows the chance of a right answer."""
    random = np.random.default_rng(seed)
    unit = np.repeat(np.arange(students), answers)
    position = np.tile(np.arange(float(answers)), students)
    chance = 1 / (1 + np.exp(-random.normal(0, 1.5, len(unit))))
    label = (random.random(len(unit)) < chance).astype(float)
    sex = np.array(["f", "m"], dtype=object)[unit % 2]
    sex[unit < 4] = "x"
    found = {"unit": unit, "score": chance, "target:right": label, "attr:sex": sex}
    rows = {
        "interaction": np.arange(len(unit)),
        "position": position,
        "attempt": np.floor(position / 3),
        "item_mean": np.full(len(unit), 0.5),
        "best_lr": np.clip(chance + random.normal(0, 0.2, len(unit)), 0.01, 0.99),
    }
    scores = Table({**found, **{k: v for k, v in columns.items() if k in found}})
    own = Table({**rows, **{k: v for k, v in columns.items() if k in rows}})
    return {"scores": scores, "tracing.rows": own}


def by_name(found):
    return {(m.check, m.group, m.subject): m for m in found}


def test_rows_of_one_interaction_count_once():
    given = tables()
    n = given["scores"].rows
    twice = {name: Table({k: np.repeat(t[k], 2) for k in t}) for name, t in given.items()}
    shifted = np.repeat(given["scores"]["score"], 2) + np.tile([0.01, -0.01], n)
    twice["scores"] = twice["scores"].with_columns({"score": shifted})
    for check in (ranking, comparison, calibration):
        one, two = by_name(check(given, INFO)), by_name(check(twice, INFO))
        assert one.keys() == two.keys()
        for key, measured in one.items():
            assert two[key].n == measured.n
            assert two[key].estimate == pytest.approx(measured.estimate, abs=1e-9, nan_ok=True)


def test_ranking_is_measured_over_all_along_the_history_and_by_group():
    given = tables()
    found = by_name(ranking(given, INFO))
    score, label = given["scores"]["score"], given["scores"]["target:right"]
    whole = found["tracing.auc", "", ""]
    assert whole.estimate == pytest.approx(roc_auc(label, score))
    assert whole.lower < whole.estimate < whole.upper
    accuracy = found["tracing.accuracy", "", ""].estimate
    assert accuracy == pytest.approx(((score >= 0.5) == (label == 1)).mean())
    first = found["tracing.auc_by_position", "", "the first answer"]
    assert first.n == 60
    assert found["tracing.auc_by_position", "", "10–19 earlier answers"].n == 600
    fresh = found["tracing.first_attempt_auc", "", "the first answer of a student on a skill"]
    assert fresh.n == 180
    gap = found["tracing.auc_gap", "", ""]
    areas = [found["tracing.auc_by_group", name, ""].estimate for name in "fm"]
    assert gap.estimate == pytest.approx(abs(areas[0] - areas[1]))
    assert gap.lower == 0
    # Of group x, too few for an AUC, nobody knows by how much it widens the gap.
    assert gap.upper == 1
    assert "1 of 3 groups have fewer than 10 persons or one class only" in gap.method


def test_a_group_of_fewer_than_ten_persons_is_not_measured():
    for check in (ranking, calibration):
        small = [m for m in check(tables(), INFO) if m.group == "x"]
        assert small
        for measured in small:
            assert measured.estimate is None
            assert "fewer than 10 persons" in measured.method
    few = by_name(ranking(tables(students=9), INFO))
    assert few["tracing.auc", "", ""].estimate is None
    assert few["tracing.auc_gap", "", ""].estimate is None


def test_a_gap_of_groups_that_are_all_measured_has_an_upper_limit():
    given = tables()
    sex = np.where(given["scores"]["unit"] % 2 == 0, "f", "m").astype(object)
    gap = by_name(ranking(tables(**{"attr:sex": sex}), INFO))["tracing.auc_gap", "", ""]
    assert gap.estimate < gap.upper < 0.5


def test_strata_have_names_of_their_own_that_no_rule_reads():
    (sex,) = INFO.attributes
    stratum = dataclasses.replace(INFO, attributes=(dataclasses.replace(sex, role="stratum"),))
    ruled = {rule["check"] for check in CHECKS for rule in check.rules}
    for check in (ranking, calibration):
        of_groups = [m for m in check(tables(), stratum) if m.attribute]
        assert of_groups
        assert all(m.check.endswith("_of_strata") for m in of_groups)
        assert not ruled & {m.check for m in of_groups}


def test_a_gain_is_paired_by_student():
    given = tables()
    found = {m.check: m for m in comparison(given, INFO)}
    over_mean = found["tracing.gain_over_item_mean"]
    score, label = given["scores"]["score"], given["scores"]["target:right"]
    assert over_mean.estimate == pytest.approx(roc_auc(label, score) - 0.5)
    assert over_mean.lower > 0
    over_lr = found["tracing.gain_over_best_lr"]
    assert over_lr.lower < over_lr.estimate < over_lr.upper
    # Pairing: the same score twice differs by exactly nothing.
    unit = given["scores"]["unit"]
    same = auc_difference(score, score, label, unit)
    assert (same.estimate, same.lower, same.upper) == (0, 0, 0)
    # Persons vary, not answers: rows copied within a person tell nothing new.
    other = given["tracing.rows"]["best_lr"]
    one = auc_difference(score, other, label, unit)
    many = auc_difference(*(np.repeat(c, 5) for c in (score, other, label, unit)))
    assert many.upper - many.lower == pytest.approx(one.upper - one.lower, rel=1e-6)
    none = tables(best_lr=np.full(1200, np.nan))
    missing = {m.check: m for m in comparison(none, INFO)}["tracing.gain_over_best_lr"]
    assert missing.estimate is None
    assert "no baseline" in missing.method


def test_intervals_of_a_gain_cover():
    hits = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        unit = np.repeat(np.arange(40), 15)
        label = (random.random(600) < 0.5).astype(float)
        own = random.normal(0, 0.7, 40)[unit]  # what a student's answers share
        first, second = (label + random.normal(0, 1, 600) + own for _ in range(2))
        found = auc_difference(first, second, label, unit)
        hits += found.lower <= 0 <= found.upper
    assert 180 <= hits <= 199


def test_calibration_tells_too_high_from_right():
    good = by_name(calibration(tables(), INFO))
    assert good["tracing.calibration_gap", "", ""].lower < 0
    assert good["tracing.calibration_gap", "", ""].upper > 0
    assert good["tracing.calibration_slope", "", ""].estimate == pytest.approx(1, abs=0.2)
    score = np.clip(tables()["scores"]["score"] + 0.2, 0, 1)
    high = by_name(calibration(tables(score=score), INFO))
    assert high["tracing.calibration_gap", "", ""].lower > 0.1


def test_the_probe_says_what_it_counted():
    table = Table({"questions": np.array([50]), "moved": np.array([5])})
    (found,) = probe({"tracing.probe": table}, INFO)
    assert (found.estimate, found.n) == (0.1, 50)
    nothing = Table({"questions": np.array([0]), "moved": np.array([0])})
    assert next(iter(probe({"tracing.probe": nothing}, INFO))).estimate is None


def test_fusion_takes_means_of_numbers_and_the_first_of_the_rest():
    found = fuse({"p": np.array([0.2, 0.4, 0.9]), "u": np.array([3, 3, 5])}, np.array([0, 0, 1]))
    assert found["p"] == pytest.approx([0.3, 0.9])
    assert found["u"].tolist() == [3, 5]
    assert stretches(np.array([0, 1, 4, 5, 80, 300])).tolist() == [0, 1, 1, 2, 6, 6]
    assert stretch_name(0) == "the first answer"
    assert stretch_name(6) == "80 or more earlier answers"


def test_checks_speak_of_tracing_only_and_import_no_torch():
    assert all(check.solutions == (SOLUTION.name,) for check in CHECKS)
    assert all(rule["source"] for check in CHECKS for rule in check.rules)
    modules = sorted({check.target.partition(":")[0] for check in CHECKS})
    code = f"import sys\nimport {', '.join(modules)}\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
