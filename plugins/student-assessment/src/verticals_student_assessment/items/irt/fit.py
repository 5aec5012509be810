"""Estimate items by marginal maximum likelihood.

Each iteration makes one E-step, whose expected counts give the exact gradient of the marginal
log-likelihood. The step is that of the EM gradient algorithm (Lange 1995, J. R. Stat. Soc. B 57),
one Fisher-scoring step of the M-step for every item at once, sharpened by limited-memory BFGS with
the complete-data information as its metric (quasi-Newton acceleration of EM, Lange 1995, Stat.
Sinica 5). A step that lowers the log-likelihood is halved, so that it never falls. The end is a
Newton decrement below `tolerance`: twice the log-likelihood still to be gained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from verticals.errors import CallError, TrainingError
from verticals.table import Array
from verticals_student_assessment.items.irt.curves import (
    LEAST,
    boundaries,
    gradients,
    probabilities,
)
from verticals_student_assessment.items.irt.likelihood import Expected, PosteriorPass
from verticals_student_assessment.items.irt.parameters import MODELS, Grid, ItemBank
from verticals_student_assessment.items.irt.responses import Responses
from verticals_student_assessment.items.irt.start import free_values, spaced_part
from verticals_student_assessment.items.irt.uncertainty import standard_errors

LEAST_PERSONS, LEAST_ITEMS = 30, 3
_MEMORY = 12  # pairs of limited-memory BFGS
_FARTHEST = 1.0  # of any parameter in one step, in its own unit (log-odds)
_ROUGH = 1e-3  # tolerance of starting values
_ROUNDING = 1e-13  # of the log-likelihood, relative

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Say how to estimate.

    `guessing_prior` is (mean, sd) of a normal prior on the logit of a 3PL item's lower asymptote,
    None for plain maximum likelihood, as R's mirt has it by default. The default mean is logit of
    0.2; without a prior, easy items leave the asymptote, and its error, undetermined.
    """

    model: str = "2PL"
    points: int = 61
    guessing_prior: tuple[float, float] | None = (math.log(0.2 / 0.8), 1.0)
    tolerance: float = 1e-8
    iterations: int = 500
    errors: str = "auto"  # "louis", "cross-product", "none"; auto: louis where it is affordable

    def __post_init__(self) -> None:
        """Refuse what cannot be estimated."""
        if self.model not in MODELS:
            raise CallError(
                f"option model is {self.model!r}, expected one of {', '.join(MODELS)}",
                hint="--option model=2PL",
            )
        if not isinstance(self.points, int) or not 5 <= self.points <= 1001:
            raise CallError(
                f"option points is {self.points!r}, expected a whole number from 5 to 1001",
                hint="--option points=61",
            )
        prior = self.guessing_prior
        if prior is not None and not (math.isfinite(prior[0]) and prior[1] > 0):
            raise CallError(
                f"option guessing_prior is {prior}, expected a finite mean and an sd above 0",
                hint="--option guessing_prior=-1.386,1",
            )


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Hold the items, and how the estimates came about."""

    bank: ItemBank
    log_likelihood: float
    history: tuple[float, ...]  # the objective after each iteration, never falling
    iterations: int
    passes: int  # E-steps
    converged: bool
    parameters: int
    method: str  # of the standard errors


@dataclass
class _Point:
    """Where the search stands: values, objective, gradient and metric by item."""

    values: Tensor
    objective: float
    expected: Expected
    slope: Tensor  # (items, K + 1), the gradient of the objective
    metric: Tensor  # (items, K + 1, K + 1), complete-data information


class _Search:
    """The likelihood of one set of answers as a function of item parameters."""

    def __init__(self, data: Responses, options: FitOptions, device: torch.device) -> None:
        self.data, self.options = data, options
        self.grid = Grid.normal(options.points)
        self.nodes = torch.as_tensor(self.grid.nodes)
        self.over = PosteriorPass(data.codes, data.weights, data.categories, self.grid, device)
        self.common = options.model in ("Rasch", "1PL")
        self.free = torch.as_tensor(free_values(data.categories, options.model))
        self.passes = 0

    def at(self, values: Tensor) -> _Point | None:
        """Return objective and gradient; None where intercepts are out of order."""
        chance = probabilities(boundaries(values, self.nodes))
        used = torch.as_tensor(np.arange(chance.shape[1])) < torch.as_tensor(
            self.data.categories[:, None]
        )
        if not bool(torch.isfinite(chance).all()) or bool((chance.amin(dim=2)[used] < 0).any()):
            return None
        self.passes += 1
        expected = self.over.expected(chance)
        slope, metric = self._moments(values, chance, expected)
        objective = expected.log_likelihood + self._prior(values, slope, metric)
        if not math.isfinite(objective):
            return None
        return _Point(values, objective, expected, slope, metric)

    def _moments(self, values: Tensor, chance: Tensor, expected: Expected) -> tuple[Tensor, Tensor]:
        edge = boundaries(values, self.nodes)
        by = gradients(edge, self.nodes) * self.free[:, None, :, None]
        safe = chance.clamp_min(LEAST)
        ratio = torch.where(chance > LEAST, expected.counts / safe, 0.0)
        slope = torch.einsum("jkq,jkpq->jp", ratio, by)
        answered = expected.counts.sum(dim=1)  # (items, nodes)
        share = torch.where(chance > LEAST, answered[:, None] / safe, 0.0)
        metric = torch.einsum("jkq,jkpq,jkrq->jpr", share, by, by)
        metric += torch.diag_embed((~self.free).to(metric.dtype))
        return slope, metric

    def _prior(self, values: Tensor, slope: Tensor, metric: Tensor) -> float:
        """Add the prior on guessing to gradient and metric, in place; return its logarithm."""
        prior = self.options.guessing_prior
        guesses = self.free[:, -1]
        if prior is None or not bool(guesses.any()):
            return 0.0
        away = values[guesses, -1] - prior[0]
        slope[guesses, -1] -= away / prior[1] ** 2
        metric[guesses, -1, -1] += 1.0 / prior[1] ** 2
        return float(-0.5 * (away**2).sum() / prior[1] ** 2)

    def solve(self, point: _Point, right: Tensor) -> Tensor:
        """Return the complete-data information's inverse times `right`, (items, K + 1).

        With one common slope the blocks share their first row: an arrowhead, solved by its Schur
        complement; `right` and the result then repeat the slope's part in every row, a share of
        it each (see `fold`).
        """
        metric = point.metric
        if not self.common:
            whole: Tensor = torch.linalg.solve(metric, right)
            return whole
        rest, cross = metric[:, 1:, 1:], metric[:, 0, 1:]
        inner = torch.linalg.solve(rest, torch.stack([right[:, 1:], cross], dim=2))
        top = metric[:, 0, 0].sum() - (cross * inner[:, :, 1]).sum()
        slope = (right[:, 0].sum() - (cross * inner[:, :, 0]).sum()) / top
        own = inner[:, :, 0] - inner[:, :, 1] * slope
        return torch.cat([slope.expand(len(own), 1), own], dim=1)


def starting_values(data: Responses, options: FitOptions) -> Array:
    """Return slopes of 1, intercepts from the shares of each category, guessing from its prior."""
    most = int(data.categories.max())
    values = np.full((len(data.names), most + 1), -np.inf)
    values[:, 0] = 1.0
    for place, count in enumerate(data.categories):
        codes, weights = data.codes[:, place], data.weights
        total = weights[codes >= 0].sum()
        for k in range(1, count):
            share = (weights[codes >= k].sum() + 0.5) / (total + 1.0)
            values[place, k] = 1.2 * math.log(share / (1.0 - share))
    if options.model == "3PL":
        prior = options.guessing_prior or FitOptions().guessing_prior
        assert prior is not None  # the default has one
        values[data.categories == 2, -1] = prior[0]
    return values


def fit_items(
    data: Responses,
    options: FitOptions | None = None,
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Estimate all items of `data` with standard errors.

    Runs on `device` (the CPU by default) in blocks of persons; sums come back to the CPU, where
    the small algebra of the items is done in float64. Raises `TrainingError` for fewer than 30
    persons or 3 items, or where the log-likelihood is not finite.
    """
    chosen = options or FitOptions()
    _refuse_too_little(data)
    where = device or torch.device("cpu")
    values, pairs = torch.as_tensor(starting_values(data, chosen)), []
    part = spaced_part(data)
    if part is not None:
        small = _climb(_Search(part, chosen, where), values, [], _ROUGH, None)
        if small is not None:
            more = data.persons / part.persons
            values = small.point.values
            pairs = [(step, more * turn) for step, turn in small.pairs]
    search = _Search(data, chosen, where)
    climb = _climb(search, values, pairs, chosen.tolerance, progress)
    if climb is None:
        raise TrainingError("the log-likelihood of the starting values is not finite")
    return _finish(search, climb)


@dataclass(frozen=True, kw_only=True)
class _Climb:
    """Hold where a search ended, the pairs of its memory, and its way."""

    point: _Point
    pairs: list[tuple[Tensor, Tensor]]
    history: tuple[float, ...]
    converged: bool


def _climb(
    search: _Search,
    values: Tensor,
    pairs: list[tuple[Tensor, Tensor]],
    tolerance: float,
    progress: Progress | None,
) -> _Climb | None:
    """Go uphill from `values`; None where the log-likelihood is not finite there."""
    point = search.at(values)
    if point is None:
        return None
    history, converged, most = [point.objective], False, search.options.iterations
    for iteration in range(most):
        if progress is not None:
            progress("iterations", iteration, most)
        direction = _direction(search, point, pairs)
        if _decrement(search, point, direction) < tolerance:
            converged = True
            break
        following = _line(search, point, direction)
        if following is None and pairs:
            pairs = []  # the metric alone is uphill for certain
            continue
        if following is None:
            break
        change = torch.nan_to_num(following.values - point.values, nan=0.0)
        turn = point.slope - following.slope
        if float((change * turn).sum()) > 0.0:
            pairs = [*pairs[-_MEMORY + 1 :], (change, turn)]
        point = following
        history.append(point.objective)
    return _Climb(point=point, pairs=pairs, history=tuple(history), converged=converged)


def _refuse_too_little(data: Responses) -> None:
    if data.persons < LEAST_PERSONS or len(data.names) < LEAST_ITEMS:
        raise TrainingError(
            f"{data.persons:g} persons and {len(data.names)} items can be learnt from, expected "
            f"at least {LEAST_PERSONS} persons and {LEAST_ITEMS} items",
            hint="give more rows, or items that some answer right and others wrong",
        )


def _direction(search: _Search, point: _Point, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the uphill direction by the two-loop recursion, with the EM metric in the middle.

    Inner products pair a step with a gradient: of a common slope, every row's part of the gradient
    meets the same step, which adds up to the derivative by the one slope.
    """
    left = point.slope.clone()
    alphas = []
    for step, turn in reversed(pairs):
        alpha = float((step * left).sum()) / float((step * turn).sum())
        left = left - alpha * turn
        alphas.append(alpha)
    found = search.solve(point, left)
    for (step, turn), alpha in zip(pairs, reversed(alphas), strict=True):
        beta = float((turn * found).sum()) / float((step * turn).sum())
        found = found + (alpha - beta) * step
    if pairs and float((found * point.slope).sum()) <= 0.0:
        return search.solve(point, point.slope)
    return found


def _decrement(search: _Search, point: _Point, direction: Tensor) -> float:
    """Return the larger gain promised by the sharpened and the plain step."""
    plain = float((search.solve(point, point.slope) * point.slope).sum())
    return max(float((direction * point.slope).sum()), plain)


def _line(search: _Search, point: _Point, direction: Tensor) -> _Point | None:
    """Return the first point along the direction, halving from 1, that is not lower."""
    farthest = float(direction.abs().max())
    size = min(1.0, _FARTHEST / farthest) if farthest > 0 else 1.0
    promised = float((direction * point.slope).sum())
    noise = _ROUNDING * abs(point.objective)
    for _ in range(30):
        found = search.at(point.values + size * direction)
        if found is not None and found.objective >= point.objective + 1e-4 * size * promised:
            return found
        # Close to the top, rounding hides the gain: a smaller gradient is then the proof.
        if found is not None and size * promised < noise and _smaller(search, found, point):
            return replace(found, objective=max(found.objective, point.objective))
        size /= 2.0
    return None


def _smaller(search: _Search, found: _Point, point: _Point) -> bool:
    return _decrement(search, found, search.solve(found, found.slope)) < _decrement(
        search, point, search.solve(point, point.slope)
    )


def _finish(search: _Search, climb: _Climb) -> Fit:
    data, options, point = search.data, search.options, climb.point
    iterations = len(climb.history) - 1
    values, method = point.values, options.errors
    covariance: Array | None = None
    if method != "none":
        covariance, method = standard_errors(
            search.over,
            values,
            search.free,
            search.nodes,
            common=search.common,
            prior_sd=None if options.guessing_prior is None else options.guessing_prior[1],
            method=method,
        )
    facts: dict[str, Any] = {
        "log_likelihood": point.expected.log_likelihood,
        "iterations": iterations,
        "converged": climb.converged,
        "persons": data.persons,
        "standard_errors": method,
        "points": options.points,
        "guessing_prior": list(options.guessing_prior or ()) if options.model == "3PL" else [],
    }
    bank = ItemBank(
        names=data.names,
        model=options.model,
        categories=data.categories,
        merged=data.merged,
        values=values.numpy().copy(),
        free=search.free.numpy().copy(),
        covariance=covariance,
    )
    parameters = int(search.free.sum()) - (len(data.names) - 1 if search.common else 0)
    facts["parameters"] = parameters
    return Fit(
        bank=_scaled(replace(bank, facts=facts)),
        log_likelihood=point.expected.log_likelihood,
        history=climb.history,
        iterations=iterations,
        passes=search.passes,
        converged=climb.converged,
        parameters=parameters,
        method=method,
    )


def _scaled(bank: ItemBank) -> ItemBank:
    """Turn a common slope with a standard normal trait into Rasch: slope 1 and a variance."""
    if bank.model != "Rasch":
        return bank
    common, values, free = float(bank.values[0, 0]), bank.values.copy(), bank.free.copy()
    values[:, 0], free[:, 0] = 1.0, False
    covariance = bank.covariance
    if common < 0 and covariance is not None:  # a standard deviation has no sign
        covariance = covariance.copy()
        covariance[0, 1:] *= -1.0
        covariance[1:, 0] *= -1.0
    return replace(bank, values=values, free=free, sd=abs(common), covariance=covariance)


def fit_facts(fit: Fit) -> Mapping[str, Any]:
    """Return AIC and BIC beside what the bank already says of its fit."""
    persons = float(fit.bank.facts["persons"])
    deviance = -2.0 * fit.log_likelihood
    return {
        **fit.bank.facts,
        "aic": deviance + 2.0 * fit.parameters,
        "bic": deviance + math.log(persons) * fit.parameters,
    }
