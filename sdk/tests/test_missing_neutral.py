"""What is missing stands at the field's middle, in every network, and attributions say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import parse_contract
from verticals.contract.model import DataContract, Field
from verticals.encode import build_encoder, encoder_from_settings
from verticals.encode.kinds import neutral_cell
from verticals.errors import ContractError
from verticals.explain import declared_background
from verticals.networks import additive, shape_table, table
from verticals.plugin import Setup, TorchSolution
from verticals.table import Table
from verticals.torch_adapter import TorchAdapter
from verticals.torch_model import TorchModel

CONTRACT = parse_contract("""
solution: any
name: loans
targets:
  bad: {column: bad, kind: binary, positive: 1, negative: 0, favourable: 0}
decision: {target: bad, cut: 0.5}
fields:
  amount: {column: amount, kind: numeric, bounds: [100, 10000], scale: log, monotone: increasing}
  income: {column: income, kind: numeric, bounds: [0, 50]}
  debt: {column: debt, kind: numeric, bounds: [0, 9], background: {2: 3, 7: 1}}
  owner: {column: owner, kind: boolean}
  grade: {column: grade, kind: ordinal, levels: [low, mid, high], monotone: decreasing}
  job: {column: job, kind: categorical, categories: [none, part, full]}
""")
NAMES = tuple(field.name for field in CONTRACT.fields)


def rows(count: int, seed: int = 0) -> Table:
    random = np.random.default_rng(seed)
    amount = np.exp(random.uniform(np.log(100), np.log(10_000), count))
    columns = {
        "amount": amount,
        "income": random.uniform(0, 50, count),
        "debt": random.uniform(0, 9, count),
        "owner": random.integers(0, 2, count).astype(float),
        "grade": random.integers(0, 3, count).astype(np.int32),
        "job": random.integers(0, 3, count).astype(np.int32),
    }
    odds = 1.5 * np.log(amount / 1000) - columns["income"] / 20 + columns["job"]
    return Table({**columns, "bad": (odds + random.logistic(size=count) > 0).astype(float)})


def blank(given: Table, *names: str) -> Table:
    """Return the rows with nothing in these fields."""
    gone = {
        name: np.full_like(given[name], -1 if given[name].dtype.kind == "i" else np.nan)
        for name in names
    }
    return given.with_columns(gone)


def trained(network: object, train: Table, contract: DataContract = CONTRACT) -> TorchModel:
    adapter = TorchAdapter(TorchSolution(demo=lambda: (contract, train), network=network))
    options = {"epochs": 3, "least_steps": 60, "hidden": 16}
    parts = {"train": train, "validate": train.take([]), "calibrate": train.take([])}
    return adapter.fit(parts, Setup(contract=contract, options=options, device="cpu"))


@pytest.fixture(scope="module")
def open_additive() -> TorchModel:
    return trained(with_surface, rows(400))


def with_surface(inputs, targets, options):
    return additive(inputs, targets, {"pairs": [("amount", "job"), ("income", "owner")]})


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_value_of_a_field_never_missing_in_training_adds_nothing(open_additive, name):
    found = open_additive.attributions(blank(rows(30, seed=1), name))
    place = found.fields.index(name)
    # A surface with a direction holds its weights above 0, so they start just above it.
    np.testing.assert_allclose(found.values[:, :, place], 0.0, atol=2e-3)
    assert found.additivity_error < 1e-5
    others = np.abs(np.delete(found.values, place, axis=2)).mean()
    assert others > 0.05  # it has learnt something


def test_a_missing_amount_scores_between_the_ends_of_its_range(open_additive):
    some = rows(1).take([0, 0, 0])
    ends = some.with_columns({"amount": np.array([100.0, 10_000.0, np.nan])})
    low, high, missing = open_additive.predict(ends)["score"]
    assert low + 0.1 < missing < high - 0.1


@given(st.sampled_from(NAMES[:3]), st.integers(1, 20), st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_middle_is_the_mean_of_the_background_whatever_the_bins(name, bins, seen_again):
    field = CONTRACT.field(name)
    encoder = build_encoder([field], bins=bins)
    if seen_again:
        encoder = encoder_from_settings(encoder.settings(), [field])
    background = declared_background([field], encoder)
    mean = background.weights[name] @ background.values[name]
    missing = encoder.encode(Table({name: np.array([np.nan])}))["table"][0]
    np.testing.assert_allclose(missing[:-1], mean[:-1], atol=1e-6)
    assert (missing[-1], mean[-1]) == (1.0, 0.0)
    np.testing.assert_allclose(encoder.inputs.neutral[name], mean, atol=1e-6)
    np.testing.assert_allclose(
        encoder.encode_field(name, np.array([np.nan]))[0], missing, atol=1e-6
    )


def test_a_category_that_was_never_declared_stands_where_a_missing_one_does():
    field = Field(
        name="job", kind="categorical", categories=("a", "b"), background={"a": 3, "b": 1}
    )
    codes = np.array([0, 2, -1], dtype=np.int32)
    cells = build_encoder([field]).encode(Table({"job": codes}))["table"]
    assert cells.tolist() == [[1, 0, 0, 0], [0.75, 0.25, 1, 0], [0.75, 0.25, 0, 1]]
    assert neutral_cell(field, ()).tolist() == [0.75, 0.25, 0, 0]


def test_a_value_that_was_missing_in_training_has_a_weight_of_its_own():
    train = rows(600)
    hidden = (train["bad"] == 1) & (np.arange(600) % 2 == 0)
    train = train.with_columns({"income": np.where(hidden, np.nan, train["income"])})
    model = trained(additive, train)
    found = model.attributions(blank(rows(5), "income"))
    assert found.values[:, 0, found.fields.index("income")].min() > 0.2


def test_the_shape_table_says_of_missing_what_the_network_does(open_additive):
    network = open_additive.network
    with torch.no_grad():  # flags that learnt something
        for weight in network.parameters():
            weight.add_(torch.linspace(-0.3, 0.3, weight.numel()).reshape(weight.shape))
    shapes = shape_table(network)
    flat = {**open_additive.encoder.encode(blank(rows(1), *NAMES))}
    terms = network.terms({k: torch.from_numpy(v) for k, v in flat.items()}).detach()[0, :, 0]
    for place, name in enumerate(NAMES):
        mine = shapes.take(shapes["field"] == name)
        heights = dict(zip(mine["text"], mine["contribution"], strict=True))
        first = next(iter(heights))
        lowest = 0 if name in ("owner", "grade", "job") else mine["x"][0]
        one = rows(1).with_columns({name: np.array([lowest], dtype=rows(1)[name].dtype)})
        blocks = {k: torch.from_numpy(v) for k, v in open_additive.encoder.encode(one).items()}
        at_first = network.terms(blocks).detach()[0, place, 0]
        expected = float(terms[place] - at_first)
        assert heights["missing"] - heights[first] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("options", [{}, {"residual": True}, {"members": 3}])
def test_a_table_network_takes_an_unseen_missing_value_for_the_middle(options):
    encoder = build_encoder(CONTRACT.inputs, bins=4)
    network = table(encoder.inputs, CONTRACT.targets, {"hidden": 8, **options}).eval()
    blocks = encoder.encode(blank(rows(4), *NAMES))
    middle = {"table": blocks["table"].copy()}
    for name, (_, columns) in encoder.inputs.where.items():
        middle["table"][:, columns] = encoder.inputs.neutral[name]
    found = network({"table": torch.from_numpy(blocks["table"])})
    torch.testing.assert_close(found, network({"table": torch.from_numpy(middle["table"])}))


def test_a_declared_direction_holds_beside_missing_values(open_additive):
    steps = np.linspace(100, 10_000, 40)
    for other in ("job", "grade", "income"):
        some = blank(rows(1).take([0] * 40).with_columns({"amount": steps}), other)
        assert (np.diff(open_additive.predict(some)["score"]) >= -1e-7).all()


def test_the_model_counts_missing_values_of_fields_that_had_none_in_training():
    train = rows(200)
    train = train.with_columns({"income": np.where(np.arange(200) < 9, np.nan, train["income"])})
    model = trained(additive, train)
    new = blank(rows(7), "income", "amount", "job")
    assert model.missing_unseen(new) == {"amount": 7, "job": 7}
    assert model.missing_unseen(rows(7)) == {}
    again = TorchAdapter(TorchSolution(demo=lambda: (CONTRACT, train), network=additive)).load(
        model.state(), Setup(contract=CONTRACT, device="cpu")
    )
    assert again.missing_unseen(new) == {"amount": 7, "job": 7}


def test_private_training_records_no_fact_of_what_was_missing():
    adapter = TorchAdapter(TorchSolution(demo=lambda: (CONTRACT, rows(60)), network=additive))
    train = rows(60)
    parts = {"train": train, "validate": train.take([]), "calibrate": train.take([])}
    setup = Setup(contract=CONTRACT, options={"steps": 2}, epsilon=3.0, delta=1e-3, device="cpu")
    model = adapter.fit(parts, setup)
    assert "never_missing" not in model.state().settings["training"]
    assert model.missing_unseen(blank(rows(3), "amount")) == {}


@pytest.mark.parametrize("epsilon", [None, 3.0])
def test_training_refuses_a_numeric_target_without_bounds(epsilon):
    priced = replace(
        CONTRACT,
        targets=(replace(CONTRACT.targets[0], kind="numeric", bounds=None),),
        decision=None,
    )
    train = rows(20)
    adapter = TorchAdapter(TorchSolution(demo=lambda: (priced, train), network=additive))
    parts = {"train": train, "validate": train.take([]), "calibrate": train.take([])}
    with pytest.raises(ContractError, match="target 'bad' is numeric and declares no bounds"):
        adapter.fit(parts, Setup(contract=priced, epsilon=epsilon, delta=1e-3, device="cpu"))


def test_attributions_of_a_numeric_target_are_in_its_unit_and_add_up():
    priced = replace(
        CONTRACT,
        targets=(
            replace(CONTRACT.targets[0], name="price", kind="numeric", bounds=(1000.0, 9000.0)),
        ),
        decision=None,
    )
    train = rows(400)
    train = train.with_columns({"price": 3000.0 + 1000.0 * np.log(train["amount"] / 100)})
    for network in (additive, table):
        model = trained(network, train, priced)
        found = model.attributions(rows(20, seed=2))
        price = model.predict(rows(20, seed=2))["price"]
        rebuilt = found.base[None] + found.values.sum(axis=2)
        np.testing.assert_allclose(np.clip(rebuilt[:, 0], 1000, 9000), price, rtol=1e-3)
        assert 2000 < found.base[0] < 8000
    shapes = trained(additive, train, priced).shapes()
    heights = shapes["contribution"][shapes["field"] == "amount"]
    assert 500 < heights.max() - heights.min() < 8000  # in the unit of the price
