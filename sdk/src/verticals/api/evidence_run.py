"""Measure a model on its held-out part, or on new data, and write the evidence folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verticals.api.check_run import plugin_checks
from verticals.api.scores import finished_columns
from verticals.api.unseen import missing_unseen, unseen_notes
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
from verticals.evidence import (
    PRODUCER,
    EvidenceInfo,
    PackedEvidence,
    pack_evidence,
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

    def packed(self, path: str | Path) -> PackedEvidence:
        """Return the evidence folder, ready to be written."""
        return pack_evidence(path, self.info, self.tables)

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
    columns = finished_columns(vertical, contract, model, finish, finish_settings, audited)
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
    tables.update(_model_tables(vertical, contract, model, audited, columns.get("decision")))
    train = parts.get("train")
    if train is not None and train.rows:
        train_columns = finished_columns(vertical, contract, model, finish, finish_settings, train)
        edges = _edges(model)
        tables["distribution"] = distribution_table(
            contract, edges, (train, train_columns), (audited, columns)
        )
        if isinstance(model, Losses):
            with vertical.running("row_losses"):
                losses = (model.row_losses(train), model.row_losses(audited))
            tables["membership"] = membership_table(*losses)
    notes = (*notes, *unseen_notes(contract, missing_unseen(model, audited)))
    if notes:
        tables["split"] = Table({"note": np.array(list(notes), dtype=object)})
    history = state_settings.get("training", {}).get("history")
    if history and not private:
        tables["training"] = Table({name: np.array(column) for name, column in history.items()})
    tables.update(vertical.evidence(model, parts))
    tables["checks"] = checks_table(plugin_checks(vertical, tables, info))
    return Measured(info=info, tables={name: t for name, t in tables.items() if len(t)})


def _model_tables(
    vertical: Vertical,
    contract: DataContract,
    model: Model,
    audited: Table,
    decision: Array | None,
) -> dict[str, Table]:
    """Return what only the model can tell: attributions, encodings, shape functions."""
    tables: dict[str, Table] = {}
    if isinstance(model, Attributes) and audited.rows:
        most = int(getattr(model, "most_explained", MOST_EXPLAINED_ROWS))
        some = _evenly(np.arange(audited.rows), most)
        with vertical.running("attributions"):
            found = model.attributions(audited.take(some))
        tables.update(attribution_tables(contract, found))
        adverse = adverse_rows(contract, decision)
        if adverse is not None:
            chosen = audited.take(_evenly(np.flatnonzero(adverse), most))
            with vertical.running("attributions"):
                found = model.attributions(chosen)
            tables["reasons"] = reasons_table(contract, found)
    counts = getattr(model, "encoding_counts", None)
    if callable(counts):
        with vertical.running("encoding_counts"):
            counted = counts(audited)
        tables["encoding"] = counted.with_columns(
            {"part": np.array(["test"] * counted.rows, dtype=object)}
        )
    shapes = getattr(model, "shapes", None)
    if callable(shapes):
        with vertical.running("shapes"):
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
