"""Raw scores in what people read: log-odds, or the own unit of a numeric target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from verticals.contract.model import Target
from verticals.explain import Attributions, checked
from verticals.networks import AdditiveNetwork, heads, shape_table
from verticals.table import Table


def raw_outputs(targets: Sequence[Target]) -> tuple[str, ...]:
    """Name the raw scores, side by side as the network gives them."""
    names: list[str] = []
    for target in targets:
        if target.kind == "binary":
            names.append("score" if len(targets) == 1 else target.name)
        elif target.kind == "numeric":
            names.append(target.name)
        elif target.kind == "categorical":
            names += [f"{target.name}_{value}" for value in target.values]
        else:
            names += [f"{target.name} above {value}" for value in target.values[:-1]]
    return tuple(names)


def in_units(found: Attributions, targets: Sequence[Target]) -> Attributions:
    """Return attributions of raw scores in what people read: log-odds, or a target's own unit.

    The additivity error stays that of the raw score: a limit on it then means the same for every
    target, in dollars or in years.
    """
    if all(target.kind != "numeric" for target in targets):
        return found
    offset, unit = heads.raw_scale(targets)  # (outputs,)
    error = found.standard_error
    told = checked(
        outputs=found.outputs,
        fields=found.fields,
        values=found.values * unit[:, None],
        base=offset + found.base * unit,
        raw=offset + found.raw * unit,
        method=found.method,
        standard_error=None if error is None else error * unit[:, None],
    )
    return replace(told, additivity_error=found.additivity_error)


def shapes_in_units(network: AdditiveNetwork, targets: Sequence[Target]) -> Table:
    """Return the shape functions of an additive network, each in what people read."""
    names = raw_outputs(targets)
    found = shape_table(network, names)
    units = dict(zip(names, heads.raw_scale(targets)[1], strict=True))
    scale = np.array([units[name] for name in found["output"]], dtype=np.float64)
    return found.with_columns({"contribution": found["contribution"] * scale})
