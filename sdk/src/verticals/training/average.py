"""Averages of the weights over the steps of a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from verticals.training.options import TrainOptions


class WeightAverage:
    """Average all floating weights and buffers, exponentially or over the last steps.

    Under privacy this is free: it is computed from weights that are private already.
    """

    def __init__(self, network: nn.Module, options: TrainOptions, *, steps: int) -> None:
        self._network = network
        self._options = options
        self._first = 0
        if options.average:
            self._first = min(int((1.0 - options.average) * steps), steps - 1)
        self.tensors: dict[str, Tensor] = {}  # empty until the first step that counts
        self.count = 0

    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        if not (self._options.average or self._options.ema) or step < self._first:
            return
        self.count += 1
        share = 1.0 / self.count  # of the newest weights
        if self._options.ema:
            # The first weights are no better than others, so they fade faster at the start.
            share = 1.0 - min(self._options.ema, self.count / (self.count + 9.0))
        with torch.no_grad():
            for name, tensor in _floating(self._network).items():
                if name not in self.tensors:
                    self.tensors[name] = tensor.detach().clone()
                else:
                    self.tensors[name].lerp_(tensor, share)

    def load(self, tensors: Mapping[str, Tensor], count: int) -> None:
        """Take up an average that was saved."""
        held = _floating(self._network)
        self.tensors = {name: tensor.to(held[name].device) for name, tensor in tensors.items()}
        self.count = count

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the network inside the block."""
        kept = {name: tensor.clone() for name, tensor in _floating(self._network).items()}
        self.apply()
        try:
            yield
        finally:
            _copy(kept, self._network)

    def apply(self) -> None:
        """Put the average into the network for good, if there is one."""
        _copy(self.tensors, self._network)


def _floating(network: nn.Module) -> dict[str, Tensor]:
    state = network.state_dict()
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


def _copy(tensors: Mapping[str, Tensor], network: nn.Module) -> None:
    held = network.state_dict()
    with torch.no_grad():
        for name, tensor in tensors.items():
            held[name].copy_(tensor)
