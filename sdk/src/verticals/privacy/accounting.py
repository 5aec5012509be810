"""Account for privacy before training: solve the noise for a target epsilon, and bound it again.

The accountant is Opacus' PRV accountant (Gopi, Lee and Wutschitz 2021, arXiv:2106.02848), of which
the upper bound is reported. Where every step uses all units there is nothing to sample, and the
composition of Gaussians is one Gaussian with an exact formula (Balle and Wang 2018, theorem 8).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from verticals.errors import PrivacyError
from verticals.privacy.quiet import quiet_import

PRV = "prv"
ANALYTIC = "analytic gaussian"

MAX_NOISE = 1e4  # above it a step is nothing but noise
MIN_NOISE = 0.3  # below it the accountant's grid grows without bound
MIN_EPSILON = 0.01  # smaller ones need a grid that no memory holds, and teach nothing
MAX_STEPS = 100_000
MIN_DELTA = 1e-10  # below it rounding lets the accountant of Opacus state too small an epsilon
TOLERANCE = 2e-3  # of epsilon: how much of the budget may stay unspent
MAX_ROWS_PER_UNIT = 64

History = Sequence[tuple[float, float, int]]  # (noise multiplier, sampling rate, steps)


@dataclass(frozen=True, kw_only=True)
class PrivacyPlan:
    """Fix how a private training will run, before it sees a row.

    `epsilon` is the accountant's upper bound for this noise, at most `target_epsilon`. The noise
    has standard deviation `noise_multiplier * max_grad_norm` on the sum of clipped gradients.
    `units` counts rows (`unit` "row") or persons ("group"); of a person, at most
    `max_rows_per_unit` rows are used.
    """

    target_epsilon: float
    epsilon: float
    delta: float
    unit: str
    units: int
    sampling_rate: float
    steps: int
    noise_multiplier: float
    max_grad_norm: float
    max_rows_per_unit: int
    accountant: str
    accountant_version: str
    unsafe_noise_seed: int | None = None

    @property
    def expected_batch(self) -> float:
        """Return the expected number of units in a step."""
        return self.sampling_rate * self.units


def default_delta(units: int) -> float:
    """Return the largest power of ten that is below one in `units`.

    >>> default_delta(994), default_delta(20_000)
    (0.001, 1e-05)
    """
    if units < 2:
        raise PrivacyError(f"{units} unit(s) cannot be hidden among others, expected 2 or more")
    exponent = math.ceil(math.log10(units))
    if 10**exponent <= units:  # units is itself a power of ten: 1/n is not below 1/n
        exponent += 1
    return float(f"1e-{exponent}")


def plan(
    *,
    epsilon: float,
    units: int,
    sampling_rate: float,
    steps: int,
    delta: float | None = None,
    max_grad_norm: float = 1.0,
    unit: str = "row",
    max_rows_per_unit: int | None = None,
    unsafe_noise_seed: int | None = None,
) -> PrivacyPlan:
    """Solve the noise for a target epsilon, so that training spends at most that.

    `units` is the number of rows, or of persons where `unit` is "group"; `sampling_rate` the
    probability with which each takes part in each of `steps` steps (1.0: all of them always).
    `delta` defaults to `default_delta(units)`. `unsafe_noise_seed` is for tests alone.

    Raises `PrivacyError` for a budget that promises nothing or leaves nothing to learn.
    """
    delta = default_delta(units) if delta is None else delta
    if unit not in ("row", "group"):
        raise PrivacyError(f"unit is {unit!r}, expected 'row' or 'group'")
    _check_budget(epsilon, delta, units)
    _check_schedule(sampling_rate, steps, units)
    if not (math.isfinite(max_grad_norm) and max_grad_norm > 0):
        raise PrivacyError(
            f"max_grad_norm is {max_grad_norm}, expected a positive number",
            hint="start with --max-grad-norm 1",
        )
    if max_rows_per_unit is None:
        max_rows_per_unit = MAX_ROWS_PER_UNIT if unit == "group" else 1
    if max_rows_per_unit < 1 or (unit == "row" and max_rows_per_unit != 1):
        raise PrivacyError(
            f"max_rows_per_unit is {max_rows_per_unit} for unit {unit!r}, expected "
            f"{'1' if unit == 'row' else '1 or more'}"
        )
    noise, spent = _solve_noise(epsilon, delta, sampling_rate, steps)
    accountant = ANALYTIC if sampling_rate == 1.0 else PRV
    return PrivacyPlan(
        target_epsilon=epsilon,
        epsilon=spent,
        delta=delta,
        unit=unit,
        units=units,
        sampling_rate=sampling_rate,
        steps=steps,
        noise_multiplier=noise,
        max_grad_norm=max_grad_norm,
        max_rows_per_unit=max_rows_per_unit,
        accountant=accountant,
        accountant_version=accountant_version(accountant),
        unsafe_noise_seed=unsafe_noise_seed,
    )


def epsilon_spent(history: History, *, delta: float, resolution: float = 0.01) -> float:
    """Return an upper bound of the epsilon that these steps spend at `delta`.

    `resolution` is the error that the PRV accountant adds to its bound; smaller is slower.
    Raises `PrivacyError` where the accountant cannot give a bound.
    """
    steps = [item for item in history if item[2] > 0]
    if not steps:
        return 0.0
    if all(rate == 1.0 for _, rate, _ in steps):
        precision = sum(count / noise**2 for noise, _, count in steps)
        return _gaussian_epsilon(1.0 / math.sqrt(precision), delta)
    return _prv_epsilon(steps, delta, resolution)


def accountant_version(accountant: str) -> str:
    """Return the name and version of the package that computes epsilon, and the paper it follows.

    Bundles made before name Opacus for the analytic Gaussian, too, which it never computed.
    """
    if accountant == ANALYTIC:
        return f"verticals-sdk {metadata.version('verticals-sdk')} (Balle and Wang 2018)"
    return f"opacus {metadata.version('opacus')} (Gopi, Lee and Wutschitz 2021)"


def _check_budget(epsilon: float, delta: float, units: int) -> None:
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise PrivacyError(
            f"epsilon is {epsilon}, expected a positive number",
            hint="--epsilon 3 is a common choice, --epsilon 1 a strict one",
        )
    if epsilon < MIN_EPSILON:
        raise PrivacyError(
            f"epsilon is {epsilon:g}, expected at least {MIN_EPSILON:g}: a smaller one leaves "
            "nothing to learn",
            hint="--epsilon 1 is strict already",
        )
    if not 0 < delta < 1:
        raise PrivacyError(
            f"delta is {delta}, expected a number between 0 and 1",
            hint=f"leave --delta out to get {default_delta(units):g}",
        )
    if delta >= 1 / units:
        raise PrivacyError(
            f"delta is {delta:g} with {units} units, expected less than 1/{units}: a larger delta "
            "would allow publishing some unit whole",
            hint=f"leave --delta out to get {default_delta(units):g}",
        )
    if delta < MIN_DELTA:
        raise PrivacyError(
            f"delta is {delta:g}, expected at least {MIN_DELTA:g}, below which the accountant's "
            "rounding errors count",
            hint=f"leave --delta out to get {default_delta(units):g}",
        )


def _check_schedule(sampling_rate: float, steps: int, units: int) -> None:
    if not 0 < sampling_rate <= 1:
        raise PrivacyError(
            f"sampling_rate is {sampling_rate}, expected a number above 0 and at most 1",
            hint="use the expected batch divided by the number of units",
        )
    if sampling_rate * units < 1:
        raise PrivacyError(
            f"sampling_rate {sampling_rate:g} of {units} units is fewer than one unit a step, "
            "expected at least one",
            hint="use a larger batch",
        )
    if not 1 <= steps <= MAX_STEPS:
        raise PrivacyError(
            f"steps is {steps}, expected 1 to {MAX_STEPS}",
            hint="use fewer steps",
        )


def _solve_noise(epsilon: float, delta: float, rate: float, steps: int) -> tuple[float, float]:
    """Return a noise multiplier that spends nearly all of epsilon, and the epsilon it spends."""

    def spent(noise: float) -> float:
        if noise > MAX_NOISE:
            raise PrivacyError(
                f"epsilon {epsilon:g} over {steps} steps needs noise above {MAX_NOISE:g} times the "
                "clipping norm, which leaves nothing to learn",
                hint="use a larger epsilon, fewer steps or a smaller sampling rate",
            )
        history = [(noise, rate, steps)]
        return epsilon_spent(history, delta=delta, resolution=min(0.01, epsilon / 20))

    low = high = _rounded_up(max(_first_guess(epsilon, delta, rate, steps), MIN_NOISE))
    low_spent = high_spent = spent(high)
    while high_spent > epsilon:
        low, low_spent = high, high_spent
        high = _rounded_up(high * 1.2)
        high_spent = spent(high)
    while low_spent <= epsilon and low > MIN_NOISE:
        high, high_spent = low, low_spent
        low = max(low / 1.2, MIN_NOISE)
        low_spent = spent(low)
    if low_spent <= epsilon:
        return low, low_spent
    while epsilon - high_spent > TOLERANCE * epsilon and high / low > 1.0 + 1e-4:
        middle = _rounded_up(_between(low, low_spent, high, high_spent, epsilon))
        middle_spent = spent(middle)
        if middle_spent > epsilon:
            low, low_spent = middle, middle_spent
        else:
            high, high_spent = middle, middle_spent
    return high, high_spent


def _first_guess(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """Guess the noise by the central limit theorem of Gaussian DP (Bu et al. 2020).

    It is exact at rate 1, where nothing is sampled.
    """
    once = _gaussian_noise(epsilon, delta)  # of one release of everything
    if rate == 1.0:
        return once * math.sqrt(steps)
    return 1.0 / math.sqrt(math.log1p((1.0 / (once * rate)) ** 2 / steps))


def _between(low: float, low_spent: float, high: float, high_spent: float, epsilon: float) -> float:
    """Interpolate noise against epsilon on log scales, aiming just inside the budget."""
    share = 0.5
    if math.isfinite(low_spent) and low_spent > high_spent:
        aim = epsilon * (1.0 - TOLERANCE / 2)
        share = math.log(low_spent / aim) / math.log(low_spent / high_spent)
    return float(low * (high / low) ** min(max(share, 0.05), 0.95))


def _rounded_up(noise: float) -> float:
    """Round up to five significant digits: a number that a person can read and type."""
    digits = 4 - math.floor(math.log10(noise))
    return float(math.ceil(noise * 10.0**digits) / 10.0**digits)


def _prv_epsilon(history: History, delta: float, resolution: float) -> float:
    import numpy as np

    with quiet_import():
        from opacus.accountants import PRVAccountant
    accountant = PRVAccountant()
    accountant.history = list(history)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # It asks the RDP accountant for a first guess, whose orders may not suffice.
            warnings.simplefilter("ignore")
            bound = float(accountant.get_epsilon(delta, eps_error=resolution))
    except (ArithmeticError, IndexError, MemoryError, RuntimeError, ValueError) as error:
        raise PrivacyError(
            f"the PRV accountant gives no bound for {list(history)} at delta {delta:g} ({error})",
            hint="use fewer steps, a larger delta, or a sampling rate between 1e-6 and 0.99",
        ) from error
    if math.isnan(bound):
        raise PrivacyError(f"the PRV accountant gives no number for {list(history)}")
    return bound


def _gaussian_delta(noise: float, epsilon: float) -> float:
    """Return the exact delta of one Gaussian of sensitivity 1 (Balle and Wang 2018, theorem 8)."""
    from scipy.special import log_ndtr

    shift = epsilon * noise
    first = log_ndtr(0.5 / noise - shift)
    second = epsilon + log_ndtr(-0.5 / noise - shift)
    return float(-math.exp(first) * math.expm1(min(second - first, 0.0)))


def _gaussian_epsilon(noise: float, delta: float) -> float:
    """Return the epsilon of one Gaussian at `delta`, from above."""
    low, high = 0.0, 1.0
    if _gaussian_delta(noise, 0.0) <= delta:
        return 0.0
    while _gaussian_delta(noise, high) > delta:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if _gaussian_delta(noise, middle) > delta:
            low = middle
        else:
            high = middle
    return high


def _gaussian_noise(epsilon: float, delta: float) -> float:
    """Return the noise with which one Gaussian is (epsilon, delta)-private, from above."""
    low, high = 1e-6, 1.0
    while _gaussian_delta(high, epsilon) > delta:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if _gaussian_delta(middle, epsilon) > delta:
            low = middle
        else:
            high = middle
    return high
