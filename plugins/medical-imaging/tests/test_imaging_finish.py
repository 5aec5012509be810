"""The finish: coverage in every class, the operating point, abstention, and what is private."""

import dataclasses
import json

import numpy as np
import pytest

from verticals.contract import parse_contract
from verticals.errors import CallError, ContractError, TrainingError
from verticals.intervals.rates import exact
from verticals.table import Table
from verticals_medical_imaging import conformal
from verticals_medical_imaging.finish import Goals, finish_for

BINARY = """
solution: medical-imaging
name: one
targets: {lesion: {column: lesion, kind: binary, positive: 1, negative: 0, favourable: 0}}
decision: {target: lesion, cut: 0.5}
fields:
  image: {column: image, kind: image, size: [8, 8], bounds: [0, 255]}
"""
CLASSES = """
solution: medical-imaging
name: several
targets: {finding: {column: finding, kind: categorical, values: [clear, oedema, mass]}}
fields:
  image: {column: image, kind: image, size: [8, 8], bounds: [0, 255]}
"""
LABELS = """
solution: medical-imaging
name: labels
group: patient
targets:
  oedema: {column: oedema, kind: binary, positive: 1, negative: 0}
  mass: {column: mass, kind: binary, positive: yes, negative: no}
fields:
  image: {column: image, kind: image, size: [8, 8], bounds: [0, 255]}
"""


def sigmoid(raw):
    return 1 / (1 + np.exp(-raw))


def drawn(rows, seed, *, sharp=1.0, share=0.3):
    """Scores of a model that errs, and is too sure of itself where `sharp` is above 1."""
    random = np.random.default_rng(seed)
    label = (random.random(rows) < share).astype(float)
    raw = random.normal(0, 1, rows) + 2.0 * label - 1.3
    return {"score": sigmoid(sharp * raw)}, Table({"lesion": label})


def test_sets_cover_every_class_as_declared():
    finish = finish_for(parse_contract(BINARY), None, {"coverage": 0.9})
    held = {0: [], 1: []}
    for seed in range(40):
        settings = finish.fit(*drawn(150, seed))
        scores, table = drawn(150, 1000 + seed)
        sets = finish.apply(scores, settings)["set"]
        for label in (0, 1):
            own = table["lesion"] == label
            held[label].append(np.mean([str(label) in text.split("|") for text in sets[own]]))
    for label, shares in held.items():
        # Between calibration parts coverage varies; over them its mean is .9 or a little more.
        error = np.std(shares) / len(shares) ** 0.5
        assert 0.9 - 3 * error < np.mean(shares) < 0.93 + 3 * error, label


def test_one_large_sample_lies_in_the_binomial_interval():
    finish = finish_for(parse_contract(BINARY), None, {"coverage": 0.8})
    settings = finish.fit(*drawn(8_000, 1))
    scores, table = drawn(2_000, 2)
    sets = finish.apply(scores, settings)["set"]
    for label in (0, 1):
        own = table["lesion"] == label
        held = sum(str(label) in text.split("|") for text in sets[own])
        interval = exact(held, int(own.sum()), level=0.999)
        assert interval.lower <= 0.8 <= interval.upper


def test_classes_are_covered_whatever_the_temperature():
    contract = parse_contract(CLASSES)
    finish = finish_for(contract, None, {"coverage": 0.9})
    random = np.random.default_rng(5)

    def sample(rows):
        label = random.integers(0, 3, rows)
        raw = random.normal(0, 1, (rows, 3)) + 1.5 * np.eye(3)[label]
        chance = np.exp(4 * raw) / np.exp(4 * raw).sum(axis=1, keepdims=True)
        names = ("clear", "oedema", "mass")
        scores = {f"finding_{name}": chance[:, place] for place, name in enumerate(names)}
        return scores, Table({"finding": label.astype(float)})

    settings = finish.fit(*sample(6000))
    assert settings["targets"]["finding"]["temperature"] > 2
    scores, table = sample(3000)
    found = finish.apply(scores, settings)
    assert "decision" not in found
    total = sum(found[f"finding_{name}"] for name in ("clear", "oedema", "mass"))
    np.testing.assert_allclose(total, 1)
    for place, name in enumerate(("clear", "oedema", "mass")):
        own = table["finding"] == place
        held = sum(name in text.split("|") for text in found["set"][own])
        interval = exact(held, int(own.sum()), level=0.999)
        assert interval.lower <= 0.9 <= interval.upper


def test_persons_weigh_one_each():
    # One person with many low scores would pull a floor by rows down, and not one by persons.
    low, high = np.full(50, 0.1), np.linspace(0.5, 0.9, 50)
    persons = np.array(["a"] * 50 + [f"p{place}" for place in range(50)], dtype=object)
    together = np.concatenate([low, high])
    assert conformal.floor(together, 0.9) == 0.1
    assert conformal.floor(together, 0.9, persons) > 0.5


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("rows", [1, 5, 9, 10, 19, 20, 200])
def test_floor_is_the_order_statistic_of_the_theorem(rows, coverage):
    values = np.sort(np.random.default_rng(rows).random(rows))
    rank = int(np.floor((rows + 1) * (1 - coverage) + 1e-9))
    expected = values[rank - 1] if rank else 0.0
    assert conformal.floor(values, coverage) == expected


def test_too_few_of_a_class_means_that_it_is_in_every_set():
    finish = finish_for(parse_contract(BINARY), None, {"coverage": 0.9})
    label = np.array([0.0] * 50 + [1.0] * 5)
    score = np.concatenate([np.linspace(0.01, 0.4, 50), np.full(5, 0.9)])
    found = finish.apply({"score": score}, finish.fit({"score": score}, Table({"lesion": label})))
    assert all("1" in text.split("|") for text in found["set"])
    assert found["decision"].all()  # no sensitivity can be promised, so every image is marked
    assert {text for text in found["reason"] if text} >= {
        "too few calibration images to rule out 1"
    }


def test_the_operating_point_finds_the_declared_share():
    finish = finish_for(parse_contract(BINARY), None, {"sensitivity": 0.95})
    found = []
    for seed in range(40):
        settings = finish.fit(*drawn(200, seed))
        scores, table = drawn(400, 500 + seed)
        found.append(finish.apply(scores, settings)["decision"][table["lesion"] == 1].mean())
    assert 0.94 < np.mean(found) < 0.975


def test_no_declared_sensitivity_leaves_the_decision_to_the_contract():
    contract = parse_contract(BINARY)
    finish = finish_for(contract, None, {"sensitivity": 0})
    assert finish.fit(*drawn(100, 0))["cut"] == 0.5
    by_rate = dataclasses.replace(
        contract, decision=dataclasses.replace(contract.decision, cut=None, rate=0.25)
    )
    finish = finish_for(by_rate, None, {"sensitivity": 0})
    scores, table = drawn(1000, 0)
    assert finish.apply(scores, finish.fit(scores, table))["decision"].mean() == 0.25
    private = finish_for(by_rate, 4.0, {"sensitivity": 0})
    assert private.apply(scores, private.fit(scores, table))["decision"].mean() == pytest.approx(
        0.25, abs=0.05
    )


def test_temperature_mends_overconfidence_and_keeps_the_order():
    finish = finish_for(parse_contract(BINARY), None)
    settings = finish.fit(*drawn(4000, 0, sharp=6.0))
    assert 2 < settings["targets"]["lesion"]["temperature"] < 5
    scores, table = drawn(4000, 1, sharp=6.0)
    mended = finish.apply(scores, settings)["score"]

    def loss(score):
        chance = np.clip(np.where(table["lesion"] == 1, score, 1 - score), 1e-12, 1)
        return -np.log(chance).mean()

    assert loss(mended) < 0.7 * loss(scores["score"])
    order = np.argsort(scores["score"])
    assert (np.diff(mended[order]) >= 0).all()


def test_a_perfect_model_gets_a_finite_temperature():
    label = np.array([0.0, 1.0] * 30)
    settings = finish_for(parse_contract(BINARY), None).fit(
        {"score": np.where(label == 1, 0.99, 0.01)}, Table({"lesion": label})
    )
    assert 0.05 < settings["targets"]["lesion"]["temperature"] < 1


def test_abstained_says_why_and_settings_are_json():
    finish = finish_for(parse_contract(BINARY), None, {"sensitivity": 0.99, "coverage": 0.8})
    settings = json.loads(json.dumps(finish.fit(*drawn(3000, 3))))
    scores, _ = drawn(3000, 4)
    found = finish.apply(scores, settings)
    assert [output.name for output in finish.outputs] == list(found)
    assert [output.name for output in finish.outputs] == [
        "score", "decision", "set", "abstained", "reason",
    ]  # fmt: skip
    said = found["reason"] != ""
    np.testing.assert_array_equal(said, found["abstained"] == 1)
    single = np.isin(found["set"], ["0", "1"])
    assert set(found["reason"][said & single]) == {
        "the operating point and the set of 80% coverage disagree"
    }
    agree = single & ~said
    np.testing.assert_array_equal(found["set"][agree] == "1", found["decision"][agree] == 1)


def test_a_row_alone_is_said_what_it_is_said_among_others():
    finish = finish_for(parse_contract(BINARY), None)
    settings = finish.fit(*drawn(300, 3))
    scores, _ = drawn(50, 4)
    together = finish.apply(scores, settings)
    for row in range(50):
        alone = finish.apply({"score": scores["score"][row : row + 1]}, settings)
        assert {name: column[0] for name, column in alone.items()} == {
            name: column[row] for name, column in together.items()
        }


def test_each_of_several_findings_has_its_own_set():
    finish = finish_for(parse_contract(LABELS), None)
    random = np.random.default_rng(0)
    label = {name: (random.random(300) < 0.4).astype(float) for name in ("oedema", "mass")}
    label["mass"][:20] = np.nan
    scores = {
        name: sigmoid(random.normal(0, 1, 300) + 2 * (np.nan_to_num(column) - 0.5))
        for name, column in label.items()
    }
    persons = np.repeat([f"p{place}" for place in range(100)], 3).astype(object)
    found = finish.apply(scores, finish.fit(scores, Table({**label, "@group": persons})))
    assert set(found) == {
        f"{name}{of}" for of in ("oedema", "mass") for name in ("", "set_", "abstained_", "reason_")
    }
    assert set(found["set_mass"]) <= {"", "no", "yes", "no|yes"}


@pytest.mark.parametrize("grouped", [False, True])
def test_private_floors_keep_coverage(grouped):
    random = np.random.default_rng(0)
    persons = np.repeat(np.arange(1500), 2).astype(str).astype(object) if grouped else None
    values = random.random(3000)
    lows = [conformal.private_floors(values, (0.9, 0.8), 1.0, persons)[0] for _ in range(40)]
    assert np.mean([(values >= low).mean() >= 0.9 for low in lows]) >= 0.9
    assert np.mean(lows) > 0.05  # the price of privacy is not everything
    assert conformal.private_floors(values[:20], (0.9,), 0.5, None) == (0.0,)
    assert conformal.private_floors(values[:0], (0.9,), 0.5, None) == (0.0,)


def test_private_finish_fits_no_temperature_and_divides_epsilon():
    finish = finish_for(parse_contract(BINARY), 8.0)
    settings = finish.fit(*drawn(3000, 0))
    assert settings["targets"]["lesion"]["temperature"] == 1.0
    noisy = finish_for(parse_contract(BINARY), 2.0)
    cuts = {noisy.fit(*drawn(3000, 0))["cut"] for _ in range(8)}
    assert len(cuts) > 1  # noise from the system, not from a seed
    scores, table = drawn(3000, 1)
    found = finish.apply(scores, settings)
    assert found["decision"][table["lesion"] == 1].mean() > 0.88
    assert finish._epsilon_each == 8.0
    grouped = dataclasses.replace(parse_contract(BINARY), group="patient")
    assert finish_for(grouped, 8.0)._epsilon_each == 4.0


def test_what_means_nothing_is_refused():
    contract = parse_contract(BINARY)
    for options in ({"coverage": 1.0}, {"sensitivity": 1.5}, {"coverage": "much"}):
        with pytest.raises(CallError, match="expected a share"):
            finish_for(contract, None, options)
    with pytest.raises(CallError):
        Goals(sensitivity=True)
    with pytest.raises(TrainingError, match="0 rows"):
        finish_for(contract, None).fit({"score": np.zeros(0)}, Table({"lesion": np.zeros(0)}))
    real = dataclasses.replace(
        contract, decision=None, targets=(dataclasses.replace(contract.targets[0], kind="numeric"),)
    )
    with pytest.raises(ContractError, match="neither binary nor categorical"):
        finish_for(real, None)
    with pytest.raises(ContractError, match="no target"):
        finish_for(dataclasses.replace(contract, targets=(), decision=None), None)
