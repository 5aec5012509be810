"""Do score and fields of the audited weeks still look like the training part?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval
from verticals.table import Array, Table
from verticals_fraud_detection import measures
from verticals_fraud_detection.checks import intervals

TRAINING = -1  # the week under which the training part is counted


def drift(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the population stability index of the score and of each field, week by week.

    Each audited week is held against the training part. The limits count events of one card as
    the design effects in the table say.
    """
    table = tables["fraud.weekly"]
    names = {output.name for output in info.outputs}
    for field in dict.fromkeys(table["field"]):
        rows = table["field"] == field
        weeks = sorted({int(week) for week in table["week"][rows]} - {TRAINING})
        score = field in names
        for week in weeks:
            found = _index(table, rows, week)
            yield Measurement(
                check="fraud.psi_score" if score else "fraud.psi_field",
                output=str(field) if score else "",
                subject=f"week {week + 1}" if score else f"{field}, week {week + 1}",
                estimate=found.estimate,
                lower=found.lower,
                upper=found.upper,
                n=found.n,
                method=found.method,
            )


def _index(table: Table, rows: Array, week: int) -> Interval:
    """Return the index of one field in one week, with its limits."""
    bins = int(table["bin"][rows].max()) + 1
    counts, sizes = [], []
    for part in (TRAINING, week):
        here = rows & (table["week"] == part)
        count = np.bincount(table["bin"][here], table["count"][here], bins)
        counts.append(count)
        sizes.append(float(count.sum()) / float(table["effect"][here].max(initial=1.0)))
    n = int(counts[1].sum())
    estimate = measures.psi(*counts)
    if estimate is None:
        return intervals.none("no training part, or a single bin", n)
    if n == 0:
        return intervals.none("no event in this week", n)
    used = int((counts[0] + counts[1] > 0).sum())
    lower, upper = intervals.stability(estimate, sizes[0], sizes[1], used)
    return Interval(
        estimate=estimate,
        lower=lower,
        upper=upper,
        n=n,
        method="stability index against the training part, non-central chi-square with design "
        "effects",
    )
