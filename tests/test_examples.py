"""The examples are installed and run as a reader would."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from verticals.contract import read_contract

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
TAIWAN = ROOT.parent / "shared" / "data" / "credit_taiwan_default" / "credit_taiwan_default.csv"


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """Install the third-party plugin into a folder of its own, and return its environment."""
    folder = tmp_path_factory.mktemp("outside")
    source = folder / "source"
    shutil.copytree(EXAMPLES / "third_party_plugin", source)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(folder / "site"), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    path = os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def verticals(*arguments, env, expect=(0,)):
    code = "import sys; from verticals.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode in expect, done.stderr + done.stdout
    return done.stdout


def test_the_outside_vertical_is_under_forty_lines():
    source = EXAMPLES / "third_party_plugin" / "src" / "acme_energy" / "solution.py"
    text = source.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 40
    assert any(isinstance(node, ast.ClassDef) for node in ast.parse(text).body)  # its own network


def test_the_outside_vertical_conforms(outside):
    document = json.loads(verticals("check", "energy-arrears", "--json", env=outside))
    status = {check["name"]: check["status"] for check in document["checks"]}
    assert document["failed"] == 0
    assert status["private-training"] == "passed"
    assert status["attributions-add-up"] == "passed"


def test_the_outside_vertical_gets_audit_and_report(outside, tmp_path):
    bundle, audit, page = tmp_path / "bundle", tmp_path / "audit", tmp_path / "report.html"
    verticals("train", "energy-arrears", "--epsilon", 3, "--out", bundle, env=outside)
    verticals("audit", bundle, "--out", audit, env=outside, expect=(0, 1, 3))
    verticals("report", audit, "--out", page, env=outside)
    record = json.loads((audit / "audit.json").read_text(encoding="utf-8"))
    assert record["privacy"]["epsilon"] <= 3
    assert record["explanations"][0]["additivity_error"] < 1e-3
    assert "Household" in page.read_text(encoding="utf-8")


def test_the_taiwan_contract_declares_what_a_lender_may_use():
    contract = read_contract(EXAMPLES / "taiwan_cards" / "contract.yaml")
    assert len(contract.inputs) == 19
    assert [item.name for item in contract.audited] == ["sex", "age", "education", "marriage"]


@pytest.mark.skipif(not TAIWAN.exists(), reason="../shared/data/credit_taiwan_default is absent")
def test_a_file_that_the_plugin_was_not_shaped_for(tmp_path):
    lines = TAIWAN.read_text(encoding="utf-8").splitlines()[:6001]
    data = tmp_path / "cards.csv"
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    contract = EXAMPLES / "taiwan_cards" / "contract.yaml"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    told = verticals("contract", "check", contract, "--data", data, env=env)
    assert "6000 rows fit the contract" in told
    common = ("--contract", contract, "--data", data, "--out", tmp_path / "cards")
    verticals("train", "credit-scoring", *common, "--epsilon", 3, env=env)
    verticals("predict", tmp_path / "cards", "--data", data, "--out", tmp_path / "s.csv", env=env)
    header = (tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "ID,score,decision"
