from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from verticals.contract.model import Target
from verticals.errors import CallError, ContractError
from verticals.networks import heads

BAD = Target(name="bad", column="bad", kind="binary", positive="1")
LATE = Target(name="late", column="late", kind="binary", positive="yes")
KIND = Target(name="kind", column="kind", kind="categorical", values=("a", "b", "c"))
GRADE = Target(name="grade", column="grade", kind="ordinal", values=("0", "1", "2"))
PRICE = Target(name="price", column="price", kind="numeric", bounds=(0.0, 200.0))
COST = Target(name="cost", column="cost", kind="numeric")
ALL = (BAD, KIND, GRADE, PRICE)


def test_widths():
    assert [heads.width([target]) for target in (BAD, KIND, GRADE, PRICE)] == [1, 3, 2, 1]
    assert heads.width(ALL) == 7
    assert heads.width([]) == 0


def test_each_kind_has_its_loss():
    raw = torch.tensor([[0.3, 1.0, -1.0, 0.5, 2.0, -0.5, 0.25]])
    labels = {"bad": [1.0], "kind": [2.0], "grade": [1.0], "price": [150.0]}
    columns = {name: torch.tensor(value) for name, value in labels.items()}
    logistic = functional.logsigmoid
    expected = {
        "bad": -logistic(torch.tensor(0.3)),
        "kind": -torch.log_softmax(raw[0, 1:4], dim=0)[2],
        "grade": -logistic(torch.tensor(2.0)) - logistic(torch.tensor(0.5)),
        "price": torch.tensor(0.5 * (0.25 - 3.0) ** 2),
    }
    start = 0
    for target in ALL:
        part = raw[:, start : start + heads.width([target])]
        start += heads.width([target])
        torch.testing.assert_close(heads.loss(part, [target], columns), expected[target.name])
    torch.testing.assert_close(heads.loss(raw, ALL, columns), sum(expected.values()))


def test_a_missing_label_adds_nothing_and_rows_do_not_depend_on_one_another():
    raw = torch.randn(4, 7, requires_grad=True)
    nan = math.nan
    columns = {
        "bad": torch.tensor([1.0, nan, 0.0, nan]),
        "kind": torch.tensor([nan, 0.0, 2.0, nan]),
        "grade": torch.tensor([0.0, nan, 2.0, nan]),
        "price": torch.tensor([1.0, 2.0, nan, nan]),
    }
    losses = heads.row_losses(raw, ALL, columns)
    assert torch.isfinite(losses).all()
    assert losses[3] == 0
    losses.sum().backward()
    assert torch.isfinite(raw.grad).all()
    assert (raw.grad[3] == 0).all()
    alone = [
        heads.row_losses(raw[row : row + 1], ALL, {k: v[row : row + 1] for k, v in columns.items()})
        for row in range(4)
    ]
    torch.testing.assert_close(losses, torch.cat(alone))


def test_weights_scale_rows():
    raw, columns = torch.tensor([[1.0], [2.0]]), {"bad": torch.tensor([0.0, 1.0])}
    losses = heads.row_losses(raw, [BAD], columns)
    weighted = heads.loss(raw, [BAD], columns, torch.tensor([3.0, 0.0]))
    torch.testing.assert_close(weighted, losses[0] * 3 / 2)


def test_members_are_held_to_the_labels_each_by_itself():
    raw = torch.tensor([[[2.0], [-2.0]], [[1.0], [3.0]]])  # (rows, members, width)
    columns = {"bad": torch.tensor([1.0, 1.0])}
    apart = [heads.row_losses(raw[:, member], [BAD], columns) for member in (0, 1)]
    torch.testing.assert_close(heads.row_losses(raw, [BAD], columns), sum(apart) / 2)
    wide = torch.randn(5, 3, 7)
    labels = {
        "bad": torch.tensor([0.0, 1, 1, 0, 1]),
        "kind": torch.tensor([0.0, 1, 2, 2, 1]),
        "grade": torch.tensor([2.0, 1, 0, 0, 1]),
        "price": torch.tensor([2.0, 100, 0, 0, 1]),
    }
    apart = [heads.row_losses(wide[:, member], ALL, labels) for member in range(3)]
    torch.testing.assert_close(heads.row_losses(wide, ALL, labels), sum(apart) / 3)


def test_the_width_is_checked():
    with pytest.raises(CallError, match="gives 2 raw scores a row, but the targets need 1"):
        heads.loss(torch.zeros(3, 2), [BAD], {"bad": torch.zeros(3)})


def test_scores_are_named_and_are_what_they_say():
    raw = np.array([[0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 3.0], [800, -800, 0, 0, 3, 3, -6]])
    scores = heads.scores(torch.from_numpy(raw), ALL)
    names = ["bad", "kind_a", "kind_b", "kind_c", "grade", "grade_step"]
    names += ["grade_0", "grade_1", "grade_2", "price"]
    assert set(scores) == set(names)
    assert [output.name for output in heads.outputs(ALL)] == names
    assert all(column.shape == (2,) and column.dtype == np.float64 for column in scores.values())
    assert scores["bad"].tolist() == [0.5, 1.0]
    assert sum(scores[f"kind_{v}"] for v in "abc") == pytest.approx([1, 1])
    assert scores["kind_a"] == pytest.approx([1 / 3, 0])
    assert scores["grade_step"][0] == pytest.approx(1.0)
    assert [scores[f"grade_{v}"][0] for v in "012"] == pytest.approx([0.5, 0.0, 0.5])
    assert scores["price"].tolist() == [150.0, 0.0]
    assert list(heads.scores(raw[:, :1], [BAD])) == ["score"]
    assert list(heads.scores(raw[:, :2], [BAD, LATE])) == ["bad", "late"]


def test_a_numeric_prediction_stays_within_the_declared_bounds():
    scores = heads.scores(np.array([[-9.0], [-6.0], [1.5], [6.2]]), [PRICE])
    assert scores["price"].tolist() == [0.0, 0.0, 125.0, 200.0]


def test_a_label_beyond_the_bounds_counts_as_the_bound_it_passed():
    raw = torch.tensor([[5.0], [5.0]])
    losses = heads.row_losses(raw, [PRICE], {"price": torch.tensor([2_300_000.0, 200.0])})
    assert losses[0] == losses[1] == 0.5


def test_a_numeric_target_without_bounds_is_refused_by_name():
    for call in (
        lambda: heads.scores(np.array([[7.5]]), [COST]),
        lambda: heads.row_losses(torch.zeros(1, 1), [COST], {"cost": torch.zeros(1)}),
        lambda: heads.raw_scale([COST]),
    ):
        with pytest.raises(ContractError, match="target 'cost' is numeric and declares no bounds"):
            call()


def test_raw_scores_have_a_scale_that_gives_what_people_read():
    offset, unit = heads.raw_scale(ALL)
    assert offset.tolist() == [0, 0, 0, 0, 0, 0, 100]
    assert unit.tolist() == [1, 1, 1, 1, 1, 1, 100 / 6]


def test_crossed_levels_give_no_negative_chance():
    scores = heads.scores(np.array([[-3.0, 2.0]]), [GRADE])
    chances = np.array([scores[f"grade_{value}"][0] for value in "012"])
    assert chances.min() >= 0
    assert chances.sum() == pytest.approx(1.0)


def test_the_column_of_an_ordinal_target_is_on_the_scale_of_its_levels():
    raw = np.array([[9.0, 9.0], [-9.0, -9.0], [40.0, -40.0], [40.0, 0.0]])
    for values, expected in (
        (("4", "5", "7"), [7, 4, 5, 6]),
        (("2.5", "3", "3.5"), [3.5, 2.5, 3, 3.25]),
        (("6", "4", "1"), [1, 6, 4, 2.5]),  # the best is the lowest number
    ):
        scores = heads.scores(raw, [replace(GRADE, values=values)])
        assert scores["grade"] == pytest.approx(expected, abs=1e-3)
        assert scores["grade_step"] == pytest.approx([2, 0, 1, 1.5], abs=1e-3)
    words = replace(GRADE, values=("low", "mid", "nan"))
    assert "grade" not in heads.scores(raw, [words])  # no number stands for a word
    assert "grade" not in [output.name for output in heads.outputs([words])]


def test_outputs_say_what_they_speak_of():
    outputs = {output.name: output for output in heads.outputs([BAD])}
    assert (outputs["score"].kind, outputs["score"].target) == ("probability", "bad")
    assert outputs["score"].value == "1"
    several = {output.name: output for output in heads.outputs(ALL)}
    kinds = [several[name].kind for name in ("kind_a", "grade", "grade_step", "grade_1", "price")]
    assert kinds == ["probability", "real", "ordinal", "probability", "real"]
    assert several["grade_1"].value == "1"


@pytest.mark.parametrize("target", [BAD, KIND, GRADE, PRICE], ids=lambda target: target.kind)
def test_descending_the_loss_reaches_the_label(target):
    target = replace(target, bounds=(0.0, 1.0)) if target.bounds else target
    labels = torch.tensor([0.0, 1.0])
    raw = torch.zeros(2, heads.width([target]), requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.2)
    for _ in range(100):
        optimizer.zero_grad()
        heads.loss(raw, [target], {target.name: labels}).backward()
        optimizer.step()
    scores = heads.scores(raw, [target])
    names = {"binary": "score", "categorical": f"{target.name}_b", "ordinal": target.step_name}
    name = names.get(target.kind, target.name)
    assert scores[name] == pytest.approx([0.0, 1.0], abs=0.05)
