"""The commands: what people see, what programs read, and the exit codes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import jsonschema
import pytest
from click.testing import CliRunner

from verticals.errors import AuditError, BundleError, EvidenceError
from verticals.ledger import read
from verticals.plugin import AuditCheckInfo, SolutionInfo
from verticals.registry import Found, Registry
from verticals.strictjson import sha256
from verticals_compliance import commands
from verticals_compliance.audit import record_schema, run_audit
from verticals_compliance.commands import audit, verify_audit
from verticals_compliance.policy import default_policy
from verticals_compliance.records import CheckRow

OPEN = """
[policy]
name = "open"
[[rule]]
id = "beyond"
section = "performance"
metric = "no_such_measure"
min = 0.5
required = {required}
source = "us"
"""


def _run(command, *arguments: object):
    """Run a command as `verticals` does: the return value is the exit code."""
    runner = CliRunner()
    with runner.isolation() as (out, _, _):
        code = command.main([str(item) for item in arguments], standalone_mode=False)
        text = out.getvalue().decode()
    return code, text


@pytest.fixture
def policy(tmp_path):
    def write(text: str):
        path = tmp_path / "policy.toml"
        path.write_text(text)
        return path

    return write


def test_an_audit_says_its_findings_and_the_next_command(credit, tmp_path) -> None:
    case = credit()
    code, text = _run(audit, case.bundle_path, "--out", tmp_path / "audit")
    lines = text.splitlines()
    assert lines[0].split() == ["status", "rule", "attribute", "value", "limit"]
    assert any("four-fifths" in line and "race" in line for line in lines)
    assert any(line.startswith("findings 13: ") for line in lines)
    assert lines[-2] == f"written  {tmp_path / 'audit' / 'audit.json'}"
    assert lines[-1] == f"next     verticals report {tmp_path / 'audit'} --out report.html"
    assert code in (0, 1, 3)
    assert max(map(len, lines[:14])) < 120


def test_findings_that_speak_of_one_output_of_several_name_it(credit) -> None:
    case = credit()
    record = run_audit(case.evidence, case.bundle, default_policy()).record
    assert commands.summary(record)[0].split() == ["status", "rule", "attribute", "value", "limit"]
    row, judged = record.performance[0], record.findings[0]
    check = CheckRow(
        check="essays.kappa",
        output="grammar",
        attribute="sex",
        group="girls",
        subject="padding",
        n=90,
        estimate=0.6,
        lower=0.5,
        upper=0.7,
        method="",
        origin="",
    )
    several = dataclasses.replace(
        record,
        performance=(row, dataclasses.replace(row, output="grammar")),
        checks=(check,),
        findings=(dataclasses.replace(judged, rule="kappa", evidence="/checks/0"),),
    )
    header, line, *_ = commands.summary(several)
    assert header.split() == ["status", "rule", "attribute", "of", "value", "limit"]
    assert "grammar, girls, padding" in line


def test_json_is_the_record(credit, tmp_path) -> None:
    case = credit()
    _, text = _run(audit, case.bundle_path, "--out", tmp_path / "audit", "--json")
    record = json.loads(text)
    jsonschema.validate(record, record_schema())
    assert record == json.loads((tmp_path / "audit" / "audit.json").read_text())


def test_an_audit_may_be_entered_in_a_ledger(credit, tmp_path) -> None:
    case = credit()
    ledger = tmp_path / "ledger.jsonl"
    for _ in range(2):
        _run(audit, case.bundle_path, "--out", tmp_path / "a", "--ledger", ledger)
    first, second = read(ledger)
    assert first.kind == "audit"
    assert first.entry == second.entry
    assert first.entry["bundle"] == case.bundle.digest
    assert first.entry["record"] == sha256((tmp_path / "a" / "audit.json").read_bytes())
    assert sum(first.entry["findings"].values()) == 13


def test_evidence_and_policy_may_stand_elsewhere(credit, tmp_path, policy) -> None:
    case = credit()
    case.evidence_path.rename(tmp_path / "moved")
    with pytest.raises(EvidenceError):
        _run(audit, case.bundle_path, "--out", tmp_path / "audit")
    code, _ = _run(
        audit,
        case.bundle_path,
        *("--out", tmp_path / "audit", "--evidence", tmp_path / "moved"),
        *("--policy", policy("[policy]\nname = 'none'\n"), "--seed", 3),
    )
    assert code == 0
    record = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert record["policy"]["name"] == "none"
    assert record["auditor"]["seed"] == 3
    assert record["findings"] == []


@pytest.mark.parametrize(("required", "code"), [("true", 3), ("false", 0)])
def test_a_required_rule_that_is_open_exits_with_3(
    credit, tmp_path, policy, required, code
) -> None:
    file = policy(OPEN.format(required=required))
    found, text = _run(audit, credit().bundle_path, "--out", tmp_path / "a", "--policy", file)
    assert found == code
    assert "not-measurable" in text
    assert "no output has the measure" in text


def test_a_failed_finding_exits_with_1(credit, tmp_path, policy) -> None:
    file = policy(OPEN.format(required="true") + OPEN.partition("[[rule]]")[1] + """
        id = "high"
        section = "performance"
        metric = "roc_auc"
        min = 0.99
        source = "us"
        """)  # fmt: skip
    code, _ = _run(audit, credit().bundle_path, "--out", tmp_path / "a", "--policy", file)
    assert code == 1


def test_what_is_wrong_with_the_call_is_an_error_and_writes_nothing(
    credit, tmp_path, policy
) -> None:
    case = credit()
    with pytest.raises(BundleError):
        _run(audit, tmp_path / "none", "--out", tmp_path / "a")
    with pytest.raises(AuditError):
        _run(audit, case.bundle_path, "--out", tmp_path / "a", "--policy", tmp_path / "none")
    with pytest.raises(AuditError):
        _run(audit, case.bundle_path, "--out", tmp_path / "a", "--policy", policy("[x]"))
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(credit, tmp_path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(AuditError, match="file"):
        _run(audit, credit().bundle_path, "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_verify_counts_what_it_compared(credit, tmp_path) -> None:
    case = credit()
    _run(audit, case.bundle_path, "--out", tmp_path / "a")
    code, text = _run(verify_audit, tmp_path / "a", "--bundle", case.bundle_path)
    assert code == 0
    assert "0 differ" in text
    assert "fairlearn" in text
    code, text = _run(verify_audit, tmp_path / "a", "--bundle", case.bundle_path, "--json")
    found = json.loads(text)
    assert (code, found["differences"], found["notes"]) == (0, [], [])


def test_verify_names_each_difference_and_exits_with_1(credit, tmp_path, monkeypatch) -> None:
    case = credit()
    _run(audit, case.bundle_path, "--out", tmp_path / "a")
    file = tmp_path / "a" / "details.json"
    details = json.loads(file.read_text())
    for group in details["groups"]:
        group["rows"] += 1
        group["tp"] += 1
        group["label"] = "x"
    file.write_text(json.dumps(details))
    code, text = _run(verify_audit, tmp_path / "a", "--bundle", case.bundle_path)
    assert code == 1
    assert "details.json/groups/0/rows: recorded" in text
    assert "18 differ" in text
    monkeypatch.setattr(commands, "SHOWN_DIFFERENCES", 5)
    code, text = _run(verify_audit, tmp_path / "a", "--bundle", case.bundle_path)
    assert "… and 13 more (see --json)" in text


def _found(info, distribution):
    return Found(info=info, distribution=distribution, version="1")


def test_checks_of_another_vertical_do_not_speak_of_a_bundle(credit, monkeypatch) -> None:
    """Its own, whatever they need; and general ones where their tables are there."""
    case = credit()
    checks = [
        _found(AuditCheckInfo(name=name, target="m:f", needs=(need,), solutions=only), distribution)
        for name, distribution, need, only in (
            ("own", "acme-tiny", "no.such", ()),
            ("named", "acme-tiny", "scores", (case.bundle.solution["name"],)),
            ("sister", "acme-tiny", "scores", ("tiny-sister",)),
            ("foreign", "verticals-other", "scores", ()),
            ("general", "acme-audits", "scores", ()),
            ("hungry", "acme-audits", "no.such", ()),
        )
    ]
    solutions = [
        _found(SolutionInfo(name=name, api_version=1, state_version=1, target="m:s"), name)
        for name in ("acme-tiny", "verticals-other")
    ]
    registry = Registry(solutions=tuple(solutions), checks=tuple(checks))
    monkeypatch.setattr(commands, "discover", lambda: registry)
    found = commands.checks_for(case.bundle, case.evidence)
    assert [info.name for info in found] == ["own", "named", "general"]


def test_an_audit_imports_neither_torch_nor_fairlearn(credit, tmp_path) -> None:
    """Pandas is not in the list: pyarrow imports it wherever it is installed."""
    case = credit()
    script = (
        "import sys\n"
        "from verticals_compliance.commands import audit\n"
        f"audit.main([{str(case.bundle_path)!r}, '--out', {str(tmp_path / 'a')!r}],"
        " standalone_mode=False)\n"
        "heavy = {'torch', 'fairlearn', 'sklearn', 'polars', 'shap', 'opacus'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
