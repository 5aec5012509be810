"""What another policy would have done on past events: alerts, frauds, money, customers disturbed.

A replay is counterfactual bookkeeping, not a forecast: it takes each event as it happened, and a
fraud that is stopped changes no later event. Every policy is counted over the same days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from verticals.contract.model import MISSING_AMOUNT, DataContract
from verticals.errors import CallError
from verticals.table import Array, Table
from verticals_fraud_detection.bootstrap import LEVEL, REPLICATES, Resampled, resample, stack
from verticals_fraud_detection.curve import curve_of
from verticals_fraud_detection.decide import Stream, decide_stream, warm_up
from verticals_fraud_detection.events import Events, events_of
from verticals_fraud_detection.outcomes import SUMS, Counted, Outcome, figures, outcome_of
from verticals_fraud_detection.overlap import overlap
from verticals_fraud_detection.policy import APPROVE, REVIEW, Costs, Policy
from verticals_fraud_detection.rules import Rules, apply_rules, fire

FORMAT = 1
MIN_FRAUDS = 10  # below it a replay gives estimates and no limits, and says so
BASELINE = "as decided"  # the bundle's own decision, without rules

_DEFAULT_DAYS = 7
_HINDSIGHT = (
    "each event counts as it happened: a stopped fraud changes no later event, and an event "
    "whose amount is missing counts with none"
)


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Hold what stands beside the policies: the bundle's own flags, and rules that fired."""

    flags: Array | None = None  # (rows,) booleans in the order of the events
    rules: Rules | None = None
    fired: Array | None = None  # (rows, rules)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Hold one set of actions to count: a policy's, or the bundle's own decision."""

    name: str
    by: str
    digest: str | None
    minutes: float | None
    model: Array  # (counted events,) codes before rules
    actions: Array  # after rules


def replay_table(
    table: Table,
    score: Array,
    contract: DataContract,
    policies: Sequence[Policy],
    *,
    decision: Array | None = None,
    rules: Rules | None = None,
    since: np.datetime64 | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> dict[str, Any]:
    """Replay policies on a bound and labelled table, scored by any model; return plain JSON.

    `score` is (rows,); `decision` is the model's own, 1 where it flags: the baseline, as if each
    flag were reviewed. Days before `since` only warm up: give the day from which the model has
    seen no label. Money is in whole minor units. What cannot be measured is None.
    Raises `CallError` or `DataError` for data that cannot be replayed.
    """
    events = events_of(table, score, contract)
    fired = None if rules is None else fire(rules, table, contract)[events.order]
    flags = None if decision is None else np.asarray(decision)[events.order] == 1.0
    return replay(
        events,
        policies,
        Beside(flags=flags, rules=rules, fired=fired),
        since=since,
        seed=seed,
        replicates=replicates,
    )


def replay(
    events: Events,
    policies: Sequence[Policy],
    beside: Beside,
    *,
    since: np.datetime64 | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> dict[str, Any]:
    """Replay policies on events in the order of their time (see `replay_table`)."""
    _refuse_twice(policies)
    costs, costs_of = _costs(policies, events)
    first = max(warm_up_days(policies, events.stream), _day_of(since, events.stream))
    low = int(np.searchsorted(events.stream.day, first))
    counted = Counted(events=events, rows=slice(low, None), costs=costs)
    plans = _plans(counted, policies, range(first, events.stream.days), beside)
    told = _told(counted, plans, beside, events.stream.days - first, seed, replicates)
    currency = {"currency": events.currency, "digits": events.digits}
    rules = beside.rules
    return {
        "format": FORMAT,
        "data": _data(events, first, low),
        "money": currency if events.currency else None,
        "costs": None if costs is None else {"of": costs_of, **asdict(costs)},
        "rules": None if rules is None else {"name": rules.name, "digest": rules.digest},
        "intervals": {
            "method": f"percentile bootstrap over {events.unit_name}",
            "level": LEVEL,
            "replicates": replicates,
            "seed": seed,
        },
        "verdict": "measured" if _enough(counted) else "insufficient",
        "notes": _notes(counted),
        "policies": told,
        "curve": curve_of(
            counted,
            first=first,
            window=_reference(policies),
            widest=max((entry["alerts"]["per_day"] for entry in told), default=1.0),
        ),
    }


def warm_up_days(policies: Sequence[Policy], stream: Stream) -> int:
    """Return how many of the first days are not counted: what the most demanding budget needs.

    Without a budget it is 7, where the data have more, so that replays can be compared.
    """
    if any(policy.budget is not None for policy in policies):
        return max(warm_up(policy, stream) for policy in policies)
    return _DEFAULT_DAYS if stream.days > _DEFAULT_DAYS else 0


def _day_of(since: np.datetime64 | None, stream: Stream) -> int:
    """Return the number of the day from which to count, 0 where none is given."""
    if since is None:
        return 0
    day = int((since.astype("datetime64[D]") - stream.start) // np.timedelta64(1, "D"))
    if day >= stream.days:
        last = stream.start + (stream.days - 1) * np.timedelta64(1, "D")
        raise CallError(
            f"events are to count from {since}, but the last is of {last}",
            hint="give an earlier day with --from, or later data",
        )
    return day


def _refuse_twice(policies: Sequence[Policy]) -> None:
    names = [policy.name for policy in policies]
    for name in (*names, BASELINE):
        if [*names, BASELINE].count(name) > 1:
            raise CallError(f"two policies are named {name!r}", hint="give each its own name")


def _costs(policies: Sequence[Policy], events: Events) -> tuple[Costs | None, str]:
    """Return the one cost table by which all are priced: that of the first policy that has one."""
    priced = [policy for policy in policies if policy.costs is not None]
    for policy in priced:
        costs = policy.costs
        if costs is not None and costs.currency != events.currency:
            seen = repr(events.currency) if events.currency else "no amount"
            raise CallError(
                f"policy {policy.name!r} counts in {costs.currency!r}, the contract in {seen}",
                hint="declare `amount: {column: …, currency: …}` in the contract, or convert the "
                "costs",
            )
    return (priced[0].costs, priced[0].name) if priced else (None, "")


def _plans(counted: Counted, policies: Sequence[Policy], days: range, beside: Beside) -> list[Plan]:
    """Return the actions of the baseline, where there is one, and of each policy."""
    events, low = counted.events, counted.rows.start

    found = []
    if beside.flags is not None:
        own = np.where(beside.flags[low:], REVIEW, APPROVE).astype(np.int8)
        minutes = next((item.minutes_per_alert for item in policies), None)
        found.append(
            Plan(name=BASELINE, by="bundle", digest=None, minutes=minutes, model=own, actions=own)
        )
    for item in policies:
        model = decide_stream(item, events.stream, days, digits=events.digits)[low:]
        actions = model
        if beside.rules is not None and beside.fired is not None:
            actions = apply_rules(beside.rules, beside.fired[low:], model)
        found.append(
            Plan(
                name=item.name,
                by=item.by,
                digest=item.digest,
                minutes=item.minutes_per_alert,
                model=model,
                actions=actions,
            )
        )
    return found


def _told(
    counted: Counted,
    plans: Sequence[Plan],
    beside: Beside,
    days: int,
    seed: int,
    replicates: int,
) -> list[dict[str, Any]]:
    """Return the figures of each set of actions, and how it compares with the first."""
    units = int(counted.events.unit.max()) + 1
    outcomes = [outcome_of(counted, plan.actions, units) for plan in plans]
    found = _resampled(counted, outcomes, units, seed, replicates)
    label = counted.events.stream.label[counted.rows]
    told = []
    for plan, outcome, own in zip(plans, outcomes, found, strict=True):
        entry: dict[str, Any] = {"name": plan.name, "by": plan.by, "digest": plan.digest}
        entry |= figures(counted, outcome, own, days=days, minutes=plan.minutes)
        if plan is not plans[0]:
            entry["against_first"] = _difference(counted, outcome, outcomes[0], own, found[0])
        if beside.rules is not None and beside.fired is not None:
            fired, alerted = beside.fired[counted.rows], plan.model >= REVIEW
            entry["overlap"] = overlap(beside.rules, fired, alerted, label, counted.unit)
        told.append(entry)
    return told


def _resampled(
    counted: Counted, outcomes: Sequence[Outcome], units: int, seed: int, replicates: int
) -> list[Resampled]:
    """Resample the customers of the counted days once for all policies."""
    present = np.unique(counted.unit)

    def by_unit(values: Array) -> Array:
        return np.bincount(counted.unit, weights=values, minlength=units)

    shared = [
        by_unit(counted.fraud),
        by_unit(counted.genuine) > 0,
        by_unit(np.where(counted.fraud, counted.amount, 0)),
    ]
    sums = stack([*shared, *(outcome.sums for outcome in outcomes)])[present]
    drawn = resample(sums, seed=seed, replicates=replicates)
    frauds, customers, value = drawn.T[: len(shared)]
    found = []
    for place in range(len(outcomes)):
        own = drawn.T[len(shared) + place * len(SUMS) :][: len(SUMS)]
        found.append(
            Resampled(
                sums=dict(zip(SUMS, own, strict=True)),
                frauds=frauds,
                customers=customers,
                value=value,
                usable=_enough(counted),
            )
        )
    return found


def _difference(
    counted: Counted, outcome: Outcome, first: Outcome, own: Resampled, base: Resampled
) -> dict[str, Any]:
    """Return how much more was saved (without costs: stopped) than by the first set of actions."""
    if not counted.has_money:
        return {"saved": None, "stopped": None}
    name = "value" if counted.costs is None else "gain"
    place = SUMS.index(name)
    estimate = round(float(outcome.sums[:, place].sum() - first.sums[:, place].sum()))
    paired = Resampled(
        sums={name: own.sums[name] - base.sums[name]},
        frauds=own.frauds,
        customers=own.customers,
        value=own.value,
        usable=own.usable,
    )
    found = paired.total(name, estimate)
    return {
        "saved": found if counted.costs is not None else None,
        "stopped": found if counted.costs is None else None,
    }


def _data(events: Events, first: int, low: int) -> dict[str, Any]:
    stream = events.stream
    label = stream.label[low:]
    day = np.timedelta64(1, "D")
    return {
        "rows": int(stream.day.size),
        "events": int(label.size),
        "days": stream.days - first,
        "warm_up_days": first,
        "from": str(stream.start + first * day),
        "to": str(stream.start + (stream.days - 1) * day),
        "unit": events.unit_name,
        "units": int(np.unique(events.unit[low:]).size),
        "frauds": int((label == 1.0).sum()),
        "unlabelled": int(np.isnan(label).sum()),
        "missing_amounts": int((stream.amount[low:] == MISSING_AMOUNT).sum())
        if events.currency
        else None,
    }


def _enough(counted: Counted) -> bool:
    return int(counted.fraud.sum()) >= MIN_FRAUDS


def _notes(counted: Counted) -> list[str]:
    notes = [_HINDSIGHT]
    if not counted.has_money:
        notes.append("the contract declares no amount: frauds are counted, not valued")
    elif counted.costs is None:
        notes.append(
            "no policy has a cost table: value stopped is reported, money saved is not; every "
            "step-up, review and decline is taken to stop a fraud"
        )
    if not _enough(counted):
        frauds = int(counted.fraud.sum())
        notes.append(
            f"insufficient: {frauds} frauds in the counted days, expected {MIN_FRAUDS} or more "
            "for intervals"
        )
    unlabelled = int(np.isnan(counted.events.stream.label[counted.rows]).sum())
    if unlabelled:
        notes.append(f"{unlabelled} events without a label count as alerts, but as no fraud")
    return notes


def _reference(policies: Sequence[Policy]) -> int:
    days = [policy.budget.reference_days for policy in policies if policy.budget is not None]
    return min(days, default=_DEFAULT_DAYS)
