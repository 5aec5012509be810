from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from verticals.contract.model import Field
from verticals.encode import build_encoder
from verticals.networks import AdditiveNetwork, shape_table
from verticals.table import Table

INCOME = Field(
    name="income",
    kind="numeric",
    bounds=(0.0, 3000.0),
    label="Income",
    unit="EUR",
    monotone="decreasing",
)
JOB = Field(name="job", kind="categorical", categories=("1", "2"), category_labels=("none", "full"))
OWNER = Field(name="owner", kind="boolean")
ITEMS = Field(name="items", kind="ordinal", role="item", columns=("q1", "q2"), levels=("lo", "hi"))
FIELDS = (INCOME, JOB, OWNER, ITEMS)


def shaken() -> tuple[AdditiveNetwork, object]:
    encoder = build_encoder(FIELDS, bins=3)
    network = AdditiveNetwork(encoder.inputs, 2, pairs=[("income", "job")])
    torch.manual_seed(0)
    for weight in network.parameters():
        torch.nn.init.normal_(weight)
    return network, encoder


def test_every_value_has_a_row_for_every_output():
    network, _ = shaken()
    table = shape_table(network, ("up", "down"))
    assert list(table) == ["output", "field", "label", "x", "text", "contribution"]
    first = table.take(table["output"] == "up")
    texts = {name: first["text"][first["field"] == name].tolist() for name in network.inputs.where}
    assert texts == {
        "income": ["0 EUR", "1,000 EUR", "2,000 EUR", "3,000 EUR", "missing"],
        "job": ["none", "full", "other", "missing"],
        "owner": ["false", "true", "missing"],
        "items": ["q1: lo", "q1: hi", "q1: missing", "q2: lo", "q2: hi", "q2: missing"],
    }
    assert first["label"][0] == "Income"
    assert first["x"][:4].tolist() == [0, 1000, 2000, 3000]
    assert math.isnan(first["x"][4])
    assert table.rows == 2 * first.rows


def test_heights_are_those_of_the_terms_less_their_mean_over_the_declared_values():
    network, encoder = shaken()
    found = shape_table(network, ("up", "down"))
    for place, output in enumerate(("up", "down")):
        rows = found.take((found["output"] == output) & (found["field"] == "income"))
        grid = {
            "income": np.array([*rows["x"][:4], np.nan]),
            "job": np.zeros(5, dtype=np.int32),
            "owner": np.zeros(5),
            "items": np.zeros((5, 2), dtype=np.int32),
        }
        blocks = {k: torch.from_numpy(v) for k, v in encoder.encode(Table(grid)).items()}
        term = network.terms(blocks)[:, 0, place].detach().numpy()
        assert rows["contribution"] == pytest.approx(term - term[:4].mean(), abs=1e-6)
    job = found.take((found["output"] == "up") & (found["field"] == "job"))["contribution"]
    assert job[:2].mean() == pytest.approx(0.0)


def test_a_column_without_a_declared_meaning_is_numbered():
    class Width2:
        def shape(self, field):
            return (2,)

        def encode(self, field, column):
            return np.zeros((len(column), 2), dtype=np.float32)

    due = Field(name="due", kind="time")
    encoder = build_encoder([OWNER, due], encoders={"time": Width2()})
    table = shape_table(AdditiveNetwork(encoder.inputs))
    assert table["text"].tolist() == ["false", "true", "missing", "column 1", "column 2"]
