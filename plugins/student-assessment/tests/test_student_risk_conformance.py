"""The conformance checks on student-risk, and what it promises to offer."""

from __future__ import annotations

import pytest

from verticals import registry


@pytest.mark.verticals_solution("student-risk")
def test_conformance(conformance_check):
    conformance_check()


def test_what_is_offered_is_fixed():
    found = registry.find(registry.discover(), "student-risk")
    assert found.info.offers == {"private", "attributions", "reasons", "online"}
    assert found.distribution == "verticals-student-assessment"
