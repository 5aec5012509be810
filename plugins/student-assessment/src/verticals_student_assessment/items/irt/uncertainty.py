"""Standard errors of item parameters, from the observed information or from persons' scores.

Louis's identity (1982, J. R. Stat. Soc. B 44): the observed information of the marginal likelihood
is the expected information of the complete data less what is missing,

    I = Σ_i E_i[−∂² log f] − Σ_i Cov_i[∂ log f],

both under each person's posterior. It is exact on the grid, up to no difference quotient. It costs
persons × nodes × parameters². Where all answers are there and items are 1PL or 2PL, the score is
x·(θ, 1) − P·(θ, 1), so that answers come out of the posterior covariance, and the cost falls to
persons × parameters². Elsewhere, where it would cost too much, the cross-product of the persons'
scores takes its place, which has the same limit for many persons under the model.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from verticals.errors import CallError
from verticals.table import Array
from verticals_student_assessment.items.irt.curves import (
    LEAST,
    boundaries,
    curvatures,
    gradients,
    probabilities,
)
from verticals_student_assessment.items.irt.likelihood import PosteriorPass

AFFORDABLE = 4e11  # multiplications of the general form: about a minute on two cores
_NUMBERS_AT_ONCE = 4_000_000  # rows × categories' scores
_NEGLIGIBLE = 1e-10  # posterior weight of a node


def standard_errors(
    over: PosteriorPass,
    values: Tensor,
    free: Tensor,
    nodes: Tensor,
    *,
    common: bool = False,
    prior_sd: float | None = None,
    method: str = "auto",
) -> tuple[Array, str]:
    """Return the covariance of the estimated parameters and the method that gave it.

    `values` and `free` are (items, K + 1); parameters stand in the order of `free`, row by row,
    behind the one slope where it is `common`. The covariance is NaN throughout where the
    information is not positive definite. Methods: "louis", "cross-product", "auto".
    """
    if method not in ("auto", "louis", "cross-product"):
        raise CallError(
            f"standard errors by {method!r}, expected auto, louis or cross-product",
            hint="leave it out",
        )
    # Few values are free in a dichotomous item; all others are padding.
    canonical = (
        over.layout.dichotomous and not len(over.layout.holed) and not bool(free[:, -1].any())
    )
    size = free.numel()
    if method == "auto":
        cost = float(len(over.codes)) * len(nodes) * size**2 / 4.0  # most nodes are negligible
        method = "louis" if canonical or cost < AFFORDABLE else "cross-product"
    if method == "cross-product":
        information = _cross_product(over, values, nodes)
    else:
        information = _complete(over, values, nodes)
        missing = _missing_canonical if canonical else _missing
        information = information - missing(over, values, nodes)
    if prior_sd is not None and bool(free[:, -1].any()):
        last = torch.arange(len(values)) * values.shape[1] + values.shape[1] - 1
        information[last, last] += 1.0 / prior_sd**2
    return _invert(_chosen(information, free, common)), method


def _chosen(information: Tensor, free: Tensor, common: bool) -> Tensor:
    """Return the information of what is estimated; a common slope adds up its rows and columns."""
    flat = free.clone()
    if not common:
        where = torch.nonzero(flat.reshape(-1))[:, 0]
        return information[where][:, where]
    slopes = torch.arange(len(free)) * free.shape[1]
    flat[:, 0] = False
    where = torch.nonzero(flat.reshape(-1))[:, 0]
    gather = information.new_zeros((len(where) + 1, information.shape[0]))
    gather[0, slopes] = 1.0
    gather[torch.arange(1, len(where) + 1), where] = 1.0
    return gather @ information @ gather.T


def _invert(information: Tensor) -> Array:
    whole = (information + information.T) / 2.0
    factor, failed = torch.linalg.cholesky_ex(whole)
    if int(failed) or not bool(torch.isfinite(whole).all()):
        return np.full(whole.shape, np.nan)
    return np.asarray(torch.cholesky_inverse(factor).numpy())


def _complete(over: PosteriorPass, values: Tensor, nodes: Tensor) -> Tensor:
    """Return Σ E[−∂² log f], block-diagonal by item, (parameters, parameters)."""
    edge = boundaries(values, nodes)
    chance = probabilities(edge)
    counts = over.expected(chance).counts
    first, second = gradients(edge, nodes), curvatures(edge, nodes)
    ratio = torch.where(chance > LEAST, counts / chance.clamp_min(LEAST), 0.0)
    square = torch.where(chance > LEAST, ratio / chance.clamp_min(LEAST), 0.0)
    blocks = torch.einsum("jkq,jkpq,jkrq->jpr", square, first, first)
    blocks -= torch.einsum("jkq,jkprq->jpr", ratio, second)
    items, size = blocks.shape[:2]
    found = blocks.new_zeros((items, size, items, size))
    places = torch.arange(items)
    found[places, :, places] = blocks
    return found.reshape(items * size, items * size)


def _score_table(values: Tensor, nodes: Tensor) -> Tensor:
    """Return ∂ log P(X = k) / ∂ parameters, (nodes, items, K, K + 1)."""
    edge = boundaries(values, nodes)
    chance = probabilities(edge)
    by = gradients(edge, nodes)
    found = torch.where(chance[:, :, None] > LEAST, by / chance.clamp_min(LEAST)[:, :, None], 0.0)
    return found.permute(3, 0, 1, 2).contiguous()


def _picked(table: Tensor, codes: Tensor) -> Tensor:
    """Return each row's scores at one node, (rows, parameters), 0 where an answer is missing.

    `table` is (items, K, K + 1).
    """
    rows, items = codes.shape
    place = torch.arange(items, device=codes.device) * table.shape[1] + codes.clamp_min(0).long()
    found = table.reshape(-1, table.shape[2])[place]
    found *= (codes >= 0)[:, :, None]
    return found.reshape(rows, -1)


def _missing(over: PosteriorPass, values: Tensor, nodes: Tensor) -> Tensor:
    """Return Σ_i Cov_i of the complete-data score, in its general form."""
    chance = probabilities(boundaries(values, nodes))
    table = _score_table(values, nodes).to(dtype=over.dtype, device=over.device)
    size = values.numel()
    total = torch.zeros((size, size), dtype=over.dtype, device=over.device)
    for block in over.blocks(chance):
        codes, weights, posterior = block.codes, block.weights, block.posterior
        mean = torch.zeros((len(codes), size), dtype=over.dtype, device=over.device)
        for node in range(len(nodes)):
            near = torch.nonzero(posterior[:, node] > _NEGLIGIBLE)[:, 0]
            if not len(near):
                continue
            score = _picked(table[node], codes[near])
            weight = posterior[near, node][:, None]
            mean[near] += weight * score
            total += score.T @ (score * (weight * weights[near][:, None]))
        total -= mean.T @ (mean * weights[:, None])
    return total.double().cpu()


def _cross_product(over: PosteriorPass, values: Tensor, nodes: Tensor) -> Tensor:
    """Return Σ_i s_i s_iᵀ with s_i = E_i of the complete-data score."""
    chance = probabilities(boundaries(values, nodes))
    table = _score_table(values, nodes).to(dtype=over.dtype, device=over.device)
    items, most, own = table.shape[1:]
    size = values.numel()
    flat = table.reshape(len(nodes), -1)
    total = torch.zeros((size, size), dtype=over.dtype, device=over.device)
    rows = max(1, _NUMBERS_AT_ONCE // flat.shape[1])
    for block in over.blocks(chance):
        for start in range(0, len(block.codes), rows):
            part = slice(start, start + rows)
            codes = block.codes[part]
            # E_i of every category's score at once; each row then takes those of its answers.
            expected = (block.posterior[part] @ flat).reshape(len(codes), items, most, own)
            where = codes.clamp_min(0).long()[:, :, None, None].expand(-1, -1, 1, own)
            score = expected.gather(2, where)[:, :, 0] * (codes >= 0)[:, :, None]
            score = score.reshape(len(codes), size)
            total += score.T @ (score * block.weights[part][:, None])
    return total.double().cpu()


def _missing_canonical(over: PosteriorPass, values: Tensor, nodes: Tensor) -> Tensor:
    """Return Σ_i Cov_i of the score (x − P)(θ, 1), where all answers are there.

    With h = (θ, 1): Cov_i(x_j h_p − P_j h_p, x_k h_r − P_k h_r) = x_j x_k Cov(h_p, h_r)
    − x_j Cov(h_p, P_k h_r) − x_k Cov(P_j h_p, h_r) + Cov(P_j h_p, P_k h_r), where the first
    three vanish for constant h. Of the last, Σ_i E_i needs sums over persons only.
    """
    chance = probabilities(boundaries(values, nodes))
    right = chance[:, 1].T.to(dtype=over.dtype, device=over.device)  # (nodes, items)
    theta = nodes.to(dtype=over.dtype, device=over.device)[:, None]
    curves = torch.cat([right * theta, right], dim=1)  # P h, slopes before intercepts
    items = len(values)
    total = torch.zeros((2 * items, 2 * items), dtype=over.dtype, device=over.device)
    persons = torch.zeros(len(nodes), dtype=over.dtype, device=over.device)
    for block in over.blocks(chance):
        answers, posterior, weight = block.indicators, block.posterior, block.weights[:, None]
        mean = posterior @ theta
        spread = posterior @ theta**2 - mean**2
        average = posterior @ curves
        together = posterior @ (curves * theta) - mean * average  # Cov_i(θ, P h)
        persons += (posterior * weight).sum(dim=0)
        total -= average.T @ (average * weight)
        cross = answers.T @ (together * weight)  # Σ x_j Cov(θ, P_k h_r)
        total[:items] -= cross
        total[:, :items] -= cross.T
        total[:items, :items] += answers.T @ (answers * (spread * weight))
    total += curves.T @ (curves * persons[:, None])
    # From slopes before intercepts to item by item, with room for the asymptote that none has.
    order = torch.stack([torch.arange(items), torch.arange(items) + items], dim=1).reshape(-1)
    small = total.double().cpu()[order][:, order].reshape(items, 2, items, 2)
    found = torch.zeros((items, 3, items, 3), dtype=torch.float64)
    found[:, :2, :, :2] = small
    return found.reshape(3 * items, 3 * items)
