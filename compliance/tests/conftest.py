"""Small real bundles and real evidence on disk, for whatever an audit has to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verticals.bundle import Bundle, BundleContents, open_bundle, write_bundle
from verticals.contract.model import DataContract, Decision, Field, Target
from verticals.evidence import (
    PRODUCER,
    AttributeInfo,
    Evidence,
    EvidenceInfo,
    OutputInfo,
    open_evidence,
    to_counts,
    write_evidence,
)
from verticals.plugin import State
from verticals.table import Table

RACE = ("white", "black", "hispanic", "other")
SEX = ("female", "male")


@dataclass(frozen=True)
class Case:
    """A bundle and its evidence on disk."""

    bundle_path: Path
    evidence_path: Path

    @property
    def bundle(self) -> Bundle:
        return open_bundle(self.bundle_path)

    @property
    def evidence(self) -> Evidence:
        return open_evidence(self.evidence_path)


def credit_contract(**changes: Any) -> DataContract:
    """Default is predicted (1), which is not favourable; race is protected, site a stratum."""
    contract = DataContract(
        solution="tiny-credit",
        name="tiny",
        fields=(
            Field(name="income", kind="numeric", column="income", bounds=(0.0, 9.0), unit="k$"),
            Field(
                name="race",
                kind="categorical",
                column="race",
                role="protected",
                label="Race",
                categories=RACE[:3],
            ),
            Field(
                name="site",
                kind="categorical",
                column="site",
                role="stratum",
                label="Site",
                categories=("A", "B"),
            ),
        ),
        targets=(
            Target(
                name="default",
                column="default",
                kind="binary",
                positive="1",
                negative="0",
                favourable="0",
                meaning="defaults on the loan",
            ),
        ),
        decision=Decision(target="default", cut=0.5),
    )
    return replace(contract, **changes)


def credit_scores(rows: int = 600, seed: int = 0, gap: float = 0.0, units: int | None = None):
    """Scores of a calibrated model; `gap` is added to the score of black applicants."""
    rng = np.random.default_rng(seed)
    race = rng.choice(["white", "black", "hispanic", ""], p=[0.6, 0.25, 0.1, 0.05], size=rows)
    score = np.clip(rng.beta(1.3, 2.5, rows) + gap * (race == "black"), 0.001, 0.999)
    label = (rng.random(rows) < score).astype(float)
    unit = np.arange(rows) if units is None else np.sort(rng.integers(0, units, rows))
    return Table(
        {
            "unit": np.unique(unit, return_inverse=True)[1].astype(np.int64),
            "score": score,
            "decision": (score >= 0.5).astype(float),
            "target:default": label,
            "attr:race": race.astype(object),
            "attr:site": rng.choice(["A", "B"], rows).astype(object),
        }
    )


def credit_info(contract: DataContract, scores: Table, bundle: str) -> EvidenceInfo:
    target = (contract if contract.targets else credit_contract()).targets[0]
    return EvidenceInfo(
        form="rows",
        bundle=bundle,
        origin=PRODUCER,
        part="test",
        rows=scores.rows,
        units=len(np.unique(scores["unit"])),
        outputs=(
            OutputInfo(
                name="score",
                kind="probability",
                target=target.name,
                target_kind="binary",
                positive=target.positive,
                favourable=target.favourable,
                meaning=target.meaning,
            ),
            OutputInfo(name="decision", kind="flag", target=target.name, target_kind="binary"),
        ),
        attributes=(
            AttributeInfo(name="race", role="protected", label="Race", groups=RACE),
            AttributeInfo(name="site", role="stratum", label="Site", groups=("A", "B")),
        ),
        decision={"target": target.name, "cut": 0.5, "rule": "default = 1 if score ≥ 0.5"},
    )


def model_tables(rng: np.random.Generator) -> dict[str, Table]:
    """Tables that only the producer can make: attributions, reasons, membership, and so on."""

    def text(*values: str):
        return np.array(values, dtype=object)

    counts = rng.integers(20, 60, 20)
    return {
        "attributions": Table(
            {
                "output": text("score", "score"),
                "field": text("income", "race"),
                "label": text("Income", "Race"),
                "protected": np.array([0, 1]),
                "n": np.array([500, 500]),
                "sum_abs": np.array([400.0, 0.0]),
                "sum_sq": np.array([500.0, 0.0]),
            }
        ),
        "additivity": Table(
            {
                "output": text("score"),
                "method": text("exact"),
                "max_error": np.array([1e-6]),
                "n": np.array([500]),
                "standard_error": np.array([np.nan]),
            }
        ),
        "reasons": Table(
            {
                "field": text("income", "income"),
                "label": text("Income", "Income"),
                "protected": np.array([0, 0]),
                "rank": np.array([1, 2]),
                "count": np.array([150, 10]),
            }
        ),
        "membership": Table(
            {
                "member": np.repeat([1, 0], 10),
                "bin": np.tile(np.arange(10), 2),
                "lower": np.tile(np.arange(10.0), 2),
                "upper": np.tile(np.arange(1.0, 11.0), 2),
                "count": counts,
            }
        ),
        "shapes": Table(
            {
                "output": text("score", "score"),
                "field": text("income", "income"),
                "label": text("Income", "Income"),
                "x": np.array([0.0, 9.0]),
                "text": text("", ""),
                "contribution": np.array([0.5, -0.5]),
            }
        ),
        "distribution": Table(
            {
                "field": text("income", "income"),
                "bin": np.array([0, 1]),
                "label": text("0 – 4", "4 – 9"),
                "train": np.array([200, 300]),
                "audited": np.array([250, 350]),
            }
        ),
        "encoding": Table(
            {
                "field": text("income"),
                "part": text("test"),
                "rows": np.array([600]),
                "missing": np.array([3]),
                "below": np.array([0]),
                "above": np.array([1]),
                "other": np.array([0]),
            }
        ),
        "tiny.bands": Table({"band": text("low", "high"), "share": np.array([0.4, np.nan])}),
    }


PROMISE: Mapping[str, Any] = {
    "epsilon": 3.0,
    "delta": 0.001,
    "unit": "row",
    "units": 900,
    "accountant": "PRV",
    "noise_multiplier": 14.669,
    "sampling_rate": 1.0,
    "steps": 200,
    "unsafe_noise_seed": None,
    "statement": ["Covers every row.", "Does not cover the evidence."],
}


def write_tiny_bundle(path: Path, contract: DataContract, privacy: Mapping[str, Any] | None):
    files = ["contract.yaml", "settings.json", "weights.safetensors"]
    shows: dict[str, tuple[str, float | str]] = dict.fromkeys(files, ("declarations", 0))
    if privacy is not None:
        shows["privacy.json"] = ("declarations", 0)
    return write_bundle(
        path,
        BundleContents(
            solution={
                "name": contract.solution,
                "distribution": "acme-tiny",
                "version": "1.0",
                "state_version": 1,
                "summary": "A tiny solution",
                "domain": "credit",
                "intended_use": "Tests",
                "not_for": "Anything else",
                "offers": [],
            },
            contract=contract,
            state=State(tensors={"w": np.zeros(1, dtype=np.float32)}, settings={}),
            settings={"state": {}},
            shows=shows,
            split={"seed": 0, "rows": {"train": 900, "test": 600}},
            training={"epochs": 3},
            privacy=privacy,
        ),
        trained_at="2026-01-31T12:00:00+00:00",
    )


@pytest.fixture
def credit(tmp_path: Path) -> Callable[..., Case]:
    """Return a function that writes a bundle with its evidence; arguments change either."""

    def make(
        *,
        scores: Table | None = None,
        tables: Mapping[str, Table] | None = None,
        counts: Mapping[str, Any] | None = None,
        privacy: Mapping[str, Any] | None = PROMISE,
        contract: DataContract | None = None,
        info: Mapping[str, Any] | None = None,
        name: str = "bundle",
    ) -> Case:
        contract = contract or credit_contract()
        scores = credit_scores() if scores is None else scores
        ref = write_tiny_bundle(tmp_path / name, contract, privacy)
        said = replace(credit_info(contract, scores, ref.digest), **(info or {}))
        made = model_tables(np.random.default_rng(1)) if tables is None else dict(tables)
        made = {"scores": scores, **made}
        path = tmp_path / f"{name}.evidence"
        if counts is not None:
            write_evidence(tmp_path / "whole", said, made)
            counted = to_counts(open_evidence(tmp_path / "whole"), **counts)
            said, made = counted.info, dict(counted.tables)
        write_evidence(path, said, made)
        return Case(bundle_path=tmp_path / name, evidence_path=path)

    return make
