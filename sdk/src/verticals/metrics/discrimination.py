"""Does the score rank those with the outcome above those without it?"""

from __future__ import annotations

from typing import Any

import numpy as np

from verticals.metrics._inputs import UNDEFINED, binary
from verticals.table import Array


def roc_auc(target: Any, score: Any, weights: Any = None) -> float:
    """Return the area under the ROC curve: P(positive scores above negative) + P(tie) / 2.

    0..1; 0.5 is chance, 1 a perfect ranking. The Mann-Whitney statistic (Hanley & McNeil 1982). A
    fair model ranks equally well in each group. NaN without both outcomes, or with a NaN score.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    negatives, positives = _by_score(target, score, weights)
    if not negatives.sum() > 0 or not positives.sum() > 0:
        return UNDEFINED
    below = np.cumsum(negatives) - negatives  # negatives with a lower score
    wins = (positives * (below + negatives / 2)).sum()
    return float(wins / (positives.sum() * negatives.sum()))


def gini(target: Any, score: Any, weights: Any = None) -> float:
    """Return the Gini coefficient of a score (accuracy ratio, Somers' D): 2 AUC − 1.

    −1..1; 0 is chance. NaN where the AUC is.

    >>> gini([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.5
    """
    return 2 * roc_auc(target, score, weights) - 1


def ks_statistic(target: Any, score: Any, weights: Any = None) -> float:
    """Return the Kolmogorov-Smirnov distance: max over cuts of |F1(score) − F0(score)|.

    0..1; the largest difference between true and false positive rate at any cut. 0 is chance. NaN
    without both outcomes, or with a NaN score.

    >>> ks_statistic([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.5
    """
    negatives, positives = _by_score(target, score, weights)
    if not negatives.sum() > 0 or not positives.sum() > 0:
        return UNDEFINED
    first = np.cumsum(positives) / positives.sum()
    second = np.cumsum(negatives) / negatives.sum()
    return float(np.abs(first - second).max())


def average_precision(target: Any, score: Any, weights: Any = None) -> float:
    """Return the average precision: Σ (R_k − R_{k−1}) P_k over the distinct scores, highest first.

    0..1; chance is the share of positives, so compare groups only with that in mind. No
    interpolation between points (Davis & Goadrich 2006). NaN without positives, or with a NaN
    score.

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    negatives, positives = _by_score(target, score, weights)
    if not positives.sum() > 0:
        return UNDEFINED
    hits = np.cumsum(positives[::-1])
    taken = np.cumsum((positives + negatives)[::-1])
    return float((positives[::-1] * hits / taken).sum() / positives.sum())


def _by_score(target: Any, score: Any, weights: Any) -> tuple[Array, Array]:
    """Return the weight of negatives and of positives at each distinct score, lowest first."""
    labels, scores, weight = binary(target, score, weights)
    if np.isnan(scores).any():
        return np.zeros(0), np.zeros(0)
    values, place = np.unique(scores, return_inverse=True)
    positives = np.bincount(place, labels * weight, len(values))
    negatives = np.bincount(place, (1 - labels) * weight, len(values))
    return negatives, positives
