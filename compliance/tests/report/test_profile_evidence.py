"""Clauses: what a record holds for them, what is open, and whether they speak of the model."""

from __future__ import annotations

import pytest

from verticals_compliance.report import build, read_profile
from verticals_compliance.report.held import domain_checks, held
from verticals_compliance.report.profiles import SECTIONS, parse_profile
from verticals_compliance.report.tree import Note, Table, walk

HOUSE = """
name = "house"
title = "House rules"
regulation = "Rules of the house"
version = "3 of 2026"
as_of = 2026-01-02
scope = "Everybody here."
[[clauses]]
id = "one"
reference = "1"
title = "First"
asks = "Ask."
answered_by = ANSWERED
checks = CHECKS
person = "Who?"
"""
CLAUSES = [
    *["annex-iii-5b", "annex-iii-5b-fraud", "annex-iii-3", "art-6-1-devices", "annex-iii-5ad"],
    "art-6-3",
]


def house(*answered, checks=()):
    text = HOUSE.replace("ANSWERED", str(list(answered))).replace("CHECKS", str(list(checks)))
    return parse_profile(text, source="house")


def of(audit, details, solution, domain):
    audit["bundle"]["solution"] = details["solution"]["name"] = solution
    details["solution"]["domain"] = domain


def check(name, attribute="", group="", estimate=0.1):
    return {
        "check": name,
        "output": "",
        "attribute": attribute,
        "group": group,
        "subject": "item 3",
        "n": 2000,
        "estimate": estimate,
        "lower": None,
        "upper": None,
        "method": "Mantel–Haenszel",
        "origin": "recomputed",
    }


def section_of(document, name):
    return next(part for part in document.sections if part.id == f"profile-{name}")


def table_of(section):
    return next(block for block in section.blocks if isinstance(block, Table))


def told(record, profile):
    """Return the evidence and what is open of the first clause, as text."""
    row = table_of(section_of(build(record, [profile]), profile.name)).rows[0]
    text = "".join(span.text for span in row.cells[1].spans)
    evidence, _, still = text.partition("Open here: ")
    return evidence.partition("Evidence here: ")[2], still


def rows_of(record, name):
    rows = table_of(section_of(build(record, [read_profile(name)]), name)).rows
    clauses = {row.cells[0].spans[0].text: row.cells[1].spans for row in rows}
    return {reference: "".join(span.text for span in spans) for reference, spans in clauses.items()}


class TestWhatARecordHolds:
    def test_a_full_record_holds_every_section_but_the_questions(self, record):
        assert held(record) == SECTIONS - {"judgement", "maps", "plots"}

    @pytest.mark.parametrize(
        ("gone", "part", "value"),
        [
            ("summary", "findings", []),
            ("findings", "findings", []),
            ("performance", "performance", []),
            ("fairness", "fairness", []),
            ("checks", "checks", []),
        ],
    )
    def test_an_empty_list_of_the_record_is_nothing(
        self, record_of, make_record, gone, part, value
    ):
        audit, details = make_record()
        audit[part] = value
        assert gone not in held(record_of(audit, details))

    @pytest.mark.parametrize(
        ("gone", "part", "value"),
        [
            ("data", "contract", {}),
            ("split", "split", {}),
            ("audited", "groups", []),
            ("outside", "encoding", []),
            ("shift", "distribution", [{"field": "x", "psi": None}]),
            ("training", "training", {}),
            ("privacy", "privacy", {"unsafe_noise_seed": 7}),
            ("files", "files", []),
            ("shapes", "shapes", []),
            ("reasons", "reasons", {"adverse": None, "fields": []}),
            ("oversight", "oversight", {"head": "", "targets": []}),
        ],
    )
    def test_an_empty_part_of_the_details_is_nothing(
        self, record_of, make_record, gone, part, value
    ):
        audit, details = make_record()
        details[part] = value
        assert gone not in held(record_of(audit, details))

    def test_without_epsilon_or_attack_there_is_no_evidence_of_privacy(
        self, record_of, make_record
    ):
        audit, details = make_record(private=False)
        audit["privacy"]["attack"] = None
        assert not {"privacy", "attack"} & held(record_of(audit, details))

    def test_what_could_not_be_measured_is_nothing(self, record_of, make_record):
        audit, details = make_record()
        for item in (*audit["performance"], *audit["checks"]):
            item["estimate"] = None
        for item in audit["fairness"]:
            item["disparity"]["estimate"] = None
            for group in item["groups"]:
                group["estimate"] = None
        for item in audit["findings"]:
            item["status"] = "not-measurable"
        lost = {"performance", "checks", "fairness", "findings"}
        assert not lost & held(record_of(audit, details))

    def test_attributions_that_add_up_but_name_no_field_explain_nothing(
        self, record_of, make_record
    ):
        audit, details = make_record()
        audit["explanations"][0]["global"] = []
        details["shapes"] = []
        assert "explanations" not in held(record_of(audit, details))

    def test_a_declared_use_is_held_by_either_half(self, record_of, make_record):
        audit, details = make_record()
        details["solution"]["intended_use"] = ""
        assert "purpose" in held(record_of(audit, details))
        details["solution"]["not_for"] = ""
        assert "purpose" not in held(record_of(audit, details))


class TestEvidence:
    def test_a_section_that_holds_nothing_is_open_and_no_evidence(self, record_of, make_record):
        audit, details = make_record()
        audit["fairness"], audit["findings"] = [], []
        evidence, still = told(record_of(audit, details), house("data", "fairness"))
        assert evidence == "3. Data."
        assert still == "the record holds no comparison of groups by outcome or decision."

    def test_a_clause_without_evidence_says_so(self, record_of, make_record):
        audit, details = make_record()
        audit["checks"], audit["findings"] = [], []
        evidence, still = told(record_of(audit, details), house("checks"))
        assert (evidence, still) == ("none in this record.", "")

    def test_questions_for_a_person_are_open_and_no_evidence(self, record):
        evidence, still = told(record, house("judgement"))
        assert evidence == "none in this record."
        assert still == "12. What a person must still judge."

    def test_findings_that_did_not_pass_are_open(self, record):
        evidence, still = told(record, house("findings"))
        assert evidence == "10. Findings."
        assert still == (
            "1 finding fails; 4 findings are inconclusive; 1 finding could not be measured."
        )

    def test_findings_on_other_things_are_not_counted(self, record_of, make_record):
        audit, details = make_record()
        for rule in details["policy"]["rules"]:
            rule["section"] = "privacy"
        record = record_of(audit, details)
        assert "finding" not in told(record, house("performance"))[1]
        assert "1 finding fails" in told(record, house("privacy"))[1]

    def test_comparisons_with_too_little_evidence_are_open(self, record_of, make_record):
        audit, details = make_record()
        audit["findings"] = []
        for at, item in enumerate(audit["fairness"]):
            item["verdict"] = "no-material-gap" if at else "insufficient-evidence"
        still = told(record_of(audit, details), house("fairness"))[1]
        assert still == "1 comparison of groups with too little evidence."


class TestChecksOfTheDomain:
    @pytest.fixture
    def items(self, record_of, make_record):
        """A test of abilities: no comparison of groups, no explanation, but DIF by sex."""
        audit, details = make_record()
        of(audit, details, "item-response", "education")
        audit["fairness"], audit["explanations"], audit["findings"] = [], [], []
        details["shapes"], details["reasons"] = [], {"adverse": None, "fields": []}
        details["oversight"] = None
        audit["checks"] = [
            check("items.fit"),
            check("items.dif_lost", "sex", "male", estimate=None),
            *(check(f"items.dif_{name}", "sex", "male") for name in "abcde"),
            check("items.psi_score"),
        ]
        details["policy"]["rules"] = [
            {"id": "no-dif", "section": "checks", "metric": "items.dif_c", "title": "No DIF"}
        ]
        return audit, details

    def test_those_that_a_rule_limits_come_first(self, record_of, items):
        found = domain_checks(record_of(*items))
        assert [item.name for item in found[:2]] == ["items.dif_c", "items.fit"]
        assert "items.dif_lost" not in {item.name for item in found}
        assert (found[0].attributes, found[1].attributes) == (("sex",), ())

    def test_those_that_compare_groups_are_cited_with_the_attribute(self, record_of, items):
        evidence, still = told(record_of(*items), house("fairness", "group-checks"))
        assert evidence == ("checks of the domain by Sex (Dif c, Dif a, Dif b, Dif d and 1 more).")
        assert still == "the record holds no comparison of groups by outcome or decision."

    def test_a_pattern_names_checks(self, record_of, items):
        assert told(record_of(*items), house(checks=["*.psi_*"]))[0] == "checks (PSI score)."

    def test_each_link_leads_to_the_part_of_that_name(self, record_of, items):
        document = build(record_of(*items), [house("group-checks")])
        parts = {part.id: part.title for part in walk(document.sections)}
        spans = table_of(section_of(document, "house")).rows[0].cells[1].spans
        links = {span.text: parts[span.link] for span in spans if span.link}
        assert links
        assert all(text == title for text, title in links.items())

    def test_their_findings_are_open(self, record_of, items):
        audit, details = items
        audit["findings"] = [
            {
                "rule": "no-dif",
                "required": True,
                "attribute": "sex",
                "value": 2.0,
                "lower": None,
                "upper": None,
                "limit": {"min": None, "max": 0.0},
                "status": "fail",
                "source": "house",
                "evidence": "/checks/4",
            }
        ]
        record = record_of(audit, details)
        assert told(record, house("group-checks"))[1] == "1 finding fails."
        assert told(record, house(checks=["*.psi_*"]))[1] == ""

    def test_articles_on_bias_and_explanation_cite_what_there_is(self, record_of, items):
        act = rows_of(record_of(*items), "eu-ai-act")
        for reference in ("Art. 10(2)(f)", "Art. 27"):
            evidence, _, still = act[reference].partition("Open here: ")
            assert "checks of the domain by Sex" in evidence
            assert "Fairness" not in evidence
            assert "no comparison of groups" in still
        assert "Evidence here: none in this record." in act["Art. 86"]
        assert "no explanation of the model and no reasons of decisions" in act["Art. 86"]
        assert "Evidence here: none in this record." in act["Art. 12"]
        rules = rows_of(record_of(*items), "gdpr")
        assert "Explanations" not in rules["Art. 13(2)(f), 14(2)(g), 15(1)(h)"]
        assert "checks of the domain by Sex" in rules["Art. 35"]


@pytest.mark.parametrize("name", ["eu-ai-act", "gdpr", "us-ecoa", "us-model-risk"])
def test_no_profile_counts_questions_as_evidence(record, name):
    for text in rows_of(record, name).values():
        assert "What a person must still judge" not in text.partition("Open here: ")[0]


class TestWhomAProfileSpeaksOf:
    @pytest.mark.parametrize(
        ("solution", "domain", "expected", "said"),
        [
            ("credit-scoring", "finance", "annex-iii-5b", "creditworthiness"),
            ("acme-loans", "finance", "annex-iii-5b", "creditworthiness"),
            ("fraud-detection", "finance", "annex-iii-5b-fraud", "excepts AI systems used for"),
            ("fraud-novelty", "finance", "annex-iii-5b-fraud", "excepts AI systems used for"),
            ("item-response", "education", "annex-iii-3", "evaluation of learning outcomes"),
            ("medical-imaging", "healthcare", "art-6-1-devices", "(EU) 2017/745"),
            ("acme-churn", "energy", "art-6-3", "Article 6(2)"),
        ],
    )
    def test_the_ai_act_begins_with_the_point_for_the_domain(
        self, record_of, make_record, solution, domain, expected, said
    ):
        audit, details = make_record()
        of(audit, details, solution, domain)
        profile = read_profile("eu-ai-act")
        section = section_of(build(record_of(audit, details), [profile]), "eu-ai-act")
        first = next(clause for clause in profile.clauses if clause.id == expected)
        references = [row.cells[0].spans[0].text for row in table_of(section).rows]
        assert references[0] == first.reference
        scope = " ".join(span.text for b in section.blocks[:3] for span in getattr(b, "spans", ()))
        assert said in scope
        others = {c.reference for c in profile.clauses if c.id in CLAUSES} - {first.reference}
        assert len(others & set(references)) <= 2  # of devices also point 5(d); exceptions

    def test_clauses_that_are_left_out_are_counted(self, record):
        section = section_of(build(record, [read_profile("eu-ai-act")]), "eu-ai-act")
        note = next(block for block in section.blocks if isinstance(block, Note))
        lines = ["".join(span.text for span in item) for item in note.blocks[0].items]
        assert any(line.startswith("4 clauses of the profile, on other domains") for line in lines)

    @pytest.mark.parametrize(
        ("name", "solution", "domain", "said"),
        [
            ("us-ecoa", "medical-imaging", "healthcare", "names the domain “healthcare”"),
            ("us-ecoa", "student-risk", "education", "names the domain “education”"),
            ("us-model-risk", "medical-imaging", "healthcare", "names the domain “healthcare”"),
            ("eu-ai-act", "acme-churn", "energy", "names the domain “energy”"),
            ("eu-ai-act", "acme-churn", "", "names no domain"),
        ],
    )
    def test_a_profile_that_does_not_fit_says_so_first(
        self, record_of, make_record, name, solution, domain, said
    ):
        audit, details = make_record()
        of(audit, details, solution, domain)
        section = section_of(build(record_of(audit, details), [read_profile(name)]), name)
        note = section.blocks[0]
        assert isinstance(note, Note)
        assert note.title == "This profile may not fit"
        text = "".join(span.text for span in note.blocks[0].spans)
        assert said in text
        assert f"(solution {solution})" in text

    @pytest.mark.parametrize(
        ("name", "solution", "domain"),
        [
            ("us-ecoa", "credit-scoring", "finance"),
            ("us-model-risk", "fraud-detection", "finance"),
            ("eu-ai-act", "medical-imaging", "healthcare"),
            ("gdpr", "acme-churn", "energy"),
            ("gdpr", "acme-churn", ""),
        ],
    )
    def test_a_profile_that_fits_begins_with_its_scope(
        self, record_of, make_record, name, solution, domain
    ):
        audit, details = make_record()
        of(audit, details, solution, domain)
        section = section_of(build(record_of(audit, details), [read_profile(name)]), name)
        assert section.blocks[0].spans[0].text == read_profile(name).scope

    def test_regulation_b_says_what_it_has_to_do_with_fraud(self, record_of, make_record):
        audit, details = make_record()
        of(audit, details, "fraud-detection", "finance")
        section = section_of(build(record_of(audit, details), [read_profile("us-ecoa")]), "us-ecoa")
        assert "12 CFR 1002.2(m)" in section.blocks[1].spans[0].text
