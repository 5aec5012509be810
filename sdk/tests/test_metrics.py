"""Metrics: equal to scikit-learn where it has them, to plain Python where not; NaN if undefined."""

from __future__ import annotations

import doctest
import importlib
import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import calibration as sk_calibration
from sklearn import metrics as sk
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from verticals import metrics
from verticals.errors import CallError, DataError

MODULES = ("agreement", "calibration", "discrimination")
LOOSE = settings(deadline=None, max_examples=60)

# A coarse grid, so that there are ties; two ends, so that 0 and 1 come up.
SCORES = st.sampled_from([0.0, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.500001, 0.75, 0.9, 1.0])
ROWS = st.lists(
    st.tuples(st.integers(0, 1), SCORES, st.sampled_from([0.0, 0.5, 1.0, 3.0])),
    min_size=1,
    max_size=40,
)


def columns(rows):
    target, score, weights = np.array(rows, dtype=float).T
    return target, score, weights


def weighed(rows):
    """Return the columns if both outcomes carry weight; pass the example over otherwise."""
    target, score, weights = columns(rows)
    assume(weights[target == 1].sum() > 0)
    assume(weights[target == 0].sum() > 0)
    return target, score, weights


close = pytest.approx


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_documentation_are_true(name):
    module = importlib.import_module(f"verticals.metrics.{name}")
    found = doctest.testmod(module)
    assert found.failed == 0
    public = [
        item for item in metrics.__all__ if getattr(metrics, item).__module__ == module.__name__
    ]
    assert found.attempted >= len(public) - 1  # calibration_curve gives a table


def test_every_metric_is_exported_and_says_its_range():
    for name in metrics.__all__:
        text = getattr(metrics, name).__doc__
        assert "NaN" in text, name


# Ranking


@LOOSE
@given(rows=ROWS)
def test_ranking_equals_scikit_learn(rows):
    target, score, weights = weighed(rows)
    for given_weights in (None, weights):
        expected = sk.roc_auc_score(target, score, sample_weight=given_weights)
        assert metrics.roc_auc(target, score, given_weights) == close(expected)
        assert metrics.gini(target, score, given_weights) == close(2 * expected - 1)
        assert metrics.average_precision(target, score, given_weights) == close(
            sk.average_precision_score(target, score, sample_weight=given_weights)
        )
        false, true, _ = sk.roc_curve(
            target, score, sample_weight=given_weights, drop_intermediate=False
        )
        assert metrics.ks_statistic(target, score, given_weights) == close(
            np.abs(true - false).max()
        )


@LOOSE
@given(rows=ROWS)
def test_ranking_does_not_depend_on_scale_or_order(rows):
    target, score, weights = weighed(rows)
    order = np.random.default_rng(0).permutation(len(target))
    for metric in (metrics.roc_auc, metrics.average_precision, metrics.ks_statistic):
        expected = metric(target, score, weights)
        assert metric(target, np.exp(5 * score) - 9, weights) == close(expected)
        assert metric(target[order], score[order], weights[order]) == close(expected)
    assert metrics.roc_auc(target, -score, weights) == close(
        1 - metrics.roc_auc(target, score, weights)
    )


def test_ties_count_half():
    assert metrics.roc_auc([0, 1], [0.5, 0.5]) == 0.5
    assert metrics.roc_auc([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9]) == 0.875
    assert metrics.ks_statistic([0, 1], [0.5, 0.5]) == 0.0


# Calibration


@LOOSE
@given(rows=ROWS)
def test_proper_scores_equal_scikit_learn(rows):
    target, score, weights = weighed(rows)
    for given_weights in (None, weights):
        assert metrics.brier(target, score, given_weights) == close(
            sk.brier_score_loss(target, score, sample_weight=given_weights)
        )
        assert metrics.log_loss(target, score, given_weights) == close(
            sk.log_loss(target, score, sample_weight=given_weights)
        )
        assert metrics.calibration_gap(target, score, given_weights) == close(
            np.average(score - target, weights=given_weights), abs=1e-12
        )


@LOOSE
@given(rows=ROWS, bins=st.integers(1, 12))
def test_the_calibration_curve_equals_scikit_learn(rows, bins):
    target, score, _ = columns(rows)
    assume(len(set(target)) == 2)
    for strategy in ("uniform", "quantile"):
        rate, predicted = sk_calibration.calibration_curve(
            target, score, n_bins=bins, strategy=strategy
        )
        found = metrics.calibration_curve(target, score, bins=bins, strategy=strategy)
        np.testing.assert_allclose(found["rate"], rate)
        np.testing.assert_allclose(found["mean_score"], predicted)
        assert found["n"].sum() == len(target)
        slack = 1e-12
        assert (found["lower"] <= found["mean_score"] + slack).all()
        assert (found["mean_score"] <= found["upper"] + slack).all()


@LOOSE
@given(rows=ROWS, bins=st.sampled_from([1, 2, 4, 7, 8]))  # no edge that rounds beside a score
def test_calibration_error_is_the_weighted_gap_of_the_bins(rows, bins):
    target, score, weights = weighed(rows)
    gap = 0.0
    for place in range(bins):
        lower, upper = place / bins, (place + 1) / bins
        inside = (score <= upper) & ((score > lower) | ((place == 0) & (score == 0)))
        held = weights[inside]
        if held.sum():
            gap += abs((held * (target[inside] - score[inside])).sum())
    found = metrics.expected_calibration_error(target, score, weights, bins=bins)
    assert found == close(gap / weights.sum(), abs=1e-12)


def test_equal_scores_stay_in_one_quantile_bin():
    curve = metrics.calibration_curve([0, 1] * 50, [0.3] * 99 + [0.9], bins=10)
    assert curve["n"].tolist() == [99, 1]
    curve = metrics.calibration_curve([0, 1, 1], [0.4, 0.4, 0.4])
    assert curve["n"].tolist() == [3]
    assert curve["lower"].tolist() == curve["upper"].tolist() == [0.4]


@LOOSE
@given(rows=ROWS)
def test_slope_and_intercept_equal_a_logistic_regression(rows):
    target, score, weights = weighed(rows)
    score = np.clip(score, 0.001, 0.999)
    odds = np.log(score / (1 - score))
    kept = weights > 0
    for given_weights in (None, weights):
        used = kept if given_weights is not None else np.ones(len(target), dtype=bool)
        zeros, ones = odds[used & (target == 0)], odds[used & (target == 1)]
        slope, intercept = metrics.calibration_slope_intercept(target, score, given_weights)
        if zeros.max() <= ones.min() or ones.max() <= zeros.min():
            assert math.isnan(slope)
            assert math.isnan(intercept)
            continue
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000)
        with warnings.catch_warnings():
            # Where the outcomes balance exactly it says that it goes on with another solver.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(odds[:, None], target, sample_weight=given_weights)
        assert slope == close(model.coef_[0, 0], rel=1e-4, abs=1e-4)
        assert intercept == close(model.intercept_[0], rel=1e-4, abs=1e-4)


def test_slope_and_intercept_tell_what_was_done_to_the_scores():
    generator = np.random.default_rng(0)
    odds = generator.normal(-1, 1.5, 200_000)
    target = (generator.random(200_000) < 1 / (1 + np.exp(-odds))).astype(float)

    def fitted(changed):
        return metrics.calibration_slope_intercept(target, 1 / (1 + np.exp(-changed)))

    assert fitted(odds) == close((1, 0), abs=0.03)
    assert fitted(2 * odds) == close((0.5, 0), abs=0.03)  # too extreme
    assert fitted(odds + 1) == close((1, -1), abs=0.03)  # too high
    assert fitted(-odds)[0] == close(-1, abs=0.03)


def test_slope_and_intercept_of_hard_scores():
    """Scores of 0 and 1, and scores close together, must neither overflow nor stop early."""
    target = np.array([0, 1, 0, 1, 1, 0, 1, 0.0])
    hard = np.array([0, 1, 1, 0, 1, 0, 1, 0.0])
    slope, intercept = metrics.calibration_slope_intercept(target, hard)
    rate = 1 / (1 + np.exp(-(intercept + slope * np.log((1 - 2.2e-16) / 2.2e-16))))
    assert rate == close(0.75, abs=0.01)
    near = 0.5 + 1e-9 * np.arange(8)
    slope, intercept = metrics.calibration_slope_intercept(target, near)
    assert math.isfinite(slope)
    assert 0.3 < (1 / (1 + np.exp(-(intercept + slope * np.log(near / (1 - near)))))).mean() < 0.7


# Agreement


CODES = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.5, 1.0, 2.0])),
    min_size=1,
    max_size=30,
)


@LOOSE
@given(rows=CODES)
def test_agreement_of_codes_equals_scikit_learn(rows):
    target, predicted, weights = columns(rows)
    for given_weights in (None, weights):
        assert metrics.accuracy(target, predicted, given_weights) == close(
            sk.accuracy_score(target, predicted, sample_weight=given_weights)
        )
        assert metrics.rmse(target, predicted, given_weights) == close(
            sk.root_mean_squared_error(target, predicted, sample_weight=given_weights)
        )
        assert metrics.mae(target, predicted, given_weights) == close(
            sk.mean_absolute_error(target, predicted, sample_weight=given_weights)
        )
        kappa = metrics.quadratic_weighted_kappa(target, predicted, given_weights)
        if len({*target, *predicted}) == 1:
            assert math.isnan(kappa)
        else:
            expected = sk.cohen_kappa_score(
                target,
                predicted,
                weights="quadratic",
                labels=list(range(5)),
                sample_weight=given_weights,
            )
            assert kappa == close(expected, abs=1e-9)


@LOOSE
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from([0.0, 1.0, 2.5])),
        min_size=1,
        max_size=30,
    )
)
def test_rates_are_ratios_of_cells_and_undefined_without_a_denominator(rows):
    target, decision, weights = columns(rows)
    cell = {(y, d): weights[(target == y) & (decision == d)].sum() for y in (0, 1) for d in (0, 1)}

    def ratio(part, rest):
        return part / (part + rest) if part + rest else math.nan

    expected = {
        "true_positive_rate": ratio(cell[1, 1], cell[1, 0]),
        "false_positive_rate": ratio(cell[0, 1], cell[0, 0]),
        "positive_predictive_value": ratio(cell[1, 1], cell[0, 1]),
        "negative_predictive_value": ratio(cell[0, 0], cell[1, 0]),
    }
    for name, value in expected.items():
        found = getattr(metrics, name)(target, decision, weights)
        assert found == close(value, nan_ok=True), name
    assert metrics.selection_rate(decision, weights) == close(
        ratio(cell[0, 1] + cell[1, 1], cell[0, 0] + cell[1, 0]), nan_ok=True
    )


@LOOSE
@given(pairs=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=10))
def test_psi_is_symmetric_zero_for_equal_shares_and_positive(pairs):
    expected, actual = np.array(pairs, dtype=float).T
    found = metrics.psi(expected, actual)
    if not expected.sum() or not actual.sum():
        assert math.isnan(found)
        return
    assert found == close(metrics.psi(actual, expected), abs=1e-12)
    assert found >= -1e-15
    assert metrics.psi(expected, 7 * expected) == close(0, abs=1e-12)
    assert metrics.psi([*expected, 0], [*actual, 0]) == close(found)


def test_psi_by_hand():
    shares = np.array([0.2, 0.3, 0.5]), np.array([0.3, 0.3, 0.4])
    by_hand = sum((a - e) * math.log(a / e) for e, a in zip(*shares, strict=True))
    assert metrics.psi(*(100 * side for side in shares)) == close(by_hand)
    # a bin that one side lacks counts as half a row there
    assert metrics.psi([10, 0], [9.5, 0.5]) == close(metrics.psi([10, 0.5], [9.5, 0.5]))
    assert math.isfinite(metrics.psi([10, 0], [0, 10]))


# What is undefined, and what is refused


TWO_SIDED = (
    *("average_precision", "brier", "calibration_gap", "expected_calibration_error"),
    *("gini", "ks_statistic", "log_loss", "roc_auc"),
)
DECIDED = (
    *("accuracy", "mae", "rmse", "quadratic_weighted_kappa", "true_positive_rate"),
    *("false_positive_rate", "positive_predictive_value", "negative_predictive_value"),
)


@pytest.mark.parametrize("name", [*TWO_SIDED, *DECIDED])
def test_no_rows_and_missing_values_are_undefined(name):
    metric = getattr(metrics, name)
    assert math.isnan(metric([], []))
    assert math.isnan(metric([np.nan], [1.0]))
    assert math.isnan(metric([1.0, 0.0], [1.0, 0.0], [0.0, 0.0]))
    # a model that fails on a row must not look better for it
    assert math.isnan(metric([0, 1, 0, 1], [0, 1, np.nan, np.nan]))
    # a row whose outcome is not known says nothing
    known = metric([0, 1, 1, 0], [0, 1, 0, 1])
    assert metric([0, 1, 1, 0, np.nan], [0, 1, 0, 1, 1]) == known
    assert metric([0, 1, 1, 0, 1], [0, 1, 0, 1, np.nan], [1, 1, 1, 1, 0]) == known


@pytest.mark.parametrize("name", ["roc_auc", "gini", "ks_statistic"])
@pytest.mark.parametrize("target", [[0, 0], [1, 1]])
def test_ranking_needs_both_outcomes(name, target):
    assert math.isnan(getattr(metrics, name)(target, [0.1, 0.2]))


def test_other_undefined_values():
    assert math.isnan(metrics.average_precision([0, 0], [0.1, 0.2]))
    assert metrics.average_precision([1, 1], [0.1, 0.2]) == 1
    assert math.isnan(metrics.selection_rate([]))
    assert math.isnan(metrics.selection_rate([np.nan]))
    assert metrics.selection_rate([np.nan, 1]) == 1
    assert metrics.calibration_curve([0, 1], [0.5, np.nan]).rows == 0
    assert metrics.calibration_curve([], []).rows == 0
    for target, score in (
        ([0, 1], [0.5, np.nan]),
        ([], []),
        ([1, 1], [0.2, 0.8]),
        ([0, 1], [0.5, 0.5]),
    ):
        assert all(map(math.isnan, metrics.calibration_slope_intercept(target, score)))
    assert math.isnan(metrics.psi([0, 0], [1, 2]))


@pytest.mark.parametrize("name", [*TWO_SIDED, *DECIDED])
def test_arrays_that_do_not_fit_are_refused(name):
    metric = getattr(metrics, name)
    for arguments in (
        ([0, 1], [0.5]),
        ([0, 1], [0.5, 0.5], [1]),
        ([0, 1], [0.5, 0.5], [1, -1]),
        ([0, 1], [0.5, 0.5], [1, np.inf]),
        ([0, 1], [0.5, 0.5], [1, np.nan]),
        ([[0, 1]], [[0.5, 0.5]]),
        ([0, 1], ["SECRET", 0.5]),
        ([0, 1], [None, object()]),
    ):
        with pytest.raises(DataError) as caught:
            metric(*arguments)
        assert "expected" in caught.value.message
        assert "SECRET" not in caught.value.message


@pytest.mark.parametrize("name", TWO_SIDED)
def test_binary_targets_are_0_and_1(name):
    with pytest.raises(DataError, match="target"):
        getattr(metrics, name)([1, 2], [0.5, 0.5])


@pytest.mark.parametrize("name", ["brier", "log_loss", "calibration_gap", "calibration_curve"])
def test_probabilities_are_within_0_and_1(name):
    for score in (1.01, -0.01, np.inf):
        with pytest.raises(DataError, match=r"expected 0\.\.1"):
            getattr(metrics, name)([0, 1], [0.5, score])


@pytest.mark.parametrize("name", ["true_positive_rate", "positive_predictive_value"])
def test_decisions_are_0_and_1(name):
    with pytest.raises(DataError, match="decision"):
        getattr(metrics, name)([0, 1], [0.5, 1])
    with pytest.raises(DataError, match="decision"):
        metrics.selection_rate([0.5])


def test_bins_and_counts_that_make_no_sense():
    with pytest.raises(CallError, match="bins is 0"):
        metrics.calibration_curve([0, 1], [0.5, 0.5], bins=0)
    with pytest.raises(CallError, match="strategy is 'even'"):
        metrics.calibration_curve([0, 1], [0.5, 0.5], strategy="even")
    for counts in (([1, 2], [1]), ([1, -2], [1, 2]), ([1, np.nan], [1, 2]), ([[1]], [[1]])):
        with pytest.raises(DataError):
            metrics.psi(*counts)


def test_many_rows_take_no_loop():
    generator = np.random.default_rng(0)
    score = generator.random(300_000)
    target = (generator.random(300_000) < score).astype(float)
    assert metrics.roc_auc(target, score) == close(5 / 6, abs=0.01)
    assert metrics.expected_calibration_error(target, score) < 0.005
    assert metrics.calibration_slope_intercept(target, score) == close((1, 0), abs=0.02)
