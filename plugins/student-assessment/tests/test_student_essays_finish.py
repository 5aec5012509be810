"""The finish of essays: intervals that cover, points on the scale, and who must read."""

import math

import numpy as np
import pytest

from verticals.contract import DataContract, Field, Target
from verticals.contract.model import GROUP
from verticals.errors import TrainingError
from verticals.table import Table
from verticals_student_assessment.essays import conformal
from verticals_student_assessment.essays.finish import (
    CLIPPED,
    EMPTY,
    MARKED,
    MARKUP,
    OFF_TOPIC,
    STRAY,
    TOO_LONG,
    TOO_SHORT,
    TOPICAL,
    UNCERTAIN,
    UNKNOWN,
    WORDS,
    EssayFinish,
    finish_for,
    in_points,
    level_points,
)

VALUES = ("1", "1.5", "2", "2.5", "3")


def contract(prompts=()):
    field = Field(name="essay", kind="text", column="t", settings={"prompts": list(prompts)})
    target = Target(name="style", column="s", kind="ordinal", values=VALUES)
    return DataContract(
        solution="essay-scoring", name="t", fields=(field,), targets=(target,), group="student"
    )


def scored(rows, seed=0, spread=0.7):
    """Return columns of a model whose errors are as wide as it says, and the labels."""
    random = np.random.default_rng(seed)
    middle = random.uniform(0.5, 3.5, rows)
    wide = random.choice([0.4, 1.0], rows)
    label = np.clip(np.rint(random.normal(middle, wide)), 0, 4)
    steps = np.arange(5)
    chances = np.exp(-((steps - middle[:, None]) ** 2) / (2 * wide[:, None] ** 2))
    chances /= chances.sum(axis=1, keepdims=True)
    columns = {"style_step": chances @ steps}
    columns |= {f"style_{value}": chances[:, place] for place, value in enumerate(VALUES)}
    columns |= {WORDS: np.full(rows, 200.0), CLIPPED: np.zeros(rows), UNKNOWN: np.zeros(rows)}
    columns[MARKUP] = np.zeros(rows)
    columns[TOPICAL] = columns[STRAY] = np.full(rows, np.nan)
    table = Table({"style": label, GROUP: np.array([f"s{n}" for n in range(rows)], dtype=object)})
    return columns, table


def test_limit_covers_new_rows():
    inside = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        found = conformal.limit(np.abs(random.normal(size=49)), 0.9)
        inside.append(math.erf(found / math.sqrt(2)))
    assert 0.885 < np.mean(inside) < 0.925


def test_limit_weighs_persons_and_not_rows():
    ratio = np.array([9.0] * 50 + list(np.linspace(0, 1, 50)))
    persons = np.array(["one"] * 50 + [f"p{n}" for n in range(50)])
    assert conformal.limit(ratio, 0.9, persons) < 1.0
    assert conformal.limit(ratio, 0.9) == 9.0


def test_few_persons_have_no_limit():
    assert conformal.limit(np.zeros(8), 0.9) == math.inf
    assert conformal.limit(np.zeros(0), 0.9) == math.inf
    assert conformal.limit(np.zeros(9), 0.9) == 0.0


def test_private_limit_is_never_lower_for_its_noise():
    ratio = np.abs(np.random.default_rng(1).normal(size=4000))
    plain = conformal.limit(ratio, 0.9)
    found = [conformal.private_limit(ratio, 0.9, 1.0) for _ in range(40)]
    assert np.mean([item >= plain - 0.01 for item in found]) >= 0.9
    assert np.median(found) < plain + 0.5
    assert conformal.private_limit(ratio[:20], 0.9, 0.5) == math.inf


def test_intervals_cover_and_are_wide_where_unsure():
    finish = finish_for(contract(), None, {"widest": 1.5})
    settings = finish.fit(*scored(400, seed=1))
    columns, table = scored(3000, seed=2)
    found = finish.apply(columns, settings)
    truth = np.array([1, 1.5, 2, 2.5, 3])[table["style"].astype(int)]
    inside = (truth >= found["style_lower"]) & (truth <= found["style_upper"])
    assert 0.87 < inside.mean() < 0.95
    width = found["style_upper"] - found["style_lower"]
    wide = found["review"] == 1
    assert 0 < wide.mean() < 1
    assert width[wide].min() > 1.5 >= width[~wide].max()
    assert set(found["review_reason"][wide]) == {UNCERTAIN}
    assert set(found["style_level"]) <= {1, 1.5, 2, 2.5, 3}
    assert set(found) == {item.name for item in finish.outputs}


def test_the_column_named_after_a_trait_is_in_points_of_its_scale():
    finish = finish_for(contract(), None, {})
    columns, table = scored(300)
    found = finish.apply(columns, finish.fit(columns, table))
    assert found["style_step"] == pytest.approx(columns["style_step"])
    assert found["style"] == pytest.approx(1 + columns["style_step"] / 2)
    assert np.abs(found["style_level"] - found["style"]).max() <= 0.25 + 1e-9
    assert (found["style_lower"] <= found["style"]).all()
    assert (found["style"] <= found["style_upper"]).all()
    kinds = {item.name: item.kind for item in finish.outputs if item.target == "style"}
    assert kinds == {**dict.fromkeys(kinds, "real"), "style_step": "ordinal"}


def test_reasons_of_review():
    finish = finish_for(contract(["a"]), None, {"widest": 9.0})
    columns, table = scored(300)
    columns[TOPICAL] = np.random.default_rng(0).uniform(0.4, 0.9, 300)
    settings = finish.fit(columns, table)
    odd, _ = scored(6)
    odd[WORDS] = np.array([0.0, 10.0, 2000.0, 200.0, 200.0, 200.0])
    odd[CLIPPED] = np.array([0.0, 0.0, 0.0, 7.0, 0.0, 0.0])
    odd[MARKUP] = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    odd[TOPICAL] = np.array([0.8, 0.8, 0.8, 0.8, 0.1, 0.8])
    found = finish.apply(odd, settings)["review_reason"].tolist()
    assert found == [EMPTY, TOO_SHORT, TOO_LONG, TOO_LONG, OFF_TOPIC, MARKED]
    told = finish.apply(odd, settings)
    for what in ("", "_level", "_lower", "_upper", "_step"):  # an empty essay has no points
        assert np.isnan(told[f"style{what}"]).tolist() == [True, False, False, False, False, False]
    usual = finish.apply(columns, settings)
    assert usual["review"].mean() <= 0.02


def test_matched_scale_has_the_human_spread():
    columns, table = scored(800, seed=3)
    shrunk = {**columns, "style_step": 1.5 + 0.4 * (columns["style_step"] - 2)}
    finish = finish_for(contract(), None, {"scale": "matched"})
    found = finish.apply(shrunk, finish.fit(shrunk, table))
    assert found["style_step"].std() == pytest.approx(table["style"].std(), rel=0.05)
    assert found["style_step"].mean() == pytest.approx(table["style"].mean(), abs=0.05)
    plain = finish_for(contract(), None, {})
    assert plain.apply(shrunk, plain.fit(shrunk, table))["style_step"].std() < 0.6


def test_matched_scale_keeps_the_declared_coverage_with_few_persons():
    """The limit is of persons whom the scale was not fitted to."""
    finish = finish_for(contract(), None, {"scale": "matched", "coverage": 0.8})
    inside = []
    for seed in range(300):
        columns, table = scored(40, seed=seed)
        new, truth = scored(200, seed=10_000 + seed)
        found = finish.apply(new, finish.fit(columns, table))
        points = level_points(finish.contract.targets[0])[truth["style"].astype(int)]
        inside.append(((found["style_lower"] <= points) & (points <= found["style_upper"])).mean())
    assert np.mean(inside) >= 0.8 - 2 * np.std(inside) / 300**0.5


def test_private_finish_reads_few_persons_as_the_whole_scale():
    finish = finish_for(contract(["a"]), 1.0, {})
    assert isinstance(finish, EssayFinish)
    columns, table = scored(30)
    columns[TOPICAL] = np.full(30, 0.5)
    columns[STRAY] = np.full(30, 0.2)
    settings = finish.fit(columns, table)
    assert settings["off_topic_below"] == 0.2  # of public texts
    assert settings["traits"]["style"]["limit"] is None
    found = finish.apply(columns, settings)
    assert (found["style_lower"] == 1).all()
    assert (found["style_upper"] == 3).all()


def test_empty_calibration_part_is_refused():
    columns, table = scored(5)
    none = Table({name: table[name][:0] for name in table})
    with pytest.raises(TrainingError, match="0 rows"):
        finish_for(contract(), None, {}).fit(columns, none)


def test_points_between_uneven_levels():
    assert in_points(np.array([0.0, 0.5, 1.5]), np.array([1.0, 2.0, 4.0])).tolist() == [1, 1.5, 3]
