"""The report says whether ε was recomputed, and warns where the record contradicts itself."""

from __future__ import annotations

import dataclasses

import pytest

from verticals_compliance.report import build

FOUND = {
    "status": "confirmed",
    "reason": "",
    "total": 3.0,
    "stated": 3.0,
    "lower": 2.9871,
    "upper": 2.9894,
    "other": None,
    "method": "closed form",
}


def words(node) -> str:
    """Return all text of a document, in order."""
    if isinstance(node, str):
        return node
    if dataclasses.is_dataclass(node):
        return words([getattr(node, item.name) for item in dataclasses.fields(node)])
    return "".join(map(words, node)) if isinstance(node, list | tuple) else ""


def _told(record_of, make_record, accounting) -> str:
    audit, details = make_record()
    if accounting is not None:
        details["accounting"] = {**FOUND, **accounting}
    return words(build(record_of(audit, details)))


def test_bounds_are_printed_where_epsilon_was_recomputed(record_of, make_record) -> None:
    told = _told(record_of, make_record, {})
    assert "recomputed from noise, rate and steps" in told
    assert "between 2.9871 and 2.9894" in told
    assert "as recorded, not recomputed" not in told
    assert "contradicts itself" not in told


@pytest.mark.parametrize("accounting", [None, {"status": "as recorded", "lower": None}])
def test_what_was_not_recomputed_is_as_recorded(record_of, make_record, accounting) -> None:
    told = _told(record_of, make_record, accounting)
    assert "ε is as recorded, not recomputed" in told
    assert "between 2.9871" not in told


def test_a_part_beside_training_is_said_to_be_as_recorded(record_of, make_record) -> None:
    assert "What was bought beside training" in _told(record_of, make_record, {"other": 3.0})


def test_a_contradiction_is_a_warning_and_no_plain_promise(record_of, make_record) -> None:
    why = "the bundle states ε = 3, but its noise spends at least ε = 142.79"
    change = {"status": "contradicts", "reason": why, "lower": 142.79, "upper": "infinite"}
    told = _told(record_of, make_record, change)
    assert "The record of privacy contradicts itself" in told
    assert "but its noise spends at least ε = 142.79" in told
    assert "The model was trained under differential privacy" not in told
    assert "trained under differential privacy with" not in told  # nor in the summary
    assert "at least 142.79" in told
