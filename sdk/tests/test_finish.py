"""The default decision: a declared cut, a fitted one, and one bought from the budget."""

from __future__ import annotations

import math

import numpy as np
import pytest

from verticals.contract import DataContract, Decision, Field, Target
from verticals.errors import PrivacyError, TrainingError
from verticals.finish import DecisionFinish, private_quantile, score_name
from verticals.table import Table


def contract_of(decision, **changes):
    return DataContract(
        solution="s",
        name="n",
        fields=(Field(name="x", kind="numeric", bounds=(0.0, 1.0)),),
        targets=(Target(name="y", column="y", kind="binary", positive="1"),),
        decision=decision,
        **changes,
    )


def finish_of(decision, epsilon=None, **changes):
    return DecisionFinish(outputs=(), contract=contract_of(decision, **changes), epsilon=epsilon)


def test_a_declared_cut_reads_no_data():
    finish = finish_of(Decision(target="y", cut=0.3))
    assert not finish.fits_on_data
    assert finish.fit({}, Table({})) == {"cut": 0.3}
    decided = finish.apply({"score": np.array([0.2, 0.3, 0.9])}, {"cut": 0.3})
    assert decided["decision"].tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_a_share_decides_that_share(rate):
    score = np.random.default_rng(0).random(1000)
    finish = finish_of(Decision(target="y", rate=rate))
    settings = finish.fit({"score": score}, Table({"y": np.zeros(1000)}))
    decided = finish.apply({"score": score}, settings)["decision"].mean()
    assert decided == pytest.approx(rate, abs=0.002)


def test_a_share_needs_calibration_rows():
    with pytest.raises(TrainingError, match="0 rows"):
        finish_of(Decision(target="y", rate=0.1)).fit({"score": np.zeros(0)}, Table({}))


def test_without_a_decision_scores_pass_through():
    finish = finish_of(None)
    assert finish.fit({}, Table({})) == {}
    assert list(finish.apply({"score": np.ones(2)}, {})) == ["score"]


def test_the_score_is_named_by_the_contract():
    assert score_name(contract_of(None)) == "score"


def test_a_private_quantile_is_near_and_differs_from_call_to_call():
    values = np.random.default_rng(1).random(2000)
    found = [private_quantile(values, 0.9, 1.0) for _ in range(20)]
    assert np.abs(np.array(found) - 0.9).max() < 0.05
    assert len(set(found)) > 1


def chances(values, share, epsilon, persons=None, draws=20_000):
    found = [private_quantile(values, share, epsilon, persons=persons) for _ in range(draws)]
    return np.histogram(found, bins=[0.0, 0.25, 0.5, 0.75, 1.01])[0] / draws


def test_neighbouring_data_change_the_chances_by_at_most_e_to_the_epsilon():
    epsilon = 1.0
    values = np.array([0.1, 0.2, 0.9])
    first = chances(values, 0.5, epsilon, draws=4000)
    second = chances(np.append(values, 0.95), 0.5, epsilon, draws=4000)
    seen = (first > 0.02) & (second > 0.02)
    ratio = np.abs(np.log(first[seen] / second[seen]))
    assert ratio.max() <= epsilon + 0.25  # four standard errors of the simulation


def test_the_rows_of_one_person_weigh_one_together():
    epsilon = 1.0
    values, persons = np.array([0.1, 0.2, 0.9]), np.array(["a", "b", "c"], dtype=object)
    many = np.concatenate([values, np.linspace(0.76, 1.0, 500)])
    owners = np.concatenate([persons, np.full(500, "d", dtype=object)])
    first = chances(values, 0.5, epsilon, persons, draws=4000)
    second = chances(many, 0.5, epsilon, owners, draws=4000)
    seen = (first > 0.02) & (second > 0.02)
    assert np.abs(np.log(first[seen] / second[seen])).max() <= epsilon + 0.25
    blind = chances(many, 0.5, epsilon, draws=4000)  # by rows, the one person would decide
    assert blind[3] > 0.9
    assert math.isclose(blind.sum(), 1.0)


def numeric_finish(epsilon, kind="numeric", **target):
    wanted = DataContract(
        solution="s",
        name="n",
        fields=(),
        targets=(Target(name="cost", column="cost", kind=kind, **target),),
        decision=Decision(target="cost", rate=0.2),
    )
    return DecisionFinish(outputs=(), contract=wanted, epsilon=epsilon)


def test_a_private_share_of_a_numeric_target_is_drawn_between_its_bounds():
    cost = np.random.default_rng(1).gamma(2.0, 1_500.0, 3_000)
    finish = numeric_finish(3.0, bounds=(0.0, 20_000.0))
    settings = finish.fit({"cost": cost}, Table({"cost": cost}))
    decided = finish.apply({"cost": cost}, settings)["decision"].mean()
    assert decided == pytest.approx(0.2, abs=0.02)


def test_a_private_share_of_an_ordinal_target_is_drawn_between_its_levels():
    level = np.random.default_rng(2).random(3_000) * 4
    finish = numeric_finish(3.0, "ordinal", values=("1", "2", "3", "4", "5"))
    settings = finish.fit({"cost_step": level}, Table({"cost": level}))
    decided = finish.apply({"cost_step": level}, settings)["decision"].mean()
    assert decided == pytest.approx(0.2, abs=0.02)


def test_a_private_share_without_bounds_is_refused():
    cost = np.arange(100.0)
    with pytest.raises(PrivacyError, match="'cost' is by rate, and the target has no bounds"):
        numeric_finish(3.0).fit({"cost": cost}, Table({"cost": cost}))
    assert "cut" in numeric_finish(None).fit({"cost": cost}, Table({"cost": cost}))


def test_a_row_without_a_score_is_undecided_and_counts_for_no_share():
    score = np.concatenate([np.linspace(0, 1, 100), np.full(100, np.nan)])
    finish = finish_of(Decision(target="y", rate=0.2))
    settings = finish.fit({"score": score}, Table({"y": np.zeros(200)}))
    decided = finish.apply({"score": score}, settings)["decision"]
    assert decided[:100].mean() == pytest.approx(0.2, abs=0.01)
    assert np.isnan(decided[100:]).all()
