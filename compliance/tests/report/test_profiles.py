"""Profiles: complete, dated, and without a conclusion."""

from __future__ import annotations

import datetime
import re

import pytest

from verticals.errors import AuditError
from verticals_compliance.report import build, profile_names, read_profile
from verticals_compliance.report.profiles import GROUP_CHECKS, SECTIONS, Audience, parse_profile
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
    assert profile_names() == ("eu-ai-act", "gdpr", "us-ecoa", "us-model-risk")


@pytest.mark.parametrize("name", profile_names())
def test_each_profile_is_complete_and_dated(name):
    profile = read_profile(name)
    assert profile.name == name
    assert datetime.date.fromisoformat(profile.as_of) > datetime.date(2026, 1, 1)
    assert re.search(r"\d{4}", profile.version)
    assert profile.notes
    for clause in profile.clauses:
        assert clause.person.endswith((".", "?"))
        assert set(clause.answered_by) <= SECTIONS | {GROUP_CHECKS}


@pytest.mark.parametrize("name", profile_names())
def test_no_profile_says_that_anything_is_met(name):
    profile = read_profile(name)
    texts = [profile.scope, *profile.notes, *(scope.text for scope in profile.scopes)]
    texts += [text for clause in profile.clauses for text in (clause.asks, clause.person)]
    assert not re.search(
        r"\b(?:is|are) (?:met|satisfied|fulfilled)\b|compl(?:y|ies)", " ".join(texts)
    )


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("eu-ai-act", "29 June 2026"),
        ("gdpr", "19 November 2025"),
        ("us-ecoa", "22 April 2026"),
        ("us-model-risk", "17 April 2026"),
    ],
)
def test_amendments_that_nobody_here_read_are_for_counsel_to_check(name, day):
    notes = read_profile(name).notes
    assert any(note.startswith("To be checked by counsel") for note in notes)
    assert day in " ".join(notes)


@pytest.mark.parametrize(
    ("name", "references"),
    [
        (
            "eu-ai-act",
            "6(1) 6(3) 9 10(2)(f) 10(2)(g) 10(5) 11 12 13 14 15 26 27 86 5(b) 5(d) 3(a) "
            "2017/745 2017/746",
        ),
        ("gdpr", "5(1)(a) 5(1)(c) 5(1)(d) 5(2) 6 9 10 15(1)(h) 22 25 32 35"),
        (
            "us-ecoa",
            "1002.4(a) 1002.4(b) 1002.5 1002.6(a) 1002.6(b)(1) 1002.6(b)(8) 1002.6(b)(9) 1002.9(a) "
            "1002.9(b)(2) 1002.12(b)",
        ),
        ("us-model-risk", "2026-13 11-7"),
    ],
)
def test_each_profile_holds_the_clauses_that_matter(name, references):
    cited = " ".join(clause.reference for clause in read_profile(name).clauses)
    for reference in references.split():
        assert re.search(rf"(?<![\d.(]){re.escape(reference)}(?!\d)", cited), reference


def test_regulation_b_keeps_race_and_sex_out_of_any_aspect_of_a_credit_transaction():
    clauses = {clause.id: clause for clause in read_profile("us-ecoa").clauses}
    assert "in any aspect of a credit transaction" in clauses["1002-6-b-9"].asks
    assert "married and unmarried applicants are evaluated by the same standards" in (
        clauses["1002-6-b-8"].asks
    )
    assert "25 months" in clauses["1002-12"].asks
    assert clauses["1002-12"].answered_by == ()  # nothing here shows that a record is kept


def test_performance_is_no_answer_to_the_accuracy_of_personal_data():
    clause = next(c for c in read_profile("gdpr").clauses if c.id == "art-5-1-d")
    assert "performance" not in clause.answered_by
    assert "inferences" in clause.asks


def test_digests_are_no_log_of_use():
    clause = next(c for c in read_profile("eu-ai-act").clauses if c.id == "art-12")
    assert "recompute" not in clause.answered_by


def test_the_employment_yardstick_is_called_one():
    notes = " ".join(read_profile("us-ecoa").notes)
    assert "employment law" in notes
    assert "no credit regulation adopts it" in notes


def test_every_section_that_a_clause_may_name_exists_in_a_full_report(record_of, make_record):
    audit, details = make_record()
    details["maps"] = {
        "x.map": {
            "method": "grad-cam",
            "rows": 1,
            "columns": 1,
            "image": [[0.5]],
            "map": [[1.0]],
            "images": 12,
            "persons": 10,
        }
    }
    details["plots"] = {"x.plot_a": {"figures": [], "left_out": 0}}
    document = build(record_of(audit, details))
    assert {section.id for section in walk(document.sections)} >= SECTIONS


def test_a_profile_becomes_a_numbered_section_with_links(record, document):
    titles = [section.title for section in document.sections]
    assert titles[12:] == [
        "13. Clauses: EU AI Act",
        "14. Clauses: GDPR",
        "15. Clauses: US ECOA, Regulation B",
        "16. Clauses: US guidance on model risk",
        "17. Digests, and how to recompute",
    ]
    bare = [section.title for section in build(record).sections]
    assert bare[-1] == "13. Digests, and how to recompute"


def test_a_profile_of_ones_own_is_read_from_a_file(tmp_path):
    path = tmp_path / "house.toml"
    path.write_text(GOOD)
    profile = read_profile(str(path))
    assert (profile.title, profile.as_of) == ("House rules", "2026-01-02")
    clause = profile.clauses[0]
    assert (clause.answered_by, clause.checks) == (("fairness",), ())
    assert clause.audience == profile.audience == Audience()


def test_a_profile_says_of_which_domains_and_solutions_it_speaks():
    text = GOOD.replace("[[clauses]]", 'domains = ["energy"]\n[[scopes]]\ntext = "x"\n[[clauses]]')
    profile = parse_profile(
        text + 'domains = ["finance"]\nexcept_solutions = ["a"]\nchecks = ["*.psi_*"]\n', source="x"
    )
    assert profile.audience == Audience(domains=("energy",))
    assert [(scope.text, scope.audience) for scope in profile.scopes] == [("x", Audience())]
    assert profile.clauses[0].audience == Audience(domains=("finance",), except_solutions=("a",))
    assert profile.clauses[0].checks == ("*.psi_*",)


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        (Audience(), True),
        (Audience(domains=("finance",)), True),
        (Audience(domains=("education",)), False),
        (Audience(solutions=("credit-scoring",)), True),
        (Audience(solutions=("other",)), False),
        (Audience(domains=("finance",), solutions=("other",)), True),
        (Audience(domains=("education",), solutions=("credit-scoring",)), True),
        (Audience(domains=("finance",), except_solutions=("credit-scoring",)), False),
        (Audience(except_solutions=("credit-scoring",)), False),
        (Audience(except_solutions=("other",)), True),
    ],
)
def test_a_model_belongs_to_an_audience_by_its_domain_or_its_solution(audience, expected):
    assert audience.includes("credit-scoring", "Finance") is expected


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
        ('["Read them."]', '"Read them."', "notes is 'Read them.', expected a list of texts"),
        ('["fairness"]', '"fairness"', "answered_by is 'fairness', expected a list of texts"),
        ('person = "Who?"', 'person = "Who?"\ndomains = "x"', "clause 1: domains is 'x'"),
        ('person = "Who?"', 'person = "Who?"\nchecks = [1]', r"clause 1: checks is \[1\]"),
        ("[[clauses]]", "solutions = [2]\n[[clauses]]", r"house.toml: solutions is \[2\]"),
        ("[[clauses]]", "scopes = 1\n[[clauses]]", "scopes is 1, expected"),
        ("[[clauses]]", "scopes = [1]\n[[clauses]]", "scope 1: expected a table"),
        ("[[clauses]]", "[[scopes]]\n[[clauses]]", "scope 1: text is None"),
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
