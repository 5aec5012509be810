"""Tests that groups have one rate in common, and the correction for having made many of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verticals.table import Array

DRAWS = 9999
SMALLEST_EXPECTED = 5.0  # Cochran's rule for the chi-square approximation


def homogeneity(
    successes: Sequence[float] | Array,
    totals: Sequence[float] | Array,
    *,
    design_effects: Sequence[float] | Array | None = None,
    offsets: Sequence[float] | Array | None = None,
    seed: int = 0,
) -> float | None:
    """Compute the p-value of "all groups have the same rate"; None with fewer than two groups.

    Pearson's chi-square; where an expected count is below 5, Fisher's exact test for two groups
    and its seeded Monte Carlo form for more ((b + 1) / (B + 1), valid at any B; Phipson and Smyth
    2010). With `offsets` the hypothesis is one common rate − offset, tested by the same statistic,
    and by a parametric bootstrap where counts are small. Design effects deflate the counts first
    (Rao and Scott 1984).
    """
    x, n = np.asarray(successes, dtype=float), np.asarray(totals, dtype=float)
    if x.size < 2 or n.min() <= 0:
        return None
    effects = 1.0 if design_effects is None else np.asarray(design_effects, dtype=float)
    x, n = x / effects, n / effects
    shift = None if offsets is None else np.asarray(offsets, dtype=float)
    statistic, expected = _statistic(x, n, shift)
    if np.minimum(expected, n - expected).min() >= SMALLEST_EXPECTED:
        from scipy import special

        return float(special.chdtrc(x.size - 1, statistic))
    if design_effects is not None:
        x, n = np.round(x), np.maximum(np.round(n), 1)
        x = np.minimum(x, n)
    if shift is not None:
        return _bootstrap(x, n, shift, seed)
    return _conditional(x.astype(np.int64), n.astype(np.int64), seed)


def mean_homogeneity(
    means: Sequence[float] | Array,
    standard_errors: Sequence[float] | Array,
    sizes: Sequence[int] | Array,
) -> float | None:
    """Compute Welch's test (Biometrika 38, 1951) of "all groups have the same mean"."""
    from scipy import special

    m, s = np.asarray(means, dtype=float), np.asarray(standard_errors, dtype=float)
    n, k = np.asarray(sizes, dtype=float), len(means)
    if k < 2 or n.min() < 2 or not np.all(s > 0):
        return None
    weights = s**-2
    share = weights / weights.sum()
    spread = float((weights * (m - (share * m).sum()) ** 2).sum()) / (k - 1)
    lack = float(((1 - share) ** 2 / (n - 1)).sum())
    statistic = spread / (1 + 2 * (k - 2) / (k**2 - 1) * lack)
    return float(special.fdtrc(k - 1, (k**2 - 1) / (3 * lack), statistic))


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Adjust p-values so that the chance of any false rejection stays at its level (Holm 1979).

    None stands for a test that could not be made; it stays None and counts for nothing.

    >>> holm([0.01, None, 0.04, 0.03])
    (0.03, None, 0.06, 0.06)
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[i] = largest
    return tuple(adjusted)


def _statistic(x: Array, n: Array, offsets: Array | None) -> tuple[Array, Array]:
    """Return the score statistic and the expected successes; leading axes are draws."""
    shift = np.zeros(x.shape[-1]) if offsets is None else offsets
    common = ((x - n * shift).sum(-1) / n.sum(-1))[..., None]
    rates = np.clip(common + shift, 0, 1)
    variance = n * rates * (1 - rates)
    # A group whose expected rate is 0 or 1 adds nothing if it agrees, and everything if not.
    excess = (x - n * rates) ** 2
    terms = np.where(variance > 0, excess / np.where(variance > 0, variance, 1), 0.0)
    terms = np.where((variance <= 0) & (excess > 1e-12), np.inf, terms)
    return terms.sum(-1), n * rates


def _conditional(x: Array, n: Array, seed: int) -> float:
    """Return the p-value given both margins: Fisher's exact test, or draws of it."""
    if x.size == 2:
        return _fisher(int(x[0]), int(n[0]), int(n[1]), int(x.sum()))
    rng = np.random.default_rng(seed)
    draws = rng.multivariate_hypergeometric(n, int(x.sum()), size=DRAWS)  # (draws, groups)
    return _share_as_extreme(_statistic(draws, n, None)[0], _statistic(x, n, None)[0])


def _fisher(seen: int, first: int, second: int, successes: int) -> float:
    """Return the two-sided p-value: the chance of all tables no likelier than the one seen."""
    from scipy import special

    def ways(total: int, taken: Array) -> Array:
        return np.asarray(
            special.gammaln(total + 1)
            - special.gammaln(taken + 1)
            - special.gammaln(total - taken + 1)
        )

    possible = np.arange(max(0, successes - second), min(first, successes) + 1)
    weight = ways(first, possible) + ways(second, successes - possible)
    chance = np.exp(weight - weight.max())
    limit = chance[seen - possible[0]] * (1 + 1e-9)
    return float(chance[chance <= limit].sum() / chance.sum())


def _bootstrap(x: Array, n: Array, offsets: Array, seed: int) -> float:
    rng = np.random.default_rng(seed)
    statistic, expected = _statistic(x, n, offsets)
    draws = rng.binomial(np.round(n).astype(np.int64), expected / n, size=(DRAWS, x.size))
    return _share_as_extreme(_statistic(draws, n, offsets)[0], statistic)


def _share_as_extreme(drawn: Array, seen: Array) -> float:
    # Equal tables must count as equally extreme whatever the rounding of the sum.
    return float((np.count_nonzero(drawn >= seen * (1 - 1e-9)) + 1) / (drawn.size + 1))
