"""Plots as evidence: a row for each point, in the columns that a report draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verticals.table import Table

TEXTS = ("figure", "x_label", "y_label", "series", "style")
NUMBERS = ("x", "y", "lower", "upper")
COLUMNS = (*TEXTS, *NUMBERS, "persons")

#: A point in the order of `COLUMNS`; `style` is "line" or "points", NaN stands for no limit, and
#: `persons` says on how many the point rests, 0 for a curve of the model.
PlotPoint = tuple[str, str, str, str, str, float, float, float, float, int]


def plot_table(points: Sequence[PlotPoint]) -> Table:
    """Return points as the evidence table `PLUGIN.plot_NAME`."""
    columns = list(zip(*points, strict=True)) or [()] * len(COLUMNS)
    kinds = [object] * len(TEXTS) + [np.float64] * len(NUMBERS) + [np.int64]
    return Table(
        {
            name: np.array(column, dtype=kind)
            for name, column, kind in zip(COLUMNS, columns, kinds, strict=True)
        },
        rows=len(points),
    )
