"""Audit and report where torch was never installed: the compliance officer's machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Train a bundle with its evidence here, where there is a torch."""
    path = tmp_path_factory.mktemp("recorded") / "bundle"
    subprocess.run(
        [
            sys.executable,
            "-c",
            "from verticals.cli import main; main()",
            *("train", "credit-scoring", "--no-privacy", "--out", str(path)),
        ],
        check=True,
        capture_output=True,
        timeout=200,
    )
    return path


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Install the SDK and compliance with their declared dependencies; return the folder.

    Skips only where no package index answers: a requirement that cannot be met is a failure.
    """
    folder = tmp_path_factory.mktemp("officer")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    limits = ["-c", str(ROOT / "constraints.txt")]
    probe = subprocess.run(
        [
            *pip,
            "download",
            "--no-cache-dir",
            "--no-deps",
            *limits,
            "-d",
            folder / "probe",
            "pluggy",
        ],
        capture_output=True,
        timeout=250,
        check=False,
    )
    if probe.returncode:
        pytest.skip("no package index is reachable")
    subprocess.run(
        [*pip, "install", "--quiet", "--no-compile", *limits, ROOT / "sdk", ROOT / "compliance"],
        check=True,
        timeout=280,
    )
    return folder


def run(
    environment: Path, *command: object, codes: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment, away from this checkout."""
    program, *arguments = map(str, command)
    done = subprocess.run(
        [environment / "venv" / "bin" / program, *arguments],
        cwd=environment,
        env={name: text for name, text in os.environ.items() if not name.startswith("PYTHON")},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode in codes, done.stderr
    return done


def test_an_audit_needs_neither_torch_nor_the_plugin(environment, bundle, tmp_path):
    absent = "import importlib.util as u; print([u.find_spec(n) for n in {!r}])"
    names = ("torch", "opacus", "shap", "verticals_credit_scoring")
    assert run(environment, "python", "-c", absent.format(names)).stdout.split() == [
        "[None,",
        "None,",
        "None,",
        "None]",
    ]
    audit, report = tmp_path / "audit", tmp_path / "report.html"
    run(environment, "verticals", "verify", bundle)
    run(environment, "verticals", "audit", bundle, "--out", audit, codes=(0, 1, 3))
    assert json.loads((audit / "audit.json").read_text())["fairness"]
    run(environment, "verticals", "report", audit, "--out", report)
    assert "credit-scoring" in report.read_text()
    run(environment, "verticals", "verify", audit, "--bundle", bundle)


def test_scoring_without_the_plugin_names_its_distribution(environment, bundle, tmp_path):
    data = tmp_path / "applications.csv"
    data.write_text("income\n1\n")
    arguments = ("predict", bundle, "--data", data, "--out", tmp_path / "scored.csv")
    done = run(environment, "verticals", *arguments, codes=(2,))
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert "needs the solution 'credit-scoring', which is not installed" in error
    assert hint.startswith("hint: ")
    assert "verticals-credit-scoring" in hint
