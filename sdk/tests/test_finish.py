"""The default decision: a declared cut, a fitted one, and one bought from the budget."""

from __future__ import annotations

import math

import numpy as np
import pytest

from verticals.contract import DataContract, Decision, Field, Target
from verticals.errors import TrainingError
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
