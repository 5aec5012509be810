"""Measure performance, calibration and agreement: definitions in numpy, one function each.

Arguments are arrays of (rows,): `target` first (0 and 1, or codes; rows where it is NaN are left
out), then what is compared with it, then optional `weights` (0 or more). What cannot be measured
is NaN, never 0; a missing score or decision makes the result NaN, since a model that fails on a
row must not look better for it. Raise `DataError` for arrays that do not fit.
"""

from verticals.metrics.agreement import (
    accuracy,
    false_positive_rate,
    mae,
    negative_predictive_value,
    positive_predictive_value,
    psi,
    quadratic_weighted_kappa,
    rmse,
    selection_rate,
    true_positive_rate,
)
from verticals.metrics.calibration import (
    brier,
    calibration_curve,
    calibration_gap,
    calibration_slope_intercept,
    expected_calibration_error,
    log_loss,
)
from verticals.metrics.discrimination import average_precision, gini, ks_statistic, roc_auc

__all__ = [
    "accuracy",
    "average_precision",
    "brier",
    "calibration_curve",
    "calibration_gap",
    "calibration_slope_intercept",
    "expected_calibration_error",
    "false_positive_rate",
    "gini",
    "ks_statistic",
    "log_loss",
    "mae",
    "negative_predictive_value",
    "positive_predictive_value",
    "psi",
    "quadratic_weighted_kappa",
    "rmse",
    "roc_auc",
    "selection_rate",
    "true_positive_rate",
]
