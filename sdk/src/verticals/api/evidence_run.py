"""Measure a model on its held-out part, or on new data, and write the evidence folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verticals import registry
from verticals.api.vertical import Vertical
from verticals.collect import (
    MOST_EXPLAINED_ROWS,
    Attributes,
    Losses,
    adverse_rows,
    attribute_infos,
    attribution_tables,
    checks_table,
    distribution_table,
    membership_table,
    output_infos,
    reasons_table,
    scores_table,
)
from verticals.contract.model import DataContract
from verticals.errors import PluginError, VerticalsError
from verticals.evidence import (
    PRODUCER,
    EvidenceInfo,
    Measurement,
    to_counts,
    write_evidence,
)
from verticals.plugin import Finish, Model
from verticals.table import Array, Table

_GOALS = ("coverage", "sensitivity", "specificity")  # that a finish was fitted to reach


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Hold what was measured, before it is written: rows, or the counts made of them."""

    info: EvidenceInfo
    tables: Mapping[str, Table]

    def write(self, path: str | Path) -> str:
        """Write the evidence folder and return its digest."""
        return write_evidence(path, self.info, self.tables)

    def counted(self, min_cell: int, unit_rows: int) -> Measured:
        """Return mergeable counts, with cells below `min_cell` suppressed."""
        counts = to_counts(self, min_cell=min_cell, unit_rows=unit_rows)
        return Measured(info=counts.info, tables=counts.tables)


def measure(
    *,
    bundle_digest: str,
    vertical: Vertical,
    contract: DataContract,
    model: Model,
    parts: Mapping[str, Table],
    finish: Finish,
    finish_settings: Mapping[str, Any],
    state_settings: Mapping[str, Any],
    private: bool,
    fingerprint: str = "",
    origin: str = PRODUCER,
    notes: Sequence[str] = (),
) -> Measured:
    """Score the audited part and collect every evidence table.

    `parts` holds `test`, the audited part, and may hold `train`, which membership and drift are
    measured against. `notes` are what a person should know of how the parts came about.
    """
    audited = parts["test"]
    columns = finish.apply(model.predict(audited), finish_settings)
    scores = scores_table(contract, audited, columns)
    info = EvidenceInfo(
        form="rows",
        bundle=bundle_digest,
        origin=origin,
        part="test" if "train" in parts else "audited data",
        rows=audited.rows,
        units=len(np.unique(scores["unit"])),
        outputs=output_infos(contract, finish.outputs),
        attributes=attribute_infos(contract),
        decision=_decision_facts(contract, finish_settings),
        fingerprint=fingerprint,
    )
    tables: dict[str, Table] = {"scores": scores}
    tables.update(_model_tables(contract, model, audited, columns.get("decision")))
    train = parts.get("train")
    if train is not None and train.rows:
        train_columns = finish.apply(model.predict(train), finish_settings)
        edges = _edges(model)
        tables["distribution"] = distribution_table(
            contract, edges, (train, train_columns), (audited, columns)
        )
        if isinstance(model, Losses):
            tables["membership"] = membership_table(
                model.row_losses(train), model.row_losses(audited)
            )
    if notes:
        tables["split"] = Table({"note": np.array(list(notes), dtype=object)})
    history = state_settings.get("training", {}).get("history")
    if history and not private:
        tables["training"] = Table({name: np.array(column) for name, column in history.items()})
    tables.update(_own_tables(vertical, vertical.solution.evidence(model, parts)))
    tables["checks"] = checks_table(_plugin_checks(vertical, tables, info))
    return Measured(info=info, tables={name: t for name, t in tables.items() if len(t)})


def _own_tables(vertical: Vertical, tables: Mapping[str, Table]) -> Mapping[str, Table]:
    """Return a solution's own tables; one of the SDK's names would stand for another's facts."""
    for name in tables:
        if "." not in name:
            raise PluginError(
                f"solution {vertical.info.name!r} gives an evidence table {name!r}, expected a "
                "name of the form PLUGIN.NAME",
                hint=f"verticals check {vertical.info.name}",
            )
    return tables


def _model_tables(
    contract: DataContract, model: Model, audited: Table, decision: Array | None
) -> dict[str, Table]:
    """Return what only the model can tell: attributions, encodings, shape functions."""
    tables: dict[str, Table] = {}
    if isinstance(model, Attributes) and audited.rows:
        most = int(getattr(model, "most_explained", MOST_EXPLAINED_ROWS))
        some = _evenly(np.arange(audited.rows), most)
        tables.update(attribution_tables(contract, model.attributions(audited.take(some))))
        adverse = adverse_rows(contract, decision)
        if adverse is not None:
            chosen = audited.take(_evenly(np.flatnonzero(adverse), most))
            tables["reasons"] = reasons_table(contract, model.attributions(chosen))
    counts = getattr(model, "encoding_counts", None)
    if callable(counts):
        counted = counts(audited)
        tables["encoding"] = counted.with_columns(
            {"part": np.array(["test"] * counted.rows, dtype=object)}
        )
    shapes = getattr(model, "shapes", None)
    if callable(shapes):
        table = shapes()
        if table.rows:
            tables["shapes"] = table
    return tables


def _evenly(rows: Array, most: int) -> Array:
    """Return at most so many of the rows, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _edges(model: Model) -> Mapping[str, tuple[float, ...]]:
    encoder = getattr(model, "encoder", None)
    return encoder.inputs.edges if encoder is not None else {}


def _decision_facts(contract: DataContract, finish_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Say in numbers and words how the decision in the evidence was made."""
    decision = contract.decision
    if decision is None:
        return {}
    target = contract.target(decision.target)
    cut = finish_settings.get("cut")
    rule = "" if cut is None else f"{target.name} = {target.positive} if score ≥ {cut:g}"
    if decision.rate is not None:
        rule += f" (the cut that decides a share of {decision.rate:g} on the calibration part)"
    goals = {name: finish_settings[name] for name in _GOALS if name in finish_settings}
    return {"target": target.name, "cut": cut, "rate": decision.rate, "rule": rule, **goals}


def _plugin_checks(
    vertical: Vertical, tables: Mapping[str, Table], info: EvidenceInfo
) -> list[Measurement]:
    """Run the checks whose tables are there: the distribution's own, and general ones.

    A check is general where its distribution offers no solution.
    """
    installed = registry.discover()
    others = {found.distribution for found in installed.solutions} - {vertical.distribution}
    measured: list[Measurement] = []
    for found in installed.checks:
        if found.distribution in others or any(n not in tables for n in found.info.needs):
            continue
        if found.info.solutions and vertical.info.name not in found.info.solutions:
            continue
        try:
            check = registry.load_check(found)
            measured += list(check(tables, info))
        except VerticalsError as error:
            measured.append(
                Measurement(check=found.info.name, estimate=None, method=f"failed: {error.message}")
            )
    return measured
