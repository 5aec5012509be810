"""The audited images as every check reads them: one view for each output, one for each target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from verticals.evidence import (
    EvidenceInfo,
    Measurement,
    OutputInfo,
    audited_groups,
    measurement,
)
from verticals.intervals import Interval
from verticals.table import Array, Table
from verticals_medical_imaging import measures
from verticals_medical_imaging.checks import intervals

Measure = Callable[[Array, float], Interval]  # (rows,) mask, level -> interval


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Hold the probability of one finding and whether it was there; what is lacking is None."""

    output: str
    target: str
    finding: str  # the value whose probability the score is
    score: Array
    label: Array  # 1 where the finding was there, 0 where not, NaN unknown
    unit: Array
    decision: Array | None  # 1 where the finding was called, by the operating point

    @property
    def known(self) -> Array:
        """Return (rows,) True where label and score are known."""
        return np.asarray(~np.isnan(self.label) & ~np.isnan(self.score))


@dataclass(frozen=True, kw_only=True, eq=False)
class Sets:
    """Hold the prediction sets of one target beside the truth."""

    output: str
    target: str
    classes: tuple[str, ...]
    truth: Array  # (rows,) which class, -1 unknown
    covered: Array  # (rows,) True where the set holds the truth
    size: Array  # (rows,)
    abstained: Array  # (rows,) True where no finding was given out
    right: Array  # (rows,) True where the set's only value is the truth
    unit: Array

    @property
    def known(self) -> Array:
        """Return (rows,) True where the truth is known."""
        return np.asarray(self.truth >= 0)


def scored_outputs(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterator[Scored]:
    """Yield the images of each output that is the probability of a finding."""
    scores = tables["scores"]
    for target, outputs in _by_target(scores, info).items():
        for place, output in enumerate(outputs):
            column = np.asarray(scores[f"target:{target}"], dtype=float)
            binary = output.target_kind == "binary"
            label = column if binary else np.where(np.isnan(column), np.nan, column == place)
            yield Scored(
                output=output.name,
                target=target,
                finding=_positive(output) if binary else output.value,
                score=np.asarray(scores[output.name], dtype=float),
                label=label,
                unit=scores["unit"],
                decision=_decision(scores, info, output),
            )


def prediction_sets(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterator[Sets]:
    """Yield the prediction sets of each target that has some."""
    scores = tables["scores"]
    for target, outputs in _by_target(scores, info).items():
        written = _column(scores, info, "set", target)
        if written is None:
            continue
        name, column = written
        truth = np.asarray(scores[f"target:{target}"], dtype=float)
        size = measures.set_sizes(column)
        if outputs[0].target_kind == "binary":
            positive = _positive(outputs[0])
            classes: tuple[str, ...] = (f"not {positive}", positive)
            inside = measures.set_holds(column, positive)
            holds = [size - inside > 0, inside]  # the other value, whatever it is called
        else:
            classes = tuple(output.value for output in outputs)
            holds = [measures.set_holds(column, value) for value in classes]
        code = np.where(np.isnan(truth), -1, truth).astype(np.int64)
        covered = np.stack(holds)[np.maximum(code, 0), np.arange(code.size)]
        flagged = _column(scores, info, "flag", target, "abstained")
        abstained = size != 1 if flagged is None else np.asarray(flagged[1], dtype=float) == 1
        yield Sets(
            output=name,
            target=target,
            classes=classes,
            truth=code,
            covered=covered,
            size=size,
            abstained=abstained,
            right=covered & (size == 1),
            unit=scores["unit"],
        )


def measured(
    check: str,
    found: Interval,
    *,
    output: str = "",
    subject: str = "",
    group: tuple[str, str] = ("", ""),
) -> Measurement:
    """Return a measurement named `imaging.<check>`; `group` is (attribute, group)."""
    return measurement(f"imaging.{check}", found, output=output, subject=subject, group=group)


def unmeasured(check: str, why: str, *, output: str = "", subject: str = "") -> Measurement:
    """Return the measurement that could not be made, with the reason."""
    return measured(check, intervals.none(f"not measured: {why}"), output=output, subject=subject)


def by_group(
    name: str, measure: Measure, output: str, scores: Table, info: EvidenceInfo
) -> Iterator[Measurement]:
    """Measure each group, and how far the groups of each attribute are apart.

    The gap of a stratum, which no law protects, has a name of its own: rules leave it alone.
    """
    found = list(audited_groups(scores, info))
    for attribute in dict.fromkeys(attribute for attribute, *_ in found):
        here = [(group, rows) for at, group, rows in found if at is attribute]
        level = intervals.level_for(len(here))
        pairs = []
        for group, rows in here:
            its = measure(rows, intervals.LEVEL)
            yield measured(f"group_{name}", its, output=output, group=(attribute.name, group))
            pairs.append(its if its.lower is None else measure(rows, level))
        kept = [item for item in pairs if item.lower is not None]
        gap = intervals.largest_gap(kept, len(pairs) - len(kept))
        of = "" if attribute.role == "protected" else "_of_strata"
        yield measured(f"{name}_gap{of}", gap, output=output, group=(attribute.name, ""))


def declared(tables: Mapping[str, Table], info: EvidenceInfo, name: str) -> float | None:
    """Return a number that the solution promises, None where it promises none.

    The facts of the decision go first, as they are those of this bundle.
    """
    table = tables.get("imaging.declared")
    value = info.decision.get(name)
    if value is None and table is not None and name in table and table.rows == 1:
        value = table[name][0]
    return None if value is None or np.isnan(value) else float(value)


def _by_target(scores: Table, info: EvidenceInfo) -> dict[str, list[OutputInfo]]:
    """Return the probabilities of each labelled target, in the order of its classes."""
    found: dict[str, list[OutputInfo]] = {}
    for output in info.outputs:
        known = output.target_kind in ("binary", "categorical")
        labelled = f"target:{output.target}" in scores and output.name in scores
        if output.kind == "probability" and known and labelled:
            found.setdefault(output.target, []).append(output)
    return found


def _positive(output: OutputInfo) -> str:
    return output.positive or output.value


def _decision(scores: Table, info: EvidenceInfo, output: OutputInfo) -> Array | None:
    if output.target_kind != "binary":
        return None
    found = _column(scores, info, "flag", output.target, "decision")
    return None if found is None else np.asarray(found[1], dtype=float)


def _column(
    scores: Table, info: EvidenceInfo, kind: str, target: str, start: str = ""
) -> tuple[str, Array] | None:
    """Return name and values of the target's output of a kind, by the start of its name."""
    for output in info.outputs:
        mine = (output.kind, output.target) == (kind, target) and output.name.startswith(start)
        if mine and output.name in scores:
            return output.name, scores[output.name]
    return None
