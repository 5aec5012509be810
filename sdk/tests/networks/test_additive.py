from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from verticals.contract.model import Field, Target
from verticals.encode import Encoder, build_encoder, fit_encoder
from verticals.errors import CallError
from verticals.networks import AdditiveNetwork, additive, heads
from verticals.table import Table
from verticals.training import train_network, train_options

INCOME = Field(name="income", kind="numeric", bounds=(0.0, 100.0), monotone="decreasing")
DEBT = Field(name="debt", kind="numeric", bounds=(1.0, 1000.0), scale="log", monotone="increasing")
SIZE = Field(name="size", kind="numeric", bounds=(-1.0, 1.0))
GRADE = Field(name="grade", kind="ordinal", levels=("a", "b", "c"), monotone="increasing")
JOB = Field(name="job", kind="categorical", categories=("none", "full"))
OWNER = Field(name="owner", kind="boolean", monotone="decreasing")
ITEMS = Field(name="items", kind="ordinal", role="item", columns=("q1", "q2"), levels=("0", "1"))
FIELDS = (INCOME, DEBT, SIZE, GRADE, JOB, OWNER, ITEMS)
PAIRS = (("income", "debt"), ("size", "job"), ("grade", "size"), ("owner", "income"))
BAD = Target(name="bad", column="bad", kind="binary", positive="1")
RATING = Target(name="rating", column="rating", kind="ordinal", values=("a", "b", "c"))


def random_table(rows: int, seed: int = 0) -> Table:
    random = np.random.default_rng(seed)

    def holes(values: np.ndarray) -> np.ndarray:
        return np.where(random.random(rows) < 0.1, np.nan, values)

    def codes(count: int, *shape: int) -> np.ndarray:
        return random.integers(-1, count + 1, (rows, *shape)).astype(np.int32)

    return Table(
        {
            "income": holes(random.uniform(-10, 110, rows)),
            "debt": holes(random.uniform(0.5, 1100, rows)),
            "size": holes(random.uniform(-1, 1, rows)),
            "grade": codes(3),
            "job": codes(2),
            "owner": holes(random.integers(0, 2, rows).astype(float)),
            "items": codes(2, 2),
        }
    )


def tensors(encoder: Encoder, table: Table) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(block) for name, block in encoder.encode(table).items()}


def shaken(network: AdditiveNetwork, seed: int = 0) -> AdditiveNetwork:
    """Give a network arbitrary weights: what it promises must not hang on good ones."""
    torch.manual_seed(seed)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=3.0)
    return network


def trained(
    network: AdditiveNetwork, encoder: Encoder, *, steps: int = 20, contrary: bool = True
) -> AdditiveNetwork:
    """Take steps towards labels that contradict (or follow) the declared directions."""
    table = random_table(400, seed=9)
    richer = np.nan_to_num(table["income"]) > np.nan_to_num(table["debt"]) / 10
    labels = (richer == contrary).astype(float)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.3)
    for _ in range(steps):
        optimizer.zero_grad()
        raw = network(tensors(encoder, table))
        heads.loss(raw[:, :1], [BAD], {"bad": torch.from_numpy(labels)}).backward()
        optimizer.step()
    return network


@pytest.mark.parametrize("width", [1, 3])
def test_terms_and_bias_add_up_to_the_score(width):
    encoder = build_encoder(FIELDS)
    network = shaken(AdditiveNetwork(encoder.inputs, width, pairs=PAIRS))
    blocks = tensors(encoder, random_table(200))
    terms = network.terms(blocks)
    assert terms.shape == (200, len(FIELDS) + len(PAIRS), width)
    assert len(network.players) == terms.shape[1]
    torch.testing.assert_close(network.bias + terms.sum(1), network(blocks))


@pytest.mark.parametrize("pairs", [(), PAIRS])
def test_a_term_depends_on_its_players_alone(pairs):
    encoder = build_encoder(FIELDS)
    network = shaken(AdditiveNetwork(encoder.inputs, pairs=pairs))
    table, other = random_table(60), random_table(60, seed=1)
    before = network.terms(tensors(encoder, table))
    for field in FIELDS:
        changed = table.with_columns({field.name: other[field.name]})
        moved = (network.terms(tensors(encoder, changed)) != before).any(0)[:, 0]
        named = [field.name in players for players in network.players]
        assert moved.tolist() == named


@pytest.mark.parametrize("make", [shaken, trained])
@pytest.mark.parametrize("field", [f for f in FIELDS if f.monotone], ids=lambda f: f.name)
def test_declared_directions_hold_on_a_grid(make, field):
    encoder = build_encoder(FIELDS)
    network = AdditiveNetwork(encoder.inputs, 2, pairs=PAIRS)
    network = make(network) if make is shaken else make(network, encoder)
    sign = 1 if field.monotone == "increasing" else -1
    if field.kind == "numeric":
        grid = np.linspace(field.bounds[0] - 5, field.bounds[1] + 5, 201)
    else:
        grid = np.arange(len(field.values) or 2, dtype=np.int32 if field.values else float)
    for row in range(20):
        one = random_table(20, seed=3).take(np.full(len(grid), row))
        with torch.no_grad():
            raw = network(tensors(encoder, one.with_columns({field.name: grid})))
        assert (torch.diff(raw, dim=0) * sign).min() >= -1e-4


def test_training_can_still_move_a_held_shape():
    encoder = build_encoder(FIELDS)
    network = AdditiveNetwork(encoder.inputs)
    income = network.inputs.where["income"][1]
    before = network.flat_weight()[0, income][:-1].sum()
    trained(network, encoder, contrary=False)
    after = network.flat_weight()[0, income][:-1].sum()
    assert before > -0.1
    assert after < -1.0


def test_a_new_network_says_nothing_and_is_the_same_from_every_seed():
    encoder = build_encoder([SIZE, JOB])
    assert (AdditiveNetwork(encoder.inputs)(tensors(encoder, random_table(9))) == 0).all()


def test_a_row_of_the_basis_has_norm_2_at_most():
    encoder = build_encoder(FIELDS, bins=7)
    network = AdditiveNetwork(encoder.inputs)
    flat = tensors(encoder, random_table(500))["table"]
    free = flat[:, network.free_columns] * network.free_scale
    held = flat[:, network.held_columns] * network.held_scale
    norms = torch.cat([free, held], dim=1).norm(dim=1)
    assert norms.max() <= 2 + 1e-6
    assert norms.max() > 1.6


def test_a_surface_can_hold_what_no_sum_of_shapes_can():
    fields = [replace(SIZE, name="a"), replace(SIZE, name="b")]
    encoder = build_encoder(fields)
    random = np.random.default_rng(0)
    table = Table({name: random.uniform(-1, 1, 800) for name in "ab"})
    labels = {"bad": torch.from_numpy((table["a"] * table["b"] > 0).astype(float))}
    found = []
    for pairs in ((), (("a", "b"),)):
        network = AdditiveNetwork(encoder.inputs, pairs=pairs)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.3)
        for _ in range(60):
            optimizer.zero_grad()
            loss = heads.loss(network(tensors(encoder, table)), [BAD], labels)
            loss.backward()
            optimizer.step()
        found.append(loss.item())
    assert found[0] > 0.6
    assert found[1] < 0.3


def test_gradients_of_each_row_are_those_of_autograd():
    from opacus.grad_sample import GradSampleModule
    from opacus.validators import ModuleValidator

    encoder = build_encoder(FIELDS, bins=4)
    network = shaken(AdditiveNetwork(encoder.inputs, 2, pairs=PAIRS))
    targets = [RATING]
    blocks = tensors(encoder, random_table(7))
    labels = {"rating": torch.tensor([0.0, 1, 2, 1, 0, 2, float("nan")])}
    assert ModuleValidator.validate(network, strict=False) == []
    wrapped = GradSampleModule(network)
    heads.loss(wrapped(blocks), targets, labels).backward()
    samples = {name: weight.grad_sample for name, weight in network.named_parameters()}
    for row in range(7):
        network.zero_grad()
        one = {name: block[row : row + 1] for name, block in blocks.items()}
        raw = torch.func.functional_call(network, dict(network.named_parameters()), (one,))
        loss = heads.loss(raw, targets, {"rating": labels["rating"][row : row + 1]})
        names, weights = zip(*network.named_parameters(), strict=True)
        for name, gradient in zip(names, torch.autograd.grad(loss, weights), strict=True):
            torch.testing.assert_close(samples[name][row], gradient)
    assert samples["held.weight"].abs().max() > 0


def test_only_weights_are_stored():
    network = AdditiveNetwork(build_encoder(FIELDS).inputs, pairs=PAIRS[:1])
    names = {"main.weight", "held.weight", "surfaces.0.weights.weight"}
    assert set(network.state_dict()) == names


@pytest.mark.parametrize(
    "pairs",
    [
        [("size", "size")],
        [("size", "job"), ("job", "size")],
        [("size", "age")],
        [("size", "items")],
        [("size", "job", "grade")],
    ],
)
def test_pairs_name_two_single_fields_once(pairs):
    with pytest.raises(CallError, match="pair"):
        AdditiveNetwork(build_encoder(FIELDS).inputs, pairs=pairs)


def test_an_image_is_refused_by_name():
    photo = Field(name="photo", kind="image", size=(4, 4))
    with pytest.raises(CallError, match="'photo'"):
        AdditiveNetwork(build_encoder([SIZE, photo]).inputs)


def test_a_direction_needs_an_order_in_field_and_target():
    job = replace(JOB, monotone="increasing")
    with pytest.raises(CallError, match="no order"):
        AdditiveNetwork(build_encoder([job]).inputs)
    classes = Target(name="kind", column="kind", kind="categorical", values=("a", "b", "c"))
    with pytest.raises(CallError, match="no order"):
        additive(build_encoder([INCOME]).inputs, [classes], {})
    assert additive(build_encoder([SIZE]).inputs, [classes], {}).width == 3


def test_the_factory_takes_its_own_options_only():
    options = {"pairs": [["size", "job"]], "pair_bins": 2, "epochs": 3}
    network = additive(build_encoder([SIZE, JOB]).inputs, [BAD], options)
    assert network.players == (("size",), ("job",), ("size", "job"))
    assert network.surfaces[0].left.shape[1] == 4


def test_the_prior_of_a_wide_table_holds_the_sum_of_its_fields():
    def ridge(count: int) -> float:
        fields = [
            Field(name=f"x{place}", kind="numeric", bounds=(0.0, 1.0)) for place in range(count)
        ]
        return float(AdditiveNetwork(build_encoder(fields, bins=2).inputs).train_options["ridge"])

    assert ridge(8) == 4 * ridge(32)  # each field moves the score by about 1
    assert ridge(32) == ridge(200)  # all together by about as much as 32


def test_a_wide_table_of_few_rows_beats_a_constant():
    random = np.random.default_rng(0)
    fields = [Field(name=f"x{place}", kind="numeric", bounds=(-3.0, 3.0)) for place in range(120)]
    names = [field.name for field in fields]
    rows = random.normal(size=(700, 120))
    label = (rows[:, 0] + random.normal(size=700) > 0).astype(np.float32)
    table = Table({name: rows[:, place] for place, name in enumerate(names)})
    encoder = fit_encoder(fields, table.take(np.arange(400)))
    target = Target(name="y", column="y", kind="binary", positive="1")
    network = AdditiveNetwork(encoder.inputs)
    blocks = encoder.encode(table)
    options = train_options({}, network, private=False)
    train_network(
        network,
        {"table": blocks["table"][:400]},
        [target],
        {"y": label[:400]},
        options=options,
        device="cpu",
    )
    with torch.no_grad():
        raw = network({"table": torch.from_numpy(blocks["table"][400:])})
    found = float(heads.loss(raw, [target], {"y": torch.from_numpy(label[400:])}))
    assert found < 0.625  # a constant has 0.693; by the prior of each field alone, 0.660
