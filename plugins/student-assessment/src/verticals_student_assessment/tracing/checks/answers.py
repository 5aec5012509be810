"""The audited answers as every check of tracing reads them: one row an interaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from verticals.evidence import (
    AttributeInfo,
    EvidenceInfo,
    Measurement,
    audited_groups,
    measurement,
)
from verticals.intervals import Interval
from verticals.intervals.base import unmeasurable
from verticals.table import Array, Table
from verticals_student_assessment.tracing.fusion import FEWEST, fuse

TOO_FEW = f"fewer than {FEWEST} persons"

Measure = Callable[[Array], Interval]  # (answers,) mask -> interval


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Hold the audited interactions whose answer is known, rows of one fused to their mean.

    `baselines` are other predictions for the same answers, NaN where there is none.
    """

    output: str
    score: Array
    label: Array  # 1 right, 0 wrong
    unit: Array  # the student
    position: Array  # earlier answers of the student
    attempt: Array  # earlier answers on the question's skills
    baselines: Mapping[str, Array]
    groups: tuple[tuple[AttributeInfo, str, Array], ...]  # group, (answers,) mask

    @property
    def all(self) -> Array:
        """Return (answers,) True."""
        return np.ones(self.score.size, dtype=bool)


def scored_answers(tables: Mapping[str, Table], info: EvidenceInfo) -> Scored | None:
    """Return the audited answers, None where the evidence has no probability of a right one."""
    scores, rows = tables["scores"], tables["tracing.rows"]
    output = next((o for o in info.outputs if o.kind == "probability" and o.name in scores), None)
    if output is None or f"target:{output.target}" not in scores:
        return None
    columns: dict[str, Array] = {
        "score": np.asarray(scores[output.name], dtype=np.float64),
        "label": np.asarray(scores[f"target:{output.target}"], dtype=np.float64),
        "unit": scores["unit"],
        **{name: rows[name] for name in ("position", "attempt", "item_mean", "best_lr")},
    }
    members = list(audited_groups(scores, info))
    columns |= {f"group {place}": mask for place, (_, _, mask) in enumerate(members)}
    fused = fuse(columns, rows["interaction"])
    known = ~np.isnan(fused["label"]) & ~np.isnan(fused["score"])
    kept = {name: column[known] for name, column in fused.items()}
    return Scored(
        output=output.name,
        score=kept["score"],
        label=kept["label"],
        unit=kept["unit"],
        position=kept["position"],
        attempt=kept["attempt"],
        baselines={name: kept[name] for name in ("item_mean", "best_lr")},
        groups=tuple(
            (attribute, name, kept[f"group {place}"])
            for place, (attribute, name, _) in enumerate(members)
        ),
    )


def measured(
    scored: Scored,
    check: str,
    found: Interval,
    *,
    subject: str = "",
    group: tuple[str, str] = ("", ""),
) -> Measurement:
    """Return an interval as a measurement of the audited score."""
    name = f"tracing.{check}"
    return measurement(name, found, output=scored.output, subject=subject, group=group)


def by_group(scored: Scored, check: str, measure: Measure) -> Iterator[Measurement]:
    """Measure each group: strata under a name of their own, which no rule of fairness reads."""
    for attribute, name, mask in scored.groups:
        found = measure(mask)
        yield measured(scored, check_of(check, attribute), found, group=(attribute.name, name))


def check_of(check: str, attribute: AttributeInfo) -> str:
    """Return the name of a check by groups of an attribute: `…_of_strata` where it is a stratum."""
    return check if attribute.role == "protected" else f"{check}_of_strata"


def held_to_minimum(found: Interval, unit: Array) -> Interval:
    """Return the interval, or nothing where it rests on too few persons."""
    if np.unique(unit).size < FEWEST:
        return unmeasurable(TOO_FEW, n=found.n)
    return found


def attributes(scored: Scored) -> Iterator[tuple[AttributeInfo, list[Array]]]:
    """Yield each attribute with the masks of the answers of its groups."""
    for attribute in dict.fromkeys(attribute for attribute, *_ in scored.groups):
        yield attribute, [mask for at, _, mask in scored.groups if at is attribute]
