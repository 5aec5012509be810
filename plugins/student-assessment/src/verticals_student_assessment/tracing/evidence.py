"""Set down what the checks of tracing need beside the scores.

    tracing.rows    interaction, position, attempt, item_mean, best_lr: one row an audited row
    tracing.probe   questions, moved, largest: whether a question's own answer reaches its score
    tracing.plot_position, tracing.plot_mastery    points for the report

`interaction` is a running number, `position` the number of the student's earlier answers, `attempt`
that of earlier answers on the question's skills. `item_mean` and `best_lr` are what the baselines
predict for the same rows, fitted on the training part; NaN where there is none, and where training
was private: fitting them then would be one more release of private data.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verticals.contract.model import DataContract
from verticals.plugin import Columns, Model
from verticals.table import Array, Table
from verticals_student_assessment.tracing.baseline import fit_best_regression, fit_item_mean
from verticals_student_assessment.tracing.features import tracing_features
from verticals_student_assessment.tracing.log import read_log
from verticals_student_assessment.tracing.plots import mastery_points, position_points
from verticals_student_assessment.tracing.roles import Roles, roles_of

MOST_TRAINING_ROWS = 200_000  # that the baselines are fitted to, evenly spaced
_PROBED = 2_000  # questions whose answer is turned round
_ROUNDING = 1e-6  # a score in a batch of other size may differ by this much


def evidence(model: Model, parts: Mapping[str, Table]) -> Mapping[str, Table]:
    """Return the tables of knowledge tracing for the audited part `test`."""
    contract: DataContract = model.contract  # type: ignore[attr-defined]
    audited = parts["test"]
    if not audited.rows:
        return {}
    roles = roles_of(contract)
    score = _score(model.predict(audited))
    private = model.state().settings.get("privacy") is not None
    train = None if private else parts.get("train")
    rows = rows_table(contract, roles, audited, train)
    tables = {"tracing.rows": rows, "tracing.probe": probe(model, contract, roles, audited, score)}
    if roles.target in audited:
        label = np.asarray(audited[roles.target], dtype=np.float64)
        tables["tracing.plot_position"] = position_points(audited, rows, score, label)
        tables["tracing.plot_mastery"] = mastery_points(contract, audited, rows, score, label)
    return {name: table for name, table in tables.items() if table.rows}


def rows_table(contract: DataContract, roles: Roles, audited: Table, train: Table | None) -> Table:
    """Return what the checks need of each audited row."""
    found: dict[str, Array] = {
        "interaction": read_log(roles, audited).interaction,
        "position": audited["student_right"] + audited["student_wrong"],
        "attempt": np.floor(audited["skill_right"] + audited["skill_wrong"]),
        "item_mean": np.full(audited.rows, np.nan),
        "best_lr": np.full(audited.rows, np.nan),
    }
    if train is not None and roles.target in train and train.rows:
        learnt = train.take(slice(0, None, -(-train.rows // MOST_TRAINING_ROWS)))
        mean = fit_item_mean(contract, learnt, roles.target)
        found["item_mean"] = mean.predict(audited["item"])
        found["best_lr"] = fit_best_regression(contract, learnt, roles.target).predict(audited)
    return Table(found, rows=audited.rows)


def probe(
    model: Model, contract: DataContract, roles: Roles, audited: Table, score: Array
) -> Table:
    """Turn one answer of each student round, and count the questions whose own score moves.

    A score that moves with the answer it predicts has seen it. Of each student the last known
    answer but one is turned, in all rows of its interaction, so that it has some history.
    """
    if roles.target not in audited:
        return Table({})
    log = read_log(roles, audited)
    label = np.asarray(audited[roles.target], dtype=np.float64)
    turned = np.isin(log.interaction, _chosen(log.student[log.first], log.time[log.first]))
    turned &= ~np.isnan(label)
    other = audited.with_columns({roles.target: np.where(turned, 1.0 - label, label)})
    again = tracing_features(contract).batch(other).take(turned)
    moved = np.abs(_score(model.predict(again)) - score[turned]) if turned.any() else np.zeros(0)
    return Table(
        {
            "questions": np.array([moved.size], dtype=np.int64),
            "persons": np.array([np.unique(log.student[turned]).size], dtype=np.int64),
            "moved": np.array([int((moved > _ROUNDING).sum())], dtype=np.int64),
            "largest": np.array([float(moved.max(initial=0.0))]),
        }
    )


def _chosen(student: Array, time: Array) -> Array:
    """Return one interaction of each student: the last but one in time, or the only one."""
    order = np.lexsort((time, student))
    owner = student[order]
    last = np.flatnonzero(np.append(owner[1:] != owner[:-1], True))
    before = np.maximum(last - 1, 0)
    place = np.where(owner[before] == owner[last], before, last)
    return order[place][:_PROBED]


def _score(columns: Columns) -> Array:
    """Return the probability of a right answer: the only score of one binary target."""
    return np.asarray(columns["score"], dtype=np.float64)
