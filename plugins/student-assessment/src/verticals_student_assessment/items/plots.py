"""Curves of items and of information, as points of figures that the report draws.

Each table has the columns figure, x_label, y_label, series, style, x, y, lower, upper, persons.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from verticals.evidence.plots import plot_table
from verticals.table import Array, Table
from verticals_student_assessment.items.irt import ItemBank, item_curves
from verticals_student_assessment.items.item_fit import observed_scores
from verticals_student_assessment.items.small_counts import FEW

FIGURES, ITEMS_EACH = 12, 4
_SPAN = np.linspace(-3.0, 3.0, 31)  # standard deviations
_BIN = 0.6  # standard deviations: of the points that show observed answers
_ABILITY = "ability"


def item_curve_plot(bank: ItemBank, codes: Array, points: int) -> Table:
    """Return the expected score of items over ability, as a share of the highest, and what is seen.

    Lines are the model's. Points are observed: each person counts at every ability by the
    posterior weight there, as in the E-step, so that under the model points lie on the line.
    `persons` is the sum of these weights, rounded down; points of fewer than 10 are left out. At
    most 48 items are drawn, the first.
    """
    chosen = _drawn(bank)
    where = _SPAN * bank.sd
    expected = item_curves(bank, where).expected
    at, seen, persons = observed_curves(bank, codes, points)
    rows: list[tuple[Any, ...]] = []
    for place in chosen:
        top = int(bank.categories[place]) - 1
        head = (_title("Item curves", place), _ABILITY, "expected share of the score")
        name = bank.names[place]
        rows += [
            (*head, name, "line", x, y / top, np.nan, np.nan, 0)
            for x, y in zip(where, expected[place], strict=True)
        ]
        rows += [
            (*head, name, "points", x, y / top, np.nan, np.nan, int(count))
            for x, y, count in zip(at, seen[place], persons[place], strict=True)
            if count >= FEW
        ]
    return plot_table(rows)


def item_information_plot(bank: ItemBank) -> Table:
    """Return the Fisher information of items over ability."""
    where = _SPAN * bank.sd
    information = item_curves(bank, where).information
    rows: list[tuple[Any, ...]] = []
    for place in _drawn(bank):
        head = (_title("Item information", place), _ABILITY, "information", bank.names[place])
        curve = zip(where, information[place], strict=True)
        rows += [(*head, "line", x, y, np.nan, np.nan, 0) for x, y in curve]
    return plot_table(rows)


def test_information_plot(bank: ItemBank) -> Table:
    """Return the information of the test, and the standard error of measurement."""
    where = _SPAN * bank.sd
    information = item_curves(bank, where).information.sum(axis=0)
    error = 1.0 / np.sqrt(np.maximum(information, 1e-300))
    curves = (
        ("Test information", "information", information),
        ("Standard error of measurement", "standard error", np.where(error < 1e6, error, np.nan)),
    )
    return plot_table(
        [
            (title, _ABILITY, label, "test", "line", x, y, np.nan, np.nan, 0)
            for title, label, values in curves
            for x, y in zip(where, values, strict=True)
        ]
    )


def observed_curves(bank: ItemBank, codes: Array, points: int) -> tuple[Array, Array, Array]:
    """Return abilities (bins,), mean observed scores and weights of persons, (items, bins)."""
    grid = bank.grid(points)
    scores, weights = observed_scores(bank, codes, grid)
    edges = np.arange(-3.0, 3.0 + _BIN / 2, _BIN) * bank.sd
    bins = len(edges) - 1
    place = np.digitize(grid.nodes, edges) - 1
    inside = (place >= 0) & (place < bins)
    gather = np.zeros((len(grid.nodes), bins))
    gather[np.flatnonzero(inside), place[inside]] = 1.0
    persons, total = weights @ gather, scores @ gather
    middle = (edges[:-1] + edges[1:]) / 2
    return middle, total / np.maximum(persons, 1e-300), np.floor(persons)


def _drawn(bank: ItemBank) -> range:
    return range(min(len(bank.names), FIGURES * ITEMS_EACH))


def _title(what: str, place: int) -> str:
    first = place // ITEMS_EACH * ITEMS_EACH
    return f"{what}, items {first + 1} to {first + ITEMS_EACH}"
