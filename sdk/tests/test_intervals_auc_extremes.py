"""The interval of the AUC near 0 and 1: no jumps, mirrored alike, and coverage of any shape."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from verticals import intervals


def _perfect(n: int, m: int | None = None):
    m = n if m is None else m
    return np.arange(m + n, dtype=float), np.repeat([0.0, 1.0], [n, m])


@pytest.mark.parametrize("n", [20, 50, 100, 500])
def test_one_swapped_pair_hardly_moves_the_limits(n: int) -> None:
    scores, labels = _perfect(n)
    none = intervals.auc(scores, labels)
    scores[[n - 1, n]] = scores[[n, n - 1]]
    one, mirrored = intervals.auc(scores, labels), intervals.auc(-scores, labels)
    assert one.estimate == pytest.approx(1 - 1 / n**2)
    assert 0 < none.lower - one.lower < 2 / n**2
    assert 1 - none.lower < 5 / n
    assert (mirrored.lower, mirrored.upper) == pytest.approx((1 - one.upper, 1 - one.lower))


@pytest.mark.parametrize(("n", "m"), [(20, 20), (300, 20), (20, 300), (200, 200)])
@pytest.mark.parametrize("how", ["anywhere", "one sinks", "each to the bottom"])
@pytest.mark.parametrize("rows", [1, 4])
def test_limits_fall_steadily_as_pairs_are_misplaced(n: int, m: int, how: str, rows: int) -> None:
    """Where persons are few, a misplaced row can show that theirs differ, and a limit may rise."""
    rng = np.random.default_rng(0)
    scores, labels = _perfect(n, m)
    person = np.concatenate([np.arange(n) // rows, n + np.arange(m) // rows])
    person = None if rows == 1 else person
    found, sunk = [], 0
    for _ in range(12):
        found.append(intervals.auc(scores, labels, units=person))
        if how == "each to the bottom":
            scores[n + sunk] = -1.0 - sunk
            sunk += 1
            continue
        order = np.argsort(scores)
        ranked = labels[order]
        free = np.flatnonzero((ranked[:-1] == 0) & (ranked[1:] == 1))
        at = free[0] if how == "one sinks" else rng.choice(free)
        pair = order[[at, at + 1]]
        scores[pair] = scores[pair[::-1]]
    lower = np.array([item.lower for item in found])
    lost = -np.diff([item.estimate for item in found])
    fall = -np.diff(lower)
    assert rows > 1 or (fall > -1e-9).all()
    assert (fall < 8 * lost + 0.02).all()


def test_with_clear_separation_the_interval_is_narrow() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0.0, 1.0], 500)
    for shift in (4.0, 5.0, 6.0):
        found = intervals.auc(rng.normal(shift * labels, 1), labels)
        assert found.lower > found.estimate - 0.012


@pytest.mark.parametrize(("m", "least"), [(10, 0.95), (30, 0.95), (100, 0.94)])
def test_covers_by_enumeration_where_a_share_of_positives_is_at_the_bottom(m, least) -> None:
    """The shape of greatest variance (Birnbaum and Klose): area and limits depend on one count."""
    n = 10 * m
    limits = []
    for count in range(m + 1):
        scores = np.concatenate([np.arange(n), np.where(np.arange(m) < count, -1.0, 2.0 * n)])
        found = intervals.auc(scores, np.repeat([0.0, 1.0], [n, m]))
        limits.append((found.lower, found.upper))
    lower, upper = np.array(limits).T
    for share in np.concatenate([np.linspace(0.05, 8, 60) / m, np.linspace(0.1, 0.5, 30)]):
        if share > 0.5:
            continue
        held = (lower <= 1 - share + 1e-9) & (1 - share - 1e-9 <= upper)
        assert stats.binom.pmf(np.arange(m + 1), m, share) @ held >= least


@pytest.mark.parametrize("area", [0.9, 0.99, 0.999])
@pytest.mark.parametrize("alike", [0.1, 0.9])
def test_covers_with_rows_in_units(area: float, alike: float) -> None:
    rng = np.random.default_rng(0)
    units, each, held, width = 60, 5, 0, 0.0
    unit = np.repeat(np.arange(units), each)
    labels = (unit % 2).astype(float)
    centre = stats.norm.ppf(area) * np.sqrt(2)
    for _ in range(100):
        shared = np.sqrt(alike) * rng.normal(size=units)[unit]
        scores = centre * labels + shared + np.sqrt(1 - alike) * rng.normal(size=unit.size)
        found = intervals.auc(scores, labels, units=unit)
        held += found.lower <= area <= found.upper
        width += found.upper - found.lower
    assert held >= 93
    assert width / 100 < 0.25


def test_average_precision_of_units_does_not_narrow_when_a_pair_is_swapped() -> None:
    scores, labels = _perfect(100)
    person = np.arange(200) // 5
    none = intervals.average_precision(scores, labels, units=person)
    scores[[99, 100]] = scores[[100, 99]]
    one = intervals.average_precision(scores, labels, units=person)
    assert one.lower == pytest.approx(none.lower, abs=0.005)
