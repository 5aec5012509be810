"""What a teacher gets: each trait in points with an interval, and whether a person must read it.

Intervals are fitted on the calibration part; without privacy as they are, with privacy bought from
epsilon in equal shares. So is the limit of what is on topic; with privacy it is what public texts
on other subjects come up to, since the rare essay below it is lost in any noise. An essay goes to
a person where it is empty, too short or too long, in another language, no plain text (tags,
entities, hidden characters), unlike every declared prompt, or where a trait's interval is too wide
to be of use; the reason says which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.contract import DataContract, Target
from verticals.contract.model import GROUP
from verticals.errors import PrivacyError, TrainingError
from verticals.plugin import Columns, Output
from verticals.table import Array, Table
from verticals_student_assessment.essays import conformal
from verticals_student_assessment.essays.options import EssayOptions, essay_options

#: Facts of each text that a model hands over beside its scores.
WORDS, CLIPPED, UNKNOWN, MARKUP = "@words", "@clipped", "@unknown", "@markup"
#: How near a text is to the nearest prompt, and how near public texts on other subjects come.
TOPICAL, STRAY = "@topical", "@stray"

EMPTY = "empty essay"
TOO_SHORT = "too short"
TOO_LONG = "too long"
LANGUAGE = "language not recognised"
MARKED = "no plain text: tags, entities or hidden characters"
OFF_TOPIC = "off topic: unlike every declared prompt"
UNCERTAIN = "uncertain: the interval is too wide"
REASONS = (EMPTY, TOO_SHORT, TOO_LONG, LANGUAGE, MARKED, OFF_TOPIC, UNCERTAIN)

_LEAST_SPREAD = 0.25  # of a score, in steps of the scale
_OFF_TOPIC_SHARE = 0.01  # of the calibration part that lies below the limit


def finish_for(
    contract: DataContract, epsilon: float | None, options: Mapping[str, Any]
) -> EssayFinish:
    """Return the finish of a contract; raise `PrivacyError` for a scale that reads raw scores."""
    chosen = essay_options(options)
    if epsilon is not None and chosen.scale == "matched":
        raise PrivacyError(
            "the scale is matched to human scores of the calibration part, which no budget is "
            "spent on",
            hint="--option scale=mean",
        )
    return EssayFinish(contract=contract, chosen=chosen, epsilon=epsilon)


@dataclass(frozen=True, kw_only=True)
class EssayFinish:
    """Turn the chances of each level into points, intervals, and a word for who must read it.

    Of each trait, in points of its scale: `<trait>` (the expected score), `<trait>_level` (the
    nearest declared level), `<trait>_lower` and `<trait>_upper` (the interval); and `<trait>_step`,
    the expected score in steps of the scale, 0 the lowest, which the audit reads. All are NaN for
    an empty essay.
    Of the essay: `review` (1: a person must read it) and `review_reason`.
    """

    contract: DataContract
    chosen: EssayOptions
    epsilon: float | None = None

    @property
    def fits_on_data(self) -> bool:
        """Tell that `fit` reads the calibration part."""
        return True

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Return the outputs in order."""
        found = []
        for target in self.contract.targets:
            name = target.name
            found += [
                Output(name=f"{name}{what}", kind="real", target=name)
                for what in ("", "_level", "_lower", "_upper")
            ]
            found.append(Output(name=target.step_name, kind="ordinal", target=name))
        found.append(Output(name="review", kind="flag"))
        return (*found, Output(name="review_reason", kind="text"))

    def fit(self, scores: Columns, table: Table) -> Mapping[str, Any]:
        """Return the limits of each trait and of the topic, fitted on labelled rows of the table.

        Raises `TrainingError` if the calibration part is empty.
        """
        if table.rows == 0:
            raise TrainingError(
                "the calibration part has 0 rows, expected some: intervals need it",
                hint="--shares .5,.1,.2,.2 gives it a fifth",
            )
        persons = table[GROUP] if self.contract.group and GROUP in table else None
        traits = {
            target.name: self._fit_trait(target, scores, table, persons)
            for target in self.contract.targets
        }
        cut = self._topic_cut(scores)
        return {"coverage": self.chosen.coverage, "traits": traits, "off_topic_below": cut}

    def apply(self, scores: Columns, settings: Mapping[str, Any]) -> Columns:
        """Return all outputs of each row; a row's depend on that row and the settings alone."""
        found: dict[str, Array] = {}
        empty = np.asarray(scores[WORDS]) == 0
        wide = np.zeros(len(empty), dtype=bool)
        for target in self.contract.targets:
            fitted = settings["traits"][target.name]
            points = level_points(target)
            step, spread = self._scaled(target, scores, fitted)
            reach = np.inf if fitted["limit"] is None else fitted["limit"] * spread
            top = len(points) - 1
            low, high = (np.clip(step + side * reach, 0, top) for side in (-1.0, 1.0))
            lower, upper = in_points(low, points), in_points(high, points)
            told = {
                target.name: in_points(step, points),
                f"{target.name}_level": points[np.rint(step).astype(np.int64)],
                f"{target.name}_lower": lower,
                f"{target.name}_upper": upper,
                target.step_name: step,
            }
            for name, values in told.items():  # nothing was written that could be worth points
                found[name] = np.where(empty, np.nan, values)
            wide |= upper - lower > self.chosen.widest
        reasons = self._reasons(scores, wide, settings["off_topic_below"])
        found["review"] = (reasons != "").astype(np.float64)
        found["review_reason"] = reasons
        return {output.name: found[output.name] for output in self.outputs}

    def _fit_trait(
        self, target: Target, scores: Columns, table: Table, persons: Array | None
    ) -> dict[str, Any]:
        """Return the conformal limit of one trait, and the scale where it is matched.

        A matched scale takes every other person for itself: those whom the scale was fitted to
        would not show how far it errs on new ones.
        """
        label = np.asarray(table[target.name], dtype=np.float64)
        known = ~np.isnan(label)
        label = label[known]
        whose = None if persons is None else persons[known]
        here = {name: np.asarray(column)[known] for name, column in scores.items()}
        fitted: dict[str, Any] = {}
        measured = np.ones(len(label), dtype=bool)
        if self.chosen.scale == "matched":
            measured = _every_other(len(label), whose)
            machine = np.asarray(here[target.step_name])
            fitted["matched"] = _matching(machine[~measured], label[~measured])
        step, spread = self._scaled(target, here, fitted)
        ratio = (np.abs(label - step) / spread)[measured]
        whose = None if whose is None else whose[measured]
        if self.epsilon is None:
            found = conformal.limit(ratio, self.chosen.coverage, whose)
        else:
            found = conformal.private_limit(ratio, self.chosen.coverage, self._each, whose)
        return {**fitted, "limit": found if math.isfinite(found) else None}

    @property
    def _each(self) -> float:
        """Return what each trait may spend."""
        return (self.epsilon or 0.0) / len(self.contract.targets)

    def _topic_cut(self, scores: Columns) -> float | None:
        """Return below which similarity to every prompt an essay is off topic; None without one."""
        topical = np.asarray(scores[TOPICAL], dtype=np.float64)
        if np.isnan(topical).all():
            return None
        if self.epsilon is None:
            return float(np.nanquantile(topical, _OFF_TOPIC_SHARE))
        return float(np.asarray(scores[STRAY])[0])  # alike in all rows: no private text is in it

    def _scaled(
        self, target: Target, scores: Columns, fitted: Mapping[str, Any]
    ) -> tuple[Array, Array]:
        """Return (rows,) the expected step and its expected spread, on the scale given out."""
        step = np.asarray(scores[target.step_name], dtype=np.float64)
        steps = np.arange(len(target.values))
        chances = np.stack([scores[f"{target.name}_{value}"] for value in target.values], axis=1)
        variance = (chances * (steps - step[:, None]) ** 2).sum(axis=1)
        spread = np.maximum(np.sqrt(np.maximum(variance, 0.0)), _LEAST_SPREAD)
        if "matched" in fitted:
            scale = fitted["matched"]
            step = scale["human"] + (step - scale["machine"]) * scale["widened"]
        return np.clip(step, 0, steps[-1]), spread

    def _reasons(self, scores: Columns, wide: Array, off_topic_below: float | None) -> Array:
        """Return (rows,) why a person must read each essay, "" where nobody must."""
        words = np.asarray(scores[WORDS])
        empty = words == 0
        topical = np.asarray(scores[TOPICAL], dtype=np.float64)
        off = np.zeros(len(words), dtype=bool)
        if off_topic_below is not None:
            off = topical < off_topic_below
        long = (words > self.chosen.longest) | (np.asarray(scores[CLIPPED]) > 0)
        flags = (
            (EMPTY, empty),
            (TOO_SHORT, ~empty & (words < self.chosen.shortest)),
            (TOO_LONG, long),
            (LANGUAGE, ~empty & (np.asarray(scores[UNKNOWN]) > 0)),
            (MARKED, np.asarray(scores[MARKUP]) > 0),
            (OFF_TOPIC, ~empty & off),
            (UNCERTAIN, wide),
        )
        found = [
            "; ".join(reason for reason, flag in flags if flag[row]) for row in range(len(words))
        ]
        return np.array(found, dtype=object)


def level_points(target: Target) -> Array:
    """Return (levels,) the points of each level, lowest first."""
    return np.array([float(value) for value in target.values])


def in_points(step: Array, points: Array) -> Array:
    """Return steps of the scale as points, linear between levels."""
    return np.asarray(np.interp(step, np.arange(len(points)), points))


def _every_other(rows: int, persons: Array | None) -> Array:
    """Return (rows,) True for every other person, beginning with the first."""
    number = np.arange(rows) if persons is None else np.unique(persons, return_inverse=True)[1]
    return np.asarray(number % 2 == 0)


def _matching(machine: Array, human: Array) -> dict[str, float]:
    """Return means, and how far to widen, so that machine scores spread as human ones do."""
    if not machine.size:
        return {"machine": 0.0, "human": 0.0, "widened": 1.0}
    spread = float(machine.std())
    widened = float(human.std()) / spread if spread > 0 else 1.0
    return {
        "machine": float(machine.mean()),
        "human": float(human.mean()),
        "widened": widened,
    }
