"""Intervals for rates and for gaps between groups: known values, laws, and coverage."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from verticals import intervals
from verticals.intervals import simultaneous_z
from verticals.intervals.disparity import _pair_ratios, difference_bounds, ratio_bounds

counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize("name", ["base", "rates", "disparity", "homogeneity"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"verticals.intervals.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


# Newcombe, Statistics in Medicine 17 (1998) 857–872, table I, method 3.
@pytest.mark.parametrize(
    ("x", "n", "lower", "upper"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_limits(x: int, n: int, lower: float, upper: float) -> None:
    found = intervals.wilson(x, n)
    assert found.estimate == x / n
    assert found.lower == pytest.approx(lower, abs=5e-5)
    assert found.upper == pytest.approx(upper, abs=5e-5)


@settings(deadline=None, max_examples=50)
@given(counts, st.sampled_from([0.9, 0.95, 0.99]))
def test_exact_agrees_with_scipy(pair: tuple[int, int], level: float) -> None:
    x, n = pair
    found = intervals.exact(x, n, level=level)
    expected = stats.binomtest(x, n).proportion_ci(level, "exact")
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("function", [intervals.wilson, intervals.exact])
def test_an_empty_denominator_has_no_estimate(function) -> None:
    found = function(0, 0)
    assert (found.estimate, found.lower, found.upper) == (None, None, None)


@settings(deadline=None, max_examples=50)
@given(counts, st.floats(1.1, 8))
def test_a_design_effect_widens(pair: tuple[int, int], effect: float) -> None:
    for function in (intervals.wilson, intervals.exact):
        plain, wide = function(*pair), function(*pair, design_effect=effect)
        assert wide.upper - wide.lower > plain.upper - plain.lower
        assert wide.estimate == plain.estimate
        assert "design effect" in wide.method
        assert "design effect" not in plain.method


def test_design_effect_is_one_for_single_rows_and_cluster_size_for_copies() -> None:
    rng = np.random.default_rng(0)
    people = rng.random(400) < 0.4
    assert intervals.design_effect(people, np.arange(400)) == 1.0
    copied = intervals.design_effect(np.repeat(people, 5), np.repeat(np.arange(400), 5))
    assert copied == pytest.approx(5, rel=0.03)
    # Nothing varies, so nothing can be estimated: five rows of one person count as one.
    assert intervals.design_effect(np.ones(50), np.repeat(np.arange(10), 5)) == 5
    assert intervals.design_effect(np.array([0, 1, 1, 0]), np.zeros(4)) == 4


@settings(deadline=None, max_examples=50)
@given(counts, counts)
def test_difference_turns_its_sign_and_ratio_its_value(a, b) -> None:
    there, back = intervals.difference(a, b), intervals.difference(b, a)
    assert there.estimate == pytest.approx(-back.estimate)
    assert there.lower == pytest.approx(-back.upper)
    assert -1 - 1e-12 <= there.lower <= there.estimate <= there.upper <= 1 + 1e-12
    if a[0] and b[0]:
        over, under = intervals.ratio(a, b), intervals.ratio(b, a)
        assert over.lower * under.upper == pytest.approx(1)
        assert over.lower <= over.estimate <= over.upper


def test_a_ratio_to_a_rate_of_zero_is_not_measurable() -> None:
    assert intervals.ratio((3, 10), (0, 10)).estimate is None
    assert intervals.ratio((0, 10), (5, 10)).lower == 0
    # So small a lower limit of the second rate that nothing is bound, and nothing overflows.
    _, high = _pair_ratios(np.array([0.5, 0.1]), np.array([0.4, 1e-310]), np.array([0.6, 0.3]))
    assert np.isinf(high[0, 1])


@settings(deadline=None, max_examples=50)
@given(st.lists(counts, min_size=2, max_size=5))
def test_disparities_hold_their_estimate_and_stay_in_range(groups) -> None:
    x, n = zip(*groups, strict=True)
    gap = intervals.disparity_difference(x, n)
    assert 0 <= gap.lower <= gap.estimate <= gap.upper <= 1 + 1e-12
    ratio = intervals.disparity_ratio(x, n)
    if max(x) == 0:
        assert ratio.estimate is None
    else:
        assert 0 <= ratio.lower <= ratio.estimate <= ratio.upper <= 1
    order = np.argsort(x)[::-1]
    again = intervals.disparity_difference(np.array(x)[order], np.array(n)[order])
    assert (again.lower, again.upper) == pytest.approx((gap.lower, gap.upper))


def test_disparity_of_two_is_the_difference_folded_at_zero() -> None:
    pair = intervals.difference((40, 50), (20, 60))
    folded = intervals.disparity_difference([40, 20], [50, 60])
    assert (folded.estimate, folded.lower, folded.upper) == pytest.approx(
        (pair.estimate, pair.lower, pair.upper)
    )


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_disparities_hold_all_pairs_at_once(groups: int) -> None:
    """What the coverage tests draw is what callers get."""
    x, n = np.arange(10, 10 + 7 * groups, 7), np.full(groups, 80)
    z = simultaneous_z(0.95, groups)
    gap, ratio = intervals.disparity_difference(x, n), intervals.disparity_ratio(x, n)
    bounds = [float(value) for value in difference_bounds(x, n, z)]
    assert [gap.estimate, gap.lower, gap.upper] == pytest.approx(bounds)
    bounds = [float(value) for value in ratio_bounds(x, n, z)]
    assert [ratio.estimate, ratio.lower, ratio.upper] == pytest.approx(bounds)
    wide = intervals.disparity_difference(x, n, design_effects=np.full(groups, 4.0))
    quarter = intervals.disparity_difference(x / 4, n / 4)
    assert (wide.lower, wide.upper) == pytest.approx((quarter.lower, quarter.upper))


def test_fewer_than_two_groups_or_an_empty_one_cannot_be_compared() -> None:
    for function in (intervals.disparity_difference, intervals.disparity_ratio):
        assert function([3], [10]).estimate is None
        assert function([3, 0], [10, 0]).estimate is None


def test_offsets_move_the_calibration_gap_and_not_its_width() -> None:
    plain = intervals.disparity_difference([20, 20], [100, 100])
    moved = intervals.disparity_difference([20, 20], [100, 100], offsets=[0.2, 0.5])
    assert plain.estimate == 0
    assert moved.estimate == pytest.approx(0.3)
    assert moved.upper - moved.estimate == pytest.approx(plain.upper)


@pytest.mark.parametrize("groups", [2, 3, 5, 12])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_simultaneous_quantile_is_that_of_the_studentized_range(groups, level) -> None:
    expected = stats.studentized_range.ppf(level, groups, np.inf) / np.sqrt(2)
    assert simultaneous_z(level, groups) == pytest.approx(expected, abs=1e-5)


# ---- coverage -------------------------------------------------------------------------------


def _coverage(n, p, draws: int, seed: int = 0) -> tuple[float, float]:
    """Return how often the intervals of difference and ratio hold the truth, over draws."""
    rng = np.random.default_rng(seed)
    n, p = np.array(n), np.array(p)
    x = rng.binomial(n, p, size=(draws, n.size))
    z = simultaneous_z(0.95, n.size)
    gap, ratio = p.max() - p.min(), p.min() / p.max()
    _, lower, upper = difference_bounds(x, n, z)
    held = (lower <= gap + 1e-12) & (gap <= upper + 1e-12)
    _, low, high = ratio_bounds(x, n, z)
    return float(held.mean()), float(((low <= ratio + 1e-12) & (ratio <= high + 1e-12)).mean())


SIZES = {
    2: [(30, 30), (30, 1000)],
    3: [(30, 30, 30), (30, 200, 1000)],
    5: [(30,) * 5, (1000, 30, 30, 30, 30)],
}


@pytest.mark.parametrize("groups", [2, 3, 5])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.9, 0.98])
def test_disparities_cover_no_difference(groups: int, rate: float) -> None:
    """At the null zero (for the ratio one) is held in 95 % of samples: 94 % with 3,000 draws."""
    for sizes in SIZES[groups]:
        gap, ratio = _coverage(sizes, [rate] * groups, 3000)
        assert gap >= 0.94
        assert ratio >= 0.94


@pytest.mark.parametrize("groups", [2, 3, 5])
@pytest.mark.parametrize(("low", "high"), [(0.02, 0.1), (0.02, 0.5), (0.4, 0.6), (0.8, 0.98)])
def test_disparities_cover_a_difference(groups: int, low: float, high: float) -> None:
    for sizes in SIZES[groups]:
        for rates in (np.linspace(low, high, groups), np.linspace(high, low, groups)):
            gap, ratio = _coverage(sizes, rates, 3000)
            assert gap >= 0.94
            assert ratio >= 0.94


@pytest.mark.parametrize("sizes", [(30, 30), (30, 45), (30, 100)])
def test_two_groups_cover_by_enumeration(sizes: tuple[int, int]) -> None:
    """Every pair of counts, every pair of rates on a grid: no Monte Carlo error at all."""
    x = np.stack(np.meshgrid(*(np.arange(n + 1) for n in sizes), indexing="ij"), -1)
    _, lower, upper = difference_bounds(x, np.array(sizes), simultaneous_z(0.95, 2))
    grid = np.arange(0.02, 0.99, 0.06)
    for first in grid:
        for second in grid:
            chance = stats.binom.pmf(x[..., 0], sizes[0], first) * stats.binom.pmf(
                x[..., 1], sizes[1], second
            )
            gap = abs(first - second)
            held = (lower <= gap + 1e-12) & (gap <= upper + 1e-12)
            assert chance[held].sum() >= 0.95


def test_a_percentile_bootstrap_of_the_largest_gap_misses_zero() -> None:
    """The peer's way, for contrast: without any difference its interval never holds zero."""
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(50):
        x = rng.binomial(200, 0.5, size=3)
        drawn = rng.binomial(200, x / 200, size=(400, 3)) / 200
        missed += np.quantile(np.ptp(drawn, axis=1), 0.025) > 0
        assert intervals.disparity_difference(x, [200] * 3, level=0.9999).lower == 0
    assert missed == 50


def test_rows_of_one_person_do_not_pass_for_many_persons() -> None:
    """Ten like rows a person: ignoring that misses the truth, the design effect does not."""
    rng = np.random.default_rng(0)
    naive, aware = 0, 0
    for _ in range(300):
        units = np.repeat(np.arange(60), 10)
        groups = []
        for _ in range(2):
            chance = rng.beta(1.5, 1.5, size=60)[units]
            groups.append((rng.random(600) < chance).astype(float))
        x, n = [group.sum() for group in groups], [600, 600]
        effects = [intervals.design_effect(group, units) for group in groups]
        naive += intervals.disparity_difference(x, n).lower == 0
        aware += intervals.disparity_difference(x, n, design_effects=effects).lower == 0
    assert naive < 0.85 * 300
    assert aware >= 0.93 * 300


def test_means_of_groups_cover_no_difference_with_unequal_spread() -> None:
    rng = np.random.default_rng(0)
    held, rejected = 0, 0
    for _ in range(200):
        samples = [rng.normal(3, spread, n) for spread, n in ((1, 80), (4, 30), (2, 40))]
        means = [s.mean() for s in samples]
        errors = [s.std(ddof=1) / len(s) ** 0.5 for s in samples]
        held += intervals.mean_disparity(means, errors, [80, 30, 40]).lower == 0
        rejected += intervals.mean_homogeneity(means, errors, [80, 30, 40]) < 0.05
    assert held >= 0.92 * 200
    assert rejected <= 0.09 * 200


# ---- tests of equal rates -------------------------------------------------------------------


def test_homogeneity_is_pearson_for_large_and_fisher_for_small_tables() -> None:
    table = np.array([[40, 60, 35], [160, 140, 165]])
    expected = stats.chi2_contingency(table, correction=False).pvalue
    assert intervals.homogeneity(table[0], table.sum(0)) == pytest.approx(expected)
    for a, b in ((1, 6), (0, 3), (4, 4), (30, 26), (2, 0)):
        small = intervals.homogeneity([a, b], [30, 35])
        assert small == pytest.approx(stats.fisher_exact([[a, b], [30 - a, 35 - b]]).pvalue)
    assert intervals.homogeneity([0, 0, 0], [30, 30, 30]) == 1.0
    assert intervals.homogeneity([5], [30]) is None


@pytest.mark.parametrize("offsets", [None, [0.02, 0.05, 0.08]])
def test_homogeneity_of_small_counts_keeps_its_level(offsets) -> None:
    rng = np.random.default_rng(0)
    rates = 0.03 + (np.zeros(3) if offsets is None else np.array(offsets))
    p = [
        intervals.homogeneity(rng.binomial([30, 40, 60], rates), [30, 40, 60], offsets=offsets)
        for _ in range(120)
    ]
    assert np.mean(np.array(p) < 0.05) <= 0.1


def test_homogeneity_sees_a_difference_and_a_shared_offset() -> None:
    assert intervals.homogeneity([10, 60], [100, 100]) < 1e-6
    # The observed rates differ by what the scores predict: calibrated alike.
    assert intervals.homogeneity([10, 60], [100, 100], offsets=[0.1, 0.6]) == pytest.approx(1)
    clustered = intervals.homogeneity([10, 60], [100, 100], design_effects=[10, 10])
    assert 0.001 < clustered < 0.2


def test_homogeneity_is_the_same_on_every_call() -> None:
    calls = {intervals.homogeneity([3, 1, 5], [30, 40, 50], seed=7) for _ in range(3)}
    assert len(calls) == 1


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1) | st.none(), max_size=8))
def test_holm_never_lowers_and_keeps_the_order(values) -> None:
    adjusted = intervals.holm(values)
    assert [a is None for a in adjusted] == [v is None for v in values]
    pairs = sorted((v, a) for v, a in zip(values, adjusted, strict=True) if v is not None)
    assert all(v <= a <= 1 for v, a in pairs)
    assert [a for _, a in pairs] == sorted(a for _, a in pairs)
    if pairs:
        assert pairs[0][1] == min(1.0, pairs[0][0] * len(pairs))
