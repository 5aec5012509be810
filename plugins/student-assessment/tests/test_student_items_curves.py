"""Response functions: probabilities, derivatives, information."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals_student_assessment.items.irt import Grid, ItemBank, item_curves
from verticals_student_assessment.items.irt.curves import (
    boundaries,
    curvatures,
    gradients,
    probabilities,
)

NODES = torch.linspace(-4.0, 4.0, 9, dtype=torch.float64)


def make_bank(values, categories=None, **settings):
    values = np.asarray(values, dtype=np.float64)
    counts = np.isfinite(values[:, 1:-1]).sum(axis=1) + 1 if categories is None else categories
    return ItemBank(
        names=tuple(f"i{n}" for n in range(len(values))),
        model=settings.pop("model", "2PL"),
        categories=np.asarray(counts, dtype=np.int64),
        merged=tuple(tuple(range(count)) for count in counts),
        values=values,
        free=np.isfinite(values),
        **settings,
    )


@st.composite
def items(draw):
    """Draw one item of 2 to 4 categories in a frame of 4, guessing where it has 2."""
    count = draw(st.integers(2, 4))
    slope = draw(st.floats(-2.0, 3.0))
    first = draw(st.floats(-2.0, 3.0))
    gaps = draw(st.lists(st.floats(0.05, 2.0), min_size=count - 2, max_size=count - 2))
    steps = first - np.concatenate([[0.0], np.cumsum(gaps)])
    row = np.full(5, -np.inf)
    row[0], row[1:count] = slope, steps
    if count == 2 and draw(st.booleans()):
        row[-1] = draw(st.floats(-4.0, 1.0))
    return row


@settings(max_examples=40, deadline=None)
@given(st.lists(items(), min_size=1, max_size=3))
def test_probabilities_are_a_distribution(rows):
    values = torch.as_tensor(np.array(rows))
    chance = probabilities(boundaries(values, NODES))
    assert torch.allclose(chance.sum(dim=1), torch.ones(len(rows), 9, dtype=torch.float64))
    assert bool((chance >= 0).all())
    absent = ~torch.isfinite(values[:, 1:-1])
    assert bool((chance[:, 1:][absent] == 0).all())


@settings(max_examples=25, deadline=None)
@given(items())
def test_derivatives_by_parameters_equal_automatic_ones(row):
    values = torch.as_tensor(row[None])
    present = torch.isfinite(values[0])
    edge = boundaries(values, NODES)
    first, second = gradients(edge, NODES)[0], curvatures(edge, NODES)[0]

    def of(free):
        full = values[0].masked_scatter(present, free)
        return probabilities(boundaries(full[None], NODES))[0]

    own = values[0][present]
    by = torch.autograd.functional.jacobian(of, own)  # (K, nodes, free)
    assert torch.allclose(first[:, present].permute(0, 2, 1), by, atol=1e-10)
    for category in range(first.shape[0]):
        twice = torch.autograd.functional.hessian(lambda free, k=category: of(free)[k, 3], own)
        mine = second[category][present][:, present][:, :, 3]
        assert torch.allclose(mine, twice, atol=1e-9)
    assert bool((first[:, ~present] == 0).all())


@settings(max_examples=25, deadline=None)
@given(st.lists(items(), min_size=1, max_size=3))
def test_information_is_minus_the_expected_second_derivative(rows):
    bank = make_bank(rows)
    where, step = np.linspace(-2.5, 2.5, 7), 1e-3
    logs = [
        np.log(np.maximum(item_curves(bank, where + away).probability, 1e-300))
        for away in (-step, 0.0, step)
    ]
    curves = item_curves(bank, where)
    bend = (logs[0] - 2 * logs[1] + logs[2]) / step**2
    expected = -(np.where(curves.probability > 0, bend, 0.0) * curves.probability).sum(axis=1)
    assert curves.information == pytest.approx(expected, abs=2e-4)


def test_a_middle_category_keeps_its_digits_far_out():
    bank = make_bank([[4.0, 1.0, 0.5, -np.inf]])
    chance = item_curves(bank, np.array([9.0])).probability[0, :, 0]
    near = np.exp(-36.5) - np.exp(-37.0)  # σ(37) − σ(36.5), to first order
    assert chance[1] == pytest.approx(near, rel=1e-9)


def test_an_asymptote_in_a_frame_of_more_categories():
    bank = make_bank([[1.0, 0.0, -np.inf, -np.inf, np.log(0.25 / 0.75)]])
    chance = item_curves(bank, np.array([-40.0, 0.0])).probability[0]
    assert chance[:, 0] == pytest.approx([0.75, 0.25, 0.0, 0.0])
    assert chance[:, 1] == pytest.approx([0.375, 0.625, 0.0, 0.0])


def test_grid_has_the_moments_of_the_normal_distribution():
    grid = Grid.normal(61, mean=1.0, sd=2.0)
    mean = grid.weights @ grid.nodes
    assert grid.weights.sum() == pytest.approx(1.0)
    assert mean == pytest.approx(1.0)
    assert grid.weights @ (grid.nodes - mean) ** 2 == pytest.approx(4.0, rel=1e-6)


def test_expected_score_and_a_known_information():
    bank = make_bank([[1.5, 0.3, -np.inf]])
    curves = item_curves(bank, np.array([0.2]))
    chance = 1 / (1 + np.exp(-(1.5 * 0.2 + 0.3)))
    assert curves.expected[0, 0] == pytest.approx(chance)
    assert curves.information[0, 0] == pytest.approx(1.5**2 * chance * (1 - chance))
