"""Intervals that cover: for rates, for gaps between groups, for ranking, calibration and means.

Every function returns an `Interval` whose limits hold with at least the probability `level`, as
measured by `benchmarks/interval_coverage.py`; each names its method. What cannot be measured has
no estimate, and what has no valid limits has none.
"""

from __future__ import annotations

from verticals.intervals.base import Interval, simultaneous_z, z_value
from verticals.intervals.disparity import (
    difference,
    disparity_difference,
    disparity_ratio,
    mean_disparity,
    ratio,
)
from verticals.intervals.homogeneity import holm, homogeneity, mean_homogeneity
from verticals.intervals.means import (
    calibration_intercept,
    calibration_slope,
    mean,
    mean_from_sums,
    root_mean,
    standard_error,
    weighted_kappa,
)
from verticals.intervals.ranking import auc, average_precision, gini, ks
from verticals.intervals.rates import design_effect, exact, wilson

__all__ = [
    "Interval",
    "auc",
    "average_precision",
    "calibration_intercept",
    "calibration_slope",
    "design_effect",
    "difference",
    "disparity_difference",
    "disparity_ratio",
    "exact",
    "gini",
    "holm",
    "homogeneity",
    "ks",
    "mean",
    "mean_disparity",
    "mean_from_sums",
    "mean_homogeneity",
    "ratio",
    "root_mean",
    "simultaneous_z",
    "standard_error",
    "weighted_kappa",
    "wilson",
    "z_value",
]
