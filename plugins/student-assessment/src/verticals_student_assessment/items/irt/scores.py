"""Ability of each person with fixed items, and its standard error of measurement.

    EAP   mean and standard deviation of the posterior on the grid (Bock & Mislevy 1982)
    MAP   the posterior's mode; error by the expected information, prior included
    WLE   Warm's weighted likelihood (1989, Psychometrika 54): the root of
          l'(θ) + J(θ) / (2 I(θ)) with J = Σ_j Σ_k P' P'' / P; error I^(−1/2). It needs no prior,
          and is finite where all answers are right or wrong

MAP and WLE are bracketed on a grid of 8 standard deviations to either side, where an answer
pattern may have several maxima the highest is taken, and then solved by the Illinois method. A
person without an answer has the prior's mean and standard deviation as EAP and MAP, and no WLE.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from verticals.errors import CallError
from verticals.table import Array
from verticals_student_assessment.items.irt.curves import (
    LEAST,
    boundaries,
    probabilities,
    test_information,
    theta_derivatives,
)
from verticals_student_assessment.items.irt.likelihood import PosteriorPass
from verticals_student_assessment.items.irt.parameters import ItemBank

SCORINGS = ("EAP", "MAP", "WLE")
_NUMBERS_AT_ONCE = 400_000  # items × categories × persons of one block
_REACH, _BRACKETS = 8.0, 129
_STEPS = 40
_CLOSE = 1e-10  # in standard deviations


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """Hold ability, its standard error, and the number of answers, each (persons,)."""

    ability: Array
    error: Array
    answered: Array


def score_persons(
    bank: ItemBank,
    codes: Array,
    *,
    scoring: str = "EAP",
    points: int = 61,
    device: torch.device | None = None,
) -> Abilities:
    """Score persons on fixed items.

    `codes` is (persons, items) of the model's categories (see `collapse_categories`), −1 where
    there is no answer. The grid of an EAP has `points` nodes, or more where many items make the
    posterior narrow. Raises `CallError` for an unknown `scoring`.
    """
    if scoring not in SCORINGS:
        raise CallError(
            f"option scoring is {scoring!r}, expected one of {', '.join(SCORINGS)}",
            hint="--option scoring=EAP",
        )
    own = np.ascontiguousarray(codes, dtype=np.int8)
    where = device or torch.device("cpu")
    answered = (own >= 0).sum(axis=1)
    if scoring == "EAP":
        ability, error = _posterior_moments(bank, own, points, where)
    else:
        ability, error = _roots(bank, own, scoring == "WLE", where)
    nothing = answered == 0
    ability[nothing], error[nothing] = (np.nan, np.nan) if scoring == "WLE" else (0.0, bank.sd)
    return Abilities(ability=ability, error=error, answered=answered)


def log_likelihoods(
    bank: ItemBank, codes: Array, points: int = 61, device: torch.device | None = None
) -> Array:
    """Return the marginal log-likelihood of each person's answers, (persons,); 0 for none."""
    over, chance, _ = _pass(bank, codes, points, device or torch.device("cpu"))
    found = [block.marginal.double().cpu().numpy() for block in over.blocks(chance)]
    return np.concatenate([np.zeros(0), *found])


def _pass(
    bank: ItemBank, codes: Array, points: int, device: torch.device
) -> tuple[PosteriorPass, Tensor, Tensor]:
    """Return what goes over persons, the response probabilities on the grid, and its nodes."""
    grid = bank.grid(points)
    over = PosteriorPass(codes, np.ones(len(codes)), bank.categories, grid, device)
    nodes = torch.as_tensor(grid.nodes)
    chance = probabilities(boundaries(torch.as_tensor(bank.values), nodes))
    return over, chance, nodes


def needed_points(bank: ItemBank, *, spacing: float = 1.0) -> int:
    """Return how many nodes put neighbours at most `spacing` posterior deviations apart.

    The sum over an even grid misses a normal density's integral by about exp(−2π² / spacing²):
    3e-9 at 1, 1.5e-4 at 1.5. The narrowest posterior is where all items were answered and inform
    most.
    """
    information = float(test_information(bank, bank.grid(241).nodes).max())
    narrowest = 1.0 / math.sqrt(information + 1.0 / bank.sd**2)
    return math.ceil(12.0 * bank.sd / (spacing * narrowest)) + 1


def _posterior_moments(
    bank: ItemBank, codes: Array, points: int, device: torch.device
) -> tuple[Array, Array]:
    over, chance, nodes = _pass(bank, codes, max(points, needed_points(bank)), device)
    theta = nodes.to(dtype=over.dtype, device=device)
    means, variances = [np.zeros(0)], [np.zeros(0)]
    for block in over.blocks(chance):
        mean = block.posterior @ theta
        away = theta[None, :] - mean[:, None]
        means.append(mean.double().cpu().numpy())
        variances.append((block.posterior * away**2).sum(dim=1).double().cpu().numpy())
    return np.concatenate(means), np.sqrt(np.concatenate(variances))


def _roots(bank: ItemBank, codes: Array, warm: bool, device: torch.device) -> tuple[Array, Array]:
    dtype = torch.float32 if device.type == "mps" else torch.float64
    values = torch.as_tensor(bank.values).to(dtype=dtype, device=device)
    reach = _REACH * bank.sd
    grid = torch.linspace(-reach, reach, _BRACKETS, dtype=dtype, device=device)
    rows = max(1, _NUMBERS_AT_ONCE // (values.shape[0] * values.shape[1]))
    abilities, errors = [np.zeros(0)], [np.zeros(0)]
    for start in range(0, len(codes), rows):
        block = torch.as_tensor(codes[start : start + rows], device=device)
        person = _Persons(values, block, None if warm else bank.sd)
        low, high = _bracket(person.on_grid(grid), grid)
        root = _illinois(person.slope, low, high, _CLOSE * bank.sd)
        information = person.information(root)
        abilities.append(root.double().cpu().numpy())
        errors.append(information.rsqrt().double().cpu().numpy())
    return np.concatenate(abilities), np.concatenate(errors)


class _Persons:
    """The function whose root is a person's ability, for a block of persons.

    With a prior standard deviation it is the slope of the log-posterior, without one (None) that
    of Warm's weighted log-likelihood.
    """

    def __init__(self, values: Tensor, codes: Tensor, prior_sd: float | None) -> None:
        self._values = values
        self._codes = codes.T.clamp_min(0).long()[:, None]  # (items, 1, persons)
        self._answered = (codes.T >= 0).to(values.dtype)  # (items, persons)
        self._precision = None if prior_sd is None else 1.0 / prior_sd**2

    def slope(self, theta: Tensor) -> Tensor:
        """Return the function at each person's own value, (persons,)."""
        chance, first, second = self._curves(theta)
        own = first.gather(1, self._codes) / chance.gather(1, self._codes).clamp_min(LEAST)
        score = (own[:, 0] * self._answered).sum(dim=0)
        if self._precision is not None:
            return score - self._precision * theta
        return score + _warm(*(self._summed(part) for part in _parts(chance, first, second)))

    def on_grid(self, grid: Tensor) -> Tensor:
        """Return the function at every node for every person, (persons, nodes)."""
        chance, first, second = self._curves(grid)
        ratio = first / chance.clamp_min(LEAST)  # (items, K, nodes)
        score = torch.zeros((self._codes.shape[2], len(grid)), dtype=grid.dtype, device=grid.device)
        for category in range(ratio.shape[1]):
            chosen = (self._codes[:, 0] == category) * self._answered
            score += chosen.T @ ratio[:, category]
        if self._precision is not None:
            return score - self._precision * grid
        both = (self._answered.T @ part for part in _parts(chance, first, second))
        return score + _warm(*both)

    def information(self, theta: Tensor) -> Tensor:
        """Return the expected information at each person's value, the prior's included."""
        chance, first, second = self._curves(theta)
        found = self._summed(_parts(chance, first, second)[0])
        return found if self._precision is None else found + self._precision

    def _curves(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return theta_derivatives(boundaries(self._values, theta), self._values[:, 0])

    def _summed(self, part: Tensor) -> Tensor:
        return (part * self._answered).sum(dim=0)


def _parts(chance: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return each item's information and Warm's J, (items, nodes)."""
    least = torch.finfo(chance.dtype).tiny
    safe = chance.clamp_min(least)
    there = chance > least
    information = torch.where(there, first**2 / safe, 0.0).sum(dim=1)
    bias = torch.where(there, first * second / safe, 0.0).sum(dim=1)
    return information, bias


def _warm(information: Tensor, bias: Tensor) -> Tensor:
    """Return J / (2 I): 0 where there is no information, and so no answer to weigh."""
    least = torch.finfo(information.dtype).tiny
    return torch.where(information > least, bias / (2.0 * information.clamp_min(least)), 0.0)


def _bracket(slope: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Return neighbours of the node where the function's integral is highest."""
    rises = (slope[:, 1:] + slope[:, :-1]) / 2.0
    height = torch.cat([torch.zeros_like(rises[:, :1]), rises.cumsum(dim=1)], dim=1)
    best = height.argmax(dim=1)
    return grid[(best - 1).clamp_min(0)], grid[(best + 1).clamp_max(len(grid) - 1)]


def _illinois(
    function: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, close: float
) -> Tensor:
    """Return roots of a function that falls from `low` to `high`; an end where it does not.

    The Illinois variant of regula falsi: it keeps the bracket, and converges faster than bisection
    (Dowell & Jarratt 1971).
    """
    at_low, at_high = function(low), function(high)
    flat = (at_low <= 0) | (at_high >= 0)  # the highest value stands at an end
    root = torch.where(at_low <= 0, low, high)
    before = torch.zeros_like(flat)
    for step in range(_STEPS):
        fall = at_low - at_high
        middle = torch.where(fall > 0, (at_low * high - at_high * low) / fall, (low + high) / 2)
        value = function(middle)
        above = value > 0
        again = above == before if step else torch.zeros_like(above)
        kept = torch.where(again, 0.5, 1.0).to(value.dtype)  # an end that stays twice counts half
        moved = (middle - root).abs()
        at_high = torch.where(above, at_high * kept, value)
        at_low = torch.where(above, value, at_low * kept)
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        root, before = torch.where(flat, root, middle), above
        if bool(((moved < close) | (value == 0) | (high - low < close) | flat).all()):
            break
    return root
