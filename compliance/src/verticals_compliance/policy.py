"""A policy: which limits apply to an audit, and where each of them comes from.

A policy is a TOML file. It holds a table `[policy]`, optionally `[tolerance]`, and `[[rule]]`:

    [policy]
    name = "our-bank"
    version = "1"
    level = 0.95        # of every interval
    min_group = 30      # persons below which a group is not compared
    min_events = 10     # persons in a denominator below which a rate is not compared
    min_cell = 10       # persons below which nothing is shown of a group by itself

    [tolerance]         # for verdicts on what no rule limits
    difference = 0.1
    ratio = 0.8

    [[rule]]
    id = "four-fifths"
    section = "fairness"            # evidence, performance, privacy, explanations, checks
    metric = "selection_rate"       # or check = "…" in the section checks
    kind = "ratio"                  # or "difference", in the section fairness
    attributes = "protected"        # or "stratum", or a list of names
    min = 0.8                       # and / or max
    required = true
    decide = "interval"             # or "estimate", where the source says so
    title = "…"
    clause = "…"
    source = "…"
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from verticals.errors import AuditError
from verticals.strictjson import canonical_json, sha256

SECTIONS = ("evidence", "performance", "fairness", "privacy", "explanations", "checks")
KINDS = ("difference", "ratio")
DECIDE = ("interval", "estimate")
METRICS: Mapping[str, tuple[str, ...]] = {
    "evidence": ("rows", "units", "events"),
    "performance": (),  # any: what a record holds depends on the targets
    "fairness": (
        "selection_rate",
        "tpr",
        "fpr",
        "ppv",
        "accuracy",
        "calibration_gap",
        "mean_error",
    ),
    "privacy": ("epsilon", "delta", "delta_times_units", "attack_auc", "attack_excess"),
    "explanations": ("additivity_error", "protected_reasons"),
    "checks": (),
}

_MAX_BYTES = 1_000_000
_HINT = "verticals audit BUNDLE --out DIR uses the policy that is built in; its file shows the form"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Limit one measured number, and say where the limit comes from.

    `attributes` is empty outside fairness; `origin` is "policy", or names the plugin check that
    brought the rule.
    """

    id: str
    title: str
    section: str
    metric: str  # in the section checks: the name of the check
    source: str
    clause: str = ""
    kind: str = ""
    attributes: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    required: bool = False
    decide: str = "interval"
    origin: str = "policy"


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Hold the limits of verdicts on measures that no rule speaks of."""

    difference: float = 0.1
    ratio: float = 0.8


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Hold the rules in force, in order, and how intervals and groups are treated."""

    name: str
    version: str
    description: str
    rules: tuple[Rule, ...]
    level: float = 0.95
    min_group: int = 30
    min_events: int = 10
    min_cell: int = 10
    tolerance: Tolerance = Tolerance()

    @property
    def digest(self) -> str:
        """Return the digest of everything that the policy says, whatever the file's layout."""
        return sha256(canonical_json(self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """Return the policy as `details.json` holds it (without its digest)."""
        found = asdict(self)
        for rule in found["rules"]:
            rule["attributes"] = list(rule["attributes"])
        return {**found, "rules": list(found["rules"])}

    def limit_of(self, metric: str, kind: str, attribute: str, role: str) -> float | None:
        """Return the strictest fairness limit on this disparity; None if no rule has one."""
        found = [
            rule
            for rule in self.rules
            if (rule.section, rule.metric, rule.kind) == ("fairness", metric, kind)
            and speaks_of(rule, attribute, role)
        ]
        if kind == "ratio":
            return max((rule.min for rule in found if rule.min is not None), default=None)
        return min((rule.max for rule in found if rule.max is not None), default=None)


def speaks_of(rule: Rule, attribute: str, role: str) -> bool:
    """Tell whether a fairness rule covers an attribute: by its name or by its role."""
    return attribute in rule.attributes or role in rule.attributes


def default_policy() -> Policy:
    """Return the policy that is built in."""
    text = (
        resources.files("verticals_compliance").joinpath("policies/default.toml").read_text("utf-8")
    )
    return parse_policy(text, source="policies/default.toml")


def read_policy(path: str | Path) -> Policy:
    """Read a policy file; raise `AuditError` if it is unreadable or says something unknown."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise AuditError(f"policy {str(path)!r}: {reason}", hint=_HINT) from error
    if len(data) > _MAX_BYTES:
        raise AuditError(f"policy {str(path)!r} has {len(data)} bytes, expected at most 1,000,000")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AuditError(f"policy {str(path)!r} is no UTF-8 at byte {error.start}") from error
    return parse_policy(text, source=str(path))


def parse_policy(text: str, *, source: str = "policy") -> Policy:
    """Parse a policy; `source` names it in errors.

    Raises `AuditError` for what is no TOML, for unknown or missing keys (naming the nearest known
    one), for values of another kind, and for an id that stands twice.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AuditError(f"{source} is no TOML: {error}", hint=_HINT) from error
    _known(document, ("policy", "tolerance", "rule"), source)
    head = _table(document.get("policy"), f"{source}: [policy]")
    _known(head, [f.name for f in fields(Policy) if f.name not in ("rules", "tolerance")], source)
    limits = _table(document.get("tolerance", {}), f"{source}: [tolerance]")
    _known(limits, [f.name for f in fields(Tolerance)], f"{source}: [tolerance]")
    rules = document.get("rule", [])
    if not isinstance(rules, list):
        raise AuditError(f"{source}: rule is {_shown(rules)}, expected tables [[rule]]", hint=_HINT)
    parsed = [parse_rule(rule, f"{source}: rule {n + 1}") for n, rule in enumerate(rules)]
    _refuse_twice(parsed, source)
    where = f"{source}: [policy]"
    return Policy(
        name=_text(head, "name", where, required=True),
        version=_text(head, "version", where),
        description=_text(head, "description", where),
        rules=tuple(parsed),
        level=_number(head, "level", where, 0.5, 0.9999) or 0.95,
        min_group=_count(head, "min_group", where, 30),
        min_events=_count(head, "min_events", where, 10),
        min_cell=_count(head, "min_cell", where, 10),
        tolerance=Tolerance(
            **{
                key: _number(limits, key, f"{source}: [tolerance]", 0, 1)
                for key in ("difference", "ratio")
                if key in limits
            }
        ),
    )


def parse_rule(given: Any, where: str, *, origin: str = "policy", check: str = "") -> Rule:
    """Parse one rule, of a policy file or of a plugin check (then `check` is its default).

    Raises `AuditError` as `parse_policy` does.
    """
    rule = _table(given, where)
    keys = [f.name for f in fields(Rule) if f.name != "origin"]
    _known(rule, [*keys, "check"], where)
    name = _text(rule, "id", where, required=True)
    where = f"{where} ({name})"
    section = _one_of(rule, "section", SECTIONS, where, "checks" if check else "")
    subject = "check" if section == "checks" else "metric"
    if ("metric" if subject == "check" else "check") in rule:
        raise AuditError(f"{where}: a rule of section {section!r} has {subject!r}, not the other")
    metric = _text(rule, subject, where, required=not check) or check
    if METRICS[section] and metric not in METRICS[section]:
        raise AuditError(
            f"{where}: metric {metric!r} is unknown{_nearest(metric, METRICS[section])}",
            hint=f"section {section} has {', '.join(METRICS[section])}",
        )
    lowest, highest = _number(rule, "min", where), _number(rule, "max", where)
    if lowest is None and highest is None:
        raise AuditError(f"{where} has neither min nor max", hint="give the rule a limit")
    if lowest is not None and highest is not None and lowest > highest:
        raise AuditError(f"{where}: min {lowest:g} is above max {highest:g}")
    fair = section == "fairness"
    if not fair and (set(rule) & {"kind", "attributes"}):
        raise AuditError(f"{where}: kind and attributes belong to rules of section 'fairness'")
    return Rule(
        id=name,
        title=_text(rule, "title", where) or name,
        section=section,
        metric=metric,
        source=_text(rule, "source", where, required=True),
        clause=_text(rule, "clause", where),
        kind=_one_of(rule, "kind", KINDS, where, "") if fair else "",
        attributes=_attributes(rule.get("attributes", "protected"), where) if fair else (),
        min=lowest,
        max=highest,
        required=_flag(rule, "required", where),
        decide=_one_of(rule, "decide", DECIDE, where, "interval"),
        origin=origin,
    )


def with_rules(policy: Policy, rules: Sequence[Rule]) -> Policy:
    """Return the policy with further rules; an id that the policy has already keeps its rule."""
    have = {rule.id for rule in policy.rules}
    return replace(policy, rules=(*policy.rules, *(r for r in rules if r.id not in have)))


def from_json(found: Mapping[str, Any]) -> Policy:
    """Return the policy that `to_json` gave."""
    rules = tuple(
        Rule(**{**rule, "attributes": tuple(rule["attributes"])}) for rule in found["rules"]
    )
    return Policy(**{**found, "rules": rules, "tolerance": Tolerance(**found["tolerance"])})


def _known(table: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in table:
        if key not in keys:
            raise AuditError(f"{where}: unknown key {key!r}{_nearest(key, keys)}", hint=_HINT)


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise AuditError(f"{where} is {_shown(value)}, expected a table", hint=_HINT)
    return value


def _text(table: Mapping[str, Any], key: str, where: str, *, required: bool = False) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise AuditError(f"{where}: {key} is {_shown(value)}, expected text", hint=_HINT)
    if required and not value.strip():
        raise AuditError(f"{where} lacks {key!r}", hint=_HINT)
    return value.strip()


def _number(
    table: Mapping[str, Any],
    key: str,
    where: str,
    low: float = -math.inf,
    high: float = math.inf,
) -> Any:
    if key not in table:
        return None
    value = table[key]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        within = "" if math.isinf(low) else f" from {low:g} to {high:g}"
        raise AuditError(
            f"{where}: {key} is {_shown(value)}, expected a number{within}", hint=_HINT
        )
    return float(value)


def _count(table: Mapping[str, Any], key: str, where: str, default: int) -> int:
    value = table.get(key, default)
    if type(value) is not int or value < 1:
        raise AuditError(f"{where}: {key} is {_shown(value)}, expected a count from 1", hint=_HINT)
    return value


def _flag(table: Mapping[str, Any], key: str, where: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise AuditError(f"{where}: {key} is {_shown(value)}, expected true or false", hint=_HINT)
    return value


def _one_of(
    table: Mapping[str, Any], key: str, known: Sequence[str], where: str, default: str
) -> str:
    value = table.get(key, default)
    if value not in known:
        near = _nearest(value, known) if isinstance(value, str) and value else ""
        raise AuditError(
            f"{where}: {key} is {_shown(value)}, expected one of {', '.join(known)}{near}",
            hint=_HINT,
        )
    return str(value)


def _attributes(value: Any, where: str) -> tuple[str, ...]:
    if value in ("protected", "stratum"):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise AuditError(
        f"{where}: attributes is {_shown(value)}, expected 'protected', 'stratum' or names",
        hint=_HINT,
    )


def _refuse_twice(rules: Sequence[Rule], source: str) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise AuditError(f"{source}: rule id {rule.id!r} stands twice", hint="rename one")
        seen.add(rule.id)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."
