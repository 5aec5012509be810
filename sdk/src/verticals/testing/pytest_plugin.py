"""A pytest plugin: one test for each conformance check, with strict, reasoned failures.

    import pytest

    @pytest.mark.verticals_solution("acme-churn", expected_failures={"scores-in-range": "…why…"})
    def test_conformance(conformance_check):
        conformance_check()

An expected failure needs a reason and must fail: a check that passes again is reported, so that
no exception outlives its cause. A name that is no check is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from verticals.testing.subject import Subject


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "verticals_solution(name, expected_failures={}): run the conformance checks on a solution",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each check, and mark the expected failures."""
    if "conformance_check" not in metafunc.fixturenames:
        return
    from verticals.testing.conformance import CHECKS, check_name

    marker = metafunc.definition.get_closest_marker("verticals_solution")
    if marker is None or len(marker.args) != 1:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid} asks for conformance_check, expected the marker "
            "verticals_solution(name)"
        )
    expected = dict(marker.kwargs.get("expected_failures", {}))
    unknown = set(expected) - {check_name(check) for check in CHECKS}
    if unknown or not all(expected.values()):
        raise pytest.UsageError(
            f"expected_failures of {marker.args[0]!r}: each needs the name of a check and a "
            f"reason, unknown are {sorted(unknown)}"
        )
    parameters = []
    for check in CHECKS:
        name = check_name(check)
        marks = [pytest.mark.xfail(reason=expected[name], strict=True)] if name in expected else []
        parameters.append(pytest.param((marker.args[0], check), id=name, marks=marks))
    metafunc.parametrize("conformance_check", parameters, indirect=True)


@pytest.fixture(scope="session")
def conformance_subjects(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Subject]:
    """Return a function that loads each solution once for the whole session."""
    from verticals.testing.subject import make_subject

    made: dict[str, Subject] = {}

    def subject(name: str) -> Subject:
        if name not in made:
            made[name] = make_subject(name, Path(tmp_path_factory.mktemp(name)))
        return made[name]

    return subject


@pytest.fixture
def conformance_check(
    request: pytest.FixtureRequest, conformance_subjects: Callable[[str], Subject]
) -> Callable[[], None]:
    """Return a function that runs one check, and fails or skips the test by its result."""
    from verticals.testing.conformance import run_check

    name, check = request.param

    def run() -> None:
        result = run_check(check, conformance_subjects(name))
        if result.status == "not offered":
            pytest.skip(f"not offered: {result.message}")
        if result.status in ("failed", "not run"):
            pytest.fail(result.message, pytrace=False)

    return run
