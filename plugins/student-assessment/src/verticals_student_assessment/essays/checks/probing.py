"""What gaming gains, and whether explanations by sentence mark what counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval
from verticals.table import Table
from verticals_student_assessment.essays.checks.ratings import measured

_PAIRED = "t, paired by essay, one essay a person; recorded by the producer"


def gaming(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the mean change of the score, in points, under each gaming probe."""
    table = tables["essays.probes"]
    for row in range(table.rows):
        found = _read(table, row, "change")
        trait, probe = str(table["trait"][row]), str(table["probe"][row])
        yield measured("gaming_gain", found, output=trait, subject=probe)


def explanations(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure how much further deleting the strongest sentences moves a score than random ones."""
    table = tables["essays.deletion"]
    for row in range(table.rows):
        trait = str(table["trait"][row])
        yield measured("deletion_advantage", _read(table, row, "difference"), output=trait)
        error = Interval(
            estimate=_number(table, "additivity_error", row),
            lower=None,
            upper=None,
            n=int(table["persons"][row]),
            method="largest of the tested essays, in points; a maximum has no interval",
        )
        yield measured("sentence_additivity", error, output=trait)


def _read(table: Table, row: int, name: str) -> Interval:
    return Interval(
        estimate=_number(table, name, row),
        lower=_number(table, "lower", row),
        upper=_number(table, "upper", row),
        n=int(table["persons"][row]),
        method=_PAIRED,
    )


def _number(table: Table, name: str, row: int) -> float | None:
    value = float(table[name][row])
    return value if np.isfinite(value) else None
