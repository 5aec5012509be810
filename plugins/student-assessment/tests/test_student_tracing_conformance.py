"""Knowledge tracing holds to everything that every vertical must hold to."""

from __future__ import annotations

import pytest


@pytest.mark.slow
@pytest.mark.verticals_solution("knowledge-tracing", expected_failures={})
def test_knowledge_tracing(conformance_check):
    conformance_check()
