"""The three networks: what they read, how they train, and that they train privately."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from verticals.contract import Field, Target
from verticals.encode import build_encoder
from verticals.errors import CallError
from verticals.networks import AdditiveNetwork, TableNetwork
from verticals.training import train_network, train_options
from verticals_fraud_detection.networks import NETWORKS, SequenceNetwork, network

STEPS, LARGEST = 4, 10.0
FRAUD = Target(name="fraud", column="fraud", kind="binary", positive="1")
AMOUNT = Field(name="amount", column="amount", kind="numeric", bounds=(1, 1000), scale="log")
RECENT = Field(name="recent", kind="sequence", size=(STEPS, 4), bounds=(0.0, LARGEST))


def made(rows: int = 600, seed: int = 0):
    """Return fields whose label follows from the recent events alone: two quick ones before."""
    rng = np.random.default_rng(seed)
    recent = rng.uniform(1, 9, (rows, STEPS, 4)).astype(np.float32)
    recent[..., 2] = 1.0
    absent = rng.integers(0, STEPS, rows)[:, None] > np.arange(STEPS)  # the oldest ones
    recent[absent] = 0.0
    fraud = (recent[:, -1, 1] < 4).astype(np.float64)
    return {"amount": np.exp(rng.uniform(0, 6, rows)), "recent": recent}, fraud


def encoded(rows: int = 600, seed: int = 0, fields=(AMOUNT, RECENT)):
    """Return the encoder's inputs, blocks and labels."""
    columns, fraud = made(rows, seed)
    encoder = build_encoder(fields, bins=6)
    return encoder.inputs, encoder.encode(columns_of(columns, fields)), {"fraud": fraud}


def columns_of(columns, fields):
    from verticals.table import Table

    return Table({item.name: columns[item.name] for item in fields})


def tensors(blocks):
    return {name: torch.from_numpy(block) for name, block in blocks.items()}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("table", TableNetwork), ("additive", AdditiveNetwork), ("sequence", SequenceNetwork)],
)
def test_each_network_scores_rows_one_by_one(name, kind):
    inputs, blocks, _ = encoded(20)
    built = network(inputs, [FRAUD], {"network": name}).eval()
    assert isinstance(built, kind)
    assert isinstance(network(inputs, [FRAUD], {}), AdditiveNetwork)  # the default
    with torch.no_grad():
        together = built(tensors(blocks))
        alone = built({key: value[3:4] for key, value in tensors(blocks).items()})
    assert together.shape == (20, 1)
    assert torch.allclose(together[3:4], alone, atol=1e-5)


def test_an_unknown_network_is_named():
    inputs, _, _ = encoded(5)
    with pytest.raises(CallError, match="'forest'"):
        network(inputs, [FRAUD], {"network": "forest"})


def test_a_sequence_network_needs_a_sequence():
    inputs, _, _ = encoded(5, fields=(AMOUNT,))
    with pytest.raises(CallError, match="one sequence field") as caught:
        network(inputs, [FRAUD], {"network": "sequence"})
    assert "recent: 8" in caught.value.hint


@pytest.mark.parametrize("name", ["table", "additive"])
def test_flat_networks_leave_the_sequence_aside(name):
    inputs, blocks, _ = encoded(10)
    built = network(inputs, [FRAUD], {"network": name}).eval()
    changed = {**blocks, "recent": blocks["recent"] * 0}
    with torch.no_grad():
        assert torch.equal(built(tensors(blocks)), built(tensors(changed)))


def test_an_absent_event_says_nothing():
    inputs, blocks, _ = encoded(40)
    built = network(inputs, [FRAUD], {"network": "sequence"}).eval()
    recent = blocks["recent"].copy()
    absent = recent[..., 2] == 0
    assert absent.any()
    recent[absent, 0] = 0.7  # an amount of an event that is not there
    with torch.no_grad():
        before, after = built(tensors(blocks)), built(tensors({**blocks, "recent": recent}))
        nothing = built(tensors({**blocks, "recent": recent * 0}))
    assert torch.allclose(before, after, atol=1e-5)
    assert torch.isfinite(nothing).all()


def test_the_sequence_network_learns_from_recent_events():
    inputs, blocks, columns = encoded(1500)
    built = network(inputs, [FRAUD], {"network": "sequence"})
    options = train_options(
        {"epochs": 6, "least_steps": 150, "batch_size": 128}, built, private=False
    )
    train_network(built, blocks, [FRAUD], columns, options=options, device="cpu")
    _, test, truth = encoded(500, seed=1)
    with torch.no_grad():
        right = (built(tensors(test))[:, 0] > 0).numpy() == (truth["fraud"] == 1)
    assert right.mean() > 0.9


@pytest.mark.parametrize("name", NETWORKS)
def test_each_network_trains_privately(name):
    inputs, blocks, columns = encoded(60)
    built = network(inputs, [FRAUD], {"network": name})
    options = train_options({"private": {"steps": 3, "batch_size": 30}}, built, private=True)
    trained = train_network(
        built,
        blocks,
        [FRAUD],
        columns,
        options=options,
        device="cpu",
        epsilon=3.0,
        delta=1e-3,
        units=np.arange(60) // 2,
    )
    assert trained.privacy is not None
    assert trained.privacy.to_json()["epsilon"] <= 3.0
