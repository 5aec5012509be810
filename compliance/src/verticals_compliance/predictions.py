"""What was predicted and what happened, one value per target, read from the evidence once.

Performance and fairness both start here, so that they speak of the same rows and the same
favourable outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from verticals.contract.model import DataContract, Target
from verticals.errors import AuditError
from verticals.evidence import EvidenceInfo, OutputInfo
from verticals.table import Array, Table

NO_DECISION = "no decision is declared"
MOST_PROBABLE = "the most probable value"


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Hold the predictions and outcomes of one target, row by row; NaN where not known.

    `score` is the probability of the positive value (binary), the value itself (numeric) or the
    expected step, counted from 0 (ordinal). `outcome` is 1.0 for the positive value, else a code
    into `values`, else the value. `choice` is what was decided or found most probable, coded as the
    outcome. `probabilities` (rows, values) are there for several classes. `units` is None where
    every row is a person of its own.
    """

    output: str
    target: Target
    score: Array | None
    outcome: Array
    choice: Array | None
    probabilities: Array | None
    units: Array | None
    favourable: float | None  # the coded outcome that is favourable
    favourable_words: str
    decision_words: str
    cut: float | None = None

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return int(self.outcome.size)

    @property
    def persons(self) -> int:
        """Return the number of persons that the rows are of."""
        return self.rows if self.units is None else int(np.unique(self.units).size)

    def take(self, rows: Array) -> Predictions:
        """Return the rows that a boolean mask selects."""
        return replace(
            self,
            score=_taken(self.score, rows),
            outcome=self.outcome[rows],
            choice=_taken(self.choice, rows),
            probabilities=_taken(self.probabilities, rows),
            units=_taken(self.units, rows),
        )


def read_predictions(
    scores: Table, info: EvidenceInfo, contract: DataContract
) -> tuple[Predictions, ...]:
    """Return the predictions of every target that has an output in `scores`, in contract order.

    Raises `AuditError` if an output that the evidence declares is no column of numbers.
    """
    units = scores.get("unit")
    if units is not None and np.unique(units).size == scores.rows:
        units = None
    found = []
    for target in contract.targets:
        outputs = [item for item in info.outputs if item.target == target.name]
        columns = {
            item.name: _numbers(scores, item.name)
            for item in outputs
            if item.name in scores and item.kind not in ("set", "text")
        }
        if columns:
            found.append(_one(target, outputs, columns, scores, info, units))
    return tuple(item for item in found if item is not None)


def _one(
    target: Target,
    outputs: list[OutputInfo],
    columns: Mapping[str, Array],
    scores: Table,
    info: EvidenceInfo,
    units: Array | None,
) -> Predictions | None:
    """Return the predictions of one target, or None if no output predicts it."""
    name = f"target:{target.name}"
    favourable, said = favourable_of(target)
    found = Predictions(
        output=target.name,
        target=target,
        score=None,
        outcome=_numbers(scores, name) if name in scores else np.full(scores.rows, np.nan),
        choice=None,
        probabilities=None,
        units=units,
        favourable=favourable,
        favourable_words=said,
        decision_words=NO_DECISION,
    )
    if target.kind == "binary":
        return _with_score(found, outputs, columns, scores, info)
    # A flag is a decision on the target, or a doubt about it, and no prediction of it.
    told = [item for item in outputs if not item.value and item.kind != "flag"]
    if target.kind == "ordinal":  # its expected step comes before the same in points of a scale
        told.sort(key=lambda item: item.kind != "ordinal")
    plain = [item.name for item in told if item.name in columns]
    if plain:
        score = columns[plain[0]] if target.kind in ("numeric", "ordinal") else None
        found = replace(found, output=plain[0], score=score)
    probabilities = _probabilities(target, outputs, columns)
    if probabilities is None:
        return found
    return replace(
        found,
        probabilities=probabilities,
        choice=_most_probable(probabilities),
        decision_words=MOST_PROBABLE,
    )


def _with_score(
    found: Predictions,
    outputs: list[OutputInfo],
    columns: Mapping[str, Array],
    scores: Table,
    info: EvidenceInfo,
) -> Predictions | None:
    """Add the probability of the positive value, and the decision where one is on this target."""
    chances = [o.name for o in outputs if o.kind == "probability" and o.name in columns]
    if not chances:
        return None
    found = replace(found, output=chances[0], score=columns[chances[0]])
    if info.decision.get("target") != found.target.name or "decision" not in scores:
        return found
    return replace(
        found,
        choice=_numbers(scores, "decision"),
        decision_words=str(info.decision.get("rule") or "as recorded in the evidence"),
        cut=info.decision.get("cut"),
    )


def favourable_of(target: Target) -> tuple[float | None, str]:
    """Return the code of the favourable outcome, and the words that name it."""
    if target.kind == "numeric":
        return None, f"none: {target.title} is a number"
    if target.kind == "binary":
        if target.favourable and target.favourable != target.positive:
            return 0.0, f"{target.title} = {target.favourable}"
        said = f"{target.title} = {target.positive}"
        return 1.0, said if target.favourable else f"{said} (no favourable value is declared)"
    if target.favourable in target.values:
        code = float(target.values.index(target.favourable))
        return code, f"{target.title} = {target.favourable}"
    return None, "none is declared"


def _probabilities(
    target: Target, outputs: list[OutputInfo], columns: Mapping[str, Array]
) -> Array | None:
    """Return (rows, values) in the order of the contract, or None unless every value has one."""
    by_value = {item.value: item.name for item in outputs if item.kind == "probability"}
    names = [by_value.get(value, "") for value in target.values]
    if not names or any(name not in columns for name in names):
        return None
    return np.stack([columns[name] for name in names], axis=1)


def _most_probable(probabilities: Array) -> Array:
    known = ~np.isnan(probabilities).any(axis=1)
    choice = np.full(probabilities.shape[0], np.nan)
    choice[known] = probabilities[known].argmax(axis=1)
    return choice


def _numbers(scores: Table, name: str) -> Array:
    column = scores[name]
    if column.ndim != 1 or column.dtype.kind not in "fiub":
        raise AuditError(
            f"evidence table 'scores': column {name!r} has type {column.dtype}, expected numbers",
            hint="record the evidence again with `verticals evidence`",
        )
    return column.astype(np.float64)


def _is_text(scores: Table, name: str) -> bool:
    """Tell whether an output is text or a set, which says nothing of a target here."""
    return scores[name].dtype.kind in "OUS"


def _taken(column: Array | None, rows: Array) -> Array | None:
    return None if column is None else column[rows]
