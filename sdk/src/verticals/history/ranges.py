"""Sums, maxima and numbers of different values over many ranges of one array at once.

A range is [low, high) of positions; all are answered without a loop over rows, in memory linear
in the array and the ranges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verticals.table import Array

_LOW_BITS = 32


class RangeSums:
    """Sum whole numbers over ranges, exactly, then round once to float64.

    Prefix sums that might leave int64 are held in two halves, so that no amount, however large,
    wraps around.
    """

    def __init__(self, values: Array) -> None:
        largest = max(int(values.max()), -int(values.min())) if values.size else 0
        if largest * values.size < 2**63:
            self._parts = [prefix_sums(values)]
        else:
            self._parts = [
                prefix_sums(values >> _LOW_BITS),
                prefix_sums(values & (2**_LOW_BITS - 1)),
            ]

    def between(self, low: Array, high: Array) -> Array:
        """Return the sums of [low, high) as float64: (ranges,)."""
        sums = [part[high] - part[low] for part in self._parts]
        if len(sums) == 1:
            return np.asarray(sums[0].astype(np.float64))
        # The carry makes the upper half whole and the lower one positive: then only the last
        # addition rounds, as Python's float() of the same integer does.
        upper, lower = sums[0] + (sums[1] >> _LOW_BITS), sums[1] & (2**_LOW_BITS - 1)
        return np.asarray(upper.astype(np.float64) * 2.0**_LOW_BITS + lower)


def prefix_sums(values: Array) -> Array:
    """Return the sums of [0, n) for n from 0 to all, as int64: (values + 1,)."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def range_maxima(values: Array, lows: Sequence[Array], high: Array, empty: int) -> list[Array]:
    """Return the largest value of each [low, high), `empty` where that holds nothing.

    Two overlapping runs of 2^k cover a range; the runs are doubled level by level, so that only
    one level is held (Bender and Farach-Colton 2000, "the LCA problem revisited", section 3).
    """
    found = [np.full(len(high), empty, dtype=np.int64) for _ in lows]
    lengths = [high - low for low in lows]
    longest = max((int(length.max()) for length in lengths if length.size), default=0)
    runs, level = values.astype(np.int64), 0
    while 2**level <= longest:
        for result, low, length in zip(found, lows, lengths, strict=True):
            here = np.flatnonzero((length >> level) == 1)
            first, last = low[here], high[here] - 2**level
            result[here] = np.maximum(runs[first], runs[last])
        runs = np.maximum(runs[: -(2**level)], runs[2**level :])
        level += 1
    return found


def distinct_counts(
    owners: Array, values: Array, lows: Sequence[Array], high: Array
) -> list[Array]:
    """Count the different values ≥ 0 in each [low, high), which stays within one owner.

    A value counts where it stands in the range and its previous place of the same owner does
    not, so a range holds as many different values as places whose previous one is before it.
    `owners` are sorted.
    """
    known = prefix_sums(values >= 0)
    first = np.searchsorted(owners, owners)  # of the same owner
    largest = int((np.arange(len(owners)) - first).max(initial=0)) + 1
    previous = _previous_places(owners, values, first, largest)
    found = []
    for low in lows:
        counts = known[high] - known[low]
        many = np.flatnonzero(counts > 1)
        start = low[many]
        limit = start - first[start] + 1
        counts[many] = ranks(previous, start, high[many], limit, largest)
        found.append(counts)
    return found


def _previous_places(owners: Array, values: Array, first: Array, largest: int) -> Array:
    """Return 1 + the previous place of the same owner and value, counted from the owner's first.

    0 stands for no previous place, `largest` + 1 for a value below 0, which never counts.
    """
    order = np.lexsort((values, owners))
    earlier, later = order[:-1], order[1:]
    same = (owners[later] == owners[earlier]) & (values[later] == values[earlier])
    previous = np.zeros(len(values), dtype=np.int32)
    previous[later[same]] = (earlier - first[earlier] + 1)[same]
    previous[values < 0] = largest + 1
    return previous


def ranks(values: Array, starts: Array, ends: Array, limits: Array, largest: int) -> Array:
    """Count the places in [start, end) whose value is below the limit, for each such triple.

    Values are whole, from 0 to `largest` + 1, limits at most that. A wavelet matrix (Claude,
    Navarro and Ordóñez 2015, "The wavelet matrix", Information Systems 47), of which one level is
    held: a level sorts the values by one bit, highest first, and carries every range along.
    """
    start, end, limit = (item.astype(np.int32) for item in (starts, ends, limits))
    found = np.zeros_like(end)
    for bit in reversed(range((largest + 1).bit_length())):
        ones = (values >> bit) & 1 == 1
        zeros = np.zeros(len(values) + 1, dtype=np.int32)
        np.cumsum(~ones, out=zeros[1:])
        before_start, before_end = zeros[start], zeros[end]
        upper = (limit >> bit) & 1 == 1
        found += np.where(upper, before_end - before_start, 0)
        start = np.where(upper, zeros[-1] + start - before_start, before_start)
        end = np.where(upper, zeros[-1] + end - before_end, before_end)
        values = np.concatenate([values[~ones], values[ones]])
    return found.astype(np.int64)
