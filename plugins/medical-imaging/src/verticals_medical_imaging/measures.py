"""Definitions in numpy: calibration in bins, prediction sets, and what a stratum alone predicts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verticals.table import Array

SEPARATOR = "|"  # between the values of a prediction set, as the output is written

MOST_BINS = 10
BIN_ROWS = 20  # images that a bin holds at the least, where scores do not tie
FOLDS = 5
PERMUTATIONS = 999


def score_bins(score: Array) -> Array:
    """Return (rows,) the bin of each score: about equally many images in each, ties together.

    At most 10 bins, and about 20 images in each at the least.
    """
    many = int(np.clip(score.size // BIN_ROWS, 1, MOST_BINS))
    inner = np.quantile(score, np.arange(1, many) / many) if score.size else np.zeros(0)
    place = np.searchsorted(inner, score, side="left")
    return np.asarray(np.unique(place, return_inverse=True)[1], dtype=np.int64)


def bin_gaps(score: Array, label: Array, place: Array) -> Array:
    """Return (bins,) the share of each bin × (mean score − share of positives)."""
    return np.bincount(place, (score - label) / max(score.size, 1))


def calibration_error(score: Array, label: Array) -> float | None:
    """Return the expected calibration error: Σ share of bin × |mean score − share of positives|.

    0..1; 0 is good. Bins of equal counts (Nixon et al., CVPR workshops 2019). It is biased
    upwards on few images, also where the score is right. None without images.

    >>> round(calibration_error(np.array([0.2, 0.2, 0.2, 0.2]), np.array([0, 0, 0, 1])), 4)
    0.05
    """
    if not score.size:
        return None
    return float(np.abs(bin_gaps(score, label, score_bins(score))).sum())


def set_sizes(sets: Array) -> Array:
    """Return (rows,) how many values each prediction set holds; the empty text holds none.

    >>> set_sizes(np.array(["yes|no", "yes", ""], dtype=object)).tolist()
    [2, 1, 0]
    """
    return np.array([len(_values(item)) for item in sets.tolist()], dtype=np.int64)


def set_holds(sets: Array, value: str) -> Array:
    """Return (rows,) True where the prediction set holds the value.

    >>> set_holds(np.array(["yes|no", "no", ""], dtype=object), "yes").tolist()
    [True, False, False]
    """
    return np.array([value in _values(item) for item in sets.tolist()], dtype=bool)


def stratum_score(
    group: Array, positives: Mapping[str, float], totals: Mapping[str, float]
) -> Array:
    """Return (rows,) the share of positives in each row's stratum, by counts of other rows.

    Each share is drawn towards that of all strata by one row, so that a stratum of two images
    says little; an unknown stratum gets the share of all.
    """
    everybody = sum(totals.values())
    base = sum(positives.values()) / everybody if everybody else 0.5
    shares = {
        name: (positives.get(name, 0.0) + base) / (total + 1) for name, total in totals.items()
    }
    return np.array([shares.get(name, base) for name in group.tolist()], dtype=float)


def cross_fitted_score(group: Array, label: Array, unit: Array, seed: int = 0) -> Array:
    """Return (rows,) `stratum_score` by the rows of persons in other folds (5, by person)."""
    person = np.unique(unit, return_inverse=True)[1]
    fold = np.random.default_rng(seed).permutation(int(person.max(initial=-1)) + 1)[person] % FOLDS
    found = np.zeros(group.size)
    for number in range(FOLDS):
        here = fold == number
        positives, totals = stratum_counts(group[~here], label[~here])
        found[here] = stratum_score(group[here], positives, totals)
    return found


def stratum_counts(group: Array, label: Array) -> tuple[dict[str, float], dict[str, float]]:
    """Return the positives and the images of each stratum."""
    names, code = np.unique(group.astype(str), return_inverse=True)
    positives = np.bincount(code, label, names.size)
    totals = np.bincount(code, minlength=names.size)
    return (
        {str(name): float(value) for name, value in zip(names, positives, strict=True)},
        {str(name): float(value) for name, value in zip(names, totals, strict=True)},
    )


def area(score: Array, label: Array) -> float:
    """Return the area under the ROC curve; ties count half. Both classes must occur."""
    values, code = np.unique(score, return_inverse=True)
    above = np.bincount(code, label, values.size)  # positives at each value
    below = np.bincount(code, 1 - label, values.size)
    under = np.cumsum(below) - below / 2
    return float((above * under).sum() / (above.sum() * below.sum()))


def permutation_p(score: Array, label: Array, unit: Array, seed: int = 0) -> float:
    """Return the p-value of "the score says nothing of the label", one-sided.

    Whole persons change places, each with the mean of the person's scores; (b + 1) / (B + 1) with
    B = 999 (Phipson & Smyth 2010).
    """
    person = np.unique(unit, return_inverse=True)[1]
    mean = np.bincount(person, score) / np.bincount(person)
    seen = area(mean[person], label)
    random = np.random.default_rng(seed)
    beyond = sum(
        area(random.permutation(mean)[person], label) >= seen - 1e-12 for _ in range(PERMUTATIONS)
    )
    return (beyond + 1) / (PERMUTATIONS + 1)


def _values(text: str | None) -> list[str]:
    return text.split(SEPARATOR) if text else []
