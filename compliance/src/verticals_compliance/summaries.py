"""Evidence tables as plain values for `details.json`: one function for each table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from verticals.contract.model import DataContract
from verticals.evidence.plots import COLUMNS
from verticals.metrics import psi
from verticals.table import Array, Table
from verticals_compliance.explanations import explanations
from verticals_compliance.privacy import loss_histogram, roc

MOST_ROWS = 200  # of a plugin's table that is shown whole
MIN_PERSONS = 10  # below it the numbers of a row that counts `persons` are not shown
MOST_CELLS = 48 * 48  # of a mean map

_MAP = ("method", "row", "column", "image", "map", "images", "persons")

Tables = Mapping[str, Table]


def records(table: Table | None) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values; numbers that are not finite become None."""
    if table is None:
        return []
    columns = {name: [_value(item) for item in table[name].tolist()] for name in table}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def history(tables: Tables) -> list[dict[str, Any]]:
    """Return the losses of each epoch; empty under privacy, which looks at none."""
    return records(tables.get("training"))


def additivity(tables: Tables) -> list[dict[str, Any]]:
    """Return by how much the attributions of each output fail to add up."""
    return records(tables.get("additivity"))


def encoding(tables: Tables) -> list[dict[str, Any]]:
    """Return what was missing, outside the bounds or undeclared, by field and part."""
    return records(tables.get("encoding"))


def shapes(tables: Tables, contract: DataContract) -> list[dict[str, Any]]:
    """Return the shape function of each field, in log-odds over the field's own scale."""
    units = {item.name: item.unit for item in contract.fields}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in records(tables.get("shapes")):
        key = (row["output"], row["field"])
        shape = found.setdefault(
            key,
            {
                "output": row["output"],
                "field": row["field"],
                "label": row["label"],
                "unit": units.get(row["field"], ""),
                "points": [],
            },
        )
        shape["points"].append({name: row[name] for name in ("x", "text", "contribution")})
    return list(found.values())


def reasons(tables: Tables) -> dict[str, Any]:
    """Return how often each field was a principal reason, most frequent first."""
    found: dict[str, dict[str, Any]] = {}
    first = 0
    for row in records(tables.get("reasons")):
        field = found.setdefault(
            row["field"],
            {
                "field": row["field"],
                "label": row["label"],
                "protected": bool(row["protected"]),
                "count": 0,
                "ranks": [],
            },
        )
        field["count"] += row["count"]
        field["ranks"].append({"rank": row["rank"], "count": row["count"]})
        first += row["count"] if row["rank"] == 1 else 0
    ordered = sorted(found.values(), key=lambda item: (-item["count"], item["field"]))
    return {"adverse": first if "reasons" in tables else None, "fields": ordered}


def attributions(tables: Tables, level: float) -> list[dict[str, Any]]:
    """Return the mean |attribution| of each field with its label, as the record has it."""
    said = {(row["output"], row["field"]): row for row in records(tables.get("attributions"))}
    return [
        {
            "output": explained.output,
            "field": item.field,
            "label": said[explained.output, item.field]["label"],
            "protected": bool(said[explained.output, item.field]["protected"]),
            "n": said[explained.output, item.field]["n"],
            "mean_abs": item.mean_abs,
            "lower": item.lower,
            "upper": item.upper,
        }
        for explained in explanations(tables, level)
        for item in explained.fields
    ]


def distribution(tables: Tables, contract: DataContract) -> list[dict[str, Any]]:
    """Return each field's distribution in the training and the audited part, and its PSI."""
    labels = {item.name: item.title for item in contract.fields}
    found: dict[str, dict[str, Any]] = {}
    for row in records(tables.get("distribution")):
        field = found.setdefault(
            row["field"],
            {"field": row["field"], "label": labels.get(row["field"], row["field"]), "bins": []},
        )
        field["bins"].append({name: row[name] for name in ("label", "train", "audited")})
    for field in found.values():
        field["psi"] = _psi(field["bins"])
    return list(found.values())


def membership(tables: Tables) -> dict[str, Any] | None:
    """Return the loss histograms and the ROC curve of the membership attack."""
    table = tables.get("membership")
    if table is None or not table.rows:
        return None
    found = loss_histogram(table)
    points = roc(found)
    return {
        "bins": [
            {"lower": float(low), "upper": float(high), "members": int(ours), "others": int(others)}
            for low, high, ours, others in zip(
                found.lower, found.upper, found.members, found.others, strict=True
            )
        ],
        "roc": []
        if points is None
        else [{"fpr": float(x), "tpr": float(y)} for x, y in zip(*points, strict=True)],
    }


def split_notes(tables: Tables) -> list[str]:
    """Return what a person should know of how the parts came about."""
    table = tables.get("split")
    return [] if table is None else [str(note) for note in table["note"]]


def producer_tables(tables: Tables, rows_audited: int) -> dict[str, Any]:
    """Return small tables of plugins whole; they are named `<plugin>.<name>`.

    A table with a row for each audited row tells of single persons: no report shows it, nor one
    whose name ends in `_counts`, which holds cells of any size.
    """
    found = {}
    for name in sorted(tables):
        table = tables[name] if "." in name and tables[name].rows != rows_audited else None
        if (
            table is None
            or _is_map(name, table)
            or is_plot(name, table)
            or name.endswith("_counts")
            or table.rows > MOST_ROWS
            or any(c.ndim > 1 for c in table.values())
        ):
            continue
        rows = [_suppressed(row) for row in records(table)]
        found[name] = {"columns": list(table), "rows": [list(row.values()) for row in rows]}
    return found


def is_plot(name: str, table: Table) -> bool:
    """Tell whether a table is a plot (see `plots`), by its name and its columns."""
    own = name.partition(".")[2]
    return own.startswith("plot_") and all(column in table for column in COLUMNS)


def maps(tables: Tables) -> dict[str, Any]:
    """Return the mean image and the mean map of tables named `<plugin>.map`, as grids.

    A mean over fewer than ten persons comes too near to one person's image: it is left out, and
    so is a table that fills no grid of at most 48 × 48 cells.
    """
    named = {name: tables[name] for name in sorted(tables) if _is_map(name, tables[name])}
    found = {name: _grids(table) for name, table in named.items()}
    return {name: grids for name, grids in found.items() if grids is not None}


def _is_map(name: str, table: Table) -> bool:
    return name.endswith(".map") and all(column in table for column in _MAP)


def _grids(table: Table) -> dict[str, Any] | None:
    if not 0 < table.rows <= MOST_CELLS or len({str(item) for item in table["method"]}) > 1:
        return None
    try:
        column = {name: np.asarray(table[name], dtype=np.float64) for name in _MAP[1:]}
    except (TypeError, ValueError):
        return None
    if any(values.ndim > 1 or not np.isfinite(values).all() for values in column.values()):
        return None
    images, persons = int(column["images"].min()), int(column["persons"].min())
    places = np.stack([column["row"], column["column"]], axis=1).astype(np.int64)
    rows, columns = (int(size) for size in places.max(axis=0) + 1)
    filled = len(np.unique(places, axis=0)) == table.rows == rows * columns
    if persons < MIN_PERSONS or not filled or places.min() < 0:
        return None
    order = np.lexsort((places[:, 1], places[:, 0]))
    return {
        "method": str(table["method"][0]),
        "rows": rows,
        "columns": columns,
        "image": _rounded(column["image"][order].reshape(rows, columns)),
        "map": _rounded(column["map"][order].reshape(rows, columns)),
        "images": images,
        "persons": persons,
    }


def _rounded(grid: Array) -> list[list[float]]:
    """Keep four decimals; adding 0 turns a negative zero into zero."""
    rows: list[list[float]] = (np.round(grid, 4) + 0.0).tolist()
    return rows


def _suppressed(row: dict[str, Any]) -> dict[str, Any]:
    """Leave the numbers of a row out that speaks of fewer than ten persons, by its `persons`."""
    persons = row.get("persons")
    if not isinstance(persons, int | float) or persons >= MIN_PERSONS:
        return row
    return {name: value if isinstance(value, str) else None for name, value in row.items()}


def _psi(bins: list[dict[str, Any]]) -> float | None:
    counts = [[row[part] for row in bins] for part in ("train", "audited")]
    if any(value is None or value < 0 for part in counts for value in part):
        return None
    value = psi(*counts)
    return value if math.isfinite(value) else None


def _value(item: Any) -> Any:
    return None if isinstance(item, float) and not math.isfinite(item) else item
