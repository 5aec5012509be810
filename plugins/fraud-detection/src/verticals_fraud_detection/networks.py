"""The networks of fraud detection: additive, for tables, or with attention over recent events.

`additive` is the default: exact reasons at the price of a prediction, which online scoring needs,
and the best under privacy. `table` ranks better (see `benchmarks/fraud_quality.py`), but its
reasons are sampled and a hundred times slower. `sequence` reads the entity's latest events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from verticals.contract import Target
from verticals.errors import CallError
from verticals.networks import additive, heads, table
from verticals.networks.cells import flat_width, flatten, mute_flags
from verticals.networks.mlp import Residual
from verticals.networks.sequence import LookBack, flat_inputs
from verticals.plugin import Inputs

NETWORKS = ("additive", "table", "sequence")

# Chosen on windows of the handbook data that lie before those of the benchmark.
_TABLE = MappingProxyType({"residual": True, "hidden": 64, "layers": 2, "dropout": 0.1})
_TRAINING: Mapping[str, Any] = MappingProxyType(
    {"learning_rate": 3e-3, "batch_size": 512, "epochs": 8, "least_steps": 400}
)
_PRESENT = 2  # which number of a recent event says that there is one (verticals.history)


def network(inputs: Inputs, targets: Sequence[Target], options: Mapping[str, Any]) -> nn.Module:
    """Return the network that `options["network"]` names: additive (default), table, sequence.

    Table and additive networks leave sequence fields aside, whose attribution is then 0.

    Raises `CallError` for another name, or where a sequence network has no sequence to read.
    """
    name = options.get("network", NETWORKS[0])
    if name not in NETWORKS:
        raise CallError(f"network is {name!r}, expected one of {', '.join(NETWORKS)}")
    if name == "sequence":
        return SequenceNetwork(inputs, heads.width(targets))
    if name == "additive":
        return additive(flat_inputs(inputs), targets, options)
    built = table(flat_inputs(inputs), targets, {**_TABLE, **options})
    built.train_options = {**built.train_options, **_TRAINING}
    return built


class SequenceNetwork(nn.Module):
    """Let the event at hand look back over its entity's latest events, each as it was.

    One layer of attention (`verticals.networks.sequence`), then residual blocks, as in the table
    network. Each row is computed apart from all others, so it trains privately.
    """

    order: Tensor

    def __init__(
        self,
        inputs: Inputs,
        width: int = 1,
        *,
        hidden: int = 64,
        attention: int = 4,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        """Build the network of `width` raw scores with `attention` heads.

        Raises `CallError` where there is not exactly one sequence field.
        """
        super().__init__()
        found = [name for name, shape in inputs.shapes.items() if len(shape) == 2]
        if len(found) != 1:
            raise CallError(
                f"a sequence network reads one sequence field, and the contract gives {len(found)}",
                hint="declare `recent: 8` in the history of one entity, or choose network=table",
            )
        self.recent = found[0]
        self.inputs = flat_inputs(inputs)
        steps, numbers = inputs.shapes[self.recent]
        self._scale = _unscale(inputs, self.recent)
        self.register_buffer("order", torch.eye(steps), persistent=False)
        self.event = nn.Linear(flat_width(self.inputs), hidden)
        mute_flags(self.event, self.inputs)
        self.past = nn.Sequential(nn.Linear(numbers + steps, hidden), nn.ReLU())
        self.look_back = LookBack(hidden, attention)
        blocks = [Residual(hidden, dropout) for _ in range(layers)]
        self.layers = nn.Sequential(*blocks, nn.LayerNorm(hidden), nn.ReLU())
        self.head = nn.Linear(hidden, width)
        self.train_options: Mapping[str, Any] = {
            "weight_decay": 1e-2,
            **_TRAINING,
            "private": {"steps": 200, "batch_size": 1024, "weight_decay": 0.0},
        }

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        """Return raw scores (rows, width)."""
        event = self.event(flatten(self.inputs, blocks))  # (rows, hidden)
        recent = blocks[self.recent] * self._scale
        order = self.order.expand(len(recent), -1, -1)
        past = self.past(torch.cat([recent, order], dim=-1))  # (rows, steps, hidden)
        joined = event + self.look_back(event, past, recent[..., _PRESENT])
        raw: Tensor = self.head(self.layers(joined))
        return raw


def _unscale(inputs: Inputs, block: str) -> float:
    """Return what undoes the encoder's scaling to 0..1, so that a present event has a flag of 1."""
    field = next(inputs.fields[name] for name, place in inputs.where.items() if place[0] == block)
    return field.bounds[1] - field.bounds[0] if field.bounds is not None else 1.0
