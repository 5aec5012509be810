"""How well one column alone tells another: the measure behind suspected leaks and proxies."""

from __future__ import annotations

import numpy as np

from verticals.contract.profile import MOST_VALUES, Profile
from verticals.table import Array

BINS = 64
MOST_ROWS = 50_000
LEAST = 20  # rows on either side, below which nothing is said


def alone_auc(cells: Array, truth: Array) -> float | None:
    """Return how well one column alone separates two groups of rows: AUC from 0.5 to 1.

    `cells` are (rows,) codes from 0 of the column's values or bins, `truth` is a (rows,) mask.
    Each half of the rows (the even and the odd ones) is scored by the share of true rows that
    its cell has in the other half, so that a column of many values gains nothing by chance.
    None where either side has fewer than 20 rows.
    """
    if min(int(truth.sum()), int((~truth).sum())) < LEAST:
        return None
    width = int(cells.max()) + 1
    even = np.arange(cells.shape[0]) % 2 == 0
    found = []
    for here in (even, ~even):
        there = ~here
        total = np.bincount(cells[there], minlength=width)
        true = np.bincount(cells[there & truth], minlength=width)
        score = (true + truth.mean()) / (total + 1)
        positives = np.bincount(cells[here & truth], minlength=width)
        negatives = np.bincount(cells[here & ~truth], minlength=width)
        found.append(_auc(score, positives, negatives))
    return float(np.mean(found))


def _auc(score: Array, positives: Array, negatives: Array) -> float:
    """Return the AUC of cells that share scores; ties count one half."""
    if not positives.sum() or not negatives.sum():
        return 0.5
    _, rank = np.unique(score, return_inverse=True)
    up = np.bincount(rank, weights=positives)
    down = np.bincount(rank, weights=negatives)
    below = np.cumsum(down) - down
    return float((up * (below + down / 2)).sum() / (up.sum() * down.sum()))


def rank_auc(places: Array, truth: Array) -> float:
    """Return the AUC, from 0.5 to 1, of a number as it is, rising or falling with `truth`.

    `places` are (rows,) ranks of the number from 0, -1 where it is missing; those are left out.
    """
    width = int(places.max()) + 1
    present = places >= 0
    positives = np.bincount(places[present & truth], minlength=width)
    negatives = np.bincount(places[present & ~truth], minlength=width)
    auc = _auc(np.arange(width), positives, negatives)
    return max(auc, 1 - auc)


def _places(numbers: Array) -> Array:
    missing = np.isnan(numbers)
    places = np.full(numbers.shape[0], -1, dtype=np.intp)
    places[~missing] = np.unique(numbers[~missing], return_inverse=True)[1]
    return places


def _cells(column: Profile, rows: Array) -> Array | None:
    """Return codes of a column's values, or of its quantile bins, for some rows; 0 is missing.

    None where the column has no values to speak of.
    """
    if column.numbers is not None and column.distinct > BINS:
        numbers = column.numbers[rows]
        missing = np.isnan(numbers)
        if missing.all():
            return None
        bins = min(BINS, max(4, len(rows) // 10))  # few enough to hold some rows each
        edges = np.unique(np.quantile(numbers[~missing], np.linspace(0, 1, bins + 1)[1:-1]))
        return np.where(missing, 0, np.searchsorted(edges, numbers, side="right") + 1)
    if 2 <= column.distinct <= MOST_VALUES:
        shifted: Array = column.codes[rows] + 1
        return shifted
    return None


def fixed_by(column: Profile, truth: Array) -> bool:
    """Tell whether the column has one value in each class of `truth`, and not one in all.

    `truth` is (rows,) class codes from 0; rows without a class have -1. False below 20 rows,
    where chance does it.
    """
    known = truth >= 0
    if column.distinct < 2 or np.count_nonzero(known) < LEAST:
        return False
    values, classes = column.codes[known] + 1, truth[known]
    width = column.distinct + 1
    together = np.bincount(classes * width + values) > 0
    pairs = int(np.count_nonzero(together))
    return pairs == len(np.unique(classes)) and len(np.unique(values)) > 1


def strongest(column: Profile, truth: Array) -> float | None:
    """Return the highest AUC with which the column tells one class of `truth` from the rest.

    `truth` is (rows,) class codes from 0; rows without a class (-1) are left out, and at most
    50,000 evenly spaced rows are read. None where there is too little to tell by.
    """
    rows = np.flatnonzero(truth >= 0)
    rows = rows[:: max(1, -(-len(rows) // MOST_ROWS))]
    cells = _cells(column, rows)
    if cells is None:
        return None
    places = None if column.numbers is None else _places(column.numbers[rows])
    classes = np.unique(truth[rows])
    found = []
    for code in classes[1:] if len(classes) == 2 else classes:
        one = truth[rows] == code
        auc = alone_auc(cells, one)
        if auc is not None:
            found += [auc] if places is None else [auc, rank_auc(places, one)]
    return max(found, default=None)
