"""What audit checks of every domain share: the groups of the audited rows, and measurements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from verticals.evidence.model import AttributeInfo, EvidenceInfo, Measurement
from verticals.table import Array, Table

if TYPE_CHECKING:
    from verticals.intervals import Interval


def audited_groups(scores: Table, info: EvidenceInfo) -> Iterator[tuple[AttributeInfo, str, Array]]:
    """Yield each group that occurs in the table `scores`, with the mask of its rows: (rows,).

    Declared groups come first, in their order. Who is not recorded is in none.
    """
    for attribute in info.attributes:
        column = scores.get(f"attr:{attribute.name}")
        if column is None:
            continue
        seen = {str(value) for value in column if value}
        for name in (*attribute.groups, *sorted(seen - set(attribute.groups))):
            if name in seen:
                yield attribute, name, np.asarray(column == name)


def measurement(
    check: str,
    found: Interval,
    *,
    output: str = "",
    subject: str = "",
    group: tuple[str, str] = ("", ""),
) -> Measurement:
    """Return an interval as the measurement of a check; `group` is (attribute, group)."""
    return Measurement(
        check=check,
        output=output,
        subject=subject,
        attribute=group[0],
        group=group[1],
        estimate=found.estimate,
        lower=found.lower,
        upper=found.upper,
        n=found.n,
        method=found.method,
    )
