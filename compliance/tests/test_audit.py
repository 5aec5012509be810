"""The record of an audit: its fields, its bytes, and what happens where evidence is missing."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from verticals import metrics
from verticals.contract.model import DataContract, Field, Target
from verticals.errors import AuditError, EvidenceError
from verticals.evidence import RECOMPUTED, AttributeInfo, OutputInfo
from verticals.table import Table
from verticals_compliance.audit import (
    audit,
    read_audit,
    record_bytes,
    record_schema,
    run_audit,
    write_audit,
)
from verticals_compliance.details import describe, read_details, write_details
from verticals_compliance.findings import exit_code
from verticals_compliance.policy import default_policy, parse_policy
from verticals_compliance.schema import violations

EVERYTHING = ("auditor", "policy", "bundle", "evidence", "performance", "fairness", "privacy")


def _metrics(record, output="score"):
    return {row.metric: row for row in record.performance if row.output == output}


def _finding(record, rule):
    return next(item for item in record.findings if item.rule == rule)


def test_the_record_has_exactly_the_fields_of_the_schema(credit) -> None:
    case = credit()
    record = audit(case.evidence, case.bundle, default_policy()).to_json()
    jsonschema.validate(record, record_schema())
    assert list(record) == [
        "format",
        *EVERYTHING,
        "explanations",
        "checks",
        "findings",
    ]
    assert record["explanations"][0]["global"][0]["field"] == "income"
    for broken in (
        {**record, "extra": 1},
        {key: value for key, value in record.items() if key != "checks"},
        {**record, "findings": [{**record["findings"][0], "status": "ok"}]},
        {**record, "performance": [{**record["performance"][0], "estimate": "0.5"}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, record_schema())


def test_the_schema_itself_is_valid_and_allows_nothing_unnamed() -> None:
    schema = record_schema()
    jsonschema.Draft202012Validator.check_schema(schema)

    def objects(part):
        if isinstance(part, dict):
            if part.get("type") == "object":
                yield part
            for item in part.values():
                yield from objects(item)
        if isinstance(part, list):
            for item in part:
                yield from objects(item)

    found = list(objects(schema))
    assert len(found) > 10
    assert all(
        item["additionalProperties"] is False and set(item["required"]) == set(item["properties"])
        for item in found
    )


def test_our_reading_of_the_schema_is_that_of_jsonschema(credit) -> None:
    """Every value of a record in turn is replaced by wrong ones; both validators must agree."""
    case = credit()
    record = audit(case.evidence, case.bundle, default_policy()).to_json()
    record["fairness"], record["findings"] = record["fairness"][:1], record["findings"][:1]
    official = jsonschema.Draft202012Validator(record_schema())
    assert list(violations(record, record_schema())) == []
    seen = 0
    for place, key in _places(record):
        kept = place[key]
        for wrong in (None, "x", -1, 2.5, True, [], {}, [1], {"extra": 1}):
            place[key] = wrong
            ours = next(violations(record, record_schema()), None) is None
            assert ours == official.is_valid(record), (key, wrong)
            seen += not ours
        place[key] = kept
        if isinstance(place, dict):
            del place[key]
            assert any(f"lacks the field {key!r}" in v for v in violations(record, record_schema()))
            place[key] = kept
    assert seen > 300


def _places(part):
    for key in list(part) if isinstance(part, dict) else range(len(part)):
        yield part, key
        if isinstance(part[key], dict | list):
            yield from _places(part[key])


def test_the_same_evidence_gives_the_same_bytes(credit, tmp_path) -> None:
    case = credit()
    first = run_audit(case.evidence, case.bundle, default_policy())
    second = run_audit(case.evidence, case.bundle, default_policy())
    assert record_bytes(first.record) == record_bytes(second.record)
    assert describe(case.evidence, case.bundle, first) == describe(
        case.evidence, case.bundle, second
    )
    text = record_bytes(first.record).decode()
    assert "2026-01-31T12:00:00+00:00" in text
    assert text.count("2026-") == 1
    assert "NaN" not in text


def test_a_record_is_read_as_it_was_written(credit, tmp_path) -> None:
    case = credit()
    done = run_audit(case.evidence, case.bundle, default_policy())
    path = write_audit(tmp_path / "audit", done.record)
    details = describe(case.evidence, case.bundle, done)
    write_details(tmp_path / "audit", details)
    assert path == tmp_path / "audit" / "audit.json"
    assert read_audit(tmp_path / "audit") == done.record
    assert json.loads(json.dumps(details)) == read_details(tmp_path / "audit")


def test_what_is_no_record_is_refused_with_the_next_command(tmp_path) -> None:
    with pytest.raises(AuditError, match="no such file") as caught:
        read_audit(tmp_path)
    assert caught.value.hint.startswith("verticals audit")
    for text in ("{", "[]", "{}", '{"format": 1, "auditor": {}}'):
        (tmp_path / "audit.json").write_text(text)
        with pytest.raises(AuditError):
            read_audit(tmp_path)


def test_details_of_another_record_are_refused(credit, tmp_path) -> None:
    case = credit()
    done = run_audit(case.evidence, case.bundle, default_policy())
    write_audit(tmp_path, done.record)
    write_details(tmp_path, describe(case.evidence, case.bundle, done))
    write_audit(tmp_path, replace(done.record, checks=(), findings=()))
    with pytest.raises(AuditError, match="belongs to another"):
        read_details(tmp_path)


def test_evidence_of_another_bundle_is_refused(credit) -> None:
    case = credit()
    other = credit(name="other", privacy=None)
    with pytest.raises(AuditError, match="was recorded for bundle"):
        audit(case.evidence, other.bundle, default_policy())


def test_changed_evidence_is_refused(credit) -> None:
    case = credit()
    file = case.evidence_path / "scores.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(EvidenceError):
        audit(case.evidence, case.bundle, default_policy())


def test_estimates_agree_with_sklearn(credit) -> None:
    case = credit()
    scores = case.evidence.tables["scores"]
    label, score = scores["target:default"], scores["score"]
    found = _metrics(audit(case.evidence, case.bundle, default_policy()))
    assert found["roc_auc"].estimate == pytest.approx(roc_auc_score(label, score))
    assert found["brier"].estimate == pytest.approx(brier_score_loss(label, score))
    assert found["log_loss"].estimate == pytest.approx(log_loss(label, score))
    assert found["average_precision"].estimate == pytest.approx(
        average_precision_score(label, score)
    )
    decided, happened = scores["decision"] == 1, label == 1
    assert found["sensitivity"].estimate == pytest.approx(decided[happened].mean())
    assert found["specificity"].estimate == pytest.approx((~decided)[~happened].mean())
    assert found["precision"].estimate == pytest.approx(happened[decided].mean())
    assert found["decision_rate"].estimate == pytest.approx(decided.mean())
    assert found["accuracy"].n == scores.rows
    assert all(row.lower < row.estimate < row.upper for row in found.values())
    assert all(row.method for row in found.values())


def test_estimates_are_those_of_the_metrics(credit) -> None:
    case = credit()
    scores = case.evidence.tables["scores"]
    label, score, decision = (scores[k] for k in ("target:default", "score", "decision"))
    found = _metrics(audit(case.evidence, case.bundle, default_policy()))
    expected = {
        "roc_auc": metrics.roc_auc(label, score),
        "gini": metrics.gini(label, score),
        "ks": metrics.ks_statistic(label, score),
        "average_precision": metrics.average_precision(label, score),
        "brier": metrics.brier(label, score),
        "log_loss": metrics.log_loss(label, score),
        "calibration_slope": metrics.calibration_slope_intercept(label, score)[0],
        "accuracy": metrics.accuracy(label, decision),
        "decision_rate": metrics.selection_rate(decision),
        "sensitivity": metrics.true_positive_rate(label, decision),
        "specificity": 1 - metrics.false_positive_rate(label, decision),
        "precision": metrics.positive_predictive_value(label, decision),
    }
    assert {name: found[name].estimate for name in expected} == pytest.approx(expected)
    assert set(found) - set(expected) == {"calibration_intercept"}


def test_rows_without_an_outcome_count_for_decisions_only(credit) -> None:
    scores = credit()  # writes a first bundle; the evidence below replaces it
    table = scores.evidence.tables["scores"]
    label = table["target:default"].copy()
    label[:200] = np.nan
    case = credit(scores=table.with_columns({"target:default": label}))
    found = _metrics(audit(case.evidence, case.bundle, default_policy()))
    assert found["decision_rate"].n == 600
    assert found["accuracy"].n == found["roc_auc"].n == 400


def test_repeated_persons_widen_every_interval(credit) -> None:
    case = credit()
    plain = case.evidence.tables["scores"]
    copied = plain.take(np.repeat(np.arange(plain.rows), 3))
    wide = copied.with_columns({"unit": np.repeat(np.arange(plain.rows), 3)})
    careless = copied.with_columns({"unit": np.arange(copied.rows)})
    one, many, wrong = (
        _metrics(audit(item.evidence, item.bundle, default_policy()))
        for item in (
            case,
            credit(scores=wide, name="wide"),
            credit(scores=careless, name="careless"),
        )
    )
    for metric in one:
        width = one[metric].upper - one[metric].lower
        assert many[metric].estimate == pytest.approx(one[metric].estimate, abs=1e-9), metric
        assert many[metric].upper - many[metric].lower > 0.93 * width, metric
        assert wrong[metric].upper - wrong[metric].lower < 0.75 * width, metric


def test_without_scores_everything_is_not_measurable_and_nothing_crashes(credit) -> None:
    """Item responses: no target, no decision, no output that is a probability."""
    item = Field(name="item", kind="ordinal", column="q1", role="item", levels=("0", "1"))
    case = credit(
        contract=DataContract(solution="tiny-items", name="items", fields=(item,)),
        scores=Table({"unit": np.arange(50), "theta": np.linspace(-2, 2, 50)}),
        tables={},
        privacy=None,
        info={
            "outputs": (OutputInfo(name="theta", kind="real"),),
            "attributes": (),
            "decision": {},
        },
    )
    done = run_audit(case.evidence, case.bundle, default_policy())
    jsonschema.validate(done.record.to_json(), record_schema())
    assert done.record.performance == ()
    assert done.record.fairness == ()
    assert done.record.privacy.epsilon is None
    assert {item.status for item in done.record.findings} == {"not-measurable"}
    assert all(not item.evidence.startswith("/") for item in done.record.findings)
    details = describe(case.evidence, case.bundle, done)
    apart = {item["rule"] for item in details["set_aside"]}
    assert {"better-than-chance", "four-fifths", "enough-outcomes"} <= apart
    assert not apart & {item.rule for item in done.record.findings}
    assert exit_code(done.record.findings) == 0  # the required rules cannot speak of items
    assert details["curves"] == []


def test_without_any_table_nothing_crashes(credit) -> None:
    case = credit()
    bare = replace(case.evidence, tables={})
    record = audit(bare, case.bundle, default_policy())
    jsonschema.validate(record.to_json(), record_schema())
    assert _finding(record, "four-fifths").status == "not-measurable"
    assert _finding(record, "epsilon-ceiling").status == "pass"  # the bundle says so itself


# ---- other kinds of target ------------------------------------------------------------------


def _other_case(credit, target: Target, columns: dict, outputs: tuple[OutputInfo, ...]):
    field = Field(name="x", kind="numeric", column="x", bounds=(0.0, 1.0))
    contract = DataContract(solution="tiny-other", name="o", fields=(field,), targets=(target,))
    rows = len(columns[f"target:{target.name}"])
    sex = np.array(["female", "male"], dtype=object)[np.arange(rows) % 2]
    case = credit(
        contract=contract,
        scores=Table({"unit": np.arange(rows), "attr:sex": sex, **columns}),
        tables={},
        privacy=None,
        info={
            "outputs": outputs,
            "decision": {},
            "attributes": (
                AttributeInfo(name="sex", role="protected", label="Sex", groups=("female", "male")),
            ),
        },
    )
    return case, audit(case.evidence, case.bundle, default_policy()), sex


def test_a_numeric_target_has_errors_and_their_gap(credit) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(20, 5, 300)
    said = truth + rng.normal(0, 2, 300) + (np.arange(300) % 2) * 3
    _, record, sex = _other_case(
        credit,
        Target(name="value", column="value", kind="numeric", label="Value"),
        {"value": said, "target:value": truth},
        (OutputInfo(name="value", kind="real", target="value", target_kind="numeric"),),
    )
    found = _metrics(record, "value")
    assert set(found) == {"rmse", "mae", "mean_error"}
    assert found["rmse"].estimate == pytest.approx(np.sqrt(np.mean((said - truth) ** 2)))
    assert [(row.metric, row.disparity.kind) for row in record.fairness] == [
        ("mean_error", "difference")
    ]
    row = record.fairness[0]
    error = said - truth
    assert row.disparity.estimate == pytest.approx(
        error[sex == "male"].mean() - error[sex == "female"].mean()
    )
    assert row.disparity.lower <= 3 <= row.disparity.upper
    assert row.verdict == "insufficient-evidence"  # no rule says what is material in this unit
    assert row.p_value < 1e-6


@pytest.mark.parametrize("kind", ["numeric", "ordinal"])
def test_a_decision_on_a_target_is_not_taken_for_its_prediction(credit, kind) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 300).astype(float)
    said = truth + rng.normal(0, 0.5, 300)
    outputs = (
        OutputInfo(name="decision", kind="flag", target="value", target_kind=kind),
        OutputInfo(name="value", kind="real", target="value", target_kind=kind),
    )
    values = tuple("abcd") if kind == "ordinal" else ()
    _, record, _ = _other_case(
        credit,
        Target(name="value", column="value", kind=kind, values=values),
        {"decision": (said > 3).astype(float), "value": said, "target:value": truth},
        outputs,
    )
    assert {row.output for row in record.fairness} == {"value"}
    found = _metrics(record, "value")
    assert found["mae"].estimate == pytest.approx(np.abs(said - truth).mean())


def test_a_rule_makes_the_gap_of_errors_material(credit) -> None:
    policy = parse_policy(
        """
        [policy]
        name = "p"
        [[rule]]
        id = "r"
        section = "fairness"
        metric = "mean_error"
        kind = "difference"
        max = 1.0
        source = "us"
        """
    )
    rng = np.random.default_rng(0)
    truth = rng.normal(20, 5, 300)
    case, _, _ = _other_case(
        credit,
        Target(name="value", column="value", kind="numeric"),
        {"value": truth + (np.arange(300) % 2) * 3 + rng.normal(0, 1, 300), "target:value": truth},
        (OutputInfo(name="value", kind="real", target="value", target_kind="numeric"),),
    )
    record = audit(case.evidence, case.bundle, policy)
    assert record.fairness[0].verdict == "gap"
    assert record.findings[0].status == "fail"


def test_an_ordinal_target_is_measured_in_steps_beside_its_points(credit) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 300).astype(float)
    step = np.clip(truth + rng.normal(0, 0.5, 300), 0, 3)
    outputs = (
        OutputInfo(name="mark", kind="real", target="mark", target_kind="ordinal"),
        OutputInfo(name="mark_step", kind="ordinal", target="mark", target_kind="ordinal"),
    )
    _, record, _ = _other_case(
        credit,
        Target(name="mark", column="mark", kind="ordinal", values=("1", "2", "3", "4")),
        {"mark": step + 1, "mark_step": step, "target:mark": truth},
        outputs,
    )
    found = _metrics(record, "mark_step")
    assert found["mae"].estimate == pytest.approx(np.abs(step - truth).mean())
    assert {row.output for row in record.fairness} == {"mark_step"}


@pytest.mark.parametrize("kind", ["categorical", "ordinal"])
def test_several_classes(credit, kind) -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet([1, 1, 1], 400)
    truth = np.array([rng.choice(3, p=row) for row in chances]).astype(float)
    values = ("low", "mid", "high")
    columns = {f"grade_{value}": chances[:, n] for n, value in enumerate(values)}
    outputs = [
        OutputInfo(
            name=f"grade_{value}", kind="probability", target="grade", target_kind=kind, value=value
        )
        for value in values
    ]
    if kind == "ordinal":
        columns["grade"] = chances @ np.arange(3)
        outputs.append(OutputInfo(name="grade", kind="ordinal", target="grade", target_kind=kind))
    _, record, sex = _other_case(
        credit,
        Target(name="grade", column="grade", kind=kind, values=values, favourable="high"),
        {**columns, "target:grade": truth},
        tuple(outputs),
    )
    jsonschema.validate(record.to_json(), record_schema())
    found = _metrics(record, "grade")
    best = chances.argmax(axis=1)
    assert found["accuracy"].estimate == pytest.approx(np.mean(best == truth))
    assert found["log_loss"].estimate == pytest.approx(log_loss(truth, chances))
    rows = {(row.metric, row.disparity.kind): row for row in record.fairness}
    assert rows["accuracy", "ratio"].favourable == "grade = high"
    selected = rows["selection_rate", "difference"].groups
    assert selected[0].estimate == pytest.approx(np.mean(best[sex == "female"] == 2))
    assert ("mean_error", "difference") in rows or kind == "categorical"
    assert ("quadratic_weighted_kappa" in found) == (kind == "ordinal")


def test_a_flag_output_has_a_rate(credit) -> None:
    first = credit().evidence
    abstain = (np.arange(600) % 4 == 0).astype(float)
    case = credit(
        scores=first.tables["scores"].with_columns({"abstain": abstain}),
        info={"outputs": (*first.info.outputs, OutputInfo(name="abstain", kind="flag"))},
    )
    record = audit(case.evidence, case.bundle, default_policy())
    found = _metrics(record, "abstain")
    assert found["rate"].estimate == 0.25
    assert not _metrics(record, "decision")


def test_recomputed_evidence_is_said_to_be(credit) -> None:
    case = credit(info={"origin": RECOMPUTED})
    assert audit(case.evidence, case.bundle, default_policy()).evidence.origin == RECOMPUTED


# ---- explanations ---------------------------------------------------------------------------


def test_explanations_are_means_with_intervals(credit) -> None:
    case = credit()
    row = audit(case.evidence, case.bundle, default_policy()).explanations[0]
    assert (row.output, row.method, row.additivity_error) == ("score", "exact", 1e-6)
    first, second = row.fields
    assert (first.field, first.mean_abs) == ("income", 0.8)
    assert first.lower < 0.8 < first.upper
    assert (second.mean_abs, second.lower, second.upper) == (0.0, 0.0, 0.0)


def test_a_protected_reason_fails(credit) -> None:
    tables = dict(credit().evidence.tables)
    tables["reasons"] = tables["reasons"].with_columns({"protected": np.array([0, 1])})
    tables.pop("scores")
    case = credit(tables=tables)
    record = audit(case.evidence, case.bundle, default_policy())
    found = _finding(record, "no-protected-reason")
    assert (found.status, found.value) == ("fail", 10)
    assert exit_code(record.findings) == 1


def test_attributions_that_do_not_add_up_fail(credit) -> None:
    tables = dict(credit().evidence.tables)
    tables["additivity"] = tables["additivity"].with_columns({"max_error": np.array([0.2])})
    tables.pop("scores")
    case = credit(tables=tables)
    record = audit(case.evidence, case.bundle, default_policy())
    assert _finding(record, "attributions-add-up").status == "fail"
