"""Rules beside the model, declared in a TOML file: deny, allow, velocity limits. Nothing is run.

    [rules]
    name = "house-rules"

    [[rule]]
    id = "velocity-10min"
    title = "Five payments of a card in 10 minutes"
    action = "review"                  # step-up, review; decline denies, approve allows
    when = [                           # all conditions hold
      { field = "card_count_10min", min = 4 },
      { field = "channel", in = ["online"] },
    ]

A condition has one test: `in`, `equals`, `missing`, or `min` and / or `max` (both inclusive). A
missing value meets none but `missing = true`. Fields are those of the contract that the model may
read, the derived ones, `amount` in major units, and the entities themselves (`card`), for lists.

Precedence: a rule that declines holds before any that approves; one that approves holds before
the model and all milder rules; else the strictest of rules and model holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verticals.errors import CallError
from verticals.strictjson import canonical_json, sha256
from verticals.table import Array
from verticals_fraud_detection import strict_toml as toml
from verticals_fraud_detection.policy import ACTIONS

TESTS = ("in", "equals", "min", "max", "missing")

HINT = "docs/reference/fraud-policy.md shows the form of a rules file"
_RULE_KEYS = ("id", "title", "action", "when")

Value = str | float | bool


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Hold one test of one field as the file has it; `among` is None where there is no list."""

    field: str
    among: tuple[Value, ...] | None = None  # `in`, and `equals` as a list of one
    min: Value | None = None
    max: Value | None = None
    missing: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Take an action where all conditions hold."""

    id: str
    title: str
    action: str
    when: tuple[Condition, ...]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Hold the rules of a file, in order."""

    name: str
    rules: tuple[Rule, ...]

    @property
    def digest(self) -> str:
        """Return the digest of everything that the file says, whatever its layout."""
        told = [
            [rule.id, rule.title, rule.action, [_told(item) for item in rule.when]]
            for rule in self.rules
        ]
        return sha256(canonical_json([self.name, told]))

    @property
    def codes(self) -> Array:
        """Return the action code of each rule: (rules,)."""
        return np.array([ACTIONS.index(rule.action) for rule in self.rules], dtype=np.int8)


def read_rules(path: str | Path) -> Rules:
    """Read a rules file; raise `CallError` if it is unreadable or says something unknown."""
    return parse_rules(toml.read_text(path, "rules"), source=f"rules {str(path)!r}")


def parse_rules(text: str, *, source: str = "rules") -> Rules:
    """Parse a rules file; raise `CallError` for unknown keys, actions and tests, or ids twice."""
    document = toml.parse(text, source)
    toml.known_keys(document, ("rules", "rule"), source, HINT)
    head = toml.table_of(document, "rules", source) or {}
    toml.known_keys(head, ("name",), f"{source}: [rules]", HINT)
    given = document.get("rule", [])
    if not isinstance(given, list) or not given:
        raise CallError(f"{source} has no [[rule]], expected one or more", hint=HINT)
    rules = tuple(_rule(item, f"{source}: rule {n + 1}") for n, item in enumerate(given))
    ids = [rule.id for rule in rules]
    for name in ids:
        if ids.count(name) > 1:
            raise CallError(f"{source}: rule id {name!r} stands twice", hint="rename one")
    return Rules(name=toml.text_of(head, "name", f"{source}: [rules]") or "rules", rules=rules)


def _rule(given: Any, where: str) -> Rule:
    if not isinstance(given, Mapping):
        raise CallError(f"{where} is {toml.shown(given)}, expected a table [[rule]]", hint=HINT)
    toml.known_keys(given, _RULE_KEYS, where, HINT)
    name = toml.text_of(given, "id", where, required=True)
    where = f"{where} ({name})"
    action = toml.text_of(given, "action", where, required=True)
    if action not in ACTIONS:
        near = toml.nearest(action, ACTIONS)
        raise CallError(f"{where}: action {action!r} is unknown{near}", hint=HINT)
    when = given.get("when")
    if not isinstance(when, list) or not when:
        raise CallError(f"{where} lacks conditions, expected when = [{{field = …}}]", hint=HINT)
    return Rule(
        id=name,
        title=toml.text_of(given, "title", where) or name,
        action=action,
        when=tuple(_condition(item, f"{where}: condition {n + 1}") for n, item in enumerate(when)),
    )


def _condition(given: Any, where: str) -> Condition:
    if not isinstance(given, Mapping):
        raise CallError(f"{where} is no table, expected {{field = …, min = …}}", hint=HINT)
    toml.known_keys(given, ("field", *TESTS), where, HINT)
    name = toml.text_of(given, "field", where, required=True)
    tests = {key for key in given if key != "field"}
    if not (len(tests) == 1 or tests == {"min", "max"}):
        had = ", ".join(sorted(tests)) or "none"
        raise CallError(
            f"{where} on {name!r} has the tests {had}, expected one of {', '.join(TESTS)}",
            hint="min and max may stand together; further tests are further conditions",
        )
    among = given.get("in", [given["equals"]] if "equals" in given else None)
    if among is not None and not (
        isinstance(among, list) and among and all(_is_value(item) for item in among)
    ):
        raise CallError(f"{where} on {name!r}: expected a list of texts, numbers or true/false")
    missing = given.get("missing")
    if missing is not None and not isinstance(missing, bool):
        raise CallError(f"{where} on {name!r}: missing is no truth value, expected true or false")
    for key in ("min", "max"):
        if key in given and not _is_value(given[key]):
            raise CallError(f"{where} on {name!r}: {key} is no number")
    return Condition(
        field=name,
        among=None if among is None else tuple(among),
        min=given.get("min"),
        max=given.get("max"),
        missing=missing,
    )


def _is_value(value: object) -> bool:
    return isinstance(value, str | bool) or toml.is_number(value)


def _told(condition: Condition) -> list[Any]:
    among = None if condition.among is None else list(condition.among)
    return [condition.field, among, condition.min, condition.max, condition.missing]
