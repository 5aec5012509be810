"""Set down what the checks of essays need beside the scores; no text, no id.

    essays.declared       coverage, widest                       what the solution promises
    essays.scale          trait, level, points                   the declared scale of each trait
    essays.second_rater   unit, and a column for each trait      points of the second human rater
    essays.texts          part, fact, essays, persons            empty, clipped, marked up …
    essays.probes         probe, trait, persons, change, lower, upper
    essays.deletion       trait, persons, and what the deletion test measured
    essays.plot_agreement mean machine score by human score

Scores here are those before a scale is matched (`scale=matched`), which follow from the model
alone. The second rater stands in one row for each audited row, in the order of `scores`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from verticals.collect import unit_index
from verticals.contract import DataContract, Target
from verticals.contract.model import MISSING
from verticals.evidence.plots import PlotPoint, plot_table
from verticals.intervals import mean
from verticals.table import Array, Table
from verticals_student_assessment.essays.finish import (
    CLIPPED,
    MARKUP,
    UNKNOWN,
    WORDS,
    level_points,
)
from verticals_student_assessment.essays.probes import probes_table
from verticals_student_assessment.essays.rules import second_raters
from verticals_student_assessment.essays.sentences import deletion_table

if TYPE_CHECKING:
    from verticals.plugin import Columns
    from verticals_student_assessment.essays.solution import EssayModel

FEWEST_PERSONS = 10


def essay_evidence(model: EssayModel, parts: Mapping[str, Table]) -> dict[str, Table]:
    """Return the tables `essays.*` of the audited part."""
    audited, contract = parts["test"], model.contract
    if audited.rows == 0:
        return {}
    columns, unit = model.predict(audited), unit_index(audited)
    texts, longest = audited[model.field.name], model.network.chosen.longest
    tables = {
        "essays.declared": _declared(model),
        "essays.scale": _scale(contract),
        "essays.second_rater": second_rater(contract, audited, unit),
        "essays.texts": _texts(model, parts),
        "essays.probes": probes_table(model, texts, unit, longest=longest),
        "essays.deletion": deletion_table(model, texts, unit, longest=longest),
        "essays.plot_agreement": plot_agreement(contract, audited, columns, unit),
    }
    return {name: table for name, table in tables.items() if table.rows}


def second_rater(contract: DataContract, audited: Table, unit: Array) -> Table:
    """Return the second ratings in points, NaN where there is none; empty without a second rater.

    Raises `ContractError` as `essays.rules.second_raters` does.
    """
    found = {
        target.name: coded_points(audited[field.name], target)
        for field, target in second_raters(contract)
        if field.name in audited
    }
    return Table({"unit": unit, **found}) if found else Table({})


def coded_points(codes: Array, target: Target) -> Array:
    """Return codes of levels as points, NaN where missing or not declared."""
    points = level_points(target)
    numbers = np.asarray(codes, dtype=np.float64)
    known = ~np.isnan(numbers) & (numbers > MISSING) & (numbers < len(points))
    places = np.where(known, numbers, 0).astype(np.int64)
    return np.where(known, points[places], np.nan)


def plot_agreement(contract: DataContract, audited: Table, columns: Columns, unit: Array) -> Table:
    """Return the mean machine score by human score with its interval, and the identity line."""
    rows: list[PlotPoint] = []
    for target in contract.targets:
        human, machine = _both(target, audited, columns)
        points = level_points(target)
        figure = f"{target.title}: machine score by human score"
        axes = (figure, "human score, points", "machine score, points")
        for value in (points[0], points[-1]):
            rows.append((*axes, "identity", "line", value, value, np.nan, np.nan, 0))
        for value in points:
            here = human == value
            persons = int(np.unique(unit[here]).size)
            if persons < FEWEST_PERSONS:
                continue
            found = mean(machine[here], units=unit[here])
            middle, low, high = (
                np.nan if side is None else side
                for side in (found.estimate, found.lower, found.upper)
            )
            rows.append((*axes, "mean", "points", value, middle, low, high, persons))
    return plot_table(rows)


def _both(target: Target, audited: Table, columns: Columns) -> tuple[Array, Array]:
    """Return (rows,) human (NaN where unknown) and machine scores in points."""
    human = coded_points(audited[target.name], target) if target.name in audited else None
    machine = np.asarray(columns[target.name])
    return (np.full(len(machine), np.nan) if human is None else human), machine


def _declared(model: EssayModel) -> Table:
    chosen = model.network.chosen
    return Table({"coverage": np.array([chosen.coverage]), "widest": np.array([chosen.widest])})


def _scale(contract: DataContract) -> Table:
    rows = [
        (target.name, place, float(points))
        for target in contract.targets
        for place, points in enumerate(level_points(target))
    ]
    return _table(("trait", "level", "points"), rows)


def _texts(model: EssayModel, parts: Mapping[str, Table]) -> Table:
    """Count in each part essays that are empty, clipped, marked up or of an unknown language."""
    rows: list[tuple[str, str, int, int]] = []
    for part in ("train", "test"):
        table = parts.get(part)
        if table is None or not table.rows:
            continue
        columns, unit = model.predict(table), unit_index(table)
        for fact, mask in (
            ("all", np.ones(table.rows, dtype=bool)),
            ("empty", columns[WORDS] == 0),
            ("clipped at its windows", columns[CLIPPED] > 0),
            ("tags, entities or hidden characters", columns[MARKUP] > 0),
            ("language not recognised", (columns[UNKNOWN] > 0) & (columns[WORDS] > 0)),
        ):
            count = int(np.sum(mask))
            rows.append((part, fact, count, int(np.unique(unit[mask]).size)))
    return _table(("part", "fact", "essays", "persons"), rows)


def _table(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    found: dict[str, Array] = {}
    for name, column in zip(names, columns, strict=True):
        text = not column or isinstance(column[0], str)
        found[name] = np.array(column, dtype=object) if text else np.array(column)
    return Table(found, rows=len(rows))
