"""The networks of student-risk, from the SDK's parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from verticals.contract import Target
from verticals.networks import additive, table
from verticals.plugin import Inputs, Setup

# Eight members that share nearly all weights: an ensemble at the price of a wider network.
_RESIDUAL = {"residual": True, "members": 8, "hidden": 64, "dropout": 0.1}
_MLP = {"hidden": 64, "layers": 2, "dropout": 0.1}


def network(inputs: Inputs, targets: Sequence[Target], options: Mapping[str, Any]) -> nn.Module:
    """Return the network that `options["network"]` names: additive, mlp or residual."""
    name = options.get("network", "additive")
    if name == "additive":
        return additive(inputs, targets, options)
    return table(inputs, targets, {**(_RESIDUAL if name == "residual" else _MLP), **options})


def network_for(inputs: Inputs, targets: Sequence[Target], setup: Setup) -> nn.Module:
    """Return the network to be trained, which remembers how.

    Evidence trains the same network once more with the demographics that were left out.
    """
    made = network(inputs, targets, setup.options)
    vars(made)["trained_with"] = {"options": dict(setup.options), "seed": setup.seed}
    return made


def trained_with(made: object) -> Mapping[str, Any] | None:
    """Return options and seed of a network that was trained here; None of one that was loaded."""
    found: Mapping[str, Any] | None = getattr(made, "trained_with", None)
    return found
