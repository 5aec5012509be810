"""The guards around the test run itself: a stale copy, a Python that is too old."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def collect(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Collect one file of this folder with another folder first on the path."""
    inherited = {k: v for k, v in os.environ.items() if k != "VERTICALS_TEST_INSTALLED"}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            "-p",
            "no:cacheprovider",
            __file__,
        ],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def stale(tmp_path):
    """Give a folder with an old copy of the SDK."""
    (tmp_path / "verticals" / "testing").mkdir(parents=True)
    for name in ("__init__", "testing/__init__", "testing/pytest_plugin"):
        (tmp_path / "verticals" / f"{name}.py").write_text("")
    return tmp_path


def test_a_stale_copy_stops_the_run_with_one_line(stale):
    run = collect(stale)
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in run.stderr.splitlines() if line]
    assert f"verticals would be imported from {stale}" in line
    assert "run `make test`" in line


def test_an_installed_copy_may_be_tested_on_purpose(stale):
    assert collect(stale, VERTICALS_TEST_INSTALLED="1").returncode == 0


@pytest.fixture
def checkout(tmp_path):
    """Give a folder with our Makefile, and a `python3` that says it is Python 3.9."""
    for name in ("Makefile", "constraints.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ncase "$2" in *exit*) exit 1;; *) echo "Python 3.9";; esac\n')
    old.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(("python", "found"), [("./python3", "Python 3.9"), ("./no", "absent")])
def test_a_python_that_is_too_old_gets_one_clear_line(checkout, python, found):
    run = subprocess.run(
        ["make", "test", f"PYTHON={python}"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    first, *rest = run.stderr.splitlines()
    assert first == (
        f"error: Python 3.11 or newer with venv is needed, and '{python}' is {found}. "
        "Try: make PYTHON=/path/to/python3.12"
    )
    assert all(line.startswith("make") for line in rest)
    assert not (checkout / ".venv").exists()
