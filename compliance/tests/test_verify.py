"""Verification: whatever number is changed is found, and a second witness looks on."""

from __future__ import annotations

import json

import numpy as np
import pytest

import verticals_compliance.comparisons as ours
from verticals.errors import AuditError
from verticals.evidence import OutputInfo, open_evidence, write_evidence
from verticals.plugin import AuditCheckInfo
from verticals.strictjson import sha256
from verticals.table import Table
from verticals_compliance.audit import run_audit, write_audit
from verticals_compliance.details import describe, write_details
from verticals_compliance.policy import default_policy
from verticals_compliance.verify import differences, values, verify_audit


@pytest.fixture
def audited(credit, tmp_path):
    """Return a function that audits a case and returns the case and the audit's folder."""

    def make(*, checks=(), **changes):
        case = credit(**changes)
        done = run_audit(case.evidence, case.bundle, default_policy(), checks=checks)
        folder = tmp_path / "audit"
        write_audit(folder, done.record)
        write_details(folder, describe(case.evidence, case.bundle, done))
        return case, folder

    return make


def _rewrite(folder, change) -> None:
    """Change the record, and the digest in the details with it, as a forger would."""
    record = json.loads((folder / "audit.json").read_text())
    change(record)
    data = json.dumps(record).encode()
    (folder / "audit.json").write_bytes(data)
    details = json.loads((folder / "details.json").read_text())
    details["record"] = sha256(data)
    (folder / "details.json").write_text(json.dumps(details))


def test_an_untouched_audit_verifies_and_is_witnessed(audited) -> None:
    case, folder = audited()
    found = verify_audit(folder, case.bundle_path)
    assert found.differences == ()
    assert found.notes == ()
    assert found.compared > 1000
    assert found.witnessed > 60


def test_evidence_may_stand_elsewhere(audited, tmp_path) -> None:
    case, folder = audited()
    case.evidence_path.rename(tmp_path / "moved")
    with pytest.raises(Exception, match="evidence"):
        verify_audit(folder, case.bundle_path)
    assert verify_audit(folder, case.bundle_path, tmp_path / "moved").differences == ()


OTHER = {
    "pass": "fail",
    "fail": "pass",
    "inconclusive": "pass",
    "gap": "no-material-gap",
    "no-material-gap": "gap",
    "insufficient-evidence": "no-material-gap",
}
FORGED = (
    ("performance", 0, "estimate"),
    ("performance", 3, "upper"),
    ("performance", 4, "n"),
    ("fairness", 0, "groups", 1, "lower"),
    ("fairness", 2, "disparity", "lower"),
    ("fairness", 2, "p_adjusted"),
    ("fairness", 4, "verdict"),
    ("privacy", "epsilon"),
    ("privacy", "attack", "auc"),
    ("explanations", 0, "global", 0, "mean_abs"),
    ("findings", 3, "status"),
    ("findings", 3, "source"),
    ("bundle", "solution"),
    ("policy", "name"),
)


def test_every_value_that_is_changed_is_found_and_no_other(audited) -> None:
    """Numbers by one in a million, counts, verdicts, statuses, texts: in every section."""
    case, folder = audited()

    def change(record):
        for path in FORGED:
            place = record
            for key in path[:-1]:
                place = place[key]
            value = place[path[-1]]
            if isinstance(value, float):
                place[path[-1]] = value * (1 - 1e-6) if value else 1e-6
            elif isinstance(value, int):
                place[path[-1]] = value + 1
            else:
                place[path[-1]] = OTHER.get(value, "forged")

    _rewrite(folder, change)
    found = verify_audit(folder, case.bundle_path).differences
    assert {item.path for item in found} == {
        "audit.json/" + "/".join(map(str, path)) for path in FORGED
    }


def test_a_finding_that_is_taken_away_is_found(audited) -> None:
    case, folder = audited()
    _rewrite(folder, lambda record: record["findings"].pop())
    found = verify_audit(folder, case.bundle_path).differences
    assert found[0].recorded == "(absent)"


def test_a_changed_group_estimate_also_contradicts_the_witness(audited) -> None:
    case, folder = audited()

    def change(record):
        record["fairness"][0]["groups"][0]["estimate"] = 0.123

    _rewrite(folder, change)
    found = [item.path for item in verify_audit(folder, case.bundle_path).differences]
    assert "audit.json/fairness/0/groups/0/estimate (fairlearn)" in found


def test_the_witness_finds_what_recomputing_cannot(audited, monkeypatch) -> None:
    """A wrong definition gives the same wrong number twice; fairlearn does not share it."""
    real = ours._trials

    def wrong(metric, part):
        return real("fpr" if metric == "tpr" else metric, part)

    monkeypatch.setattr(ours, "_trials", wrong)
    case, folder = audited()
    found = verify_audit(folder, case.bundle_path).differences
    assert found
    assert all(item.path.endswith("(fairlearn)") for item in found)


@pytest.mark.parametrize("file", ["details.json"])
def test_changed_details_are_found(audited, file) -> None:
    case, folder = audited()
    details = json.loads((folder / file).read_text())
    details["curves"][0]["calibration"][0]["observed"] += 0.01
    details["solution"]["intended_use"] = "Anything"
    (folder / file).write_text(json.dumps(details))
    found = {item.path for item in verify_audit(folder, case.bundle_path).differences}
    assert found == {
        "details.json/curves/0/calibration/0/observed",
        "details.json/solution/intended_use",
    }


def test_a_loosened_policy_is_found(audited) -> None:
    """The policy in force is part of what is verified: its digest is in the record."""
    case, folder = audited()
    details = json.loads((folder / "details.json").read_text())
    details["policy"]["rules"][3]["min"] = 0.1
    (folder / "details.json").write_text(json.dumps(details))
    found = [item.path for item in verify_audit(folder, case.bundle_path).differences]
    assert "audit.json/policy/digest" in found


def test_another_bundle_or_other_evidence_is_refused(audited, credit, tmp_path) -> None:
    case, folder = audited()
    other = credit(name="other", privacy=None)
    with pytest.raises(AuditError, match="the audit is of bundle"):
        verify_audit(folder, other.bundle_path)
    evidence = open_evidence(case.evidence_path)
    tables = dict(evidence.tables)
    tables["scores"] = tables["scores"].with_columns({"score": np.full(600, 0.5)})
    write_evidence(tmp_path / "forged", evidence.info, tables)
    with pytest.raises(AuditError, match="the audit is of evidence"):
        verify_audit(folder, case.bundle_path, tmp_path / "forged")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("policy", None),
        ("policy", {"name": "p"}),
        ("policy", {"rules": [{"idd": 1}]}),
        ("checks", [{"name": "x"}]),
        ("checks", 3),
    ],
)
def test_details_that_nobody_wrote_are_an_error_and_no_traceback(audited, key, value) -> None:
    case, folder = audited()
    details = json.loads((folder / "details.json").read_text())
    details[key] = value
    (folder / "details.json").write_text(json.dumps(details))
    with pytest.raises(AuditError, match=r"details\.json holds no"):
        verify_audit(folder, case.bundle_path)


def test_a_record_with_a_text_for_a_number_is_an_error_and_no_traceback(audited) -> None:
    case, folder = audited()

    def change(record):
        record["fairness"][0]["groups"][0]["estimate"] = "0.5"

    _rewrite(folder, change)
    with pytest.raises(AuditError, match="/fairness/0/groups/0/estimate is str"):
        verify_audit(folder, case.bundle_path)


def test_another_version_and_a_later_signature_are_notes(audited) -> None:
    case, folder = audited()

    def change(record):
        record["auditor"]["version"] = "0.0.1"

    _rewrite(folder, change)
    found = verify_audit(folder, case.bundle_path)
    assert found.differences == ()
    assert "auditor/version was '0.0.1'" in found.notes[0]


def test_counts_are_witnessed_too(audited) -> None:
    case, folder = audited(counts={"min_cell": 10})
    found = verify_audit(folder, case.bundle_path)
    assert found.differences == ()
    assert found.witnessed >= 30


def test_several_classes_are_witnessed_too(audited) -> None:
    from verticals.contract.model import DataContract, Field, Target
    from verticals.evidence import AttributeInfo

    rng = np.random.default_rng(0)
    chances = rng.dirichlet([1, 1, 1], 200)
    values = ("low", "mid", "high")
    outputs = tuple(
        OutputInfo(
            name=f"g_{value}", kind="probability", target="g", target_kind="ordinal", value=value
        )
        for value in values
    )
    case, folder = audited(
        contract=DataContract(
            solution="tiny",
            name="t",
            fields=(Field(name="x", kind="numeric", column="x", bounds=(0.0, 1.0)),),
            targets=(
                Target(name="g", column="g", kind="ordinal", values=values, favourable="high"),
            ),
        ),
        scores=Table(
            {
                "unit": np.arange(200),
                **{f"g_{value}": chances[:, n] for n, value in enumerate(values)},
                "g": chances @ np.arange(3.0),
                "target:g": rng.integers(0, 3, 200).astype(float),
                "attr:sex": np.array(["f", "m"], dtype=object)[np.arange(200) % 2],
            }
        ),
        tables={},
        privacy=None,
        info={
            "outputs": (
                *outputs,
                OutputInfo(name="g", kind="ordinal", target="g", target_kind="ordinal"),
            ),
            "decision": {},
            "attributes": (
                AttributeInfo(name="sex", role="protected", label="Sex", groups=("f", "m")),
            ),
        },
    )
    found = verify_audit(folder, case.bundle_path)
    assert found.differences == ()
    assert found.witnessed == 2 * 11  # five rates by difference and ratio, mean_error once


def test_a_check_that_is_not_installed_here_is_a_note(audited, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "acme_verify_check.py").write_text(
        "from verticals.evidence import Measurement\n"
        "def check(tables, info):\n"
        "    yield Measurement(check='acme.share', estimate=0.4, lower=0.3, upper=0.5, n=50)\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    info = AuditCheckInfo(
        name="acme",
        target="acme_verify_check:check",
        needs=(),
        rules=({"id": "acme-limit", "check": "acme.share", "max": 0.2, "source": "s"},),
    )
    case, audit_folder = audited(checks=[info])
    again = verify_audit(audit_folder, case.bundle_path, checks=[info])
    assert (again.differences, again.notes) == ((), ())
    absent = verify_audit(audit_folder, case.bundle_path)
    assert absent.differences == ()
    assert absent.notes == ("not recomputed, since the plugin is not installed: acme.share",)

    def change(record):
        record["checks"][0]["estimate"] = 0.1

    _rewrite(audit_folder, change)
    assert verify_audit(audit_folder, case.bundle_path, checks=[info]).differences


def test_documents_are_compared_value_by_value() -> None:
    first = {"a": [1, {"b": None}], "c": "x", "d": [], "e": 0.1 + 0.2}
    assert differences(first, {**first, "e": 0.3}, "") == []
    assert [item.path for item in differences(first, {**first, "c": "y", "d": [0]}, "f")] == [
        "f/c",
        "f/d",
        "f/d/0",
    ]
    assert differences({"a": None}, {"a": 0}, "")
    assert differences({"a": 1}, {"a": True}, "")
    assert differences({"a": 1}, {}, "")[0].recomputed == "(absent)"
    assert dict(values(first))["/a/1/b"] is None
