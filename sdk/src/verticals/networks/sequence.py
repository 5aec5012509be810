"""Look back over a sequence of earlier events: attention in which only the event at hand asks."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from verticals.plugin import Inputs

_ABSENT = -1e4  # a score whose softmax is 0


class LookBack(nn.Module):
    """Let each row attend to its own earlier events, some of which may be absent.

    One layer of multi-head attention (Vaswani et al. 2017, arXiv:1706.03762) without the questions
    of the past, as only the answer of the event at hand is read. Each row is computed apart from
    all others, no layer holds statistics of a batch and no weight is tied, so it trains privately.
    """

    def __init__(self, hidden: int, attention: int) -> None:
        """Build it for vectors of `hidden` numbers, a multiple of the `attention` heads."""
        super().__init__()
        self._heads = attention
        self.ask = nn.Linear(hidden, hidden, bias=False)
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.value = nn.Linear(hidden, hidden, bias=False)
        self.join = nn.Linear(hidden, hidden)

    def forward(self, event: Tensor, past: Tensor, present: Tensor) -> Tensor:
        """Return what the event finds: (rows, hidden); where nothing is present, a constant.

        `event` is (rows, hidden), `past` (rows, steps, hidden), `present` (rows, steps) of 1 and 0.
        """
        ask = self.ask(event).unflatten(-1, (self._heads, -1))  # (rows, heads, size)
        key = self.key(past).unflatten(-1, (self._heads, -1))  # (rows, steps, heads, size)
        value = self.value(past).unflatten(-1, (self._heads, -1))
        scores = torch.einsum("rhs,rths->rht", ask, key) * ask.shape[-1] ** -0.5
        scores = scores + _ABSENT * (1.0 - present)[:, None, :]
        weight = torch.softmax(scores, dim=-1) * present[:, None, :]
        found: Tensor = self.join(torch.einsum("rht,rths->rhs", weight, value).flatten(1))
        return found


def flat_inputs(inputs: Inputs) -> Inputs:
    """Return the inputs without the fields whose rows are no flat vectors."""
    flat = {block: shape for block, shape in inputs.shapes.items() if len(shape) == 1}
    return replace(
        inputs,
        where={name: place for name, place in inputs.where.items() if place[0] in flat},
        shapes=flat,
    )
