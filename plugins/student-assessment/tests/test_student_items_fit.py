"""Estimation: published values, peers, monotone ascent, standard errors, bad input."""

from pathlib import Path

import numpy as np
import pytest
import torch

from verticals.errors import CallError, DataError, TrainingError
from verticals_student_assessment.items.irt import (
    FitOptions,
    bank_from_state,
    bank_state,
    fit_items,
    start,
    to_responses,
    uncertainty,
)
from verticals_student_assessment.items.irt.fit import _Search, fit_facts
from verticals_student_assessment.items.item_fit import item_fit

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
LSAT6 = SHARED / "edu_lsat6_irt" / "edu_lsat6_irt.csv"
VERBAL = SHARED / "edu_verbagg_irt" / "edu_verbagg_irt.csv"


def simulated(persons=600, items=6, *, steps=(0.0,), guessing=0.0, missing=0.0, seed=0):
    """Return (persons, items) answers of a 2PL, 3PL or graded test, and slopes and intercepts."""
    random = np.random.default_rng(seed)
    slopes = np.exp(random.normal(0.0, 0.3, items))
    middle = random.normal(0.0, 0.8, items)
    reached = slopes * (random.normal(size=(persons, 1)) - middle)
    reached = reached + random.logistic(size=(persons, items))
    answers = sum((reached > step).astype(np.int8) for step in steps)
    answers = np.where(random.random(answers.shape) < guessing, 1, answers).astype(np.int8)
    answers[random.random(answers.shape) < missing] = -1
    return answers, slopes, -slopes * middle


def responses(answers, categories=2):
    return to_responses(answers, [f"i{n}" for n in range(answers.shape[1])], categories)


@pytest.fixture(scope="module")
def lsat():
    if not LSAT6.is_file():
        pytest.skip("the evaluation data edu_lsat6_irt are not here")
    return np.loadtxt(LSAT6, delimiter=",", skiprows=1).astype(np.int8)


def test_lsat_section_6_equals_published_output_of_r(lsat):
    """R's mirt and ltm print the same; both stop a little below the top, ours does not."""
    fit = fit_items(responses(lsat))
    assert fit.log_likelihood == pytest.approx(-2466.653, abs=5e-4)
    slopes = [0.825, 0.723, 0.890, 0.689, 0.658]
    intercepts = [2.773, 0.990, 0.249, 1.285, 2.053]
    assert fit.bank.slopes == pytest.approx(slopes, abs=1.2e-3)
    assert fit.bank.intercepts[:, 0] == pytest.approx(intercepts, abs=1.2e-3)
    errors = fit.bank.errors()
    assert errors[:, 0] == pytest.approx([0.2581, 0.1867, 0.2326, 0.1852, 0.2100], abs=3e-4)
    search = _Search(responses(lsat), FitOptions(), torch.device("cpu"))
    published = np.column_stack([slopes, intercepts, np.full(5, -np.inf)])
    point = search.at(torch.as_tensor(published))
    assert point.objective < fit.log_likelihood
    assert float(search.at(torch.as_tensor(fit.bank.values)).slope.abs().max()) < 1e-3


def test_lsat_section_6_with_one_slope_equals_ltm_to_four_decimals(lsat):
    fit = fit_items(responses(lsat), FitOptions(model="1PL"))
    assert fit.log_likelihood == pytest.approx(-2466.938, abs=5e-4)
    assert fit.bank.slopes == pytest.approx([0.7551] * 5, abs=6e-5)
    hard = [-3.6153, -1.3224, -0.3176, -1.7301, -2.7802]
    assert fit.bank.difficulties[:, 0] == pytest.approx(hard, abs=1e-4)
    assert fit.bank.errors()[0, 0] == pytest.approx(0.0694, abs=6e-5)
    assert fit.parameters == 6
    rasch = fit_items(responses(lsat), FitOptions(model="Rasch"))
    # mirt's own tests: 2.73, 0.999, 0.24, 1.306, 2.099 and a variance of 0.57
    assert rasch.bank.sd**2 == pytest.approx(0.57, abs=5e-3)
    assert rasch.bank.intercepts[:, 0] == pytest.approx(fit.bank.intercepts[:, 0])
    assert rasch.bank.sd_error() == pytest.approx(0.0694, abs=6e-5)
    assert rasch.bank.slopes == pytest.approx(np.ones(5))


def test_lsat_section_7_equals_the_tests_of_rs_mirt_to_four_decimals():
    """The values are those of mirt's testthat file (SE.type SEM, a tight tolerance)."""
    mirt = pytest.importorskip("mirt")
    answers = np.asarray(mirt.load_dataset("LSAT7")["data"]).astype(np.int8)
    fit = fit_items(responses(answers))
    published = [0.9876, 1.8559, 1.0808, 0.808, 1.7075, 1.8052, 0.765, 0.486, 0.7357, 1.8545]
    assert fit.bank.values[:, :2].reshape(-1) == pytest.approx(published, abs=1.1e-4)
    low = fit.bank.slopes - 1.959964 * fit.bank.errors()[:, 0]
    assert low == pytest.approx([0.6406, 0.7501, 1.0779, 0.5022, 0.4395], abs=1.5e-3)
    found = item_fit(fit.bank, answers)
    assert found.statistic == pytest.approx([4.7494, 14.4511, 1.2704, 5.2374, 0.9411], abs=0.01)
    assert found.degrees.tolist() == [2.0] * 5


def test_verbal_aggression_is_near_lme4_and_equal_to_mirt_of_python():
    """Eirm prints lme4's Laplace approximation, which misses the integral in the third decimal."""
    if not VERBAL.is_file():
        pytest.skip("the evaluation data edu_verbagg_irt are not here")
    mirt = pytest.importorskip("mirt")
    answers = verbal_answers()
    fit = fit_items(responses(answers), FitOptions(model="Rasch"))
    easy = [1.22107, 0.56477, 0.08009, 1.74879, 0.70772, 0.01172, 0.52947, -0.68637]
    assert fit.bank.intercepts[:8, 0] == pytest.approx(easy, abs=1.5e-3)
    fit = fit_items(responses(answers))
    theirs = mirt.fit_mirt(answers.astype(int), model="2PL", n_quadpts=61, tol=1e-6)
    found = theirs.model.parameters
    assert fit.bank.slopes == pytest.approx(found["discrimination"], abs=1e-3)
    assert fit.bank.difficulties[:, 0] == pytest.approx(found["difficulty"], abs=1e-3)
    assert fit.log_likelihood == pytest.approx(theirs.log_likelihood, abs=1e-3)


def verbal_answers():
    rows = np.genfromtxt(VERBAL, delimiter=",", names=True, dtype=None, encoding="utf-8")
    names = list(dict.fromkeys(rows["item"].tolist()))
    order = np.array([names.index(name) for name in rows["item"]])
    answers = np.full((316, 24), -1, dtype=np.int8)
    answers[rows["id"].astype(int) - 1, order] = rows["r2"] == "Y"
    return answers


def test_equal_to_mirt_of_python_with_its_errors():
    mirt = pytest.importorskip("mirt")
    answers, _, _ = simulated(800, 8, seed=3)
    fit = fit_items(responses(answers))
    theirs = mirt.fit_mirt(answers.astype(int), model="2PL", n_quadpts=61, tol=1e-8, max_iter=5000)
    slopes = theirs.model.parameters["discrimination"]
    assert fit.bank.slopes == pytest.approx(slopes, abs=1e-3)
    errors = theirs.standard_errors["discrimination"]
    assert fit.bank.errors()[:, 0] == pytest.approx(errors, abs=1e-3)


CASES = {
    "2PL": ({"seed": 1}, 2),
    "2PL with gaps": ({"seed": 1, "missing": 0.15}, 2),
    "1PL": ({"seed": 2}, 2),
    "3PL": ({"seed": 3, "guessing": 0.2, "persons": 900}, 2),
    "GRM": ({"seed": 4, "steps": (-1.0, 0.0, 1.1), "missing": 0.1}, 4),
}


@pytest.mark.parametrize("case", CASES)
def test_ascent_and_errors_from_the_numerical_hessian(case):
    """Louis's information is minus the Hessian of the marginal log-likelihood (and prior)."""
    how, categories = CASES[case]
    model = case.split()[0]
    data = responses(simulated(**how)[0], categories)
    options = FitOptions(model=model, errors="louis")
    fit = fit_items(data, options)
    assert fit.converged
    assert all(np.diff(fit.history) >= 0)
    search = _Search(data, options, torch.device("cpu"))
    where = fit.bank.positions()
    size, step = where.max() + 1, 1e-4
    hessian = np.zeros((size, size))
    for place in range(size):
        slopes = []
        for sign in (1.0, -1.0):
            values = torch.as_tensor(fit.bank.values + sign * step * (where == place))
            full = search.at(values).slope.numpy()
            slopes.append(np.array([full[where == n].sum() for n in range(size)]))
        hessian[place] = (slopes[0] - slopes[1]) / (2 * step)
    assert np.linalg.inv(-hessian) == pytest.approx(fit.bank.covariance, rel=2e-4, abs=1e-7)


def test_gradient_is_that_of_the_log_likelihood():
    data = responses(simulated(200, 4, steps=(-0.5, 0.7), missing=0.1, seed=5)[0], 3)
    search = _Search(data, FitOptions(model="GRM"), torch.device("cpu"))
    values = torch.tensor([[1.1, 0.8, -0.6, -np.inf]] * 4, dtype=torch.float64)
    point = search.at(values)
    for place in ((0, 0), (1, 1), (3, 2)):
        step = torch.zeros_like(values)
        step[place] = 1e-5
        up, down = (search.at(values + sign * step).objective for sign in (1, -1))
        assert float(point.slope[place]) == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-5)
    assert search.at(values[:, [0, 2, 1, 3]]) is None


def test_the_fast_and_the_general_form_of_missing_information_agree():
    data = responses(simulated(300, 5, seed=6)[0])
    search = _Search(data, FitOptions(), torch.device("cpu"))
    values = torch.as_tensor(fit_items(data).bank.values)
    fast = uncertainty._missing_canonical(search.over, values, search.nodes)
    general = uncertainty._missing(search.over, values, search.nodes)
    assert torch.allclose(fast, general, atol=1e-6)


def test_cross_product_comes_near_louis_for_many_persons():
    data = responses(simulated(6000, 6, seed=7)[0])
    both = [fit_items(data, FitOptions(errors=how)) for how in ("louis", "cross-product")]
    assert [fit.method for fit in both] == ["louis", "cross-product"]
    errors = [fit.bank.errors()[:, :2] for fit in both]
    assert errors[1] == pytest.approx(errors[0], rel=0.06)
    assert not np.array_equal(errors[0], errors[1])


def test_errors_match_the_spread_over_simulations():
    away = []
    for seed in range(25):
        random = np.random.default_rng(seed)
        ability = random.normal(size=(400, 1))
        slopes, easy = np.array([0.8, 1.0, 1.2, 1.5, 1.0]), np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
        answers = (random.random((400, 5)) < 1 / (1 + np.exp(-slopes * ability - easy))) * 1
        fit = fit_items(responses(answers.astype(np.int8)))
        errors = fit.bank.errors()
        away.append((fit.bank.intercepts[:, 0] - easy) / errors[:, 1])
        away.append((fit.bank.slopes - slopes) / errors[:, 0])
    assert 0.85 < np.std(away) < 1.15
    assert abs(np.mean(away)) < 0.2


def test_recovers_a_larger_test():
    answers, slopes, intercepts = simulated(4000, 30, missing=0.05, seed=8)
    fit = fit_items(responses(answers), FitOptions(errors="none"))
    assert fit.bank.covariance is None
    assert np.corrcoef(fit.bank.slopes, slopes)[0, 1] > 0.97
    assert np.corrcoef(fit.bank.intercepts[:, 0], intercepts)[0, 1] > 0.99


def test_graded_and_right_wrong_items_in_one_test():
    two, _, _ = simulated(800, 4, seed=9)
    four, _, _ = simulated(800, 3, steps=(-1.0, 0.0, 1.0), seed=9)
    counts = np.array([2] * 4 + [4] * 3)
    data = responses(np.column_stack([two, four]), counts)
    fit = fit_items(data, FitOptions(model="3PL"))
    assert fit.bank.free[:, -1].tolist() == [True] * 4 + [False] * 3
    assert (np.diff(fit.bank.intercepts[4:], axis=1) < 0).all()
    assert np.isfinite(fit.bank.errors()[fit.bank.free]).all()
    assert fit.bank.guessing[4:].tolist() == [0.0] * 3


def test_patterns_with_weights_give_what_rows_give():
    answers, _, _ = simulated(500, 5, seed=10)
    data = responses(answers)
    assert len(data.codes) <= 32
    assert data.persons == 500
    twice = responses(np.concatenate([answers, answers]))
    one, other = fit_items(data), fit_items(twice)
    assert other.bank.values[:, :2] == pytest.approx(one.bank.values[:, :2], abs=1e-4)
    assert other.log_likelihood == pytest.approx(2 * one.log_likelihood)
    errors = one.bank.errors()[:, 0] / np.sqrt(2)
    assert other.bank.errors()[:, 0] == pytest.approx(errors, rel=1e-4)


def test_blocks_of_persons_change_nothing(monkeypatch):
    data = responses(simulated(300, 12, seed=11, missing=0.1)[0])
    whole = fit_items(data)
    monkeypatch.setattr("verticals_student_assessment.items.irt.likelihood.ROWS_AT_ONCE", 37)
    parts = fit_items(data)
    assert parts.bank.values[:, :2] == pytest.approx(whole.bank.values[:, :2], abs=1e-7)
    assert parts.bank.covariance == pytest.approx(whole.bank.covariance, abs=1e-9)


def test_starting_from_a_part_ends_at_the_same_top(monkeypatch):
    answers, _, _ = simulated(2000, 10, steps=(-0.5, 0.6), seed=14)
    data = responses(answers, 3)
    whole = fit_items(data)
    monkeypatch.setattr(start, "_LARGE", 1000)
    monkeypatch.setattr(start, "_PART", 400)
    assert start.spaced_part(data).persons == 501
    parts = fit_items(data)
    assert all(np.diff(parts.history) >= 0)
    assert parts.bank.values[:, :3] == pytest.approx(whole.bank.values[:, :3], abs=1e-4)
    rare = answers.copy()
    rare[:, 0] = np.where(rare[:, 0] == 2, 1, rare[:, 0])
    rare[:20, 0] = 2  # about five in a quarter of the rows
    assert start.spaced_part(responses(rare, 3)) is None


def test_a_prior_draws_guessing_towards_its_mean():
    data = responses(simulated(700, 6, guessing=0.2, seed=12)[0])
    tight = fit_items(data, FitOptions(model="3PL", guessing_prior=(-1.0, 0.01)))
    loose = fit_items(data, FitOptions(model="3PL", guessing_prior=(-1.0, 3.0)))
    assert tight.bank.values[:, -1] == pytest.approx(-1.0, abs=0.02)
    assert loose.log_likelihood > tight.log_likelihood
    assert fit_facts(tight)["aic"] == pytest.approx(-2 * tight.log_likelihood + 2 * 18)


def test_errors_are_unknown_where_the_information_is_not_definite():
    values = uncertainty._invert(torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64))
    assert np.isnan(values).all()


def test_a_bank_comes_back_from_its_state():
    bank = fit_items(responses(simulated(seed=13, steps=(-1, 1))[0], 3)).bank
    again = bank_from_state(*bank_state(bank))
    assert again.names == bank.names
    assert np.array_equal(again.values, bank.values)
    assert np.array_equal(again.covariance, bank.covariance)
    assert np.array_equal(again.errors(), bank.errors(), equal_nan=True)
    assert again.facts == bank.facts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "4PL"}, "option model is '4PL'"),
        ({"points": 2}, "option points is 2"),
        ({"guessing_prior": (0.0, -1.0)}, "option guessing_prior"),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(CallError, match=message):
        FitOptions(**options)


def test_refuses_too_little():
    with pytest.raises(TrainingError, match="20 persons and 6 items"):
        fit_items(responses(simulated(20, 6)[0]))
    with pytest.raises(TrainingError, match="expected at least 30 persons and 3 items"):
        fit_items(responses(simulated(100, 2)[0]))
    with pytest.raises(DataError, match="0 of 3 items can be learnt from"):
        responses(np.ones((50, 3), dtype=np.int8))
