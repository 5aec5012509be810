"""Intervals for ranking, calibration, agreement and means: known values, laws, and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, cohen_kappa_score, roc_auc_score

from verticals import intervals


def _sample(rows: int = 800, rounding: int | None = None, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.3).astype(float)
    scores = 1 / (1 + np.exp(-rng.normal(1.4 * labels - 1, 1)))
    return (scores if rounding is None else scores.round(rounding)), labels


@pytest.mark.parametrize("rounding", [None, 1])
def test_estimates_agree_with_peers_also_under_ties(rounding: int | None) -> None:
    scores, labels = _sample(rounding=rounding)
    area = roc_auc_score(labels, scores)
    assert intervals.auc(scores, labels).estimate == pytest.approx(area)
    assert intervals.gini(scores, labels).estimate == pytest.approx(2 * area - 1)
    precision = average_precision_score(labels, scores)
    assert intervals.average_precision(scores, labels).estimate == pytest.approx(precision)
    gap = stats.ks_2samp(scores[labels == 1], scores[labels == 0]).statistic
    assert intervals.ks(scores, labels).estimate == pytest.approx(gap)


@pytest.mark.parametrize(
    "function", [intervals.auc, intervals.gini, intervals.average_precision, intervals.ks]
)
def test_ranking_ignores_the_scale_of_the_score_and_names_its_method(function) -> None:
    scores, labels = _sample()
    plain, curved = function(scores, labels), function(scores**3, labels)
    assert (curved.lower, curved.upper) == pytest.approx((plain.lower, plain.upper), abs=2e-3)
    assert plain.lower < plain.estimate < plain.upper
    assert plain.method
    assert function(scores, np.zeros(scores.size)).estimate is None


@pytest.mark.parametrize("function", [intervals.auc, intervals.average_precision])
def test_perfect_separation_is_not_certainty(function) -> None:
    found = function(np.arange(40) / 40, (np.arange(40) >= 30).astype(float))
    assert found.estimate == pytest.approx(1)
    assert found.upper == 1
    assert 0.5 < found.lower < 0.95


@pytest.mark.parametrize(
    "function",
    [
        intervals.auc,
        intervals.average_precision,
        intervals.ks,
        intervals.calibration_slope,
        intervals.calibration_intercept,
    ],
)
def test_copies_of_a_row_do_not_narrow_the_interval(function) -> None:
    scores, labels = _sample(300)
    plain = function(scores, labels)
    copied = function(
        np.repeat(scores, 4), np.repeat(labels, 4), units=np.repeat(np.arange(300), 4)
    )
    careless = function(np.repeat(scores, 4), np.repeat(labels, 4))
    width = plain.upper - plain.lower
    assert copied.upper - copied.lower == pytest.approx(width, rel=0.06)
    assert careless.upper - careless.lower < 0.7 * width


def _binormal(rng, m: int, n: int, area: float, spread: float):
    centre = stats.norm.ppf(area) * math.hypot(1, spread)
    scores = np.concatenate([rng.normal(centre, spread, m), rng.normal(0, 1, n)])
    return scores, np.repeat([1.0, 0.0], [m, n])


@pytest.mark.parametrize(
    ("m", "n", "area", "spread"), [(10, 1000, 0.9, 3), (30, 30, 0.97, 1), (30, 300, 0.7, 1)]
)
def test_auc_covers_where_its_plain_variance_does_not(m, n, area, spread) -> None:
    """DeLong on the logit scale covers 82 % in the first of these (see the benchmark)."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        found = intervals.auc(*_binormal(rng, m, n, area, spread))
        held += found.lower <= area <= found.upper
    assert held >= 0.92 * 400


def test_ks_covers_also_where_both_distributions_agree() -> None:
    rng = np.random.default_rng(0)
    truth = {0.0: 0.0, 1.0: 2 * stats.norm.cdf(0.5) - 1}
    for shift, gap in truth.items():
        held = 0
        for _ in range(200):
            scores = np.concatenate([rng.normal(shift, 1, 60), rng.normal(0, 1, 140)])
            found = intervals.ks(scores, np.repeat([1.0, 0.0], [60, 140]))
            held += found.lower <= gap <= found.upper
        assert held >= 0.92 * 200


def test_average_precision_covers() -> None:
    rng = np.random.default_rng(0)
    big = (rng.random(200_000) < 0.3).astype(float)
    truth = average_precision_score(big, rng.normal(big, 1))
    held = 0
    for _ in range(300):
        labels = (rng.random(300) < 0.3).astype(float)
        found = intervals.average_precision(rng.normal(labels, 1), labels)
        held += found.lower <= truth <= found.upper
    assert held >= 0.92 * 300


def test_calibration_line_agrees_with_logistic_regression() -> None:
    scores, labels = _sample(2000)
    logit = np.log(scores / (1 - scores))
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(logit[:, None], labels)
    slope = intervals.calibration_slope(scores, labels)
    assert slope.estimate == pytest.approx(fitted.coef_[0, 0], abs=1e-4)
    assert slope.lower < slope.estimate < slope.upper


def test_calibration_covers_one_and_zero_for_a_calibrated_score() -> None:
    rng = np.random.default_rng(0)
    held = {"slope": 0, "intercept": 0}
    for _ in range(200):
        scores = rng.beta(1.5, 4, 400)
        labels = (rng.random(400) < scores).astype(float)
        slope = intervals.calibration_slope(scores, labels)
        level = intervals.calibration_intercept(scores, labels)
        held["slope"] += slope.lower <= 1 <= slope.upper
        held["intercept"] += level.lower <= 0 <= level.upper
    assert min(held.values()) >= 0.91 * 200


def test_calibration_without_a_solution_is_not_measurable() -> None:
    scores = np.linspace(0.1, 0.9, 50)
    separated = (scores > 0.5).astype(float)
    assert intervals.calibration_slope(scores, separated).estimate is None
    assert intervals.calibration_slope(scores, np.zeros(50)).estimate is None
    assert intervals.calibration_intercept(scores, np.ones(50)).estimate is None
    assert intervals.calibration_slope(np.full(50, 0.5), separated).estimate is None


def test_kappa_agrees_with_sklearn_and_covers() -> None:
    rng = np.random.default_rng(0)

    def ratings(rows: int):
        truth = rng.integers(0, 4, rows)
        noise = rng.choice([-1, 0, 1], size=rows, p=[0.2, 0.6, 0.2])
        return truth, np.clip(truth + noise, 0, 3)

    first, second = ratings(200_000)
    kappa = cohen_kappa_score(first, second, weights="quadratic")
    assert intervals.weighted_kappa(first, second, levels=4).estimate == pytest.approx(kappa)
    held = 0
    for _ in range(200):
        found = intervals.weighted_kappa(*ratings(120), levels=4)
        held += found.lower <= kappa <= found.upper
    assert held >= 0.91 * 200
    assert intervals.weighted_kappa(np.zeros(5), np.zeros(5), levels=4).estimate is None


def test_mean_is_the_t_interval_and_sums_give_the_same() -> None:
    values = np.random.default_rng(0).normal(2, 3, 25)
    found = intervals.mean(values)
    expected = stats.t.interval(0.95, 24, values.mean(), values.std(ddof=1) / 5)
    assert (found.lower, found.upper) == pytest.approx(expected)
    summed = intervals.mean_from_sums(values.sum(), (values**2).sum(), 25)
    assert (summed.lower, summed.upper) == pytest.approx(expected)
    root = intervals.root_mean(values**2)
    assert root.estimate == pytest.approx(math.sqrt((values**2).mean()))


def test_mean_without_variation_or_rows_has_no_limits() -> None:
    assert intervals.mean(np.full(9, 0.5)).lower is None
    assert intervals.mean(np.zeros(0)).estimate is None
    assert intervals.mean(np.array([1.0, 2.0]), units=np.zeros(2)).upper is None
    assert intervals.mean_from_sums(0.0, 0.0, 0).estimate is None
    assert intervals.mean_from_sums(2.0, 4.0, 1).lower is None


def test_mean_by_unit_covers_where_rows_repeat() -> None:
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(50), 8)
    held, careless = 0, 0
    for _ in range(200):
        values = rng.normal(0, 1, 50)[units] + rng.normal(0, 1, 400)
        found, plain = intervals.mean(values, units=units), intervals.mean(values)
        held += found.lower <= 0 <= found.upper
        careless += plain.lower <= 0 <= plain.upper
    assert held >= 0.91 * 200
    assert careless < 0.8 * 200
