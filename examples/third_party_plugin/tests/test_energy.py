"""All the tests an outside vertical needs: the conformance checks."""

import pytest


@pytest.mark.verticals_solution("energy-arrears")
def test_conformance(conformance_check):
    """Run one check."""
    conformance_check()
