"""The interval of a stability index: coverage, what chance gives, and what cannot be measured."""

from __future__ import annotations

import numpy as np
import pytest

from verticals.intervals.stability import stability
from verticals.metrics import psi


def drawn(bins, *, shifted, runs=200, sizes=(1500, 1000)):
    """Return the true index and intervals of samples from even bins and a wave of them."""
    random = np.random.default_rng(0)
    even = np.full(bins, 1 / bins)
    wave = even * (1 + shifted * np.sin(2 * np.arange(bins)))
    wave /= wave.sum()
    true = float(((wave - even) * np.log(wave / even)).sum())
    return true, [
        stability(random.multinomial(sizes[0], even), random.multinomial(sizes[1], wave))
        for _ in range(runs)
    ]


@pytest.mark.parametrize("bins", [2, 10, 40])
@pytest.mark.parametrize("shifted", [0.0, 0.3])
def test_the_interval_covers_the_true_index_and_ends_above_the_measured_one(bins, shifted):
    true, found = drawn(bins, shifted=shifted)
    assert np.mean([item.lower <= true <= item.upper for item in found]) > 0.91
    assert all(item.lower <= item.estimate < item.upper for item in found)


def test_an_index_below_chance_is_no_proof_of_stability():
    even = stability([500, 500, 300], [500, 500, 300])
    lucky = stability([500, 500, 300], [503, 500, 301])
    assert even.estimate == pytest.approx(0, abs=1e-9)
    assert even.upper == pytest.approx(lucky.upper, rel=0.01)
    assert even.upper > 0.01
    assert even.method.endswith("chance alone gives about 0.0031")


def test_the_estimate_is_the_metric_and_design_effects_widen_it():
    counts = [700, 300, 0], [600, 350, 2]
    one, many = stability(*counts), stability(*counts, design_effects=(4.0, 4.0))
    assert one.estimate == many.estimate == psi(*counts)
    assert many.lower < one.lower
    assert many.upper > one.upper


def test_what_is_empty_or_withheld_has_no_index():
    for counts in (([0, 0], [5, 5]), ([5, 5], [0, 0]), ([5], [5]), ([5, 0], [5, 0])):
        assert stability(*counts).estimate is None
    hidden = stability([5, -1], [5, 5])
    assert hidden.estimate is None
    assert "withheld" in hidden.method
