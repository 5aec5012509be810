"""A network for tables that may combine every field with every other.

A multilayer perceptron on the piecewise-linear encoding (Gorishniy et al. 2022, arXiv:2203.05556),
optionally as an ensemble whose members share nearly all weights (BatchEnsemble, Wen et al. 2020;
"TabM-mini", Gorishniy et al. 2024, arXiv:2410.24210). No batch statistics, no tied weights, so
it can be trained with differential privacy.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from verticals.errors import CallError
from verticals.networks.cells import flat_width, flatten, mute_flags
from verticals.plugin import Inputs


class MemberScale(nn.Module):
    """Give every member its own view of the columns: (rows, columns) to (rows, members, columns).

    Starts at random signs, which is what makes the members differ.
    """

    def __init__(self, members: int, columns: int) -> None:
        super().__init__()
        signs = torch.randint(0, 2, (members, columns)) * 2.0 - 1.0
        self.weight = nn.Parameter(signs)

    def forward(self, columns: Tensor) -> Tensor:
        """Return (rows, members, columns)."""
        return columns.unsqueeze(-2) * self.weight


class MemberHeads(nn.Module):
    """Give every member its own linear head: (rows, members, hidden) to (rows, members, width)."""

    def __init__(self, members: int, hidden: int, width: int) -> None:
        super().__init__()
        bound = hidden**-0.5
        self.weight = nn.Parameter(torch.empty(members, hidden, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(members, width))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (rows, members, width)."""
        return torch.einsum("...kh,khw->...kw", hidden, self.weight) + self.bias


class Residual(nn.Module):
    """Add to its input what a normalised two-layer block makes of it (a "ResNet" for tables)."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        added: Tensor = self.block(hidden)
        return hidden + added


class TableNetwork(nn.Module):
    """Map all fields through shared layers to the raw scores.

    With `members` above 1, training returns the raw scores of each member, (rows, members,
    width), so that each is held to the targets by itself; evaluation returns their mean
    (rows, width). `train_options` are defaults for `verticals.training`.
    """

    def __init__(
        self,
        inputs: Inputs,
        width: int = 1,
        *,
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.1,
        members: int = 1,
        residual: bool = False,
    ) -> None:
        """Build the network; raise `CallError` where a size means nothing or a block is not flat.

        `layers` counts hidden layers, or residual blocks after a first layer with `residual`.
        """
        super().__init__()
        if min(hidden, layers, members) < 1 or not 0 <= dropout < 1:
            raise CallError(
                f"hidden {hidden}, layers {layers}, members {members}, dropout {dropout}: "
                "expected sizes of 1 or more and a dropout from 0 to below 1"
            )
        self.inputs = inputs
        self.width = width
        self.train_options: Mapping[str, Any] = {
            "learning_rate": 2e-3,
            "weight_decay": 1e-2,
            "epochs": 12,
            "least_steps": 120,
            "private": {"steps": 200, "batch_size": 1024, "weight_decay": 0.0},
        }
        self.members = members
        columns = flat_width(inputs)
        self.spread = MemberScale(members, columns) if members > 1 else None
        self.layers = _layers(columns, hidden, layers, dropout, residual)
        mute_flags(self._first, inputs)
        self.head = MemberHeads(members, hidden, width) if members > 1 else nn.Linear(hidden, width)

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        """Return raw scores: (rows, width); in training with several members, of each of them."""
        flat = flatten(self.inputs, blocks)
        raw: Tensor = self.head(self.layers(flat if self.spread is None else self.spread(flat)))
        return raw if self.members == 1 or self.training else raw.mean(dim=1)

    def contributions(self, blocks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what each field adds to the first layer: field -> (rows, members, hidden)."""
        flat = flatten(self.inputs, blocks)
        seen = flat.unsqueeze(1) if self.spread is None else self.spread(flat)
        weight = self._first.weight  # (hidden, columns)
        ends = accumulate((shape[0] for shape in self.inputs.shapes.values()), initial=0)
        starts = dict(zip(self.inputs.shapes, ends, strict=False))
        found = {}
        for name, (block, columns) in self.inputs.where.items():
            first, wide = starts[block] + columns.start, columns.stop - columns.start
            own = weight.narrow(1, first, wide)
            found[name] = nn.functional.linear(seen.narrow(-1, first, wide), own)
        return found

    def beyond(self, first: Tensor) -> Tensor:
        """Return the raw scores (rows, width) of sums of contributions (rows, members, hidden)."""
        hidden = first + self._first.bias
        for layer in self.layers[1:]:
            hidden = layer(hidden)
        raw: Tensor = self.head(hidden if self.members > 1 else hidden.squeeze(1))
        return raw.mean(dim=1) if self.members > 1 else raw

    @property
    def _first(self) -> nn.Linear:
        layer = self.layers[0]
        assert isinstance(layer, nn.Linear)  # as `_layers` builds them
        return layer


def _layers(
    columns: int, hidden: int, layers: int, dropout: float, residual: bool
) -> nn.Sequential:
    if residual:
        blocks = [Residual(hidden, dropout) for _ in range(layers)]
        return nn.Sequential(nn.Linear(columns, hidden), *blocks, nn.LayerNorm(hidden), nn.ReLU())
    parts: list[nn.Module] = []
    for layer in range(layers):
        size = columns if layer == 0 else hidden
        parts += [nn.Linear(size, hidden), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*parts)
