"""Withhold small cells of a two-way table, and as many others as keep them from being recovered.

A table is published with its totals, so a cell that is withheld alone in its row or column is the
total less the rest. Complementary suppression withholds more cells until the published numbers
leave each small cell open over a range that is at least as wide as the smallest cell that may be
shown (Willenborg & de Waal 2001, "Elements of Statistical Disclosure Control", ch. 6). The range
is that of linear programming: all tables of numbers not below 0 that have the published cells and
totals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verticals.errors import CallError
from verticals.table import Array

_MOST_CELLS, _MOST_ROUNDS = 256, 40


def withheld(counts: Array, *, min_cell: int = 10, sums: Sequence[Array] = ()) -> Array:
    """Return which cells and totals of a table of persons (rows, columns) must not be shown.

    The mask is (rows + 1, columns + 1): the last column holds the totals of rows, the last row
    those of columns. A cell is small from 1 to `min_cell` − 1; that a cell is empty is no secret
    unless it must hide another. `sums` are masks (rows, columns) of cells whose sum is published
    elsewhere, as the diagonal's is by an accuracy.

    Of a table of more than 256 cells, or where it would take long, whole rows are withheld instead:
    those with a small cell, and the smallest others until enough persons are in each column.

    >>> withheld(np.array([[40, 3], [30, 20]]))[:2, :2]
    array([[ True,  True],
           [ True,  True]])

    Raises `CallError` for a table that is not of whole numbers from 0.
    """
    table = np.asarray(counts)
    if table.ndim != 2 or table.dtype.kind not in "iu" or (table.size and table.min() < 0):
        raise CallError(
            f"counts are {table.dtype} of shape {table.shape}, expected whole numbers from 0 in "
            "two dimensions"
        )
    whole = np.pad(table.astype(np.int64), ((0, 1), (0, 1)))
    whole[-1], whole[:, -1] = whole.sum(axis=0), whole.sum(axis=1)
    whole[-1, -1] = table.sum()
    small = (whole > 0) & (whole < min_cell)
    hidden = small.copy()
    if table.size > _MOST_CELLS:
        return _whole_rows(whole, small, min_cell)
    masks = [np.pad(np.asarray(mask, dtype=bool), ((0, 1), (0, 1))) for mask in sums]
    settled = np.zeros_like(hidden)  # to withhold more only widens a range
    for _ in range(_MOST_ROUNDS):
        if not hidden.any():
            return hidden
        _fill_lines(whole, hidden)
        open_to_guess = _narrow(whole, hidden, small & ~settled, min_cell, masks, settled)
        if open_to_guess is None:
            return hidden
        if not _hide_one_more(whole, hidden, open_to_guess):
            return np.ones_like(hidden)
    return _whole_rows(whole, small, min_cell) if not masks else np.ones_like(hidden)


def _whole_rows(whole: Array, small: Array, min_cell: int) -> Array:
    """Withhold rows with a small number whole, and others until their columns hold enough."""
    hidden = np.zeros_like(small)
    if small[-1].any():  # the totals of columns themselves
        return np.ones_like(small)
    rows = np.asarray(small[:-1].any(axis=1), dtype=bool)
    order = np.argsort(whole[:-1, -1], kind="stable")
    while rows.any() and not rows.all():
        held = whole[:-1][rows, :-1].sum(axis=0)
        if rows.sum() > 1 and ((held == 0) | (held >= min_cell)).all():
            break
        rows[next(row for row in order if not rows[row])] = True
    hidden[:-1][rows] = True
    if rows.all() and len(rows):
        hidden[-1] = True
    return hidden


def _fill_lines(whole: Array, hidden: Array) -> None:
    """Withhold in place until no row or column has exactly one number withheld."""
    changed = True
    while changed:
        changed = False
        for values, mask in ((whole, hidden), (whole.T, hidden.T)):
            for line in np.flatnonzero(mask.sum(axis=1) == 1):
                mask[line, _cheapest(values[line], mask[line])] = True
                changed = True


def _cheapest(values: Array, mask: Array) -> int:
    """Return the smallest number of a line that is still shown; cells before totals, 0 last."""
    total = np.arange(len(values)) == len(values) - 1
    order = np.lexsort((values, values == 0, total))
    return int(next(place for place in order if not mask[place]))


def _narrow(
    whole: Array,
    hidden: Array,
    small: Array,
    min_cell: int,
    masks: Sequence[Array],
    settled: Array,
) -> tuple[int, int] | None:
    """Return a small cell whose range is too narrow, given all that is shown; None if none is."""
    from scipy.optimize import linprog

    doubtful = [
        (row, column)
        for row, column in np.argwhere(hidden & small).tolist()
        if _swing(whole, hidden, row, column, masks) < min_cell
    ]
    if not doubtful:
        return None
    places = np.argwhere(hidden)
    number = {tuple(place): at for at, place in enumerate(places.tolist())}
    lines, sums = [], []
    for values, mask, turned in ((whole, hidden, False), (whole.T, hidden.T, True)):
        for line in np.flatnonzero(mask.any(axis=1)):
            # Cells less their total are 0: what is shown goes to the right-hand side.
            sign = np.append(np.ones(values.shape[1] - 1), -1.0)
            row = np.zeros(len(places))
            for other in np.flatnonzero(mask[line]):
                key = (int(other), int(line)) if turned else (int(line), int(other))
                row[number[key]] = sign[other]
            lines.append(row)
            sums.append(-float((sign * values[line])[~mask[line]].sum()))
    for mask in masks:
        lines.append(np.array([float(mask[tuple(place)]) for place in places]))
        sums.append(float(whole[mask & hidden].sum()))
    for place in doubtful:
        goal = np.zeros(len(places))
        goal[number[place]] = 1.0
        ends = []
        for direction in (1.0, -1.0):
            found = linprog(direction * goal, A_eq=np.array(lines), b_eq=sums, method="highs")
            ends.append(np.inf if found.status == 3 else direction * float(found.fun or 0.0))
        if abs(ends[1] - ends[0]) < min_cell - 1e-6:
            return place
        settled[place] = True
    return None


def _swing(whole: Array, hidden: Array, row: int, column: int, masks: Sequence[Array]) -> int:
    """Return how far a cell can move with three others in a rectangle, all of them withheld.

    What moves in a rectangle leaves every total as it is: this is less than the whole range, and
    much faster to find. 0 for a total.
    """
    counts, mask = whole[:-1, :-1], hidden[:-1, :-1]
    if row >= len(counts) or column >= counts.shape[1]:
        return 0
    rows = np.flatnonzero(mask[:, column] & (np.arange(len(counts)) != row))
    columns = np.flatnonzero(mask[row] & (np.arange(counts.shape[1]) != column))
    across = mask[np.ix_(rows, columns)]  # the corners opposite
    for own in masks:
        inside = own.astype(np.int64)
        change = inside[row, column] + inside[np.ix_(rows, columns)]
        change = change - inside[rows, column][:, None] - inside[row, columns][None, :]
        across = across & (change == 0)  # what moves must leave the published sum as it is
    if not across.any():
        return 0
    rise = np.minimum(counts[rows, column][:, None], counts[row, columns][None, :])
    fall = np.minimum(counts[row, column], counts[np.ix_(rows, columns)])
    return int((rise + fall)[across].max())


def _hide_one_more(whole: Array, hidden: Array, place: tuple[int, int]) -> bool:
    """Withhold one more number in the row or column of a cell; False if all is withheld there."""
    row, column = place
    offers = []
    for values, mask, turned in (
        (whole[row], hidden[row], False),
        (whole[:, column], hidden[:, column], True),
    ):
        if not mask.all():
            at = _cheapest(values, mask)
            offers.append((values[at] == 0, values[at], (at, column) if turned else (row, at)))
    if not offers:
        return False
    hidden[min(offers)[2]] = True
    return True
