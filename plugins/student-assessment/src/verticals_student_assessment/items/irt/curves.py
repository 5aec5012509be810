"""Response functions of items, their derivatives, and the information of items and tests.

The graded response model (Samejima 1969) with a lower asymptote holds all others as special
cases: two categories give the 1PL, 2PL and 3PL. With z_k = aθ + d_k and σ the logistic function,
P(X ≥ k) = g + (1 − g) σ(z_k), and P(X = k) is the difference of neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from verticals.table import Array
from verticals_student_assessment.items.irt.parameters import ItemBank

LEAST = 1e-300  # of a probability, before its logarithm


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """Hold P(X ≥ k | θ) for k = 1 … K − 1, and what its derivatives are made of.

    `upper` is (items, K − 1, nodes), float64; so are `sigma`, `weight` = (1 − g) σ(1 − σ), the
    derivative by z, and `bend`, the second one. `floor` is 1 − σ where the item has the category,
    else 0; `gap` is d_k+1 − d_k, (items, K − 2, 1), and `guess` g, (items, 1, 1).
    """

    upper: Tensor
    sigma: Tensor
    weight: Tensor
    bend: Tensor
    floor: Tensor
    gap: Tensor
    guess: Tensor


def boundaries(values: Tensor, nodes: Tensor) -> Boundary:
    """Return cumulative response functions of items with `values` (items, K + 1) at the nodes."""
    slope, intercept, logit = values[:, :1], values[:, 1:-1], values[:, -1]
    z = slope[:, :, None] * nodes + intercept[:, :, None]
    sigma, rest = torch.sigmoid(z), torch.sigmoid(-z)
    guess = torch.sigmoid(logit)[:, None, None]
    weight = (1.0 - guess) * sigma * rest
    present = torch.isfinite(intercept)[:, :, None]
    return Boundary(
        upper=torch.where(present, guess + (1.0 - guess) * sigma, 0.0),
        sigma=sigma,
        weight=weight,
        bend=weight * (rest - sigma),
        floor=torch.where(present, rest, 0.0),
        gap=torch.nan_to_num(intercept.diff(dim=1), neginf=-torch.inf)[:, :, None],
        guess=guess,
    )


def between(upper: Tensor, *, first: float = 1.0) -> Tensor:
    """Turn (items, K − 1, …) cumulative values into (items, K, …) differences of neighbours.

    `first` stands before the first one: 1 for probabilities, 0 for derivatives.
    """
    start = torch.full_like(upper[:, :1], first)
    end = torch.zeros_like(upper[:, :1])
    full = torch.cat([start, upper, end], dim=1)
    return full[:, :-1] - full[:, 1:]


def probabilities(edge: Boundary) -> Tensor:
    """Return P(X = k | θ), (items, K, nodes); 0 for categories that an item lacks.

    By σ(z_k) − σ(z_k+1) = σ(z_k) (1 − σ(z_k+1)) (1 − exp(d_k+1 − d_k)), which keeps its digits
    where both are near 1. Negative where intercepts are out of order.
    """
    rest = 1.0 - edge.guess
    lowest = rest * edge.floor[:, :1]
    beyond = torch.where(edge.floor[:, 1:] > 0.0, edge.floor[:, 1:], 1.0 - edge.sigma[:, 1:])
    middle = edge.sigma[:, :-1] * beyond * -torch.expm1(edge.gap)
    # The last category that an item has keeps the asymptote; those between have none.
    last = torch.where(torch.isneginf(edge.gap), edge.upper[:, :-1], middle)
    return torch.cat([lowest, last, edge.upper[:, -1:]], dim=1)


def gradients(edge: Boundary, nodes: Tensor) -> Tensor:
    """Return ∂P(X = k)/∂(a, d_1 … d_K−1, logit g), (items, K, K + 1, nodes)."""
    items, steps, width = edge.upper.shape
    cumulative = edge.upper.new_zeros((items, steps, steps + 2, width))
    cumulative[:, :, 0] = edge.weight * nodes
    for k in range(steps):
        cumulative[:, k, k + 1] = edge.weight[:, k]
    cumulative[:, :, -1] = edge.guess * (1.0 - edge.guess) * edge.floor
    return between(cumulative, first=0.0)


def curvatures(edge: Boundary, nodes: Tensor) -> Tensor:
    """Return second derivatives of P(X = k), (items, K, K + 1, K + 1, nodes)."""
    items, steps, width = edge.upper.shape
    size = steps + 2
    cumulative = edge.upper.new_zeros((items, steps, size, size, width))
    share = edge.guess * (1.0 - edge.guess)
    mixed = -edge.guess * edge.weight  # ∂²/∂logit g ∂z
    cumulative[:, :, 0, 0] = edge.bend * nodes**2
    cumulative[:, :, 0, -1] = cumulative[:, :, -1, 0] = mixed * nodes
    cumulative[:, :, -1, -1] = share * (1.0 - 2.0 * edge.guess) * edge.floor
    for k in range(steps):
        cumulative[:, k, k + 1, k + 1] = edge.bend[:, k]
        cumulative[:, k, 0, k + 1] = cumulative[:, k, k + 1, 0] = edge.bend[:, k] * nodes
        cumulative[:, k, k + 1, -1] = cumulative[:, k, -1, k + 1] = mixed[:, k]
    return between(cumulative, first=0.0)


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Hold P(X = k | θ) and its derivatives by θ, each (items, K, nodes), float64.

    Of categories that an item lacks all are 0. `information` is (items, nodes): the Fisher
    information Σ_k P'_k² / P_k.
    """

    probability: Array
    slope: Array
    bend: Array
    information: Array

    @property
    def expected(self) -> Array:
        """Return the expected score of each item, (items, nodes)."""
        steps = np.arange(self.probability.shape[1])
        return np.asarray(np.einsum("jkq,k->jq", self.probability, steps))


def theta_derivatives(edge: Boundary, slopes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return P, ∂P/∂θ and ∂²P/∂θ², each (items, K, nodes)."""
    slope = slopes[:, None, None]
    first = between(edge.weight * slope, first=0.0)
    second = between(edge.bend * slope**2, first=0.0)
    return probabilities(edge), first, second


def item_curves(bank: ItemBank, nodes: Array) -> Curves:
    """Return the curves of every item at the given values of the trait, (nodes,)."""
    where = torch.as_tensor(np.asarray(nodes, dtype=np.float64))
    values = torch.as_tensor(bank.values)
    edge = boundaries(values, where)
    chance, first, second = theta_derivatives(edge, values[:, 0])
    share = torch.where(chance > LEAST, first**2 / chance.clamp_min(LEAST), 0.0)
    return Curves(
        probability=chance.numpy(),
        slope=first.numpy(),
        bend=second.numpy(),
        information=share.sum(dim=1).numpy(),
    )


def test_information(bank: ItemBank, nodes: Array) -> Array:
    """Return the Fisher information of the whole test about the trait, (nodes,)."""
    return np.asarray(item_curves(bank, nodes).information.sum(axis=0))
