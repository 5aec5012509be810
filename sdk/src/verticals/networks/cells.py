"""Where each value of each field stands in the flat encoding, and in which order it rises.

Everything here follows from the declarations: nothing is trained, nothing is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from verticals.errors import CallError
from verticals.plugin import Inputs

_DIRECTIONS = {"": 0, "increasing": 1, "decreasing": -1}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Say where one value of a field stands in the flat encoding.

    `steps` are the columns that fill up one after the other as the value rises (bins, levels);
    `flags` are the others, "missing" last; the last `apart` of them stand for no declared value,
    and training may have seen none. `direction` is 1, -1, or 0 where none is declared.
    """

    field: str
    steps: tuple[int, ...]
    flags: tuple[int, ...]
    direction: int
    apart: int = 0

    @property
    def unknown(self) -> tuple[int, ...]:
        """Return the flags of values that are missing or undeclared."""
        return self.flags[len(self.flags) - self.apart :]


def flatten(inputs: Inputs, blocks: Mapping[str, Tensor]) -> Tensor:
    """Set the blocks side by side, in the order of `inputs.shapes`: (rows, width)."""
    if len(inputs.shapes) == 1:
        return blocks[next(iter(inputs.shapes))]
    return torch.cat([blocks[name] for name in inputs.shapes], dim=1)


def flat_width(inputs: Inputs) -> int:
    """Return the width of `flatten`.

    Raises `CallError` where a block is not flat (an image, say).
    """
    for name, shape in inputs.shapes.items():
        if len(shape) != 1:
            raise CallError(
                f"a network for tables cannot read block {name!r} of shape {tuple(shape)}",
                hint="give the field an encoder of one dimension, or use a network of its kind",
            )
    return sum(shape[0] for shape in inputs.shapes.values())


def cells(inputs: Inputs) -> tuple[Cell, ...]:
    """Return the cells of all fields in order: one a field, or one for each column of a block.

    Raises `CallError` where a block is not flat, or a direction is declared without an order.
    """
    flat_width(inputs)
    ends = accumulate((shape[0] for shape in inputs.shapes.values()), initial=0)
    starts = dict(zip(inputs.shapes, ends, strict=False))
    found: list[Cell] = []
    for name, (block, columns) in inputs.where.items():
        start, stop = starts[block] + columns.start, starts[block] + columns.stop
        steps = _steps(inputs, name)
        field = inputs.fields.get(name)
        direction = _DIRECTIONS[field.monotone] if field is not None else 0
        if direction and not steps:
            raise CallError(
                f"field {name!r} is declared monotone, but its encoding has no order",
                hint=f"remove `monotone` from {name}, or declare it numeric, ordinal or boolean",
            )
        count = max(1, len(field.columns)) if field is not None and block == "table" else 1
        width = (stop - start) // count
        apart = 0
        if field is not None and name in inputs.neutral:
            apart = 2 if field.kind == "categorical" else 1
        for first in range(start, stop, width):
            cell = tuple(range(first, first + width))
            found.append(
                Cell(
                    field=name,
                    steps=cell[:steps],
                    flags=cell[steps:],
                    direction=direction,
                    apart=apart,
                )
            )
    return tuple(found)


def mute_flags(first: nn.Linear, inputs: Inputs) -> None:
    """Let the flags of missing and undeclared values start at 0 in a first layer.

    Where training holds no such value they stay there, and the value counts as what its declared
    values are on average; else a random start would stand for what nobody has seen. The layer
    reads `flatten` of the inputs.
    """
    silent = torch.ones(first.in_features)
    for cell in cells(inputs):
        silent[list(cell.unknown)] = 0.0
    with torch.no_grad():
        first.weight *= silent.to(first.weight)


def coarse_basis(cell: Cell, bins: int, width: int) -> tuple[Tensor, Tensor]:
    """Return (map, offset) of a coarse basis of one cell: `flat @ map + offset`, in [0, 1].

    Neighbouring steps are averaged in at most `bins` groups. Without a direction the groups become
    hats: local, and 1 in sum. With one they stay cumulative and rise in that direction. The flags
    follow; beside one, a missing value has the mean of the basis over the declared values.
    Products of two such bases span a pair's surface.
    """
    count = min(bins, len(cell.steps))
    groups = torch.zeros(width, count)
    for place, column in enumerate(cell.steps):
        groups[column, place * count // len(cell.steps)] = 1.0
    groups = groups / groups.sum(dim=0).clamp(min=1.0)
    flags = torch.zeros(width, len(cell.flags))
    flags[list(cell.flags), range(len(cell.flags))] = 1.0
    if not cell.steps:
        return flags, torch.zeros(flags.shape[1])
    if cell.direction > 0:
        steps, offsets = groups, torch.zeros(count)
    elif cell.direction < 0:
        steps, offsets = -groups, torch.ones(count)
    else:
        rising = torch.cat([torch.zeros(width, 1), groups], dim=1)  # 1, by the offset, at first
        steps = torch.cat([rising[:, :-1] - rising[:, 1:], rising[:, -1:]], dim=1)
        offsets = torch.tensor([1.0] + [0.0] * count)
    return torch.cat([steps, flags], dim=1), torch.cat([offsets, torch.zeros(len(cell.flags))])


def _steps(inputs: Inputs, name: str) -> int:
    """Return how many columns of a cell fill up in order: 0 for a kind without order."""
    field = inputs.fields.get(name)
    if field is None or inputs.where[name][0] != "table":
        return 0
    if name in inputs.edges:
        return len(inputs.edges[name]) - 1
    return {"ordinal": len(field.values) - 1, "boolean": 1}.get(field.kind, 0)
