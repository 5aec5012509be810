"""The start-up budget, in modules: what a light command may not import."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

from verticals.registry import HEAVY_PACKAGES

REPORT = """
import json, sys
try:
    {code}
except SystemExit as stop:
    assert not stop.code, stop.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return the names of all modules it imported."""
    run = subprocess.run(
        [sys.executable, "-c", REPORT.format(code=code)],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(run.stderr.splitlines()[-1]))


def test_the_budget_names_what_the_design_names():
    assert sorted(HEAVY_PACKAGES) == [
        "fairlearn",
        "opacus",
        "pandas",
        "polars",
        "shap",
        "sklearn",
        "torch",
        "torchvision",
        "transformers",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--json"],
        ["describe", "credit-scoring"],
        ["--help"],
        ["train", "--help"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_a_light_command_imports_nothing_heavy(arguments):
    imported = modules_after(f"from verticals.cli import main; main({arguments!r})")
    assert "verticals.cli.main" in imported
    assert not HEAVY_PACKAGES & imported


def test_help_loads_no_outside_command():
    imported = modules_after("from verticals.cli import main; main(['--help'])")
    assert not [name for name in imported if name.startswith("verticals_compliance")]


def test_importing_the_package_imports_nothing_else():
    imported = modules_after("import verticals; verticals.__version__; dir(verticals)")
    assert [name for name in imported if name.startswith("verticals")] == ["verticals"]
    assert "numpy" not in imported


def test_the_face_is_resolved_on_first_use():
    imported = modules_after("import verticals; verticals.train; verticals.open")
    assert "verticals.api" in imported
    assert not HEAVY_PACKAGES & imported
    with pytest.raises(AttributeError, match="has no attribute 'fit'"):
        importlib.import_module("verticals").fit()
