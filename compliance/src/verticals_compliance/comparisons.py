"""What is compared between groups: for each measure, the successes and trials of every group.

Rates are of the *favourable* outcome: a row is positive where the decision, or the outcome, was
favourable to the person. With that, the names are those of fairlearn's MetricFrame:

    selection_rate   favourable decisions among all
    tpr              favourable decisions among those whose outcome was favourable
    fpr              favourable decisions among those whose outcome was not
    ppv              favourable outcomes among those who got a favourable decision
    accuracy         decisions that agree with the outcome
    calibration_gap  mean predicted probability of the favourable outcome − its frequency
    mean_error       mean of prediction − outcome, for numbers and ordered levels
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np

from verticals.evidence import AttributeInfo
from verticals.intervals import design_effect, standard_error
from verticals.table import Array
from verticals_compliance.cells import NOT_RECORDED, POOLED, pool, pooled_name
from verticals_compliance.predictions import NO_DECISION, Predictions

NO_SUCH_DECISION = "none: the score itself"
_CONFUSION = ("tpr", "fpr", "ppv", "accuracy")
RATE_METRICS = ("selection_rate", "tpr", "fpr", "ppv", "accuracy")


@dataclass(frozen=True, kw_only=True)
class GroupRate:
    """Hold successes and trials of one group, and what is taken from their rate.

    `persons` are those of the group, `events` those with a trial: what counts for a minimum. With
    `offset` (a mean predicted probability) the measure is offset − successes / trials.
    """

    group: str
    persons: int
    events: int
    successes: float
    trials: int
    effect: float = 1.0
    offset: float | None = None


@dataclass(frozen=True, kw_only=True)
class GroupMean:
    """Hold the mean of one group with its standard error over `events` persons."""

    group: str
    persons: int
    events: int
    mean: float
    error: float
    trials: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Hold one measure for all groups of one attribute, `NOT_RECORDED` last."""

    output: str
    attribute: AttributeInfo
    metric: str
    favourable: str
    decision: str
    groups: tuple[GroupRate, ...] | tuple[GroupMean, ...]


def comparisons(
    predictions: Predictions, attribute: AttributeInfo, labels: Array, *, min_cell: int = 1
) -> Iterator[Comparison]:
    """Yield every measure that these predictions allow; `labels` (rows,) names each row's group.

    Groups in which a measure rests on fewer than `min_cell` persons are put together.
    """
    names = group_names(attribute, labels)
    members = {name: labels == ("" if name == NOT_RECORDED else name) for name in names}
    parts = {name: predictions.take(rows) for name, rows in members.items()}
    measures = dict(_measures(predictions))
    found = {
        metric: {name: measure(name, part) for name, part in parts.items()}
        for metric, measure in measures.items()
    }
    confusion = [metric for metric in found if metric in _CONFUSION]
    for metric, measure in measures.items():
        groups = found[metric]
        alike = confusion if metric in _CONFUSION else [metric]
        sizes = {name: [found[other][name].events for other in alike] for name in names}
        together = pool(sizes, min_cell)
        if together:
            together = tuple({*together, *({POOLED} & {*members})})
            called = pooled_name(together, sizes, min_cell)
            rows = np.any([members[name] for name in together], axis=0)
            groups = {name: group for name, group in groups.items() if name not in together}
            groups[called] = measure(called, predictions.take(rows))
        decided = metric in RATE_METRICS
        yield Comparison(
            output=predictions.output,
            attribute=attribute,
            metric=metric,
            favourable=predictions.favourable_words,
            decision=predictions.decision_words if decided else NO_SUCH_DECISION,
            groups=cast("tuple[GroupRate, ...] | tuple[GroupMean, ...]", tuple(groups.values())),
        )


def group_names(attribute: AttributeInfo, labels: Array) -> tuple[str, ...]:
    """Return the groups to show: the declared ones that occur, others, then `NOT_RECORDED`.

    A declared group that no audited row belongs to is shown, with nothing measured.
    """
    seen = {str(label) for label in np.unique(labels.astype(str))}
    others = sorted(seen - set(attribute.groups) - {""})
    declared = [name for name in attribute.groups if name in seen or name != "other"]
    return (*declared, *others, *((NOT_RECORDED,) if "" in seen else ()))


def favourable_decision(part: Predictions) -> Array | None:
    """Return (rows,) 1.0 where the decision was favourable, 0.0 where not, NaN where unknown."""
    if part.choice is None or part.favourable is None:
        return None
    return np.where(np.isnan(part.choice), np.nan, part.choice == part.favourable)


def favourable_outcome(part: Predictions) -> Array | None:
    """Return (rows,) 1.0 where the outcome was favourable, 0.0 where not, NaN where unknown."""
    if part.favourable is None:
        return None
    return np.where(np.isnan(part.outcome), np.nan, part.outcome == part.favourable)


def _measures(
    whole: Predictions,
) -> Iterator[tuple[str, Callable[[str, Predictions], GroupRate | GroupMean]]]:
    """Yield each measure that the predictions allow, as a function of a group and its rows."""
    if whole.decision_words != NO_DECISION and whole.choice is not None:
        for metric in RATE_METRICS:
            if metric == "accuracy" or whole.favourable is not None:
                yield metric, partial(_rate, metric)
    if whole.score is None:
        return
    if whole.target.kind == "binary":
        yield "calibration_gap", _calibration
    else:
        yield "mean_error", _mean_error


def _trials(metric: str, part: Predictions) -> tuple[Array, Array]:
    """Return (rows,) successes, and the mask of the rows that are trials of this measure."""
    choice, outcome = part.choice, part.outcome
    if choice is None:
        raise ValueError("no decision")  # `_rates` has looked
    known = ~np.isnan(choice)
    if metric == "accuracy":
        return choice == outcome, known & ~np.isnan(outcome)
    chosen, happened = choice == part.favourable, outcome == part.favourable
    labelled = known & ~np.isnan(outcome)
    return {
        "selection_rate": (chosen, known),
        "tpr": (chosen, labelled & happened),
        "fpr": (chosen, labelled & ~happened),
        "ppv": (happened, labelled & chosen),
    }[metric]


def _rate(metric: str, name: str, part: Predictions) -> GroupRate:
    successes, trials = _trials(metric, part)
    return GroupRate(
        group=name,
        persons=part.persons,
        events=part.take(trials).persons,
        successes=float(successes[trials].sum()),
        trials=int(trials.sum()),
        effect=_effect(part, successes, trials),
    )


def _effect(part: Predictions, successes: Array, trials: Array) -> float:
    if part.units is None:
        return 1.0
    return design_effect(successes[trials], part.units[trials])


def _calibration(name: str, part: Predictions) -> GroupRate:
    happened = favourable_outcome(part)
    if happened is None or part.score is None:
        raise ValueError("no probability of a favourable outcome")  # `comparisons` has looked
    trials = ~np.isnan(happened) & ~np.isnan(part.score)
    chance = part.score if part.favourable == 1.0 else 1 - part.score
    return GroupRate(
        group=name,
        persons=part.persons,
        events=part.take(trials).persons,
        successes=float(happened[trials].sum()),
        trials=int(trials.sum()),
        effect=_effect(part, happened == 1, trials),
        offset=float(chance[trials].mean()) if trials.any() else 0.0,
    )


def _mean_error(name: str, part: Predictions) -> GroupMean:
    errors = np.zeros(0) if part.score is None else part.score - part.outcome
    known = ~np.isnan(errors)
    values = errors[known]
    units = None if part.units is None else part.units[known]
    centre = float(values.mean()) if values.size else np.nan
    error, count = standard_error((values - centre) / max(values.size, 1), units)
    return GroupMean(
        group=name,
        persons=part.persons,
        events=count,
        mean=centre,
        error=error,
        trials=values.size,
    )
