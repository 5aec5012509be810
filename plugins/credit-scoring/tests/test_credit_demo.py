"""The demo: a contract that a lender could defend, and a model worth auditing."""

from __future__ import annotations

import numpy as np
import pytest

import verticals
from verticals.contract import bind, resolve, unreviewed
from verticals.evidence import open_evidence
from verticals.metrics import roc_auc
from verticals_credit_scoring.demo import demo

# Known only after the decision, or decided by somebody else on the way to it.
LEAKS = {"action", "approve", "reject", "typur", "inson", "review"}


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    out = tmp_path_factory.mktemp("credit") / "model"
    return verticals.train("credit-scoring", out=out, epsilon=3.0)


def test_the_data_are_the_whole_study():
    contract, raw = demo()
    assert raw.rows == 1989
    counts = dict(zip(*np.unique(raw["race"].astype(str), return_counts=True), strict=True))
    assert counts == {"white": 1681, "black": 197, "hispanic": 111}
    bound = bind(resolve(contract, list(raw)), raw).table
    assert bound["denied"].sum() == 244


def test_no_protected_column_and_no_leak_is_a_feature():
    contract, _ = demo()
    used = {item.column for item in contract.inputs}
    assert not used & LEAKS
    assert not used & {item.column for item in contract.audited}
    assert not any(item.also_feature for item in contract.fields)


def test_every_field_has_a_label_and_every_bound_a_reason():
    contract, _ = demo()
    assert not unreviewed(contract)
    for item in contract.fields:
        assert item.label, item.name
        if item.kind == "numeric":
            assert item.reason, item.name


def test_the_private_model_ranks_well(private):
    scores = open_evidence(private.evidence).tables["scores"]
    assert private.privacy["epsilon"] <= 3.0
    assert 900 < scores.rows < 1100  # about half is held out
    assert roc_auc(scores["target:denied"], scores["score"]) > 0.78


def test_every_decline_has_reasons_and_no_approval_has(private):
    _, raw = demo()
    scored = verticals.open(private.bundle).predict(raw, reasons=4)
    declined = scored["decision"] == "1"
    given = np.array([text is not None for text in scored["reason_1"]])
    assert declined.sum() > 50
    assert (given == declined).all()


def test_declared_directions_hold_on_a_grid(private):
    contract, raw = demo()
    scorer = verticals.open(private.bundle)
    one = raw.take(slice(0, 1))
    for name, column in (("debt_ratio", "obrat"), ("loan_to_price", "loanprc")):
        item = contract.field(name)
        grid = np.linspace(item.bounds[0] - 5, item.bounds[1] + 5, 200)
        rows = one.take(np.zeros(len(grid), dtype=int)).with_columns({column: grid})
        assert (np.diff(scorer.predict(rows)["score"]) >= -1e-9).all(), name


def test_the_other_network_trains_and_explains(tmp_path):
    contract, raw = demo()
    result = verticals.train(
        "credit-scoring",
        out=tmp_path / "model",
        contract=contract,
        data=raw.take(slice(0, 400)),
        no_privacy=True,
        options={"network": "residual", "epochs": 5},
    )
    additivity = open_evidence(result.evidence).tables["additivity"]
    assert "sampled" in additivity["method"][0]
    assert additivity["standard_error"][0] > 0
