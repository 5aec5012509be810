"""Do decisions and predictions agree with what happened, and distributions with one another?"""

from __future__ import annotations

from typing import Any

import numpy as np

from verticals.errors import DataError
from verticals.metrics._inputs import UNDEFINED, aligned, binary, mean, zero_or_one


def accuracy(target: Any, predicted: Any, weights: Any = None) -> float:
    """Return the share of rows whose prediction equals the target; any codes.

    0..1; compare it with the share of the commonest value. NaN without rows, or with a NaN
    prediction.

    >>> accuracy([0, 1, 1, 2], [0, 1, 0, 2])
    0.75
    """
    values, guesses, weight = aligned(target, predicted, weights, name="predicted")
    return mean(np.where(np.isnan(guesses), UNDEFINED, values == guesses), weight)


def selection_rate(decision: Any, weights: Any = None) -> float:
    """Return the share of decisions that are 1.

    0..1. Demographic parity asks that it is the same in each group; the four-fifths rule that the
    lowest is at least 0.8 of the highest (29 CFR 1607.4 D). Rows without a decision (NaN) are
    left out; NaN if there are no others.

    >>> selection_rate([1, 0, 0, 1])
    0.5
    """
    decided, _, weight = aligned(decision, decision, weights)
    zero_or_one(decided, "decision")
    return mean(decided, weight)


def true_positive_rate(target: Any, decision: Any, weights: Any = None) -> float:
    """Return P(decision = 1 | target = 1): recall, sensitivity.

    0..1. Equal opportunity asks that it is the same in each group (Hardt et al. 2016). NaN where
    no target is 1, or with a NaN decision there.

    >>> true_positive_rate([1, 1, 0, 0], [1, 0, 1, 0])
    0.5
    """
    return _rate(target, decision, weights, given=1.0)


def false_positive_rate(target: Any, decision: Any, weights: Any = None) -> float:
    """Return P(decision = 1 | target = 0): 1 − specificity.

    0..1. Equalised odds asks that it and the true positive rate are the same in each group (Hardt
    et al. 2016). NaN where no target is 0, or with a NaN decision there.

    >>> false_positive_rate([1, 0, 0, 0, 0], [1, 0, 1, 0, 0])
    0.25
    """
    return _rate(target, decision, weights, given=0.0)


def positive_predictive_value(target: Any, decision: Any, weights: Any = None) -> float:
    """Return P(target = 1 | decision = 1): precision.

    0..1. Predictive parity asks that it is the same in each group (Chouldechova 2017). NaN where
    nothing is decided as 1, or with a NaN decision.

    >>> positive_predictive_value([1, 0, 1, 0], [1, 1, 0, 0])
    0.5
    """
    return _predictive(target, decision, weights, decided=1.0)


def negative_predictive_value(target: Any, decision: Any, weights: Any = None) -> float:
    """Return P(target = 0 | decision = 0).

    0..1. NaN where nothing is decided as 0, or with a NaN decision.

    >>> negative_predictive_value([1, 0, 0, 0], [0, 0, 0, 1])
    0.6666666666666667
    """
    return 1 - _predictive(target, decision, weights, decided=0.0)


def rmse(target: Any, predicted: Any, weights: Any = None) -> float:
    """Return the root mean squared error, in the unit of the target.

    0 or more; 0 is perfect, the target's standard deviation is what its mean scores. NaN without
    rows, or with a NaN prediction.

    >>> rmse([1, 2], [1, 4])
    1.4142135623730951
    """
    values, guesses, weight = aligned(target, predicted, weights, name="predicted")
    return float(np.sqrt(mean((values - guesses) ** 2, weight)))


def mae(target: Any, predicted: Any, weights: Any = None) -> float:
    """Return the mean absolute error, in the unit of the target.

    0 or more; 0 is perfect. NaN without rows, or with a NaN prediction.

    >>> mae([1, 2], [1, 4])
    1.0
    """
    values, guesses, weight = aligned(target, predicted, weights, name="predicted")
    return mean(np.abs(values - guesses), weight)


def quadratic_weighted_kappa(target: Any, predicted: Any, weights: Any = None) -> float:
    """Return Cohen's kappa with squared distances: 1 − Σ (i − j)² O_ij / Σ (i − j)² E_ij.

    −1..1; 1 is full agreement, 0 what independent raters with these distributions reach (Cohen
    1968). Takes the codes of ordered levels, 0, 1, 2, … NaN without rows, with a NaN prediction,
    or where both sides hold one and the same level, so that no disagreement is expected.

    >>> round(quadratic_weighted_kappa([0, 1, 2, 2], [0, 2, 2, 1]), 4)
    0.6364
    """
    values, guesses, weight = aligned(target, predicted, weights, name="predicted")
    both = np.concatenate([values, guesses])
    if not both.size or (both == both[0]).all():
        return UNDEFINED
    observed = mean((values - guesses) ** 2, weight)
    # E (X − Y)² of independent X and Y, from their means and variances
    first, second = mean(values, weight), mean(guesses, weight)
    expected = (
        mean((values - first) ** 2, weight)
        + mean((guesses - second) ** 2, weight)
        + (first - second) ** 2
    )
    return 1 - observed / expected


def psi(expected_counts: Any, actual_counts: Any) -> float:
    """Return the population stability index: Σ (a − e) ln(a / e) over the bins' shares e and a.

    0 or more; 0 is no change. By custom below 0.1 is stable and above 0.25 a shift (Siddiqi 2006),
    though it also grows as counts shrink. A bin that only one side fills counts there as half a
    row, since the index would be infinite; a bin that neither fills is left out. NaN where a side
    has no rows. Raises `DataError` for a negative count or sides of different length.

    >>> round(psi([50, 50], [60, 40]), 4)
    0.0405
    """
    expected = np.asarray(expected_counts, dtype=np.float64)
    actual = np.asarray(actual_counts, dtype=np.float64)
    if expected.shape != actual.shape or expected.ndim != 1:
        raise DataError(
            f"counts have shapes {expected.shape} and {actual.shape}, expected the same bins"
        )
    if not ((expected >= 0).all() and (actual >= 0).all()):
        raise DataError("counts hold a negative number or NaN, expected 0 or more")
    if not expected.sum() > 0 or not actual.sum() > 0:
        return UNDEFINED
    either = (expected > 0) | (actual > 0)
    first, second = (np.where(side > 0, side, 0.5)[either] for side in (expected, actual))
    first, second = first / first.sum(), second / second.sum()
    return float(((second - first) * np.log(second / first)).sum())


def _rate(target: Any, decision: Any, weights: Any, *, given: float) -> float:
    labels, decided, weight = binary(target, decision, weights, name="decision")
    zero_or_one(decided, "decision")
    return mean(decided[labels == given], weight[labels == given])


def _predictive(target: Any, decision: Any, weights: Any, *, decided: float) -> float:
    labels, decisions, weight = binary(target, decision, weights, name="decision")
    zero_or_one(decisions, "decision")
    if np.isnan(decisions).any():
        return UNDEFINED
    return mean(labels[decisions == decided], weight[decisions == decided])
