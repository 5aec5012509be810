"""What a report draws of DIF: the effect of each item with its limits, and curves of flagged items.

No point rests on fewer than 10 persons of either group: bands of the matching score are wide
enough for that, and where they cannot be, there is no curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from verticals.evidence import plot_table
from verticals.intervals.base import z_value
from verticals.intervals.rates import wilson
from verticals.table import Array, Table
from verticals_student_assessment.items.dif.cells import FOCAL, REFERENCE, Cells
from verticals_student_assessment.items.dif.mantel import (
    LARGE,
    LARGE_POLYTOMOUS,
    SMALL,
    SMALL_POLYTOMOUS,
)
from verticals_student_assessment.items.dif.purify import Purified

MOST_FIGURES = 12
MOST_ROWS = 4000
BAND_PERSONS = 20  # of each group in a point of a curve
MOST_BANDS = 8

_LIMITS = {
    False: ((SMALL, "class B begins"), (LARGE, "class C begins")),
    True: ((SMALL_POLYTOMOUS, "class B begins"), (LARGE_POLYTOMOUS, "class C begins")),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Hold what is drawn of one comparison."""

    label: str
    reference: str
    focal: str
    purified: Purified


@dataclass(frozen=True, kw_only=True)
class _Axes:
    figure: str
    x_label: str
    y_label: str


@dataclass(frozen=True, kw_only=True)
class _Point:
    axes: _Axes
    series: str
    x: float
    y: float
    style: str = "points"
    lower: float = field(default=np.nan)
    upper: float = field(default=np.nan)
    persons: int = 0


def effects(drawn: Sequence[Drawn]) -> Table:
    """Return the effect of each item by comparison, with its limits and those of the classes."""
    figures = [
        list(_effects(item, polytomous))
        for item in drawn
        for polytomous in (False, True)
        if np.any(item.purified.statistics.polytomous == polytomous)
    ]
    return _table(figures)


def curves(drawn: Sequence[Drawn], names: Sequence[str]) -> Table:
    """Return the mean score of each group by matching score, of items in class C and then B."""
    flagged: list[tuple[str, float, Drawn, int]] = []
    for item in drawn:
        found = item.purified.statistics
        flagged += [
            (str(found.ets[place]), -abs(float(found.effect[place])), item, int(place))
            for place in np.flatnonzero(np.isin(found.ets, ("B", "C")))
        ]
    flagged.sort(key=lambda entry: (entry[0] != "C", entry[1]))
    figures: list[list[_Point]] = []
    for ets, _, item, place in flagged:
        if len(figures) == MOST_FIGURES:
            break
        points = list(_curve(item, place, names[place], ets))
        if points:
            figures.append(points)
    return _table(figures)


def bands(cells: Cells, item: int) -> list[Array]:
    """Return runs of strata, indices, each with enough persons of both groups for a point.

    Runs are filled from the lowest score until both groups have an eighth of the smaller group's
    persons, and never fewer than `BAND_PERSONS`; what is left at the end joins the last run.
    """
    sizes = cells.persons[item].sum(axis=-1)  # (strata, 2)
    needed = max(BAND_PERSONS, -(-int(sizes.sum(axis=0).min()) // MOST_BANDS))
    found: list[list[int]] = []
    run: list[int] = []
    filled = np.zeros(2)
    for stratum in np.flatnonzero(sizes.sum(axis=1)):
        run.append(int(stratum))
        filled = filled + sizes[stratum]
        if filled.min() >= needed:
            found.append(run)
            run, filled = [], np.zeros(2)
    if run and found:
        found[-1] += run
    return [np.array(strata) for strata in found]


def _effects(drawn: Drawn, polytomous: bool) -> Iterator[_Point]:
    found = drawn.purified.statistics
    effect = "SMD / SD" if polytomous else "MH D-DIF"
    axes = _Axes(
        figure=f"{effect} by {drawn.label}: {drawn.focal} beside {drawn.reference}",
        x_label="item, by its place in the test",
        y_label=f"{effect}, below 0 is harder for {drawn.focal}",
    )
    lower, upper = found.limits()
    number = np.flatnonzero((found.polytomous == polytomous) & np.isfinite(found.effect))
    for item in number:
        yield _Point(
            axes=axes,
            series="item, 95 % limits",
            x=float(item + 1),
            y=float(found.effect[item]),
            lower=float(lower[item]),
            upper=float(upper[item]),
            persons=int(min(found.reference[item], found.focal[item])),
        )
    for limit, what in _LIMITS[polytomous] if number.size else ():
        for sign in (-1, 1):
            for x in (0.0, float(found.effect.size + 1)):
                series = f"{sign * limit:+g}: {what}"
                yield _Point(axes=axes, series=series, style="line", x=x, y=sign * limit)


def _curve(drawn: Drawn, item: int, name: str, ets: str) -> Iterator[_Point]:
    cells = drawn.purified.cells
    highest, width = int(cells.maximum[item]), cells.width
    axes = _Axes(
        figure=f"{name} by {drawn.label}: {drawn.focal} beside {drawn.reference}, class {ets}",
        x_label="matching score",
        y_label="share right" if highest == 1 else "mean item score",
    )
    for group, series in ((REFERENCE, drawn.reference), (FOCAL, drawn.focal)):
        for strata in bands(cells, item):
            counts = cells.persons[item, strata, group].astype(float)  # (run, scores)
            y, lower, upper = _mean_score(counts.sum(axis=0), highest)
            stratum = float(counts.sum(axis=1) @ strata / counts.sum())
            yield _Point(
                axes=axes,
                series=series,
                x=stratum * width + (width - 1) / 2,
                y=y,
                lower=lower,
                upper=upper,
                persons=int(counts.sum()),
            )


def _mean_score(counts: Array, highest: int) -> tuple[float, float, float]:
    """Return the mean score and its 95 % limits from counts by score, (scores,)."""
    n = float(counts.sum())
    if highest == 1:
        found = wilson(float(counts[1]), n)
        return float(counts[1]) / n, _number(found.lower), _number(found.upper)
    level = np.arange(counts.size)
    mean = float(counts @ level) / n
    half = z_value(0.95) * float(np.sqrt(counts @ (level - mean) ** 2 / (n - 1) / n))
    return mean, max(mean - half, 0.0), min(mean + half, float(highest))


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _table(figures: Sequence[Sequence[_Point]]) -> Table:
    """Return whole figures, as many as a report draws."""
    kept: list[_Point] = []
    for points in figures[:MOST_FIGURES]:
        if len(kept) + len(points) <= MOST_ROWS:
            kept += points
    return plot_table(
        [
            (
                *(point.axes.figure, point.axes.x_label, point.axes.y_label),
                *(point.series, point.style, point.x, point.y),
                *(point.lower, point.upper, point.persons),
            )
            for point in kept
        ]
    )
