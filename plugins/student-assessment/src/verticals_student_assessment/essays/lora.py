"""Low-rank adaptation of a frozen encoder's attention: Hu et al. 2021, arXiv:2106.09685.

Each adapted projection W gives W x + (scale / rank) B A x, with B zero at the start, so that the
adapted encoder begins as the frozen one. Only A and B learn, and only they are in a bundle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from verticals.errors import CallError

#: How encoders call the projections that are adapted: query and value.
_ADAPTED = ("query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "query_proj", "value_proj")


class Adapter(nn.Module):
    """Hold A (rank, inputs) and B (outputs, rank) of one projection."""

    def __init__(self, inputs: int, outputs: int, *, rank: int, scale: float, drop: float) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, inputs))
        self.up = nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.scale = scale / rank
        self.drop = drop

    def forward(self, values: Tensor) -> Tensor:
        """Return what is added to the projection of values (…, inputs): (…, outputs)."""
        # Few numbers of a token are drawn for, not all of its inputs: a third less time a step.
        low = functional.dropout(functional.linear(values, self.down), self.drop, self.training)
        added: Tensor = functional.linear(low, self.up) * self.scale
        return added


def adapt(body: nn.Module, *, rank: int, scale: float, drop: float) -> nn.ModuleList:
    """Return adapters of the attention's query and value projections, hooked into the body.

    Raises `CallError` where the body has no such projection.
    """
    found = _projections(body)
    if not found:
        raise CallError(
            f"the encoder {type(body).__name__} has no query and value projections by known names",
            hint="--option tuning=frozen",
        )
    adapters = nn.ModuleList(
        Adapter(layer.in_features, layer.out_features, rank=rank, scale=scale, drop=drop)
        for layer in found
    )
    for layer, adapter in zip(found, adapters, strict=True):
        layer.register_forward_hook(_added(adapter))
    return adapters


def _projections(body: nn.Module) -> Sequence[nn.Linear]:
    return [
        module
        for name, module in body.named_modules()
        if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in _ADAPTED
    ]


def _added(adapter: nn.Module) -> Any:
    def hook(_: nn.Module, values: tuple[Tensor, ...], output: Tensor) -> Tensor:
        adapted: Tensor = output + adapter(values[0])
        return adapted

    return hook
