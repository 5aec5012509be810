"""Counts with differential privacy: discrete Laplace noise from the operating system.

Every output and attribute is counted four times: cells, score histogram, sum of scores, sum of
squared residuals. Each of these is released with an equal share of epsilon, so that all of them
together cost epsilon (sequential composition). Two data sets are neighbours if they differ in the
rows of one person, of which there are at most `unit_rows`; the number of rows is not protected.
One changed row leaves one cell and enters another, so that counts have sensitivity
2 · unit_rows, and moves a sum of numbers from 0 to 1 by at most 1, so that sums have unit_rows.

The sampler is exact: integers only, no floating point that could betray the value (Canonne,
Kamath, Steinke 2020, The Discrete Gaussian for Differential Privacy, algorithms 1 and 2).
"""

from __future__ import annotations

import math
import secrets
from dataclasses import replace
from fractions import Fraction

import numpy as np

from verticals.errors import EvidenceError
from verticals.evidence.cells import (
    CELLS,
    SUMS,
    UNIT,
    Counts,
    Facts,
    Key,
    check_raw,
    from_tables,
    to_tables,
)
from verticals.table import Array

_RELEASES = 4
_STEP = 10**9  # epsilon is rounded down to a multiple of 1 / _STEP


def noise_counts(counts: Facts, *, epsilon: float, unit_rows: int = 1) -> Counts:
    """Return counts with noise that costs each person `epsilon`; no cell is suppressed.

    Counts may be negative. `unit_rows` is the declared number of rows that a person may have.
    Only `shapes`, which are of the model and not of the data, stay of the other tables.

    Raises `EvidenceError` for evidence that is not in raw counts, an epsilon that is not above 0,
    and for a person who has more rows than declared.
    """
    info = counts.info
    check_raw(info)
    if info.unit_rows > unit_rows:
        raise EvidenceError(
            f"a person has {info.unit_rows} rows, expected at most unit_rows={unit_rows}",
            hint="raise unit_rows, or keep fewer rows of each person",
        )
    cells = from_tables(counts)
    parts = len(cells.edges) * _RELEASES
    if not 0 < epsilon < math.inf or int(Fraction(epsilon) * _STEP / parts) == 0:
        raise EvidenceError(f"noise_epsilon is {epsilon}, expected a number above 0")
    share = Fraction(int(Fraction(epsilon) * _STEP / parts), _STEP)
    count_scale, sum_scale = Fraction(2 * unit_rows) / share, Fraction(unit_rows) / share
    groups: dict[Key, Array] = {
        key: _noised(values, count_scale, sum_scale) for key, values in cells.groups.items()
    }
    histograms = {
        key: values + _laplace(values.shape, count_scale)
        for key, values in cells.histograms.items()
    }
    tables = to_tables(replace(cells, groups=groups, histograms=histograms))
    if "shapes" in counts.tables:
        tables["shapes"] = counts.tables["shapes"]
    stated = replace(info, noise_epsilon=float(epsilon), unit_rows=unit_rows)
    return Counts(info=stated, tables=tables)


def _noised(values: Array, count_scale: Fraction, sum_scale: Fraction) -> Array:
    """Add noise to the disjoint cells behind a row, and add them up again; NaN stays NaN."""
    cell = dict(zip(CELLS, values, strict=True))
    known = not math.isnan(cell["selected"])
    if known:
        grid = np.array(  # (selected, unselected, undecided) x (positive, negative, no label)
            [
                [cell["tp"], cell["fp"], cell["selected"] - cell["tp"] - cell["fp"]],
                [cell["fn"], cell["tn"], cell["unselected"] - cell["fn"] - cell["tn"]],
                [0.0, 0.0, 0.0],
            ]
        )
        margin = np.array([cell["positive"], cell["negative"], 0.0])
        margin[2] = cell["n"] - margin.sum()
        grid[2] = margin - grid.sum(axis=0)
    else:
        rest = cell["n"] - cell["positive"] - cell["negative"]
        grid = np.array([[cell["positive"], cell["negative"], rest]])
    grid = grid + _laplace(grid.shape, count_scale)
    columns = grid.sum(axis=0)
    cell.update(n=grid.sum(), positive=columns[0], negative=columns[1])
    if known:
        rows = grid.sum(axis=1)
        cell.update(selected=rows[0], unselected=rows[1])
        cell.update(tp=grid[0, 0], fp=grid[0, 1], fn=grid[1, 0], tn=grid[1, 1])
    for name in SUMS:
        cell[name] += float(_laplace((1,), sum_scale * UNIT)[0]) / UNIT
    return np.array([cell[name] for name in CELLS])


def _laplace(shape: tuple[int, ...], scale: Fraction) -> Array:
    """Return integers y with probability proportional to exp(-|y| / scale)."""
    draws = [_draw(scale) for _ in range(math.prod(shape))]
    return np.array(draws, dtype=np.float64).reshape(shape)


def _draw(scale: Fraction) -> int:
    wide, narrow = scale.numerator, scale.denominator
    while True:
        remainder = secrets.randbelow(wide)
        if not _happens(remainder, wide):
            continue
        whole = 0
        while _happens(1, 1):
            whole += 1
        size = (remainder + wide * whole) // narrow
        negative = secrets.randbelow(2)
        if size or not negative:  # zero has one sign only
            return -size if negative else size


def _happens(numerator: int, denominator: int) -> bool:
    """Return True with probability exp(-numerator / denominator), for a fraction from 0 to 1."""
    tries = 1
    while secrets.randbelow(denominator * tries) < numerator:
        tries += 1
    return tries % 2 == 1
