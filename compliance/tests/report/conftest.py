"""A believable record, the report made from it, and a browser, for every test of the report."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from verticals_compliance.report import build, profile_names, read_profile, read_record, render

HERE = Path(__file__).parent
MAKE = runpy.run_path(str(HERE / "make_record.py"))
PHOTOGRAPH = runpy.run_path(str(HERE / "photograph.py"))


@pytest.fixture
def make_record():
    """Return the function that invents audit and details; a fresh pair at each call."""
    return MAKE["make_record"]


@pytest.fixture
def record_of(tmp_path):
    """Return a function that writes audit and details and reads them as a report does."""

    def make(audit, details):
        return read_record(MAKE["write_record"](tmp_path / "audit", audit, details))

    return make


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return a folder as `verticals audit` leaves it."""
    return MAKE["write_record"](tmp_path_factory.mktemp("audit"), *MAKE["make_record"]())


@pytest.fixture(scope="session")
def record(folder):
    return read_record(folder)


@pytest.fixture(scope="session")
def document(record):
    return build(record, [read_profile(name) for name in profile_names()])


@pytest.fixture(scope="session")
def page(document):
    return render(document, "html").decode()


@pytest.fixture(scope="module")
def browser():
    """Yield a browser context of Chromium; skip where there is none.

    Not for the session: while it is open, playwright keeps an event loop in this thread.
    """
    pytest.importorskip("playwright", reason="playwright is not installed")
    if not Path(PHOTOGRAPH["CHROMIUM"]).exists():
        pytest.skip(f"{PHOTOGRAPH['CHROMIUM']} is not installed")
    with PHOTOGRAPH["browser"]() as context:
        yield context
