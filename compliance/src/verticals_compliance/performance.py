"""How well each output does, over all audited rows: every measure with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from verticals import intervals
from verticals.evidence import EvidenceInfo
from verticals.intervals import Interval
from verticals.table import Array, Table
from verticals_compliance.predictions import Predictions
from verticals_compliance.records import PerformanceRow

SMALLEST_CHANCE = float(np.finfo(np.float64).eps)  # as in `verticals.metrics.log_loss`


def performance(found: Sequence[Predictions], level: float) -> tuple[PerformanceRow, ...]:
    """Return the measures that the kind of each target allows, one row each."""
    measures = {
        "binary": _binary,
        "categorical": _categorical,
        "ordinal": _ordinal,
        "numeric": _numeric,
    }
    return tuple(
        _row(item.output, metric, interval)
        for item in found
        for metric, interval in measures[item.target.kind](item, level)
    )


def flag_rates(scores: Table, info: EvidenceInfo, level: float) -> tuple[PerformanceRow, ...]:
    """Return how often each yes-or-no output that is no decision on a target says yes."""
    rows = []
    for item in info.outputs:
        column = scores.get(item.name)
        if item.kind != "flag" or item.name == "decision" or column is None:
            continue
        values = np.asarray(column, dtype=float)
        known = ~np.isnan(values)
        units = scores["unit"][known] if "unit" in scores else None
        rows.append(_row(item.name, "rate", _share(values[known] == 1, units, level)))
    return tuple(rows)


def _row(output: str, metric: str, found: Interval) -> PerformanceRow:
    return PerformanceRow(
        output=output,
        metric=metric,
        estimate=found.estimate,
        lower=found.lower,
        upper=found.upper,
        n=found.n,
        method=found.method,
    )


def _binary(item: Predictions, level: float) -> Iterator[tuple[str, Interval]]:
    if item.score is None:
        return
    known = ~np.isnan(item.outcome) & ~np.isnan(item.score)
    part = item.take(known)
    score, label, units = np.asarray(part.score), part.outcome, part.units
    for metric, ranking in (
        ("roc_auc", intervals.auc),
        ("gini", intervals.gini),
        ("ks", intervals.ks),
        ("average_precision", intervals.average_precision),
    ):
        yield metric, ranking(score, label, units=units, level=level)
    yield "brier", intervals.mean((score - label) ** 2, units=units, level=level)
    yield "log_loss", intervals.mean(_surprise(score, label), units=units, level=level)
    yield (
        "calibration_slope",
        intervals.calibration_slope(score, label, units=units, level=level),
    )
    yield (
        "calibration_intercept",
        intervals.calibration_intercept(score, label, units=units, level=level),
    )
    yield from _decisions(item, level)


def _decisions(item: Predictions, level: float) -> Iterator[tuple[str, Interval]]:
    """Yield rates of the *positive* value, as its names are used everywhere else."""
    if item.choice is None:
        return
    decided = ~np.isnan(item.choice)
    labelled = decided & ~np.isnan(item.outcome)
    chosen, happened = item.choice == 1, item.outcome == 1
    for metric, successes, trials in (
        ("accuracy", item.choice == item.outcome, labelled),
        ("decision_rate", chosen, decided),
        ("sensitivity", chosen, labelled & happened),
        ("specificity", ~chosen, labelled & ~happened),
        ("precision", happened, labelled & chosen),
    ):
        units = None if item.units is None else item.units[trials]
        yield metric, _share(successes[trials], units, level)


def _categorical(item: Predictions, level: float) -> Iterator[tuple[str, Interval]]:
    if item.choice is None or item.probabilities is None:
        return
    part = item.take(~np.isnan(item.outcome) & ~np.isnan(item.choice))
    choice, chances = np.asarray(part.choice), np.asarray(part.probabilities)
    yield "accuracy", _share(choice == part.outcome, part.units, level)
    codes = part.outcome.astype(np.int64)
    held = chances[np.arange(codes.size), codes]
    loss = -np.log(np.maximum(held, SMALLEST_CHANCE))
    yield "log_loss", intervals.mean(loss, units=part.units, level=level)
    truth = np.eye(chances.shape[1])[codes]  # (rows, values)
    squares = ((chances - truth) ** 2).sum(axis=1)
    yield "brier", intervals.mean(squares, units=part.units, level=level)


def _ordinal(item: Predictions, level: float) -> Iterator[tuple[str, Interval]]:
    yield from _categorical(item, level)
    yield from _numeric(item, level)
    if item.score is None:
        return
    part = item.take(~np.isnan(item.outcome) & ~np.isnan(item.score))
    levels = len(item.target.values)
    nearest = np.clip(np.rint(np.asarray(part.score)), 0, levels - 1)
    yield (
        "quadratic_weighted_kappa",
        intervals.weighted_kappa(
            nearest, part.outcome, levels=levels, units=part.units, level=level
        ),
    )


def _numeric(item: Predictions, level: float) -> Iterator[tuple[str, Interval]]:
    if item.score is None:
        return
    part = item.take(~np.isnan(item.outcome) & ~np.isnan(item.score))
    errors = np.asarray(part.score) - part.outcome
    yield "rmse", intervals.root_mean(errors**2, units=part.units, level=level)
    yield "mae", intervals.mean(np.abs(errors), units=part.units, level=level)
    yield "mean_error", intervals.mean(errors, units=part.units, level=level)


def _share(successes: Array, units: Array | None, level: float) -> Interval:
    effect = 1.0 if units is None else intervals.design_effect(successes, units)
    return intervals.wilson(
        float(successes.sum()), successes.size, level=level, design_effect=effect
    )


def _surprise(score: Array, label: Array) -> Array:
    held = np.where(label == 1, score, 1 - score)
    return np.asarray(-np.log(np.maximum(held, SMALLEST_CHANCE)))
