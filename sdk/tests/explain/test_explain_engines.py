"""Shapley engines against their definition, against each other, and against shap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import Field
from verticals.encode import build_encoder
from verticals.errors import CallError, ContractError, ExplanationError
from verticals.explain import (
    Background,
    checked,
    declared_background,
    explain_additive,
    explain_alone,
    explain_game,
    make_game,
    probability_shares,
    sigmoid,
)
from verticals.plugin import Inputs

FIELDS = ("a", "b", "c", "d")
INPUTS = Inputs(
    where={
        "a": ("table", slice(0, 1)),
        "b": ("table", slice(1, 3)),  # one player that is two columns wide
        "c": ("table", slice(3, 4)),
        "d": ("other", slice(0, 2)),  # a block of its own
    },
    shapes={"table": (4,), "other": (2, 3)},
)


def curved(blocks):
    """An arbitrary function with interactions, of two outputs."""
    table = np.asarray(blocks["table"], dtype=np.float64)
    other = np.asarray(blocks["other"], dtype=np.float64).mean(axis=(1, 2))
    first = table[:, 0] * table[:, 1] + np.sin(table[:, 2]) + table[:, 3] ** 2 * other
    return np.column_stack([first, table[:, 0] - 2.0 * other])


def blocks_of(random, rows):
    return {
        "table": random.normal(size=(rows, 4)).astype(np.float32),
        "other": random.normal(size=(rows, 2, 3)).astype(np.float32),
    }


def game_of(seed=0, rows=5, points=4):
    random = np.random.default_rng(seed)
    return make_game(
        curved, blocks_of(random, rows), blocks_of(random, points), INPUTS, ["first", "second"]
    )


def test_exact_adds_up_to_the_score():
    found = explain_game(game_of(), method="exact")
    assert found.fields == FIELDS
    assert found.values.shape == (5, 2, 4)
    np.testing.assert_allclose(found.base + found.values.sum(axis=2), found.raw, atol=1e-12)
    assert found.standard_error is None


def test_exact_gives_nothing_to_a_field_that_is_not_read():
    found = explain_game(game_of(), method="exact")
    np.testing.assert_allclose(found.values[:, 1, 1], 0.0, atol=1e-12)  # b is not in `second`
    np.testing.assert_allclose(found.values[:, 1, 2], 0.0, atol=1e-12)  # nor is c


@pytest.mark.parametrize("method", ["shap-exact", "shap-permutation"])
def test_shap_agrees_with_the_exact_engine(method):
    ours = explain_game(game_of(), method="exact")
    theirs = explain_game(game_of(), method=method)
    np.testing.assert_allclose(theirs.base, ours.base, atol=1e-9)
    tolerance = 1e-8 if method == "shap-exact" else 0.15
    np.testing.assert_allclose(theirs.values, ours.values, atol=tolerance)


def test_sampled_lies_within_its_standard_errors():
    game = game_of(rows=6, points=8)
    exact = explain_game(game, method="exact")
    sampled = explain_game(game, method="sampled", draws=400, seed=1)
    error = sampled.standard_error
    assert error is not None
    far = np.abs(sampled.values - exact.values) > 4.0 * error + 1e-9
    assert far.mean() == 0.0
    assert error.max() < 0.5


def test_sampled_error_shrinks_with_draws():
    few = explain_game(game_of(), method="sampled", draws=16).standard_error
    many = explain_game(game_of(), method="sampled", draws=256).standard_error
    assert few is not None
    assert many is not None
    assert many.mean() < 0.5 * few.mean()


def test_an_unknown_method_is_named():
    with pytest.raises(CallError, match="unknown attribution method 'magic'"):
        explain_game(game_of(), method="magic")


def test_exact_refuses_many_fields():
    names = [f"f{i}" for i in range(15)]
    inputs = Inputs(
        where={name: ("table", slice(i, i + 1)) for i, name in enumerate(names)},
        shapes={"table": (15,)},
    )
    rows = {"table": np.zeros((1, 15), dtype=np.float32)}
    game = make_game(lambda blocks: blocks["table"][:, :1], rows, rows, inputs, ["score"])
    with pytest.raises(ExplanationError, match="15 fields"):
        explain_game(game, method="exact")


class Quadratic:
    """An additive model with one pair, in numpy: an oracle for the closed form."""

    players = (("a",), ("b",), ("c",), ("a", "c"))

    def terms(self, blocks):
        table = np.asarray(blocks["table"], dtype=np.float64)
        a, b, c = table[:, 0], table[:, 1] + 3 * table[:, 2], table[:, 3]
        return np.stack([a**2, np.cos(b), 2 * c, a * c + a], axis=1)[:, :, None]

    def bias(self):
        return np.array([0.25])


FLAT = Inputs(
    where={"a": ("table", slice(0, 1)), "b": ("table", slice(1, 3)), "c": ("table", slice(3, 4))},
    shapes={"table": (4,)},
)


def test_additive_closed_form_equals_all_coalitions():
    random = np.random.default_rng(7)
    values = {
        "a": random.normal(size=(2, 1)).astype(np.float32),
        "b": random.normal(size=(2, 2)).astype(np.float32),
        "c": random.normal(size=(2, 1)).astype(np.float32),
    }
    background = Background(values=values, weights={name: np.full(2, 0.5) for name in values})
    rows = {"table": random.normal(size=(6, 4)).astype(np.float32)}
    model = Quadratic()
    found = explain_additive(model, rows, background, FLAT, ["score"])
    product = np.array(
        [np.concatenate([a, b, c]) for a in values["a"] for b in values["b"] for c in values["c"]]
    )
    game = make_game(
        lambda blocks: model.bias() + model.terms(blocks).sum(axis=1),
        rows,
        {"table": product},
        FLAT,
        ["score"],
    )
    exact = explain_game(game, method="exact")
    np.testing.assert_allclose(found.values, exact.values, atol=1e-6)
    np.testing.assert_allclose(found.base, exact.base, atol=1e-6)
    assert found.additivity_error < 1e-9


def test_attributions_that_do_not_add_up_are_refused():
    with pytest.raises(ExplanationError, match=r"miss the score by 0\.5"):
        checked(
            outputs=("score",),
            fields=("a",),
            values=np.zeros((1, 1, 1)),
            base=np.zeros(1),
            raw=np.full((1, 1), 0.5),
            method="wrong",
        )


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(-8, 8), min_size=1, max_size=6),
    st.floats(-5, 5),
)
def test_probability_shares_add_up_to_the_change_of_probability(phi, base):
    values = np.array(phi)[None, None, :]
    found = checked(
        outputs=("score",),
        fields=tuple(f"f{i}" for i in range(len(phi))),
        values=values,
        base=np.array([base]),
        raw=np.array([[base + values.sum()]]),
        method="test",
    )
    shares = probability_shares(found)
    change = sigmoid(np.array(base + values.sum())) - sigmoid(np.array(base))
    np.testing.assert_allclose(shares.sum(), change, atol=1e-6)


def test_shares_of_cancelling_log_odds_are_defined():
    found = checked(
        outputs=("score",),
        fields=("up", "down"),
        values=np.array([[[2.0, -2.0]]]),
        base=np.array([0.0]),
        raw=np.array([[0.0]]),
        method="test",
    )
    np.testing.assert_allclose(probability_shares(found), [[0.5, -0.5]])


def test_the_declared_background_reads_declarations_only():
    fields = (
        Field(name="income", kind="numeric", bounds=(0.0, 10.0), background={"4": 1.0}),
        Field(name="grade", kind="ordinal", levels=("a", "b")),
        Field(name="home", kind="boolean", background={"yes": 3.0, "no": 1.0}),
        Field(name="debt", kind="numeric", bounds=(0.0, 4.0), bins=(0.0, 1.0, 4.0)),
    )
    encoder = build_encoder(fields)
    background = declared_background(fields, encoder)
    income = encoder.encode_field("income", np.array([4.0]))
    np.testing.assert_array_equal(background.values["income"], income)
    np.testing.assert_allclose(background.weights["grade"], [0.5, 0.5])
    np.testing.assert_allclose(background.weights["home"], [0.75, 0.25])
    middles = encoder.encode_field("debt", np.array([0.5, 2.5]))
    np.testing.assert_array_equal(background.values["debt"], middles)


def test_a_background_value_that_is_not_declared_is_named():
    fields = (Field(name="grade", kind="ordinal", levels=("a", "b"), background={"z": 1.0}),)
    with pytest.raises(ContractError, match="'z' is not among"):
        build_encoder(fields)


def test_a_model_of_one_field_gives_it_all_exactly():
    random = np.random.default_rng(0)
    blocks, points = {"x": random.random((7, 3))}, {"x": random.random((20, 3))}
    inputs = Inputs(where={"x": ("x", slice(0, 3))}, shapes={"x": (3,)})

    def score(part):
        return (part["x"] ** 2).sum(axis=1, keepdims=True)

    game = make_game(score, blocks, points, inputs, ("y",))
    alone, every = explain_alone(game), explain_game(game, method="exact")
    np.testing.assert_allclose(alone.values, every.values, atol=1e-12)
    np.testing.assert_allclose(alone.base, every.base, atol=1e-12)
    two = Inputs(where={"x": ("x", slice(0, 1)), "z": ("x", slice(1, 3))}, shapes={"x": (3,)})
    with pytest.raises(CallError, match="has 2 fields"):
        explain_alone(make_game(score, blocks, points, two, ("y",)))
