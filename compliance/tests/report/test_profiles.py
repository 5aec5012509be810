"""Profiles: complete, dated, and without a conclusion."""

from __future__ import annotations

import datetime
import re

import pytest

from verticals.errors import AuditError
from verticals_compliance.report import build, profile_names, read_profile
from verticals_compliance.report.profiles import SECTIONS, parse_profile
from verticals_compliance.report.tree import walk

GOOD = """
name = "house"
title = "House rules"
regulation = "Rules of the house"
version = "3"
as_of = 2026-01-02
scope = "Everybody here."
notes = ["Read them."]
[[clauses]]
id = "one"
reference = "1"
title = "First"
asks = "Ask."
answered_by = ["fairness"]
person = "Who?"
"""


def test_the_profiles_that_come_with_the_package():
    assert profile_names() == ("eu-ai-act", "gdpr", "us-ecoa")


@pytest.mark.parametrize("name", profile_names())
def test_each_profile_is_complete_and_dated(name):
    profile = read_profile(name)
    assert profile.name == name
    assert datetime.date.fromisoformat(profile.as_of) > datetime.date(2026, 1, 1)
    assert re.search(r"\d{4}", profile.version)
    assert profile.notes
    for clause in profile.clauses:
        assert clause.person.endswith((".", "?"))
        assert set(clause.answered_by) <= SECTIONS


@pytest.mark.parametrize(
    ("name", "references"),
    [
        ("eu-ai-act", "9 10(2)(f) 10(2)(g) 10(5) 11 12 13 14 15 26 27 86 5(b)"),
        ("gdpr", "5(1)(c) 5(1)(d) 15(1)(h) 22 25 32 35"),
        ("us-ecoa", "1002.4 1002.6 1002.9"),
    ],
)
def test_each_profile_holds_the_clauses_that_matter(name, references):
    cited = " ".join(clause.reference for clause in read_profile(name).clauses)
    for reference in references.split():
        assert re.search(rf"(?<![\d.]){re.escape(reference)}(?!\d)", cited), reference


def test_the_employment_yardstick_is_called_one():
    notes = " ".join(read_profile("us-ecoa").notes)
    assert "employment law" in notes
    assert "no credit regulation adopts it" in notes


def test_every_section_that_a_clause_may_name_exists_in_a_full_report(document):
    assert {section.id for section in walk(document.sections)} >= SECTIONS


def test_a_profile_becomes_a_numbered_section_with_links(record, document):
    titles = [section.title for section in document.sections]
    assert titles[12:] == [
        "13. Clauses: EU AI Act",
        "14. Clauses: GDPR",
        "15. Clauses: US ECOA, Regulation B",
        "16. Digests, and how to recompute",
    ]
    bare = [section.title for section in build(record).sections]
    assert bare[-1] == "13. Digests, and how to recompute"


def test_a_clause_without_evidence_in_the_record_says_so(record_of, make_record):
    audit, details = make_record()
    audit["checks"], details["checks"] = [], []
    text = GOOD.replace('["fairness"]', '["checks"]')
    document = build(record_of(audit, details), [parse_profile(text, source="x")])
    section = next(s for s in walk(document.sections) if s.id == "profile-house")
    spans = section.blocks[-1].rows[0].cells[1].spans
    assert spans[-1].text == "Evidence here: none in this record."


def test_a_profile_of_ones_own_is_read_from_a_file(tmp_path):
    path = tmp_path / "house.toml"
    path.write_text(GOOD)
    profile = read_profile(str(path))
    assert (profile.title, profile.as_of) == ("House rules", "2026-01-02")
    assert profile.clauses[0].answered_by == ("fairness",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "house"', 'name = "a b"', "name 'a b', expected"),
        ('version = "3"', "", "version is None, expected text"),
        ('version = "3"', "version = 3", "version is 3, expected text"),
        ('["fairness"]', '["fairnes"]', "section 'fairnes' is not known"),
        ('person = "Who?"', "", "clause 1: person is None"),
        ("[[clauses]]", "[clauses]", "no clauses, expected at least one"),
        ("name =", "name", "is no TOML"),
        ('"First"', '""', "title is '', expected text"),
    ],
)
def test_what_is_no_profile_is_refused(old, new, message):
    with pytest.raises(AuditError, match=message):
        parse_profile(GOOD.replace(old, new, 1), source="house.toml")


def test_a_clause_may_not_stand_twice():
    clause = GOOD[GOOD.index("[[clauses]]") :]
    with pytest.raises(AuditError, match="clause id 'one' stands twice"):
        parse_profile(GOOD + clause, source="house.toml")


@pytest.mark.parametrize("name", ["eu", "missing.toml", "../eu-ai-act"])
def test_an_unknown_profile_lists_the_known_ones(name):
    with pytest.raises(AuditError) as caught:
        read_profile(name)
    assert "eu-ai-act | gdpr | us-ecoa" in caught.value.hint
