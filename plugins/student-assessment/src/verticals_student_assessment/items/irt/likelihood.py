"""The E-step of Bock and Aitkin (1981): posterior weights on the grid, in blocks of persons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from verticals.table import Array
from verticals_student_assessment.items.irt.curves import LEAST
from verticals_student_assessment.items.irt.parameters import Grid

_LOWEST = -200.0  # of a log-posterior below its highest: smaller ones are slow denormal numbers
ROWS_AT_ONCE = 4096  # bounds the memory: rows × (indicators + nodes) numbers at a time


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Say which indicators a block of answers is turned into.

    One column for each category above the lowest (`item`, `category`), and one that tells whether
    an item was answered, for the items with a missing answer (`holed`).
    """

    item: Tensor
    category: Tensor
    holed: Tensor
    dichotomous: bool  # one column an item, in order


def layout(codes: Array, categories: Array, device: torch.device) -> Layout:
    """Return the layout for answers of (rows, items) with that many categories each."""
    steps = categories - 1
    item = np.repeat(np.arange(len(categories)), steps)
    category = np.concatenate([np.arange(1, count + 1) for count in steps])
    holed = np.flatnonzero((codes < 0).any(axis=0))
    return Layout(
        item=torch.as_tensor(item, device=device),
        category=torch.as_tensor(category.astype(np.int8), device=device),
        holed=torch.as_tensor(holed, device=device),
        dichotomous=bool((steps == 1).all()),
    )


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Hold the log-likelihood and the expected counts: (items, K, nodes) and (nodes,)."""

    log_likelihood: float
    counts: Tensor
    persons: Tensor


@dataclass(frozen=True, kw_only=True)
class Block:
    """Hold a block of persons: answers, weights, log-likelihoods and posteriors on the grid."""

    codes: Tensor  # (rows, items) int8
    weights: Tensor  # (rows,)
    indicators: Tensor  # (rows, columns of the layout)
    marginal: Tensor  # (rows,)
    posterior: Tensor  # (rows, nodes)


class PosteriorPass:
    """Go over all persons with given response probabilities, on any device, block by block.

    Answers stay as int8 on the device; a block's indicators, log-likelihoods and posterior
    weights are made in `dtype` (float64 where the device has it) and dropped again.
    """

    def __init__(
        self, codes: Array, weights: Array, categories: Array, grid: Grid, device: torch.device
    ) -> None:
        self.device = device
        self.dtype = torch.float32 if device.type == "mps" else torch.float64
        self.codes = torch.as_tensor(np.ascontiguousarray(codes), device=device)
        self.weights = torch.as_tensor(weights, dtype=self.dtype, device=device)
        self.categories = categories
        self.layout = layout(codes, categories, device)
        density = np.log(np.maximum(grid.weights, LEAST))
        self._prior = torch.as_tensor(density, dtype=self.dtype, device=device)

    def blocks(self, chance: Tensor) -> Iterator[Block]:
        """Yield what is known of each block of persons.

        `chance` is (items, K, nodes), on the CPU in float64.
        """
        table, constant = self._logs(chance)
        for start in range(0, len(self.codes), ROWS_AT_ONCE):
            codes = self.codes[start : start + ROWS_AT_ONCE]
            indicators = self._indicators(codes)
            joint = (indicators @ table).add_(constant)
            most = joint.amax(dim=1, keepdim=True)
            joint = joint.sub_(most).clamp_min_(_LOWEST).exp_()
            total = joint.sum(dim=1, keepdim=True)
            yield Block(
                codes=codes,
                weights=self.weights[start : start + ROWS_AT_ONCE],
                indicators=indicators,
                marginal=(most + total.log())[:, 0],
                posterior=joint.div_(total),
            )

    def _indicators(self, codes: Tensor) -> Tensor:
        """Return (rows, columns of the layout) zeros and ones."""
        own = self.layout
        if own.dichotomous and not len(own.holed):
            return codes.to(self.dtype)
        chosen = codes if own.dichotomous else codes.index_select(1, own.item)
        found = chosen == own.category
        if len(own.holed):
            found = torch.cat([found, codes.index_select(1, own.holed) >= 0], dim=1)
        return found.to(self.dtype)

    def expected(self, chance: Tensor) -> Expected:
        """Return log-likelihood and expected counts, summed over persons, in float64."""
        columns = len(self.layout.item) + len(self.layout.holed)
        width = chance.shape[2]
        sums = torch.zeros((columns, width), dtype=self.dtype, device=self.device)
        persons = torch.zeros(width, dtype=self.dtype, device=self.device)
        total = 0.0
        for block in self.blocks(chance):
            weighted = block.posterior * block.weights[:, None]
            sums += block.indicators.T @ weighted
            persons += weighted.sum(dim=0)
            total += float((block.marginal * block.weights).sum())
        return Expected(
            log_likelihood=total,
            counts=self._spread(sums.double().cpu(), persons.double().cpu(), chance.shape),
            persons=persons.double().cpu(),
        )

    def _logs(self, chance: Tensor) -> tuple[Tensor, Tensor]:
        """Return what indicators are multiplied by, and what every person starts from."""
        logs = chance.clamp_min(LEAST).log()
        lowest = logs[:, 0]
        item, category = self.layout.item.cpu(), self.layout.category.cpu().long()
        holed = self.layout.holed.cpu()
        whole = torch.ones(len(logs), dtype=torch.bool)
        whole[holed] = False
        table = torch.cat([logs[item, category] - lowest[item], lowest[holed]])
        constant = lowest[whole].sum(dim=0)
        table, constant = (part.to(self.device, self.dtype) for part in (table, constant))
        return table, constant + self._prior

    def _spread(self, sums: Tensor, persons: Tensor, shape: torch.Size) -> Tensor:
        """Return (items, K, nodes) from sums of indicators; the lowest category is the rest."""
        counts = torch.zeros(shape, dtype=torch.float64)
        item, category = self.layout.item.cpu(), self.layout.category.cpu().long()
        counts[item, category] = sums[: len(item)]
        answered = persons.expand(shape[0], -1).clone()
        answered[self.layout.holed.cpu()] = sums[len(item) :]
        counts[:, 0] = (answered - counts.sum(dim=1)).clamp_min(0.0)
        return counts
