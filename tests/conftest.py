"""Refuse to test a stale copy of the packages in place of this checkout."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    "verticals": ROOT / "sdk" / "src",
    "verticals_compliance": ROOT / "compliance" / "src",
    "verticals_credit_scoring": ROOT / "plugins" / "credit-scoring" / "src",
    "verticals_fraud_detection": ROOT / "plugins" / "fraud-detection" / "src",
    "verticals_medical_imaging": ROOT / "plugins" / "medical-imaging" / "src",
    "verticals_student_assessment": ROOT / "plugins" / "student-assessment" / "src",
}


def pytest_configure() -> None:
    """Stop with one line where a package would be imported from anywhere else."""
    if os.environ.get("VERTICALS_TEST_INSTALLED"):
        return
    for module, source in SOURCES.items():
        spec = importlib.util.find_spec(module)
        origin = spec.origin if spec is not None else None
        if origin is None or not Path(origin).resolve().is_relative_to(source):
            raise pytest.UsageError(
                f"{module} would be imported from {origin or 'nowhere'}, expected {source}: "
                "run `make test`, or set VERTICALS_TEST_INSTALLED=1 to test an installed copy"
            )


@pytest.fixture
def tiny_solutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the tiny distribution for one test, as its metadata folder does for a real one."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "solutions"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the tiny table once for a module, and write its contract and demo to files."""
    from verticals.cli.main import run
    from verticals.data import write_table

    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests" / "solutions"))
        from tiny_solutions.table import CONTRACT, demo

        write_table(folder / "data.csv", demo()[1])
        (folder / "contract.yaml").write_text(CONTRACT, encoding="utf-8")
        assert run(["train", "tiny-table", "--no-privacy", "--out", str(folder / "model")]) == 0
    return folder
