"""Hold every rule of a policy against what was measured.

A rule passes or fails where the whole interval lies on one side of its limits, unless it says
`decide = "estimate"`. What was not measured is a finding too: `not-measurable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from verticals.evidence import AttributeInfo
from verticals_compliance.accounting import Accounting
from verticals_compliance.policy import Policy, Rule, speaks_of
from verticals_compliance.privacy import excess
from verticals_compliance.records import (
    FAIL,
    INCONCLUSIVE,
    NOT_MEASURABLE,
    PASS,
    CheckRow,
    ExplanationRow,
    FairnessRow,
    Finding,
    Limit,
    PerformanceRow,
    PrivacySection,
)

_NEW_CASES = ("performance", "fairness", "checks")  # what a policy asks of cases not seen before


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Hold everything that rules speak of.

    `left_out` names the (output, attribute, metric) in which groups were too small to compare;
    `events` is the count of the rarest outcome of each output that has classes; `set_aside` gives
    the reasons of rules that cannot speak of this model (see `applicability`); `seen` tells that
    the audited rows are known to be those that the model was trained from.
    """

    performance: tuple[PerformanceRow, ...]
    fairness: tuple[FairnessRow, ...]
    privacy: PrivacySection
    privacy_units: int | None
    accounting: Accounting
    explanations: tuple[ExplanationRow, ...]
    protected_reasons: int | None
    checks: tuple[CheckRow, ...]
    attributes: tuple[AttributeInfo, ...]
    left_out: frozenset[tuple[str, str, str]]
    rows: int
    units: int
    level: float
    events: Mapping[str, int]
    set_aside: Mapping[str, str] = field(default_factory=dict)
    seen: bool = False


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Hold one number that a rule is held against, or why there is none.

    `evidence` is a pointer into the record, or a sentence. `measurable` is False where the number
    does not exist at all, as against one that these data cannot decide. `partial` tells that
    something was left out of it, so that it can fail but never pass.
    """

    value: float | None
    lower: float | None
    upper: float | None
    evidence: str
    attribute: str = ""
    measurable: bool = True
    partial: bool = False


def findings(policy: Policy, facts: Facts) -> tuple[Finding, ...]:
    """Return the findings of the rules in the order of the policy, one or more of each.

    Those set aside have none.
    """
    return tuple(
        _finding(rule, _of_new_cases(rule, item) if facts.seen else item)
        for rule in policy.rules
        if rule.id not in facts.set_aside
        for item in _measured(rule, facts)
    )


def unmeasured_check(name: str, problem: str) -> Finding:
    """Return the finding that a plugin's check could not be made."""
    return Finding(
        rule=f"check:{name}",
        required=False,
        attribute="",
        value=None,
        lower=None,
        upper=None,
        limit=Limit(),
        status=NOT_MEASURABLE,
        source="the plugin offers this check",
        evidence=problem,
    )


def contradictions(facts: Facts) -> tuple[Finding, ...]:
    """Return the finding that the bundle's own numbers spend more ε than it states, if they do."""
    found = facts.accounting
    if not found.contradicts:
        return ()
    return (
        Finding(
            rule="privacy-record",
            required=True,
            attribute="",
            value=_float(found.lower),
            lower=_float(found.lower),
            upper=_float(found.upper),
            limit=Limit(max=found.stated),
            status=FAIL,
            source="the ε that the bundle states for training",
            evidence="/privacy" if isinstance(found.lower, float) else found.reason,
        ),
    )


def exit_code(found: Sequence[Finding]) -> int:
    """Return 1 if a finding failed, 3 if a required one is open, else 0."""
    if any(item.status == FAIL for item in found):
        return 1
    undecided = (INCONCLUSIVE, NOT_MEASURABLE)
    return 3 if any(item.required and item.status in undecided for item in found) else 0


def status(rule: Rule, item: Measured) -> str:
    """Return the status of a rule for one measured number."""
    if not item.measurable:
        return NOT_MEASURABLE
    lower, upper = item.lower, item.upper
    if rule.decide == "estimate":
        lower = upper = item.value
    if lower is None or upper is None:
        return INCONCLUSIVE
    above_min = rule.min is None or lower >= rule.min
    below_max = rule.max is None or upper <= rule.max
    if above_min and below_max:
        return INCONCLUSIVE if item.partial else PASS
    misses_min = rule.min is not None and upper < rule.min
    misses_max = rule.max is not None and lower > rule.max
    return FAIL if misses_min or misses_max else INCONCLUSIVE


def _of_new_cases(rule: Rule, item: Measured) -> Measured:
    """Return what rows of the training say of new cases: a failure stands, a pass is none."""
    if rule.section not in _NEW_CASES or status(rule, item) != PASS:
        return item
    return _absent(
        "measured on the rows that the model was trained from, it says nothing of new cases",
        item.attribute,
    )


def _finding(rule: Rule, item: Measured) -> Finding:
    return Finding(
        rule=rule.id,
        required=rule.required,
        attribute=item.attribute,
        value=item.value,
        lower=item.lower,
        upper=item.upper,
        limit=Limit(min=rule.min, max=rule.max),
        status=status(rule, item),
        source=rule.source,
        evidence=item.evidence,
    )


def _measured(rule: Rule, facts: Facts) -> list[Measured]:
    found: Mapping[str, Callable[[Rule, Facts], Iterator[Measured]]] = {
        "evidence": _evidence,
        "performance": _performance,
        "fairness": _fairness,
        "privacy": _privacy,
        "explanations": _explanations,
        "checks": _checks,
    }
    return list(found[rule.section](rule, facts))


def _absent(reason: str, attribute: str = "") -> Measured:
    return Measured(
        value=None,
        lower=None,
        upper=None,
        evidence=reason,
        attribute=attribute,
        measurable=False,
    )


def _exact(value: float, evidence: str) -> Measured:
    return Measured(value=value, lower=value, upper=value, evidence=evidence)


def _evidence(rule: Rule, facts: Facts) -> Iterator[Measured]:
    if rule.metric == "events":
        if not facts.events:
            yield _absent("no target with classes has outcomes in the evidence")
        rests = {row.output: n for n, row in reversed(list(enumerate(facts.performance)))}
        for output, count in facts.events.items():
            yield _exact(count, f"/performance/{rests[output]}" if output in rests else "/evidence")
        return
    yield _exact(facts.rows if rule.metric == "rows" else facts.units, "/evidence")


def _performance(rule: Rule, facts: Facts) -> Iterator[Measured]:
    rows = [(n, row) for n, row in enumerate(facts.performance) if row.metric == rule.metric]
    if not rows:
        yield _absent(f"no output has the measure {rule.metric!r}")
    for n, row in rows:
        if row.estimate is None:
            yield _absent(f"{row.metric} of {row.output} cannot be measured on these rows")
            continue
        yield Measured(
            value=row.estimate, lower=row.lower, upper=row.upper, evidence=f"/performance/{n}"
        )


def _fairness(rule: Rule, facts: Facts) -> Iterator[Measured]:
    covered = [a for a in facts.attributes if speaks_of(rule, a.name, a.role)]
    known = {a.name for a in facts.attributes}
    for name in rule.attributes:
        if name not in known and not any(name == a.role for a in covered):
            what = f"no {name} attribute" if name in ("protected", "stratum") else f"no {name!r}"
            yield _absent(f"{what} is recorded in the evidence")
    for attribute in covered:
        rows = [
            (n, row)
            for n, row in enumerate(facts.fairness)
            if (row.attribute, row.metric, row.disparity.kind)
            == (attribute.name, rule.metric, rule.kind)
        ]
        if not rows:
            reason = f"no output has {rule.metric} by {attribute.name}"
            yield _absent(reason, attribute.name)
        for n, row in rows:
            yield _disparity(n, row, facts)


def _disparity(n: int, row: FairnessRow, facts: Facts) -> Measured:
    found = row.disparity
    left_out = (row.output, row.attribute, row.metric) in facts.left_out
    if found.estimate is None and not left_out:
        return _absent(f"{row.metric} by {row.attribute} has no two groups", row.attribute)
    return Measured(
        value=found.estimate,
        lower=found.lower,
        upper=found.upper,
        evidence=f"/fairness/{n}",
        attribute=row.attribute,
        partial=left_out,
    )


def _privacy(rule: Rule, facts: Facts) -> Iterator[Measured]:
    section, attack = facts.privacy, facts.privacy.attack
    raw = "trained without differential privacy: no epsilon holds"
    if rule.metric in ("attack_auc", "attack_excess"):
        if attack is None or attack.auc is None:
            yield _absent("the evidence has no table 'membership'")
        elif rule.metric == "attack_auc":
            yield Measured(
                value=attack.auc,
                lower=attack.auc_lower,
                upper=attack.auc_upper,
                evidence="/privacy/attack",
            )
        else:
            beyond = excess(attack, section.epsilon, section.delta, facts.level)
            if beyond is None:
                yield _absent(raw)
            else:
                yield Measured(
                    value=beyond[0], lower=beyond[1], upper=beyond[2], evidence="/privacy/attack"
                )
        return
    value = section.epsilon if rule.metric == "epsilon" else section.delta
    if value is None:
        yield _absent(raw)
    elif facts.accounting.contradicts:
        yield _contradicted(rule, facts.accounting)
    elif rule.metric == "delta_times_units":
        if facts.privacy_units is None:
            yield _absent("the bundle does not say how many units were protected")
        else:
            yield _exact(value * facts.privacy_units, "/privacy")
    else:
        yield _exact(value, "/privacy")


def _contradicted(rule: Rule, found: Accounting) -> Measured:
    """Return the recomputed ε where it misses the limit itself; else nothing holds that could pass.

    Whether the stated ε or the numbers beside it are false, the bundle does not tell.
    """
    lower, upper = _float(found.lower), _float(found.upper)
    most = rule.max if rule.metric == "epsilon" else None
    if most is not None and lower is not None and lower > most:
        return Measured(value=lower, lower=lower, upper=upper, evidence="/privacy")
    return _absent(found.reason)


def _float(bound: float | str | None) -> float | None:
    return bound if isinstance(bound, float) else None


def _explanations(rule: Rule, facts: Facts) -> Iterator[Measured]:
    if rule.metric == "protected_reasons":
        if facts.protected_reasons is None:
            yield _absent("the evidence has no table 'reasons'")
        else:
            yield _exact(facts.protected_reasons, "/explanations")
        return
    rows = [
        (n, row) for n, row in enumerate(facts.explanations) if row.additivity_error is not None
    ]
    if not rows:
        yield _absent("the evidence has no table 'additivity'")
    for n, row in rows:
        yield _exact(row.additivity_error or 0.0, f"/explanations/{n}")


def _checks(rule: Rule, facts: Facts) -> Iterator[Measured]:
    rows = [(n, row) for n, row in enumerate(facts.checks) if row.check == rule.metric]
    if not rows:
        yield _absent(f"check {rule.metric!r} was neither run nor recorded")
    for n, row in rows:
        if row.estimate is None:
            where = " ".join(filter(None, (row.output, row.attribute, row.group, row.subject)))
            yield _absent(
                f"check {row.check} {where} has no value".replace("  ", " "), row.attribute
            )
            continue
        yield Measured(
            value=row.estimate,
            lower=row.lower,
            upper=row.upper,
            evidence=f"/checks/{n}",
            attribute=row.attribute,
        )
