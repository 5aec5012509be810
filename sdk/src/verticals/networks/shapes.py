"""Tabulate what an additive network says, from its weights and the declarations alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verticals.contract.model import Field
from verticals.networks.additive import AdditiveNetwork
from verticals.networks.cells import Cell, cells
from verticals.table import Array, Table


@dataclass(frozen=True, kw_only=True)
class _Point:
    """One value of a field: where it stands, what people read, and the shape's height there."""

    x: float  # NaN where the value has no number
    text: str
    heights: Array  # (width,)
    counts: bool = True  # whether the mean of the shape is taken over it


def shape_table(network: AdditiveNetwork, outputs: Sequence[str] = ("score",)) -> Table:
    """Return the shape of every field: columns output, field, label, x, text, contribution.

    One row for each bin edge, category, level, and for "other" and "missing". `contribution` is in
    raw scores (log-odds for a binary target), less the shape's plain mean over the declared
    values, so that shapes of different fields can be compared. `x` is NaN where there is no
    number; in a block, `text` starts with the column. `outputs` names the raw scores in order.
    """
    weight = network.flat_weight().detach().cpu().double().numpy()  # (width, columns)
    rows: list[tuple[str, str, str, float, str, float]] = []
    for name, column, cell in _named_cells(network):
        field = network.inputs.fields.get(name)
        neutral = _neutral(network, cell, weight)
        points = _points(field, cell, network.inputs.edges.get(name, ()), weight, neutral)
        declared = [point.heights for point in points if point.counts]
        mean = np.mean(declared, axis=0) if declared else np.zeros(len(weight))
        label = field.title if field is not None else name
        for place, output in enumerate(outputs):
            for point in points:
                text = f"{column}: {point.text}" if column else point.text
                height = float(point.heights[place] - mean[place])
                rows.append((output, name, label, point.x, text, height))
    names = ("output", "field", "label", "x", "text", "contribution")
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return Table(
        {
            name: np.array(values, dtype=np.float64 if name in ("x", "contribution") else object)
            for name, values in zip(names, columns, strict=True)
        }
    )


def _named_cells(network: AdditiveNetwork) -> list[tuple[str, str, Cell]]:
    """Return (field, column of a block or "", cell) for every cell."""
    seen: dict[str, int] = {}
    found = []
    for cell in cells(network.inputs):
        field = network.inputs.fields.get(cell.field)
        place = seen.get(cell.field, 0)
        seen[cell.field] = place + 1
        column = field.columns[place] if field is not None and field.columns else ""
        found.append((cell.field, column, cell))
    return found


def _neutral(network: AdditiveNetwork, cell: Cell, weight: Array) -> Array:
    """Return the height of the shape beside the flag of a missing value: (width,)."""
    columns = weight[:, list(cell.steps + cell.flags)]
    middle = network.inputs.neutral.get(cell.field, (0.0,) * columns.shape[1])
    return np.asarray(columns @ np.array(middle))


def _points(
    field: Field | None, cell: Cell, edges: Sequence[float], weight: Array, neutral: Array
) -> list[_Point]:
    flags = weight[:, list(cell.flags)]  # (width, flags)
    if not cell.steps:
        texts = _flag_texts(field, len(cell.flags))
        apart = [not declared for declared in _declared(field, len(texts))]
        return [
            _Point(
                x=math.nan,
                text=text,
                heights=flags[:, place] + (neutral if apart[place] else 0.0),
                counts=not apart[place],
            )
            for place, text in enumerate(texts)
        ]
    steps = weight[:, list(cell.steps)]  # (width, steps)
    heights = np.concatenate([np.zeros((len(weight), 1)), np.cumsum(steps, axis=1)], axis=1)
    points = [
        _Point(x=x, text=text, heights=heights[:, place])
        for place, (x, text) in enumerate(_step_texts(field, edges, heights.shape[1]))
    ]
    heights_missing = neutral + flags[:, -1]
    return [*points, _Point(x=math.nan, text="missing", heights=heights_missing, counts=False)]


_APART = ("other", "missing")


def _declared(field: Field | None, count: int) -> list[bool]:
    """Tell which of so many flags stand for declared values: not the last two of a category."""
    coded = field is not None and field.kind == "categorical" and count == len(field.values) + 2
    return [not coded or place < count - len(_APART) for place in range(count)]


def _flag_texts(field: Field | None, count: int) -> list[str]:
    if field is not None and field.kind == "categorical" and count == len(field.values) + 2:
        return [*(field.category_labels or field.values), *_APART]
    return [f"column {place + 1}" for place in range(count)]


def _step_texts(field: Field | None, edges: Sequence[float], count: int) -> list[tuple[float, str]]:
    if edges:
        unit = f" {field.unit}" if field is not None and field.unit else ""
        return [(float(edge), f"{edge:,.6g}{unit}") for edge in edges]
    if field is not None and field.kind == "ordinal":
        return [(float(place), level) for place, level in enumerate(field.values)]
    return [(float(place), ("false", "true")[place]) for place in range(count)]
