"""Small reusable networks over encoded blocks, and the heads that turn them into losses and scores.

`additive` and `table` fit `TorchSolution.network` as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from verticals.contract.model import Target
from verticals.errors import CallError
from verticals.networks import heads
from verticals.networks.additive import AdditiveNetwork
from verticals.networks.mlp import TableNetwork
from verticals.networks.shapes import shape_table
from verticals.plugin import Inputs

__all__ = ["AdditiveNetwork", "TableNetwork", "additive", "heads", "shape_table", "table"]


def additive(
    inputs: Inputs, targets: Sequence[Target], options: Mapping[str, Any]
) -> AdditiveNetwork:
    """Build an additive network for the targets; options: pairs, pair_bins.

    Raises `CallError` where a direction is declared and a target has classes without an order.
    """
    directed = sorted(name for name, field in inputs.fields.items() if field.monotone)
    unordered = [target.name for target in targets if target.kind == "categorical"]
    if directed and unordered:
        raise CallError(
            f"fields {directed} are declared monotone, but the classes of target "
            f"{unordered[0]!r} have no order",
            hint="remove `monotone`, or declare the target ordinal",
        )
    return AdditiveNetwork(inputs, heads.width(targets), **_known(options, "pairs", "pair_bins"))


def table(inputs: Inputs, targets: Sequence[Target], options: Mapping[str, Any]) -> TableNetwork:
    """Build a table network; options: hidden, layers, dropout, members, residual."""
    names = ("hidden", "layers", "dropout", "members", "residual")
    return TableNetwork(inputs, heads.width(targets), **_known(options, *names))


def _known(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Keep a network's own options: others are the training's."""
    return {name: options[name] for name in names if name in options}
