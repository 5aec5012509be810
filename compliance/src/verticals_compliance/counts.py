"""Evidence of the form `counts`: the same measures from cells, as far as cells allow.

Rates and calibration gaps are exact. What needs single scores (the area under the curve, say) is
computed from the histogram, and says so. A suppressed cell leaves its group not measurable. Where
a person has several rows, or where noise was added, intervals are widened to stay valid; measures
from the histogram then have no limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from verticals.contract.model import DataContract
from verticals.evidence import AttributeInfo, Evidence, OutputInfo
from verticals.intervals import wilson
from verticals.table import Table
from verticals_compliance.cells import NOT_RECORDED
from verticals_compliance.comparisons import (
    NO_SUCH_DECISION,
    Comparison,
    GroupRate,
)
from verticals_compliance.curves import GroupCount
from verticals_compliance.performance import performance
from verticals_compliance.predictions import NO_DECISION, Predictions, favourable_of
from verticals_compliance.records import PerformanceRow

CELLS_TABLE = "group_counts"
SCORES_TABLE = "score_counts"

# Of each measure, seen from the favourable outcome: cells that are successes, cells that are the
# other trials. Names are from the positive value; `_CROSSED` turns them where that is unfavourable.
_TRIALS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "selection_rate": (("selected",), ("unselected",)),
    "tpr": (("tp",), ("fn",)),
    "fpr": (("fp",), ("tn",)),
    "ppv": (("tp",), ("fp",)),
    "accuracy": (("tp", "tn"), ("fp", "fn")),
    "calibration_gap": (("positive",), ("negative",)),
}
_CROSSED = {
    "selected": "unselected",
    "unselected": "selected",
    "positive": "negative",
    "negative": "positive",
    "tp": "tn",
    "tn": "tp",
    "fp": "fn",
    "fn": "fp",
}
# How many noisy cells a published one is the sum of (see `verticals.evidence.noise`).
_SUMMED = {"selected": 3, "unselected": 3, "positive": 3, "negative": 3}
_RELEASES = 4

Cells = Mapping[str, float]


def is_rough(evidence: Evidence) -> bool:
    """Tell whether what a histogram gives has no valid limits: persons repeat, or noise."""
    info = evidence.info
    return info.form == "counts" and (info.unit_rows > 1 or info.noise_epsilon is not None)


def count_predictions(evidence: Evidence, contract: DataContract) -> tuple[Predictions, ...]:
    """Return every binary target's histogram as rows at the middle of their bins."""
    table = evidence.tables.get(SCORES_TABLE)
    found = []
    for output in _outputs(evidence) if table is not None else ():
        if table is None:
            break
        part = table.take((table["output"] == output.name) & (table["attribute"] == ""))
        middle = (part["lower"] + part["upper"]) / 2
        sides = [np.nan_to_num(np.maximum(part[name], 0)) for name in ("positive", "negative")]
        counts = [np.rint(side).astype(np.int64) for side in sides]
        favourable, words = favourable_of(contract.target(output.target))
        found.append(
            Predictions(
                output=output.name,
                target=contract.target(output.target),
                score=np.concatenate([np.repeat(middle, count) for count in counts]),
                outcome=np.repeat([1.0, 0.0], [count.sum() for count in counts]),
                choice=None,
                probabilities=None,
                units=None,
                favourable=favourable,
                favourable_words=words,
                decision_words=_rule(evidence, output),
                cut=_cut(evidence, output),
            )
        )
    return tuple(found)


def count_performance(
    evidence: Evidence, found: tuple[Predictions, ...], level: float
) -> tuple[PerformanceRow, ...]:
    """Return measures from the histogram, and rates of decisions from the cells."""
    rough = is_rough(evidence)
    rows: list[PerformanceRow] = []
    for row in performance(found, level):
        said = replace(row, method=f"{row.method}, from a histogram of scores")
        if rough:
            said = replace(said, lower=None, upper=None, method=f"{said.method}, no valid limits")
        rows.append(said)
    for item in found:
        cells = dict(_cells(evidence, item.output, "")).get("")
        if cells is None or item.decision_words == NO_DECISION:
            continue
        for metric, good, bad in (
            ("accuracy", ("tp", "tn"), ("fp", "fn")),
            ("decision_rate", ("selected",), ("unselected",)),
            ("sensitivity", ("tp",), ("fn",)),
            ("specificity", ("tn",), ("fp",)),
            ("precision", ("tp",), ("fp",)),
        ):
            rate = _group("", cells, good, bad, evidence)
            interval = wilson(rate.successes, rate.trials, level=level, design_effect=rate.effect)
            rows.append(
                PerformanceRow(
                    output=item.output,
                    metric=metric,
                    estimate=interval.estimate,
                    lower=interval.lower,
                    upper=interval.upper,
                    n=rate.trials,
                    method=interval.method,
                )
            )
    return tuple(rows)


def count_comparisons(evidence: Evidence, contract: DataContract) -> tuple[Comparison, ...]:
    """Return the comparisons that cells allow: rates of decisions, and calibration gaps."""
    return tuple(
        comparison
        for output in _outputs(evidence)
        for attribute in evidence.info.attributes
        for comparison in _comparisons(evidence, contract, output, attribute)
    )


def count_groups(evidence: Evidence, contract: DataContract) -> tuple[GroupCount, ...]:
    """Return the counts of every group, None where they are suppressed."""
    rows: list[GroupCount] = []
    for attribute in evidence.info.attributes:
        for output in _outputs(evidence):
            favourable, _ = favourable_of(contract.target(output.target))
            for group, cells in _cells(evidence, output.name, attribute.name):
                seen = _turned(cells) if favourable == 0.0 else cells
                rows.append(
                    GroupCount(
                        output=output.name,
                        attribute=attribute.name,
                        role=attribute.role,
                        label=attribute.label,
                        group=group or NOT_RECORDED,
                        rows=_whole(cells["n"]),
                        labelled=_whole(cells["positive"] + cells["negative"]),
                        favourable_outcomes=_whole(seen["positive"]),
                        favourable_decisions=_whole(seen["selected"]),
                        tp=_whole(seen["tp"]),
                        fp=_whole(seen["fp"]),
                        fn=_whole(seen["fn"]),
                        tn=_whole(seen["tn"]),
                    )
                )
    return tuple(rows)


def _comparisons(
    evidence: Evidence, contract: DataContract, output: OutputInfo, attribute: AttributeInfo
) -> Iterator[Comparison]:
    favourable, words = favourable_of(contract.target(output.target))
    found = dict(_cells(evidence, output.name, attribute.name))
    decided = _rule(evidence, output) != NO_DECISION
    for metric, (good, bad) in _TRIALS.items():
        if not found or (metric != "calibration_gap" and not decided):
            continue
        groups = []
        for name, cells in found.items():
            seen = _turned(cells) if favourable == 0.0 else cells
            rate = _group(name or NOT_RECORDED, seen, good, bad, evidence)
            if metric == "calibration_gap" and rate.trials:
                mean = cells["sum_score"] / rate.trials
                chance = 1 - mean if favourable == 0.0 else mean
                extra = _noise(evidence) / 4  # a sum has half the sensitivity of a count
                rate = _widened(replace(rate, offset=min(max(chance, 0.0), 1.0)), extra)
            elif metric == "calibration_gap":
                rate = replace(rate, offset=0.0)
            groups.append(rate)
        yield Comparison(
            output=output.name,
            attribute=attribute,
            metric=metric,
            favourable=words,
            decision=NO_SUCH_DECISION if metric == "calibration_gap" else _rule(evidence, output),
            groups=tuple(groups),
        )


def _group(
    name: str, cells: Cells, good: tuple[str, ...], bad: tuple[str, ...], evidence: Evidence
) -> GroupRate:
    """Return successes and trials of one group; no trials where a cell is suppressed."""
    successes, others = (sum(cells[cell] for cell in names) for names in (good, bad))
    most = evidence.info.unit_rows  # of one person; so many persons there are at least
    if math.isnan(successes + others):
        rows = cells["n"]
        # Somebody is in a suppressed group: it is left out, not absent.
        persons = 1 if math.isnan(rows) else math.ceil(max(0.0, rows) / most)
        return GroupRate(group=name, persons=persons, events=0, successes=0.0, trials=0)
    successes = max(0, round(successes))
    trials = round(successes + max(0, round(others)))
    rows = trials if math.isnan(cells["n"]) else max(0.0, cells["n"])
    rate = GroupRate(
        group=name,
        persons=math.ceil(rows / most),
        events=math.ceil(trials / most),
        successes=successes,
        trials=trials,
        effect=float(most),
    )
    noisy = sum(_SUMMED.get(cell, 1) for cell in (*good, *bad))
    return _widened(rate, noisy * _noise(evidence))


def _widened(rate: GroupRate, variance: float) -> GroupRate:
    """Return a rate whose design effect also covers noise of this variance in its counts."""
    if variance == 0 or rate.trials == 0:
        return rate
    share = (rate.successes + 1) / (rate.trials + 2)  # never 0 or 1
    return replace(rate, effect=rate.effect + variance / (rate.trials * share * (1 - share)))


def _noise(evidence: Evidence) -> float:
    """Return the variance of the noise in one cell: twice the square of its scale."""
    epsilon = evidence.info.noise_epsilon
    if epsilon is None:
        return 0.0
    table = evidence.tables[CELLS_TABLE]
    parts = len(set(zip(table["output"], table["attribute"], strict=True)))
    scale = 2 * evidence.info.unit_rows * parts * _RELEASES / epsilon
    return 2 * scale**2


def _outputs(evidence: Evidence) -> list[OutputInfo]:
    return [
        item
        for item in evidence.info.outputs
        if item.kind == "probability" and item.target_kind == "binary"
    ]


def _cells(evidence: Evidence, output: str, attribute: str) -> Iterator[tuple[str, Cells]]:
    table: Table | None = evidence.tables.get(CELLS_TABLE)
    if table is None:
        return
    for place in np.flatnonzero((table["output"] == output) & (table["attribute"] == attribute)):
        cells = {
            name: float(table[name][place])
            for name in table
            if name not in ("output", "attribute", "group")
        }
        yield str(table["group"][place]), cells


def _turned(cells: Cells) -> Cells:
    return {name: cells[_CROSSED.get(name, name)] for name in cells}


def _rule(evidence: Evidence, output: OutputInfo) -> str:
    decision = evidence.info.decision
    if not decision or decision.get("target", output.target) != output.target:
        return NO_DECISION
    return str(decision.get("rule") or "as recorded in the evidence")


def _cut(evidence: Evidence, output: OutputInfo) -> float | None:
    return None if _rule(evidence, output) == NO_DECISION else evidence.info.decision.get("cut")


def _whole(value: float) -> int | None:
    return None if math.isnan(value) else max(0, round(value))
