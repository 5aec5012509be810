"""How the outputs were explained: what each field adds on average, and whether it all adds up."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from verticals.intervals import mean_from_sums
from verticals.table import Table
from verticals_compliance.records import ExplanationRow, FieldAttribution


def explanations(tables: Mapping[str, Table], level: float) -> tuple[ExplanationRow, ...]:
    """Return one row for each explained output, its fields by mean |attribution|, largest first.

    Means are over the explained rows and in log-odds, with a t-interval. Rows of one person are
    taken as independent here, since the evidence holds sums only.
    """
    attributions, additivity = tables.get("attributions"), tables.get("additivity")
    outputs = [*_names(attributions), *_names(additivity)]
    return tuple(
        ExplanationRow(
            output=output,
            method=_method(additivity, output),
            additivity_error=_error(additivity, output),
            fields=_fields(attributions, output, level),
        )
        for output in dict.fromkeys(outputs)
    )


def protected_reasons(tables: Mapping[str, Table]) -> int | None:
    """Count protected fields among the principal reasons of adverse decisions; None if unknown."""
    reasons = tables.get("reasons")
    if reasons is None or not reasons.rows:
        return None
    return int(reasons["count"][reasons["protected"].astype(bool)].sum())


def _fields(table: Table | None, output: str, level: float) -> tuple[FieldAttribution, ...]:
    if table is None:
        return ()
    part = table.take(table["output"] == output)
    rows = []
    for place in range(part.rows):
        found = mean_from_sums(
            float(part["sum_abs"][place]),
            float(part["sum_sq"][place]),
            int(part["n"][place]),
            level=level,
        )
        rows.append(
            FieldAttribution(
                field=str(part["field"][place]),
                mean_abs=found.estimate,
                lower=None if found.lower is None else max(0.0, found.lower),
                upper=found.upper,
            )
        )
    return tuple(sorted(rows, key=lambda row: (-(row.mean_abs or 0.0), row.field)))


def _names(table: Table | None) -> list[str]:
    return [] if table is None else [str(name) for name in table["output"]]


def _method(table: Table | None, output: str) -> str:
    if table is None or output not in _names(table):
        return ""
    return str(table["method"][np.flatnonzero(table["output"] == output)[0]])


def _error(table: Table | None, output: str) -> float | None:
    if table is None or output not in _names(table):
        return None
    worst = float(table["max_error"][table["output"] == output].max())
    return worst if math.isfinite(worst) else None
