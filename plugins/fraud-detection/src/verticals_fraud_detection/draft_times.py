"""Guess the time of an event and the time at which its label became known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from verticals.contract.columns import Log, read_times
from verticals.contract.guess import epoch_unit, times_of_events
from verticals.contract.hints import word_set, words
from verticals.contract.profile import Profile
from verticals.table import Array, Table

_KNOWN = word_set(
    """
    chargeback closed confirmed decided disputed investigated known label labelled reported
    resolved reviewed settled
    """
)


def guess_times(columns: Mapping[str, Profile], raw: Table) -> tuple[str, str]:
    """Return (time of the event, time of its label), each "" where nothing tells it.

    Of two columns of times, or of seconds since 1970, the label's is the one that is at or after
    the other on every row that has both; of equal ones the name tells.
    """
    found = _stamps(list(columns.values()), raw)
    if len(found) != 2:
        return "", ""
    (one, first), (two, second) = found.items()
    both = ~np.isnan(first) & ~np.isnan(second)
    if not both.any():
        return "", ""
    later = [
        (event, label)
        for event, label, gap in ((one, two, second - first), (two, one, first - second))
        if bool(np.all(gap[both] >= 0)) and not np.isnan(found[event]).any()
    ]
    if len(later) == 2:
        later = [pair for pair in later if set(words(pair[1])) & _KNOWN]
    return later[0] if len(later) == 1 else ("", "")


def _stamps(columns: Sequence[Profile], raw: Table) -> dict[str, Array]:
    """Return (rows,) numbers of each column that holds times, NaN where there is none."""
    found: dict[str, Array] = {}
    for column in times_of_events(columns):
        log = Log(np.arange(1, raw.rows + 1))
        times = read_times(raw[column.column], column.column, (), log)
        if not log.violations:
            found[column.column] = np.where(np.isnat(times), np.nan, times.astype(np.float64))
    for column in columns:
        if epoch_unit(column) and column.numbers is not None:
            scale = 1e6 if epoch_unit(column) == "seconds" else 1e3
            found[column.column] = column.numbers * scale
    return found
