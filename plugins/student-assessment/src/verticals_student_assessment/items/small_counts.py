"""Counts below 10 that would follow from others: what else is left out so that they do not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verticals.table import Array

FEW = 10  # a count below it is not written out


def told_persons(persons: Array, total: int) -> Array:
    """Return counts (n,) float64, NaN where 1 to 9 of `total` are not among them."""
    rest = total - np.asarray(persons, dtype=np.float64)
    return np.where((rest > 0) & (rest < FEW), np.nan, persons)


def least_persons(persons: int, *, exact: bool) -> int:
    """Return a number of persons; where the exact one would tell too much, that they are enough.

    A rounded number would tell it too, where the persons left over are few: all that may be said
    is 0 for fewer than 10, and 10 for more.
    """
    if exact:
        return persons
    return 0 if persons < FEW else FEW


def told_groups(sizes: Sequence[int], rest: int = 0) -> list[bool]:
    """Return which groups of one attribute may be told, by their numbers of persons.

    A group of fewer than 10 is left out. Where it is the only one, or all those left out have
    fewer than 10 persons together, the next smallest is left out too: else the total less the
    others gives it away. `rest` is the number of persons in no group, who are told nowhere.
    """
    told = [size >= FEW for size in sizes]
    hidden = [size for size in sizes if 0 < size < FEW] + [rest] * (rest > 0)
    while hidden and any(told) and ((len(hidden) == 1 and hidden[0] < FEW) or sum(hidden) < FEW):
        size, place = min((size, place) for place, size in enumerate(sizes) if told[place])
        told[place] = False
        hidden.append(size)
    return told
