"""Does a score of 0.2 mean two in ten?"""

from __future__ import annotations

from typing import Any

import numpy as np

from verticals.errors import CallError
from verticals.metrics._inputs import UNDEFINED, mean, probabilities
from verticals.table import Array, Table

_EPSILON = float(np.finfo(np.float64).eps)
_MOST_STEPS = 100


def brier(target: Any, score: Any, weights: Any = None) -> float:
    """Return the Brier score: mean of (score − target)².

    0..1; 0 is perfect, share × (1 − share) is what the constant share of positives scores (Brier
    1950). It mixes calibration and ranking. NaN without rows, or with a NaN score.

    >>> brier([0, 1, 1], [0.5, 0.5, 1.0])
    0.16666666666666666
    """
    labels, scores, weight = probabilities(target, score, weights)
    return mean((scores - labels) ** 2, weight)


def log_loss(target: Any, score: Any, weights: Any = None) -> float:
    """Return the mean negative log-likelihood: −mean(y ln p + (1 − y) ln(1 − p)).

    0 or more, in nats; 0 is perfect, ln 2 = 0.693 a constant score of one half. Scores are held
    2.2e-16 away from 0 and 1, so a wrong certainty costs 36 and not infinity. NaN without rows, or
    with a NaN score.

    >>> round(log_loss([0, 1], [0.5, 0.5]), 4)
    0.6931
    """
    labels, scores, weight = probabilities(target, score, weights)
    inside = np.clip(scores, _EPSILON, 1 - _EPSILON)
    return mean(-np.where(labels == 1, np.log(inside), np.log1p(-inside)), weight)


def calibration_gap(target: Any, score: Any, weights: Any = None) -> float:
    """Return mean score − share of positives (calibration in the large).

    −1..1; 0 is good, above 0 the score says more than happens. A fair model has the same gap, near
    0, in each group. NaN without rows, or with a NaN score.

    >>> round(calibration_gap([0, 1, 0, 0], [0.2, 0.6, 0.3, 0.3]), 4)
    0.1
    """
    labels, scores, weight = probabilities(target, score, weights)
    return mean(scores - labels, weight)


def calibration_curve(
    target: Any, score: Any, weights: Any = None, *, bins: int = 10, strategy: str = "quantile"
) -> Table:
    """Return one row for each bin of scores: lower, upper, n, weight, mean_score, rate.

    `rate` is the share of positives; on a calibrated model it equals `mean_score`. `strategy` is
    `quantile` (about equally many rows in each bin; equal scores stay together, so there may be
    fewer bins) or `uniform` (bins of equal width; empty ones are left out). A bin holds the scores
    above `lower` and up to `upper`, the first one `lower` too. No rows where a score is NaN.
    """
    labels, scores, weight = probabilities(target, score, weights)
    if np.isnan(scores).any():
        labels, scores, weight = labels[:0], scores[:0], weight[:0]
    edges = _edges(scores, bins, strategy)
    place = np.searchsorted(edges[1:-1], scores, side="left")
    count = np.bincount(place, minlength=len(edges) - 1)
    total = np.bincount(place, weight, len(edges) - 1)
    full = count > 0
    return Table(
        {
            "lower": edges[:-1][full],
            "upper": edges[1:][full],
            "n": count[full],
            "weight": total[full],
            "mean_score": (np.bincount(place, scores * weight, len(count))[full] / total[full]),
            "rate": (np.bincount(place, labels * weight, len(count))[full] / total[full]),
        }
    )


def expected_calibration_error(
    target: Any, score: Any, weights: Any = None, *, bins: int = 10, strategy: str = "uniform"
) -> float:
    """Return the expected calibration error: Σ share of bin × |rate − mean score|.

    0..1; 0 is good. Bins of equal width (Naeini et al. 2015). It is biased upwards on few rows and
    depends on the bins, so name them beside it. NaN without rows, or with a NaN score.

    >>> round(expected_calibration_error([0, 1, 0, 1], [0.15, 0.15, 0.95, 0.95]), 4)
    0.4
    """
    curve = calibration_curve(target, score, weights, bins=bins, strategy=strategy)
    return mean(np.abs(curve["rate"] - curve["mean_score"]), curve["weight"])


def calibration_slope_intercept(
    target: Any, score: Any, weights: Any = None
) -> tuple[float, float]:
    """Return slope b and intercept a of logit P(target = 1) = a + b logit(score) (Cox 1958).

    Slope 1 with intercept 0 is good. A slope below 1 says that scores are too extreme (the model is
    overfitted), above 1 too timid; an intercept below 0 beside slope 1 says that they are too
    high. The maximum likelihood fit, by Newton's method. (NaN, NaN) where there is none: one
    outcome only, one score only, outcomes that a cut of the score separates, or a NaN score.

    >>> slope, intercept = calibration_slope_intercept([0, 0, 1, 0, 1, 1], [.2, .2, .2, .8, .8, .8])
    >>> round(slope, 4), round(intercept, 4)
    (0.5, 0.0)
    """
    labels, scores, weight = probabilities(target, score, weights)
    inside = np.clip(scores, _EPSILON, 1 - _EPSILON)
    odds = np.log(inside) - np.log1p(-inside)
    if np.isnan(odds).any() or _separated(odds[labels == 0], odds[labels == 1]):
        return UNDEFINED, UNDEFINED
    centre, spread = mean(odds, weight), odds.std()
    fitted = _logistic(labels, (odds - centre) / spread, weight / weight.sum())
    if fitted is None:
        return UNDEFINED, UNDEFINED
    slope = fitted[1] / spread
    return float(slope), float(fitted[0] - slope * centre)


def _separated(negatives: Array, positives: Array) -> bool:
    """Tell whether the likelihood has no maximum (Albert & Anderson 1984, for one covariate)."""
    if not negatives.size or not positives.size:
        return True
    ends = negatives.min(), negatives.max(), positives.min(), positives.max()
    return bool(ends[1] <= ends[2] or ends[3] <= ends[0])


def _logistic(labels: Array, x: Array, weight: Array) -> Array | None:
    """Return intercept and slope of a logistic regression on one covariate, or None.

    Newton's method; a step that does not raise the concave log-likelihood is halved.
    """
    design = np.column_stack([np.ones_like(x), x])  # (rows, 2)

    def likelihood(point: Array) -> float:
        line = design @ point
        return float((weight * (labels * line - np.logaddexp(0, line))).sum())

    point, reached = np.zeros(2), likelihood(np.zeros(2))
    for _ in range(_MOST_STEPS):
        line = design @ point
        fitted = np.exp(-np.logaddexp(0, -line))
        gradient = design.T @ (weight * (labels - fitted))
        if np.abs(gradient).max() < 1e-12:
            return point
        curvature = (design * (weight * fitted * (1 - fitted))[:, None]).T @ design
        if np.linalg.cond(curvature) > 1e14:
            return None
        step = np.linalg.solve(curvature, gradient)
        while (found := likelihood(point + step)) < reached and np.abs(step).max() > 1e-14:
            step = step / 2
        if found < reached:
            return point  # as near as float64 comes
        point, reached = point + step, found
    return None


def _edges(scores: Array, bins: int, strategy: str) -> Array:
    if bins < 1:
        raise CallError(f"bins is {bins}, expected 1 or more")
    if strategy == "uniform":
        return np.linspace(0, 1, bins + 1)
    if strategy != "quantile":
        raise CallError(f"strategy is {strategy!r}, expected 'quantile' or 'uniform'")
    if not scores.size:
        return np.array([0.0, 1.0])
    # As scikit-learn has it, to the last digit: an edge often is a score, and rounding moves it.
    edges: Array = np.percentile(scores, np.linspace(0, 1, bins + 1) * 100)
    return edges
