"""The promise of privacy, and the membership attack that is held against it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.errors import AuditError
from verticals.table import Table
from verticals_compliance.privacy import allowed, loss_histogram, privacy_section, rate_at

PROMISE = {
    "epsilon": 1.0,
    "delta": 1e-3,
    "unit": "group",
    "accountant": "PRV",
    "unsafe_noise_seed": None,
    "statement": ["One.", "Two."],
}


def _histogram(members, others) -> Table:
    bins = len(members)
    return Table(
        {
            "member": np.repeat([1, 0], bins),
            "bin": np.tile(np.arange(bins), 2),
            "lower": np.tile(np.arange(bins, dtype=float), 2),
            "upper": np.tile(np.arange(bins, dtype=float) + 1, 2),
            "count": np.array([*members, *others]),
        }
    )


def test_the_section_says_what_the_bundle_promises() -> None:
    section = privacy_section(PROMISE, None, 0.95)
    assert (section.epsilon, section.delta, section.unit) == (1.0, 1e-3, "group")
    assert (section.accountant, section.statement) == ("PRV", "One. Two.")
    assert section.attack is None


def test_no_promise_is_null_and_not_zero() -> None:
    section = privacy_section(None, None, 0.95)
    assert (section.epsilon, section.delta, section.unit) == (None, None, "")


def test_a_known_noise_seed_voids_the_promise() -> None:
    section = privacy_section({**PROMISE, "unsafe_noise_seed": 7}, None, 0.95)
    assert section.epsilon is None
    assert section.delta is None


def test_an_attack_on_equal_losses_is_chance() -> None:
    even = [100] * 10
    attack = privacy_section(PROMISE, _histogram(even, even), 0.95).attack
    assert attack.auc == 0.5
    assert attack.auc_lower < 0.5 < attack.auc_upper
    assert attack.tpr == pytest.approx(0.01)
    assert attack.bound == pytest.approx(math.e * 0.01 + 1e-3)
    assert attack.consistent is True
    assert (attack.members, attack.others) == (1000, 1000)


def test_an_attack_that_beats_the_promise_shows() -> None:
    """Members fit far better than others: impossible at epsilon 1."""
    attack = privacy_section(PROMISE, _histogram([900, 100], [0, 1000]), 0.95).attack
    assert attack.tpr == pytest.approx(0.901)
    assert attack.consistent is False
    raw = privacy_section(None, _histogram([900, 100], [0, 1000]), 0.95).attack
    assert raw.bound is None
    assert raw.consistent is None


def test_the_order_of_the_rows_is_irrelevant_and_bins_must_agree() -> None:
    table = _histogram([5, 3, 2], [1, 4, 5])
    shuffled = table.take(np.array([4, 0, 5, 2, 1, 3]))
    assert rate_at(loss_histogram(table), 0.1) == rate_at(loss_histogram(shuffled), 0.1)
    with pytest.raises(AuditError, match="other bins"):
        loss_histogram(table.take(np.arange(5)))


def test_rates_lie_on_straight_lines_between_thresholds() -> None:
    found = loss_histogram(_histogram([50, 30, 20], [10, 40, 50]))
    assert rate_at(found, 0.1) == pytest.approx(0.5)
    assert rate_at(found, 0.05) == pytest.approx(0.25)
    assert rate_at(found, 0.3) == pytest.approx(0.65)
    assert rate_at(loss_histogram(_histogram([1, 2], [0, 0])), 0.1) is None
    assert rate_at(loss_histogram(_histogram([20, 80], [0, 50])), 0.0) == pytest.approx(0.2)


def test_one_side_empty_is_not_measurable() -> None:
    attack = privacy_section(PROMISE, _histogram([3, 4], [0, 0]), 0.95).attack
    assert (attack.auc, attack.tpr, attack.bound, attack.consistent) == (None, None, None, None)


@settings(deadline=None, max_examples=100)
@given(st.floats(0, 1), st.floats(0, 30), st.floats(0, 0.1))
def test_what_is_allowed_is_a_rate_no_less_than_chance_and_grows(fpr, epsilon, delta) -> None:
    found = allowed(fpr, epsilon, delta)
    assert fpr - 1e-12 <= found <= 1
    assert allowed(fpr, epsilon + 1, delta) >= found - 1e-12
    assert allowed(min(1.0, fpr + 0.01), epsilon, delta) >= found - 1e-12


def test_randomised_response_reaches_the_bound_exactly() -> None:
    """The truth with chance e^ε / (1 + e^ε): the mechanism that spends its promise to the end."""
    epsilon = 1.3
    honest = math.exp(epsilon) / (1 + math.exp(epsilon))
    assert allowed(1 - honest, epsilon, 0.0) == pytest.approx(honest)
    assert allowed(0.5, None, None) is None
