"""Item fit, reliability, classification at cut scores."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import norm

from verticals_student_assessment.items.evidence import fit_table
from verticals_student_assessment.items.irt import (
    FitOptions,
    ItemBank,
    fit_items,
    item_curves,
    score_persons,
    to_responses,
)
from verticals_student_assessment.items.item_fit import (
    holm,
    item_fit,
    observed_scores,
    sum_score_distribution,
)
from verticals_student_assessment.items.precision import (
    classification,
    cronbach_alpha,
    empirical_reliability,
    marginal_reliability,
)


def make_bank(values):
    values = np.asarray(values, dtype=np.float64)
    counts = np.isfinite(values[:, 1:-1]).sum(axis=1) + 1
    return ItemBank(
        names=tuple(f"i{n}" for n in range(len(values))),
        model="2PL",
        categories=counts,
        merged=tuple(tuple(range(count)) for count in counts),
        values=values,
        free=np.isfinite(values),
    )


def drawn(bank, persons, seed, curves=None):
    """Return answers and abilities; `curves(θ)` may stand for the bank's own first item."""
    random = np.random.default_rng(seed)
    ability = random.normal(size=persons)
    chance = item_curves(bank, ability).probability.transpose(2, 0, 1)  # (persons, items, K)
    answers = (random.random((*chance.shape[:2], 1)) > chance.cumsum(axis=2)[:, :, :-1]).sum(axis=2)
    if curves is not None:
        answers[:, 0] = random.random(persons) < curves(ability)
    return answers.astype(np.int8), ability


MIXED = [
    [1.2, 0.3, -np.inf, -np.inf],
    [0.8, 1.1, -0.4, -np.inf],
    [1.5, -0.6, -np.inf, -np.inf],
    [1.0, 0.9, -1.0, -np.inf],
]


def test_sum_scores_by_recursion_equal_enumeration():
    chance = item_curves(make_bank(MIXED), np.array([-0.7, 0.4])).probability
    found = sum_score_distribution(chance, 6)
    expected = np.zeros((7, 2))
    for pattern in itertools.product(range(2), range(3), range(2), range(3)):
        expected[sum(pattern)] += np.prod([chance[j, k] for j, k in enumerate(pattern)], axis=0)
    assert found == pytest.approx(expected)


def twenty(seed=0):
    random = np.random.default_rng(seed)
    slopes = np.exp(random.normal(0.1, 0.2, 20))
    return make_bank(np.column_stack([slopes, random.normal(size=20), np.full(20, -np.inf)]))


def test_items_that_fit_are_seldom_called_misfits():
    chances = []
    for seed in range(8):
        answers, _ = drawn(twenty(), 700, seed)
        data = to_responses(answers, [str(n) for n in range(20)], 2)
        bank = fit_items(data, FitOptions(errors="none")).bank
        chances.append(item_fit(bank, answers).p_value)
    chances = np.concatenate(chances)
    assert (chances < 0.05).mean() < 0.11  # 160 items: two standard errors above .05 are .085
    assert 0.4 < chances.mean() < 0.6


def test_an_item_of_another_shape_is_found():
    answers, _ = drawn(twenty(), 2500, 1, curves=lambda x: 0.15 + 0.7 * (np.abs(x - 0.3) < 0.9))
    data = to_responses(answers, [str(n) for n in range(20)], 2)
    found = item_fit(fit_items(data, FitOptions(errors="none")).bank, answers)
    adjusted = holm(found.p_value)
    assert adjusted[0] < 0.001
    assert (adjusted[1:] > 0.05).sum() >= 17
    assert found.effect[0] > 2 * np.median(found.effect[1:])


def test_graded_items_fit_too_and_gaps_leave_few_persons():
    bank = make_bank(MIXED * 3)
    answers, _ = drawn(bank, 900, 3)
    found = item_fit(bank, answers, fitted=False)
    assert (found.p_value > 0.001).all()
    assert (found.degrees >= 1).all()
    answers[8:, 0] = -1
    few = item_fit(bank, answers)
    assert few.persons == 8
    assert np.isnan(few.statistic).all()
    assert np.isnan(few.effect[0])
    assert np.isfinite(few.effect[1:]).all()


def test_observed_scores_lie_on_the_curve_of_a_true_bank():
    bank = twenty()
    answers, _ = drawn(bank, 6000, 4)
    grid = bank.grid()
    scores, persons = observed_scores(bank, answers, grid)
    middle = np.abs(grid.nodes) < 1.5
    seen = scores[:, middle] / persons[:, middle]
    expected = item_curves(bank, grid.nodes[middle]).expected
    assert seen == pytest.approx(expected, abs=0.05)
    assert persons.sum(axis=1) == pytest.approx(np.full(20, 6000.0))


def test_the_few_who_left_answers_out_do_not_follow_from_the_table_of_fit():
    bank = twenty()
    answers, _ = drawn(bank, 606, 5)
    answers[:3, 0] = -1
    assert set(fit_table(bank, answers, fitted=False, points=41)["persons"]) == {10}
    answers[:20, 0] = -1
    assert set(fit_table(bank, answers, fitted=False, points=41)["persons"]) == {586}


def test_holm_as_r_prints_it_and_passing_over_what_is_not_known():
    """R: p.adjust(c(.01, .04, .03, .005), "holm") is .03 .06 .06 .02."""
    expected = [0.03, 0.06, 0.06, 0.02]
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx(expected)
    found = holm([np.nan, 0.01, 0.04, np.nan, 0.03, 0.005])
    assert found[[1, 2, 4, 5]] == pytest.approx(expected)
    assert np.isnan(found[[0, 3]]).all()
    assert np.isnan(holm([np.nan])).all()
    assert holm([0.6, 0.9]).max() == 1.0


def test_reliabilities_come_near_the_squared_correlation_with_the_truth():
    bank = twenty(5)
    answers, ability = drawn(bank, 5000, 6)
    scored = score_persons(bank, answers)
    truth = np.corrcoef(scored.ability, ability)[0, 1] ** 2
    empirical = empirical_reliability(scored.ability, scored.error, np.arange(5000))
    assert empirical.value == pytest.approx(truth, abs=0.02)
    assert empirical.lower < truth < empirical.upper
    assert marginal_reliability(bank).value == pytest.approx(truth, abs=0.03)
    alpha = cronbach_alpha(answers.astype(float))
    assert alpha.value == pytest.approx(truth, abs=0.04)
    assert alpha.lower < alpha.value < alpha.upper


def test_reliability_of_scores_that_are_not_drawn_towards_the_mean():
    """The error of a WLE adds to the spread of abilities, that of an EAP takes from it."""
    bank = twenty(5)
    answers, ability = drawn(bank, 5000, 6)
    scored = score_persons(bank, answers, scoring="WLE")
    truth = np.corrcoef(scored.ability, ability)[0, 1] ** 2
    found = empirical_reliability(scored.ability, scored.error, np.arange(5000), scoring="WLE")
    assert found.value == pytest.approx(truth, abs=0.02)
    drawn_in = empirical_reliability(scored.ability, scored.error, np.arange(5000))
    assert drawn_in.value > truth + 0.02  # the other formula promises too much
    random = np.random.default_rng(3)
    noise = random.normal(size=400)
    nothing = empirical_reliability(noise, np.full(400, 1.0), np.arange(400), scoring="WLE")
    assert nothing.lower < 0.0 < nothing.upper


def test_marginal_reliability_does_not_hang_on_the_scale():
    values = np.column_stack([np.ones(6), np.linspace(-1, 1, 6), np.full(6, -np.inf)])
    wide = make_bank(np.column_stack([1.4 * values[:, 0], values[:, 1:]]))
    from dataclasses import replace

    rasch = replace(make_bank(values), model="Rasch", sd=1.4)
    assert marginal_reliability(rasch).value == pytest.approx(marginal_reliability(wide).value)


def test_alpha_of_a_known_table():
    scores = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0]] * 5, dtype=float)
    found = cronbach_alpha(scores)
    items, total = scores.var(axis=0, ddof=1).sum(), scores.sum(axis=1).var(ddof=1)
    assert found.value == pytest.approx(1.5 * (1 - items / total))
    assert found.persons == 20
    scores[:12, 0] = np.nan
    assert np.isnan(cronbach_alpha(scores).value)
    assert cronbach_alpha(scores).persons == 8


def test_rows_of_one_person_widen_the_interval():
    random = np.random.default_rng(7)
    score, error = random.normal(size=200), np.full(200, 0.5)
    alone = empirical_reliability(score, error, np.arange(200))
    twice = empirical_reliability(np.tile(score, 2), np.tile(error, 2), np.tile(np.arange(200), 2))
    assert twice.value == pytest.approx(alone.value)
    assert twice.upper - twice.lower == pytest.approx(alone.upper - alone.lower, rel=1e-6)
    assert twice.persons == 200


def test_classification_by_hand_and_by_simulation():
    found = classification(np.full(12, 0.5), np.full(12, 0.25), np.arange(12), 0.0)
    above = norm.cdf(2.0)
    assert found.accuracy.value == pytest.approx(above)
    assert found.consistency.value == pytest.approx(above**2 + (1 - above) ** 2)
    random = np.random.default_rng(8)
    truth = random.normal(size=20_000)
    seen = truth + 0.3 * random.normal(size=20_000)
    posterior, sd = seen / 1.09, np.full(20_000, 0.3 / np.sqrt(1.09))
    found = classification(posterior, sd, np.arange(20_000), 0.4)
    right = ((posterior >= 0.4) == (truth >= 0.4)).mean()
    assert found.accuracy.value == pytest.approx(right, abs=0.005)
    assert found.accuracy.lower < found.accuracy.value < found.accuracy.upper


def test_too_few_persons_and_undefined_scores_are_not_measured():
    few = classification(np.zeros(9), np.ones(9), np.arange(9), 0.0)
    assert np.isnan(few.accuracy.value)
    assert few.consistency.persons == 9
    ability = np.array([np.nan] * 5 + [0.0, 1.0] * 5)
    found = empirical_reliability(ability, np.full(15, 0.5), np.arange(15))
    assert found.persons == 10
    assert found.value == pytest.approx(0.5)


def test_scoring_persons_loads_no_scipy_stats():
    """It takes as long to import as half of torch, and nothing of it is needed."""
    code = "import sys, verticals_student_assessment.items.solution as s; "
    code += "print(sorted({'scipy.stats', 'pandas', 'opacus'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
