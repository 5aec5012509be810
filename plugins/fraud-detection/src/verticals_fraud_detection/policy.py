"""A decision policy: what turns a score into approve, step-up, review or decline.

A policy is a TOML file that can be changed without training. Exactly one table sets the bands:

    [policy]
    name = "sixty-alerts"
    minutes_per_alert = 8         # optional: analyst hours are then reported

    [budget]                      # what the house can handle; cuts follow from the days before
    alerts_per_day = 60           # one or more of these three: the strictest holds
    analyst_hours_per_day = 8
    false_positive_ceiling = 0.01 # share of genuine events that may be disturbed at all
    reference_days = 7

    [bands]                       # with [budget]: how it divides
    decline_share = 0.1           # of the alerts; the rest is reviewed
    step_up_per_alert = 0.5       # further events, just below the reviewed ones

    [cuts]                        # or: fixed cuts on the score, from each on the action is taken
    step_up = 0.12
    review = 0.31
    decline = 0.92

    [costs]                       # or: the action with the least expected cost for each event
    currency = "EUR"
    handling = { step_up = 0.10, review = 4.00, decline = 0.00 }
    genuine  = { step_up = 0.50, review = 2.00, decline = 12.00 }
    stopped  = { step_up = 0.80, review = 0.95, decline = 1.00 }
    churn = 1.50

`[costs]` beside `[budget]` or `[cuts]` decides nothing: it only says what a replay costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from verticals.errors import CallError
from verticals.strictjson import canonical_json, sha256
from verticals_fraud_detection import strict_toml as toml

#: From the mildest to the strictest; an action's code is its place here.
ACTIONS = ("approve", "step-up", "review", "decline")
APPROVE, STEP_UP, REVIEW, DECLINE = range(4)

_HINT = "docs/reference/fraud-policy.md shows the three forms of a policy"
_ABSENT_HINT = "give the policy [budget], [cuts] or [costs]"
_TARGETS = ("alerts_per_day", "analyst_hours_per_day", "false_positive_ceiling")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Hold what the house can handle in a day. Alerts are events in review or declined.

    The ceiling bounds everything that is not approved, step-ups included.
    """

    alerts_per_day: float | None = None
    analyst_hours_per_day: float | None = None
    false_positive_ceiling: float | None = None
    reference_days: int = 7


@dataclass(frozen=True, kw_only=True)
class Bands:
    """Say how a budget of alerts divides: the highest scores are declined, lower ones stepped up.

    `decline_share` is a share of the alerts; `step_up_per_alert` counts further events, just below
    the alerts, for each alert.
    """

    decline_share: float = 0.0
    step_up_per_alert: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """Hold the score from which each action is taken; None where it never is."""

    step_up: float | None = None
    review: float | None = None
    decline: float | None = None


@dataclass(frozen=True, kw_only=True)
class EachAction:
    """Hold one number for each action but approval, where all of them are 0."""

    step_up: float = 0.0
    review: float = 0.0
    decline: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Price what happens to an event, in major units of the base currency.

    `handling` is paid for each action taken; `genuine` further where the event was genuine (lost
    margin, a call, goodwill); `stopped` is the share of a fraud's amount that the action saves.
    `churn` is paid once for each genuine customer who was disturbed: a replay counts customers; an
    expected cost, which cannot know whom else it disturbs, charges it to each event.
    `missing_amount` is assumed where an event has no amount; without it such events are reviewed.
    """

    currency: str
    handling: EachAction
    genuine: EachAction
    stopped: EachAction
    churn: float = 0.0
    missing_amount: float | None = None


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Say how scores become actions. Exactly one of budget, cuts, or costs alone, decides."""

    name: str
    description: str = ""
    minutes_per_alert: float | None = None
    budget: Budget | None = None
    bands: Bands = Bands()
    cuts: Cuts | None = None
    costs: Costs | None = None

    @property
    def by(self) -> str:
        """Return what decides: "budget", "cuts" or "costs"."""
        if self.budget is not None:
            return "budget"
        return "cuts" if self.cuts is not None else "costs"

    @property
    def digest(self) -> str:
        """Return the digest of everything that the policy says, whatever the file's layout."""
        return sha256(canonical_json(asdict(self)))

    @property
    def alerts_per_day(self) -> float | None:
        """Return the stricter of alerts and analyst hours, as alerts a day; None without either."""
        budget, found = self.budget, []
        if budget is not None and budget.alerts_per_day is not None:
            found.append(budget.alerts_per_day)
        if budget is not None and budget.analyst_hours_per_day is not None:
            found.append(budget.analyst_hours_per_day * 60 / (self.minutes_per_alert or 1))
        return min(found, default=None)


def read_policy(path: str | Path) -> Policy:
    """Read a policy file; raise `CallError` if it is unreadable or says something unknown."""
    return parse_policy(toml.read_text(path, "policy"), source=f"policy {str(path)!r}")


def parse_policy(text: str, *, source: str = "policy") -> Policy:
    """Parse a policy; `source` names it in errors.

    Raises `CallError` for unknown keys (naming the nearest known one), for values of another kind
    or out of range, and unless exactly one table sets the bands.
    """
    document = toml.parse(text, source)
    toml.known_keys(document, ("policy", "budget", "bands", "cuts", "costs"), source, _HINT)
    head = toml.table_of(document, "policy", source) or {}
    where = f"{source}: [policy]"
    toml.known_keys(head, ("name", "description", "minutes_per_alert"), where, _HINT)
    budget = _budget(toml.table_of(document, "budget", source), f"{source}: [budget]")
    cuts = _cuts(toml.table_of(document, "cuts", source), f"{source}: [cuts]")
    costs = _costs(toml.table_of(document, "costs", source), f"{source}: [costs]")
    if budget is not None and cuts is not None:
        raise CallError(f"{source} has both [budget] and [cuts], expected one", hint=_ABSENT_HINT)
    if budget is None and cuts is None and costs is None:
        raise CallError(f"{source} sets no bands", hint=_ABSENT_HINT)
    bands = toml.table_of(document, "bands", source)
    if bands is not None and budget is None:
        raise CallError(f"{source}: [bands] divides a budget, but there is no [budget]", hint=_HINT)
    policy = Policy(
        name=toml.text_of(head, "name", where, required=True),
        description=toml.text_of(head, "description", where),
        minutes_per_alert=toml.number_of(head, "minutes_per_alert", where, 0.01, 10_000),
        budget=budget,
        bands=_bands(bands or {}, f"{source}: [bands]"),
        cuts=cuts,
        costs=costs,
    )
    if budget and budget.analyst_hours_per_day is not None and policy.minutes_per_alert is None:
        raise CallError(
            f"{source}: analyst_hours_per_day needs minutes_per_alert, which is absent",
            hint="write `minutes_per_alert = 8` under [policy]",
        )
    return policy


def dump_policy(policy: Policy) -> str:
    """Return the TOML of a policy: `parse_policy` gives it back."""
    head = {"name": policy.name, "description": policy.description}
    tables: dict[str, Mapping[str, Any]] = {
        "policy": {**head, "minutes_per_alert": policy.minutes_per_alert}
    }
    if policy.budget is not None:
        tables["budget"] = asdict(policy.budget)
        tables["bands"] = asdict(policy.bands)
    if policy.cuts is not None:
        tables["cuts"] = asdict(policy.cuts)
    if policy.costs is not None:
        tables["costs"] = asdict(policy.costs)
    blocks = []
    for name, table in tables.items():
        lines = [
            f"{key} = {_toml(value)}" for key, value in table.items() if value not in (None, "")
        ]
        blocks.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join(blocks) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    # JSON's text and finite numbers are TOML's too, but for DEL and for escaped surrogates.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _budget(table: Mapping[str, Any] | None, where: str) -> Budget | None:
    if table is None:
        return None
    if "minutes_per_alert" in table:
        raise CallError(f"{where}: minutes_per_alert stands under [policy]", hint=_HINT)
    toml.known_keys(table, [item.name for item in fields(Budget)], where, _HINT)
    if not any(key in table for key in _TARGETS):
        raise CallError(f"{where} is empty, expected {' or '.join(_TARGETS)}", hint=_HINT)
    days = table.get("reference_days", 7)
    if type(days) is not int or not 1 <= days <= 366:
        shown = toml.shown(days)
        raise CallError(f"{where}: reference_days is {shown}, expected whole days from 1 to 366")
    return Budget(
        alerts_per_day=toml.number_of(table, "alerts_per_day", where, 0, 1e9),
        analyst_hours_per_day=toml.number_of(table, "analyst_hours_per_day", where, 0, 1e7),
        false_positive_ceiling=toml.number_of(table, "false_positive_ceiling", where, 0, 1),
        reference_days=days,
    )


def _bands(table: Mapping[str, Any], where: str) -> Bands:
    toml.known_keys(table, [item.name for item in fields(Bands)], where, _HINT)
    return Bands(
        decline_share=toml.number_of(table, "decline_share", where, 0, 1) or 0.0,
        step_up_per_alert=toml.number_of(table, "step_up_per_alert", where, 0, 1000) or 0.0,
    )


def _cuts(table: Mapping[str, Any] | None, where: str) -> Cuts | None:
    if table is None:
        return None
    names = [item.name for item in fields(Cuts)]
    toml.known_keys(table, names, where, _HINT)
    cuts = Cuts(**{name: toml.number_of(table, name, where) for name in names})
    found = [(name, getattr(cuts, name)) for name in names if getattr(cuts, name) is not None]
    for (milder, low), (stricter, high) in pairwise(found):
        if low > high:
            raise CallError(
                f"{where}: {milder} is {low:g}, above {stricter} at {high:g}",
                hint="a stricter action begins at a higher score",
            )
    return cuts


def _costs(table: Mapping[str, Any] | None, where: str) -> Costs | None:
    if table is None:
        return None
    toml.known_keys(table, [item.name for item in fields(Costs)], where, _HINT)
    currency = toml.text_of(table, "currency", where, required=True)
    if len(currency) != 3 or not currency.isascii() or not currency.isupper():
        raise CallError(f"{where}: currency is {currency!r}, expected a code such as EUR")
    if "stopped" not in table:
        raise CallError(
            f"{where} lacks 'stopped', the share of a fraud's amount that each action saves",
            hint="stopped = { step_up = 0.8, review = 0.95, decline = 1.0 }",
        )
    return Costs(
        currency=currency,
        handling=_each(table, "handling", where, 1e9),
        genuine=_each(table, "genuine", where, 1e9),
        stopped=_each(table, "stopped", where, 1.0),
        churn=toml.number_of(table, "churn", where, 0, 1e9) or 0.0,
        missing_amount=toml.number_of(table, "missing_amount", where, 0, 1e12),
    )


def _each(table: Mapping[str, Any], key: str, where: str, high: float) -> EachAction:
    inner = toml.table_of(table, key, where) or {}
    where = f"{where} {key}"
    names = [item.name for item in fields(EachAction)]
    toml.known_keys(inner, names, where, _HINT)
    return EachAction(**{n: toml.number_of(inner, n, where, 0, high) or 0.0 for n in names})
