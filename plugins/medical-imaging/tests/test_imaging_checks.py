"""Imaging's audit checks and evidence tables, against planted cases."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from verticals.contract import parse_contract
from verticals.evidence import AttributeInfo, EvidenceInfo, OutputInfo
from verticals.registry import load_target
from verticals.table import Table
from verticals_compliance.checks import run_checks
from verticals_compliance.findings import Measured, status
from verticals_compliance.policy import parse_rule
from verticals_medical_imaging.check_infos import CHECKS
from verticals_medical_imaging.checks.abstention import abstention, prediction_sets
from verticals_medical_imaging.checks.calibration import calibration
from verticals_medical_imaging.checks.confounders import confounders
from verticals_medical_imaging.checks.discrimination import discrimination, operating_point
from verticals_medical_imaging.checks.saliency import saliency
from verticals_medical_imaging.evidence import (
    confounders_table,
    declared_table,
    reliability_table,
)

SEX = AttributeInfo(name="sex", role="protected", label="Sex", groups=("f", "m"))
SCANNER = AttributeInfo(name="scanner", role="stratum", label="Scanner", groups=("A", "B"))
RULES = {rule["check"]: parse_rule(rule, "t", check="t") for c in CHECKS for rule in c.rules}
COVERAGE = 0.9


def info_of(rows=0, outputs=None, attributes=(SEX, SCANNER)):
    binary = {"target": "lesion", "target_kind": "binary", "positive": "yes"}
    return EvidenceInfo(
        form="rows",
        bundle="sha256:0",
        origin="recorded by the producer",
        part="test",
        rows=rows,
        units=rows,
        outputs=outputs
        or (
            OutputInfo(name="score", kind="probability", value="yes", **binary),
            OutputInfo(name="decision", kind="flag", **binary),
            OutputInfo(name="set", kind="set", **binary),
            OutputInfo(name="abstained", kind="flag", **binary),
            OutputInfo(name="reason", kind="text", **binary),
        ),
        attributes=attributes,
        decision={"target": "lesion", "cut": 0.5},
    )


def text(values):
    return np.array(list(values), dtype=object)


def simulated(n=1200, seed=0, *, shortcut=0.5, radius=None, worse=1.0):
    """Return evidence of a useful, right score: two images a person; `worse` divides men's odds."""
    random = np.random.default_rng(seed)
    unit = np.repeat(np.arange(n // 2), 2)
    sex = np.where(random.random(n // 2)[unit] < 0.5, "f", "m")
    odds = random.normal(0, 2.0, n)
    label = (random.random(n) < 1 / (1 + np.exp(-odds))).astype(float)
    odds = np.where(sex == "m", odds * worse, odds)
    score = 1 / (1 + np.exp(-odds))
    cut = float(np.quantile(score[label == 1], 0.1))
    true = np.where(label == 1, score, 1 - score)
    radius = float(np.quantile(1 - true, COVERAGE)) if radius is None else radius
    yes, no = 1 - score <= radius, score <= radius
    sets = np.where(yes & no, "no|yes", np.where(yes, "yes", np.where(no, "no", "")))
    scanner = np.where(random.random(n) < shortcut, np.where(label == 1, "A", "B"), "A")
    scores = Table(
        {
            "unit": unit,
            "score": score,
            "decision": (score >= cut).astype(float),
            "set": text(sets),
            "abstained": (yes == no).astype(float),
            "reason": text(np.where(yes == no, "several values are possible", "")),
            "target:lesion": label,
            "attr:sex": text(sex),
            "attr:scanner": text(scanner),
        }
    )
    empty = confounders_table({}, contract_of())
    return {
        "scores": scores,
        "imaging.declared": declared_table(COVERAGE, 0.9, None),
        "imaging.confounders": empty,
    }


def contract_of():
    return parse_contract(
        """
solution: medical-imaging
name: scans
group: patient
targets:
  lesion: {column: lesion, kind: binary, positive: yes, negative: no, favourable: no}
decision: {target: lesion, cut: 0.5}
fields:
  scan: {column: scan, kind: image, size: [8, 8]}
  sex: {column: sex, role: protected, kind: categorical, categories: [f, m]}
  scanner: {column: scanner, role: stratum, kind: categorical, categories: [A, B]}
"""
    )


def by_name(check, tables, info=None):
    found = {}
    for item in check(tables, info or info_of(tables["scores"].rows)):
        found[(item.check, item.group or item.attribute, item.subject)] = item
    return found


def verdict(item):
    rule = RULES[item.check]
    value = Measured(
        value=item.estimate, lower=item.lower, upper=item.upper, evidence="", attribute=""
    )
    return status(rule, value)


class TestDiscrimination:
    def test_agrees_with_scikit_learn_in_total_and_by_group(self):
        tables = simulated()
        found, scores = by_name(discrimination, tables), tables["scores"]
        label, score = scores["target:lesion"], scores["score"]
        total = found["imaging.auc", "", ""]
        assert total.estimate == pytest.approx(roc_auc_score(label, score))
        assert total.lower < total.estimate < total.upper
        men = scores["attr:sex"] == "m"
        its = found["imaging.group_auc", "m", ""]
        assert its.estimate == pytest.approx(roc_auc_score(label[men], score[men]))
        assert (its.attribute, its.output) == ("sex", "score")

    def test_even_groups_have_a_gap_that_may_be_zero(self):
        found = by_name(discrimination, simulated())
        assert found["imaging.auc_gap", "sex", ""].lower == 0
        assert ("imaging.auc_gap_of_strata", "scanner", "") in found

    def test_a_planted_gap_is_found(self):
        found = by_name(discrimination, simulated(worse=-0.2))["imaging.auc_gap", "sex", ""]
        assert found.lower > 0.3
        assert verdict(found) == "fail"

    def test_few_persons_get_an_estimate_only(self):
        tables = simulated(n=50)
        found = by_name(discrimination, tables)["imaging.auc", "", ""]
        assert found.estimate is not None
        assert (found.lower, found.upper) == (None, None)
        assert found.method == "insufficient: 25 persons, 30 needed for limits"
        assert verdict(found) == "inconclusive"

    def test_one_class_is_not_measured(self):
        tables = simulated(n=200)
        scores = tables["scores"].with_columns({"target:lesion": np.zeros(200)})
        found = by_name(discrimination, {**tables, "scores": scores})["imaging.auc", "", ""]
        assert (found.estimate, found.method) == (None, "one class only")

    def test_each_class_of_several(self):
        random = np.random.default_rng(0)
        truth = random.integers(0, 3, 300).astype(float)
        chances = random.dirichlet([1, 1, 1], 300) + 2 * np.eye(3)[truth.astype(int)]
        chances /= chances.sum(axis=1, keepdims=True)
        outputs = tuple(
            OutputInfo(
                name=f"kind_{value}",
                kind="probability",
                target="kind",
                target_kind="categorical",
                value=value,
            )
            for value in "abc"
        )
        scores = Table(
            {
                "unit": np.arange(300),
                "target:kind": truth,
                **{f"kind_{value}": chances[:, at] for at, value in enumerate("abc")},
            }
        )
        found = list(discrimination({"scores": scores}, info_of(300, outputs, ())))
        assert [item.output for item in found] == ["kind_a", "kind_b", "kind_c"]
        expected = roc_auc_score(truth == 1, chances[:, 1])
        assert found[1].estimate == pytest.approx(expected)


class TestOperatingPoint:
    def test_by_hand(self):
        tables = simulated()
        scores, found = tables["scores"], by_name(operating_point, tables)
        label, decision = scores["target:lesion"], scores["decision"]
        sensitivity = found["imaging.sensitivity", "", ""]
        assert sensitivity.estimate == pytest.approx(decision[label == 1].mean())
        assert sensitivity.n == int((label == 1).sum())
        specificity = found["imaging.specificity", "", ""]
        assert specificity.estimate == pytest.approx(1 - decision[label == 0].mean())
        assert verdict(found["imaging.sensitivity_shortfall", "", ""]) == "pass"

    def test_a_cut_that_finds_fewer_fails(self):
        tables = simulated()
        decision = (tables["scores"]["score"] > 0.8).astype(float)
        tables["scores"] = tables["scores"].with_columns({"decision": decision})
        found = by_name(operating_point, tables)["imaging.sensitivity_shortfall", "", ""]
        assert verdict(found) == "fail"

    def test_unknown_labels_are_left_out(self):
        tables = simulated()
        label = tables["scores"]["target:lesion"].copy()
        label[:400] = np.nan
        tables["scores"] = tables["scores"].with_columns({"target:lesion": label})
        found = by_name(operating_point, tables)
        rates = [found[f"imaging.{name}", "", ""].n for name in ("sensitivity", "specificity")]
        assert sum(rates) == 800

    def test_no_decision(self):
        tables = simulated()
        tables["scores"] = tables["scores"].without(["decision"])
        found = by_name(operating_point, tables)["imaging.sensitivity", "", ""]
        assert found.method == "not measured: the evidence has no decision on this output"


class TestCalibration:
    def test_a_right_score_passes_and_a_shifted_one_fails(self):
        tables = simulated(n=2000)
        right = by_name(calibration, tables)["imaging.ece", "", ""]
        assert right.lower == 0
        assert verdict(right) == "pass"
        score = tables["scores"]["score"] ** 3
        tables["scores"] = tables["scores"].with_columns({"score": score})
        assert verdict(by_name(calibration, tables)["imaging.ece", "", ""]) == "fail"

    def test_the_large_and_the_worst_bin_by_hand(self):
        tables = simulated(n=2000)
        score, label = (tables["scores"][name] for name in ("score", "target:lesion"))
        found = by_name(calibration, tables)
        large = found["imaging.calibration_in_the_large", "", ""]
        assert large.estimate == pytest.approx(score.mean() - label.mean())
        assert large.lower < 0 < large.upper
        assert verdict(large) == "pass"
        tenths = np.array_split(np.argsort(score, kind="stable"), 10)
        off = [abs(score[rows].mean() - label[rows].mean()) for rows in tenths]
        worst = found["imaging.worst_bin", "", ""]
        assert worst.estimate == pytest.approx(max(off))
        assert worst.lower == 0 < worst.estimate < worst.upper

    def test_a_score_that_is_right_on_average_and_wrong_at_one_end_fails_its_worst_bin(self):
        tables = simulated(n=4000)
        score = tables["scores"]["score"].copy()
        low = score < np.quantile(score, 0.1)
        label = tables["scores"]["target:lesion"].copy()
        label[np.flatnonzero(low)[::3]] = 1.0
        tables["scores"] = tables["scores"].with_columns({"target:lesion": label})
        found = by_name(calibration, tables)
        assert verdict(found["imaging.ece", "", ""]) == "pass"
        assert verdict(found["imaging.worst_bin", "", ""]) == "fail"
        told = found["imaging.worst_bin", "", ""].method
        assert f"{score[low].mean():.1%} predicted, {label[low].mean():.1%} observed" in told

    def test_a_shift_on_the_whole_fails_calibration_in_the_large(self):
        tables = simulated(n=2000)
        score = np.clip(tables["scores"]["score"] - 0.12, 0.001, 1)
        tables["scores"] = tables["scores"].with_columns({"score": score})
        shifted = by_name(calibration, tables)["imaging.calibration_in_the_large", "", ""]
        assert shifted.estimate < -0.08
        assert verdict(shifted) == "fail"

    def test_a_bin_of_few_persons_is_not_told(self):
        tables = simulated(n=2000)
        few = {"unit": np.arange(2000) % 40}
        score = np.sort(tables["scores"]["score"])
        few["unit"][:200] = 0
        tables["scores"] = tables["scores"].with_columns({**few, "score": score})
        worst = by_name(calibration, tables)["imaging.worst_bin", "", ""]
        assert worst.estimate is None
        assert "fewer than 10 persons" in worst.method


class TestPredictionSets:
    def test_coverage_by_hand_in_total_and_by_class(self):
        tables = simulated()
        scores, found = tables["scores"], by_name(prediction_sets, tables)
        truth = np.where(scores["target:lesion"] == 1, "yes", "no")
        held = [name in value.split("|") for name, value in zip(truth, scores["set"], strict=True)]
        total = found["imaging.coverage", "", ""]
        assert total.estimate == pytest.approx(np.mean(held))
        classes = {
            name: found["imaging.class_coverage", "", name].estimate for name in ("not yes", "yes")
        }
        for name, rows in (("yes", truth == "yes"), ("not yes", truth == "no")):
            here, unit = np.array(held)[rows], scores["unit"][rows]
            persons = [here[unit == person].mean() for person in np.unique(unit)]
            assert classes[name] == pytest.approx(np.mean(persons))
        assert "each person weighs 1" in total.method
        sizes = [len(value.split("|")) if value else 0 for value in scores["set"]]
        assert found["imaging.set_size", "", ""].estimate == pytest.approx(np.mean(sizes))

    def test_as_declared_passes_and_too_narrow_fails(self):
        found = by_name(prediction_sets, simulated(n=2400))
        assert verdict(found["imaging.coverage_shortfall", "", ""]) == "pass"
        narrow = by_name(prediction_sets, simulated(radius=0.5))
        assert verdict(narrow["imaging.coverage_shortfall", "", ""]) == "fail"

    def test_nothing_declared_and_no_sets(self):
        tables = simulated()
        bare = {name: table for name, table in tables.items() if name != "imaging.declared"}
        found = by_name(prediction_sets, bare)["imaging.coverage_shortfall", "", ""]
        assert "no declared coverage" in found.method
        told = replace(info_of(1200), decision={"target": "lesion", "coverage": 0.9})
        found = by_name(prediction_sets, bare, told)["imaging.coverage_shortfall", "", ""]
        assert found.method.startswith("0.9 declared")
        bare["scores"] = bare["scores"].without(["set"])
        found = by_name(prediction_sets, bare)
        assert found["imaging.coverage", "", ""].estimate is None


class TestAbstention:
    def test_abstaining_makes_what_is_left_more_accurate(self):
        tables = simulated()
        found, scores = by_name(abstention, tables), tables["scores"]
        assert found["imaging.abstained", "", ""].estimate == scores["abstained"].mean()
        given = scores["abstained"] == 0
        right = scores["set"] == np.where(scores["target:lesion"] == 1, "yes", "no")
        selective = found["imaging.selective_accuracy", "", ""]
        assert selective.estimate == pytest.approx(right[given].mean())
        plain = ((scores["score"] > 0.5) == scores["target:lesion"]).mean()
        assert selective.estimate > plain
        assert ("imaging.group_abstained", "f", "") in found

    def test_without_the_flag_the_size_tells(self):
        tables = simulated()
        expected = by_name(abstention, tables)["imaging.abstained", "", ""].estimate
        tables["scores"] = tables["scores"].without(["abstained"])
        found = by_name(abstention, tables)["imaging.abstained", "", ""]
        assert found.estimate == expected


class TestConfounders:
    def parts(self, tables):
        scores = tables["scores"]
        raw = Table(
            {
                "@group": text(scores["unit"].astype(str)),
                "lesion": scores["target:lesion"],
                "sex": np.where(scores["attr:sex"] == "m", 1, 0).astype(np.int32),
                "scanner": np.where(scores["attr:scanner"] == "B", 1, 0).astype(np.int32),
            }
        )
        return raw

    def test_a_planted_shortcut_fails_and_sex_is_none(self):
        tables = simulated(shortcut=0.8)
        train = self.parts(simulated(seed=9, shortcut=0.8))
        tables["imaging.confounders"] = confounders_table(
            {"train": train, "test": self.parts(tables)}, contract_of()
        )
        found = by_name(confounders, tables)
        shortcut = found["imaging.confounder_auc", "scanner", ""]
        assert shortcut.lower > 0.8
        assert "training part" in shortcut.method
        assert verdict(shortcut) == "fail"
        assert found["imaging.confounder_p_value", "scanner", ""].estimate == 0.001
        sex = found["imaging.prevalence_auc", "sex", ""]
        assert sex.lower < 0.5 < sex.upper

    def test_without_a_training_part_it_is_cross_fitted(self):
        tables = simulated(shortcut=0.8)
        found = by_name(confounders, tables)["imaging.confounder_auc", "scanner", ""]
        assert found.lower > 0.8
        assert "folds by person" in found.method

    def test_no_shortcut_passes(self):
        found = by_name(confounders, simulated(shortcut=0.0, n=2000))
        assert "one group only" in found["imaging.confounder_auc", "scanner", ""].method
        chance = simulated(n=3000)
        flip = np.random.default_rng(1).random(3000) < 0.5
        chance["scores"] = chance["scores"].with_columns(
            {"attr:scanner": text(np.where(flip, "A", "B"))}
        )
        item = by_name(confounders, chance)["imaging.confounder_auc", "scanner", ""]
        assert verdict(item) == "pass"

    def test_the_table_counts_images_and_persons(self):
        table = self.parts(simulated(n=400))
        counted = confounders_table({"test": table, "validate": table}, contract_of())
        assert set(counted["part"]) == {"test"}
        here = (counted["attribute"] == "sex") & (counted["label"] == "yes")
        assert counted["images"][here].sum() == table["lesion"].sum()
        assert set(counted["group"][here]) == {"f", "m"}
        assert (counted["persons"] <= counted["images"]).all()


class TestReliability:
    def test_bins_follow_the_networks_own_score(self):
        tables = simulated(n=400)
        scores = tables["scores"]
        audited = Table(
            {
                "@group": text(scores["unit"].astype(str)),
                "lesion": scores["target:lesion"],
            }
        )
        table = reliability_table({"score": scores["score"]}, audited, contract_of())
        assert table.rows == 10
        assert table["images"].sum() == 400
        share = (table["images"] * table["share"]).sum() / 400
        assert share == pytest.approx(scores["target:lesion"].mean())
        assert (np.diff(table["mean_score"]) > 0).all()


class TestSaliency:
    def test_the_verdicts_are_measurements(self):
        table = self.table()
        found = {item.check: item for item in saliency({"imaging.saliency": table}, info_of())}
        alike = found["imaging.saliency_correlation"]
        assert (alike.estimate, alike.lower, alike.upper) == (0.2, 0.1, 0.3)
        assert verdict(alike) == "pass"
        assert found["imaging.deletion_p_value"].estimate == 0.0001
        assert found["imaging.deletion_drop"].lower is None
        assert found["imaging.pointing_game"].estimate == 0.95
        assert found["imaging.pointing_game"].subject == "grad-cam"

    @pytest.mark.parametrize(
        ("limits", "p_value", "status"),
        [
            ((0.1, 0.4), 0.3, "pass"),
            ((-0.022, 0.42), 0.01, "inconclusive"),
            ((-1, -0.1), 1, "fail"),
        ],
    )
    def test_the_drop_with_its_interval_decides_and_p_stands_beside(self, limits, p_value, status):
        lower, upper = (np.array([value]) for value in limits)
        table = self.table(drop_lower=lower, drop_upper=upper, p_value=np.array([p_value]))
        found = {item.check: item for item in saliency({"imaging.saliency": table}, info_of())}
        assert verdict(found["imaging.deletion_drop"]) == status
        assert f"p = {p_value:.3g}" in found["imaging.deletion_drop"].method
        assert "imaging.deletion_p_value" not in RULES

    @staticmethod
    def table(**changed):
        nan = np.array([np.nan])
        return Table(
            {
                "method": text(["grad-cam"]),
                "output": text(["score"]),
                "images": np.array([64]),
                "correlation": np.array([0.2]),
                "correlation_lower": np.array([0.1]),
                "correlation_upper": np.array([0.3]),
                "drop": np.array([1.5]),
                "drop_lower": nan,
                "drop_upper": nan,
                "p_value": np.array([0.0001]),
                "boxes": np.array([40]),
                "hits": np.array([38]),
                **changed,
            }
        )


class TestDeclaration:
    def test_every_check_loads_and_every_rule_speaks_of_what_is_measured(self):
        tables = {**simulated(), "imaging.saliency": Table({"method": text([])}, rows=0)}
        names = {
            item.check
            for check in CHECKS
            for item in load_target(check.target)(tables, info_of(1200))
        }
        told = {"imaging.saliency_correlation", "imaging.deletion_drop"}
        assert set(RULES) <= names | told
        for rule in RULES.values():
            assert "law" in rule.source
            assert not rule.required

    def test_an_audit_runs_them(self):
        tables = simulated()
        found = run_checks([c for c in CHECKS if "saliency" not in c.name], tables, info_of(1200))
        assert [outcome.problem for outcome in found.outcomes] == [""] * 6
        assert len(found.rules) == 13

    def test_no_check_imports_torch(self):
        code = (
            "import sys\n"
            "from verticals.registry import load_target\n"
            "from verticals_medical_imaging.check_infos import CHECKS\n"
            "[load_target(check.target) for check in CHECKS]\n"
            "assert not {'torch', 'pydicom', 'PIL'} & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
