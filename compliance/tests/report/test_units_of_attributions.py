"""Attributions are told in log-odds, and of a number in its own unit."""

from __future__ import annotations

from verticals_compliance.report import build


def _words(document) -> str:
    return repr(document)


def test_a_probability_is_explained_in_log_odds(record_of, make_record):
    audit, details = make_record()
    told = _words(build(record_of(audit, details)))
    assert "up or down, in log-odds, against" in told
    assert "units of" not in told


def test_a_number_is_explained_in_its_own_unit(record_of, make_record):
    audit, details = make_record()
    for item in details["outputs"]:
        item["target_kind"] = "numeric"
    for target in details["contract"]["targets"]:
        target["label"] = "Claim"
    told = _words(build(record_of(audit, details)))
    assert "up or down, in units of Claim, against" in told
    assert "of the model's raw score" in told
    assert "log-odds" not in told.replace("0.01 log-odds", "")
