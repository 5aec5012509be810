"""Low-rank adaptation of the upper half of an encoder: Hu et al. 2021, arXiv:2106.09685.

Each adapted projection W gives W x + (scale / rank) B A x, with B zero at the start, so that the
adapted encoder begins as the frozen one. Only A and B learn, and only they are in a bundle. The
lower half stays as it is: what it makes of words serves any task, and no gradient needs to pass it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from verticals.errors import CallError


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


class Adapters(nn.ModuleList):
    """Hold the adapters of a body's upper layers, hooked into it; none of them if it is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self._off = False

    @contextmanager
    def off(self) -> Iterator[None]:
        """Let the body be as it was before adaptation."""
        self._off = True
        try:
            yield
        finally:
            self._off = False

    def adapt(self, body: nn.Module, *, rank: int, scale: float, drop: float) -> None:
        """Adapt every projection of the upper half of the body's layers.

        Raises `CallError` where the body has no list of as many layers as its configuration says.
        """
        layers = _layers(body)
        upper = [
            module
            for layer in layers[len(layers) // 2 :]
            for module in layer.modules()
            if isinstance(module, nn.Linear)
        ]
        if not upper:
            raise CallError(
                f"the encoder {type(body).__name__} has no list of layers with projections in them",
                hint="--option tuning=frozen",
            )
        for module in upper:
            adapter = Adapter(
                module.in_features, module.out_features, rank=rank, scale=scale, drop=drop
            )
            self.append(adapter)
            module.register_forward_hook(self._hook(adapter))

    def _hook(self, adapter: Adapter) -> Any:
        def hook(_: nn.Module, values: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if self._off:
                return output
            adapted: Tensor = output + adapter(values[0])
            return adapted

        return hook


def _layers(body: nn.Module) -> list[nn.Module]:
    count = int(getattr(body.config, "num_hidden_layers", 0))
    lists = (module for module in body.modules() if isinstance(module, nn.ModuleList))
    return next((list(found) for found in lists if len(found) == count), [])
