"""From raw scores to losses and to what people read: one head for each kind of target.

A network returns raw scores side by side, target after target: the log-odds of the positive value
(binary), one score a class (categorical), one log-odds of "above this level" for each level but
the highest (ordinal), and the value (numeric; see `numeric_scale`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from verticals.contract.model import Target
from verticals.errors import CallError, ContractError
from verticals.finish import expected_outputs
from verticals.plugin import Output
from verticals.table import Array

# From the middle of a numeric target's bounds to either of them. At 1, noise of private training
# drowns what three public tables teach; beyond 6, clipping draws skewed targets to their median.
_UNITS = 6.0


def width(targets: Sequence[Target]) -> int:
    """Return how many raw scores the targets take together."""
    return sum(_width(target) for target in targets)


def numeric_scale(target: Target) -> tuple[float, float]:
    """Return (middle, unit) of a numeric target: its value is middle + unit * raw.

    From the declared bounds alone: the unit is a twelfth of their distance, about half a standard
    deviation where the bounds leave some room. So a network that starts at zero starts in the
    middle, several targets weigh alike, and raw scores and gradients are as large as those of
    log-odds, for which priors, learning rates and the clipping norm of private training are made.

    Raises `ContractError` without bounds.
    """
    if target.bounds is None:
        raise ContractError(
            f"target {target.name!r} is numeric and declares no bounds, "
            "expected the lowest and the highest value that it can take",
            hint=f"write bounds: [lowest, highest] under targets: {target.name}: in the contract",
        )
    lower, upper = target.bounds
    return (lower + upper) / 2, (upper - lower) / (2 * _UNITS)


def raw_scale(targets: Sequence[Target]) -> tuple[Array, Array]:
    """Return (offset, unit) of each raw score, (width,) each: (0, 1) but for numeric targets.

    offset + unit * raw is what people read: log-odds, or a value in the target's own unit.
    Raises `ContractError` where a numeric target has no bounds.
    """
    pairs: list[tuple[float, float]] = []
    for target in targets:
        own = numeric_scale(target) if target.kind == "numeric" else (0.0, 1.0)
        pairs += [own] * _width(target)
    found = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def row_losses(raw: Tensor, targets: Sequence[Target], columns: Mapping[str, Tensor]) -> Tensor:
    """Return the loss of each row, summed over targets: (rows,).

    binary: cross-entropy; categorical: cross-entropy over classes; ordinal: cross-entropy of each
    cumulative split "above level k" (Cao, Mirjalili & Raschka 2020, arXiv:1901.07884); numeric:
    half the squared error in the unit of `numeric_scale`, labels clipped to the bounds. A missing
    label (NaN) adds 0, so a row's loss never depends on other rows. `raw` is (rows, width), or
    (rows, members, width) for an ensemble, whose members' losses are averaged.

    Raises `CallError` where the width of `raw` is not that of the targets.
    """
    if raw.shape[-1] != width(targets):
        raise CallError(
            f"the network gives {raw.shape[-1]} raw scores a row, "
            f"but the targets need {width(targets)}",
            hint="build the network with heads.width(targets)",
        )
    members = raw if raw.ndim == 3 else raw.unsqueeze(1)  # (rows, members, width)
    total = raw.new_zeros(len(raw))
    for target, part in zip(targets, _split(members, targets), strict=True):
        label = columns[target.name].to(raw.dtype)  # (rows,)
        known = ~torch.isnan(label)
        label = torch.where(known, label, torch.zeros_like(label))[:, None]
        losses = _losses(target, part, label.expand(-1, part.shape[1]))  # (rows, members)
        total = total + torch.where(known, losses.mean(dim=1), torch.zeros_like(total))
    return total


def loss(
    raw: Tensor,
    targets: Sequence[Target],
    columns: Mapping[str, Tensor],
    weights: Tensor | None = None,
) -> Tensor:
    """Return the mean of `row_losses` over the rows, each times its weight if given."""
    losses = row_losses(raw, targets, columns)
    return (losses if weights is None else losses * weights).mean()


def scores(raw: Tensor | Array, targets: Sequence[Target]) -> dict[str, Array]:
    """Turn raw scores (rows, width) into named output columns of (rows,), float64.

    A single binary target gives `score`; several give `<target>` each. A categorical target gives
    `<target>_<value>`, probabilities that sum to 1. An ordinal target gives those too,
    `<target>_step`, the expected step of its levels (0 = lowest), and, where its levels are
    numbers, `<target>`, that step on their scale (linear between levels). A numeric target gives
    `<target>`, in its unit and clipped to its bounds.
    """
    values = raw.detach().to("cpu", torch.float64).numpy() if isinstance(raw, Tensor) else raw
    values = np.asarray(values, dtype=np.float64)
    columns: dict[str, Array] = {}
    start = 0
    for target in targets:
        part = values[:, start : start + _width(target)]  # (rows, own width)
        start += _width(target)
        if target.kind == "binary":
            columns[_name(target, targets)] = _sigmoid(part[:, 0])
        elif target.kind == "numeric":
            middle, unit = numeric_scale(target)
            columns[target.name] = np.clip(middle + unit * part[:, 0], *_bounds(target))
        else:
            chances = _softmax(part) if target.kind == "categorical" else _levels(part)
            if target.kind == "ordinal":
                step = chances @ np.arange(len(target.values))
                columns[target.step_name] = step
                if target.points:
                    columns[target.name] = _in_points(step, target.points)
            for place, value in enumerate(target.values):
                columns[f"{target.name}_{value}"] = chances[:, place]
    return columns


def outputs(targets: Sequence[Target]) -> tuple[Output, ...]:
    """Describe the columns of `scores`, in their order."""
    found: list[Output] = []
    for target in targets:
        if target.kind == "binary":
            name = _name(target, targets)
            found.append(
                Output(name=name, kind="probability", target=target.name, value=target.positive)
            )
            continue
        found.extend(expected_outputs(target))
        found.extend(
            Output(
                name=f"{target.name}_{value}", kind="probability", target=target.name, value=value
            )
            for value in (target.values if target.kind != "numeric" else ())
        )
    return tuple(found)


def _in_points(step: Array, points: Sequence[float]) -> Array:
    return np.asarray(np.interp(step, np.arange(len(points)), points))


def _width(target: Target) -> int:
    if target.kind in ("binary", "numeric"):
        return 1
    return len(target.values) - (1 if target.kind == "ordinal" else 0)


def _name(target: Target, targets: Sequence[Target]) -> str:
    return "score" if len(targets) == 1 else target.name


def _split(members: Tensor, targets: Sequence[Target]) -> tuple[Tensor, ...]:
    return torch.split(members, [_width(target) for target in targets], dim=-1)


def _losses(target: Target, raw: Tensor, label: Tensor) -> Tensor:
    """Return the loss of one target, (rows, members), as is `label`; raw has its own width too."""
    if target.kind == "binary":
        return functional.binary_cross_entropy_with_logits(raw[..., 0], label, reduction="none")
    if target.kind == "categorical":
        return functional.cross_entropy(raw.movedim(-1, 1), label.long(), reduction="none")
    if target.kind == "ordinal":
        splits = torch.arange(raw.shape[-1], device=raw.device)
        above = (label[..., None] > splits).to(raw.dtype)  # (rows, members, levels - 1)
        return functional.binary_cross_entropy_with_logits(raw, above, reduction="none").sum(-1)
    middle, unit = numeric_scale(target)
    return 0.5 * (raw[..., 0] - (label.clamp(*_bounds(target)) - middle) / unit) ** 2


def _bounds(target: Target) -> tuple[float, float]:
    assert target.bounds is not None  # or `numeric_scale` has refused it
    return target.bounds


def _levels(raw: Array) -> Array:
    """Turn log-odds of "above level k" into chances of each level: (rows, levels).

    The splits are trained apart, so a running minimum keeps them from crossing.
    """
    above = _sigmoid(np.minimum.accumulate(raw, axis=1))
    reached = np.pad(above, ((0, 0), (1, 0)), constant_values=1.0)
    return np.asarray(reached - np.pad(above, ((0, 0), (0, 1)), constant_values=0.0))


def _sigmoid(raw: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0.0, -raw)))


def _softmax(raw: Array) -> Array:
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
