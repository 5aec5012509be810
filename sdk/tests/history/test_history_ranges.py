"""Sums, maxima and numbers of different values over ranges, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verticals.history.ranges import RangeSums, distinct_counts, prefix_sums, range_maxima

NUMBERS = st.lists(st.integers(-(2**63) + 1, 2**63 - 1), max_size=20)


def all_ranges(size):
    low, high = np.triu_indices(size + 1)
    return low, high


@given(values=NUMBERS)
def test_sums_are_exact_and_rounded_once(values):
    low, high = all_ranges(len(values))
    found = RangeSums(np.array(values, dtype=np.int64)).between(low, high)
    expected = [float(sum(values[a:b])) for a, b in zip(low, high, strict=True)]
    assert found.tolist() == expected


@given(values=st.lists(st.integers(-5, 5), max_size=20))
def test_small_sums_need_one_prefix(values):
    low, high = all_ranges(len(values))
    found = RangeSums(np.array(values, dtype=np.int64)).between(low, high)
    assert found.tolist() == [sum(values[a:b]) for a, b in zip(low, high, strict=True)]
    assert prefix_sums(np.array(values, dtype=np.int64)).tolist() == [
        sum(values[:n]) for n in range(len(values) + 1)
    ]


@given(values=NUMBERS)
def test_maxima(values):
    low, high = all_ranges(len(values))
    (found,) = range_maxima(np.array(values, dtype=np.int64), [low], high, -(2**63))
    expected = [max(values[a:b], default=-(2**63)) for a, b in zip(low, high, strict=True)]
    assert found.tolist() == expected


@given(values=st.lists(st.lists(st.integers(-1, 4), max_size=12), min_size=1, max_size=4))
def test_different_values_within_an_owner(values):
    owners = np.repeat(np.arange(len(values)), [len(items) for items in values])
    flat = np.array([item for items in values for item in items], dtype=np.int64)
    for low in range(len(flat)):
        # One range a position, as the batch asks for: from `low`, or the owner's first.
        first = np.searchsorted(owners, owners)
        lows = np.minimum(np.maximum(first, low), np.arange(len(flat)))
        (found,) = distinct_counts(owners, flat, [lows], np.arange(len(flat)))
        expected = [len(set(flat[a:b].tolist()) - {-1}) for b, a in enumerate(lows)]
        assert found.tolist() == expected


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_one_long_owner(size):
    rng = np.random.default_rng(size)
    values = rng.integers(-1, 50, size)
    high = np.arange(size)
    lows = [np.maximum(0, high - width) for width in (1, 7, 100, 2000)]
    for low, found in zip(lows, distinct_counts(values * 0, values, lows, high), strict=True):
        expected = [len(set(values[a:b].tolist()) - {-1}) for a, b in zip(low, high, strict=True)]
        assert found.tolist() == expected
