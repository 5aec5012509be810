"""`verticals new`: what is refused, and that what is written is small, whole and clean."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from verticals.contract import read_contract, unreviewed
from verticals.errors import CallError, DataError
from verticals.plugin import API_VERSION
from verticals.registry.rules import violations
from verticals.testing.scaffold import scaffold

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def written(tmp_path):
    """Write a plugin and return its folder."""
    scaffold("acme-churn", tmp_path / "acme")
    return tmp_path / "acme"


def test_it_returns_the_files_it_wrote(tmp_path):
    files = scaffold("acme-churn", tmp_path / "deep" / "acme")
    assert [path.relative_to(tmp_path / "deep" / "acme").as_posix() for path in files] == [
        "pyproject.toml",
        "README.md",
        "src/acme_churn/__init__.py",
        "src/acme_churn/plugin.py",
        "src/acme_churn/solution.py",
        "src/acme_churn/contract.yaml",
        "src/acme_churn/py.typed",
        "tests/test_conformance.py",
    ]
    assert all(path.is_file() for path in files)
    assert not [path for path in files if "$" in path.read_text()]


@pytest.mark.parametrize(
    "name", ["", "Acme", "acme_churn", "acme churn", "-acme", "acme--churn", "9acme", "../acme"]
)
def test_a_name_of_another_form_is_refused(name, tmp_path):
    with pytest.raises(CallError, match="is not lower-case words joined by hyphens"):
        scaffold(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["import", "json", "numpy", "verticals", "verticals-compliance"])
def test_a_name_whose_package_is_taken_is_refused(name, tmp_path):
    with pytest.raises(CallError, match="which is taken") as error:
        scaffold(name, tmp_path / "new")
    assert error.value.hint == f"verticals new acme-{name}"
    assert not (tmp_path / "new").exists()


def test_an_existing_folder_is_left_alone(tmp_path):
    with pytest.raises(CallError, match="exists already") as error:
        scaffold("acme-churn", tmp_path)
    assert "--out" in error.value.hint
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written: Not a directory"):
        scaffold("acme-churn", tmp_path / "file" / "acme")


def test_the_project_declares_its_plugin_and_the_sdk(written):
    project = tomllib.loads((written / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["verticals"] == {"acme-churn": "acme_churn.plugin"}
    assert project["dependencies"] == ["verticals-sdk[torch,explain] >=0.1,<0.2"]


def test_the_description_is_served_and_speaks_this_version(written):
    (info,) = runpy.run_path(str(written / "src" / "acme_churn" / "plugin.py"))[
        "verticals_solutions"
    ]()
    assert violations(info) == []
    assert info.api_version == API_VERSION
    assert info.intended_use
    assert info.not_for


def test_the_contract_is_declared_by_hand(written):
    contract = read_contract(written / "src" / "acme_churn" / "contract.yaml")
    assert contract.solution == "acme-churn"
    assert unreviewed(contract) == ()
    assert contract.decision is not None
    assert {field.role for field in contract.fields} == {"feature", "protected"}


def test_the_network_is_its_own_and_small(written):
    tree = ast.parse((written / "src" / "acme_churn" / "solution.py").read_text())
    ours = [node for node in tree.body if getattr(node, "name", "").lower() == "network"]
    assert [type(node) for node in ours] == [ast.ClassDef, ast.FunctionDef]
    assert sum(node.end_lineno - node.lineno + 1 for node in ours) < 40


def test_it_is_formatted_and_linted(written):
    settings = ["--config", str(ROOT / "pyproject.toml")]
    for command in (["format", "--check"], ["check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *settings, str(written)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout
