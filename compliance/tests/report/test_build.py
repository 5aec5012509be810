"""What a report says, and that each sentence can be defended from the record."""

from __future__ import annotations

import dataclasses
import doctest
import json
import re

import numpy as np
import pytest

from verticals.errors import AuditError
from verticals_compliance.report import build, read_record
from verticals_compliance.report import words as words_module
from verticals_compliance.report.finding_text import why
from verticals_compliance.report.numerals import show
from verticals_compliance.report.phrases import large_enough
from verticals_compliance.report.sections import privacy
from verticals_compliance.report.sections.privacy import ceiling
from verticals_compliance.report.tree import (
    Bullets,
    Figure,
    LineChart,
    Note,
    Paragraph,
    Row,
    Span,
    Table,
    Tally,
    walk,
)


def every(node, kind):
    """Yield every node of a kind in a tree."""
    if isinstance(node, kind):
        yield node
    if dataclasses.is_dataclass(node):
        for item in dataclasses.fields(node):
            yield from every(getattr(node, item.name), kind)
    elif isinstance(node, tuple):
        for item in node:
            yield from every(item, kind)


def part(document, name):
    return next(section for section in walk(document.sections) if section.id == name)


def words(node):
    """Return all text of a tree as one string."""
    spans = (span.text for span in every(node, Span))
    return " ".join("".join(spans).split())


def follow(record, source):
    """Follow a source to the value that it names; fail where it leads nowhere."""
    value = record.audit
    if source.startswith("details:"):
        value, source = record.details, source.removeprefix("details:")
    for step in source.strip("/").split("/"):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def test_every_source_leads_to_a_place_in_the_record(record, document):
    sources = {span.source for span in every(document, Span) if span.source}
    sources |= {row.source for row in every(document, Row) if row.source}
    assert len(sources) > 200
    for source in sources:
        follow(record, source)


def test_a_row_that_names_a_measurement_shows_its_numbers(record, document):
    seen = 0
    for row in every(document, Row):
        if not row.source or row.source.startswith("details:"):
            continue
        item = follow(record, row.source)
        if isinstance(item, dict) and "estimate" in item and "metric" in item:
            text = words(row)
            style = "percent" if "%" in text else "decimal"
            assert show(item["estimate"], style) in text
            seen += 1
    assert seen == len(record.audit["performance"])


def attention(document):
    """Return what the summary says of open findings: between its headings, as runs of spans."""
    blocks = part(document, "summary").blocks
    heads = [at for at, b in enumerate(blocks) if isinstance(b, Paragraph) and words(b)[-1] == ":"]
    first = next(at for at in heads if words(blocks[at]).startswith("What needs"))
    last = next(at for at in heads if words(blocks[at]).startswith("At a glance"))
    for block in blocks[first + 1 : last]:
        yield from block.items if isinstance(block, Bullets) else (block.spans,)


def test_every_sentence_with_an_estimate_carries_its_interval_and_n(document):
    items = list(attention(document))
    numbers = [span for item in items for span in item if span.source]
    assert len(numbers) == 5
    told = [words(item) for item in items[:-1]]
    for text in told:
        shown = text.count("95% interval")
        assert shown == text.count("n = ") == len(re.findall(r"[a-z:] \d\.\d+ \(", text))


def test_the_summary_counts_every_status(record, document):
    tally = next(every(part(document, "summary"), Tally))
    counts = {item.status: item.count for item in tally.counts}
    for status, count in counts.items():
        assert count == sum(f["status"] == status for f in record.audit["findings"])
    assert sum(counts.values()) == len(record.audit["findings"])
    assert list(counts) == ["fail", "inconclusive", "not-measurable", "pass"]


def test_the_summary_names_failures_before_everything_else(record, document):
    first = [item[0].text for item in attention(document) if item[0].style == "status"]
    assert first == ["fail", *["inconclusive"] * 3, "not-measurable"]


def test_numbers_of_the_record_stand_in_the_text_as_they_are(record_of, make_record):
    audit, details = make_record()
    audit["performance"][0].update(estimate=0.123456, lower=0.111111, upper=0.222222, n=4321)
    text = words(part(build(record_of(audit, details)), "performance"))
    assert "12.3% (95% interval 11.1% to 22.2%, n = 4,321) of such pairs" in text


def test_insufficient_evidence_is_shown_and_never_as_a_pass(record, document):
    weak = [i for i in record.audit["fairness"] if i["verdict"] == "insufficient-evidence"]
    assert weak
    rows = [row for row in every(part(document, "fairness"), Row) if row.source.count("/") == 2]
    by_source = {row.source: row for row in rows}
    for at, item in enumerate(record.audit["fairness"]):
        cells = by_source[f"/fairness/{at}"].cells
        assert [cell.status for cell in cells if cell.status] == [item["verdict"]]


def test_groups_below_the_minimum_are_hollow_and_said_to_be_too_few(document):
    fairness = part(document, "fairness")
    figure = next(f for f in every(fairness, Figure) if f.id == "fairness-0-groups")
    by_label = {dot.label: dot for dot in figure.charts[0].dots}
    assert by_label["Hispanic"].weak
    assert not by_label["white"].weak
    assert "Hispanic (not compared)" in words(figure.table)


def test_a_gap_without_enough_evidence_is_hollow_too(record, document):
    figure = next(f for f in every(part(document, "fairness-0"), Figure) if f.id.endswith("gaps"))
    items = [i for i in record.audit["fairness"] if i["attribute"] == "race"]
    ratios = [i["verdict"] for i in items if i["disparity"]["kind"] == "ratio"]
    weak = [dot.weak for dot in figure.charts[0].dots]
    assert weak == [verdict == "insufficient-evidence" for verdict in ratios]
    assert set(weak) == {True, False}


def test_only_a_number_is_drawn_as_a_curve(record_of, make_record):
    audit, details = make_record()
    shape = next(s for s in details["shapes"] if s["field"] == "cosigner")
    for at, point in enumerate(shape["points"]):
        point.update(x=float(at), text=("false", "true")[at])
    document = build(record_of(audit, details))
    figure = next(f for f in every(part(document, "shapes"), Figure))
    charts = {chart.title: chart for chart in figure.charts}
    assert [dot.label for dot in charts["Has a cosigner"].dots] == ["no", "yes"]
    assert isinstance(charts["Term"], LineChart)
    assert charts["Loan amount"].x.scale == "log"
    assert "missing" in charts["Term"].x.label


def test_groups_are_named_only_where_they_give_the_recorded_gap(record_of, make_record):
    audit, details = make_record()
    told = words(part(build(record_of(audit, details)), "fairness-0"))
    assert "Lowest for Black" in told
    audit["fairness"][0]["disparity"]["estimate"] = 0.5
    audit["fairness"][1]["disparity"]["estimate"] = 0.5
    told = words(part(build(record_of(audit, details)), "fairness-0"))
    assert "Lowest for Black" not in told
    assert "The ratio is 0.500" in told


@pytest.mark.parametrize(
    ("status", "value", "lower", "upper", "limit", "expected"),
    [
        ("fail", 0.6, 0.5, 0.7, (0.8, None), "The whole interval lies below the limit."),
        ("fail", 0.3, 0.2, 0.4, (None, 0.1), "The whole interval lies above the limit."),
        ("pass", 0.9, 0.85, 1.0, (0.8, None), "The whole interval lies within the limit."),
        ("pass", 3.0, 3.0, 3.0, (None, 10.0), "The value lies within the limit."),
        ("inconclusive", 0.8, 0.7, 0.9, (0.8, None), "so these data cannot decide."),
        ("inconclusive", 0.9, None, None, (0.8, None), "The evidence is too little to decide."),
        ("inconclusive", 0.9, 0.85, 1.0, (0.8, None), "may hide a gap, so this is no pass."),
    ],
)
def test_why_a_finding_stands_as_it_does(record, status, value, lower, upper, limit, expected):
    finding = {
        "rule": "no-such-rule",
        "status": status,
        "value": value,
        "lower": lower,
        "upper": upper,
        "limit": {"min": limit[0], "max": limit[1]},
        "evidence": "/privacy",
    }
    assert why(record, finding).endswith(expected)


@pytest.mark.parametrize(
    ("p_adjusted", "expected"),
    [
        (1e-7, "The groups do differ (adjusted p < 0.001). Whether by more than the limit"),
        (0.02, "The groups do differ (adjusted p = 0.020)"),
        (0.2, "The interval includes the limit, so these data cannot decide."),
        (None, "The interval includes the limit, so these data cannot decide."),
    ],
)
def test_a_gap_that_is_shown_is_said_to_be_also_where_its_size_is_open(
    record_of, make_record, p_adjusted, expected
):
    audit, details = make_record()
    audit["fairness"][0]["p_adjusted"] = p_adjusted
    finding = {
        **audit["findings"][0],
        "status": "inconclusive",
        "value": 0.78,
        "lower": 0.7,
        "upper": 0.9,
        "limit": {"min": 0.8, "max": None},
        "evidence": "/fairness/0",
    }
    assert why(record_of(audit, details), finding).startswith(expected)


@pytest.mark.parametrize(("p_adjusted", "shown"), [(0.0, True), (0.2, False), (None, False)])
def test_a_difference_beyond_chance_is_told_where_its_size_is_open(
    record_of, make_record, p_adjusted, shown
):
    audit, details = make_record()
    for item in audit["fairness"]:
        item["p_adjusted"] = None
    audit["fairness"][0].update(p_adjusted=p_adjusted, verdict="insufficient-evidence")
    told = words(part(build(record_of(audit, details)), "fairness"))
    said = "shown (adjusted p below 0.05) for favourable decisions (selection rate); too little"
    assert (said in told) == shown


def test_rules_that_cannot_speak_of_the_model_are_named(record_of, make_record):
    audit, details = make_record()
    details["set_aside"] = [{"rule": "r", "title": "Ranks well", "reason": "no target is binary"}]
    told = words(part(build(record_of(audit, details)), "findings"))
    assert "“Ranks well”: no target is binary." in told


def test_a_rule_that_decides_on_the_estimate_says_so(record_of, make_record):
    audit, details = make_record()
    details["policy"]["rules"][0]["decide"] = "estimate"
    record = record_of(audit, details)
    finding = {**audit["findings"][0], "value": 0.7, "lower": 0.6, "upper": 0.9}
    assert why(record, finding) == (
        "The estimate, on which alone this rule decides, lies below the limit."
    )


def test_the_reason_why_nothing_was_measured_is_printed(document):
    assert "The evidence has no table named “distribution”." in words(part(document, "summary"))


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("delta", [0.0, 1e-3])
def test_the_ceiling_is_reached_by_the_optimal_attack_and_by_no_other(epsilon, delta):
    # The pair of distributions that is exactly (ε, δ)-indistinguishable: mass δ that gives the
    # data away, and randomised response with odds e^ε on the rest (Kairouz, Oh, Viswanath 2015).
    odds = np.exp(epsilon)
    member = np.array([delta, (1 - delta) * odds / (1 + odds), (1 - delta) / (1 + odds), 0.0])
    other = member[::-1]
    rng = np.random.default_rng(0)
    for accept in rng.random((500, 4)):  # any randomised test accepts each outcome at some rate
        alarms, power = accept @ other, accept @ member
        assert power <= ceiling(alarms, epsilon, delta) + 1e-12
    best = np.array([1.0, 1.0, 0.0, 0.0])
    assert ceiling(best @ other, epsilon, delta) == pytest.approx(best @ member)


def test_what_was_promised_never_reads_as_less(record_of, make_record):
    audit, details = make_record()
    audit["privacy"].update(epsilon=3.0004, delta=0.00010001)
    told = words(part(build(record_of(audit, details)), "privacy"))
    assert "ε = 3.01 and δ = 0.00011" in told


def test_a_statement_is_sorted_into_what_is_covered_and_what_is_not(document):
    notes = {note.title: words(note) for note in every(part(document, "privacy"), Note)}
    assert "What the promise covers, as the bundle records it" in notes
    assert notes["What it does not cover"].startswith("Unless it is said below: whatever was")
    assert "The evidence folder, and choices made" in notes["What it does not cover"]
    assert "As recorded in the bundle" not in notes


def test_the_limit_of_a_verdict_is_the_strictest_rule_or_else_the_tolerance(record, document):
    rows = {row.source: words(row) for row in every(part(document, "fairness"), Row)}
    items = record.audit["fairness"]
    place = {
        (i["attribute"], i["metric"], i["disparity"]["kind"]): at for at, i in enumerate(items)
    }
    assert "at least 0.8" in rows[f"/fairness/{place['race', 'selection_rate', 'ratio']}"]
    text = rows[f"/fairness/{place['race', 'selection_rate', 'difference']}"]
    assert "at most 0.1 (tolerance)" in text


def test_rows_and_trials_decide_what_may_be_compared(record_of, make_record):
    audit, details = make_record()
    item = audit["fairness"][0]
    white, black, hispanic = item["groups"][:3]
    record = record_of(audit, details)
    assert [large_enough(record, item, g) for g in (white, black, hispanic)] == [True, True, False]
    details["policy"]["min_events"] = 97
    assert not large_enough(record_of(audit, details), item, black)
    details["policy"].update(min_events=5, min_group=0)
    assert large_enough(record_of(audit, details), item, hispanic)
    assert not large_enough(record_of(audit, details), item, {**white, "group": "not recorded"})


def test_privacy_is_told_for_one_person(document):
    told = words(part(document, "privacy"))
    assert "ε = 3 and δ = 0.001" in told
    assert (
        "wrongly accuses at most 5% of those who were not in the data, it finds at most 95.3%"
        in told
    )
    assert (
        "wrongly accuses at most 1% of those who were not in the data, it finds at most 20.2%"
        in told
    )


def test_a_raw_release_says_that_nothing_limits_what_it_reveals(record_of, make_record):
    document = build(record_of(*make_record(private=False)))
    told = words(part(document, "privacy"))
    assert "Nothing limits what the model" in told
    assert "ε = " not in told
    assert "The promise allows" not in told
    assert "no limit (∞)" in told
    assert "no privacy budget" in words(part(document, "summary"))


def test_an_attack_that_beats_the_promise_is_called_a_contradiction(record_of, make_record):
    audit, details = make_record()
    audit["privacy"]["epsilon"] = 0.1
    audit["privacy"]["attack"].update(tpr=0.5, tpr_lower=0.45, tpr_upper=0.55, consistent=False)
    told = words(part(build(record_of(audit, details)), "attack"))
    assert "contradict each other" in told


def test_noise_from_a_known_seed_voids_the_promise(record_of, make_record):
    audit, details = make_record()
    audit["privacy"].update(epsilon=None, delta=None)
    details["privacy"]["unsafe_noise_seed"] = 7
    assert "No ε holds" in words(part(build(record_of(audit, details)), "privacy"))


def test_the_loss_is_not_shown_under_privacy(record, record_of, make_record):
    assert "are private data" in words(part(build(record), "training"))
    free = build(record_of(*make_record(private=False)))
    assert any(f.id == "training-history" for f in every(part(free, "training"), Figure))


def test_a_protected_input_is_pointed_out(record_of, make_record):
    audit, details = make_record()
    race = next(f for f in details["contract"]["fields"] if f["name"] == "race")
    race.update(is_input=True, also_feature=True)
    told = words(part(build(record_of(audit, details)), "data"))
    assert "lets the model read Race although it is protected" in told
    assert "It does not read Sex or Marital status" in told


def test_drafted_bounds_are_pointed_out(record_of, make_record):
    audit, details = make_record()
    details["contract"]["fields"][0]["drafted"] = ["bounds"]
    told = words(part(build(record_of(audit, details)), "data"))
    assert "Other obligations, share of income were read from the data" in told


def test_a_solution_that_declares_no_use_is_pointed_out(record_of, make_record):
    audit, details = make_record()
    details["solution"].update(intended_use="", not_for="")
    told = words(part(build(record_of(audit, details)), "purpose"))
    assert "declares neither an intended use nor what it is not for" in told


def test_the_held_out_part_is_called_so_only_where_it_was_audited(record_of, make_record):
    audit, details = make_record()
    assert "was not used to train" in words(part(build(record_of(audit, details)), "split"))
    details["evidence"]["part"] = "march"
    assert "was not used to train" not in words(part(build(record_of(audit, details)), "split"))


def test_counts_without_rows_say_so(record_of, make_record):
    audit, details = make_record()
    audit["evidence"]["form"] = "counts"
    details["evidence"].update(form="counts", min_cell=10)
    document = build(record_of(audit, details))
    assert "cells below 10 are suppressed" in words(part(document, "recompute"))
    assert "counts without single rows" in words(part(document, "summary"))


def test_several_outputs_each_get_their_own_part(record_of, make_record):
    audit, details = make_record()
    for key in ("performance", "fairness", "explanations"):
        audit[key] += [{**item, "output": "second"} for item in audit[key]]
    document = build(record_of(audit, details))
    assert part(document, "performance-1").title == "Output second"
    assert part(document, "fairness-3").title == "Race, output second"
    ids = [node.id for node in (*every(document, Table), *every(document, Figure))]
    assert len(ids) == len(set(ids))


def test_a_numeric_target_has_no_decision_and_no_curves(record_of, make_record):
    audit, details = make_record()
    audit["performance"] = [
        {"output": "price", "metric": "rmse", "estimate": 1234.6, "lower": 1200.0, "upper": 1300.0,
         "n": 99, "method": "mean"}
    ]  # fmt: skip
    audit["fairness"] = []
    details.update(curves=[], groups=[], outputs=[])
    details["contract"]["decision"] = None
    document = build(record_of(audit, details))
    assert "1,235" in words(part(document, "performance"))
    assert "None is declared" in words(part(document, "purpose"))
    assert "no comparison of groups" in words(part(document, "fairness"))


def test_an_empty_record_still_makes_a_report_that_says_what_is_absent(record_of, make_record):
    audit, _ = make_record()
    for key in ("performance", "fairness", "explanations", "checks", "findings"):
        audit[key] = []
    privacy = {"epsilon": None, "delta": None, "unit": "", "accountant": "", "statement": ""}
    audit["privacy"] = {**privacy, "attack": None}
    told = words(build(record_of(audit, {"format": 1})))
    assert "The policy held no rule" in told
    assert "no measurement of performance" in told
    assert "no comparison of groups" in told
    assert "no explanation of the model" in told
    assert "Nothing limits what the model" in told


def test_a_record_without_its_details_still_makes_a_report(record_of, make_record):
    audit, _ = make_record()
    document = build(record_of(audit, {"format": 1}))
    assert "measured 0.644" in words(part(document, "summary"))


def test_null_stands_for_an_absent_text_anywhere(record_of, make_record):
    audit, details = make_record()

    def blank(value):
        if isinstance(value, dict):
            return {key: blank(item) for key, item in value.items()}
        if isinstance(value, list):
            return [blank(item) for item in value]
        return None if isinstance(value, str) else value

    assert "measured 0.644" in words(build(record_of(audit, {**blank(details), "format": 1})))


def test_a_check_that_could_not_run_says_why(record_of, make_record):
    audit, details = make_record()
    details["checks"].append(
        {"name": "drift", "summary": "", "needs": [], "origin": "not run", "problem": "no module"}
    )
    told = words(part(build(record_of(audit, details)), "checks"))
    assert "No module." in told


@pytest.mark.parametrize(
    ("origin", "said"),
    [("not run", "could not run"), ("recomputed", "gave what cannot be used")],
)
def test_a_check_that_ran_and_gave_nonsense_is_not_said_not_to_have_run(
    record_of, make_record, origin, said
):
    audit, details = make_record()
    details["checks"] = [
        {"name": "drift", "summary": "", "needs": [], "origin": origin, "problem": "n is -5"}
    ]
    notes = every(part(build(record_of(audit, details)), "checks"), Note)
    assert f"Check drift {said}" in [note.title for note in notes]


def test_names_that_nobody_sees_are_made_visible(record_of, make_record):
    audit, details = make_record()
    details["solution"]["domain"] = "cre\u202edit\x07"
    assert "cre\ufffddit\ufffd" in words(part(build(record_of(audit, details)), "purpose"))


def test_details_of_another_record_are_refused(folder, tmp_path):
    for name in ("audit.json", "details.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    text = (tmp_path / "audit.json").read_text()
    (tmp_path / "audit.json").write_text(text.replace("boston", "denver").replace("0.9", "0.8"))
    with pytest.raises(AuditError, match=r"belongs to another audit\.json: sha256:"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("{", "no plain JSON"),
        ("[]", "audit.json"),
        (json.dumps({"format": 1}), "audit.json"),
        ('{"format": 1, "a": NaN}', "no plain JSON"),
    ],
)
def test_a_folder_that_holds_no_record_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "audit.json").write_text(content)
    with pytest.raises(AuditError, match=message) as caught:
        read_record(tmp_path)
    assert caught.value.hint.startswith("verticals audit BUNDLE --out")
    assert "\n" not in caught.value.message


def test_findings_of_one_rule_are_told_together_each_with_its_reason(record_of, make_record):
    audit, details = make_record()
    same = [f for f in audit["findings"] if f["rule"] == "calibration-by-group"]
    for finding in same:
        finding["status"] = "inconclusive"
    told = words(part(build(record_of(audit, details)), "summary"))
    assert "Race: 0.019 (95% interval 0.000 to 0.109, n = 945): the interval includes" in told
    assert "Marital status: 0.009 (95% interval 0.000 to 0.099, n = 991): a group too small" in told


def test_many_findings_of_one_rule_are_counted_and_only_those_farthest_out_are_told(
    record_of, make_record
):
    audit, details = make_record()
    plain = {"lower": None, "upper": None, "status": "inconclusive", "limit": {"min": 0.7}}
    shared = {"check": "essays.kappa", "attribute": "", "group": "", "n": 30, "estimate": 0.5}
    for at in range(8):
        place = f"/checks/{len(audit['checks'])}"
        audit["checks"].append(
            {
                **audit["checks"][0],
                **shared,
                "output": f"trait_{at % 4}",
                "group": "girls",
                "attribute": "sex",
                "subject": f"probe {at}",
            }
        )
        audit["findings"].append(
            {
                **audit["findings"][0],
                **plain,
                "limit": {"min": 0.7, "max": None},
                "rule": "kappa",
                "attribute": "sex",
                "value": 0.5 + at / 100,
                "evidence": place,
            }
        )
    document = build(record_of(audit, details))
    blocks = part(document, "summary").blocks
    told = [words(block) for block in blocks]
    lead = next(at for at, text in enumerate(told) if "“Kappa”" in text)
    assert "8 findings; the limit is at least 0.7." in told[lead]
    assert told[lead].endswith("Those farthest out:")
    lines = [words(item) for item in blocks[lead + 1].items]
    assert lines[0].startswith("Sex: girls, trait 0, probe 0: 0.500 (n = 30)")
    assert [line.partition("probe ")[2][0] for line in lines[:5]] == list("01234")
    assert lines[5] == "and 3 more, in the table of findings."
    rows = words(part(document, "findings"))
    assert all(f"Sex: girls, trait {at % 4}, probe {at}" in rows for at in range(8))


def test_what_was_compared_is_read_where_the_details_list_it(record_of, make_record):
    audit, details = make_record()
    item = audit["fairness"][0]
    place = {key: item[key] for key in ("output", "attribute", "metric")}
    details["compared"] = [{**place, "groups": ["white", "Hispanic"]}]
    record = record_of(audit, details)
    assert [large_enough(record, item, g) for g in item["groups"][:3]] == [True, False, True]


def test_nothing_is_compared_where_there_is_no_disparity(record_of, make_record):
    audit, details = make_record()
    for item in audit["fairness"]:
        item["disparity"].update(estimate=None, lower=None, upper=None)
    document = build(record_of(audit, details))
    figures = {figure.id: figure for figure in every(part(document, "fairness"), Figure)}
    assert "fairness-0-gaps" not in figures
    assert all(dot.weak for dot in figures["fairness-0-groups"].charts[0].dots)


def test_files_outside_the_promise_are_pointed_out(record_of, make_record):
    audit, details = make_record()
    assert "does not cover every file" not in words(build(record_of(audit, details)))
    details["files"][1].update(shows="calibration rows", epsilon="infinite")
    document = build(record_of(audit, details))
    titles = [note.title for note in every(part(document, "privacy"), Note)]
    assert "The promise does not cover every file of the bundle" in titles
    told = words(part(document, "summary"))
    assert "not covered by it: settings.json (shows calibration rows)." in told


def test_a_group_is_a_group_of_rows(record_of, make_record):
    audit, details = make_record()
    audit["privacy"]["unit"] = "group"
    details["contract"]["group"] = "patient"
    told = words(part(build(record_of(audit, details)), "privacy"))
    assert "all rows that share one value of “patient” were used in training" in told
    assert "A row is a person only if" not in told


def test_tables_of_plugins_are_shown_as_they_are(record_of, make_record):
    audit, details = make_record()
    audit["checks"], details["checks"] = [], []
    rows = [["q<1>", 0.25, None], ["q2", 3, True]]
    details["producer_tables"] = {"tiny.items": {"columns": ["item", "b", "ok"], "rows": rows}}
    section = part(build(record_of(audit, details)), "plugin-tables")
    table = next(every(section, Table))
    assert [words(row) for row in table.rows] == ["q<1>0.25–", "q23True"]
    assert table.caption == "Table tiny.items"


@pytest.mark.parametrize("module", [privacy, words_module])
def test_the_examples_in_the_docstrings_hold(module):
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)
