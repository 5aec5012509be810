"""The action for one event as it happens: a policy with fixed cuts or costs, and rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.contract.model import AMOUNT, MISSING_AMOUNT, DataContract
from verticals.errors import CallError
from verticals.table import Array
from verticals_fraud_detection import strict_toml as toml
from verticals_fraud_detection.decide import NEEDS_CUTS, decide
from verticals_fraud_detection.events import target_of
from verticals_fraud_detection.policy import ACTIONS, APPROVE, REVIEW, Policy, read_policy
from verticals_fraud_detection.rules import FittedRules, Rules, apply_rules, fit_rules, read_rules

OPTIONS = ("policy", "rules")


@dataclass(frozen=True, kw_only=True)
class Actions:
    """Decide what is done with a scored event. Made by `actions`."""

    contract: DataContract
    policy: Policy | None = None
    rules: Rules | None = None
    fitted: FittedRules | None = None

    def decide(self, scored: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the action, the ids of the rules that fired, and the cut that the score met.

        `scored` has `score` (and `decision`, which decides where there is no policy); `row` has
        the bound values of the event with its derived fields. `cut` is None where no cut decided.
        """
        model = self._by_model(scored, row)
        told: dict[str, Any] = {"action": ACTIONS[model], "rules": []}
        if self.rules is not None and self.fitted is not None:
            table = {name: _one(row[name]) for name in self.fitted.columns if name in row}
            fired = self.fitted.fire(table, 1)
            final = apply_rules(self.rules, fired, np.array([model], dtype=np.int8))
            told["action"] = ACTIONS[int(final[0])]
            told["rules"] = [
                rule.id for rule, hit in zip(self.rules.rules, fired[0], strict=True) if hit
            ]
        cuts = self.policy.cuts if self.policy is not None else None
        met = (None, cuts.step_up, cuts.review, cuts.decline)[model] if cuts is not None else None
        return {**told, "cut": met}

    def _by_model(self, scored: Mapping[str, Any], row: Mapping[str, Any]) -> int:
        if self.policy is None:
            target = target_of(self.contract)
            return REVIEW if scored.get("decision") in (target.positive, 1.0) else APPROVE
        declared = self.contract.amount
        amount = np.array([int(row.get(AMOUNT, MISSING_AMOUNT))], dtype=np.int64)
        digits = declared.digits if declared is not None else 2
        score = np.array([scored["score"]], dtype=np.float64)
        return int(decide(self.policy, score, amount, digits=digits)[0])


def actions(contract: DataContract, options: Mapping[str, Any]) -> Actions:
    """Read the options `policy` and `rules` (paths, or what was read) for online scoring.

    `contract` has the derived fields. Raises `CallError` for another option, for a budget that
    has no cuts yet, for costs in another currency, and for rules that do not fit the contract.
    """
    toml.known_keys(options, OPTIONS, "online scoring", "online(policy=…, rules=…)")
    given, beside = options.get("policy"), options.get("rules")
    policy = given if given is None or isinstance(given, Policy) else read_policy(given)
    rules = beside if beside is None or isinstance(beside, Rules) else read_rules(beside)
    if policy is not None:
        _check(policy, contract)
    return Actions(
        contract=contract,
        policy=policy,
        rules=rules,
        fitted=None if rules is None else fit_rules(rules, contract),
    )


def _check(policy: Policy, contract: DataContract) -> None:
    if policy.by == "budget":
        raise CallError(
            f"policy {policy.name!r} has a budget, which has no cuts for single events",
            hint=NEEDS_CUTS,
        )
    currency = contract.amount.currency if contract.amount is not None else ""
    if policy.by == "costs" and policy.costs is not None and policy.costs.currency != currency:
        raise CallError(
            f"policy {policy.name!r} counts in {policy.costs.currency!r}, the contract in "
            f"{currency!r}",
            hint="declare `amount:` in the contract, or convert the costs",
        )


def _one(value: Any) -> Array:
    """Return a column of one row; text and None stay objects."""
    if isinstance(value, str | type(None)):
        return np.array([value], dtype=object)
    return np.asarray([value])
