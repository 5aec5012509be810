"""How well each item fits: S-X² of Orlando and Thissen, in its general form for graded items.

Observed shares of each category among persons with the same sum score are held against those that
the model expects (Orlando & Thissen 2000, Appl. Psychol. Meas. 24; Kang & Chen 2008, J. Educ.
Meas. 45). Sum scores are distributed by the recursion of Lord and Wingersky (1984).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special  # scipy.stats has the same, and takes a second to import

from verticals.table import Array
from verticals_student_assessment.items.irt import Grid, ItemBank, item_curves
from verticals_student_assessment.items.irt.curves import boundaries, probabilities
from verticals_student_assessment.items.irt.likelihood import PosteriorPass

LEAST_EXPECTED = 1.0  # persons in a cell; smaller ones are merged with a neighbour
LEAST_PERSONS = 10
_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True, kw_only=True)
class ItemFit:
    """Hold the statistic of each item, (items,) each, NaN where it cannot be measured.

    `effect` is the RMSD, from all persons: the root mean squared difference of observed and
    expected item score over the population, as a share of the highest score, where each person
    counts at every ability by the posterior weight there (Köhler et al. 2020, J. Educ. Behav.
    Stat. 45).
    """

    statistic: Array
    degrees: Array
    p_value: Array
    effect: Array
    persons: int  # who answered every item


def item_fit(bank: ItemBank, codes: Array, *, points: int = 61, fitted: bool = True) -> ItemFit:
    """Return S-X² of every item from the persons who answered all of them.

    `codes` is (persons, items) of the model's categories, −1 for missing. With `fitted` the items
    were estimated on these persons, and each loses as many degrees of freedom as it has parameters
    of its own; a common slope counts for none.
    """
    whole = codes[(codes >= 0).all(axis=1)].astype(np.int64)
    items = len(bank.names)
    grid = bank.grid(points)
    chance = item_curves(bank, grid.nodes).probability
    effect = _distances(bank, codes, grid, chance)
    if len(whole) < LEAST_PERSONS:
        blank = np.full(items, np.nan)
        return ItemFit(
            statistic=blank, degrees=blank, p_value=blank, effect=effect, persons=len(whole)
        )
    sums = whole.sum(axis=1)
    top = int((bank.categories - 1).sum())
    lost = bank.free.sum(axis=1) if not bank.common_slope else bank.free[:, 1:].sum(axis=1)
    found = np.full((3, items), np.nan)
    for place, expected in _expected_shares(chance, grid, top):
        count = int(bank.categories[place])
        observed = np.bincount(sums * count + whole[:, place], minlength=(top + 1) * count)
        observed = observed.reshape(top + 1, count).astype(np.float64)
        shares = expected[:, :count]
        found[:, place] = _statistic(observed, shares, float(lost[place]) if fitted else 0.0)
    return ItemFit(
        statistic=found[0],
        degrees=found[1],
        p_value=found[2],
        effect=effect,
        persons=len(whole),
    )


def sum_score_distribution(chance: Array, top: int) -> Array:
    """Return P(sum = s | θ), (sums, nodes), of independent items, by Lord and Wingersky.

    `chance` is (items, K, nodes).
    """
    found = np.zeros((top + 1, chance.shape[2]))
    found[0] = 1.0
    for item in chance:
        following = found * item[0]
        for step in range(1, len(item)):
            following[step:] += found[: len(found) - step] * item[step]
        found = following
    return found


def _expected_shares(chance: Array, grid: Grid, top: int) -> list[tuple[int, Array]]:
    """Return, for each item, the model's share of each category at each sum, (sums, K).

    The recursion runs for many left-out items side by side: where an item is left out it always
    stays in its lowest category.
    """
    items, most, width = chance.shape
    lanes = max(1, _NUMBERS_AT_ONCE // ((top + 1) * width))
    result = []
    for start in range(0, items, lanes):
        places = np.arange(start, min(start + lanes, items))
        others = np.zeros((len(places), top + 1, width))
        others[:, 0] = 1.0
        for other in range(items):
            kept = (places != other)[:, None, None]
            following = others * np.where(kept, chance[other, 0], 1.0)
            for step in range(1, most):
                following[:, step:] += others[:, : top + 1 - step] * (chance[other, step] * kept)
            others = following
        for lane, place in enumerate(places):
            joint = np.zeros((top + 1, most))
            for step in range(most):
                rest = others[lane, : top + 1 - step] * chance[place, step]
                joint[step:, step] = rest @ grid.weights
            total = joint.sum(axis=1, keepdims=True)
            result.append((int(place), np.where(total > 0, joint / np.maximum(total, 1e-300), 0)))
    return result


def _statistic(observed: Array, shares: Array, lost: float) -> tuple[float, float, float]:
    """Return X², degrees of freedom and p; neighbours are merged until 1 person is expected."""
    expected = observed.sum(axis=1, keepdims=True) * shares
    possible = (shares > 0).sum(axis=1) > 1  # else the sum alone gives the answer
    chi_squared, degrees = 0.0, -lost
    for seen, hoped in _merged_rows(observed[possible], expected[possible]):
        cells = _merged_cells(seen, hoped)
        chi_squared += sum((a - b) ** 2 / b for a, b in cells)
        degrees += len(cells) - 1
    if degrees < 1:
        return float("nan"), float("nan"), float("nan")
    return chi_squared, degrees, float(special.chdtrc(degrees, chi_squared))


def _merged_rows(observed: Array, expected: Array) -> list[tuple[Array, Array]]:
    """Merge neighbouring sums until each group has two cells of enough expected persons."""
    groups: list[tuple[Array, Array]] = []
    seen, hoped = np.zeros(observed.shape[1]), np.zeros(observed.shape[1])
    for row, goal in zip(observed, expected, strict=True):
        seen, hoped = seen + row, hoped + goal
        if len(_merged_cells(seen, hoped)) >= 2:
            groups.append((seen, hoped))
            seen, hoped = np.zeros_like(seen), np.zeros_like(hoped)
    if groups and hoped.sum() > 0:  # the rest joins the last group
        groups[-1] = (groups[-1][0] + seen, groups[-1][1] + hoped)
    return groups


def _merged_cells(seen: Array, hoped: Array) -> list[tuple[float, float]]:
    """Merge neighbouring categories until each cell expects enough persons."""
    cells: list[tuple[float, float]] = []
    own, goal = 0.0, 0.0
    for count, expected in zip(seen, hoped, strict=True):
        own, goal = own + float(count), goal + float(expected)
        if goal >= LEAST_EXPECTED:
            cells.append((own, goal))
            own, goal = 0.0, 0.0
    if cells and goal > 0:
        cells[-1] = (cells[-1][0] + own, cells[-1][1] + goal)
    return cells


def _distances(bank: ItemBank, codes: Array, grid: Grid, chance: Array) -> Array:
    """Return the RMSD of each item, NaN where fewer than 10 persons answered it."""
    seen, weights = observed_scores(bank, codes, grid)
    steps = np.arange(chance.shape[1])
    expected = np.einsum("jkq,k->jq", chance, steps)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.where(weights > 0, seen / weights - expected, 0.0)
        gap /= (bank.categories - 1)[:, None]
        total = weights.sum(axis=1)
        found = np.sqrt((weights * gap**2).sum(axis=1) / total)
    return np.where(total >= LEAST_PERSONS - 0.5, found, np.nan)


def observed_scores(bank: ItemBank, codes: Array, grid: Grid) -> tuple[Array, Array]:
    """Return sums of item scores and of persons at every node, (items, nodes).

    Each person counts at a node by the posterior weight there, as in the E-step.
    """
    nodes, cpu = torch.as_tensor(grid.nodes), torch.device("cpu")
    over = PosteriorPass(codes, np.ones(len(codes)), bank.categories, grid, cpu)
    counts = over.expected(probabilities(boundaries(torch.as_tensor(bank.values), nodes))).counts
    steps = torch.arange(counts.shape[1], dtype=counts.dtype)
    return torch.einsum("jkq,k->jq", counts, steps).numpy(), counts.sum(dim=1).numpy()


def holm(p_values: Sequence[float] | Array) -> Array:
    """Return p-values adjusted by Holm (1979); NaN stays NaN and counts for none."""
    given = np.asarray(p_values, dtype=np.float64)
    found = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    steps = (len(order) - np.arange(len(order))) * given[order]
    found[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return found
