"""Credit's audit checks, against hand-made evidence and a simulation of coverage."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from verticals.evidence import EvidenceInfo, OutputInfo
from verticals.table import Table
from verticals_credit_scoring.checks import score_bands, stability

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


def test_bands_follow_the_score():
    score = np.linspace(0, 1, 1000)
    label = (np.arange(1000) % 10 < score * 10).astype(float)
    found = list(score_bands(scores_of(score, label), INFO))
    rates = [item.estimate for item in found if item.check == "credit.score_band"]
    assert len(rates) == 10
    assert rates == sorted(rates)
    assert found[-1].check == "credit.band_inversions"
    assert found[-1].estimate == 0.0


def test_a_reversed_score_has_inversions():
    score = np.linspace(0, 1, 1000)
    label = (np.arange(1000) % 10 >= score * 10).astype(float)
    assert list(score_bands(scores_of(score, label), INFO))[-1].estimate > 0


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
