"""A network that is a sum of shape functions, one for each field: what it says can be read off.

    raw score = bias + sum over fields of shape(field) + sum over declared pairs of surface(a, b)

A shape is piecewise linear in the declared scale of a numeric field, and one number for each
value of a categorical or ordinal one (a generalised additive model, Hastie & Tibshirani 1986; as
a network, Agarwal et al. 2021, arXiv:2004.13912). Attributions in log-odds are exact and free.
A declared direction holds by construction, whatever the weights are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from verticals.errors import CallError
from verticals.networks.cells import Cell, cells, coarse_basis, flat_width, flatten
from verticals.plugin import Inputs

_NORM = 2.0  # of all columns of a row together, at most
_CONSTANT = 0.5  # the column of the bias
# From so many terms on, the prior holds the sum of all terms rather than each: else a few hundred
# fields may fit any few hundred rows.
_FREE_TERMS = 32
# What a flag or a surface's corner weighs beside all steps of a cell: under the same prior on all
# weights, a category then strays from its mean as far as a numeric shape (a random walk) from its.
_FLAG = 6**-0.5


class Held(nn.Module):
    """Map (rows, columns) to (rows, width) with weights that are never negative.

    The softplus is sharp (10), so that a weight can come close to zero; weights start at about
    0.03, small beside what a column can come to mean. Those of `muted` columns, (columns,) of
    bool, start below 0.001, and stay there where no row moves them, whatever the prior.
    """

    _SHARPNESS = 10.0

    def __init__(self, columns: int, width: int, muted: Tensor | None = None) -> None:
        super().__init__()
        muted = torch.zeros(columns, dtype=torch.bool) if muted is None else muted
        self.weight = nn.Parameter(torch.full((width, columns), -0.1) * ~muted)
        self._shift = muted * -0.5  # no buffer: Opacus takes none beside weights

    def positive(self) -> Tensor:
        """Return the weights in use: (width, columns), at least 0."""
        moved = self.weight + self._shift.to(self.weight)
        return functional.softplus(moved * self._SHARPNESS) / self._SHARPNESS

    def forward(self, columns: Tensor) -> Tensor:
        """Return (rows, width)."""
        return functional.linear(columns, self.positive())


class Surface(nn.Module):
    """A function of two fields: a product of two coarse bases, with one weight for each product.

    Where either field has a declared direction, the bases rise in it and the weights are held
    non-negative, so the surface rises in it too, whatever the other field is.
    """

    left: Tensor
    right: Tensor
    left_offset: Tensor
    right_offset: Tensor

    def __init__(
        self, pair: tuple[Cell, Cell], *, flat: int, bins: int, width: int, scale: float
    ) -> None:
        super().__init__()
        self.scale = scale
        for name, cell in zip(("left", "right"), pair, strict=True):
            basis, offset = coarse_basis(cell, bins, flat)
            self.register_buffer(name, basis, persistent=False)
            self.register_buffer(f"{name}_offset", offset, persistent=False)
        sides = (self.left.shape[1], self.right.shape[1])
        products = sides[0] * sides[1]
        apart = [
            torch.arange(side) >= side - cell.apart for cell, side in zip(pair, sides, strict=True)
        ]
        muted = (apart[0][:, None] | apart[1][None, :]).flatten()
        self.weights = (
            Held(products, width, muted)
            if any(cell.direction for cell in pair)
            else _zero_linear(products, width)
        )

    def forward(self, flat: Tensor) -> Tensor:
        """Return (rows, width) for the flat encoding (rows, columns)."""
        left = flat @ self.left + self.left_offset  # (rows, a)
        right = flat @ self.right + self.right_offset  # (rows, b)
        products = (left[:, :, None] * right[:, None, :]).flatten(1)  # (rows, a * b)
        raw: Tensor = self.weights(products * self.scale)
        return raw


class AdditiveNetwork(nn.Module):
    """Add up one shape function for each field, and one surface for each declared pair.

    All fields weigh alike in the basis, whatever their number of bins, and a row's columns have a
    norm of about 2 at most. So the gradient of a log-odds has that norm too, and clipping at 1
    bites only where a prediction is far off: what differentially private training wants. The
    constant column is small beside it, so that the base rate does not use up the clipping norm.

    `players` names the one or two fields of each term of `terms`. `train_options` are defaults for
    `verticals.training`: `ridge` is a Gaussian prior by which a numeric field, from one end of its
    range to the other, moves the raw score by about 1 (of up to 32 terms; of more, by less, so
    that all together move it by about as much as 32 do). All weights start the same, so training
    depends on the seed only through the order of rows.
    """

    free_columns: Tensor
    free_scale: Tensor
    held_columns: Tensor
    held_scale: Tensor
    members: Tensor

    def __init__(
        self,
        inputs: Inputs,
        width: int = 1,
        *,
        pairs: Sequence[tuple[str, str]] = (),
        pair_bins: int = 4,
    ) -> None:
        """Build the network of `width` raw scores; raise `CallError` where a field cannot be read.

        `pairs` are pairs of fields with a surface, in `pair_bins` bins a side at most.
        """
        super().__init__()
        self.inputs = inputs
        self.width = width
        found = cells(inputs)
        own = {cell.field: cell for cell in found}
        self._check_pairs(pairs, found)
        singles = tuple((name,) for name in inputs.where)
        self.players: tuple[tuple[str, ...], ...] = (*singles, *(tuple(p) for p in pairs))
        flat = flat_width(inputs)
        unit = _NORM * (len(found) + len(pairs)) ** -0.5
        self._register_columns(found, flat, unit)
        self.main = _zero_linear(1 + len(self.free_columns), width)
        self.held = Held(len(self.held_columns), width) if len(self.held_columns) else None
        self.surfaces = nn.ModuleList(
            Surface((own[a], own[b]), flat=flat, bins=pair_bins, width=width, scale=unit * _FLAG)
            for a, b in pairs
        )
        self.train_options: Mapping[str, Any] = {
            "learning_rate": 0.05,
            "least_steps": 1000,
            "ridge": _NORM**2 / min(len(found) + len(pairs), _FREE_TERMS),
            "private": {"learning_rate": 0.2, "steps": 200, "average": 0.0},
        }

    @property
    def bias(self) -> Tensor:
        """Return the raw score of no term at all: (width,)."""
        return self.main.weight[:, 0] * _CONSTANT

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        """Return raw scores (rows, width)."""
        flat = flatten(self.inputs, blocks)
        constant = flat.new_full((len(flat), 1), _CONSTANT)
        free = flat[:, self.free_columns] * self.free_scale
        raw: Tensor = self.main(torch.cat([constant, free], dim=1))
        if self.held is not None:
            raw = raw + self.held(flat[:, self.held_columns] * self.held_scale)
        for surface in self.surfaces:
            raw = raw + surface(flat)
        return raw

    def terms(self, blocks: Mapping[str, Tensor]) -> Tensor:
        """Return what each term adds to the raw scores: (rows, terms, width).

        `bias + terms.sum(1)` is `forward`, but for rounding.
        """
        flat = flatten(self.inputs, blocks)
        weight = self.flat_weight().to(flat.dtype)
        members = self.members.to(flat.dtype)
        singles = torch.stack([(flat * row) @ members for row in weight], dim=-1)
        surfaces = [surface(flat)[:, None] for surface in self.surfaces]
        return torch.cat([singles, *surfaces], dim=1)

    def flat_weight(self) -> Tensor:
        """Return the weight of each column of the flat encoding in the shapes: (width, columns)."""
        weight = self.main.weight.new_zeros(self.width, len(self.members))
        weight[:, self.free_columns] = self.main.weight[:, 1:] * self.free_scale
        if self.held is not None:
            weight[:, self.held_columns] = self.held.positive() * self.held_scale
        return weight

    def _check_pairs(self, pairs: Sequence[tuple[str, str]], found: Sequence[Cell]) -> None:
        counts = {name: sum(cell.field == name for cell in found) for name in self.inputs.where}
        seen: set[frozenset[str]] = set()
        for pair in pairs:
            names = frozenset(pair)
            if len(pair) != 2 or len(names) != 2 or names in seen:
                raise CallError(f"pair {list(pair)} is not one of two different fields, once")
            seen.add(names)
            for name in pair:
                if counts.get(name, 0) != 1:
                    raise CallError(
                        f"pair {list(pair)} names {name!r}, which is not a single input field",
                        hint=f"name two of {sorted(k for k, n in counts.items() if n == 1)}",
                    )

    def _register_columns(self, found: Sequence[Cell], flat: int, unit: float) -> None:
        """Sort the flat columns by whether a direction holds them, and scale them.

        The steps of a cell, all filled, have the norm of one term, `unit`.
        """
        names = list(self.inputs.where)
        free: dict[int, float] = {}
        held: dict[int, float] = {}
        members = torch.zeros(flat, len(names))  # flat column -> term
        for cell in found:
            members[list(cell.steps + cell.flags), names.index(cell.field)] = 1.0
            free.update(dict.fromkeys(cell.flags, unit * _FLAG))
            step = unit * len(cell.steps) ** -0.5 if cell.steps else 0.0
            if cell.direction:
                held.update(dict.fromkeys(cell.steps, step * cell.direction))
            else:
                free.update(dict.fromkeys(cell.steps, step))
        for kind, chosen in (("free", free), ("held", held)):
            columns = torch.tensor(sorted(chosen), dtype=torch.long)
            scale = torch.tensor([chosen[column] for column in sorted(chosen)])
            self.register_buffer(f"{kind}_columns", columns, persistent=False)
            self.register_buffer(f"{kind}_scale", scale, persistent=False)
        self.register_buffer("members", members, persistent=False)


def _zero_linear(columns: int, width: int) -> nn.Linear:
    linear = nn.Linear(columns, width, bias=False)
    nn.init.zeros_(linear.weight)
    return linear
