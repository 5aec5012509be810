"""The noise that is solved for spends at most the budget, by three accountants of other make."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy import integrate, stats

from verticals.errors import PrivacyError
from verticals.privacy import (
    PrivacyPlan,
    PrivacyRecord,
    compose,
    default_delta,
    epsilon_spent,
    plan,
    record_of,
)
from verticals.privacy.noise import OPERATING_SYSTEM

SETTINGS = [  # epsilon, delta, sampling rate, steps
    (3.0, 1e-5, 0.4, 30),
    (8.0, 1e-4, 0.02, 300),
    (0.1, 1e-6, 0.05, 100),
]


@pytest.fixture(scope="module", params=SETTINGS, ids=str)
def solved(request: pytest.FixtureRequest) -> PrivacyPlan:
    epsilon, delta, rate, steps = request.param
    return plan(
        epsilon=epsilon, delta=delta, units=int(0.9 / delta), sampling_rate=rate, steps=steps
    )


def reference_epsilon(
    noise: float, rate: float, steps: int, delta: float, *, removed: bool, width: float
) -> float:
    """Bound epsilon by a privacy loss distribution on a grid, written without Opacus.

    The loss of one step is log(mixture / Gaussian) in one direction and its negative in the other
    (Koskela et al. 2020, arXiv:1906.03049); its distribution follows from the normal one, as the
    loss grows with the output. A Fourier transform convolves it with itself.
    """
    grid = 2 * width / 2**20
    edges = -width + grid * (np.arange(2**20 + 1) - 0.5)
    losses = edges if removed else -edges
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        lifted = (np.expm1(losses) + rate) / rate
        where = np.where(lifted > 0, noise**2 * np.log(np.maximum(lifted, 1e-300)) + 0.5, -np.inf)
    if removed:
        below = (1 - rate) * stats.norm.cdf(where / noise) + rate * stats.norm.cdf(
            (where - 1) / noise
        )
    else:
        below = stats.norm.sf(where / noise)
    mass = np.diff(below)
    composed = np.fft.irfft(np.fft.rfft(np.fft.ifftshift(mass)) ** steps, n=len(mass))
    composed = np.fft.fftshift(composed)
    values = -width + grid * np.arange(2**20)
    lost = 1.0 - mass.sum()

    def delta_at(epsilon: float) -> float:
        over = values > epsilon
        return float(composed[over] @ -np.expm1(epsilon - values[over])) + steps * max(lost, 0.0)

    low, high = 0.0, width
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_at(middle) > delta else (low, middle)
    return high


def test_plan_spends_nearly_all_of_the_budget_and_never_more(solved: PrivacyPlan) -> None:
    assert solved.epsilon <= solved.target_epsilon
    assert solved.epsilon > 0.99 * solved.target_epsilon
    history = [(solved.noise_multiplier, solved.sampling_rate, solved.steps)]
    resolution = min(0.01, solved.target_epsilon / 20)
    assert epsilon_spent(history, delta=solved.delta, resolution=resolution) == solved.epsilon


@pytest.mark.parametrize("removed", [True, False])
def test_an_accountant_of_other_make_agrees(solved: PrivacyPlan, removed: bool) -> None:
    found = reference_epsilon(
        solved.noise_multiplier,
        solved.sampling_rate,
        solved.steps,
        solved.delta,
        removed=removed,
        width=4 * solved.target_epsilon + 4,
    )
    assert found <= solved.epsilon + 1e-3 * solved.target_epsilon
    if removed:  # the worse direction; Opacus accounts for this one only
        assert found >= solved.epsilon - 0.012 - 0.06 * solved.target_epsilon


def test_the_renyi_accountant_allows_no_more(solved: PrivacyPlan) -> None:
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(solved.noise_multiplier, solved.sampling_rate, solved.steps)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        looser = accountant.get_epsilon(solved.delta)
    assert looser >= solved.epsilon - 0.012


def test_full_batches_use_the_exact_gaussian() -> None:
    solved = plan(epsilon=1.0, delta=1e-5, units=50_000, sampling_rate=1.0, steps=1)
    # Balle and Wang 2018: the analytic Gaussian mechanism at (1, 1e-5).
    assert solved.noise_multiplier == pytest.approx(3.7306, abs=2e-4)
    assert solved.accountant == "analytic gaussian"
    many = plan(epsilon=1.0, delta=1e-5, units=50_000, sampling_rate=1.0, steps=100)
    assert many.noise_multiplier == pytest.approx(10 * solved.noise_multiplier, rel=1e-4)
    assert many.epsilon <= 1.0


@pytest.mark.parametrize(("epsilon", "delta", "steps"), [(0.5, 1e-6, 20), (10.0, 1e-3, 5)])
def test_full_batch_delta_by_integration(epsilon: float, delta: float, steps: int) -> None:
    solved = plan(epsilon=epsilon, delta=delta, units=500, sampling_rate=1.0, steps=steps)
    noise = solved.noise_multiplier / math.sqrt(steps)

    def excess(x: float) -> float:
        gap = stats.norm.pdf(x, 1, noise) - math.exp(solved.epsilon) * stats.norm.pdf(x, 0, noise)
        return max(gap, 0.0)

    start = noise**2 * solved.epsilon + 0.5  # where the gap turns positive
    found, _ = integrate.quad(excess, start, start + 12 * noise, epsabs=1e-14, limit=200)
    assert found == pytest.approx(delta, rel=1e-3)
    assert solved.epsilon <= epsilon


def test_nearly_full_batches_agree_with_full_ones() -> None:
    full = plan(epsilon=2.0, delta=1e-4, units=1_000, sampling_rate=1.0, steps=20)
    nearly = plan(epsilon=2.0, delta=1e-4, units=1_000, sampling_rate=0.999, steps=20)
    assert nearly.accountant == "prv"
    assert nearly.accountant_version.startswith("opacus ")
    assert nearly.noise_multiplier == pytest.approx(full.noise_multiplier, rel=0.02)


def test_noise_grows_with_steps_rate_and_strictness() -> None:
    base = {"epsilon": 2.0, "delta": 1e-5, "units": 10_000, "sampling_rate": 0.01, "steps": 50}
    solved = plan(**base)
    noise = solved.noise_multiplier
    assert plan(**base) == solved
    assert plan(**{**base, "epsilon": 1.0}).noise_multiplier > noise

    def spent(noise: float, rate: float, steps: int, delta: float) -> float:
        return epsilon_spent([(noise, rate, steps)], delta=delta)

    assert spent(noise, 0.01, 100, 1e-5) > solved.epsilon
    assert spent(noise, 0.02, 50, 1e-5) > solved.epsilon
    assert spent(noise, 0.01, 50, 1e-7) > solved.epsilon
    assert spent(2 * noise, 0.01, 50, 1e-5) < solved.epsilon


def test_a_generous_budget_still_adds_noise() -> None:
    solved = plan(epsilon=500.0, units=1_000, sampling_rate=0.05, steps=5)
    assert solved.noise_multiplier >= 0.3
    assert solved.epsilon <= 500.0


def test_nothing_spends_nothing() -> None:
    assert epsilon_spent([], delta=1e-5) == 0.0
    assert epsilon_spent([(1.0, 0.1, 0)], delta=1e-5) == 0.0


@pytest.mark.parametrize(
    ("units", "delta"),
    [(2, 0.1), (10, 0.01), (11, 0.01), (994, 1e-3), (1_000, 1e-4), (1_001, 1e-4), (20_000, 1e-5)],
)
def test_default_delta_is_a_power_of_ten_below_one_in_n(units: int, delta: float) -> None:
    assert default_delta(units) == delta
    assert default_delta(units) < 1 / units


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"epsilon": float("inf")}, "epsilon"),
        ({"epsilon": 1e-7}, "nothing to learn"),
        ({"epsilon": 0.01, "sampling_rate": 0.9, "steps": 100_000}, "nothing to learn"),
        ({"delta": 0.0}, "delta"),
        ({"delta": 1.0}, "delta"),
        ({"delta": 1e-3}, "delta"),
        ({"delta": 1e-15}, "delta"),
        ({"sampling_rate": 0.0}, "sampling_rate"),
        ({"sampling_rate": 1.5}, "sampling_rate"),
        ({"sampling_rate": 1e-4}, "fewer than one unit"),
        ({"steps": 0}, "steps"),
        ({"steps": 10**9}, "steps"),
        ({"units": 1}, "unit"),
        ({"max_grad_norm": 0.0}, "max_grad_norm"),
        ({"max_grad_norm": float("nan")}, "max_grad_norm"),
        ({"unit": "household"}, "unit"),
        ({"max_rows_per_unit": 3}, "max_rows_per_unit"),
        ({"unit": "group", "max_rows_per_unit": 0}, "max_rows_per_unit"),
    ],
)
def test_promises_that_would_not_hold_are_refused(change: dict[str, object], word: str) -> None:
    call = {"epsilon": 3.0, "units": 1_000, "sampling_rate": 0.1, "steps": 10, **change}
    with pytest.raises(PrivacyError, match=word):
        plan(**call)


@pytest.fixture(scope="module")
def planned() -> PrivacyPlan:
    return plan(epsilon=2.0, units=900, sampling_rate=1.0, steps=10)


def test_record_says_what_was_spent_and_what_is_not_covered(planned: PrivacyPlan) -> None:
    record = record_of(planned, noise_source=OPERATING_SYSTEM)
    assert record.epsilon == planned.epsilon
    assert record.neighbouring == "add or remove one unit"
    assert record.accountant_version.startswith("verticals-sdk ")
    assert record.accountant_version.endswith("(Balle and Wang 2018)")
    text = " ".join(record.statement)
    for words in ("number of training rows (900)", "public", "choice of options", "test parts"):
        assert words in text
    assert "name a `group`" in text
    assert PrivacyRecord.from_json(record.to_json()) == record


def test_record_of_persons_speaks_of_persons() -> None:
    planned = plan(epsilon=2.0, units=90, sampling_rate=1.0, steps=10, unit="group")
    text = " ".join(record_of(planned, noise_source=OPERATING_SYSTEM).statement)
    assert "one person with all rows of that person" in text
    assert "name a `group`" not in text


def test_a_known_seed_voids_the_statement(planned: PrivacyPlan) -> None:
    known = dataclasses.replace(planned, unsafe_noise_seed=5)
    record = record_of(known, noise_source="a known seed, for a test")
    assert record.unsafe_noise_seed == 5
    assert len(record.statement) == 1
    assert record.statement[0].startswith("No epsilon holds")


@pytest.mark.parametrize("change", [{"surprise": 1}, {"epsilon": None}])
def test_a_record_with_other_keys_is_refused(
    planned: PrivacyPlan, change: dict[str, object]
) -> None:
    value = record_of(planned, noise_source=OPERATING_SYSTEM).to_json()
    value.update(change)
    if change == {"epsilon": None}:
        del value["epsilon"]
    with pytest.raises(PrivacyError, match="keys"):
        PrivacyRecord.from_json(value)


def test_releases_compose_by_summing(planned: PrivacyPlan) -> None:
    record = record_of(planned, noise_source=OPERATING_SYSTEM)
    total = compose([record, record, record])
    assert total.epsilon == pytest.approx(3 * record.epsilon)
    assert total.delta == pytest.approx(3 * record.delta)
    assert total.releases == 3
    known = dataclasses.replace(record, unsafe_noise_seed=1)
    assert compose([record, known]).epsilon == math.inf
    with pytest.raises(PrivacyError, match="different units"):
        compose([record, dataclasses.replace(record, unit="group")])
    with pytest.raises(PrivacyError, match="no privacy record"):
        compose([])


def test_planning_leaves_the_callers_process_alone() -> None:
    code = """
import logging, sys
import verticals.privacy
assert "torch" not in sys.modules and "opacus" not in sys.modules
verticals.privacy.plan(epsilon=3.0, units=100, sampling_rate=0.5, steps=2)
assert "opacus" in sys.modules
assert logging.root.handlers == []
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
