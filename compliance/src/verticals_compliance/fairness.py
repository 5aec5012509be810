"""How far apart the groups are: every group's measure, the disparity, a test and a verdict.

A group of fewer than `min_group` persons, or with a denominator of fewer than `min_events`, is
shown but not compared, nor is a row of small groups together. What is left out can hide a gap, so
that the verdict is then never "no-material-gap".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from verticals.intervals import (
    Interval,
    disparity_difference,
    disparity_ratio,
    holm,
    homogeneity,
    mean_disparity,
    mean_homogeneity,
    wilson,
)
from verticals.intervals.base import t_value
from verticals_compliance.cells import NOT_RECORDED, POOLED, WITH_SMALLER
from verticals_compliance.comparisons import (
    RATE_METRICS,
    Comparison,
    GroupMean,
    GroupRate,
)
from verticals_compliance.policy import Policy
from verticals_compliance.records import (
    GAP,
    INSUFFICIENT,
    NO_GAP,
    Disparity,
    FairnessRow,
    GroupRow,
)


def fairness(
    found: Sequence[Comparison], policy: Policy, *, seed: int = 0
) -> tuple[FairnessRow, ...]:
    """Return one row for each measure and kind of disparity; p-values are adjusted over all.

    Holm's adjustment counts each test once, also where a difference and a ratio share it.
    """
    tests = [_test(item, policy, seed) for item in found]
    rows: list[FairnessRow] = []
    for item, p_value, p_adjusted in zip(found, tests, holm(tests), strict=True):
        for kind in _kinds(item):
            rows.append(_row(item, kind, policy, p_value, p_adjusted))
    return tuple(rows)


def compared(item: Comparison, policy: Policy) -> tuple[list[GroupRate | GroupMean], bool]:
    """Return the groups that can be compared, and whether others had to be left out."""
    occurring = [g for g in item.groups if g.persons > 0 and g.group != NOT_RECORDED]
    kept = [
        g
        for g in occurring
        if g.persons >= policy.min_group and g.events >= policy.min_events and g.group != POOLED
    ]
    hidden = any(WITH_SMALLER in g.group for g in kept)  # a gap of the smaller ones may be hidden
    return kept, hidden or len(kept) < len(occurring)


def verdict(
    kind: str,
    lower: float | None,
    upper: float | None,
    limit: float | None,
    *,
    left_out: bool,
) -> str:
    """Return the verdict: the whole interval must lie on one side of the limit.

    `limit` is None for an error in a unit of its own on which no rule speaks: then nothing tells
    what is material.
    """
    if lower is None or upper is None or limit is None:
        return INSUFFICIENT
    beyond, within = (
        (lower > limit, upper <= limit) if kind == "difference" else (upper < limit, lower >= limit)
    )
    if beyond:
        return GAP
    return NO_GAP if within and not left_out else INSUFFICIENT


def _row(
    item: Comparison, kind: str, policy: Policy, p_value: float | None, p_adjusted: float | None
) -> FairnessRow:
    kept, left_out = compared(item, policy)
    interval = _disparity(kept, kind, policy.level)
    limit = policy.limit_of(item.metric, kind, item.attribute.name, item.attribute.role)
    if limit is None and item.metric != "mean_error":
        limit = policy.tolerance.difference if kind == "difference" else policy.tolerance.ratio
    return FairnessRow(
        output=item.output,
        attribute=item.attribute.name,
        metric=item.metric,
        favourable=item.favourable,
        decision=item.decision,
        groups=tuple(_group(group, policy.level) for group in item.groups),
        disparity=Disparity(
            kind=kind,
            estimate=interval.estimate,
            lower=interval.lower,
            upper=interval.upper,
            method=interval.method,
        ),
        p_value=p_value,
        p_adjusted=p_adjusted,
        verdict=verdict(kind, interval.lower, interval.upper, limit, left_out=left_out),
    )


def _kinds(item: Comparison) -> tuple[str, ...]:
    return ("difference", "ratio") if item.metric in RATE_METRICS else ("difference",)


def _group(group: GroupRate | GroupMean, level: float) -> GroupRow:
    found = _mean(group, level) if isinstance(group, GroupMean) else _rate(group, level)
    return GroupRow(
        group=group.group,
        n=group.trials,
        estimate=found.estimate,
        lower=found.lower,
        upper=found.upper,
    )


def _rate(group: GroupRate, level: float) -> Interval:
    found = wilson(group.successes, group.trials, level=level, design_effect=group.effect)
    if group.offset is None or found.estimate is None:
        return found
    if found.lower is None or found.upper is None:
        return found
    return replace(
        found,
        estimate=group.offset - found.estimate,
        lower=group.offset - found.upper,
        upper=group.offset - found.lower,
    )


def _mean(group: GroupMean, level: float) -> Interval:
    if group.trials == 0:
        return Interval(estimate=None, lower=None, upper=None, n=0, method="t")
    half = t_value(level, group.events - 1) * group.error if group.error > 0 else math.nan
    known = math.isfinite(half)
    return Interval(
        estimate=group.mean,
        lower=group.mean - half if known else None,
        upper=group.mean + half if known else None,
        n=group.trials,
        method="t",
    )


def _disparity(kept: Sequence[GroupRate | GroupMean], kind: str, level: float) -> Interval:
    means = [g for g in kept if isinstance(g, GroupMean)]
    if means:
        return mean_disparity(
            [g.mean for g in means],
            [g.error for g in means],
            [g.events for g in means],
            level=level,
        )
    rates = [g for g in kept if isinstance(g, GroupRate)]
    successes, trials, effects, offsets = _columns(rates)
    if kind == "ratio":
        return disparity_ratio(successes, trials, level=level, design_effects=effects)
    return disparity_difference(
        successes, trials, level=level, design_effects=effects, offsets=offsets
    )


def _test(item: Comparison, policy: Policy, seed: int) -> float | None:
    kept, _ = compared(item, policy)
    means = [g for g in kept if isinstance(g, GroupMean)]
    if means:
        return mean_homogeneity(
            [g.mean for g in means], [g.error for g in means], [g.events for g in means]
        )
    successes, trials, effects, offsets = _columns([g for g in kept if isinstance(g, GroupRate)])
    return homogeneity(successes, trials, design_effects=effects, offsets=offsets, seed=seed)


def _columns(
    rates: Sequence[GroupRate],
) -> tuple[list[float], list[int], list[float] | None, list[float] | None]:
    effects = [g.effect for g in rates]
    offsets = [g.offset for g in rates if g.offset is not None]
    return (
        [g.successes for g in rates],
        [g.trials for g in rates],
        effects if any(effect != 1 for effect in effects) else None,
        offsets if offsets else None,
    )
