"""A small bundle to write, open and damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verticals.bundle import BundleContents, write_bundle
from verticals.contract import DataContract, Decision, Field, Target
from verticals.plugin import State
from verticals.strictjson import canonical_json, readable_json, sha256

TRAINED_AT = "2026-01-31T12:00:00+00:00"

CONTRACT = DataContract(
    solution="churn",
    name="shop",
    fields=(
        Field(name="visits", column="visits", kind="numeric", bounds=(0.0, 50.0)),
        Field(
            name="sex",
            column="sex",
            kind="categorical",
            role="protected",
            categories=("1", "2"),
            category_labels=("male", "female"),
        ),
    ),
    targets=(Target(name="left", column="left", kind="binary", positive="1", favourable="0"),),
    decision=Decision(target="left", cut=0.5),
)


def make_contents(**changes: Any) -> BundleContents:
    state = State(
        tensors={
            "hidden.weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
            "hidden.bias": np.zeros(3, np.float32),
            "scale": np.array(2.5),
            "codes": np.arange(5, dtype=np.int64),
            "used": np.array([True, False]),
            "empty": np.zeros((0, 7), np.float16),
        },
        settings={"width": 3},
    )
    values: dict[str, Any] = {
        "solution": {
            "name": "churn",
            "distribution": "acme-churn",
            "version": "0.2.0",
            "state_version": 3,
            "summary": "who leaves",
            "domain": "retail",
            "intended_use": "letters",
            "not_for": "prices",
            "offers": ["private"],
        },
        "contract": CONTRACT,
        "state": state,
        "settings": {"options": {"rate": 0.1}, "finish": {"cut": 0.5}, "seed": 0},
        "shows": {
            "contract.yaml": ("declarations", 0),
            "settings.json": ("declarations", 0),
            "weights.safetensors": ("training rows", 3.0),
            "privacy.json": ("declarations", 0),
        },
        "outputs": [{"name": "score", "kind": "probability", "target": "left", "value": "1"}],
        "split": {"seed": 0, "rows": {"train": 60, "test": 40}},
        "training": {"epochs": 3},
        "privacy": {"epsilon": 3.0, "delta": 1e-5},
    }
    return BundleContents(**{**values, **changes})


@pytest.fixture
def contents() -> Callable[..., BundleContents]:
    return make_contents


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    write_bundle(path, make_contents(), trained_at=TRAINED_AT)
    return path


def seal(path: Path, edit: Callable[[dict[str, Any]], None] = lambda manifest: None) -> None:
    """Make the manifest of a changed bundle true again, as an attacker without a key can."""
    manifest = json.loads((path / "bundle.json").read_bytes())
    for name, entry in manifest["files"].items():
        if (path / name).is_file():
            data = (path / name).read_bytes()
            entry["sha256"], entry["size"] = sha256(data), len(data)
    edit(manifest)
    covered = {k: v for k, v in manifest.items() if k not in ("digest", "trained_at")}
    manifest["digest"] = sha256(canonical_json(covered))
    (path / "bundle.json").write_bytes(readable_json(manifest))


@pytest.fixture
def sealed() -> Callable[..., None]:
    return seal
