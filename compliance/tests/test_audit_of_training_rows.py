"""An audit of the file that was trained from passes no rule on new cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from verticals.table import Table
from verticals_compliance.audit import run_audit
from verticals_compliance.policy import default_policy, parse_policy

KEYED = "hmac-sha256:" + "ab" * 32
REASON = "the rows that the model was trained from"
LENIENT = parse_policy("""
[policy]
name = "lenient"
[[rule]]
id = "ranks"
title = "Ranks"
section = "performance"
metric = "roc_auc"
min = 0.5
required = true
source = "a test"
[[rule]]
id = "near"
title = "Near"
section = "fairness"
metric = "selection_rate"
kind = "difference"
attributes = ["race"]
max = 0.9
required = true
source = "a test"
[[rule]]
id = "outcomes"
title = "Outcomes"
section = "evidence"
metric = "events"
min = 1
required = true
source = "a test"
""")
NEW_CASES = ("performance", "fairness", "checks")


def audited(case, *, trained=KEYED, part="audited data", policy=None):
    """Audit a case whose bundle names `trained` as the fingerprint of its data."""
    bundle = case.bundle
    split = {**bundle.manifest.split, "fingerprint": trained}
    bundle = replace(bundle, manifest=replace(bundle.manifest, split=split))
    evidence = case.evidence
    info = replace(evidence.info, fingerprint=KEYED, part=part)
    return run_audit(replace(evidence, info=info), bundle, policy or default_policy())


def by_section(done):
    sections = {rule.id: rule.section for rule in done.policy.rules}
    return [(sections.get(item.rule), item) for item in done.record.findings]


def test_what_would_pass_on_rows_of_the_training_is_not_measurable(credit) -> None:
    case = credit()
    plain = audited(case, trained="", policy=LENIENT).record.findings
    assert [item.status for item in plain] == ["pass", "pass", "pass"]
    ranks, near, outcomes = audited(case, policy=LENIENT).record.findings
    for item in (ranks, near):
        assert item.status == "not-measurable"
        assert REASON in item.evidence
    assert near.attribute == "race"
    assert outcomes == plain[2]  # how many rows there are stays true


def test_a_failure_on_rows_of_the_training_stands(credit) -> None:
    scores = credit().evidence.tables["scores"]
    harsh = np.where(scores["attr:race"] == "black", 1.0, scores["decision"])
    case = credit(scores=Table({**scores, "decision": harsh}), name="harsh")
    failed = [item for _, item in by_section(audited(case)) if item.status == "fail"]
    assert failed
    assert failed == [i for _, i in by_section(audited(case, trained="")) if i.status == "fail"]


@pytest.mark.parametrize(
    "change", [{"part": "test"}, {"trained": ""}, {"trained": "hmac-sha256:" + "00" * 32}]
)
def test_held_out_and_other_data_pass_as_before(credit, change) -> None:
    done = audited(credit(), **change)
    assert "pass" in {item.status for section, item in by_section(done) if section in NEW_CASES}
    assert not [item for _, item in by_section(done) if REASON in item.evidence]
