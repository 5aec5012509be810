"""Bound the ε that Gaussian steps on Poisson samples spend: an accountant of our own.

    epsilon_bounds(noise=14.669, rate=1.0, steps=200, delta=1e-3)

Without sampling, T steps with noise σ are one with noise σ/√T, whose ε has a closed form (Balle and
Wang 2018, arXiv:1805.06530, theorem 8). With sampling the losses of the steps are added up on a
grid by a Fourier transform (Koskela et al. 2020, arXiv:1906.03049), once with losses that are never
too small and once with losses that are never too large (`privacy_loss`). The masses are tilted by
an exponential before the transform, so that rounding errors are small beside δ and not beside 1.
What the finite grid and the transform may add or hide is bounded and counted against the bound:
Chernoff for what leaves the window, Cauchy and Schwarz for rounding, Bernstein for the distance to
the grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.optimize import minimize_scalar

from verticals.table import Array
from verticals_compliance.privacy_loss import (
    Law,
    Nodes,
    Step,
    gaussian_delta,
    law_above,
    law_below,
    nodes,
)

CLOSED = "closed form of composed Gaussians (Balle and Wang 2018)"
GRID = "privacy loss distribution, by Fourier transform (Koskela et al. 2020)"
FAR = f"{GRID}; the bounds stay more than 5 % apart"
WIDE = (
    "bounds of one step and of steps without sampling: the record's numbers allow no tighter ones"
)

_SIZES = (2**13, 2**16, 2**19)  # grid points, until the bounds are close
_CLOSE = 1e-3  # of ε
_LEAST_CLOSE = 1e-6  # an ε below it is none to speak of
_NARROW = 0.05  # of ε: wider bounds are called wide
_LEAST_NOISE = 0.05  # and
_MOST = 1e9  # of ε without sampling: beyond either nothing is private, and no grid is fine enough
_SLACK = 1e-6  # of δ: what tails of single steps may hide
_ASIDE = 1e-4  # of δ: that losses lie further from the grid than Bernstein says
_OUTSIDE = 1e-13  # of the tilted sum may lie beyond the window
_UNIT = 2.0**-53
_FACTOR = 5.0  # of rounding errors of a transform, in units of log2(points)
_STEEP = 600.0  # exponents beyond it are not computed


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Hold ε at a δ from below and from above; `upper` may be infinite."""

    lower: float
    upper: float
    method: str


def epsilon_bounds(*, noise: float, rate: float, steps: int, delta: float) -> Bounds:
    """Return bounds of ε for adding or removing one unit, whichever is worse.

    `noise` is the standard deviation over the clipping norm (0 or more), `rate` the probability
    (0 to 1) with which each unit takes part in each of `steps` steps, `delta` between 0 and 1.
    Raises `ValueError` outside these ranges.
    """
    if not (0 <= noise < math.inf and 0 <= rate <= 1 and steps >= 0 and 0 < delta < 1):
        raise ValueError(f"no Gaussian steps: {noise=}, {rate=}, {steps=}, {delta=}")
    if rate == 0 or steps == 0:
        return Bounds(lower=0.0, upper=0.0, method=CLOSED)
    full = _solved(lambda epsilon: gaussian_delta(epsilon, noise / math.sqrt(steps)), delta, noise)
    if rate == 1.0:
        return Bounds(lower=full[0], upper=full[1], method=CLOSED)
    one = _one_step(noise, rate, delta)
    wide = Bounds(lower=one, upper=full[1], method=WIDE)
    if noise < _LEAST_NOISE or full[1] > _MOST:
        return wide
    lower, upper = one, 0.0
    for removed in (True, False):
        found = _direction(noise, rate, steps, delta, removed=removed, known=lower)
        lower, upper = max(lower, found[0]), max(upper, found[1])
    upper = min(full[1], upper)
    narrow = upper - lower <= max(_NARROW * upper, _LEAST_CLOSE)
    return Bounds(lower=lower, upper=max(upper, lower), method=GRID if narrow else FAR)


def _solved(delta_at: Callable[[float], float], delta: float, noise: float) -> tuple[float, float]:
    """Return ε from below and from above, where δ falls with ε; infinite without noise."""
    if noise == 0:
        return math.inf, math.inf
    if delta_at(0.0) <= delta:
        return 0.0, 0.0
    low, high = 0.0, 1.0
    while delta_at(high) > delta:
        low, high = high, 2 * high
        if high > 1e300:
            return low, math.inf
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if delta_at(middle) > delta else (low, middle)
    return low, high


def _one_step(noise: float, rate: float, delta: float) -> float:
    """Return the ε of a single step from below: of a Gaussian at δ/q, by sampling made smaller."""
    if delta >= rate:
        return 0.0
    whole = _solved(lambda epsilon: gaussian_delta(epsilon, noise), delta / rate, noise)[0]
    if whole > _STEEP:
        return whole + math.log(rate)
    return math.log1p(rate * math.expm1(whole))


def _direction(
    noise: float, rate: float, steps: int, delta: float, *, removed: bool, known: float
) -> tuple[float, float]:
    """Bound ε in one direction, as closely as it takes where it may exceed what is `known`."""
    step = Step(noise=noise, rate=rate, removed=removed, tail=max(_SLACK * delta / steps, 1e-290))
    plan = _planned(nodes(step), steps, delta)
    least, most = step.losses
    lower, upper = 0.0, math.inf
    for size in _SIZES:
        width = max((plan.above + plan.below) / size, (most - least) / size)
        upper = min(upper, _from_above(law_above(step, width), plan, steps, delta, size))
        if upper <= known:
            break
        below = _from_below(law_below(step, width), plan, steps, delta, size, upper)
        lower = max(lower, below)
        if upper - lower <= max(_CLOSE * upper, _LEAST_CLOSE):
            break
    return lower, upper


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Fix the tilt, and how far the tilted sum of losses reaches to either side of its mean.

    `up` and `down` are the further tilts at which Chernoff's bound shows that it does.
    """

    tilt: float
    above: float
    below: float
    up: float
    down: float


def _planned(found: Nodes, steps: int, delta: float) -> _Plan:
    """Choose the tilt by the Rényi bound of ε (Canonne et al. 2020, proposition 12)."""

    def renyi(log_tilt: float) -> float:
        tilt = math.exp(log_tilt)
        slope = tilt * math.log(tilt / (1 + tilt)) - math.log1p(tilt)
        return (steps * found.cumulant(tilt) - math.log(delta) + slope) / tilt

    best = minimize_scalar(renyi, bounds=(math.log(1e-3), math.log(1e7)), method="bounded")
    tilt = math.exp(float(best.x))
    mean, variance = found.moments(tilt)
    start, scale = steps * found.cumulant(tilt), math.sqrt(steps * variance)
    tries = np.geomspace(1e-2, 30.0, 60) / scale

    def reach(sign: int) -> tuple[float, float]:
        ends = [
            (steps * found.cumulant(tilt + sign * more) - start - math.log(_OUTSIDE)) / more
            for more in tries.tolist()
        ]
        at = int(np.argmin(ends))
        return ends[at] - sign * steps * mean, float(tries[at])

    (above, up), (below, down) = reach(1), reach(-1)
    return _Plan(tilt=tilt, above=1.02 * above, below=1.02 * below, up=up, down=down)


@dataclass(frozen=True, kw_only=True)
class _Sum:
    """Hold the tail of a sum of losses: δ(ε) is a difference of two sums over what exceeds ε.

    `hidden` bounds what the window and the transform may hide or add, at ε = `centre`.
    """

    start: int
    width: float
    tilt: float
    centre: float
    log_scale: float
    first: Array  # (points + 1,) sums from a point to the end, tilted
    second: Array
    hidden: float

    @property
    def least(self) -> float:
        """Return the least ε that can be asked for."""
        return max(self.start * self.width, self.centre - _STEEP / (self.tilt + 1))

    @property
    def most(self) -> float:
        """Return the greatest ε that can be asked for."""
        end = (self.start + self.first.size - 2) * self.width
        return min(end, self.centre + _STEEP / (self.tilt + 1))

    def delta(self, epsilon: float) -> tuple[float, float]:
        """Return δ at ε, and by how much it may be wrong."""
        at = min(max(math.floor(epsilon / self.width) + 1 - self.start, 0), self.first.size - 1)
        away = epsilon - self.centre
        tail = float(self.first[at]) - math.exp(away) * float(self.second[at])
        scale = math.exp(min(self.log_scale, _STEEP))
        wrong = math.exp(min(self.log_scale - self.tilt * away, _STEEP)) * self.hidden
        return scale * max(tail, 0.0), wrong


def _added(law: Law, plan: _Plan, steps: int, size: int) -> _Sum:
    """Add up the losses of all steps on a window of `size` points around the tilted mean."""
    tilt, width = plan.tilt, law.width
    logs = law.logs(tilt)
    log_mass = law.cumulant(tilt)
    weight = np.exp(logs - log_mass)
    places = law.first + np.arange(weight.size)
    mean = float(weight @ places)
    near = round(mean)
    cells = np.bincount((places - near) % size, weights=weight, minlength=size)
    seen = fft.rfft(cells)
    with np.errstate(divide="ignore"):
        logged = np.log(np.abs(seen))
    angle = steps * np.angle(seen)
    powered = np.exp(steps * logged) * (np.cos(angle) + 1j * np.sin(angle))
    summed = np.maximum(fft.irfft(powered, n=size), 0.0)
    start = math.floor(steps * mean - plan.below / width)
    summed = np.roll(summed, -((start - steps * near) % size))
    centre = steps * mean * width
    away = (start + np.arange(size)) * width - centre
    first = summed * np.exp(np.minimum(-tilt * away, _STEEP))
    second = summed * np.exp(np.minimum(-(tilt + 1) * away, _STEEP))
    hidden = _outside(law, plan, steps, start * width, (start + size) * width)
    hidden = hidden * _peak(tilt) + _rounding(logged, steps, size) * _norm(tilt, width)
    return _Sum(
        start=start,
        width=width,
        tilt=tilt,
        centre=centre,
        log_scale=steps * log_mass - tilt * centre,
        first=_to_the_end(first),
        second=_to_the_end(second),
        hidden=hidden,
    )


def _from_above(law: Law, plan: _Plan, steps: int, delta: float, size: int) -> float:
    found = _added(law, plan, steps, size)
    infinite = -math.expm1(steps * math.log1p(-min(law.infinite, 0.5)))

    def enough(epsilon: float) -> bool:
        return sum(found.delta(epsilon)) + infinite <= delta

    low, high = max(0.0, found.least), found.most
    if low >= high or not enough(high):
        return math.inf
    if enough(low):
        return low
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _from_below(law: Law, plan: _Plan, steps: int, delta: float, size: int, upper: float) -> float:
    found = _added(law, plan, steps, size)
    log_chance = -math.log(_ASIDE * delta)
    part = law.range * log_chance / 3
    moved = steps * law.shift - part - math.sqrt(part**2 + 2 * steps * law.spread * log_chance)

    def enough(epsilon: float) -> bool:
        value, wrong = found.delta(epsilon - moved)
        return value - wrong - _ASIDE * delta >= delta

    # Far below the centre the errors outgrow δ: look for a start from above.
    high = min(found.most + moved, upper)
    low, gap = high, 1e-6 * high
    while not enough(low):
        low, gap = high - gap, 2 * gap
        if low <= max(0.0, found.least + moved):
            return 0.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return low


def _outside(law: Law, plan: _Plan, steps: int, low: float, high: float) -> float:
    """Bound the tilted mass of sums beyond the window (Chernoff)."""
    start = law.cumulant(plan.tilt)
    up = steps * (law.cumulant(plan.tilt + plan.up) - start) - plan.up * high
    down = steps * (law.cumulant(plan.tilt - plan.down) - start) + plan.down * low
    return math.exp(min(up, 0.0)) + math.exp(min(down, 0.0))


def _rounding(logged: Array, steps: int, size: int) -> float:
    """Bound the Euclidean norm of what the transforms add to the masses of the sum.

    Each coefficient z is off by some units of rounding, its power by `steps` |z|^(steps − 1) times
    as much (`logged` is log |z|); Parseval carries this over to the masses.
    """
    unit = _FACTOR * _UNIT * math.log2(size)
    norm = math.sqrt(2 * float(np.exp(2 * (steps - 1) * logged).sum()) / size)
    return (steps + 2) * unit * norm


def _peak(tilt: float) -> float:
    """Return the maximum over u of exp(−tilt·u) (1 − exp(−u))."""
    return math.exp(tilt * math.log(tilt / (1 + tilt))) / (1 + tilt)


def _norm(tilt: float, width: float) -> float:
    """Bound the Euclidean norm of exp(−tilt·u) (1 − exp(−u)) over grid points u > 0."""
    square = 1 / (tilt * (2 * tilt + 1) * (2 * tilt + 2))
    return math.sqrt(square / width + _peak(tilt) ** 2)


def _to_the_end(values: Array) -> Array:
    """Return sums from each point to the end, and 0 beyond it."""
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)
