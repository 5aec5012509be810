"""Definitions and intervals of imaging, against scikit-learn and numbers made by hand."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from verticals.intervals import Interval, auc
from verticals_medical_imaging import measures
from verticals_medical_imaging.checks import intervals


def interval(estimate, lower, upper, n=100):
    return Interval(estimate=estimate, lower=lower, upper=upper, n=n, method="m")


def test_doctests():
    assert doctest.testmod(measures).failed == 0


class TestArea:
    def test_agrees_with_scikit_learn_with_ties(self):
        random = np.random.default_rng(0)
        label = (random.random(300) < 0.3).astype(float)
        score = np.round(random.normal(label, 1.0), 1)
        assert measures.area(score, label) == pytest.approx(roc_auc_score(label, score))

    def test_the_interval_used_holds_delongs_variance_by_hand(self):
        # Placements of the positives 3, 5, 7 among 1, 2, 4, 6 are 2/4, 3/4, 4/4; of the negatives
        # 3/3, 3/3, 2/3, 1/3. Their variances over 3 and 4: DeLong's.
        score = np.array([3.0, 5, 7, 1, 2, 4, 6])
        label = np.array([1.0, 1, 1, 0, 0, 0, 0])
        variance = np.var([0.5, 0.75, 1.0], ddof=1) / 3 + np.var([1, 1, 2 / 3, 1 / 3], ddof=1) / 4
        found = auc(score, label)
        assert found.estimate == pytest.approx(0.75)
        assert variance == pytest.approx(0.0208333 + 0.0254630, abs=1e-6)
        reach = 1.96 * np.sqrt(variance)
        assert found.lower <= 0.75 - reach
        assert found.upper >= min(1.0, 0.75 + reach) - 0.02  # a score interval is skewed


class TestCalibrationError:
    def test_bins_hold_equal_counts_and_ties_stay_together(self):
        place = measures.score_bins(np.repeat([0.1, 0.2, 0.3], 100))
        assert [np.unique(place[start : start + 100]).size for start in (0, 100, 200)] == [1, 1, 1]
        assert np.unique(place).size == 3
        spread = measures.score_bins(np.linspace(0, 1, 400))
        assert np.bincount(spread).tolist() == [40] * 10
        assert measures.score_bins(np.linspace(0, 1, 45)).max() == 1

    def test_by_hand(self):
        score = np.repeat([0.1, 0.9], 50)
        label = np.concatenate([np.repeat([1.0, 0], [15, 35]), np.repeat([1.0, 0], [40, 10])])
        # |.1 − .3| / 2 + |.9 − .8| / 2
        assert measures.calibration_error(score, label) == pytest.approx(0.15)
        assert measures.calibration_error(score[:0], label[:0]) is None

    def test_the_lower_limit_is_zero_for_a_right_score(self):
        random = np.random.default_rng(3)
        score = random.uniform(0.05, 0.95, 400)
        label = (random.random(400) < score).astype(float)
        found = intervals.calibration_error(score, label, np.arange(400))
        assert found.lower == 0
        assert found.estimate > 0.01  # biased upwards all the same

    def test_is_found_out_when_wrong(self):
        random = np.random.default_rng(4)
        score = random.uniform(0.05, 0.6, 600)
        label = (random.random(600) < score + 0.3).astype(float)
        found = intervals.calibration_error(score, label, np.arange(600))
        assert 0.2 < found.lower < 0.3 < found.upper < 0.4

    @pytest.mark.parametrize(("per", "alike"), [(1, 0.0), (3, 0.8)])
    def test_covers(self, per, alike):
        random, hits = np.random.default_rng(1), 0
        for _ in range(60):
            unit = np.repeat(np.arange(300 // per), per)
            odds = random.normal(-1, 1.5, 300 // per)[unit]
            score, true = 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-odds - 0.6))
            same = random.random(300 // per)[unit] < alike
            draw = np.where(same, random.random(300 // per)[unit], random.random(300))
            found = intervals.calibration_error(score, (draw < true).astype(float), unit)
            place = measures.score_bins(score)
            error = np.abs(np.bincount(place, (score - true) / 300)).sum()
            hits += found.lower <= error <= found.upper
        assert hits >= 55

    def test_a_bin_without_positives_is_not_certain(self):
        found = intervals.calibration_error(np.full(50, 0.02), np.zeros(50), np.arange(50))
        assert found.upper > 0.05

    def test_one_person(self):
        found = intervals.calibration_error(np.full(5, 0.5), np.ones(5), np.zeros(5))
        assert (found.estimate, found.lower) == (None, None)


class TestSets:
    def test_values_are_whole_words(self):
        sets = np.array(["10|1", "10", "", None], dtype=object)
        assert measures.set_holds(sets, "1").tolist() == [True, False, False, False]
        assert measures.set_sizes(sets).tolist() == [2, 1, 0, 0]


class TestStrata:
    def test_shares_are_drawn_to_the_mean(self):
        score = measures.stratum_score(
            np.array(["a", "b", "new"]), {"a": 9.0, "b": 1.0}, {"a": 10.0, "b": 10.0}
        )
        assert score == pytest.approx([9.5 / 11, 1.5 / 11, 0.5])

    def test_cross_fitting_reads_other_persons_only(self):
        # Each person a stratum: nothing known of it from others.
        group = np.array([f"g{i}" for i in range(40)], dtype=object)
        label = (np.arange(40) % 2).astype(float)
        score = measures.cross_fitted_score(group, label, np.arange(40))
        assert np.unique(score).size <= measures.FOLDS

    def test_permutations_find_a_planted_shortcut_and_leave_chance_alone(self):
        random = np.random.default_rng(0)
        unit = np.repeat(np.arange(100), 2)
        label = (unit % 2).astype(float)
        score = np.where(random.random(200) < 0.8, label, 1 - label)
        assert measures.permutation_p(score, label, unit) == pytest.approx(0.001)
        ps = [
            measures.permutation_p(random.random(100)[unit], label, unit, seed=s) for s in range(8)
        ]
        assert min(ps) > 0.005
        assert max(ps) > 0.3


class TestGap:
    def test_mover_by_hand(self):
        found = intervals.largest_gap([interval(0.9, 0.85, 0.94), interval(0.7, 0.6, 0.78)])
        assert found.estimate == pytest.approx(0.2)
        assert found.lower == pytest.approx(0.2 - np.hypot(0.05, 0.08))
        assert found.upper == pytest.approx(0.2 + np.hypot(0.04, 0.1))

    def test_equal_groups_reach_zero(self):
        found = intervals.largest_gap([interval(0.8, 0.7, 0.9)] * 3)
        assert (found.estimate, found.lower) == (0.0, 0.0)

    def test_a_group_left_out_can_fail_and_never_pass(self):
        pair = [interval(0.9, 0.85, 0.94), interval(0.7, 0.6, 0.78)]
        found = intervals.largest_gap(pair, 1)
        assert found.upper == 1.0
        assert found.lower == intervals.largest_gap(pair).lower
        assert "1 group too small" in found.method

    def test_nothing_to_compare(self):
        assert intervals.largest_gap([interval(0.9, 0.8, 1.0)], 2).estimate is None

    def test_the_level_of_two_groups_is_the_usual_one(self):
        assert intervals.level_for(2) == pytest.approx(0.95)
        assert intervals.level_for(5) > 0.99


class TestMinimum:
    def test_few_persons_or_events_have_no_limits(self):
        whole = interval(0.9, 0.8, 0.95)
        assert intervals.held_to_minimum(whole, 30, 10, "x") is whole
        few = intervals.held_to_minimum(whole, 29, 20, "x")
        assert (few.estimate, few.lower, few.upper) == (0.9, None, None)
        assert few.method == "insufficient: 29 persons, 30 needed for limits"
        rare = intervals.held_to_minimum(whole, 100, 9, "persons with the finding")
        assert rare.method == "insufficient: 9 persons with the finding, 10 needed for limits"


def test_images_of_one_person_widen_a_share():
    hit = np.repeat(np.arange(40) % 2 == 0, 5)
    one = intervals.share(hit, np.arange(200))
    clustered = intervals.share(hit, np.repeat(np.arange(40), 5))
    assert clustered.upper - clustered.lower > 2 * (one.upper - one.lower)


def test_a_shortfall_turns_the_limits():
    found = intervals.shortfall(interval(0.86, 0.80, 0.91), 0.9)
    assert found.estimate == pytest.approx(0.04)
    assert (found.lower, found.upper) == (pytest.approx(-0.01), pytest.approx(0.1))
