"""Set down what the checks of student-risk need beside the scores, and the points of its plots.

risk.rows              week                       a row for each audited row
risk.demographics      output, fields, gain, lower, upper, method, persons
risk.plot_weeks        AUC by week
risk.plot_roc          ROC curves by group, between which ABROCA is measured
risk.plot_calibration  rate of the outcome by predicted risk and group
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from verticals.collect import unit_index
from verticals.contract import group_of
from verticals.contract.model import DataContract
from verticals.evidence.plots import PlotPoint, plot_table
from verticals.finish import score_name
from verticals.intervals import auc, design_effect, wilson
from verticals.plugin import Model
from verticals.table import Array, Table
from verticals_student_assessment.risk import weeks
from verticals_student_assessment.risk.demographics import demographics_table
from verticals_student_assessment.risk.measures import (
    FEWEST,
    bins_of_persons,
    persons,
    too_few,
)

_ROC_STEPS, _CALIBRATION_BINS = 30, 10
_PERSONS_A_BIN = 20  # of a calibration curve: fewer show noise
_MOST_FIGURES, _MOST_GROUPS, _MOST_WEEKS = 12, 8, 60

# series, style, x, y, lower, upper, persons
Point = tuple[str, str, float, float, float, float, int]
_NONE = float("nan")


def evidence(model: Model, parts: Mapping[str, Table]) -> dict[str, Table]:
    """Return the tables of student-risk; empty where the model has no contract."""
    contract: DataContract | None = getattr(model, "contract", None)
    if contract is None:
        return {}
    audited = parts["test"]
    scores = model.predict(audited)
    week = weeks.row_weeks(audited, contract)
    tables = {
        "risk.rows": Table({"week": week}),
        "risk.demographics": demographics_table(model, parts, contract, scores),
    }
    by_week, roc, calibration = _Figures(), _Figures(), _Figures()
    for target in contract.targets:
        if target.kind != "binary" or target.name not in audited:
            continue
        output = score_name(contract, target.name)
        score = np.asarray(scores[output], dtype=np.float64)
        label = np.asarray(audited[target.name], dtype=np.float64)
        known = ~np.isnan(label) & ~np.isnan(score)
        facts = (score[known], label[known], unit_index(audited)[known])
        points = list(week_points(*facts, week[known]))
        by_week.add(f"{target.title}: AUC by week", "week", "AUC", points)
        for item in contract.audited:
            if item.name in audited:
                group = group_of(item, audited[item.name])[known]
                named = f"{target.title}, by {item.title}"
                x, y = "false positive rate", "true positive rate"
                roc.add(f"ROC: {named}", x, y, list(roc_points_of(*facts, group)))
                x, y = "predicted risk", "rate of the outcome"
                points = list(calibration_points(*facts, group))
                calibration.add(f"Calibration: {named}", x, y, points)
    for name, figures in (("weeks", by_week), ("roc", roc), ("calibration", calibration)):
        tables[f"risk.plot_{name}"] = figures.table()
    return {name: table for name, table in tables.items() if table.rows}


def week_points(score: Array, label: Array, unit: Array, week: Array) -> Iterator[Point]:
    """Yield the AUC of each week that has enough persons with and without the outcome."""
    for number in np.unique(week[~np.isnan(week)])[:_MOST_WEEKS]:
        here = week == number
        if too_few(label[here], unit[here]) is not None:
            continue
        found = auc(score[here], label[here], units=unit[here])
        limits = [_NONE if v is None else v for v in (found.estimate, found.lower, found.upper)]
        yield "AUC", "points", float(number), limits[0], limits[1], limits[2], persons(unit[here])


def roc_points_of(score: Array, label: Array, unit: Array, group: Array) -> Iterator[Point]:
    """Yield the ROC curve of each group, in steps of at least about ten persons each."""
    for name in _groups(label, unit, group):
        here = group == name
        place = bins_of_persons(score[here], unit[here], _ROC_STEPS)
        count = int(place.max()) + 1
        rates = []
        for side in (0, 1):
            tally = np.bincount(place[label[here] == side], minlength=count)[::-1]
            rates.append(np.cumsum(tally) / tally.sum())
        of = [persons(unit[here][place == at]) for at in range(count)][::-1]
        yield name, "line", 0.0, 0.0, _NONE, _NONE, 0
        for x, y, number in zip(*rates, of, strict=True):
            yield name, "line", float(x), float(y), _NONE, _NONE, number


def calibration_points(score: Array, label: Array, unit: Array, group: Array) -> Iterator[Point]:
    """Yield the rate of the outcome in bins of each group's scores.

    Wilson's limits, widened by the design effect where persons have several rows.
    """
    names = list(_groups(label, unit, group))
    if names:
        for end in (0.0, 1.0):
            yield "as predicted", "line", end, end, _NONE, _NONE, 0
    for name in names:
        here = group == name
        its, rate, whose = score[here], label[here], unit[here]
        place = bins_of_persons(its, whose, _CALIBRATION_BINS, _PERSONS_A_BIN)
        for at in range(int(place.max()) + 1):
            rows = place == at
            effect = design_effect(rate[rows], whose[rows])
            found = wilson(float(rate[rows].sum()), int(rows.sum()), design_effect=effect)
            low, high = found.lower, found.upper
            yield (
                name,
                "points",
                float(its[rows].mean()),
                float(rate[rows].mean()),
                _NONE if low is None else low,
                _NONE if high is None else high,
                persons(whose[rows]),
            )


def _groups(label: Array, unit: Array, group: Array) -> Iterator[str]:
    """Yield the largest groups with ten persons or more with the outcome and without it."""
    names, counts = np.unique(group[group != ""].astype(str), return_counts=True)
    largest = names[np.argsort(-counts, kind="stable")][:_MOST_GROUPS]
    for name in largest:
        here = group == name
        if too_few(label[here], unit[here]) is None:
            yield str(name)


class _Figures:
    """Collect the points of one plot table."""

    def __init__(self) -> None:
        self._rows: list[PlotPoint] = []
        self._count = 0

    def add(self, figure: str, x_label: str, y_label: str, points: list[Point]) -> None:
        """Add a figure, unless it has no point or there are as many as a report draws."""
        if not points or self._count == _MOST_FIGURES:
            return
        self._count += 1
        self._rows += [
            (figure, x_label, y_label, *point) for point in points if not 0 < point[-1] < FEWEST
        ]

    def table(self) -> Table:
        """Return the columns that the report draws."""
        return plot_table(self._rows)
