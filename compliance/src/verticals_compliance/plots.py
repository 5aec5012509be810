"""Plots that a solution records with its evidence: tables named `<plugin>.plot_<name>`.

A row is a point: `figure`, `x_label`, `y_label`, `series`, `style` ("line" or "points"), `x`, `y`,
`lower`, `upper` (NaN: no interval) and `persons`, on how many persons the point rests; 0 says that
it is a curve of the model, which rests on no single cell. A point that rests on fewer than
`MIN_PERSONS` is left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from verticals.evidence.plots import NUMBERS, TEXTS
from verticals.table import Array, Table
from verticals_compliance.summaries import MIN_PERSONS, is_plot

MOST_FIGURES = 12  # of one table
MOST_POINTS = 4_000


def plots(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Return each plot as figures of series of points; one that is malformed is left out."""
    named = {name: tables[name] for name in sorted(tables) if is_plot(name, tables[name])}
    found = {name: _figures(table) for name, table in named.items()}
    return {name: figures for name, figures in found.items() if figures["figures"]}


def _figures(table: Table) -> dict[str, Any]:
    text = {name: [str(value) for value in table[name].tolist()] for name in TEXTS}
    try:
        number = {name: np.asarray(table[name], dtype=np.float64) for name in NUMBERS}
        persons = np.asarray(table["persons"], dtype=np.float64)
    except (TypeError, ValueError):
        return {"figures": [], "left_out": 0}
    plain = all(values.ndim == 1 for values in (*number.values(), persons))
    if table.rows > MOST_POINTS or not plain or not np.isfinite(persons).all():
        return {"figures": [], "left_out": 0}
    names = list(dict.fromkeys(text["figure"]))
    shown = [_figure(name, text, number, persons) for name in names[:MOST_FIGURES]]
    return {
        "figures": [item for item in shown if item["series"]],
        "left_out": len(names) - len(shown),
    }


def _figure(
    name: str, text: Mapping[str, Sequence[str]], number: Mapping[str, Array], persons: Array
) -> dict[str, Any]:
    rows = [at for at, own in enumerate(text["figure"]) if own == name]
    series = []
    for label, style in dict.fromkeys((text["series"][at], text["style"][at]) for at in rows):
        own = [at for at in rows if (text["series"][at], text["style"][at]) == (label, style)]
        kept = [
            at
            for at in own
            if not 0 < persons[at] < MIN_PERSONS
            and math.isfinite(number["x"][at])
            and math.isfinite(number["y"][at])
        ]
        series.append(
            {
                "series": label,
                "style": "points" if style == "points" else "line",
                "withheld": sum(bool(0 < persons[at] < MIN_PERSONS) for at in own),
                **{column: [_known(number[column][at]) for at in kept] for column in NUMBERS},
                "persons": [int(persons[at]) for at in kept],
            }
        )
    return {
        "figure": name,
        "x_label": text["x_label"][rows[0]],
        "y_label": text["y_label"][rows[0]],
        "series": [item for item in series if item["x"] or item["withheld"]],
    }


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
