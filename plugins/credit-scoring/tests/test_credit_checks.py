"""Credit's audit checks, against hand-made evidence and a simulation of coverage."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from verticals.evidence import EvidenceInfo, OutputInfo
from verticals.metrics import calibration_curve, psi
from verticals.table import Table
from verticals_compliance.findings import Measured, status
from verticals_compliance.policy import parse_rule
from verticals_credit_scoring.checks import band_rise, score_bands, stability
from verticals_credit_scoring.plugin import verticals_audit_checks

RULES = {
    rule["check"]: parse_rule(rule, "t", check="t")
    for check in verticals_audit_checks()
    for rule in check.rules
}
INFO = EvidenceInfo(
    form="rows",
    bundle="sha256:0",
    origin="recorded by the producer",
    part="test",
    rows=1000,
    units=1000,
    outputs=(OutputInfo(name="score", kind="probability", target="y", target_kind="binary"),),
    attributes=(),
)


def scores_of(score, label):
    return {"scores": Table({"score": score, "target:y": label})}


def verdicts(found):
    """Return the status of each rule on the measurements of a check."""
    return {
        item.check: status(
            RULES[item.check],
            Measured(value=item.estimate, lower=item.lower, upper=item.upper, evidence=""),
        )
        for item in found
        if item.check in RULES
    }


def test_bands_follow_the_score():
    score = np.linspace(0, 1, 4000)
    label = (np.arange(4000) % 10 < score * 10).astype(float)
    found = list(score_bands(scores_of(score, label), INFO))
    rates = [item.estimate for item in found if item.check == "credit.score_band"]
    assert len(rates) == 10
    assert rates == sorted(rates)
    assert found[-1].check == "credit.band_inversions"
    assert (found[-1].estimate, found[-1].upper) == (0.0, 0.0)
    assert verdicts(found) == {"credit.band_rise": "pass", "credit.band_inversions": "pass"}


def test_a_reversed_score_has_inversions_and_falls():
    score = np.linspace(0, 1, 1000)
    label = (np.arange(1000) % 10 >= score * 10).astype(float)
    found = list(score_bands(scores_of(score, label), INFO))
    assert found[-1].estimate > 0
    assert verdicts(found) == {"credit.band_rise": "fail", "credit.band_inversions": "fail"}


def test_a_flat_rate_passes_neither_as_a_rise_nor_as_in_order():
    score = np.linspace(0, 1, 1000)
    label = (np.arange(1000) % 26 == 0).astype(float)  # 3.8 to 3.9 % in each tenth
    found = list(score_bands(scores_of(score, label), INFO))
    assert found[-1].estimate == 0
    assert "0 of 9 lie wholly above" in found[-1].method
    assert set(verdicts(found).values()) == {"inconclusive"}


def test_the_rise_is_the_slope_of_least_squares_and_covers_it():
    random, held = np.random.default_rng(0), 0
    band = np.repeat(np.arange(10), 60)
    for _ in range(200):
        label = (random.random(600) < 0.05 + 0.03 * band).astype(float)
        found = band_rise(band, label, np.arange(600))
        held += found.lower <= 0.03 <= found.upper
    assert found.estimate == pytest.approx(np.polyfit(band, label, 1)[0])
    assert held / 200 > 0.91


def test_rows_of_one_person_widen_the_rise():
    band, label = np.repeat(np.arange(10), 60), (np.arange(600) % 7 == 0).astype(float)
    one = band_rise(band, label, np.arange(600))
    same = np.argsort(np.argsort(band * 10 + label, kind="stable")) // 6
    many = band_rise(band, label, same)
    assert many.estimate == one.estimate
    assert many.upper - many.lower > 1.5 * (one.upper - one.lower)


def test_bands_are_those_of_the_calibration_curve_and_keep_ties_together():
    random = np.random.default_rng(1)
    score = np.round(random.random(500) ** 2, 2)
    label = (random.random(500) < score).astype(float)
    found = list(score_bands(scores_of(score, label), INFO))
    bands = [item for item in found if item.check == "credit.score_band"]
    curve = calibration_curve(label, score, bins=10)
    assert [item.n for item in bands] == curve["n"].tolist()
    assert [item.estimate for item in bands] == pytest.approx(curve["rate"].tolist())
    ends = [item.subject.split(": ")[1].split(" to ") for item in bands]
    assert all(before[1] < after[0] for before, after in pairwise(ends))


def test_unlabelled_rows_are_left_out_and_few_rows_give_nothing():
    score = np.linspace(0, 1, 30)
    label = np.full(30, np.nan)
    assert list(score_bands(scores_of(score, label), INFO)) == []


def drift(train, audited, name="score"):
    bins = len(train)
    table = Table(
        {
            "field": np.array([name] * bins, dtype=object),
            "bin": np.arange(bins),
            "label": np.array([str(i) for i in range(bins)], dtype=object),
            "train": np.array(train),
            "audited": np.array(audited),
        }
    )
    return list(stability({"distribution": table}, INFO))


def test_equal_shares_have_no_drift():
    (found,) = drift([100, 200, 300], [10, 20, 30])
    assert found.check == "credit.psi_score"
    assert found.estimate == pytest.approx(0.0, abs=0.01)
    assert found.lower == 0.0 <= found.estimate <= found.upper


def test_a_shift_is_measured_as_the_formula_says():
    (found,) = drift([5000, 5000], [2500, 7500], name="income")
    expected = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert found.check == "credit.psi_field"
    assert found.subject == "income"
    assert found.estimate == pytest.approx(expected, rel=1e-3)
    assert found.lower < expected < found.upper


def test_the_index_is_that_of_the_metrics_with_an_empty_bin():
    (found,) = drift([500, 500, 0], [400, 590, 10])
    assert found.estimate == psi([500, 500, 0], [400, 590, 10])


def test_an_index_of_luck_has_an_upper_limit_above_it():
    (found,) = drift([500, 500, 300], [503, 500, 301])
    assert found.estimate < 1e-4
    assert found.upper > 0.01
    assert "chance alone gives about" in found.method


def test_an_empty_part_is_not_measured():
    assert drift([0, 0], [5, 5]) == []


def test_the_interval_covers_the_true_index():
    random = np.random.default_rng(0)
    first, second = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.3, 0.3, 0.25, 0.15])
    true = ((second - first) * np.log(second / first)).sum()
    covered = 0
    for _ in range(300):
        (found,) = drift(random.multinomial(2000, first), random.multinomial(1500, second))
        covered += found.lower <= true <= found.upper
    assert covered / 300 > 0.92


def test_the_checks_import_no_torch():
    code = (
        "import sys, verticals_credit_scoring.checks, verticals_credit_scoring.plugin\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
