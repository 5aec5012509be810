"""Files from outside: a network and encoders made of them, and their digests held at load."""

import dataclasses

import numpy as np
import pytest
from torch import nn

from verticals.contract import bind, parse_contract
from verticals.errors import BundleError, ContractError
from verticals.plugin import Setup, TorchSolution
from verticals.table import Table
from verticals.torch_adapter import TorchAdapter

CONTRACT = parse_contract(
    """
solution: tiny
name: words
targets: {y: {column: y, kind: binary, positive: 1}}
fields: {said: {column: said, kind: text}}
"""
)
TABLE = Table(
    {
        "said": np.array(["a", "bb", "ccc", "dddd"] * 8, dtype=object),
        "y": np.array([0, 0, 1, 1] * 8),
    }
)


class Lengths:
    """Encode a text by its length times a factor from outside."""

    def __init__(self, factor):
        self.factor = factor

    def shape(self, field):
        return (1,)

    def encode(self, field, column):
        return np.array([[len(text) * self.factor] for text in column], dtype=np.float32)


class Head(nn.Module):
    """Learn on top of a body that is no part of the state."""

    def __init__(self, body):
        super().__init__()
        self.body = (body,)  # a tuple hides it from the state
        self.line = nn.Linear(1, 1)

    def forward(self, blocks):
        return self.line(blocks["said"] + self.body[0])


def factor(setup):
    return float(setup.resources.get("factor", 1.0))


SOLUTION = TorchSolution(
    demo=lambda: (CONTRACT, TABLE),
    network=lambda inputs, targets, options: Head(0.0),
    network_for=lambda inputs, targets, setup: Head(factor(setup)),
    network_at_load=lambda inputs, targets, setup: Head(factor(setup)),
    encoders_for=lambda setup: {"text": Lengths(factor(setup))},
    resources_for=lambda setup: {"factor": f"sha256:{factor(setup):g}"},
    options={"epochs": 2},
)


@pytest.fixture(scope="module")
def trained():
    table = bind(CONTRACT, TABLE).table
    parts = {"train": table, "validate": table.take([]), "calibrate": table.take([])}
    setup = Setup(contract=CONTRACT, device="cpu", resources={"factor": "2"})
    return TorchAdapter(SOLUTION).fit(parts, setup), setup, table


def test_what_comes_from_outside_is_used_in_training_and_at_load(trained):
    model, setup, table = trained
    assert model.state().settings["resources"] == {"factor": "sha256:2"}
    assert set(model.state().tensors) == {"line.weight", "line.bias"}
    again = TorchAdapter(SOLUTION).load(model.state(), setup)
    np.testing.assert_array_equal(again.predict(table)["score"], model.predict(table)["score"])
    assert again.state().settings["resources"] == model.state().settings["resources"]


def test_another_file_is_refused_at_load(trained):
    model, setup, _ = trained
    other = dataclasses.replace(setup, resources={})
    with pytest.raises(BundleError, match="resource 'factor' is sha256:1, expected sha256:2"):
        TorchAdapter(SOLUTION).load(model.state(), other)


def test_without_outside_files_nothing_is_recorded():
    bare = dataclasses.replace(SOLUTION, resources_for=None)
    table = bind(CONTRACT, TABLE).table
    parts = {"train": table, "validate": table.take([]), "calibrate": table.take([])}
    model = TorchAdapter(bare).fit(parts, Setup(contract=CONTRACT, device="cpu"))
    assert "resources" not in model.state().settings


def test_a_contract_without_a_target_is_refused():
    table = bind(CONTRACT, TABLE).table
    none = dataclasses.replace(CONTRACT, targets=())
    with pytest.raises(ContractError, match="'words' declares no target"):
        TorchAdapter(SOLUTION).fit({"train": table, "validate": table}, Setup(contract=none))
