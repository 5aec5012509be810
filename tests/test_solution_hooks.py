"""What a solution may say of contract, rows and split, on tiny verticals, to the scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import verticals
from verticals.evidence import open_evidence
from verticals.table import Table

HERE = Path(__file__).parent / "solutions"


def early_only(contract, options):
    """Take the grade out of what the model reads, as an option might ask."""
    fields = tuple(
        dataclasses.replace(item, role="ignore") if item.name == "grade" else item
        for item in contract.fields
    )
    return dataclasses.replace(contract, fields=fields), ("grade is not known yet",)


def rich(table, contract):
    """Leave rows with an income above 9 out."""
    return np.nan_to_num(table["income"]) > 9, "their income is above 9"


@pytest.fixture
def changed(monkeypatch):
    """Return a function that gives a tiny solution some hooks for one test."""
    monkeypatch.syspath_prepend(str(HERE))

    def change(module, **hooks):
        import importlib

        solution = importlib.import_module(f"tiny_solutions.{module}")
        monkeypatch.setattr(solution, "SOLUTION", dataclasses.replace(solution.SOLUTION, **hooks))
        return solution

    return change


def notes_of(out):
    return list(open_evidence(f"{out}.evidence").tables["split"]["note"])


def test_options_may_narrow_what_a_model_reads_and_scoring_does_not_ask_for_it(changed, tmp_path):
    solution = changed("table", contract_for=early_only)
    out = tmp_path / "bundle"
    verticals.train("tiny-table", out=out, no_privacy=True)
    scorer = verticals.open(out)
    assert [item.name for item in scorer.bundle.contract.inputs] == ["income", "colour"]
    assert "grade is not known yet" in notes_of(out)
    scored = scorer.predict(solution.demo()[1].without(["grade", "default"]))
    assert np.isfinite(scored["score"]).all()


def test_rows_that_are_left_out_are_neither_trained_on_nor_scored(changed, tmp_path):
    solution = changed("table", left_out=rich)
    out = tmp_path / "bundle"
    verticals.train("tiny-table", out=out, no_privacy=True)
    table = solution.demo()[1]
    above = np.nan_to_num(table["income"]) > 9
    note = f"{above.sum()} of 900 rows are neither trained on nor scored: their income is above 9"
    assert note in notes_of(out)
    scorer = verticals.open(out)
    assert sum(scorer.bundle.manifest.split["rows"].values()) == 900 - above.sum()
    scored = scorer.predict(table, reasons=1)
    assert (np.isnan(scored["score"]) == above).all()
    assert all(value is None for value in scored["decision"][above])
    assert not any(value is None for value in scored["decision"][~above])
    assert not any(scored["reason_1"][above])
    explained = scorer.explain(table)
    assert len(set(explained["id"])) == 900 - above.sum()
    measured = tmp_path / "measured"
    scorer.evidence(table, out=measured)
    assert open_evidence(measured).info.rows == 900 - above.sum()
    assert note in list(open_evidence(measured).tables["split"]["note"])


def test_a_solution_may_split_by_whole_groups_although_there_is_a_time(changed, tmp_path):
    changed("stream", split_by="group")
    out = tmp_path / "bundle"
    verticals.train("tiny-stream", out=out, no_privacy=True)
    assert verticals.open(out).bundle.manifest.split["by"] == "group, although there is a time"


def test_a_split_by_groups_puts_nobody_in_two_parts(changed, monkeypatch, tmp_path):
    solution = changed("stream", split_by="group")
    seen = {}

    def evidence(model, parts):
        seen.update({name: {str(card) for card in part["@group"]} for name, part in parts.items()})
        return {"tiny.none": Table({"n": np.array([0])})}

    hooked = dataclasses.replace(solution.SOLUTION, evidence=evidence)
    monkeypatch.setattr(solution, "SOLUTION", hooked)
    verticals.train("tiny-stream", out=tmp_path / "bundle", no_privacy=True)
    assert seen["train"]
    assert not seen["train"] & seen["test"]
