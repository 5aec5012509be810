"""Scoring with fixed items: EAP, MAP and WLE against brute force, and their limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.errors import CallError
from verticals_student_assessment.items.irt import (
    SCORINGS,
    ItemBank,
    item_curves,
    log_likelihoods,
    score_persons,
    test_information,
)

test_information.__test__ = False  # a function of the package, no test


def make_bank(values, **settings):
    values = np.asarray(values, dtype=np.float64)
    counts = np.isfinite(values[:, 1:-1]).sum(axis=1) + 1
    return ItemBank(
        names=tuple(f"i{n}" for n in range(len(values))),
        model=settings.pop("model", "2PL"),
        categories=counts,
        merged=tuple(tuple(range(count)) for count in counts),
        values=values,
        free=np.isfinite(values),
        **settings,
    )


FINE = np.linspace(-8.0, 8.0, 32_001)
BANK = make_bank(
    [
        [1.2, 0.5, -np.inf, -np.inf],
        [0.8, -0.4, -np.inf, -1.4],
        [1.6, 1.0, -0.7, -np.inf],
        [0.9, 1.4, 0.1, -np.inf],
        [1.1, -1.0, -np.inf, -np.inf],
    ]
)
CURVES = item_curves(BANK, FINE)
answers = st.lists(st.integers(-1, 2), min_size=5, max_size=5).map(
    lambda codes: np.minimum(codes, BANK.categories - 1).astype(np.int8)
)


def log_likelihood(codes):
    with np.errstate(divide="ignore"):
        logs = np.log(CURVES.probability)
    return sum((logs[j, k] for j, k in enumerate(codes) if k >= 0), np.zeros_like(FINE))


@settings(max_examples=30, deadline=None)
@given(answers)
def test_eap_is_the_mean_of_the_posterior(codes):
    weight = np.exp(log_likelihood(codes) - FINE**2 / 2)
    weight /= weight.sum()
    mean = weight @ FINE
    found = score_persons(BANK, codes[None], points=121)
    assert found.ability[0] == pytest.approx(mean, abs=1e-6)
    assert found.error[0] == pytest.approx(np.sqrt(weight @ (FINE - mean) ** 2), abs=1e-6)
    assert found.answered[0] == (codes >= 0).sum()


@settings(max_examples=30, deadline=None)
@given(answers)
def test_map_is_the_top_of_the_posterior(codes):
    posterior = log_likelihood(codes) - FINE**2 / 2
    found = score_persons(BANK, codes[None], scoring="MAP")
    assert found.ability[0] == pytest.approx(FINE[posterior.argmax()], abs=6e-4)
    own = CURVES.information[codes >= 0].sum(axis=0)
    expected = (np.interp(found.ability[0], FINE, own) + 1.0) ** -0.5
    assert found.error[0] == pytest.approx(expected, rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(answers)
def test_wle_solves_warms_equation(codes):
    found = score_persons(BANK, codes[None], scoring="WLE")
    seen = codes >= 0
    if not seen.any():
        assert np.isnan(found.ability[0])
        assert np.isnan(found.error[0])
        return
    information = CURVES.information[seen].sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(CURVES.probability > 0, CURVES.slope * CURVES.bend / CURVES.probability, 0)
    slope = np.gradient(log_likelihood(codes), FINE)
    equation = slope + each[seen].sum(axis=(0, 1)) / (2 * information)
    height = np.cumsum(equation)
    top = FINE[height.argmax()]
    assert found.ability[0] == pytest.approx(top, abs=2e-3)
    if abs(top) < 7:
        assert np.interp(found.ability[0], FINE, equation) == pytest.approx(0.0, abs=1e-4)


def test_wle_is_finite_where_all_answers_are_right_or_wrong():
    codes = np.array([[1, 1, 2, 2, 1], [0, 0, 0, 0, 0]], dtype=np.int8)
    found = score_persons(BANK, codes, scoring="WLE")
    assert np.isfinite(found.ability).all()
    assert found.ability[0] > 1 > -1 > found.ability[1]
    assert (found.error > 0).all()


@pytest.mark.parametrize("scoring", SCORINGS)
def test_no_answers_and_no_persons(scoring):
    none = np.full((2, 5), -1, dtype=np.int8)
    found = score_persons(BANK, none, scoring=scoring)
    if scoring == "WLE":
        assert np.isnan(found.ability).all()
    else:
        assert found.ability.tolist() == [0.0, 0.0]
        assert found.error.tolist() == [1.0, 1.0]
    assert score_persons(BANK, none[:0], scoring=scoring).ability.shape == (0,)


def test_all_methods_come_to_the_truth_as_a_test_grows():
    random = np.random.default_rng(2)
    values = np.column_stack(
        [np.exp(random.normal(0, 0.2, 800)), random.normal(size=800), np.full(800, -np.inf)]
    )
    bank = make_bank(values)
    truth = np.array([-1.0, 0.0, 1.3])
    chance = item_curves(bank, truth).probability[:, 1].T
    codes = (random.random(chance.shape) < chance).astype(np.int8)
    found = [score_persons(bank, codes, scoring=how) for how in SCORINGS]
    for one in found:
        assert one.ability == pytest.approx(found[0].ability, abs=0.03)
        assert (abs(one.ability - truth) < 4 * one.error).all()
        expected = test_information(bank, one.ability) ** -0.5
        assert one.error == pytest.approx(expected, rel=0.05)


def test_items_left_out_do_not_count():
    """An item that was not presented leaves the score as if the bank lacked it."""
    codes = np.array([[1, -1, 2, 1, -1], [0, -1, 1, 0, -1]], dtype=np.int8)
    kept = [0, 2, 3]
    for how in SCORINGS:
        whole = score_persons(BANK, codes, scoring=how)
        part = score_persons(BANK.subset(kept), codes[:, kept], scoring=how)
        assert whole.ability == pytest.approx(part.ability, abs=1e-9)
        assert whole.error == pytest.approx(part.error, abs=1e-9)


def test_a_persons_score_does_not_hang_on_the_others():
    random = np.random.default_rng(3)
    codes = (random.random((300, 5)) < 0.5).astype(np.int8)
    for how in SCORINGS:
        whole = score_persons(BANK, codes, scoring=how).ability
        assert score_persons(BANK, codes[::-1], scoring=how).ability[::-1] == pytest.approx(whole)
        alone = score_persons(BANK, codes[17:18], scoring=how).ability
        assert alone == pytest.approx(whole[17:18], abs=1e-9)


def test_lsat_factor_scores_equal_those_of_ltm():
    """Ltm's empirical Bayes scores are modes: −1.895 (0.795) and 0.606 (0.855)."""
    slopes = [0.8257, 0.7228, 0.8908, 0.6884, 0.6569]
    steps = [2.7732, 0.9902, 0.2491, 1.2848, 2.0533]
    bank = make_bank(np.column_stack([slopes, steps, np.full(5, -np.inf)]))
    codes = np.array([[0] * 5, [1] * 5], dtype=np.int8)
    found = score_persons(bank, codes, scoring="MAP")
    assert found.ability == pytest.approx([-1.895, 0.606], abs=1e-3)
    assert found.error == pytest.approx([0.795, 0.855], abs=1e-3)


def test_rasch_scores_on_the_scale_of_its_own_population():
    values = np.column_stack([np.ones(4), [1.0, 0.0, -1.0, 0.5], np.full(4, -np.inf)])
    wide = make_bank(values, model="Rasch", sd=2.0)
    codes = np.array([[1, 1, 0, 1], [-1, -1, -1, -1]], dtype=np.int8)
    same = make_bank(np.column_stack([2 * values[:, 0], values[:, 1:]]), model="1PL")
    one, other = score_persons(wide, codes), score_persons(same, codes)
    assert one.ability == pytest.approx(2 * other.ability)
    assert one.error == pytest.approx(2 * other.error)
    assert one.error[1] == 2.0
    assert log_likelihoods(wide, codes) == pytest.approx(log_likelihoods(same, codes))
    assert log_likelihoods(wide, codes)[1] == pytest.approx(0.0, abs=1e-12)


def test_refuses_another_method():
    with pytest.raises(CallError, match="option scoring is 'ML'"):
        score_persons(BANK, np.zeros((1, 5), dtype=np.int8), scoring="ML")
