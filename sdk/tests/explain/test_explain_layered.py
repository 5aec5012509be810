"""Attributions through the sums of the first layer are those of the network as a whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from verticals.contract import DataContract, Field, Target
from verticals.encode import build_encoder
from verticals.explain import declared_background, explain_game, make_game
from verticals.networks import table
from verticals.networks.mlp import TableNetwork
from verticals.table import Table
from verticals.torch_game import Layered, background_points
from verticals.torch_model import SAMPLED_DRAWS, TorchModel

FIELDS = (
    Field(name="a", kind="numeric", bounds=(0.0, 1.0)),
    Field(name="b", kind="categorical", categories=("x", "y")),
    Field(name="c", kind="numeric", bounds=(-1.0, 1.0)),
)
TARGET = Target(name="y", column="y", kind="binary", positive="1")


def model_of(options):
    encoder = build_encoder(FIELDS, bins=4)
    torch.manual_seed(3)
    network = table(encoder.inputs, (TARGET,), options)
    contract = DataContract(solution="s", name="n", fields=FIELDS, targets=(TARGET,))
    return TorchModel(
        network=network,
        encoder=encoder,
        contract=contract,
        device="cpu",
        privacy=None,
        training={},
        shift=np.array([-1.5]),
        resources={},
    )


def rows(count=30):
    random = np.random.default_rng(0)
    return Table(
        {
            "a": np.where(random.random(count) < 0.1, np.nan, random.random(count)),
            "b": random.integers(-1, 3, count).astype(np.int32),
            "c": random.uniform(-1, 1, count),
        }
    )


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("residual", [False, True])
def test_the_layered_game_is_the_same_game(members, residual):
    model = model_of({"members": members, "residual": residual, "hidden": 16})
    found = model.attributions(rows())
    background = declared_background(FIELDS, model.encoder)
    whole = explain_game(
        make_game(
            model._score_blocks,
            model.encoder.encode(rows()),
            background_points(background, model.encoder),
            model.encoder.inputs,
            ("score",),
        ),
        draws=SAMPLED_DRAWS,
    )
    assert found.fields == whole.fields
    np.testing.assert_allclose(found.values, whole.values, atol=2e-5)
    np.testing.assert_allclose(found.raw, whole.raw, atol=2e-5)
    np.testing.assert_allclose(found.base, whole.base, atol=2e-5)
    assert found.additivity_error < 1e-6  # rounding of float32


def test_a_table_network_is_layered_and_starts_where_it_is_scored():
    model = model_of({"hidden": 16})
    assert isinstance(model._network, TableNetwork)
    assert isinstance(model._network, Layered)
    table_ = rows(7)
    found = model.attributions(table_)
    score = 1 / (1 + np.exp(-found.raw[:, 0]))
    np.testing.assert_allclose(score, model.predict(table_)["score"], atol=1e-6)
    assert model.most_explained == 1_000
