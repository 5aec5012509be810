"""The draft of a contract for images: findings, strata, and a pipeline to correct."""

from __future__ import annotations

import numpy as np

from verticals.contract import draft_contract, parse_contract, unreviewed
from verticals.table import Table
from verticals_medical_imaging.draft import refine
from verticals_medical_imaging.reading import spec_of

DRAWS = np.random.default_rng(2)


def drafted(ending="png", **more):
    rows = 200
    raw = Table(
        {
            "file": np.array([f"p/{n}.{ending}" for n in range(rows)], dtype=object),
            "pat": np.array([f"P{n // 2}" for n in range(rows)], dtype=object),
            "sex": DRAWS.choice(["F", "M"], rows).astype(object),
            "view": DRAWS.choice(["PA", "AP"], rows).astype(object),
            "nodule": DRAWS.integers(0, 2, rows),
            **more,
        }
    )
    kinds = {"binary", "categorical"}
    draft = draft_contract(raw, solution="medical-imaging", refine=refine, target_kinds=kinds)
    return parse_contract(draft.text), " | ".join(draft.findings)


def test_findings_patients_and_strata_are_proposed():
    contract, said = drafted(portable=DRAWS.integers(0, 2, 200), effusion=DRAWS.integers(0, 2, 200))
    assert [item.name for item in contract.targets] == ["nodule", "effusion"]
    assert contract.group == "pat"
    roles = {item.name: item.role for item in contract.fields}
    assert (roles["view"], roles["portable"], roles["sex"]) == ("stratum", "stratum", "protected")
    assert [item.name for item in contract.inputs] == ["file"]
    assert "'nodule' is taken as the target: '1' is positive (" in said


def test_the_pipeline_is_declared_and_marked():
    contract, said = drafted()
    image = contract.field("file")
    assert (image.size, image.bounds) == ((224, 224), (0.0, 255.0))
    assert spec_of(image).resize == "fit"
    assert {"file.size", "file.bounds"} <= set(unreviewed(contract))
    assert "no image was opened" in said
    assert drafted("dcm")[0].field("file").bounds == (0.0, 4095.0)


def test_one_finding_gets_a_decision_and_a_missing_patient_a_word():
    contract, said = drafted(pat=np.arange(200) / 7)
    assert contract.decision.target == "nodule"
    assert "no column names the patient" in said
