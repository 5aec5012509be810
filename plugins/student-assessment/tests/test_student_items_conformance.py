"""item-response holds to everything that every vertical must hold to."""

from __future__ import annotations

import pytest


@pytest.mark.slow
@pytest.mark.verticals_solution("item-response", expected_failures={})
def test_item_response(conformance_check):
    conformance_check()
