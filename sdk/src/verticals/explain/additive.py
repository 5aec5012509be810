"""Exact Shapley values of additive models, in closed form and at the price of one prediction.

For `f(x) = bias + sum_j f_j(x_j) + sum_(j,k) f_jk(x_j, x_k)` over a product background, the
Shapley value of field j is `f_j(x_j) - E f_j` plus half of each of its pair terms' two marginal
gains (linearity and symmetry; Shapley 1953). No sampling, no error but rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from verticals.explain.attributions import EXACT_ADDITIVE, Attributions, checked
from verticals.explain.background import Background
from verticals.plugin import Inputs
from verticals.table import Array


class AdditiveTerms(Protocol):
    """What an additive model tells: its terms on encoded blocks, and whose they are."""

    @property
    def players(self) -> tuple[tuple[str, ...], ...]:
        """Return the one or two fields of each term."""
        ...

    def terms(self, blocks: Mapping[str, Array]) -> Array:
        """Return (rows, terms, outputs) in float64."""
        ...

    def bias(self) -> Array:
        """Return (outputs,)."""
        ...


def explain_additive(
    model: AdditiveTerms,
    blocks: Mapping[str, Array],
    background: Background,
    inputs: Inputs,
    outputs: Sequence[str],
    *,
    means: Array | None = None,
) -> Attributions:
    """Return exact attributions of an additive model over a product background.

    `means` is what `additive_means` gave for the same model and background: who explains one row
    at a time computes it once.
    """
    fields = tuple(inputs.where)
    terms = model.terms(blocks)  # (rows, terms, outputs)
    values = np.zeros((terms.shape[0], len(outputs), len(fields)))
    base = np.array(model.bias(), dtype=np.float64)
    single = additive_means(model, background, inputs) if means is None else means
    for position, players in enumerate(model.players):
        if len(players) == 1:
            values[:, :, fields.index(players[0])] += terms[:, position] - single[position]
            base += single[position]
            continue
        first, second = players
        mean_first, mean_second, mean = _pair_means(
            model, position, blocks, background, inputs, first, second
        )
        term = terms[:, position]
        values[:, :, fields.index(first)] += (mean_first - mean + term - mean_second) / 2.0
        values[:, :, fields.index(second)] += (mean_second - mean + term - mean_first) / 2.0
        base += mean
    raw = np.asarray(model.bias(), dtype=np.float64)[None, :] + terms.sum(axis=1)
    return checked(
        outputs=tuple(outputs),
        fields=fields,
        values=values,
        base=base,
        raw=raw,
        method=EXACT_ADDITIVE,
    )


def additive_means(model: AdditiveTerms, background: Background, inputs: Inputs) -> Array:
    """Average each one-field term over its field's background: (terms, outputs), NaN for pairs."""
    means: Array | None = None
    where: dict[str, list[int]] = {}
    for position, players in enumerate(model.players):
        if len(players) == 1:
            where.setdefault(players[0], []).append(position)
    for name, positions in where.items():
        points = background.values[name]
        terms = model.terms(_place(_empty(inputs, len(points)), inputs, name, points))
        if means is None:
            means = np.full(terms.shape[1:], np.nan)
        weight = background.weights[name]
        means[positions] = np.einsum("pto,p->to", terms[:, positions], weight)
    return means if means is not None else np.zeros((0, 1))


def _pair_means(
    model: AdditiveTerms,
    position: int,
    blocks: Mapping[str, Array],
    background: Background,
    inputs: Inputs,
    first: str,
    second: str,
) -> tuple[Array, Array, Array]:
    """Return E over the second, E over the first (rows, outputs), and E over both (outputs,)."""
    over_second = _mean_over(model, position, blocks, background, inputs, second)
    over_first = _mean_over(model, position, blocks, background, inputs, first)
    points, weight = background.values[first], background.weights[first]
    grid = _place(_empty(inputs, len(points)), inputs, first, points)
    both = _mean_over(model, position, grid, background, inputs, second)
    return over_second, over_first, np.einsum("po,p->o", both, weight)


def _mean_over(
    model: AdditiveTerms,
    position: int,
    blocks: Mapping[str, Array],
    background: Background,
    inputs: Inputs,
    name: str,
) -> Array:
    """Average one term over the background of one of its fields: (rows, outputs)."""
    total: Array | float = 0.0
    rows = next(iter(blocks.values())).shape[0]
    for value, weight in zip(background.values[name], background.weights[name], strict=True):
        repeated = np.broadcast_to(value, (rows, *value.shape))
        placed = _place(dict(blocks), inputs, name, repeated)
        total = total + weight * model.terms(placed)[:, position]
    return np.asarray(total)


def _empty(inputs: Inputs, rows: int) -> dict[str, Array]:
    return {
        name: np.zeros((rows, *shape), dtype=np.float32) for name, shape in inputs.shapes.items()
    }


def _place(blocks: dict[str, Array], inputs: Inputs, name: str, values: Array) -> dict[str, Array]:
    """Return blocks in which one field has the given encoded values."""
    block, where = inputs.where[name]
    changed = np.array(blocks[block])
    if changed.ndim == 2:
        changed[:, where] = values
    else:
        changed = np.array(values)
    return {**blocks, block: changed}
