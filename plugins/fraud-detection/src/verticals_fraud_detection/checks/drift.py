"""Do score and fields of the audited weeks still look like the training part?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement, measurement
from verticals.intervals import Interval
from verticals.intervals.stability import stability
from verticals.table import Array, Table

TRAINING = -1  # the week under which the training part is counted


def drift(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the population stability index of the score and of each field, week by week.

    Each audited week is held against the training part. The limits count events of one card as
    the design effects in the table say.
    """
    table = tables["fraud.weekly"]
    names = {output.name for output in info.outputs}
    titles = _titles(table)
    for field in dict.fromkeys(table["field"]):
        rows = table["field"] == field
        weeks = sorted({int(week) for week in table["week"][rows]} - {TRAINING})
        for week in weeks:
            found, when = _index(table, rows, week), f"week {week + 1}"
            if field in names:
                yield measurement("fraud.psi_score", found, output=str(field), subject=when)
            else:
                subject = f"{titles[field]}, {when}"
                yield measurement("fraud.psi_field", found, subject=subject)


def _titles(table: Table) -> dict[str, str]:
    """Return what people read for each field: its title, or its name in older evidence."""
    said = table.get("title", table["field"])
    return {str(name): str(title) for name, title in zip(table["field"], said, strict=True)}


def _index(table: Table, rows: Array, week: int) -> Interval:
    """Return the index of one field in one week, with its limits."""
    bins = int(table["bin"][rows].max()) + 1
    counts, effects = [], []
    for part in (TRAINING, week):
        here = rows & (table["week"] == part)
        counts.append(np.bincount(table["bin"][here], table["count"][here], bins))
        effects.append(float(table["effect"][here].max(initial=1.0)))
    return stability(counts[0], counts[1], design_effects=(effects[0], effects[1]))
