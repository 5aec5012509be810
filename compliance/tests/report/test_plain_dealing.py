"""Where a report could say more than the record holds, or say it in a misleading way."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from verticals_compliance.report import build, render
from verticals_compliance.report.tree import Figure, Note, Span, Table, walk

KEYED = "hmac-sha256:" + "cd34" * 16


def every(node, kind):
    if isinstance(node, kind):
        yield node
    if dataclasses.is_dataclass(node):
        for item in dataclasses.fields(node):
            yield from every(getattr(node, item.name), kind)
    elif isinstance(node, tuple):
        for item in node:
            yield from every(item, kind)


def words(node):
    return " ".join("".join(span.text for span in every(node, Span)).split())


@pytest.fixture
def said(record_of, make_record):
    """Return a function that changes a record and gives the text of one section, or the tree."""

    def say(name, change=lambda audit, details: None, *, private=True, tree=False):
        audit, details = make_record(private=private)
        change(audit, details)
        document = build(record_of(audit, details))
        found = next(section for section in walk(document.sections) if section.id == name)
        return found if tree else words(found)

    return say


def split_by(kind, **contract):
    def change(audit, details):
        details["split"]["by"] = kind
        details["contract"].update(contract)

    return change


def test_a_private_split_says_that_no_label_was_read(said):
    told = said("split", split_by("independent"))
    assert "were split by a draw of its own for each row; no label was read (seed 0)" in told
    told = said("split", split_by("independent", group="customer"))
    assert "for each value of “customer”, with all its rows; no label was read" in told


def test_older_bundles_do_not_claim_equal_shares_where_no_outcome_was_read(said):
    assert "were split at random (seed 0)." in said("split", split_by("stratified"))
    bare = split_by("stratified", targets=[], decision=None)
    assert "were split at random (seed 0)." in said("split", bare, private=False)
    told = said("split", split_by("stratified"), private=False)
    assert "each part with the same share of every outcome" in told


def test_the_decision_rule_states_the_cut_that_was_applied_and_the_declared_one(said):
    def fitted(audit, details):
        details["evidence"]["decision"]["cut"] = 0.8264687989420311

    told = said("purpose", fitted)
    assert "is decided where the score is 0.826469 or more" in told
    assert "contract declares another one, 0.3" in told
    assert "where the score is below 0.826469" in told
    same = said("purpose")
    assert "is decided where the score is 0.3 or more." in same
    assert "another one" not in same


def rows_of_the_training(audit, details):
    details["split"]["fingerprint"] = details["evidence"]["fingerprint"] = KEYED
    details["evidence"]["part"] = "audited data"


def test_equal_fingerprints_warn_in_the_summary_and_in_the_data(said):
    for name in ("summary", "split"):
        notes = list(every(said(name, rows_of_the_training, tree=True), Note))
        warned = [note for note in notes if "used in training" in note.title]
        assert len(warned) == 1
        assert warned[0].kind == "warning"
        assert "the very rows that the model was trained from" in words(warned[0])
        assert "497 rows of it trained the model" in words(warned[0])


@pytest.mark.parametrize("trained", ["", "hmac-sha256:" + "ff" * 32])
def test_other_data_are_called_so_without_a_claim_on_training(said, trained):
    def other(audit, details):
        rows_of_the_training(audit, details)
        details["split"]["fingerprint"] = trained
        details["evidence"]["fingerprint"] = KEYED if trained else ""

    told = said("split", other)
    assert "of data given to “verticals evidence”" in told
    assert "Nothing in the record shows whether any of them were used" in told
    assert "the very rows" not in said("summary", other)


def test_the_held_out_part_of_the_same_file_is_no_training_data(said):
    def held_out(audit, details):
        rows_of_the_training(audit, details)
        details["evidence"]["part"] = "test"

    assert "was not used to train" in said("split", held_out)
    assert "the very rows" not in said("summary", held_out)
    assert "the very rows" in said("summary", rows_of_the_training)


def intercept(lower, upper):
    def change(audit, details):
        for item in audit["performance"]:
            if item["metric"] == "calibration_intercept":
                item.update(estimate=(lower + upper) / 2, lower=lower, upper=upper)
        for item, (n, predicted, observed) in zip(
            details["curves"][0]["calibration"], [(100, 0.05, 0.1), (300, 0.1, 0.2)], strict=False
        ):
            item.update(n=n, predicted=predicted, observed=observed)
        del details["curves"][0]["calibration"][2:]

    return change


def test_scores_that_are_too_low_or_too_high_on_average_are_told(said):
    told = said("performance", intercept(0.472, 0.749))
    assert "a probability of 8.8%; it was so in 17.5% of 400 rows" in told
    assert "It lies above 0: the scores are too low on average." in told
    assert "intercept 0.611" in said("summary", intercept(0.472, 0.749))
    told = said("performance", intercept(-0.7, -0.2))
    assert "It lies below 0: the scores are too high on average." in told
    told = said("performance", intercept(-0.2, 0.3))
    assert "on average." not in told
    assert "The interval includes 0, the ideal value." in told
    assert "intercept" not in said("summary", intercept(-0.2, 0.3))


def test_no_mean_is_told_where_a_bin_is_suppressed(said):
    def gap(audit, details):
        details["curves"][0]["calibration"][0]["observed"] = None

    told = said("performance", gap)
    assert "calibration intercept" in told
    assert "it was so in" not in told


def test_checks_on_more_than_the_audited_rows_are_named(said, record_of, make_record):
    def more(audit, details):
        audit["checks"][0]["n"] = 2000

    told = said("checks", more)
    assert "The n of score bands goes up to 2,000, beyond the 994 audited rows" in told
    assert "Some checks rest on more rows than these." in said("summary", more)
    assert "beyond the" not in said("checks")
    assert "rest on more" not in said("summary")
    audit, details = make_record()
    more(audit, details)
    facts = dict(build(record_of(audit, details)).facts)
    assert "some checks rest on more" in facts["Audited"][0].text


def test_a_report_of_rows_is_marked_for_the_house_and_one_of_counts_is_not(
    said, record_of, make_record
):
    assert "verticals evidence BUNDLE --data DATA --out DIR --counts" in said("summary")
    audit, details = make_record()
    assert "in the house" in dict(build(record_of(audit, details)).facts)["Use"][0].text
    audit["evidence"]["form"] = details["evidence"]["form"] = "counts"
    counted = build(record_of(audit, details))
    assert "Use" not in dict(counted.facts)
    assert "--counts" not in words(counted.sections[0])


def test_a_suppressed_count_is_told_apart_from_one_that_cannot_be(said):
    def hide(audit, details):
        details["groups"][0]["favourable_outcomes"] = None

    table = next(every(said("audited", hide, tree=True), Table))
    assert words(table.rows[0].cells[2]) == "suppressed"
    assert [column.label for column in table.columns][2:] == [
        "Favourable outcomes",
        "Favourable decisions",
    ]

    def undeclared(audit, details):
        details["contract"]["targets"][0]["favourable"] = ""
        for group in details["groups"]:
            group["favourable_outcomes"] = group["favourable_decisions"] = None

    table = next(every(said("audited", undeclared, tree=True), Table))
    assert [column.label for column in table.columns] == ["Group", "Rows"]


def test_reasons_are_those_that_the_model_would_state(said):
    section = said("reasons", tree=True)
    assert section.title == "Reasons that the model would state"
    assert "nobody was given them" in words(section)
    assert list(every(section, Figure))


def test_a_single_field_as_the_reason_tells_nothing(said):
    def single(audit, details):
        for field in details["contract"]["fields"]:
            field["is_input"] = field["name"] == "amount"
        kept = [f for f in details["reasons"]["fields"] if f["field"] == "amount"]
        details["reasons"]["fields"] = kept

    section = said("reasons", single, tree=True)
    assert "tells a person nothing" in words(section)
    assert not list(every(section, Figure))


def test_parts_of_a_curve_that_no_training_row_has_are_marked(said):
    def counted(audit, details):
        field = details["shapes"][0]["field"]
        found = next(item for item in details["distribution"] if item["field"] == field)
        found["bins"] = [
            {"label": "low", "train": 9, "audited": 3},
            {"label": "missing", "train": 0, "audited": 1},
        ]

    told = said("shapes", counted)
    assert told.count("missing (in no training row)") == 1
    assert "moved by the noise of private training, and says nothing" in told
    assert "in no training row" not in said("shapes")


def test_curves_are_said_to_come_from_weights_that_data_made(said):
    assert "learned under the promise of privacy" in said("shapes")
    told = said("shapes", private=False)
    assert "learned from the training rows without differential privacy" in told
    assert "anybody" not in told


def test_the_digest_of_the_details_stands_beside_that_of_the_record(record, folder, document):
    digest = hashlib.sha256((folder / "details.json").read_bytes()).hexdigest()
    told = words(next(s for s in walk(document.sections) if s.id == "recompute"))
    assert f"sha256:{digest}" in told
    assert record.details_digest == f"sha256:{digest}"


def test_the_time_of_training_is_called_unsigned_without_a_signature(record_of, make_record):
    audit, details = make_record()
    assert "unsigned" in dict(build(record_of(audit, details)).facts)["Trained"][0].text
    details["bundle"]["signed_by"] = "SHA256:abc"
    facts = dict(build(record_of(audit, details)).facts)
    assert facts["Trained"][0].text == "2026-11-21T22:41:07Z"


def test_bold_text_keeps_its_space_in_markdown(document):
    text = render(document, "md").decode()
    assert "**Lawful basis.** On which" in text
    # CommonMark: after a full stop, closing stars need a space or a sign behind them.
    assert not [line for line in text.splitlines() if ".**" in line.replace(".** ", "")]


def test_markdown_does_not_speak_of_lines_that_are_not_drawn(document):
    text = render(document, "md").decode()
    assert "dashed line" not in text
    assert "Figure:" not in text
    assert "(drawn in the HTML report, here in words)" in text


def test_a_table_of_nothing_but_withheld_counts_is_one_sentence(said):
    def withheld(audit, details):
        blank = [[None] * 3] * 3
        details["confusions"] = [{"output": "score", "values": ["a", "b"], "persons": blank}]
        details["producer_tables"] = {
            "tiny.t": {"columns": ["g", "n"], "rows": [["x", None], ["y", None]]},
            "tiny.u": {"columns": ["g", "n"], "rows": [["x", None], ["y", 12]]},
        }

    performance = said("performance", withheld, tree=True)
    assert "every count is withheld" in words(performance)
    assert not [table for table in every(performance, Table) if table.id.startswith("confusion")]
    tables = said("plugin-tables", withheld, tree=True)
    assert "Table tiny.t: every number in it is withheld or missing." in words(tables)
    assert [table.caption for table in every(tables, Table)] == ["Table tiny.u"]


def test_checks_of_small_groups_only_are_one_sentence(said):
    def withheld(audit, details):
        for item in audit["checks"][:5]:
            item.update(estimate=None, lower=None, upper=None, method="withheld: on fewer than 10")

    told = said("check-0", withheld)
    assert "All 5 numbers are withheld: on fewer than 10 persons." in told
    assert "band 1" not in told


def test_performance_names_the_outcome_and_not_merely_the_positive(said):
    told = said("performance")
    assert "of what was “rejected”, the share decided as such" in told
    assert "positive" not in told


def test_fields_and_outputs_that_moved_have_names(said):
    def derived(audit, details):
        details["distribution"] = [
            {"field": "card_mean", "label": "card_mean", "psi": 0.3, "bins": []},
            {"field": "score", "label": "score", "psi": 0.1, "bins": []},
        ]
        derived = {**details["contract"]["fields"][0], "name": "card_mean", "label": "Card: mean"}
        details["contract"]["fields"].append(derived)

    told = said("shift", derived)
    assert "Card: mean" in told
    assert "card_mean" not in told
    assert (
        "Rejected application = rejected (output of the model)" in told
        or "score (output of the model)" in told
    )


def test_the_rate_of_a_yes_or_no_output_is_explained(said):
    def flag(audit, details):
        rate = {**audit["performance"][0], "output": "uncertain", "metric": "rate"}
        audit["performance"].append({**rate, "estimate": 0.72, "lower": 0.68, "upper": 0.75})

    told = said("performance-1", flag)
    assert "share of rows for which this yes-or-no output says yes" in told
    assert "72.0%" in told
