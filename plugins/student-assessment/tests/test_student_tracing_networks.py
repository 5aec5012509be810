"""The networks of tracing: what they read, that rows stay apart, that they train privately."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from verticals.contract import bind
from verticals.encode import build_encoder
from verticals.errors import CallError
from verticals.networks import AdditiveNetwork
from verticals.training import train_network, train_options
from verticals_student_assessment.tracing.demo import demo
from verticals_student_assessment.tracing.encoders import ENCODERS, SkillsEncoder
from verticals_student_assessment.tracing.features import SEQUENCE, tracing_features
from verticals_student_assessment.tracing.looking_back import ITEM, PRESENT, RIGHT
from verticals_student_assessment.tracing.networks import AttentionNetwork, network
from verticals_student_assessment.tracing.simulate import simulate


@pytest.fixture(scope="module")
def made():
    """Return the full contract, the derived table of few students, the encoder and its blocks."""
    contract, _ = demo()
    features = tracing_features(contract)
    log = simulate(students=24, answers=25, seed=3).log
    table = features.batch(bind(contract, log).table)
    full = dataclasses.replace(contract, fields=(*contract.fields, *features.fields))
    encoder = build_encoder(full.inputs, bins=4, encoders=ENCODERS)
    return full, table, encoder, encoder.encode(table)


def tensors(blocks, rows=slice(None)):
    return {name: torch.from_numpy(np.array(block[rows])) for name, block in blocks.items()}


def test_the_option_names_the_network(made):
    full, _, encoder, _ = made
    kinds = {"features": AdditiveNetwork, "attention": AttentionNetwork}
    for name, kind in kinds.items():
        assert isinstance(network(encoder.inputs, full.targets, {"network": name}), kind)
    assert isinstance(network(encoder.inputs, full.targets, {}), AdditiveNetwork)
    with pytest.raises(CallError, match="network is 'memory', expected one of features, attention"):
        network(encoder.inputs, full.targets, {"network": "memory"})
    flat = build_encoder(
        [item for item in full.inputs if item.name != SEQUENCE], bins=4, encoders=ENCODERS
    )
    with pytest.raises(CallError, match="reads one sequence"):
        network(flat.inputs, full.targets, {"network": "attention"})


@pytest.mark.parametrize("name", ["features", "attention"])
def test_a_row_scores_the_same_alone(made, name):
    full, table, encoder, blocks = made
    built = network(encoder.inputs, full.targets, {"network": name}).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        together = built(tensors(blocks))
        alone = torch.cat([built(tensors(blocks, slice(r, r + 1))) for r in range(0, 60, 7)])
    assert together.shape == (table.rows, 1)
    torch.testing.assert_close(together[:60:7], alone, rtol=1e-5, atol=1e-5)


def test_attention_reads_what_is_there_and_nothing_else(made):
    full, _, encoder, blocks = made
    built = network(encoder.inputs, full.targets, {"network": "attention"}).eval()
    recent = blocks[SEQUENCE]
    padded = {**blocks, SEQUENCE: recent.copy()}
    absent = recent[..., PRESENT] == 0
    assert absent.any()
    padded[SEQUENCE][absent, RIGHT] = 1.0
    padded[SEQUENCE][absent, ITEM] = 3.0
    turned = {**blocks, SEQUENCE: recent.copy()}
    some = recent[..., PRESENT] == 1
    turned[SEQUENCE][some, RIGHT] = 1.0 - recent[some, RIGHT]
    with torch.no_grad():
        base, same, other = (built(tensors(b)) for b in (blocks, padded, turned))
    torch.testing.assert_close(base, same)
    has = some.any(axis=1)
    assert bool((base != other)[has].all())
    assert bool((base == other)[~has].all())


def test_codes_that_nobody_declared_are_scored(made):
    full, _, encoder, blocks = made
    built = network(encoder.inputs, full.targets, {"network": "attention"}).eval()
    strange = {**blocks, SEQUENCE: np.full_like(blocks[SEQUENCE], 1e6)}
    with torch.no_grad():
        assert bool(torch.isfinite(built(tensors(strange))).all())


@pytest.mark.parametrize("name", ["features", "attention"])
def test_it_trains_privately_with_the_student_as_unit(made, name):
    full, table, encoder, blocks = made
    built = network(encoder.inputs, full.targets, {"network": name})
    options = dataclasses.replace(train_options({}, built, private=True), steps=3)
    before = [parameter.detach().clone() for parameter in built.parameters()]
    units = np.unique(table["@group"].astype(str), return_inverse=True)[1]
    trained = train_network(
        built,
        blocks,
        full.targets,
        {"right": table["right"].astype(np.float32)},
        options=options,
        device="cpu",
        epsilon=3.0,
        delta=1e-3,
        units=units,
    )
    assert trained.privacy.unit == "group"
    assert 0 < trained.privacy.epsilon <= 3
    after = list(trained.network.parameters())
    assert any(not torch.equal(one, two) for one, two in zip(before, after, strict=True))


def test_skills_become_columns(made):
    field = made[0].field("skills")
    column = np.array(["area;ratios", " area ", None, "alchemy", "area;area"], dtype=object)
    found = SkillsEncoder().encode(field, column)
    area, ratios = (field.settings["skills"].index(name) for name in ("area", "ratios"))
    other, none = found.shape[1] - 2, found.shape[1] - 1
    assert [np.flatnonzero(row).tolist() for row in found] == [
        sorted((area, ratios)),
        [area],
        [none],
        [other],
        [area],
    ]
    assert SkillsEncoder().encode(field, column[:0]).shape == (0, found.shape[1])
