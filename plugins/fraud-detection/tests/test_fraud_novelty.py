"""The novelty score: strange events score high, without a label, privately too."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from verticals.contract import GROUP, DataContract, Decision, Field, Target
from verticals.encode import TABLE, build_encoder
from verticals.errors import BundleError, ContractError
from verticals.plugin import Setup, State
from verticals.table import Table
from verticals_fraud_detection.novelty import SOLUTION, Reconstruction

FIELDS = (
    Field(name="amount", column="amount", kind="numeric", bounds=(1, 1000), scale="log"),
    Field(name="hour", column="hour", kind="numeric", bounds=(0, 24)),
    Field(name="channel", column="channel", kind="categorical", categories=("chip", "online")),
)
CONTRACT = DataContract(solution="fraud-novelty", name="made", fields=FIELDS, group="who")
OPTIONS = {"epochs": 6, "least_steps": 150, "batch_size": 128}


def made(rows: int = 1500, seed: int = 0) -> Table:
    """Return events that are small and by chip in the morning, large and online in the evening."""
    rng = np.random.default_rng(seed)
    evening = rng.integers(0, 2, rows)
    return Table(
        {
            "amount": np.exp(rng.normal(2 + 3 * evening, 0.2)),
            "hour": rng.normal(9 + 10 * evening, 0.7),
            "channel": evening.astype(np.int32),
            GROUP: np.array([f"c{number // 3}" for number in range(rows)], dtype=object),
        }
    )


def strange(rows: int = 200) -> Table:
    """Return events of which every field is usual, but not in this combination."""
    usual = made(rows, seed=5)
    return usual.with_columns({"channel": 1 - usual["channel"]})


@pytest.fixture(scope="module")
def model():
    setup = Setup(contract=CONTRACT, options=OPTIONS, device="cpu")
    return SOLUTION.fit({"train": made()}, setup)


def test_what_is_unlike_the_training_part_scores_higher(model):
    usual, odd = model.predict(made(seed=1))["novelty"], model.predict(strange())["novelty"]
    assert (usual >= 0).all()
    assert np.median(odd) > 3 * np.median(usual)


def test_shares_of_the_fields_add_up_and_name_the_strange_one(model):
    found = model.attributions(strange())
    assert found.fields == ("amount", "hour", "channel")
    assert np.allclose(found.values.sum(axis=2), found.raw)
    assert found.values[:, 0].mean(axis=0).argmax() == 2


def test_a_model_comes_back_from_its_state(model):
    setup = Setup(contract=CONTRACT, device="cpu")
    again = SOLUTION.load(model.state(), setup)
    table = made(50, seed=2)
    assert (again.predict(table)["novelty"] == model.predict(table)["novelty"]).all()
    state = model.state()
    broken = State(
        tensors={**state.tensors, "rebuild.0.weight": np.zeros((2, 2), dtype=np.float32)},
        settings=state.settings,
    )
    with pytest.raises(BundleError, match="do not fit"):
        SOLUTION.load(broken, setup)


def test_no_rows_give_no_scores(model):
    assert model.predict(made().take([]))["novelty"].shape == (0,)


def test_the_seed_decides_the_weights():
    setup = Setup(contract=CONTRACT, options={**OPTIONS, "least_steps": 20}, device="cpu", seed=4)
    first, again = (SOLUTION.fit({"train": made(300)}, setup).state() for _ in range(2))
    assert all((first.tensors[name] == again.tensors[name]).all() for name in first.tensors)


def test_it_trains_privately_with_persons_as_units():
    options = {"private": {"steps": 3, "batch_size": 50}}
    setup = Setup(contract=CONTRACT, options=options, device="cpu", epsilon=3.0, delta=1e-3)
    state = SOLUTION.fit({"train": made(300)}, setup).state()
    assert state.settings["privacy"]["epsilon"] <= 3.0
    assert state.settings["privacy"]["unit"] == "group"


def test_a_decision_is_refused():
    target = Target(name="fraud", column="fraud", kind="binary", positive="1")
    contract = dataclasses.replace(
        CONTRACT, targets=(target,), decision=Decision(target="fraud", rate=0.01)
    )
    with pytest.raises(ContractError, match="decides nothing"):
        SOLUTION.fit({"train": made(30)}, Setup(contract=contract, device="cpu"))


def test_the_demo_has_no_label_and_nothing_made_of_labels():
    contract, raw = SOLUTION.demo()
    assert not contract.targets
    assert "fraud" not in raw
    features = SOLUTION.features_for(contract)
    assert not any("risk" in item.name for item in features.fields)


class Kept(nn.Module):
    """Keep what a network would rebuild."""

    def __init__(self, read: list[torch.Tensor]) -> None:
        super().__init__()
        self.read = read

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        self.read.append(flat)
        return flat


def test_a_value_that_is_not_known_is_its_flag_alone():
    """The neutral point beside the flag is no value, so no event is strange for lacking one."""
    fields = (
        *FIELDS,
        Field(name="level", column="level", kind="ordinal", levels=("low", "mid", "high")),
        Field(name="abroad", column="abroad", kind="boolean"),
        Field(name="parts", columns=("a", "b"), kind="numeric", bounds=(0, 1)),
    )
    contract = dataclasses.replace(CONTRACT, fields=fields)
    table = Table(
        {
            "amount": np.array([np.nan, 10.0, 10.0]),
            "hour": np.array([np.nan, 1.0, 1.0]),
            "channel": np.array([-1, 2, 0], dtype=np.int32),
            "level": np.array([-1, 3, 0], dtype=np.int32),
            "abroad": np.array([np.nan, 0.0, 0.0]),
            "parts": np.array([[np.nan, np.nan], [0.0, np.nan], [0.0, 0.0]]),
        }
    )
    encoder = build_encoder(contract.inputs, bins=4)
    network = Reconstruction(encoder.inputs)
    read: list[torch.Tensor] = []
    network.rebuild = nn.Sequential(Kept(read))
    errors = network({k: torch.from_numpy(v) for k, v in encoder.encode(table).items()})
    assert errors.shape == (3, 6)
    assert read[0][0].sum() == 5 + 2  # a flag a value, and the two of the block
    assert set(read[0][0].tolist()) == {0.0, 1.0}
    alone = {name: read[0][:, where] for name, (_, where) in encoder.inputs.where.items()}
    assert alone["channel"].tolist() == [[0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0]]
    assert alone["level"].tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert alone["abroad"].tolist() == [[0, 1], [0, 0], [0, 0]]
    assert alone["parts"][:, [4, 9]].tolist() == [[1, 1], [0, 1], [0, 0]]
    known = torch.from_numpy(encoder.encode(table.take([2]))[TABLE])
    assert torch.equal(read[0][2:], known)  # what is known stays as it is
