"""Reason codes: the fields that pushed a decision towards the adverse outcome, most first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verticals.contract.model import DataContract
from verticals.errors import CallError
from verticals.explain.attributions import Attributions
from verticals.table import Array

REFUSED = "REFUSED: a protected field is among the principal reasons"

# Attributions below this, in log-odds, did not push anything: rounding of float32.
_NOTHING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """Hold the principal reasons of each row.

    `fields` is (rows, count): indices into `names`, or -1 where fewer fields pushed towards the
    adverse outcome, or where the row's decision was not adverse. `refused` marks the rows among
    whose principal reasons a protected field stands: no notice can be sent for them.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    protected: tuple[bool, ...]
    fields: Array  # (rows, count) int64
    refused: Array  # (rows,) bool


def adverse_sign(contract: DataContract) -> int:
    """Return +1 if a higher score is adverse to the person, -1 if it is favourable.

    Raises `CallError` if the contract has no decision on a binary target with a favourable value.
    """
    decision = contract.decision
    target = contract.target(decision.target) if decision else None
    if target is None or target.kind != "binary" or not target.favourable:
        raise CallError(
            f"contract {contract.name!r} has no decision on a binary target with a favourable "
            "value, expected one for reason codes",
            hint="add `decision:` and `favourable:` to the contract",
        )
    return -1 if target.favourable == target.positive else 1


def principal_reasons(
    attributions: Attributions,
    contract: DataContract,
    *,
    count: int,
    adverse: Array,
    output: int = 0,
) -> Reasons:
    """Rank the fields that pushed each adversely decided row towards the adverse outcome.

    `adverse` is (rows,) booleans: the rows whose decision is adverse. A field whose attribution
    is zero or points the other way is never a reason (12 CFR 1002.9(b)(2): the reasons must be
    the factors actually scored).
    """
    if count < 1:
        raise CallError(f"{count} reasons asked for, expected at least 1")
    push = adverse_sign(contract) * attributions.values[:, output, :]  # (rows, fields)
    order = np.argsort(-push, axis=1, kind="stable")[:, :count]
    pushed = np.take_along_axis(push, order, axis=1) > _NOTHING
    fields = np.where(pushed & adverse[:, None], order, -1)
    known = {item.name: item for item in contract.fields}
    found = [known.get(name) for name in attributions.fields]
    protected = tuple(item is not None and item.role == "protected" for item in found)
    flags = np.array([*protected, False])  # index -1 is "no reason"
    return Reasons(
        names=attributions.fields,
        labels=tuple(
            item.title if item is not None else name
            for item, name in zip(found, attributions.fields, strict=True)
        ),
        protected=protected,
        fields=fields,
        refused=np.asarray(flags[fields].any(axis=1)),
    )


def reason_texts(reasons: Reasons) -> Array:
    """Return (rows, count) labels; a refused row says so in the first and gives no other."""
    labels = np.array([*reasons.labels, None], dtype=object)
    texts = labels[reasons.fields]
    texts[reasons.refused, :] = None
    texts[reasons.refused, 0] = REFUSED
    return np.asarray(texts)
