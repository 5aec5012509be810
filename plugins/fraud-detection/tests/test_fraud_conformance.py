"""The detector and the novelty score hold to everything that every vertical must hold to."""

from __future__ import annotations

import pytest


@pytest.mark.slow
@pytest.mark.verticals_solution("fraud-detection", expected_failures={})
def test_detector(conformance_check):
    conformance_check()


@pytest.mark.slow
@pytest.mark.verticals_solution("fraud-novelty", expected_failures={})
def test_novelty(conformance_check):
    conformance_check()
