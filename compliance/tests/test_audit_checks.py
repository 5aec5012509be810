"""Audit checks of plugins: run again, recorded, missing, broken; and the rules they bring."""

from __future__ import annotations

import dataclasses
import textwrap

import jsonschema
import numpy as np
import pytest

from verticals.plugin import AuditCheckInfo
from verticals.table import Table
from verticals_compliance.audit import audit, record_schema, run_audit
from verticals_compliance.findings import exit_code
from verticals_compliance.policy import parse_policy

POLICY = parse_policy("[policy]\nname = 'p'")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install a module of audit checks for the time of a test."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "acme_audit_checks.py").write_text(
        textwrap.dedent(
            """
            from verticals.evidence import Measurement

            def bands(tables, info):
                for name in tables["tiny.bands"]["band"]:
                    yield Measurement(
                        check="bands", estimate=0.3, lower=0.2, upper=0.4, n=9, subject=str(name)
                    )

            def odd(tables, info):
                yield Measurement(check="odd", estimate=float("nan"), n=0)

            def broken(tables, info):
                raise ZeroDivisionError("a row of somebody: 4711")

            def numbers(tables, info):
                for n, value, lower, upper in tables["tiny.numbers"]["row"]:
                    yield Measurement(
                        check="numbers.x", estimate=value, lower=lower, upper=upper, n=n
                    )

            def foreign(tables, info):
                yield Measurement(check="acme.share", estimate=1.0, lower=0.9, upper=1.0, n=50)

            def leaves(tables, info):
                raise SystemExit(0)

            not_a_function = 3
            """
        )
    )
    monkeypatch.syspath_prepend(str(folder))

    def info(name: str, **changes) -> AuditCheckInfo:
        given = {"name": name, "target": f"acme_audit_checks:{name}", "needs": ("tiny.bands",)}
        return AuditCheckInfo(**{**given, **changes})

    return info


def _recorded(check: str = "bands", estimate: float = 0.9) -> Table:
    def text(value: str):
        return np.array([value], dtype=object)

    return Table(
        {
            "check": text(check),
            **{name: text("") for name in ("output", "attribute", "group", "subject")},
            "n": np.array([5]),
            "estimate": np.array([estimate]),
            "lower": np.array([np.nan]),
            "upper": np.array([np.nan]),
            "method": text("as told"),
        }
    )


def _tables(credit, **more):
    tables = dict(credit().evidence.tables)
    tables.pop("scores")
    return {**tables, **more}


def test_an_installed_check_is_run_again(credit, plugin) -> None:
    case = credit(tables=_tables(credit, checks=_recorded()))
    record = audit(case.evidence, case.bundle, POLICY, checks=[plugin("bands")])
    assert [(row.check, row.subject, row.estimate, row.origin) for row in record.checks] == [
        ("bands", "low", 0.3, "recomputed"),
        ("bands", "high", 0.3, "recomputed"),
    ]
    jsonschema.validate(record.to_json(), record_schema())


def test_what_is_not_installed_is_taken_as_recorded(credit) -> None:
    case = credit(tables=_tables(credit, checks=_recorded()))
    (row,) = audit(case.evidence, case.bundle, POLICY).checks
    assert (row.check, row.estimate, row.lower, row.method) == ("bands", 0.9, None, "as told")
    assert row.origin == "recorded by the producer"


def test_other_recorded_checks_stay_beside_the_recomputed(credit, plugin) -> None:
    case = credit(tables=_tables(credit, checks=_recorded("another")))
    record = audit(case.evidence, case.bundle, POLICY, checks=[plugin("bands")])
    assert [row.check for row in record.checks] == ["another", "bands", "bands"]


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("broken", {}, "raised ZeroDivisionError"),
        ("bands", {"needs": ("no.such",)}, "lacks the table 'no.such'"),
        ("missing", {}, "acme_audit_checks"),
        ("bands", {"target": "no_such_module:x"}, "no_such_module"),
        ("not_a_function", {}, "raised TypeError"),
        ("leaves", {}, "raised SystemExit"),
        ("foreign", {}, "in the name of another one, 'acme.share'"),
        ("bands", {"rules": ({"id": "r", "maxx": 1},)}, "unknown key 'maxx'"),
    ],
)
def test_a_broken_check_is_a_finding_and_never_a_crash(credit, plugin, name, changes, told) -> None:
    case = credit()
    done = run_audit(case.evidence, case.bundle, POLICY, checks=[plugin(name, **changes)])
    (found,) = done.record.findings
    assert found.rule == f"check:{name}"
    assert found.status == "not-measurable"
    assert told in found.evidence
    assert "4711" not in found.evidence  # what an exception says may hold data
    assert exit_code(done.record.findings) == 0
    jsonschema.validate(done.record.to_json(), record_schema())


def test_a_broken_check_leaves_what_the_producer_recorded(credit, plugin) -> None:
    case = credit(tables=_tables(credit, checks=_recorded("broken")))
    done = run_audit(case.evidence, case.bundle, POLICY, checks=[plugin("broken")])
    assert done.record.checks[0].estimate == 0.9
    assert done.checks.outcomes[0].origin == "recorded by the producer"


def test_a_check_without_a_number_is_null(credit, plugin) -> None:
    case = credit()
    (row,) = audit(case.evidence, case.bundle, POLICY, checks=[plugin("odd")]).checks
    assert row.estimate is None


def test_a_check_brings_its_rules(credit, plugin) -> None:
    case = credit()
    rule = {"id": "bands-limit", "title": "T", "max": 0.25, "required": True, "source": "s"}
    done = run_audit(case.evidence, case.bundle, POLICY, checks=[plugin("bands", rules=(rule,))])
    found = done.record.findings
    assert [(item.rule, item.status, item.evidence) for item in found] == [
        ("bands-limit", "inconclusive", "/checks/0"),
        ("bands-limit", "inconclusive", "/checks/1"),
    ]
    assert exit_code(found) == 3
    assert done.policy.rules[0].origin == "plugin check bands"
    assert done.record.policy.digest == done.policy.digest != POLICY.digest


@pytest.mark.parametrize(
    ("n", "value", "lower", "upper", "told"),
    [
        (50, 0.9, 0.1, 0.4, "above its interval"),
        (50, 0.05, 0.1, 0.4, "below its interval"),
        (50, 0.3, 0.4, 0.1, "the lower limit is above the upper one"),
        (0, 0.3, 0.1, 0.4, "although n is 0"),
        (-5, 0.3, 0.1, 0.4, "n is -5"),
    ],
)
def test_numbers_that_cannot_be_pass_no_rule(credit, plugin, n, value, lower, upper, told) -> None:
    row = np.empty(1, dtype=object)
    row[0] = (n, value, lower, upper)
    case = credit()
    tables = {**case.evidence.tables, "tiny.numbers": {"row": row}}
    rule = {"id": "x-limit", "check": "numbers.x", "max": 0.99, "source": "s"}
    info = plugin("numbers", needs=("tiny.numbers",), rules=(rule,))
    evidence = dataclasses.replace(case.evidence, tables=tables)
    done = run_audit(evidence, case.bundle, POLICY, checks=[info])
    assert [item.status for item in done.record.findings] == ["not-measurable"] * 2
    assert told in done.record.findings[1].evidence
    assert done.checks.outcomes[0].origin == "recomputed"  # it ran, and gave other rows perhaps
    (shown,) = done.record.checks
    assert (shown.estimate, shown.lower, shown.upper) == (None, None, None)
    assert told in shown.method
    jsonschema.validate(done.record.to_json(), record_schema())


def test_recorded_numbers_that_cannot_be_are_refused_too(credit) -> None:
    upside_down = _recorded().with_columns({"lower": np.array([0.95]), "upper": np.array([0.8])})
    case = credit(tables=_tables(credit, checks=upside_down))
    (row,) = audit(case.evidence, case.bundle, POLICY).checks
    assert row.estimate is None
    assert "refused" in row.method


def test_recorded_checks_that_nothing_here_judges_are_a_finding(credit, plugin) -> None:
    """Their rules come with the plugin: without it they would vanish without a word."""
    case = credit(tables=_tables(credit, checks=_recorded("acme.share")))
    (found,) = audit(case.evidence, case.bundle, POLICY).findings
    assert (found.rule, found.status) == ("check:acme", "not-measurable")
    assert "not installed here" in found.evidence
    text = """
    [policy]
    name = 'p'
    [[rule]]
    id = 'r'
    section = 'checks'
    check = 'acme.share'
    max = 0.5
    source = 'us'
    """
    (judged,) = audit(case.evidence, case.bundle, parse_policy(text)).findings
    assert judged.rule == "r"
