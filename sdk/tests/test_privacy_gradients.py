"""Gradients per row are right, and networks in which rows meet are refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import hypothesis.strategies as st
import numpy as np
import opacus.layers
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from verticals import networks
from verticals.contract.model import Field, Target
from verticals.encode import build_encoder
from verticals.errors import CallError, PrivacyError
from verticals.privacy.gradients import (
    FunctionalGradients,
    Gradients,
    HookGradients,
    refuse_layers,
    sum_by_unit,
    trainable,
    unit_gradients,
)
from verticals.seeding import seeded

torch.set_num_threads(1)
WIDTH = 6


def squared(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
    return (raw[:, 0] - columns["y"]) ** 2


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(WIDTH, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 1))

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return self.body(blocks["x"])


class Own(Plain):
    """Has what hooks cannot see: weights of its own, a buffer beside them, a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.ones(1))
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("signs", torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0]))
        self.twice = nn.Linear(WIDTH, WIDTH)
        self.again = nn.Linear(WIDTH, WIDTH)
        self.again.weight = self.twice.weight

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        mixed = self.again(torch.relu(self.twice(blocks["x"] * self.signs)))
        return self.body(mixed) * self.scale + self.bias


class Frozen(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.body[0].requires_grad_(False)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = opacus.layers.DPLSTM(2, 4, batch_first=True)
        self.head = nn.Linear(4, 1)

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return self.head(self.steps(blocks["x"].reshape(-1, 3, 2))[0][:, -1])


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 1)
        )

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return self.body(blocks["x"][:, None])


class Branching(Plain):
    """Looks at values to decide what to run, which torch.func cannot follow."""

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        if bool((blocks["x"] > 1e6).any()):
            return self.body(blocks["x"] / 1e6)
        return self.body(blocks["x"])


class Unused(Branching):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(WIDTH, 3)


NETWORKS = [Plain, Own, Frozen, Recurrent, Convolution, Branching, Unused]


def made(network: nn.Module, loss: Callable[..., Tensor] = squared) -> Gradients:
    return unit_gradients(network.train(), loss, shapes={"x": (WIDTH,)}, columns=("y",))


def batch(rows: int, seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return (
        {"x": torch.randn(rows, WIDTH, generator=generator)},
        {"y": torch.randn(rows, generator=generator)},
    )


def by_row(
    gradients: Gradients, blocks: dict[str, Tensor], columns: dict[str, Tensor], weights: Tensor
) -> list[Tensor]:
    """Take the gradients of rows in slots of their own."""
    apart = [{name: t[:, None] for name, t in tensors.items()} for tensors in (blocks, columns)]
    return gradients(*apart, weights[:, None])


def one_by_one(network: nn.Module, rows: int) -> list[Tensor]:
    """Take each row's gradient by ordinary means: a batch of one row."""
    blocks, columns = batch(rows)
    weights = trainable(network)
    found = []
    for row in range(rows):
        alone = slice(row, row + 1)
        loss = squared(network({"x": blocks["x"][alone]}), {"y": columns["y"][alone]}).sum()
        parts = torch.autograd.grad(loss, weights, allow_unused=True)
        found.append(
            [torch.zeros_like(w) if p is None else p for p, w in zip(parts, weights, strict=True)]
        )
    return [torch.stack(parts) for parts in zip(*found, strict=True)]


@pytest.mark.parametrize("make", NETWORKS)
def test_gradients_equal_those_of_single_rows(make: type[nn.Module]) -> None:
    torch.manual_seed(1)
    network = make()
    gradients = made(network)
    blocks, columns = batch(7)
    found = by_row(gradients, blocks, columns, torch.ones(7))
    gradients.close()
    for one, other in zip(found, one_by_one(network, 7), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", NETWORKS)
def test_a_slot_has_the_gradient_of_its_rows_together(make: type[nn.Module]) -> None:
    torch.manual_seed(1)
    network = make()
    gradients = made(network)
    blocks, columns = batch(6)
    weights = torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 2.0]])
    slots = [
        {n: t.unflatten(0, (2, 3)) for n, t in tensors.items()} for tensors in (blocks, columns)
    ]
    found = gradients(*slots, weights)
    gradients.close()
    for one, other in zip(found, one_by_one(network, 6), strict=True):
        scaled = other * weights.flatten().view(6, *[1] * (other.ndim - 1))
        torch.testing.assert_close(one, scaled.unflatten(0, (2, 3)).sum(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"pairs": [("a", "b")]}, {"hidden": 8, "members": 2}])
def test_the_sdks_own_networks_keep_rows_apart(options: dict[str, Any]) -> None:
    fields = (
        Field(name="a", kind="numeric", column="a", bounds=(0.0, 1.0), monotone="increasing"),
        Field(name="b", kind="numeric", column="b", bounds=(0.0, 1.0)),
        Field(name="c", kind="categorical", column="c", categories=("u", "v")),
    )
    targets = (Target(name="y", column="y", kind="binary", positive="1"),)
    inputs = build_encoder(fields).inputs
    build = networks.table if "hidden" in options else networks.additive
    with seeded(0):
        network = build(inputs, targets, {**options, "dropout": 0.0}).train()

    def loss(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        return networks.heads.row_losses(raw, targets, columns)

    gradients = unit_gradients(network, loss, shapes=inputs.shapes, columns=("y",))
    assert isinstance(gradients, FunctionalGradients)
    blocks = {"table": torch.rand(5, *inputs.shapes["table"])}
    columns = {"y": torch.tensor([0.0, 1.0, 1.0, float("nan"), 0.0])}
    found = by_row(gradients, blocks, columns, torch.ones(5))
    for row in range(5):
        alone = slice(row, row + 1)
        total = loss(network({"table": blocks["table"][alone]}), {"y": columns["y"][alone]}).sum()
        parts = torch.autograd.grad(total, trainable(network))
        for whole, part in zip(found, parts, strict=True):
            torch.testing.assert_close(whole[row], part, rtol=1e-4, atol=1e-6)


def test_weights_of_rows_scale_their_gradients() -> None:
    network = Plain()
    gradients = made(network)
    whole = by_row(gradients, *batch(4), torch.ones(4))
    half = by_row(gradients, *batch(4), torch.full((4,), 0.5))
    for one, other in zip(whole, half, strict=True):
        torch.testing.assert_close(0.5 * one, other)


def test_torch_func_comes_first_and_hooks_where_it_cannot_follow() -> None:
    assert isinstance(made(Own()), FunctionalGradients)
    gradients = made(Branching())
    assert isinstance(gradients, HookGradients)
    gradients.close()


@pytest.mark.parametrize("make", [Own, Branching])
def test_the_trial_leaves_network_and_random_state_as_they_were(make: type[nn.Module]) -> None:
    network = make()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    made(network).close()
    assert torch.equal(state, torch.get_rng_state())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any(hasattr(p, "grad_sample") for p in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


class Normed(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, 5)
        self.inner = nn.ModuleDict({"norm": layer})

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return self.inner["norm"](self.first(blocks["x"]))[:, :1]


class RenamedNorm(nn.BatchNorm1d):
    """A subclass, which a look-up by exact type would miss."""


@pytest.mark.parametrize(
    ("layer", "instead"),
    [
        (nn.BatchNorm1d(5), "GroupNorm"),
        (nn.BatchNorm1d(5, affine=False), "LayerNorm"),
        (nn.BatchNorm1d(5, affine=False, track_running_stats=False), "GroupNorm"),
        (RenamedNorm(5), "GroupNorm"),
        (nn.SyncBatchNorm(5), "GroupNorm"),
        (nn.InstanceNorm1d(5, affine=True, track_running_stats=True), "track_running_stats=False"),
        (nn.LSTM(5, 5), "opacus.layers.DPLSTM"),
        (nn.GRU(5, 5), "opacus.layers.DPGRU"),
        (nn.RNN(5, 5), "opacus.layers.DPRNN"),
        (nn.MultiheadAttention(5, 1), "opacus.layers.DPMultiheadAttention"),
    ],
)
def test_a_refused_layer_is_named_with_its_replacement(layer: nn.Module, instead: str) -> None:
    with pytest.raises(PrivacyError, match=r"inner\.norm") as caught:
        made(Normed(layer))
    assert type(layer).__name__ in caught.value.message
    assert instead in caught.value.hint


def test_all_refused_layers_are_named_at_once() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm1d(3)))
    with pytest.raises(PrivacyError, match=r"1 \(BatchNorm1d\), 2\.0 \(BatchNorm1d\)"):
        refuse_layers(network)


def test_frozen_normalisation_in_evaluation_mode_is_no_leak() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3).requires_grad_(False).eval())
    refuse_layers(network)


class CentredByBatch(Branching):
    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        raw = super().forward(blocks)
        return raw - raw.mean(0)


class CentredInTheSlot(Plain):
    """Keeps slots apart, but scores a row by what else is in its batch."""

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return super().forward({"x": blocks["x"] - blocks["x"].mean(0)})


class HiddenBehindZero(Branching):
    """Starts with two layers of zeros, so that at first no gradient depends on anything."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(WIDTH, 3, bias=False), nn.Linear(3, 1, bias=False))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return super().forward({"x": blocks["x"] - blocks["x"].mean(0)})


class RowsBesideFields(Branching):
    """Feeds fields as if they were rows: hooks then see rows times fields."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(1, 1)

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        x = blocks["x"]
        if bool((x > 1e6).any()):
            x = x / 1e6
        return self.body(x.reshape(-1, 1)).reshape(len(x), WIDTH).sum(1, keepdim=True)


class BatchSecond(Branching):
    """Keeps rows on the second axis of what the layer sees."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(2, 1)

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        x = blocks["x"] if bool((blocks["x"] < 1e6).all()) else blocks["x"] / 1e6
        return self.body(x.reshape(-1, 3, 2).transpose(0, 1)).sum(0)


class Remembering(Branching):
    """Keeps a running mean of what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(WIDTH))

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        self.seen.mul_(0.9).add_(0.1 * blocks["x"].detach().mean(0))
        return super().forward(blocks)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (CentredByBatch, "mixes rows"),
        (CentredInTheSlot, "mixes rows"),
        (HiddenBehindZero, "mixes rows"),
        (RowsBesideFields, "one entry per row"),
        (BatchSecond, "mixes rows"),
        (Remembering, "'seen' changes"),
    ],
)
def test_networks_in_which_rows_meet_are_refused(make: type[nn.Module], words: str) -> None:
    with pytest.raises(PrivacyError, match=words):
        made(make())


class Updating(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(WIDTH))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        self.calls.add_(1.0)
        self.seen = 0.9 * self.seen + 0.1 * blocks["x"].detach().mean(0)
        return super().forward(blocks)


def test_what_a_network_writes_into_its_buffers_is_dropped() -> None:
    network = Updating()
    gradients = made(network)
    assert isinstance(gradients, FunctionalGradients)
    by_row(gradients, *batch(4), torch.ones(4))
    assert torch.equal(network.seen, torch.zeros(WIDTH))
    assert network.calls.item() == 0.0


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda raw, columns: squared(raw, columns).mean(), "one number a row"),
        (lambda raw, columns: squared(raw, columns) / columns["y"].mean(), "mixes rows"),
        (lambda raw, columns: squared(raw - raw.mean(0), columns), "mixes rows"),
    ],
)
def test_losses_in_which_rows_meet_are_refused(loss: Callable[..., Tensor], words: str) -> None:
    with pytest.raises(PrivacyError, match=words):
        made(Plain(), loss)


def test_an_error_that_explains_itself_is_passed_on() -> None:
    def loss(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        raise CallError("the network gives 2 raw scores a row")

    with pytest.raises(CallError, match="2 raw scores"):
        made(Plain(), loss)


def test_dropout_differs_by_row_and_is_the_same_in_both_passes() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Linear(WIDTH, 1, bias=False))

    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network

        def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
            return self.body(blocks["x"])

    gradients = made(Dropping())
    blocks = {"x": torch.ones(200, WIDTH)}
    (found,) = by_row(gradients, blocks, {"y": torch.zeros(200)}, torch.ones(200))
    assert len(torch.unique(found[:, 0] == 0, dim=0)) > 1
    dropped = (found[:, 0] == 0).float().mean()
    assert 0.4 < dropped < 0.6


def test_rows_of_a_person_are_summed() -> None:
    gradient = torch.arange(8.0).reshape(4, 2)
    (found,) = sum_by_unit([gradient], torch.tensor([0, 1, 1, 2]), 3)
    assert found.tolist() == [[0.0, 1.0], [6.0, 8.0], [6.0, 7.0]]


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), max_size=3),
    owners=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    data=st.data(),
)
def test_sums_are_the_same_however_gradients_lie_in_memory(
    shape: list[int], owners: list[int], data: st.DataObject
) -> None:
    units = 5 if len(owners) != 5 else 6
    gradient = torch.randn(len(owners), *shape, generator=torch.Generator().manual_seed(0))
    axes = data.draw(st.permutations(range(len(shape) + 1)))
    lying = gradient.permute(axes).contiguous().permute(np.argsort(axes).tolist())
    (found,) = sum_by_unit([lying], torch.tensor(owners), units)
    expected = gradient.new_zeros(units, *shape).index_add_(0, torch.tensor(owners), gradient)
    torch.testing.assert_close(found, expected)
