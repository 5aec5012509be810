"""Put two forms on one scale by their common items, with errors.

The scale of form B is turned into that of form A by θ_A = slope · θ_B + intercept.

    mean-sigma      slope and intercept that give the common items' difficulties the same mean and
                    standard deviation (Marco 1977, J. Educ. Meas. 14)
    Stocking–Lord   those that bring the test characteristic curves of the common items closest,
                    squared and weighted by A's population (Stocking & Lord 1983, Appl. Psychol.
                    Meas. 7)

Errors are by the delta method from the covariance of the item parameters (Ogasawara 2000, 2001),
for two independent samples of persons: where the same persons took both forms they are too large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, jacrev

from verticals.errors import CallError, TrainingError
from verticals.table import Array
from verticals_student_assessment.items.irt import Grid, ItemBank
from verticals_student_assessment.items.irt.curves import boundaries

LEAST_COMMON = 2
_STEPS = 100
METHODS = ("mean-sigma", "stocking-lord")


@dataclass(frozen=True, kw_only=True)
class Link:
    """Hold θ_A = slope · θ_B + intercept, and the covariance of (slope, intercept).

    The covariance is NaN where an item's errors are not known. `displacement` is, for each common
    item, its mean difficulty on form A less that of form B once linked: large where an item has
    changed, and should not link.
    """

    method: str
    slope: float
    intercept: float
    covariance: Array  # (2, 2)
    items: tuple[str, ...]
    displacement: Array  # (items,)

    @property
    def errors(self) -> tuple[float, float]:
        """Return the standard errors of slope and intercept."""
        with np.errstate(invalid="ignore"):
            slope, intercept = np.sqrt(np.diag(self.covariance))
        return float(slope), float(intercept)

    def apply(self, ability: Array, error: Array) -> tuple[Array, Array]:
        """Return abilities of form B, and their standard errors, on the scale of form A.

        The errors hold the error of measurement and that of the link.
        """
        by = np.stack([ability, np.ones_like(ability)])
        link = np.einsum("ip,ij,jp->p", by, self.covariance, by)
        return self.slope * ability + self.intercept, np.sqrt((self.slope * error) ** 2 + link)


def link_forms(onto: ItemBank, from_: ItemBank, method: str = "stocking-lord") -> Link:
    """Link form B (`from_`) onto the scale of form A (`onto`) by the items of the same name.

    Raises `CallError` for an unknown method, fewer than 2 common items, or a common item whose
    categories differ, and `TrainingError` where difficulties do not vary.
    """
    if method not in METHODS:
        raise CallError(
            f"linking by {method!r}, expected one of {', '.join(METHODS)}", hint="leave it out"
        )
    names = _common(onto, from_)
    first, second = (_Values.of(bank, names) for bank in (onto, from_))
    start = _mean_sigma(first.all, second.all)
    if not bool(torch.isfinite(start).all()) or float(start[0]) <= 0:
        raise TrainingError(
            f"the difficulties of {len(names)} common items do not vary, expected some spread",
            hint="link by more items, easy and hard ones",
        )
    if method == "mean-sigma":
        found, by_first, by_second = start, *_jacobians(_mean_sigma, first, second)
    else:
        grid = onto.grid()
        found, by_first, by_second = _stocking_lord(first, second, grid, start)
    covariance = np.zeros((2, 2))
    for by, own in ((by_first.numpy(), first), (by_second.numpy(), second)):
        covariance = covariance + by @ own.covariance @ by.T
    moved = _difficulty(second.all) * found[0] + found[1]
    away = torch.nanmean(_difficulty(first.all) - moved, dim=1)
    return Link(
        method=method,
        slope=float(found[0]),
        intercept=float(found[1]),
        covariance=covariance,
        items=names,
        displacement=away.numpy(),
    )


@dataclass(frozen=True, kw_only=True)
class _Values:
    """Hold the common items of a form: all values, which are free, and these ones' covariance."""

    all: Tensor  # (items, K + 1)
    free: Tensor  # (items, K + 1) bool
    covariance: Array  # (free values, free values)

    @staticmethod
    def of(bank: ItemBank, names: tuple[str, ...]) -> _Values:
        places = [bank.names.index(name) for name in names]
        free, where = bank.free[places], bank.positions()[places]
        if bank.covariance is None:
            own = np.full((int(free.sum()),) * 2, np.nan)
        else:
            own = bank.covariance[np.ix_(where[free], where[free])]
        return _Values(
            all=torch.as_tensor(bank.values[places]), free=torch.as_tensor(free), covariance=own
        )

    def filled(self, values: Tensor) -> Tensor:
        """Return all values with other free ones."""
        # By a product, which torch differentiates for many directions at once.
        chosen = torch.eye(self.free.numel(), dtype=values.dtype)[:, self.free.reshape(-1)]
        return torch.where(self.free, (chosen @ values).reshape(self.all.shape), self.all)

    @property
    def own(self) -> Tensor:
        """Return the free values."""
        return self.all[self.free]


def _common(onto: ItemBank, from_: ItemBank) -> tuple[str, ...]:
    names = tuple(name for name in onto.names if name in from_.names)
    if len(names) < LEAST_COMMON:
        raise CallError(
            f"the forms have {len(names)} items in common, expected {LEAST_COMMON} or more",
            hint="give common items the same column name in both contracts",
        )
    for name in names:
        one, other = onto.names.index(name), from_.names.index(name)
        if onto.merged[one] != from_.merged[other]:
            raise CallError(
                f"item {name!r} has other categories in the second form, expected the same ones",
                hint="link by items whose categories were all used in both forms",
            )
    return names


def _difficulty(values: Tensor) -> Tensor:
    """Return b_k = −d_k / a, (items, K − 1), NaN where an item has no such category."""
    steps = values[:, 1:-1]
    there = torch.isfinite(steps)
    return torch.where(there, -torch.where(there, steps, 0.0) / values[:, :1], torch.nan)


def _mean_sigma(first: Tensor, second: Tensor) -> Tensor:
    """Return (slope, intercept) from the difficulties of both forms."""
    one, other = _difficulty(first), _difficulty(second)
    both = torch.isfinite(one) & torch.isfinite(other)
    one, other = one[both], other[both]
    slope = one.std() / other.std()
    return torch.stack([slope, one.mean() - slope * other.mean()])


def _jacobians(
    function: Callable[[Tensor, Tensor], Tensor], first: _Values, second: _Values
) -> tuple[Tensor, Tensor]:
    """Return derivatives of (slope, intercept) by the free values of both forms."""

    def of(one: Tensor, other: Tensor) -> Tensor:
        return function(first.filled(one), second.filled(other))

    found: tuple[Tensor, Tensor] = jacrev(of, argnums=(0, 1))(first.own, second.own)
    return found


def _stocking_lord(
    first: _Values, second: _Values, grid: Grid, start: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (slope, intercept) and its derivatives, by the implicit function theorem."""
    nodes, root = torch.as_tensor(grid.nodes), torch.as_tensor(grid.weights).sqrt()

    def gap(link: Tensor, one: Tensor, other: Tensor) -> Tensor:
        moved = _expected(second.filled(other), (nodes - link[1]) / link[0])
        return root * (_expected(first.filled(one), nodes) - moved)

    def gradient(link: Tensor, one: Tensor, other: Tensor) -> Tensor:
        found: Tensor = grad(lambda *parts: gap(*parts).square().sum())(link, one, other)
        return found

    link = _least_squares(lambda place: gap(place, first.own, second.own), start)
    parts = jacrev(gradient, argnums=(0, 1, 2))(link, first.own, second.own)
    inner = -torch.linalg.inv(parts[0])
    return link, inner @ parts[1], inner @ parts[2]


def _least_squares(residuals: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Return where the squares are least, by Gauss–Newton steps that are halved until lower."""
    place = start
    for _ in range(_STEPS):
        own, by = residuals(place), jacrev(residuals)(place)
        step = -torch.linalg.solve(by.T @ by, by.T @ own)
        size, before = 1.0, float(own.square().sum())
        while size > 1e-6:
            tried = place + size * step
            if float(tried[0]) > 0 and float(residuals(tried).square().sum()) <= before:
                break
            size /= 2.0
        else:
            return place  # rounding hides what is left to gain
        place = tried
        if float((size * step).abs().max()) < 1e-12:
            break
    return place


def _expected(values: Tensor, nodes: Tensor) -> Tensor:
    """Return the expected sum of scores, (nodes,)."""
    return boundaries(values, nodes).upper.sum(dim=(0, 1))
