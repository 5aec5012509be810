"""Complementary suppression: nothing small is shown, and nothing that is shown gives it away."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from verticals.errors import CallError
from verticals.evidence import withheld


def whole(counts):
    """Return a table with its totals."""
    rows = np.column_stack([counts, counts.sum(axis=1)])
    return np.vstack([rows, rows.sum(axis=0)])


def solved(counts, hidden):
    """Recover what simple subtraction recovers: a number that is withheld alone in its line."""
    known = ~hidden.copy()
    changed = True
    while changed:
        changed = False
        for mask in (known, known.T):
            for line in range(len(mask)):
                if (~mask[line]).sum() == 1:
                    mask[line] = True
                    changed = True
    return known


tables = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(0, 40))
)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_nothing_small_is_shown_or_recovered_by_subtraction(counts):
    hidden = withheld(counts)
    full = whole(counts)
    small = (full > 0) & (full < 10)
    assert hidden[small].all()
    assert not (solved(counts, hidden) & small).any()


@settings(max_examples=25, deadline=None)
@given(tables, st.integers(0, 2**32 - 1))
def test_another_table_fits_what_is_shown(counts, seed):
    """Each small cell can be at least ten apart in tables that agree with all that is shown."""
    from scipy.optimize import linprog

    hidden = withheld(counts)
    full = whole(counts)
    small = np.argwhere(hidden & (full > 0) & (full < 10))
    if not len(small):
        return
    rows, columns = full.shape
    lines, sums = [], []
    for row in range(rows):
        line = np.zeros(full.shape)
        line[row, :-1], line[row, -1] = 1, -1
        lines.append(line.ravel())
    for column in range(columns):
        line = np.zeros(full.shape)
        line[:-1, column], line[-1, column] = 1, -1
        lines.append(line.ravel())
    sums = np.zeros(len(lines))
    bounds = [
        (None if h else v, None if h else v) if not h else (0, None)
        for v, h in zip(full.ravel(), hidden.ravel(), strict=True)
    ]
    place = small[seed % len(small)]
    goal = np.zeros(full.shape)
    goal[tuple(place)] = 1
    low = linprog(goal.ravel(), A_eq=lines, b_eq=sums, bounds=bounds)
    high = linprog(-goal.ravel(), A_eq=lines, b_eq=sums, bounds=bounds)
    assert low.status == 0
    assert high.status == 3 or -high.fun - low.fun >= 10 - 1e-6


def test_a_table_without_small_cells_is_shown_whole():
    assert not withheld(np.array([[10, 0], [25, 300]])).any()


def test_a_lone_small_cell_takes_others_with_it():
    hidden = withheld(np.array([[40, 3, 50], [30, 20, 60], [70, 80, 90]]))
    assert hidden[0, 1]
    assert hidden[0].sum() >= 2
    assert hidden[:, 1].sum() >= 2
    assert not hidden[3, 3]


def test_where_nothing_else_can_hide_it_all_is_withheld():
    assert withheld(np.array([[3]])).all()


def test_two_small_cells_that_add_up_to_little_are_not_left_to_themselves():
    hidden = withheld(np.array([[1, 2, 90], [80, 70, 60], [50, 50, 50]]))
    assert hidden[0].sum() > 2


def test_a_sum_that_is_published_elsewhere_is_reckoned_with():
    counts = np.array([[40, 3, 30], [30, 20, 25], [28, 22, 41]])
    exact = np.eye(3, dtype=bool)
    assert withheld(counts, sums=[exact]).sum() > withheld(counts).sum()


def test_large_tables_are_withheld_by_whole_rows():
    counts = np.full((90, 4), 40)
    counts[7, 2] = 3
    hidden = withheld(counts)
    assert hidden[7].all()
    assert hidden.all(axis=1).sum() == 2
    assert hidden[-1].sum() == 0


@pytest.mark.parametrize("counts", [np.array([1, 2]), np.array([[0.5]]), np.array([[-1]])])
def test_what_is_no_table_of_counts_is_refused(counts):
    with pytest.raises(CallError, match="expected whole numbers from 0"):
        withheld(counts)
