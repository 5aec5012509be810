"""The imaging solution holds to everything that every vertical must hold to."""

from __future__ import annotations

import pytest


@pytest.mark.slow
@pytest.mark.verticals_solution("medical-imaging", expected_failures={})
def test_conformance(conformance_check):
    conformance_check()
