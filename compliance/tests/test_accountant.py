"""The accountant of an audit: its bounds hold, and lie close together."""

from __future__ import annotations

import math
import time

import pytest

from verticals_compliance.accountant import FAR, WIDE, _direction, _one_step, epsilon_bounds
from verticals_compliance.privacy_loss import Step, gaussian_delta, law_above, law_below, nodes

SAMPLED = [  # noise, rate, steps, delta
    (1.0, 0.01, 1000, 1e-5),
    (2.113, 0.2575, 160, 1e-3),
    (0.6, 0.02, 300, 1e-4),
    (5.0, 0.99, 50, 1e-3),
    (0.5, 1e-4, 1000, 1e-7),
]


def _bounds(noise, rate, steps, delta):
    return epsilon_bounds(noise=noise, rate=rate, steps=steps, delta=delta)


def test_full_batches_have_the_epsilon_of_one_gaussian() -> None:
    """Balle and Wang 2018 give noise 3.7306 for (1, 1e-5); the officer's forgery spends 142.8."""
    found = _bounds(3.730632, 1.0, 1, 1e-5)
    assert (found.lower, found.upper) == pytest.approx((1.0, 1.0), abs=1e-6)
    many = _bounds(37.30632, 1.0, 100, 1e-5)
    assert many.upper == pytest.approx(found.upper, rel=1e-9)
    assert _bounds(1.0, 1.0, 200, 1e-3).lower == pytest.approx(142.79, abs=0.01)
    assert found.lower <= found.upper


@pytest.mark.parametrize("case", SAMPLED, ids=str)
def test_opacus_lies_at_the_upper_bound_within_its_own_error(case) -> None:
    from opacus.accountants import PRVAccountant

    noise, rate, steps, delta = case
    oracle = PRVAccountant()
    oracle.history = [(noise, rate, steps)]
    theirs = oracle.get_epsilon(delta, eps_error=0.01)
    found = _bounds(*case)
    assert found.lower <= theirs
    assert theirs - 0.02 * (1 + found.upper / 10) <= found.upper <= theirs
    assert found.upper - found.lower <= 0.005 * found.upper


@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize(("noise", "steps", "delta"), [(3.0, 20, 1e-5), (0.8, 2, 1e-3)])
def test_the_grid_finds_the_closed_form_where_nothing_is_sampled(
    removed, noise, steps, delta
) -> None:
    """Of a Gaussian without sampling both directions are the same, and ε is known."""
    exact = _bounds(noise, 1.0, steps, delta).upper
    lower, upper = _direction(noise, 1.0, steps, delta, removed=removed, known=0.0)
    assert lower <= exact <= upper
    assert upper - lower <= 2e-3 * exact


@pytest.mark.parametrize(("noise", "rate", "delta"), [(0.3, 0.01, 1e-5), (1.0, 0.1, 1e-6)])
def test_one_step_has_the_epsilon_of_a_sampled_gaussian(noise, rate, delta) -> None:
    """δ(ε) of the mixture is q times δ of the Gaussian at log(1 + (e^ε − 1) / q)."""
    exact = _one_step(noise, rate, delta)
    inner = math.log1p(math.expm1(exact) / rate)
    assert rate * gaussian_delta(inner, noise) == pytest.approx(delta, rel=1e-6)
    lower, upper = _direction(noise, rate, 1, delta, removed=True, known=0.0)
    assert lower <= exact * (1 + 1e-9)
    assert exact <= upper * (1 + 1e-9)
    assert upper - lower <= 2e-3 * exact


@pytest.mark.parametrize("removed", [True, False])
def test_the_laws_enclose_the_mean_loss_and_lose_no_mass(removed) -> None:
    """Upwards rounding keeps e^(−loss) on average, so the mean loss can only grow."""
    step = Step(noise=0.9, rate=0.05, removed=removed, tail=1e-14)
    mean = nodes(step).moments(0.0)[0]
    for width in (0.1, 0.01):
        above, below = law_above(step, width), law_below(step, width)
        for law in (above, below):
            assert law.mass.sum() == pytest.approx(1.0, abs=1e-9)
        grid = [(law.first + k) * width for law in (above,) for k in range(law.mass.size)]
        assert above.mass @ grid >= mean - 1e-12
        grid = [(below.first + k) * width for k in range(below.mass.size)]
        assert below.mass @ grid + below.shift <= mean + 1e-12


def test_epsilon_grows_with_rate_and_steps_and_falls_with_noise_and_delta() -> None:
    base = _bounds(1.0, 0.05, 50, 1e-5)
    for worse in ((0.9, 0.05, 50, 1e-5), (1.0, 0.06, 50, 1e-5), (1.0, 0.05, 60, 1e-5)):
        assert _bounds(*worse).lower > base.upper
    assert _bounds(1.0, 0.05, 50, 1e-6).lower > base.upper
    assert base.upper <= _bounds(1.0, 1.0, 50, 1e-5).lower  # sampling can only help


@pytest.mark.parametrize(
    "case",
    [
        (100.0, 0.5, 10**6, 1e-5),
        (0.3, 1e-5, 10**6, 1e-6),
        (20.0, 1e-5, 10**6, 1e-9),
        (2.0, 0.05, 10_000, 1e-6),
        (0.3, 0.01, 1, 1e-5),
    ],
    ids=str,
)
def test_the_ends_of_the_ranges_are_bounded_closely_and_soon(case) -> None:
    start = time.process_time()
    found = _bounds(*case)
    assert found.upper - found.lower <= 5e-3 * found.upper
    assert found.method not in (FAR, WIDE)
    assert time.process_time() - start < 10.0  # about one second on a quiet machine


def test_what_cannot_be_bounded_closely_is_called_wide_and_still_bounded() -> None:
    found = _bounds(0.001, 0.5, 10**6, 1e-5)
    assert found.method == WIDE
    assert 0 < found.lower < found.upper
    far = _bounds(0.55, 1e-5, 276_083, 1e-4)
    assert far.method == FAR
    assert 0 < far.lower < 0.95 * far.upper
    none = _bounds(0.0, 0.5, 10, 1e-5)
    assert none.upper == math.inf
    assert none.method == WIDE


def test_nothing_spends_nothing_and_little_hides_below_delta() -> None:
    assert _bounds(1.0, 0.0, 10, 1e-5).upper == 0.0
    assert _bounds(1.0, 0.5, 0, 1e-5).upper == 0.0
    assert _bounds(100.0, 1e-5, 10, 1e-5).upper == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    "change", [{"noise": -1.0}, {"rate": 1.5}, {"steps": -1}, {"delta": 0.0}, {"delta": 1.0}]
)
def test_numbers_of_no_mechanism_are_refused(change) -> None:
    call = {"noise": 1.0, "rate": 0.1, "steps": 10, "delta": 1e-5, **change}
    with pytest.raises(ValueError, match="no Gaussian steps"):
        epsilon_bounds(**call)
