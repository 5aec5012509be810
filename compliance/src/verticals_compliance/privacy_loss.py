"""The privacy loss of a Gaussian step on a Poisson sample, on a grid: from above and from below.

A step adds Gaussian noise of standard deviation σ (in units of the clipping norm) to a sum in which
each unit takes part with probability q. With and without one unit its output is dominated by the
pair (1−q) N(0, σ²) + q N(1, σ²) and N(0, σ²) (Zhu, Dong and Wang 2022, arXiv:2106.08567). The loss
is l(x) = log(1 − q + q exp((2x − 1) / 2σ²)) where the unit is removed, and −l(x) where it is added.

From above, a loss between two grid points moves to both, so that its mass under either distribution
is kept: this only makes the pair easier to tell apart (Doroshenko et al. 2022, arXiv:2207.04380).
From below, all outputs whose losses lie around one grid point are told as one: this only makes the
pair harder to tell apart. What the rounding to the point takes away is kept as `shift`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, logsumexp, ndtr

from verticals.table import Array

NODES = 4001  # of the quadrature: at noise 0.3 they lie 0.02 standard deviations apart
_LARGE = 30.0  # from here on exp(−loss) is no more than a correction


@dataclass(frozen=True, kw_only=True)
class Step:
    """Describe one step, and the unit's direction: `removed`, or added.

    `tail` is a probability that may be cut off at either end of the output.
    """

    noise: float
    rate: float
    removed: bool
    tail: float

    @property
    def reach(self) -> float:
        """Return how many standard deviations of output matter."""
        low, high = 0.0, 40.0
        while high - low > 1e-6:
            middle = (low + high) / 2
            low, high = (middle, high) if ndtr(-middle) > self.tail else (low, middle)
        return high

    @property
    def span(self) -> tuple[float, float]:
        """Return the least and the greatest output that matter."""
        side = self.reach * self.noise
        return -side, side + (1.0 if self.removed else 0.0)

    @property
    def losses(self) -> tuple[float, float]:
        """Return the least and the greatest loss that matter."""
        ends = _loss(np.array(self.span), self.noise, self.rate)
        low, high = (ends if self.removed else -ends[::-1]).tolist()
        return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Law:
    """Hold the distribution of a loss on the points `first·width`, `(first + 1)·width`, ….

    `mass` sums to 1 less what was cut off; `infinite` is what was cut off at the upper end. The
    loss that is meant exceeds its grid point by `shift` on average, with variance `spread`, and
    never by more than `range` from that average.
    """

    first: int
    width: float
    mass: Array  # (points,)
    infinite: float = 0.0
    shift: float = 0.0
    spread: float = 0.0
    range: float = 0.0

    def logs(self, tilt: float) -> Array:
        """Return log(mass · exp(tilt · loss)), of shape (points,)."""
        places = (self.first + np.arange(self.mass.size)) * self.width
        with np.errstate(divide="ignore"):
            found: Array = np.log(self.mass) + tilt * places
        return found

    def cumulant(self, tilt: float) -> float:
        """Return log E exp(tilt · loss)."""
        return float(logsumexp(self.logs(tilt)))


def law_above(step: Step, width: float) -> Law:
    """Return a law that is worse for privacy: no ε follows from it that is too small."""
    low, high = step.losses
    first, last = math.floor(low / width), math.ceil(high / width)
    grid = np.arange(first, last + 1) * width
    mine, other, below, above = _masses(step, grid)
    # a + b = mine and a exp(−g) + b exp(−g − width) = other, for the two ends a and b of a bin
    with np.errstate(over="ignore", invalid="ignore"):
        top = (mine - other * np.exp(grid[:-1])) / -math.expm1(-width)
    top = np.clip(np.where(np.isfinite(top), top, mine), 0.0, mine)
    mass = np.zeros(grid.size)
    mass[:-1] += mine - top
    mass[1:] += top
    mass[0] += below
    return Law(first=first, width=width, mass=mass, infinite=above)


def law_below(step: Step, width: float) -> Law:
    """Return a law that is better for privacy: no ε follows from it that is too large.

    What lies beyond the ends is left out, as if it gave nothing away.
    """
    low, high = step.losses
    first, last = math.floor(low / width), math.ceil(high / width)
    centres = np.arange(first, last + 1) * width
    edges = np.append(centres - width / 2, centres[-1] + width / 2)
    mine, other, _, _ = _masses(step, edges)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.log(mine) - np.log(other) - centres
    used = (mine > 0) & (other > 0)
    off = np.clip(np.where(used, off, 0.0), -width / 2, width / 2)
    mass = np.where(used, mine, 0.0)
    shift = float(mass @ off)
    away = np.where(used, off - shift, -shift)
    left = max(0.0, 1.0 - float(mass.sum())) * shift**2
    return Law(
        first=first,
        width=width,
        mass=mass,
        shift=shift,
        spread=float(mass @ away**2) + left,
        range=float(np.abs(away).max()),
    )


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Hold the loss of a step at nodes of a quadrature: to choose a grid by, not to bound with."""

    loss: Array  # (nodes,)
    log_weight: Array  # (nodes,)

    def cumulant(self, tilt: float) -> float:
        """Return log E exp(tilt · loss)."""
        return float(logsumexp(self.log_weight + tilt * self.loss))

    def moments(self, tilt: float) -> tuple[float, float]:
        """Return mean and variance of the loss under weights tilted by exp(tilt · loss)."""
        logs = self.log_weight + tilt * self.loss
        weight = np.exp(logs - logsumexp(logs))
        mean = float(weight @ self.loss)
        return mean, float(weight @ (self.loss - mean) ** 2)


def nodes(step: Step) -> Nodes:
    """Return the trapezoid rule over the outputs of a step."""
    outputs = np.linspace(*step.span, NODES)
    plain = -0.5 * (outputs / step.noise) ** 2
    loss = _loss(outputs, step.noise, step.rate)
    logs = plain + loss if step.removed else plain
    return Nodes(loss=loss if step.removed else -loss, log_weight=logs - logsumexp(logs))


def gaussian_delta(epsilon: float, noise: float) -> float:
    """Return the δ of one Gaussian without sampling (Balle and Wang 2018, theorem 8)."""
    shift = epsilon * noise
    first = float(log_ndtr(0.5 / noise - shift))
    second = epsilon + float(log_ndtr(-0.5 / noise - shift))
    return -math.exp(first) * math.expm1(min(second - first, 0.0))


def _loss(outputs: Array, noise: float, rate: float) -> Array:
    """Return l(x); exact where it is near 0, and where it is large."""
    lifted = (2 * outputs - 1) / (2 * noise**2)
    near = np.log1p(rate * np.expm1(np.minimum(lifted, _LARGE)))
    if rate == 1.0:
        return np.asarray(lifted)
    far = np.logaddexp(math.log1p(-rate), math.log(rate) + lifted)
    return np.where(lifted < _LARGE, near, far)


def _outputs(losses: Array, noise: float, rate: float) -> Array:
    """Return the x at which l(x) is each loss; −∞ where no x gives so little."""
    with np.errstate(divide="ignore"):
        near = np.log1p(np.maximum(np.expm1(np.minimum(losses, _LARGE)) / rate, -1.0))
    large = np.maximum(losses, _LARGE)
    far = large + np.log1p(-(1 - rate) * np.exp(-large)) - math.log(rate)
    return np.asarray(noise**2 * np.where(losses < _LARGE, near, far) + 0.5)


def _masses(step: Step, edges: Array) -> tuple[Array, Array, float, float]:
    """Return the masses of bins of loss, and of what lies below and above all of them.

    First under the distribution that the loss favours, then under the other; both have the shape
    (edges − 1,). Below and above speak of the first.
    """
    ordered = edges if step.removed else -edges[::-1]
    outputs = np.concatenate([[-np.inf], _outputs(ordered, step.noise, step.rate), [np.inf]])
    plain = _between(outputs / step.noise)
    mixed = (1 - step.rate) * plain + step.rate * _between((outputs - 1) / step.noise)
    mine, other = (mixed, plain) if step.removed else (plain[::-1], mixed[::-1])
    return mine[1:-1], other[1:-1], float(mine[0]), float(mine[-1])


def _between(edges: Array) -> Array:
    """Return the normal mass between neighbours, from the tail in which digits are kept."""
    low, high = ndtr(edges), ndtr(-edges)
    found: Array = np.where(edges[:-1] > 0, high[:-1] - high[1:], low[1:] - low[:-1])
    return found
