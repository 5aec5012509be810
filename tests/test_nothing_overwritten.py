"""What a call cannot finish is refused before it begins, and nothing is written over its input."""

from __future__ import annotations

import numpy as np
import pytest

import verticals
from verticals.api.vertical import load_vertical
from verticals.cli.main import run
from verticals.data import read_table
from verticals.errors import CallError

pytestmark = pytest.mark.usefixtures("tiny_solutions")


def refused(capsys, *arguments):
    capsys.readouterr()
    assert run([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_scores_are_not_written_over_their_data(capsys, made, command):
    data = made / "data.csv"
    before = data.read_bytes()
    said = refused(capsys, command, made / "model", "--data", data, "--out", data)
    assert "is the data file itself" in said
    assert "data.scored.csv" in said
    assert data.read_bytes() == before


def test_a_report_is_not_written_over_the_record_of_its_audit(capsys, made, tmp_path):
    audit = tmp_path / "audit"
    assert run(["audit", str(made / "model"), "--out", str(audit)]) in (0, 1, 3)
    before = (audit / "audit.json").read_bytes()
    said = refused(capsys, "report", audit, "--out", audit / "audit.json")
    assert "is a file of the audit itself" in said
    assert (audit / "audit.json").read_bytes() == before


@pytest.mark.parametrize("what", ["a folder of another kind", "a file", "evidence", "the ledger"])
def test_what_cannot_be_written_is_refused_before_training(capsys, tmp_path, monkeypatch, what):
    out, ledger = tmp_path / "m", tmp_path / "ledger.jsonl"
    if what == "a file":
        out.write_text("mine", encoding="utf-8")
    elif what == "the ledger":
        ledger.mkdir()
    else:
        place = tmp_path / "m.evidence" if what == "evidence" else out
        place.mkdir()
        (place / "important.txt").write_text("mine", encoding="utf-8")

    def never(*_):
        raise AssertionError("it trained")

    monkeypatch.setattr("verticals.api.vertical.Vertical.fitted", never)
    before = sorted(tmp_path.rglob("*"))
    refused(capsys, "train", "tiny-table", "--no-privacy", "--out", out, "--ledger", ledger)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("reasons", [-1, 2.5, True, "x"])
def test_a_wrong_number_of_reasons_takes_no_event(made, reasons):
    online = verticals.open(made / "model").online()
    event = {"key": "k1"} | {
        name: column[0] for name, column in read_table(made / "data.csv").table.items()
    }
    with pytest.raises(CallError, match="expected a whole number from 0 up"):
        online.push(event, reasons=reasons)
    with pytest.raises(CallError, match="expected a mapping"):
        online.push([event])
    assert not np.isnan(online.push(event)["score"])


def test_training_does_not_see_the_rows_that_are_held_out(monkeypatch, tmp_path):
    seen = {}
    solution = load_vertical("tiny-table").solution
    fit = type(solution).fit

    def watched(self, parts, setup):
        seen.update({name: part.rows for name, part in parts.items()})
        return fit(self, parts, setup)

    monkeypatch.setattr(type(solution), "fit", watched)
    result = verticals.train("tiny-table", no_privacy=True, out=tmp_path / "m")
    assert seen["test"] == 0
    assert seen["train"] == result.rows["train"] > 0
    assert result.rows["test"] > 0
