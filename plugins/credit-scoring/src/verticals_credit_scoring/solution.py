"""The credit-scoring solution: an additive network by default, a residual one by choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from verticals.contract import Target
from verticals.networks import additive, table
from verticals.plugin import Inputs, TorchSolution
from verticals_credit_scoring.demo import demo

# Eight members that share nearly all weights: an ensemble at the price of a wider network.
_RESIDUAL = {"residual": True, "members": 8, "hidden": 64, "dropout": 0.1}


def network(inputs: Inputs, targets: Sequence[Target], options: Mapping[str, Any]) -> nn.Module:
    """Return the network that `options["network"]` names."""
    if options.get("network", "additive") == "additive":
        return additive(inputs, targets, options)
    return table(inputs, targets, {**_RESIDUAL, **options})


# Half of the demo's rows are held out: fewer leave too few Black applicants to say anything.
SOLUTION = TorchSolution(
    demo=demo,
    network=network,
    demo_shares={"train": 0.4, "validate": 0.1, "calibrate": 0.0, "test": 0.5},
)
