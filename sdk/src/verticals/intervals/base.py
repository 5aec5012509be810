"""An estimate with its interval, and the quantiles that every interval needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from verticals.table import Array


@dataclass(frozen=True, kw_only=True)
class Interval:
    """State an estimate, its interval, the rows it rests on, and how both were found.

    `estimate` is None where the quantity is not measurable (an empty denominator, say), and the
    limits are None where no valid interval exists; neither is ever replaced by a zero.
    """

    estimate: float | None
    lower: float | None
    upper: float | None
    n: int
    method: str

    def mapped(self, function: Callable[[float], float], method: str) -> Interval:
        """Apply an increasing function to the estimate and to both limits."""

        def apply(value: float | None) -> float | None:
            return None if value is None else function(value)

        return Interval(
            estimate=apply(self.estimate),
            lower=apply(self.lower),
            upper=apply(self.upper),
            n=self.n,
            method=method,
        )


def unmeasurable(method: str, *, n: int = 0, estimate: float | None = None) -> Interval:
    """Return an interval without limits, and without an estimate unless one is given."""
    return Interval(estimate=estimate, lower=None, upper=None, n=n, method=method)


def z_value(level: float) -> float:
    """Return the two-sided normal quantile: 1.96 for a level of .95.

    >>> round(z_value(0.95), 3)
    1.96
    """
    return NormalDist().inv_cdf(0.5 + level / 2)


def one_sided_error(z: float) -> float:
    """Return the probability beyond `z` in one tail of the normal distribution."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def t_value(level: float, df: float) -> float:
    """Return the two-sided quantile of Student's t with `df` degrees of freedom."""
    from scipy import special

    return float(special.stdtrit(df, 0.5 + level / 2))


def simultaneous_z(level: float, groups: int) -> float:
    """Return the quantile at which all pairs of `groups` are covered at once.

    Tukey–Kramer: the studentized range over the square root of two; exact for equal variances,
    conservative for unequal ones (Hayter, Annals of Statistics 12, 1984).

    >>> round(simultaneous_z(0.95, 2), 3), round(simultaneous_z(0.95, 5), 3)
    (1.96, 2.728)
    """
    if groups <= 2:
        return z_value(level)
    from scipy import special

    # P(range <= q) = k ∫ φ(x) (Φ(x) − Φ(x − q))^(k−1) dx; the integrand vanishes beyond ±8, where
    # equal steps are as exact as any rule. scipy.stats has this too, and takes a second to import.
    grid = np.linspace(-8, 8, 801)
    density = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi) * (grid[1] - grid[0])
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        inside = (special.ndtr(grid) - special.ndtr(grid - middle)) ** (groups - 1)
        if groups * float((density * inside).sum()) < level:
            low = middle
        else:
            high = middle
    return high / math.sqrt(2)


def tidy(value: float | Array) -> float | None:
    """Return a Python float, or None where the value is not finite."""
    number = float(value)
    return number if math.isfinite(number) else None
