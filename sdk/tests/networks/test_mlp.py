from __future__ import annotations

import numpy as np
import pytest
import torch

from verticals.contract.model import Field, Target
from verticals.encode import build_encoder
from verticals.errors import CallError
from verticals.networks import TableNetwork, heads, table
from verticals.table import Table

FIELDS = [Field(name=name, kind="numeric", bounds=(-1.0, 1.0)) for name in "ab"]
BAD = Target(name="bad", column="bad", kind="binary", positive="1")
INPUTS = build_encoder(FIELDS, bins=4).inputs

SHAPES = [
    {"residual": False},
    {"residual": True, "layers": 1},
    {"members": 3},
    {"members": 3, "residual": True},
]


def rows(count: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    random = np.random.default_rng(0)
    drawn = Table({name: random.uniform(-1, 1, count) for name in "ab"})
    block = build_encoder(FIELDS, bins=4).encode(drawn)["table"]
    labels = (drawn["a"] * drawn["b"] > 0).astype(np.float32)
    return {"table": torch.from_numpy(block)}, {"bad": torch.from_numpy(labels)}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_raw_scores_have_one_row_each_and_members_show_in_training_only(shape):
    network = TableNetwork(INPUTS, 2, hidden=8, dropout=0.0, **shape)
    blocks, _ = rows(5)
    members = network.train()(blocks)
    mean = network.eval()(blocks)
    assert mean.shape == (5, 2)
    if shape.get("members", 1) == 1:
        torch.testing.assert_close(members, mean)
    else:
        assert members.shape == (5, 3, 2)
        torch.testing.assert_close(members.mean(1), mean)
        assert (members[:, 0] != members[:, 1]).any()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_learns_what_needs_both_fields(shape):
    torch.manual_seed(0)
    network = TableNetwork(INPUTS, hidden=16, dropout=0.0, **shape)
    blocks, labels = rows(400)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        heads.loss(network(blocks), [BAD], labels).backward()
        optimizer.step()
    network.eval()
    right = (network(blocks)[:, 0] > 0) == (labels["bad"] > 0)
    assert right.float().mean() > 0.9


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_of_each_row_are_those_of_autograd(shape):
    from opacus.grad_sample import GradSampleModule
    from opacus.validators import ModuleValidator

    torch.manual_seed(0)
    network = TableNetwork(INPUTS, hidden=4, dropout=0.0, **shape)
    blocks, labels = rows(3)
    assert ModuleValidator.validate(network, strict=False) == []
    wrapped = GradSampleModule(network)
    heads.loss(wrapped(blocks), [BAD], labels).backward()
    samples = {name: weight.grad_sample for name, weight in network.named_parameters()}
    wrapped.remove_hooks()
    names, weights = zip(*network.named_parameters(), strict=True)
    for row in range(3):
        one = {"table": blocks["table"][row : row + 1]}
        loss = heads.loss(network(one), [BAD], {"bad": labels["bad"][row : row + 1]})
        for name, gradient in zip(names, torch.autograd.grad(loss, weights), strict=True):
            torch.testing.assert_close(samples[name][row], gradient)


def test_the_factory_takes_its_own_options_only():
    network = table(INPUTS, [BAD], {"hidden": 8, "members": 2, "epochs": 9})
    assert network.members == 2
    assert network.layers[0].out_features == 8


@pytest.mark.parametrize(
    "options", [{"hidden": 0}, {"layers": 0}, {"members": 0}, {"dropout": 1.0}, {"dropout": -0.1}]
)
def test_sizes_that_mean_nothing_are_refused(options):
    with pytest.raises(CallError, match="expected sizes"):
        TableNetwork(INPUTS, **options)


def test_an_image_is_refused_by_name():
    photo = Field(name="photo", kind="image", size=(4, 4))
    with pytest.raises(CallError, match="'photo'"):
        TableNetwork(build_encoder([*FIELDS, photo]).inputs)
