"""Policies: what they may say, what is refused and how, and how findings follow."""

from __future__ import annotations

import re

import pytest

from verticals.errors import AuditError
from verticals_compliance.accounting import Accounting
from verticals_compliance.findings import Facts, Measured, exit_code, findings, status
from verticals_compliance.policy import (
    METRICS,
    Rule,
    default_policy,
    from_json,
    parse_policy,
    parse_rule,
    read_policy,
    with_rules,
)
from verticals_compliance.records import (
    CheckRow,
    Disparity,
    FairnessRow,
    Finding,
    Limit,
    PerformanceRow,
    PrivacySection,
)

RULE = {
    "id": "r",
    "section": "performance",
    "metric": "roc_auc",
    "min": 0.5,
    "source": "somebody",
}
FAIR = {"section": "fairness", "metric": "tpr", "kind": "ratio"}


def _policy(**changes) -> str:
    lines = "\n".join(
        f"{key} = {value!r}".replace("True", "true") for key, value in changes.items()
    )
    return f"[policy]\nname = 'p'\n[[rule]]\n{lines}\n"


def test_the_default_policy_cites_a_source_and_a_clause_for_every_rule() -> None:
    policy = default_policy()
    assert len(policy.rules) >= 10
    for rule in policy.rules:
        assert rule.source, rule.id
        assert rule.clause, rule.id
        assert rule.title != rule.id, rule.id
        # A number is law, a definition, or said to be no law.
        assert re.search(
            r"Law for|Definition|not law|convention|recommendation|one over", rule.source
        )


def test_the_default_policy_holds_what_the_design_promises() -> None:
    rules = {rule.id: rule for rule in default_policy().rules}
    fifths = rules["four-fifths"]
    assert (fifths.metric, fifths.kind, fifths.min, fifths.required) == (
        "selection_rate",
        "ratio",
        0.8,
        True,
    )
    assert "1607.4(D)" in fifths.source
    assert fifths.decide == "interval"
    assert rules["no-protected-reason"].max == 0
    assert {rule.section for rule in rules.values()} == set(METRICS) - {"checks"}


def test_a_policy_survives_json_and_keeps_its_digest() -> None:
    policy = default_policy()
    assert from_json(policy.to_json()) == policy
    assert from_json(policy.to_json()).digest == policy.digest
    other = parse_policy("[policy]\nname = 'default'")
    assert other.digest != policy.digest


def test_layout_does_not_change_the_digest_and_a_limit_does() -> None:
    text = _policy(**RULE)
    assert parse_policy(text).digest == parse_policy("# note\n\n" + text).digest
    assert parse_policy(text).digest != parse_policy(text.replace("0.5", "0.6")).digest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[policy", "is no TOML"),
        ("", "[policy] is None"),
        ("[policy]\nname = ''", "lacks 'name'"),
        ("[policy]\nname = 'p'\nlevl = 0.9", "unknown key 'levl'; did you mean 'level'?"),
        ("[policy]\nname = 'p'\n[tolerence]", "unknown key 'tolerence'; did you mean 'tolerance'?"),
        ("[policy]\nname = 'p'\n[tolerance]\nrate = 1", "unknown key 'rate'"),
        ("[policy]\nname = 'p'\nlevel = 95", "expected a number from 0.5 to 0.9999"),
        ("[policy]\nname = 'p'\nmin_group = 0", "expected a count from 1"),
        ("[policy]\nname = 'p'\nmin_group = true", "expected a count from 1"),
        ("rule = 3\n[policy]\nname = 'p'", "expected tables [[rule]]"),
        (_policy(**RULE, metrc="x"), "unknown key 'metrc'; did you mean 'metric'?"),
        (_policy(**{**RULE, "section": "fairnes"}), "did you mean 'fairness'?"),
        (_policy(**{**RULE, "source": ""}), "lacks 'source'"),
        (_policy(id="r", section="performance", source="s", min=1), "lacks 'metric'"),
        (_policy(id="r", section="performance", source="s", metric="m"), "neither min nor max"),
        (_policy(**RULE, max=0.4), "min 0.5 is above max 0.4"),
        (_policy(**{**RULE, "min": "0.5"}), "min is '0.5', expected a number"),
        (_policy(**RULE, required=1), "required is 1, expected true or false"),
        (_policy(**RULE, decide="guess"), "decide is 'guess'"),
        (_policy(**RULE, kind="ratio"), "belong to rules of section 'fairness'"),
        (_policy(**RULE, check="x"), "has 'metric', not the other"),
        (_policy(**RULE) + _policy(**RULE).partition("[[rule]]")[1] + "\n" + "\n".join(
            f"{k} = {v!r}" for k, v in RULE.items()), "stands twice"),
        (_policy(**{**RULE, "section": "fairness", "metric": "tprr"}), "did you mean 'tpr'?"),
        (_policy(**{**RULE, "section": "fairness", "metric": "tpr"}), "kind is ''"),
        (
            _policy(**{**RULE, **FAIR}, attributes=3),
            "attributes is 3",
        ),
    ],
)  # fmt: skip
def test_what_a_policy_may_not_say(text: str, expected: str) -> None:
    with pytest.raises(AuditError) as caught:
        parse_policy(text, source="ours.toml")
    assert expected in caught.value.message
    assert "ours.toml" in caught.value.message
    assert "\n" not in caught.value.message


def test_what_cannot_be_read_is_refused(tmp_path) -> None:
    with pytest.raises(AuditError, match="no such file"):
        read_policy(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"[policy]\nname = '\xe9'")
    with pytest.raises(AuditError, match="no UTF-8"):
        read_policy(tmp_path / "latin.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(AuditError, match="1,000,000"):
        read_policy(tmp_path / "big.toml")
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf[policy]\nname = 'p'")
    assert read_policy(tmp_path / "bom.toml").name == "p"


def test_a_check_brings_rules_and_the_policy_has_the_last_word() -> None:
    brought = parse_rule(
        {"id": "r", "max": 0.25, "source": "s"}, "w", origin="plugin check psi", check="psi"
    )
    assert (brought.section, brought.metric, brought.origin) == (
        "checks",
        "psi",
        "plugin check psi",
    )
    assert with_rules(parse_policy("[policy]\nname='p'"), [brought]).rules == (brought,)
    own = parse_policy(_policy(**RULE))
    assert with_rules(own, [brought]).rules == own.rules


# ---- findings -------------------------------------------------------------------------------


def _rule(**changes) -> Rule:
    given = {"id": "r", "title": "", "section": "performance", "metric": "m", "source": "s"}
    return Rule(**{**given, **changes})


def _item(value=0.5, lower=0.4, upper=0.6, **changes) -> Measured:
    return Measured(value=value, lower=lower, upper=upper, evidence="/x", **changes)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"min": 0.4}, "pass"),
        ({"min": 0.41}, "inconclusive"),
        ({"min": 0.6}, "inconclusive"),
        ({"min": 0.61}, "fail"),
        ({"max": 0.6}, "pass"),
        ({"max": 0.59}, "inconclusive"),
        ({"max": 0.39}, "fail"),
        ({"min": 0.3, "max": 0.7}, "pass"),
        ({"min": 0.5, "max": 0.7}, "inconclusive"),
        ({"min": 0.7, "max": 0.9}, "fail"),
        ({"min": 0.1, "max": 0.2}, "fail"),
        ({"min": 0.49, "decide": "estimate"}, "pass"),
        ({"max": 0.49, "decide": "estimate"}, "fail"),
    ],
)
def test_pass_and_fail_need_the_whole_interval_on_one_side(limits, expected) -> None:
    assert status(_rule(**limits), _item()) == expected


def test_what_left_something_out_can_fail_but_not_pass() -> None:
    assert status(_rule(min=0.1), _item(partial=True)) == "inconclusive"
    assert status(_rule(min=0.9), _item(partial=True)) == "fail"


def test_no_limits_are_inconclusive_and_no_number_is_not_measurable() -> None:
    assert status(_rule(min=0.1), _item(lower=None, upper=None)) == "inconclusive"
    assert status(_rule(min=0.1, decide="estimate"), _item(lower=None, upper=None)) == "pass"
    assert status(_rule(min=0.1), _item(value=None, measurable=False)) == "not-measurable"


def _facts(**changes) -> Facts:
    privacy = PrivacySection(
        epsilon=None, delta=None, unit="", accountant="", statement="", attack=None
    )
    given = {
        "performance": (),
        "fairness": (),
        "privacy": privacy,
        "privacy_units": None,
        "accounting": Accounting(status="no promise"),
        "explanations": (),
        "protected_reasons": None,
        "checks": (),
        "attributes": (),
        "left_out": frozenset(),
        "rows": 0,
        "units": 0,
        "level": 0.95,
        "events": {},
    }
    return Facts(**{**given, **changes})


def test_every_rule_has_a_finding_whatever_is_missing() -> None:
    policy = default_policy()
    found = findings(policy, _facts())
    assert {item.rule for item in found} == {rule.id for rule in policy.rules}
    assert {item.status for item in found} == {"not-measurable"}
    assert all(item.evidence and not item.evidence.startswith("/") for item in found)
    assert exit_code(found) == 3


def test_a_finding_points_at_its_row_and_keeps_the_limit() -> None:
    rows = tuple(
        PerformanceRow(output="s", metric=name, estimate=0.7, lower=0.6, upper=0.8, n=9, method="m")
        for name in ("brier", "roc_auc")
    )
    policy = parse_policy(_policy(**RULE, required=True))
    (item,) = findings(policy, _facts(performance=rows))
    assert (item.evidence, item.status, item.required) == ("/performance/1", "pass", True)
    assert (item.value, item.lower, item.upper, item.limit) == (0.7, 0.6, 0.8, Limit(min=0.5))


def test_a_check_is_held_against_each_of_its_rows() -> None:
    def row(subject, estimate):
        return CheckRow(
            check="psi", output="", attribute="", group="", subject=subject, n=5,
            estimate=estimate, lower=estimate, upper=estimate, method="m", origin="recomputed",
        )  # fmt: skip

    rule = parse_rule(
        {"id": "r", "check": "psi", "section": "checks", "max": 0.25, "source": "s"}, "w"
    )
    policy = with_rules(parse_policy("[policy]\nname='p'"), [rule])
    found = findings(policy, _facts(checks=(row("a", 0.1), row("b", 0.3), row("c", None))))
    assert [item.status for item in found] == ["pass", "fail", "not-measurable"]
    assert findings(policy, _facts())[0].evidence == "check 'psi' was neither run nor recorded"


def test_rules_speak_of_roles_or_of_names() -> None:
    from verticals.evidence import AttributeInfo

    attributes = tuple(
        AttributeInfo(name=name, role=role, label="", groups=())
        for name, role in (("race", "protected"), ("site", "stratum"))
    )
    rows = tuple(
        FairnessRow(
            output="s", attribute=name, metric="tpr", favourable="", decision="", groups=(),
            disparity=Disparity(kind="difference", estimate=0.0, lower=0.0, upper=0.05, method=""),
            p_value=None, p_adjusted=None, verdict="no-material-gap",
        )
        for name in ("race", "site")
    )  # fmt: skip
    for given, expected in (
        ("protected", [("race", "pass")]),
        ("stratum", [("site", "pass")]),
        (["site", "race"], [("race", "pass"), ("site", "pass")]),
        (["sex"], [("", "not-measurable")]),
    ):
        rule = parse_rule(
            {
                "id": "r", "section": "fairness", "metric": "tpr", "kind": "difference",
                "attributes": given, "max": 0.1, "source": "s",
            },
            "w",
        )  # fmt: skip
        policy = with_rules(parse_policy("[policy]\nname='p'"), [rule])
        found = findings(policy, _facts(attributes=attributes, fairness=rows))
        assert [(item.attribute, item.status) for item in found] == expected


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        ([("pass", True)], 0),
        ([("inconclusive", False), ("not-measurable", False)], 0),
        ([("inconclusive", True)], 3),
        ([("not-measurable", True)], 3),
        ([("not-measurable", True), ("fail", False)], 1),
    ],
)
def test_exit_codes(statuses, code) -> None:
    found = [
        Finding(
            rule="r", required=required, attribute="", value=None, lower=None, upper=None,
            limit=Limit(), status=said, source="", evidence="",
        )
        for said, required in statuses
    ]  # fmt: skip
    assert exit_code(found) == code
