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
from verticals.errors import CallError
from verticals.plugin import Output
from verticals.table import Array


def width(targets: Sequence[Target]) -> int:
    """Return how many raw scores the targets take together."""
    return sum(_width(target) for target in targets)


def numeric_scale(target: Target) -> tuple[float, float]:
    """Return (middle, half range) of a numeric target: its value is middle + half range * raw.

    From the declared bounds, so that a network that starts at zero starts in the middle, and
    squared errors of several targets weigh alike; (0, 1), the raw value itself, without bounds.
    """
    if target.bounds is None:
        return 0.0, 1.0
    lower, upper = target.bounds
    return (lower + upper) / 2, (upper - lower) / 2


def row_losses(raw: Tensor, targets: Sequence[Target], columns: Mapping[str, Tensor]) -> Tensor:
    """Return the loss of each row, summed over targets: (rows,).

    binary: cross-entropy; categorical: cross-entropy over classes; ordinal: cross-entropy of each
    cumulative split "above level k" (Cao, Mirjalili & Raschka 2020, arXiv:1901.07884); numeric:
    squared error in units of half the declared range. A missing label (NaN) adds 0, so a row's
    loss never depends on other rows. `raw` is (rows, width), or (rows, members, width) for an
    ensemble, whose members' losses are averaged.

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
    `<target>_<value>`, probabilities that sum to 1. An ordinal target gives those too, and
    `<target>`, the expected level (0 = lowest). A numeric target gives `<target>`, in its unit.
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
            middle, half = numeric_scale(target)
            columns[target.name] = middle + half * part[:, 0]
        else:
            chances = _softmax(part) if target.kind == "categorical" else _levels(part)
            if target.kind == "ordinal":
                columns[target.name] = chances @ np.arange(len(target.values))
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
        if target.kind != "categorical":
            kind = "real" if target.kind == "numeric" else "ordinal"
            found.append(Output(name=target.name, kind=kind, target=target.name))
        found.extend(
            Output(
                name=f"{target.name}_{value}", kind="probability", target=target.name, value=value
            )
            for value in (target.values if target.kind != "numeric" else ())
        )
    return tuple(found)


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
    middle, half = numeric_scale(target)
    return (raw[..., 0] - (label - middle) / half) ** 2


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
