"""Evidence in counts: the same numbers where cells allow, and none where they do not."""

from __future__ import annotations

from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from verticals.contract.model import Target
from verticals_compliance.audit import audit, record_schema, run_audit
from verticals_compliance.details import describe
from verticals_compliance.policy import default_policy

RAW = {"min_cell": None}
HISTOGRAM = ("roc_auc", "gini", "ks", "average_precision", "brier", "log_loss")


def _pair(credit, **counts):
    rows, cells = credit(name="rows"), credit(name="cells", counts=counts or RAW)
    return tuple(audit(c.evidence, c.bundle, default_policy()) for c in (rows, cells))


def test_raw_counts_give_the_fairness_of_the_rows(credit) -> None:
    rows, counts = _pair(credit)
    jsonschema.validate(counts.to_json(), record_schema())
    assert counts.evidence.form == "counts"
    assert len(rows.fairness) == len(counts.fairness) == 22
    for one, other in zip(rows.fairness, counts.fairness, strict=True):
        assert (one.attribute, one.metric, one.verdict) == (
            other.attribute,
            other.metric,
            other.verdict,
        )
        assert one.disparity.lower == pytest.approx(other.disparity.lower, abs=1e-6)
        assert one.disparity.upper == pytest.approx(other.disparity.upper, abs=1e-6)
        assert one.p_adjusted == pytest.approx(other.p_adjusted, abs=1e-4)
        seen = {group.group: (group.n, group.estimate) for group in other.groups}
        for group in one.groups:
            n, estimate = seen[group.group]
            assert n == group.n
            assert estimate == pytest.approx(group.estimate, abs=1e-6)


def test_the_favourable_value_may_be_the_positive_one(credit) -> None:
    target = Target(
        name="default", column="default", kind="binary", positive="1", negative="0", favourable="1"
    )
    contract = replace(credit().bundle.contract, targets=(target,))
    rows = credit(name="rows", contract=contract)
    cells = credit(name="cells", contract=contract, counts=RAW)
    policy = replace(default_policy(), min_cell=1)  # raw counts put no groups together
    one, other = (audit(c.evidence, c.bundle, policy) for c in (rows, cells))
    for first, second in zip(one.fairness, other.fairness, strict=True):
        assert first.disparity.estimate == pytest.approx(second.disparity.estimate, abs=1e-6)


def test_raw_counts_give_the_performance_of_the_rows(credit) -> None:
    rows, counts = ({row.metric: row for row in record.performance} for record in _pair(credit))
    assert set(rows) == set(counts)
    for metric, row in rows.items():
        near = 0.02 if metric not in ("calibration_slope", "calibration_intercept") else 0.1
        exact = metric not in (*HISTOGRAM, "calibration_slope", "calibration_intercept")
        assert counts[metric].estimate == pytest.approx(row.estimate, abs=1e-9 if exact else near)
        assert ("histogram" in counts[metric].method) == (not exact)


def test_suppressed_groups_are_left_out_and_withheld(credit) -> None:
    case = credit(counts={"min_cell": 30})
    done = run_audit(case.evidence, case.bundle, default_policy())
    jsonschema.validate(done.record.to_json(), record_schema())
    hidden = [
        group
        for row in done.record.fairness
        for group in row.groups
        if group.estimate is None and row.attribute == "race"
    ]
    assert hidden
    assert all(group.n == 0 for group in hidden)
    fifths = next(item for item in done.record.findings if item.rule == "four-fifths")
    assert fifths.status != "pass"
    details = describe(case.evidence, case.bundle, done)
    assert None in [group["tp"] for group in details["groups"]]
    assert details["evidence"]["min_cell"] == 30


def test_noise_widens_what_is_exact_and_leaves_the_histogram_without_limits(credit) -> None:
    plain = credit(name="plain", counts=RAW)
    noisy = credit(name="noisy", counts={"noise_epsilon": 50.0})
    one, other = (audit(c.evidence, c.bundle, default_policy()) for c in (plain, noisy))
    jsonschema.validate(other.to_json(), record_schema())
    for row in other.performance:
        if row.metric in HISTOGRAM:
            assert row.estimate is not None
            assert row.lower is None
            assert "no valid limits" in row.method
    wider = [
        second.disparity.upper - second.disparity.lower
        > first.disparity.upper - first.disparity.lower
        for first, second in zip(one.fairness, other.fairness, strict=True)
        if first.disparity.lower is not None and second.disparity.lower is not None
        if first.disparity.kind == "difference" and first.disparity.lower > 0
    ]
    assert all(wider)
    curve = describe(
        noisy.evidence, noisy.bundle, run_audit(noisy.evidence, noisy.bundle, default_policy())
    )["curves"][0]
    assert {point["observed_lower"] for point in curve["calibration"]} == {None}


def test_noisy_intervals_hold_the_rate_without_noise(credit) -> None:
    """Five draws of noise, 22 rows each: the disparity of the rows is nearly always held."""
    truth = credit(name="truth")
    exact = audit(truth.evidence, truth.bundle, default_policy()).fairness
    held, seen = 0, 0
    for draw in range(5):
        case = credit(name=f"draw{draw}", counts={"noise_epsilon": 3.0})
        for first, second in zip(
            exact, audit(case.evidence, case.bundle, default_policy()).fairness, strict=True
        ):
            if first.disparity.estimate is None or second.disparity.lower is None:
                continue
            seen += 1
            held += second.disparity.lower <= first.disparity.estimate <= second.disparity.upper
    assert seen > 60
    assert held >= 0.95 * seen


def test_persons_with_several_rows_widen_counts(credit) -> None:
    scores = credit().evidence.tables["scores"]
    units = scores.with_columns({"unit": np.arange(600) // 2})
    single = credit(name="single", counts=RAW)
    double = credit(name="double", scores=units, counts=RAW)
    one, other = (audit(c.evidence, c.bundle, default_policy()) for c in (single, double))
    for first, second in zip(one.fairness, other.fairness, strict=True):
        if first.disparity.estimate is None or second.disparity.estimate is None:
            continue
        assert first.disparity.upper - first.disparity.lower < (
            second.disparity.upper - second.disparity.lower
        )
    assert next(row for row in other.performance if row.metric == "roc_auc").lower is None
