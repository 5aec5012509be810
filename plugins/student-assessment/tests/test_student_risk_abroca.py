"""ABROCA against a slow reference, known cases, and what its test promises under the null."""

from __future__ import annotations

import numpy as np
import pytest

from verticals_student_assessment.risk import abroca


def made(seed, n=120, shift=0.0, digits=8):
    """Return score, label and group of students; the score of the first group is worse."""
    random = np.random.default_rng(seed)
    label = (random.random(n) < 0.4).astype(float)
    first = random.random(n) < 0.4
    score = np.round(random.normal(size=n) + label * (1.5 - shift * first), digits)
    return score, label, first


def slow(score, label, first, points=40_001):
    """Integrate |difference of curves| on a fine grid, a threshold at a time."""
    grid = (np.arange(points) + 0.5) / points

    def curve(rows):
        x, y = [0.0], [0.0]
        for cut in np.unique(score[rows])[::-1]:
            taken = rows & (score >= cut)
            x.append((taken & (label == 0)).sum() / (rows & (label == 0)).sum())
            y.append((taken & (label == 1)).sum() / (rows & (label == 1)).sum())
        x, y = np.array(x), np.array(y)
        after = np.searchsorted(x, grid, side="right")
        run = x[after] - x[after - 1]
        return y[after - 1] + (y[after] - y[after - 1]) * (grid - x[after - 1]) / run

    return np.abs(curve(first) - curve(~first)).mean()


@pytest.mark.parametrize("digits", [8, 1, 0])
@pytest.mark.parametrize("seed", range(3))
def test_equals_a_slow_reference_also_with_ties(seed, digits):
    facts = made(seed, shift=0.8, digits=digits)
    assert abroca.abroca(*facts) == pytest.approx(slow(*facts), abs=2e-4)


def test_identical_curves_have_no_area_between():
    score, label, _ = made(0)
    both = np.concatenate([score, score]), np.concatenate([label, label])
    assert abroca.abroca(*both, np.arange(240) < 120) == pytest.approx(0.0, abs=1e-12)


def test_perfect_and_reversed_rankings_are_one_apart():
    label = np.tile([0.0, 0.0, 1.0, 1.0], 2)
    score = np.array([1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 2.0, 1.0])
    assert abroca.abroca(score, label, np.arange(8) < 4) == pytest.approx(1.0)


def test_a_perfect_ranking_and_chance_are_a_half_apart():
    label = np.tile([0.0, 0.0, 1.0, 1.0], 2)
    score = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0, 5.0])
    assert abroca.abroca(score, label, np.arange(8) < 4) == pytest.approx(0.5)


def test_crossing_curves_do_not_cancel():
    # One group's ties make a diagonal; the other's curve lies above it first and below it then.
    label = np.array([1.0, 0, 0, 1.0, 1.0, 0, 1.0, 0])
    score = np.array([4.0, 3.0, 2.0, 1.0, 9.0, 9.0, 9.0, 9.0])
    # From (0, .5) level to (1, .5): |.5 − t| integrates to a quarter.
    assert abroca.abroca(score, label, np.arange(8) < 4) == pytest.approx(0.25)


def test_one_outcome_only_is_not_measured():
    score, label, first = made(0)
    alone = np.where(first, 1.0, label)
    assert abroca.abroca(score, alone, first) is None
    assert abroca.permutation_p(score, alone, first, np.arange(120)) is None
    assert abroca.resampled_distance(score, alone, first, np.arange(120)) is None


def test_the_same_seed_gives_the_same_p_value():
    facts = (*made(3), np.arange(120))
    assert abroca.permutation_p(*facts, draws=99) == abroca.permutation_p(*facts, draws=99)


def test_p_values_are_uniform_where_groups_are_alike():
    unit = np.arange(120)
    found = np.array([abroca.permutation_p(*made(s), unit, seed=s, draws=99) for s in range(150)])
    for limit in (0.05, 0.1, 0.25, 0.5, 0.75):
        spread = 3.5 * np.sqrt(limit * (1 - limit) / found.size)
        assert abs((found <= limit).mean() - limit) < spread, limit


def test_p_values_are_uniform_where_base_rates_differ():
    # Labels shuffled among all persons would mix the groups' base rates.
    found = []
    for seed in range(120):
        random = np.random.default_rng(seed)
        first = random.random(150) < 0.3
        label = (random.random(150) < np.where(first, 0.7, 0.2)).astype(float)
        score = random.normal(size=150) + 2 * label
        found.append(abroca.permutation_p(score, label, first, np.arange(150), draws=99))
    assert (np.array(found) <= 0.05).mean() < 0.12


def test_rows_of_one_person_change_places_together():
    # Four rows a person, all alike: row by row a permutation would take chance for a difference.
    found = []
    for seed in range(80):
        score, label, first = made(seed, n=50)
        unit = np.repeat(np.arange(50), 4)
        rows = (np.repeat(part, 4) for part in (score, label, first))
        found.append(abroca.permutation_p(*rows, unit, draws=99))
    assert (np.array(found) <= 0.05).mean() < 0.15


def test_a_group_that_changes_within_a_person_has_no_permutation():
    score, label, first = made(0)
    unit = np.repeat(np.arange(60), 2)
    assert abroca.permutation_p(score, label, first, unit) is None
    assert abroca.resampled_distance(score, label, first, unit, draws=20) is not None


def test_a_difference_is_found():
    facts = made(1, n=800, shift=1.5)
    assert abroca.permutation_p(*facts, np.arange(800), draws=199) == pytest.approx(1 / 200)


def test_limits_cover_no_difference_and_a_known_one():
    covered = {0.0: 0, 1.5: 0}
    for shift in covered:
        truth = 0.0 if shift == 0 else abroca.abroca(*made(0, n=20_000, shift=shift))
        for seed in range(40):
            score, label, first = made(seed + 1, n=300, shift=shift)
            area = abroca.abroca(score, label, first)
            reach = abroca.resampled_distance(score, label, first, np.arange(300), draws=60)
            covered[shift] += abs(area - truth) <= reach
    assert min(covered.values()) >= 34  # 95 % of 40 are 38; 34 is three standard errors less


def test_many_scores_are_joined_alike_in_what_is_seen_and_drawn():
    score, label, first = made(5, n=3_000)
    found = abroca.permutation_p(score, label, first, np.arange(3_000), draws=99)
    assert 0.02 < found <= 1.0
