"""Points for the report: how well answers are predicted along a student's history, and mastery."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from verticals.collect import unit_index
from verticals.contract.groups import group_labels, group_of
from verticals.contract.model import DataContract
from verticals.evidence.plots import PlotPoint, plot_table
from verticals.intervals import Interval, auc, mean
from verticals.table import Array, Table
from verticals_student_assessment.tracing.fusion import FEWEST, fuse, stretches

MOST_ATTEMPTS = 12  # on one skill that the plot of mastery follows

_SERIES = {"score": "model", "best_lr": "best logistic regression", "item_mean": "mean of the item"}


def position_points(audited: Table, rows: Table, score: Array, label: Array) -> Table:
    """Return the area under the ROC curve along the history, of the model and the baselines."""
    columns = {**rows, "score": score, "label": label, "unit": unit_index(audited)}
    fused = fuse(columns, rows["interaction"])
    points: list[PlotPoint] = []
    where = stretches(fused["position"])
    for name, series in _SERIES.items():
        for place in np.unique(where).tolist():
            here = (where == place) & ~np.isnan(fused["label"]) & ~np.isnan(fused[name])
            unit = fused["unit"][here]
            found = auc(fused[name][here], fused["label"][here], units=unit)
            x = float(fused["position"][here].mean()) if here.any() else np.nan
            points += _point(
                "Ranking of right before wrong answers, by length of history",
                "mean number of the student's earlier answers",
                "area under the ROC curve",
                (series, "line"),
                x,
                found,
                unit,
            )
    return plot_table(points)


def mastery_points(
    contract: DataContract, audited: Table, rows: Table, score: Array, label: Array
) -> Table:
    """Return predicted and observed shares of right answers by attempt, in all and by group."""
    columns = {**rows, "score": score, "label": label, "unit": unit_index(audited)}
    groups = {"": np.full(audited.rows, "all", dtype=object)}
    for item in contract.audited:
        if item.name in audited:
            groups[item.title] = group_of(item, audited[item.name])
    points: list[PlotPoint] = []
    for title, column in groups.items():
        fused = fuse({**columns, "group": column}, rows["interaction"])
        whose = f"by {title}" if title else "all students"
        figure = f"Right answers by attempt on a skill, {whose}"
        for name, which, style in _mastery_series(contract, title, column):
            for attempt in range(MOST_ATTEMPTS):
                here = (fused["attempt"] == attempt) & (fused["group"] == name)
                here &= ~np.isnan(fused["label"])
                unit, values = fused["unit"][here], fused[which][here]
                found = mean(values, units=unit)
                said = f"{name}, {'predicted' if which == 'score' else 'observed'}"
                points += _point(
                    figure,
                    "earlier answers on the skill",
                    "share right",
                    (said, style),
                    float(attempt),
                    found,
                    unit,
                )
    return plot_table(points)


def _mastery_series(
    contract: DataContract, title: str, column: Array
) -> Iterator[tuple[str, str, str]]:
    names: tuple[str, ...] = ("all",)
    if title:
        field = next(item for item in contract.audited if item.title == title)
        seen = set(column.tolist())
        names = tuple(name for name in group_labels(field) if name in seen)
    for name in names:
        yield name, "score", "line"
        yield name, "label", "points"


def _point(
    figure: str,
    x_label: str,
    y_label: str,
    series: tuple[str, str],
    x: float,
    found: Interval,
    unit: Array,
) -> list[PlotPoint]:
    """Return one point, or none where it rests on too few persons or on nothing."""
    persons = int(np.unique(unit).size)
    if persons < FEWEST or found.estimate is None:
        return []
    lower = np.nan if found.lower is None else found.lower
    upper = np.nan if found.upper is None else found.upper
    return [(figure, x_label, y_label, *series, x, found.estimate, lower, upper, persons)]
