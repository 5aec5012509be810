"""A network that is a sum of shape functions, one for each field: what it says can be read off.

    raw score = bias + sum over fields of shape(field) + sum over declared pairs of surface(a, b)

A shape is piecewise linear in the declared scale of a numeric field, and one number for each
value of a categorical or ordinal one (a generalised additive model, Hastie & Tibshirani 1986; as
a network, Agarwal et al. 2021, arXiv:2004.13912). Attributions in log-odds are exact and free.
A declared direction holds by construction, whatever the weights are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from verticals.errors import CallError
from verticals.networks.cells import Cell, cells, coarse_basis, flat_width, flatten
from verticals.plugin import Inputs


class Held(nn.Module):
    """Map (rows, columns) to (rows, width) with weights that are never negative.

    The softplus is sharp (10), so that a weight can come close to zero; weights start at about
    0.03, small beside what a column can come to mean.
    """

    _SHARPNESS = 10.0

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width, columns), -0.1))

    def positive(self) -> Tensor:
        """Return the weights in use: (width, columns), at least 0."""
        return functional.softplus(self.weight * self._SHARPNESS) / self._SHARPNESS

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

    def __init__(self, pair: tuple[Cell, Cell], *, flat: int, bins: int, width: int) -> None:
        super().__init__()
        for name, cell in zip(("left", "right"), pair, strict=True):
            basis, offset = coarse_basis(cell, bins, flat)
            self.register_buffer(name, basis, persistent=False)
            self.register_buffer(f"{name}_offset", offset, persistent=False)
        products = self.left.shape[1] * self.right.shape[1]
        self.weights = (
            Held(products, width)
            if any(cell.direction for cell in pair)
            else _zero_linear(products, width, bias=False)
        )

    def forward(self, flat: Tensor) -> Tensor:
        """Return (rows, width) for the flat encoding (rows, columns)."""
        left = flat @ self.left + self.left_offset  # (rows, a)
        right = flat @ self.right + self.right_offset  # (rows, b)
        products = (left[:, :, None] * right[:, None, :]).flatten(1)  # (rows, a * b)
        raw: Tensor = self.weights(products)
        return raw


class AdditiveNetwork(nn.Module):
    """Add up one shape function for each field, and one surface for each declared pair.

    The basis is scaled so that a row's shape columns have norm 1 at most: without clipping, the
    gradient of a log-odds with respect to all shapes has that norm too, which is what
    differentially private training wants. All weights start at zero, so training is the same
    from every seed.

    `players` names the one or two fields of each term of `terms`.
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
        self._register_columns(found, flat)
        self.main = _zero_linear(len(self.free_columns), width, bias=True)
        self.held = Held(len(self.held_columns), width) if len(self.held_columns) else None
        self.surfaces = nn.ModuleList(
            Surface((own[a], own[b]), flat=flat, bins=pair_bins, width=width) for a, b in pairs
        )

    @property
    def bias(self) -> Tensor:
        """Return the raw score of no term at all: (width,)."""
        bias: Tensor = self.main.bias
        return bias

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        """Return raw scores (rows, width)."""
        flat = flatten(self.inputs, blocks)
        raw: Tensor = self.main(flat[:, self.free_columns] * self.free_scale)
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
        weight[:, self.free_columns] = self.main.weight * self.free_scale
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

    def _register_columns(self, found: Sequence[Cell], flat: int) -> None:
        """Sort the flat columns by whether a direction holds them, and scale them.

        The steps of a cell have norm 1 together, and so do its flags, of which one is set at most;
        never both. So a row has norm 1 after division by the root of the number of cells.
        """
        names = list(self.inputs.where)
        free: dict[int, float] = {}
        held: dict[int, float] = {}
        members = torch.zeros(flat, len(names))  # flat column -> term
        for cell in found:
            members[list(cell.steps + cell.flags), names.index(cell.field)] = 1.0
            unit = len(found) ** -0.5
            free.update(dict.fromkeys(cell.flags, unit))
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


def _zero_linear(columns: int, width: int, *, bias: bool) -> nn.Linear:
    linear = nn.Linear(columns, width, bias=bias)
    nn.init.zeros_(linear.weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear
